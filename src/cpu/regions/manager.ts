/** Which blocks become regions, when, and how long regions live. */

import type { BlockCache, MappedPage } from '../decode/blocks.ts';
import { FIRST_REGION, RECORD, REGION_HEAT, REGION_MISSES } from '../interpreter/record.ts';
import { JUMP_ENTRY_SIZE } from '../memory/jump-cache.ts';
import { MODE_64, MODE_SIZE_MASK } from '../mode.ts';
import type { CompiledBatch, RegionCompiler } from './background.ts';
import {
  emitRegions,
  instantiateRegions,
  mostExits,
  type RegionImports,
  type RegionPlace,
  type RegionPlan,
} from './compiler.ts';
import { analyse, discover, pageOf, type RegionBlock, reachable } from './graph.ts';
import { encodeGraph, type RequestedPage } from './request.ts';
import type { RegionSites } from './sites.ts';

/** What paces compilation and bounds what it leaves. */
export interface RegionPolicy {
  /** Entries until a block counts as hot. */
  readonly heat: number;
  /** And until it may be compiled if a compiler on another thread has nothing to do otherwise. */
  readonly warmth: number;
  /** And until a block is held by regions of others: what seldom runs costs as much to compile as the rest. */
  readonly joining: number;
  /**
   * Entries until a region is made anew, with the functions it calls: most code never gets there, and code held several
   * times costs compiling.
   */
  readonly secondHeat: number;
  /** Most hot blocks compiled together: what became hot meanwhile waits. */
  readonly batch: number;
  /** Instructions after which a smaller batch is compiled too. */
  readonly patience: number;
  /** Instructions after which a compiler on another thread is asked whether it is done. */
  readonly pollInterval: number;
  /** Table entries for regions; when they are used up, everything is dropped and starts anew. */
  readonly regions: number;
  /** How often a region's assumptions may fail until it is made anew without any; 0: none are made. */
  readonly assumptions: number;
}
export const REGION_POLICY: RegionPolicy = {
  heat: 2400,
  warmth: 600,
  joining: 150,
  secondHeat: 30_000,
  batch: 32,
  patience: 700_000,
  pollInterval: 100_000,
  regions: 24_000,
  assumptions: 50,
};

const PAGE_SIZE = 4096;

const FIRST_LIMITS = { blocks: 64, instructions: 300, depth: 0 } as const;
const SECOND_LIMITS = { blocks: 96, instructions: 400, depth: 4 } as const;

/** A block that became hot, with the translations of the moment. */
interface Candidate {
  /** The page so many pages from the block's, if it can be executed now. */
  pageAt(distance: number): MappedPage | undefined;
  readonly offset: number;
  /** Whether it is in the upper half of the linear addresses. */
  readonly upper: boolean;
  /** Segments that are flat, outside 64-bit mode, see flatSegments. */
  readonly flat: number;
  readonly mode: number;
  readonly record: number;
}

