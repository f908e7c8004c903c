/** Turns hot blocks into regions: discovers their graphs and writes one module for a batch of them. */

import { HELPERS, type HelperName, type LightHelper } from '../../isa/helpers.ts';
import { type FunctionBuilder, type FunctionRef, type Label, type Local, ModuleBuilder } from '../../wasm/index.ts';
import { offsetOf } from '../context.ts';
import type { HandlerImports } from '../interpreter/handlers.ts';
import { emitHeat } from '../interpreter/heat.ts';
import { Exit, RECORD } from '../interpreter/record.ts';
import { HELPER_ARGUMENTS } from '../interpreter/stage.ts';
import type { RegionBlock } from './graph.ts';
import type { RegionSites } from './sites.ts';
import { type RegionModule, RegionStage } from './stage.ts';

/** A region to be written. */
export interface RegionPlan {
  readonly name: string;
  readonly long: boolean;
  /** In reverse postorder, entry first. */
  readonly blocks: readonly RegionBlock[];
}

export interface CompilerEnvironment {
  readonly memory: WebAssembly.Memory;
  readonly table: WebAssembly.Table;
  readonly imports: HandlerImports;
  /** `branchTo` of the interpreter's module for each mode class. */
  branchTo(long: boolean): unknown;
  /** `regionRead`, `regionWrite` and `regionRaise`, see RegionModule. */
  readonly access: WebAssembly.ModuleImports;
  readonly sites: RegionSites;
  /** Arena address of a record with delta 0 and remaining 0, for exits with the state committed. */
  readonly committedRecord: number;
  /** Arena address of a fresh record with a link field, for an exit. */
  exitRecord(): number;
}

const PAGE_SIZE = 4096;

/** Compiles a batch into one module and puts its functions into the table from `firstIndex` on. Returns the module's size in bytes. */
export function compileRegions(
  plans: readonly RegionPlan[],
  firstIndex: number,
  environment: CompilerEnvironment,
): number {
  const m = new ModuleBuilder({ names: true });
  m.importMemory('env', 'memory', { initial: 1 });
  const table = m.importTable('env', 'table', { initial: 0 });
  const regionRead = m.importFunction('env', 'regionRead', ['i64', 'i32'], ['i32']);
  const regionWrite = m.importFunction('env', 'regionWrite', ['i64', 'i32'], ['i32']);
  const regionRaise = m.importFunction('env', 'regionRaise', ['i32'], []);
  const checkSegment = m.importFunction('env', 'checkSegment', ['i32', 'i32', 'i32', 'i32'], ['i32']);
  const branchTo = [false, true].map((long) =>
    m.importFunction('env', long ? 'branchToLong' : 'branchToLegacy', ['i32', 'i32', 'i32', 'i64'], ['i32']),
  );
  const helpers = {} as Record<LightHelper, FunctionRef>;
  const parameters = Array.from({ length: HELPER_ARGUMENTS }, () => 'i32' as const);
  for (const name of Object.keys(HELPERS) as HelperName[]) {
    if (HELPERS[name].kind === 'light')
      helpers[name as LightHelper] = m.importFunction('helpers', name, parameters, ['i32']);
  }
  const signature = m.signature(['i32', 'i32'], ['i32']);
  const functions = plans.map((plan) => {
    const module: RegionModule = {
      signature,
      table,
      regionRead,
      regionWrite,
      regionRaise,
      checkSegment,
      helpers,
      branchTo: branchTo[plan.long ? 1 : 0],
    };
    return m.function(plan.name, ['i32', 'i32'], ['i32'], (f) =>
      new RegionWriter(f, plan, module, environment).write(),
    );
  });
  m.element(firstIndex, functions, table);
  const bytes = m.build();
  const { memory, imports } = environment;
  new WebAssembly.Instance(new WebAssembly.Module(bytes), {
    env: {
      memory,
      table: environment.table,
      ...environment.access,
      checkSegment: imports.checkSegment,
      branchToLong: environment.branchTo(true),
      branchToLegacy: plans.some((plan) => !plan.long) ? environment.branchTo(false) : environment.branchTo(true),
    },
    helpers: imports.helpers as unknown as WebAssembly.ModuleImports,
  });
  return bytes.length;
}

/**
 * Writes one region with structured control flow: loops as loops, merges as the ends of blocks, everything else nested
 * where control comes from (Ramsey, "Beyond Relooper", 2022).
 */
class RegionWriter {
  private readonly f: FunctionBuilder;
  private readonly plan: RegionPlan;
  private readonly module: RegionModule;
  private readonly environment: CompilerEnvironment;
  private readonly stage: RegionStage;
  private readonly loops = new Map<RegionBlock, Label>();
  private readonly merges = new Map<RegionBlock, Label>();
  private block!: RegionBlock;

  constructor(f: FunctionBuilder, plan: RegionPlan, module: RegionModule, environment: CompilerEnvironment) {
    this.f = f;
    this.plan = plan;
    this.module = module;
    this.environment = environment;
    this.emitAdmission();
    let loaded = 0;
    let stored = 0;
    for (const { instructions } of plan.blocks) {
      for (const { read, written } of instructions) {
        loaded |= read | written;
        stored |= written;
      }
    }
    this.stage = new RegionStage(f, {
      module,
      long: plan.long,
      entry: plan.blocks[0].offset,
      loaded,
      stored,
      sites: environment.sites,
      dirty: () => this.block.dirty,
      goTo: (edge) => this.goTo(edge),
    });
  }

