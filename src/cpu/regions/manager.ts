/** Which blocks become regions, when, and how long regions live. */

import type { BlockCache, MappedPage } from '../decode/blocks.ts';
import { RECORD, RECORD_SIZE } from '../interpreter/record.ts';
import { MODE_64, MODE_SIZE_MASK } from '../mode.ts';
import { type CompilerEnvironment, compileRegions, type RegionPlan } from './compiler.ts';
import { discover, pageOf } from './graph.ts';

/** What paces compilation and bounds what it leaves. */
export interface RegionPolicy {
  /** Entries until a block counts as hot. */
  readonly heat: number;
  /**
   * Entries until a region is made anew, with the functions it calls: most code never gets there, and code held several
   * times costs compiling.
   */
  readonly secondHeat: number;
  /** Hot blocks compiled together: many regions per module keep transfers cheap and compiling fast. */
  readonly batch: number;
  /** Instructions after which a smaller batch is compiled too. */
  readonly patience: number;
  /** Table entries for regions; when they are used up, everything is dropped and starts anew. */
  readonly regions: number;
  /** How often a region's assumptions may fail until it is made anew without any; 0: none are made. */
  readonly assumptions: number;
}
export const REGION_POLICY: RegionPolicy = {
  heat: 1000,
  secondHeat: 20_000,
  batch: 96,
  patience: 2_000_000,
  regions: 24_000,
  assumptions: 50,
};

const FIRST_LIMITS = { blocks: 64, instructions: 300, depth: 0 } as const;
const SECOND_LIMITS = { blocks: 96, instructions: 400, depth: 4 } as const;

/** Arena bytes the exits of one region may take: three of every block, of which there may be a few more. */
const EXIT_ROOM = 3 * (SECOND_LIMITS.blocks + 3) * RECORD_SIZE;

/** A block that became hot, with the translations of the moment. */
interface Candidate {
  /** The page so many pages from the block's, if it can be executed now. */
  pageAt(distance: number): MappedPage | undefined;
  readonly offset: number;
  readonly mode: number;
  readonly record: number;
}

/** A region to be compiled in the place of a block. */
interface Waiting {
  readonly plan: RegionPlan;
  readonly record: number;
  readonly home: MappedPage;
  /** Guest pages with its code, and their versions. */
  readonly versions: ReadonlyMap<number, number>;
  /** Handler of the block when it became hot. */
  readonly handler: number;
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
  private readonly u16: Uint16Array;
  private readonly followAll: boolean;
  private readonly policy: RegionPolicy;
  private readonly firstIndex: number;
  private nextIndex: number;
  private waiting: Waiting[] = [];
  /** The blocks that regions are entered by, by table index - firstIndex, and how often assumptions have failed. */
  private running: { readonly record: number; failures: number }[] = [];
  /** Blocks, by record, whose regions assume nothing. */
  private readonly wary = new Set<number>();
  /** Instructions retired at which the waiting blocks are compiled. */
  private due = 0;
  private readonly milliseconds: () => number;

  /** @param firstIndex first table index free for regions */
  constructor(options: {
    blocks: BlockCache;
    buffer: ArrayBufferLike;
    firstIndex: number;
    environment: Omit<CompilerEnvironment, 'exitRecord'>;
    policy: RegionPolicy;
    /** Milliseconds of any clock, for statistics. */
    milliseconds: () => number;
    /** Whether regions hold code that has not run yet too, as tests want it. */
    followAll: boolean;
  }) {
    this.followAll = options.followAll;
    this.blocks = options.blocks;
    this.policy = options.policy;
    this.u32 = new Uint32Array(options.buffer);
    this.u16 = new Uint16Array(options.buffer);
    this.firstIndex = options.firstIndex;
    this.nextIndex = options.firstIndex;
    this.milliseconds = options.milliseconds;
    this.environment = {
      ...options.environment,
      exitRecord: () => this.blocks.allocateRecord(),
    };
  }