/** A region to be compiled in the place of a block. */
interface Waiting {
  readonly name: string;
  readonly entry: RegionBlock;
  readonly mode: number;
  readonly long: boolean;
  readonly assuming: boolean;
  readonly apart: boolean;
  readonly record: number;
  readonly upper: boolean;
  readonly flat: number;
  readonly home: MappedPage;
  /** The pages with its code, by their distance from the one where it begins. */
  readonly pages: ReadonlyMap<number, MappedPage>;
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
  private readonly imports: RegionImports;
  private readonly sites: RegionSites;
  private readonly memory: Uint8Array;
  private readonly machine: Pick<RegionPlace, 'jumps' | 'context' | 'misses' | 'shared'>;
  private readonly u32: Uint32Array;
  private readonly followAll: boolean;
  private readonly policy: RegionPolicy;
  private nextIndex = FIRST_REGION;
  private waiting: Waiting[] = [];
  /** The blocks that regions are entered by, by table index - FIRST_REGION, and how often assumptions have failed. */
  private running: { readonly record: number; failures: number }[] = [];
  /** Blocks, by record, whose regions assume nothing. */
  private readonly wary = new Set<number>();
  /** And those in whose regions accesses look into the TLB for themselves. */
  private readonly apart = new Set<number>();
  /**
   * Blocks, by record, that a region holds which was begun since they last became hot. They have been entered as often as
   * the region's own block, which leads to them; once the region is there they may never be entered again.
   */
  private readonly inside = new Set<number>();
  /** How often blocks, by record, have been entered that became warm while the compiler was busy. */
  private readonly warm = new Map<number, number>();
  /** Instructions retired at which the waiting blocks are compiled. */
  private due = 0;
  /** Another thread that compiles, and what it is compiling, with how often everything had been dropped then. */
  private compiler: RegionCompiler | undefined;
  private submitted:
    | { readonly regions: readonly Waiting[]; readonly place: RegionPlace; readonly flushes: number }
    | undefined;
  private flushes = 0;
  private nextPoll = 0;
  private readonly inspect: ((module: Uint8Array) => void) | undefined;
  private readonly milliseconds: () => number;