  /**
   * The caller has paid for the entry block as the interpreter has it: that is given back. If the budget may end inside the
   * region, the interpreter runs the block instead.
   */
  private emitAdmission(): void {
    const { f } = this;
    const { op } = f;
    const ctx = f.param<'i32'>(0);
    const record = f.param<'i32'>(1);
    const paid = f.load('i32.load', ctx, offsetOf('budget'));
    const budget = f.let(op['i32.add'](paid, f.load('i32.load8_u', record, RECORD.remaining)));
    f.if(op['i32.lt_s'](budget, f.i32(this.plan.blocks[0].longestPath)), () =>
      f.returnCallIndirect(
        this.module.signature,
        f.load('i32.load', record, RECORD.interpreted),
        [ctx, record],
        this.module.table,
      ),
    );
    f.store('i32.store', ctx, budget, offsetOf('budget'));
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
    this.stage.flagsState.join();
    f.loop((label) => {
      this.loops.set(block, label);
      this.emitWithin(block);
    });
  }

  /** The block, and behind it the merges it dominates, latest last. */
  private emitWithin(block: RegionBlock): void {
    const merges = block.dominated.filter((child) => child.forwardEdges > 1).sort((a, b) => a.order - b.order);
    const nest = (n: number): void => {
      if (n < 0) {
        this.emitBody(block);
        return;
      }
      this.f.block((label) => {
        this.merges.set(merges[n], label);
        nest(n - 1);
      });
      this.stage.flagsState.forget();
      this.emitBlock(merges[n]);
    };
    nest(merges.length - 1);
  }

  private emitBody(block: RegionBlock): void {
    const { stage } = this;
    this.block = block;
    const count = block.instructions.length;
    if (count > 0) stage.budget.set(this.f.op['i32.sub'](stage.budget, this.f.i32(count)));
    block.instructions.forEach((instruction, i) => {
      this.block = block;
      stage.begin(instruction, count - i);
      this.f.scope(() => instruction.form.encoding.instruction.execute(stage));
    });
    const last = block.instructions[count - 1];
    if (!last || (last.target === undefined && !last.ends)) this.goTo('next');
  }

  /** Continues along an edge of the current block; nothing may be emitted behind it on this path. */
  private goTo(kind: 'taken' | 'next'): void {
    const { f, stage, block } = this;
    const edge = kind === 'taken' ? block.taken! : block.next!;
    const to = edge.block;
    if (!to) {
      const last = block.instructions[block.instructions.length - 1];
      this.emitExit(edge.offset, kind === 'taken' && last.truncates);
    } else if (to.order <= block.order) {
      // back to a loop's header, as long as the budget lasts for another round
      stage.flagsState.join();
      f.if(f.op['i32.lt_s'](stage.budget, f.i32(to.longestPath)), () => this.emitStop(to.offset));
      f.br(this.loops.get(to)!);
    } else if (to.forwardEdges > 1) {
      stage.flagsState.join();
      f.br(this.merges.get(to)!);
    } else {
      this.emitBlock(to);
    }
    this.block = block;
  }

  /** Out of the region because the budget may end in it: the engine goes on. */
  private emitStop(offset: number): void {
    const { f, stage } = this;
    const ctx = f.param<'i32'>(0);
    stage.storeState(this.block.dirty);
    f.store('i64.store', ctx, stage.rip(offset), offsetOf('rip'));
    f.store('i32.store', ctx, stage.budget, offsetOf('budget'));
    f.return(f.i32(Exit.STOP));
  }

  /** To another block: through the exit's link if it is known, else by looking it up. */
  private emitExit(offset: number, truncate: boolean): void {
    const { f, stage } = this;
    const { op } = f;
    const ctx = f.param<'i32'>(0);
    const rip = stage.rip(offset);
    const to = f.let(truncate ? stage.and(rip, 0xffff) : rip) as Local<'i64'>;
    if (offset < 0 || offset >= PAGE_SIZE) {
      // no link holds across pages
      stage.continueAt(to);
      return;
    }
    const record = this.environment.exitRecord();
    stage.storeState(this.block.dirty);
    const next = f.let(f.load('i32.load', f.i32(record), RECORD.link));
    f.if(next, () => {
      f.store('i64.store', ctx, to, offsetOf('rip'));
      const left = f.let(op['i32.sub'](stage.budget, f.load('i32.load8_u', next, RECORD.remaining)));
      f.store('i32.store', ctx, stage.budget, offsetOf('budget'));
      f.if(op['i32.lt_s'](left, f.i32(0)), () => f.return(f.i32(Exit.STOP)));
      emitHeat(f, next);
      f.store('i32.store', ctx, left, offsetOf('budget'));
      f.returnCallIndirect(
        this.module.signature,
        f.load('i32.load', next, RECORD.handler),
        [ctx, next],
        this.module.table,
      );
    });
    stage.leaveCommitted();
    f.returnCall(this.module.branchTo, [ctx, f.i32(record), f.i32(RECORD.link), to]);
  }
}
