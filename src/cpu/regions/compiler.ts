/** Turns hot blocks into regions: discovers their graphs and writes one module for a batch of them. */

import { emitInstruction } from '../../isa/emission.ts';
import { HELPERS, type HelperName, type LightHelper } from '../../isa/helpers.ts';
import { RSP } from '../../isa/stage.ts';
import {
  type FunctionBuilder,
  type FunctionRef,
  type Label,
  type Local,
  ModuleBuilder,
  type Value,
  type Variable,
} from '../../wasm/index.ts';
import { offsetOf, SS } from '../context.ts';
import type { HandlerImports, Handlers } from '../interpreter/handlers.ts';
import { Exit, FIRST_REGION, REGION_HEAT, REGION_MISSES } from '../interpreter/record.ts';
import { emitUnevenness } from '../interpreter/segments.ts';
import { HELPER_ARGUMENTS } from '../interpreter/stage.ts';
import { arenaLimits } from '../memory/arena.ts';
import { JUMP_ENTRY_SIZE } from '../memory/jump-cache.ts';
import { pageOf, type RegionBlock, reachable } from './graph.ts';
import { carryIsDead } from './instruction.ts';
import { type SiteTable, SiteWriter } from './sites.ts';
import { type RegionModule, RegionStage } from './stage.ts';
import type { Path } from './xmm.ts';

/** A region to be written. */
export interface RegionPlan {
  readonly name: string;
  readonly long: boolean;
  /** In reverse postorder, entry first. */
  readonly blocks: readonly RegionBlock[];
  /** Mode key the code was decoded for. */
  readonly mode: number;
  /** Code tables of the pages it lies on, by {@link pageOf} its offsets. */
  readonly codeTables: ReadonlyMap<number, number>;
  /** Whether its code may assume what nearly always holds. */
  readonly assuming: boolean;
  /** Whether each of its accesses looks into the TLB for itself. */
  readonly apart: boolean;
  /** The record of the block whose place it takes. */
  readonly record: number;
  /** Whether it lies in the upper half of the linear addresses where it was found, as it mostly will. */
  readonly upper: boolean;
  /** Segments that were flat there, a bit mask: the region is for when those are that it uses. */
  readonly flat: number;
}

/** What instances of regions' modules import. */
export interface RegionImports {
  readonly memory: WebAssembly.Memory;
  readonly table: WebAssembly.Table;
  readonly imports: HandlerImports;
  /** The handlers of a mode class, whose functions regions leave through. */
  handlers(long: boolean): Pick<Handlers, 'resume' | 'leap' | 'missed'>;
  /** `regionRaise` and so on, see RegionModule. */
  readonly access: WebAssembly.ModuleImports;
}

/** A module of regions, for the place it was written for. */
export interface EmittedRegions {
  readonly bytes: Uint8Array<ArrayBuffer>;
  readonly sites: SiteTable;
}

/** What is known of a module's place before it is written. */
export interface RegionPlace {
  /** Table index of its first region. */
  readonly firstRegion: number;
  /** Arena address of its first region's heat. */
  readonly firstHeat: number;
  /** Arena address of the misses of all regions. */
  readonly misses: number;
  /** Arena address of entries of the jump cache, as many as its exits may need ({@link mostExits}). */
  readonly firstExit: number;
  /** Whether the arena's memory is shared. */
  readonly shared: boolean;
  /** Arena address of the jump cache. */
  readonly jumps: number;
  /** Arena address of the processor's context. */
  readonly context: number;
}

/** Most entries of the jump cache that the exits of a region may need for themselves. */
export function mostExits(entry: RegionBlock): number {
  let edges = 0;
  for (const block of reachable(entry)) edges += block.edges().length;
  return edges;
}