  constructor(options: {
    blocks: BlockCache;
    buffer: ArrayBufferLike;
    imports: RegionImports;
    sites: RegionSites;
    /** Places that regions are written for. */
    machine: RegionManager['machine'];
    /** Compiles on another thread; without it, or once it has failed, everything is compiled here. */
    compiler?: RegionCompiler;
    /** Is shown each module before it is instantiated. */
    inspect?: (module: Uint8Array) => void;
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
    this.milliseconds = options.milliseconds;
    this.imports = options.imports;
    this.sites = options.sites;
    this.memory = new Uint8Array(options.buffer);
    this.compiler = options.compiler;
    this.machine = options.machine;
    this.inspect = options.inspect;
  }

  /** A block's heat ran out: looks at once for what is to be compiled, while the translations are there. */
  hot({ pageAt, offset, upper, flat, mode, record }: Candidate, retired: number): void {
    const start = this.milliseconds();
    const home = pageAt(0);
    if (!home) return;
    const again = this.blocks.hasRegion(record);
    if (this.inside.delete(record)) {
      this.blocks.setHeat(record, again ? this.policy.secondHeat : this.policy.heat);
      this.warm.set(record, this.policy.heat);
      return;
    }
    if (!again && this.mayWait(record)) return;
    const limits = again || this.followAll ? SECOND_LIMITS : FIRST_LIMITS;
    const handler = this.u32[(record + RECORD.handler) >> 2];
    const isWanted = (block: number) => this.followAll || (block !== 0 && this.joins(block));
    const entry = discover(offset, this.blocks.codeSource(pageAt, mode, isWanted), limits);
    if (!entry) return;
    const pages = new Map<number, MappedPage>();
    const versions = new Map<number, number>();
    for (const block of reachable(entry)) {
      const { instructions } = block;
      if (block !== entry) this.noteInside(pageAt(pageOf(block.offset)), block);
      this.statistics.instructions += instructions.length;
      for (const instruction of instructions) {
        const distance = pageOf(instruction.offset);
        if (pages.has(distance)) continue;
        const page = pageAt(distance)!;
        pages.set(distance, page);
        versions.set(page.page, this.blocks.versionOf(page.page));
      }
    }
    const long = (mode & MODE_SIZE_MASK) === MODE_64;
    const name = `region ${home.page.toString(16)}:${offset.toString(16)}`;
    const assuming = this.policy.assumptions > 0 && !this.wary.has(record);
    if (this.waiting.length === 0) this.due = retired + this.policy.patience;
    const apart = this.apart.has(record);
    this.waiting.push({
      name,
      entry,
      mode,
      long,
      assuming,
      apart,
      record,
      upper,
      flat,
      home,
      pages,
      versions,
      handler,
    });
    this.statistics.milliseconds += this.milliseconds() - start;
    if (this.waiting.length >= this.policy.batch) this.compile();
  }

  /** Entries after which blocks are looked at first. */
  get firstHeat(): number {
    const { heat, warmth } = this.policy;
    return this.compiler ? Math.min(heat, warmth) : heat;
  }

  /** Whether a block is only warm, and the compiler busy: it goes on counting. */
  private mayWait(record: number): boolean {
    const { heat, batch } = this.policy;
    const step = this.firstHeat;
    const entries = (this.warm.get(record) ?? 0) + step;
    this.warm.delete(record);
    const isBusy = this.submitted !== undefined || this.waiting.length >= batch;
    if (entries >= heat || !isBusy) return false;
    this.warm.set(record, entries);
    this.blocks.setHeat(record, step);
    return true;
  }

  /** Whether a block is to be held by other blocks' regions. */
  private joins(record: number): boolean {
    const left = this.blocks.heatOf(record);
    return left + this.policy.joining <= this.firstHeat || this.inside.has(record) || this.warm.has(record);
  }

  /** Notes the block that is entered where a region's block begins, if there is one. */
  private noteInside(page: MappedPage | undefined, { offset }: RegionBlock): void {
    const record = page ? this.blocks.find(page.table, offset & (PAGE_SIZE - 1)) : 0;
    if (record !== 0) this.inside.add(record);
  }

  /** Called between runs of the handlers now and then. */
  tick(retired: number): void {
    if (this.waiting.length > 0 && retired >= this.due) this.compile();
    if (this.submitted && retired >= this.nextPoll) {
      this.nextPoll = retired + this.policy.pollInterval;
      this.poll();
    }
  }

  /** The assumptions of a region, given by its table index, did not hold. */
  failed(index: number): void {
    const region = this.running[index - FIRST_REGION];
    if (++region.failures !== this.policy.assumptions) return;
    const { record } = region;
    if (this.u32[(record + RECORD.handler) >> 2] !== index) return; // there is another one by now
    this.wary.add(record);
    this.heatUp(record);
  }

  /** A region, given by the address of its misses, is left again and again though nothing is missing. */
  missing(misses: number): void {
    const index = FIRST_REGION + (misses - this.machine.misses) / REGION_MISSES.size;
    const { record } = this.running[index - FIRST_REGION];
    if (this.apart.has(record) || this.u32[(record + RECORD.handler) >> 2] !== index) return;
    this.apart.add(record);
    this.heatUp(record);
  }

  /** Makes a block hot at its next entry. */
  private heatUp(record: number): void {
    this.inside.delete(record);
    this.blocks.setHeat(record, 1);
  }

  /** All blocks are gone. */
  flushed(): void {
    this.waiting = [];
    this.running = [];
    this.wary.clear();
    this.apart.clear();
    this.inside.clear();
    this.warm.clear();
    this.flushes++;
    this.sites.clear();
    const { table } = this.imports;
    for (let i = FIRST_REGION; i < Math.min(this.nextIndex, table.length); i++) table.set(i, null);
    this.nextIndex = FIRST_REGION;
  }

  private compile(): void {
    // here, the guest would wait for what it can do without
    if (this.submitted) return;
    const start = this.milliseconds();
    // what the guest runs now has become hot last
    const regions = this.waiting.splice(-this.policy.batch).filter((region) => this.isStillGood(region));
    if (regions.length === 0) return;
    const place = this.reserve(regions);
    if (!place) this.blocks.flush();
    else if (this.compiler) this.submit(this.compiler, regions, place);
    else {
      const { bytes, sites } = emitRegions(regions.map(planOf), place);
      this.inspect?.(bytes);
      this.install(regions, place, { module: new WebAssembly.Module(bytes), sites, bytes: bytes.length });
    }
    this.statistics.milliseconds += this.milliseconds() - start;
  }

  /** Numbers and memory for regions; undefined where there are no more. */
  private reserve(regions: readonly Waiting[]): RegionPlace | undefined {
    const { blocks, policy } = this;
    const firstRegion = this.nextIndex;
    const exits = regions.reduce((sum, { entry }) => sum + mostExits(entry), 0);
    this.nextIndex += regions.length;
    if (this.nextIndex > FIRST_REGION + policy.regions || blocks.room < exits * JUMP_ENTRY_SIZE) return undefined;
    return {
      firstRegion,
      firstHeat: blocks.regionHeat + (firstRegion - FIRST_REGION) * REGION_HEAT.size,
      firstExit: blocks.allocateLinks(exits),
      ...this.machine,
    };
  }

  private submit(compiler: RegionCompiler, regions: readonly Waiting[], place: RegionPlace): void {
    const copies = new Map<number, Uint8Array>();
    const copy = (host: number): Uint8Array => {
      const known = copies.get(host) ?? this.memory.slice(host, host + PAGE_SIZE);
      copies.set(host, known);
      return known;
    };
    const requests = regions.map(({ name, mode, assuming, apart, record, upper, flat, pages, entry }) => {
      const requested: RequestedPage[] = [];
      for (const [distance, { table, host }] of pages) requested.push({ distance, table, bytes: copy(host) });
      return { name, mode, assuming, apart, record, upper, flat, pages: requested, graph: encodeGraph(entry) };
    });
    compiler.submit({ regions: requests, place });
    this.submitted = { regions, place, flushes: this.flushes };
  }

  /** Installs what another thread has compiled, once it has. */
  private poll(): void {
    const start = this.milliseconds();
    const { regions, place, flushes } = this.submitted!;
    const isWanted = flushes === this.flushes;
    const done = this.ask();
    if (!done && this.compiler) return;
    this.submitted = undefined;
    if (done && isWanted) this.install(regions, place, done);
    // what it had been given may become hot again
    else if (isWanted) for (const region of regions) if (this.isStillGood(region)) this.heatUp(region.record);
    this.statistics.milliseconds += this.milliseconds() - start;
  }

  /** What the other thread has done, if it has; it is not asked again once it has failed, of which whoever made it tells. */
  private ask(): CompiledBatch | undefined {
    try {
      return this.compiler!.poll();
    } catch {
      this.compiler = undefined;
      return undefined;
    }
  }

  private install(
    regions: readonly Waiting[],
    { firstRegion }: RegionPlace,
    { module, sites, bytes }: CompiledBatch,
  ): void {
    const { blocks, policy, imports } = this;
    const { table } = imports;
    const needed = firstRegion + regions.length;
    if (table.length < needed) table.grow(Math.max(needed - table.length, 1024));
    const legacy = regions.some(({ long }) => !long);
    this.sites.append(sites, firstRegion);
    instantiateRegions(module, legacy, imports);
    regions.forEach((region, i) => {
      const { record, versions } = region;
      this.running[firstRegion + i - FIRST_REGION] = { record, failures: 0 };
      if (!this.isStillGood(region)) return;
      const isFirst = blocks.installRegion(record, firstRegion + i, versions.keys());
      if (isFirst) blocks.setHeat(record, policy.secondHeat);
    });
    this.statistics.bytes += bytes;
    this.statistics.regions += regions.length;
    this.statistics.modules++;
  }

  /** Whether the block is still there and nothing of the region's code has been written over since it was decoded. */
  private isStillGood({ entry, record, home, versions, handler }: Waiting): boolean {
    if (this.blocks.find(home.table, entry.offset) !== record) return false;
    if (this.u32[(record + RECORD.handler) >> 2] !== handler) return false;
    for (const [page, version] of versions) if (this.blocks.versionOf(page) !== version) return false;
    return true;
  }
}

function planOf({ name, entry, mode, long, assuming, apart, record, upper, flat, pages }: Waiting): RegionPlan {
  const codeTables = new Map(Array.from(pages, ([distance, { table }]) => [distance, table]));
  return { name, long, blocks: analyse(entry), mode, codeTables, assuming, apart, record, upper, flat };
}