  /** A block's heat ran out: looks at once for what is to be compiled, while the translations are there. */
  hot({ pageAt, offset, mode, record }: Candidate, retired: number): void {
    const start = this.milliseconds();
    const home = pageAt(0);
    if (!home) return;
    const again = this.u32[(record + RECORD.interpreted) >> 2] !== 0;
    const limits = again || this.followAll ? SECOND_LIMITS : FIRST_LIMITS;
    const handler = this.u32[(record + RECORD.handler) >> 2];
    const blocks = discover(offset, this.blocks.codeSource(pageAt, mode, this.followAll), limits);
    if (blocks.length === 0) return;
    const codeTables = new Map<number, number>();
    const versions = new Map<number, number>();
    for (const { instructions } of blocks) {
      this.statistics.instructions += instructions.length;
      for (const instruction of instructions) {
        const distance = pageOf(instruction.offset);
        if (codeTables.has(distance)) continue;
        const { page, table } = pageAt(distance)!;
        codeTables.set(distance, table);
        versions.set(page, this.blocks.versionOf(page));
      }
    }
    const long = (mode & MODE_SIZE_MASK) === MODE_64;
    const name = `region ${home.page.toString(16)}:${offset.toString(16)}`;
    const assuming = this.policy.assumptions > 0 && !this.wary.has(record);
    const plan = { name, long, blocks, mode, codeTables, assuming };
    if (this.waiting.length === 0) this.due = retired + this.policy.patience;
    this.waiting.push({ plan, record, home, versions, handler });
    this.statistics.milliseconds += this.milliseconds() - start;
    if (this.waiting.length >= this.policy.batch) this.compile();
  }

  /** Called between runs of the handlers now and then. */
  tick(retired: number): void {
    if (this.waiting.length > 0 && retired >= this.due) this.compile();
  }

  /** The assumptions of a region, given by its table index, did not hold. */
  failed(index: number): void {
    const region = this.running[index - this.firstIndex];
    if (++region.failures !== this.policy.assumptions) return;
    const { record } = region;
    if (this.u32[(record + RECORD.handler) >> 2] !== index) return; // there is another one by now
    this.wary.add(record);
    this.u16[(record + RECORD.heat) >> 1] = 1;
  }

  /** All blocks are gone. */
  flushed(): void {
    this.waiting = [];
    this.running = [];
    this.wary.clear();
    const { table, sites } = this.environment;
    sites.clear();
    for (let i = this.firstIndex; i < this.nextIndex; i++) table.set(i, null);
    this.nextIndex = this.firstIndex;
  }

  private compile(): void {
    const start = this.milliseconds();
    const waiting = this.waiting.filter((region) => this.isStillGood(region));
    this.waiting = [];
    if (waiting.length === 0) return;
    const full = this.nextIndex + waiting.length > this.firstIndex + this.policy.regions;
    if (full || this.blocks.room < this.policy.batch * EXIT_ROOM) {
      this.blocks.flush();
      return;
    }
    const { table } = this.environment;
    const needed = this.nextIndex + waiting.length;
    if (table.length < needed) table.grow(Math.max(needed - table.length, 1024));
    const plans = waiting.map(({ plan }) => plan);
    this.statistics.bytes += compileRegions(plans, this.nextIndex, this.environment);
    waiting.forEach(({ record, versions }, i) => {
      const heat = this.blocks.installRegion(record, this.nextIndex + i, versions.keys()) ? this.policy.secondHeat : 0;
      this.u16[(record + RECORD.heat) >> 1] = heat;
      this.running[this.nextIndex + i - this.firstIndex] = { record, failures: 0 };
    });
    this.nextIndex = needed;
    this.statistics.regions += plans.length;
    this.statistics.modules++;
    this.statistics.milliseconds += this.milliseconds() - start;
  }

  /** Whether the block is still there and nothing of the region's code has been written over since it was decoded. */
  private isStillGood({ plan, record, home, versions, handler }: Waiting): boolean {
    if (this.blocks.find(home.table, plan.blocks[0].offset) !== record) return false;
    if (this.u32[(record + RECORD.handler) >> 2] !== handler) return false;
    for (const [page, version] of versions) if (this.blocks.versionOf(page) !== version) return false;
    return true;
  }
}