/** Writes a batch of regions as one module. */
export function emitRegions(plans: readonly RegionPlan[], place: RegionPlace): EmittedRegions {
  const m = new ModuleBuilder({ names: true });
  m.importMemory('env', 'memory', arenaLimits(place.shared));
  const table = m.importTable('env', 'table', { initial: 0 });
  const regionRaise = m.importFunction('env', 'regionRaise', ['i32'], []);
  const regionAbandon = m.importFunction('env', 'regionAbandon', ['i32', 'i32'], []);
  const carryOf = m.importFunction('env', 'carryOf', ['i32', 'i64', 'i64'], ['i32']);
  const cooled = m.importFunction('env', 'cooled', ['i32', 'i32', 'i32', 'i32'], ['i32']);
  const tooShort = m.importFunction('env', 'tooShort', ['i32', 'i32'], ['i32']);
  const checkSegment = m.importFunction('env', 'checkSegment', ['i32', 'i32', 'i32', 'i32'], ['i32']);
  const transfers = [false, true].map((long) => ({
    resume: m.importFunction('env', `resume${long}`, ['i32'], ['i32']),
    leap: m.importFunction('env', `leap${long}`, ['i32', 'i32', 'i64'], ['i32']),
    missed: m.importFunction('env', `missed${long}`, ['i32', 'i64', 'i32'], ['i32']),
  }));
  const helpers = {} as Record<LightHelper, FunctionRef>;
  const parameters = Array.from({ length: HELPER_ARGUMENTS }, () => 'i32' as const);
  for (const name of Object.keys(HELPERS) as HelperName[]) {
    if (HELPERS[name].kind === 'light')
      helpers[name as LightHelper] = m.importFunction('helpers', name, parameters, ['i32']);
  }
  const signature = m.signature(['i32', 'i32'], ['i32']);
  const sites = new SiteWriter();
  const shared = {
    signature,
    table,
    regionRaise,
    regionAbandon,
    carryOf,
    cooled,
    tooShort,
    checkSegment,
    helpers,
    jumps: place.jumps,
  };
  let exits = 0;
  const nextExit = () => place.firstExit + exits++ * JUMP_ENTRY_SIZE;
  const functions = plans.map((plan, number) => {
    const module: RegionModule = { ...shared, ...transfers[plan.long ? 1 : 0] };
    const numbering = {
      context: place.context,
      sites,
      number: place.firstRegion + number,
      heat: place.firstHeat + number * REGION_HEAT.size,
      misses: place.misses + (place.firstRegion + number - FIRST_REGION) * REGION_MISSES.size,
      nextExit,
    };
    return m.function(plan.name, ['i32', 'i32'], ['i32'], (f) => new RegionWriter(f, plan, module, numbering).write());
  });
  m.element(place.firstRegion, functions, table);
  return { bytes: m.build(), sites: sites.table() };
}

/** Puts a module's regions into the table. `legacy`: whether it has any of code other than 64-bit. */
export function instantiateRegions(
  module: WebAssembly.Module,
  legacy: boolean,
  { memory, table, imports, handlers, access }: RegionImports,
): void {
  const long = handlers(true);
  // not to be built for nothing: most guests never leave 64-bit mode once they are in it
  const others = legacy ? handlers(false) : long;
  new WebAssembly.Instance(module, {
    env: {
      memory,
      table,
      ...access,
      checkSegment: imports.checkSegment,
      resumetrue: long.resume,
      leaptrue: long.leap,
      missedtrue: long.missed,
      resumefalse: others.resume,
      leapfalse: others.leap,
      missedfalse: others.missed,
    },
    helpers: imports.helpers as unknown as WebAssembly.ModuleImports,
  });
}

/** A region's numbers. */
interface Numbering {
  /** Arena address of the processor's context. */
  readonly context: number;
  /** Of the module. */
  readonly sites: SiteWriter;
  /** Table index. */
  readonly number: number;
  /** Arena address of its heat, and of its misses. */
  readonly heat: number;
  readonly misses: number;
  /** Arena address of an entry of the jump cache for an exit alone. */
  nextExit(): number;
}

/** Whether a block is in a loop, but does not begin the outermost one: there, what changes in that loop is not saved. */
function isWithin(block: RegionBlock): boolean {
  return block.outerLoop !== undefined && block.outerLoop !== block;
}

/** Segments that instructions access memory through, a bit mask by segment register number. */
function usedSegments(blocks: readonly RegionBlock[]): number {
  let used = 0;
  for (const { instructions } of blocks) {
    for (const { decoded, read } of instructions) {
      if (decoded.form === 'memory') used |= 1 << decoded.segment;
      if ((read >> RSP) & 1) used |= 1 << SS;
    }
  }
  return used;
}

