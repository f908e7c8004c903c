/** Which blocks become regions, when, and how long regions live. */

import type { BlockCache } from '../decode/blocks.ts';
import { RECORD } from '../interpreter/record.ts';
import { MODE_64, MODE_SIZE_MASK } from '../mode.ts';
import { type CompilerEnvironment, compileRegions, type RegionPlan } from './compiler.ts';
import { discover } from './graph.ts';

/** Entries until a block counts as hot. */
export const HEAT_THRESHOLD = 100;
/** Hot blocks compiled together: many regions per module keep transfers cheap and compiling fast. */
const BATCH = 96;
/** Instructions after which a smaller batch is compiled too. */
const PATIENCE = 2_000_000;
/** Table entries for regions; when they are used up, everything is dropped and starts anew. */
const MAX_REGIONS = 24_000;

/** Arena bytes a batch's exits may take. */
const EXIT_ROOM = 2 ** 21;

/** A block that became hot. */
interface Candidate {
  readonly page: number;
  readonly table: number;
  /** Arena address of the page. */
  readonly host: number;
  readonly offset: number;
  readonly mode: number;
  readonly record: number;
}

export interface RegionStatistics {
  regions: number;
  modules: number;
  instructions: number;
  /** Bytes of WebAssembly. */
  bytes: number;
  /** Milliseconds spent compiling, if the host has a clock for it. */
  milliseconds: number;
}

export class RegionManager {
  readonly statistics: RegionStatistics = { regions: 0, modules: 0, instructions: 0, bytes: 0, milliseconds: 0 };
  private readonly blocks: BlockCache;
  private readonly environment: CompilerEnvironment;
  private readonly u32: Uint32Array;
  private readonly firstIndex: number;
  private nextIndex: number;
  private waiting: Candidate[] = [];
  /** Instructions retired at which the waiting blocks are compiled. */
  private due = 0;
  private readonly milliseconds: () => number;

  /** @param firstIndex first table index free for regions */
  constructor(options: {
    blocks: BlockCache;
    buffer: ArrayBufferLike;
    firstIndex: number;
    environment: Omit<CompilerEnvironment, 'exitRecord'>;
    /** Milliseconds of any clock, for statistics. */
    milliseconds: () => number;
  }) {
    this.blocks = options.blocks;
    this.u32 = new Uint32Array(options.buffer);
    this.firstIndex = options.firstIndex;
    this.nextIndex = options.firstIndex;
    this.milliseconds = options.milliseconds;
    this.environment = {
      ...options.environment,
      exitRecord: () => this.blocks.allocateRecord(),
    };
  }

  /** A block's heat ran out. */
  hot(candidate: Candidate, retired: number): void {
    if (this.waiting.length === 0) this.due = retired + PATIENCE;
    this.waiting.push(candidate);
    if (this.waiting.length >= BATCH) this.compile();
  }

  /** Called between runs of the handlers now and then. */
  tick(retired: number): void {
    if (this.waiting.length > 0 && retired >= this.due) this.compile();
  }

  /** All blocks are gone. */
  flushed(): void {
    this.waiting = [];
    const { table, sites } = this.environment;
    sites.clear();
    for (let i = this.firstIndex; i < this.nextIndex; i++) table.set(i, null);
    this.nextIndex = this.firstIndex;
  }

  private compile(): void {
    const start = this.milliseconds();
    const candidates = this.waiting;
    this.waiting = [];
    if (this.nextIndex + candidates.length > this.firstIndex + MAX_REGIONS || this.blocks.room < EXIT_ROOM) {
      this.blocks.flush();
      return;
    }
    const plans: RegionPlan[] = [];
    const records: number[] = [];
    for (const { page, table, host, offset, mode, record } of candidates) {
      // written over, or dropped, since it was hot
      if (this.blocks.find(table, offset) !== record || this.u32[(record + RECORD.interpreted) >> 2] !== 0) continue;
      const blocks = discover(offset, this.blocks.regionReader(host, mode));
      if (blocks.length === 0) continue;
      for (const block of blocks) {
        const last = block.instructions[block.instructions.length - 1];
        if (last) this.blocks.claim(page, block.offset, last.offset + last.length - block.offset);
        this.statistics.instructions += block.instructions.length;
      }
      plans.push({
        name: `region ${page.toString(16)}:${offset.toString(16)}`,
        long: (mode & MODE_SIZE_MASK) === MODE_64,
        blocks,
      });
      records.push(record);
    }
    if (plans.length === 0) return;
    const { table } = this.environment;
    const needed = this.nextIndex + plans.length;
    if (table.length < needed) table.grow(Math.max(needed - table.length, 1024));
    this.statistics.bytes += compileRegions(plans, this.nextIndex, this.environment);
    records.forEach((record, i) => {
      this.u32[(record + RECORD.interpreted) >> 2] = this.u32[(record + RECORD.handler) >> 2];
      this.u32[(record + RECORD.handler) >> 2] = this.nextIndex + i;
    });
    this.nextIndex = needed;
    this.statistics.regions += plans.length;
    this.statistics.modules++;
    this.statistics.milliseconds += this.milliseconds() - start;
  }
}