/**
 * Writes one region with structured control flow: loops as loops, merges as the ends of blocks, everything else nested
 * where control comes from (Ramsey, "Beyond Relooper", 2022).
 */
class RegionWriter {
  private readonly f: FunctionBuilder;
  private readonly ctx: Local<'i32'>;
  private readonly plan: RegionPlan;
  private readonly module: RegionModule;
  private readonly numbering: Numbering;
  private readonly stage: RegionStage;
  private readonly loops = new Map<RegionBlock, Label>();
  private readonly merges = new Map<RegionBlock, Label>();
  /** What held at the ends of blocks. */
  private readonly ends = new Map<RegionBlock, Path>();
  private block!: RegionBlock;
  /** Whether the TLB bank may change in the region. */
  private readonly changesBank: boolean;

  constructor(f: FunctionBuilder, plan: RegionPlan, module: RegionModule, numbering: Numbering) {
    this.f = f;
    this.plan = plan;
    this.module = module;
    this.numbering = numbering;
    // a variable is shorter than the address, and as good once it is compiled
    this.ctx = f.keepAlways(f.variable('i32', f.i32(numbering.context))) as Value as Local<'i32'>;
    this.changesBank = plan.blocks.some(({ instructions }) => instructions.some(({ changesBank }) => changesBank));
    numbering.sites.begin(numbering.number);
    const flat = plan.long ? 0 : plan.flat & usedSegments(plan.blocks);
    const budget = this.emitAdmission(flat);
    let used = 0;
    let merging = 0;
    for (const { instructions, mergedXmm, loopXmmWritten } of plan.blocks) {
      merging |= mergedXmm | loopXmmWritten;
      for (const { read, written } of instructions) {
        used |= read | written;
      }
    }
    this.stage = new RegionStage(f, {
      module,
      context: this.ctx,
      long: plan.long,
      mode: plan.mode,
      upper: plan.upper,
      flat,
      entry: plan.blocks[0].offset,
      used,
      merging,
      assuming: plan.assuming,
      apart: plan.apart,
      misses: numbering.misses,
      number: numbering.number,
      sites: numbering.sites,
      budget,
      returns: () => (this.block.returns?.block ? this.block.returns.offset : undefined),
      goTo: (edge) => this.goTo(edge),
    });
  }

  /**
   * Counts the entry. If the budget may end inside the region, or a segment of the mask `flat` is not, the interpreter runs the
   * block instead.
   */
  private emitAdmission(flat: number): Variable<'i32'> {
    const { f, module } = this;
    const { op } = f;
    const { ctx } = this;
    const record = f.i32(this.plan.record);
    const heatAt = f.i32(this.numbering.heat);
    const left = f.let(op['i32.sub'](f.load('i32.load', heatAt, 0), f.i32(1)));
    f.store('i32.store', heatAt, left, 0);
    f.if(
      op['i32.le_s'](left, f.i32(0)),
      () => f.returnCall(module.cooled, [ctx, record, f.param(1), heatAt]),
      undefined,
      false,
    );
    const budget = f.variable('i32', f.load('i32.load', ctx, offsetOf('budget')));
    const interpret = () => f.returnCall(module.tooShort, [ctx, record]);
    f.if(op['i32.lt_s'](budget, f.i32(this.plan.blocks[0].longestPath)), interpret, undefined, false);
    if (flat !== 0) f.if(op['i64.ne'](emitUnevenness(f, ctx, flat), f.i64(0)), interpret, undefined, false);
    return budget;
  }

  write(): void {
    this.stage.body(() => this.emitBlock(this.plan.blocks[0]));
  }

  private emitBlock(block: RegionBlock): void {
    const { f } = this;
    if (!block.loopHeader) {
      this.emitWithin(block);
      return;
    }
    const { flagsState, general, xmmState } = this.stage;
    flagsState.join();
    xmmState.join(block.loopXmmWritten);
    general.prepare(block.loopRead | block.loopWritten);
    if (block.outerLoop === block) {
      general.save();
      general.unsaved = block.loopWritten;
    }
    this.stage.prepareXmm(block.loopXmmRead & ~block.loopXmmWritten);
    f.loop((label) => {
      this.loops.set(block, label);
      xmmState.merged(block.loopXmmWritten);
      if (this.changesBank) this.stage.changeBank();
      xmmState.path.translations.forget(block.loopWritten);
      this.emitWithin(block);
    });
  }

  /** The block, and behind it the merges it dominates, latest last. */
  private emitWithin(block: RegionBlock): void {
    const merges = block.dominated.filter((child) => child.forwardEdges > 1).sort((a, b) => a.order - b.order);
    const { general } = this.stage;
    // what only some of the paths to a merge change, all of them may have to store
    for (const merge of merges) if (merge.outerLoop) general.prepare(merge.mergedGeneral);
    const nest = (n: number): void => {
      if (n < 0) {
        this.emitBody(block);
        return;
      }
      this.f.block((label) => {
        this.merges.set(merges[n], label);
        nest(n - 1);
      });
      const { flagsState, xmmState } = this.stage;
      flagsState.joined();
      xmmState.path = this.ends.get(block)!.fork();
      xmmState.merged(merges[n].mergedXmm);
      xmmState.path.translations.forget(merges[n].mergedGeneral);
      general.unsaved = isWithin(merges[n]) ? merges[n].outerLoop!.loopWritten : 0;
      this.emitBlock(merges[n]);
    };
    nest(merges.length - 1);
  }

  private emitBody(block: RegionBlock): void {
    const { stage } = this;
    this.block = block;
    stage.beginBlock();
    const count = block.instructions.length;
    if (count > 0) stage.budget.set(this.f.op['i32.sub'](stage.budget, this.f.i32(count)));
    block.instructions.forEach((instruction, i) => {
      this.block = block;
      stage.begin(instruction, count - i, carryIsDead(block.instructions, i + 1));
      this.f.scope(() => emitInstruction(stage, instruction.form.encoding));
    });
    const last = block.instructions[count - 1];
    if (!last || (last.target === undefined && !last.ends)) this.goTo('next');
  }

  /** Continues along an edge of the current block; nothing may be emitted behind it on this path. */
  private goTo(kind: 'taken' | 'next' | 'returns'): void {
    const { f, stage, block } = this;
    const edge = block[kind]!;
    const to = edge.block;
    const last = block.instructions[block.instructions.length - 1];
    const { path } = stage.xmmState;
    const { unsaved } = stage.general;
    this.ends.set(block, path);
    stage.xmmState.path = path.fork();
    if (to && edge.crosses) {
      const { mode, codeTables } = this.plan;
      stage.requireMapped(edge.offset, codeTables.get(pageOf(edge.offset))!, mode);
    }
    if (!to) {
      this.emitExit(
        edge.offset,
        pageOf(edge.offset) === pageOf(last?.offset ?? block.offset),
        kind === 'taken' && last.truncates,
      );
    } else if (to.order <= block.order) {
      // back to a loop's header, as long as the budget lasts for another round
      stage.flagsState.join();
      stage.xmmState.join(to.loopXmmWritten);
      f.if(f.op['i32.lt_s'](stage.budget, f.i32(to.longestPath)), () => this.emitStop(to.offset), undefined, false);
      f.br(this.loops.get(to)!);
    } else if (to.forwardEdges > 1) {
      stage.flagsState.join();
      stage.xmmState.join(to.mergedXmm);
      if (!isWithin(to)) stage.general.save();
      f.br(this.merges.get(to)!);
    } else {
      this.emitBlock(to);
    }
    this.block = block;
    stage.xmmState.path = path;
    stage.general.unsaved = unsaved;
  }

  /** Out of the region because the budget may end in it: the engine goes on. */
  private emitStop(offset: number): void {
    const { f, ctx, stage } = this;
    stage.leave();
    f.store('i32.store', ctx, stage.budget as Value, offsetOf('budget'));
    f.store('i64.store', ctx, stage.rip(offset), offsetOf('rip'));
    f.return(f.i32(Exit.STOP));
  }

  /** To another block, of which the exit has an entry of the jump cache for itself. */
  private emitExit(offset: number, samePage: boolean, truncate: boolean): void {
    const { stage } = this;
    stage.leave();
    if (truncate) stage.transfer.resume(stage.and(stage.rip(offset), 0xffff));
    else stage.transfer.exit(this.numbering.nextExit(), offset - this.plan.blocks[0].offset, samePage);
  }
}
