/** Compiling regions on another thread: what both sides need, but for the thread itself. */
import { INSTRUCTION_TABLE } from '../../isa/index.ts';
import { describeHandlers, type Handlers } from '../interpreter/handlers.ts';
import type { CpuModel } from '../model.ts';
import { emitRegions, type RegionPlace } from './compiler.ts';
import { PlanMaker, type RegionRequest } from './request.ts';
import type { SiteTable } from './sites.ts';

/** Requests of one module, and where it is to be. */
export interface RegionBatch {
  readonly regions: readonly RegionRequest[];
  readonly place: RegionPlace;
}

/** What comes back. */
export interface CompiledBatch {
  readonly module: WebAssembly.Module;
  readonly sites: SiteTable;
  /** Bytes of WebAssembly. */
  readonly bytes: number;
}

/** A thread that compiles; batches come back in the order in which they were submitted. */
export interface RegionCompiler {
  submit(batch: RegionBatch): void;
  /**
   * The next batch that is done, if it is by now.
   * @throws Error if the thread has ended, or a batch could not be compiled
   */
  poll(): CompiledBatch | undefined;
}

/** The thread's side. */
export class BatchCompiler {
  private readonly plans: PlanMaker;
  private readonly compileModule: (bytes: Uint8Array<ArrayBuffer>) => WebAssembly.Module;

  constructor(features: CpuModel['features'], compileModule: (bytes: Uint8Array<ArrayBuffer>) => WebAssembly.Module) {
    this.compileModule = compileModule;
    const described: Pick<Handlers, 'find'>[] = [];
    const handlers = (long: boolean) => {
      described[long ? 1 : 0] ??= describeHandlers(INSTRUCTION_TABLE, long);
      return described[long ? 1 : 0];
    };
    this.plans = new PlanMaker(INSTRUCTION_TABLE, features, handlers);
    handlers(true);
  }

  compile({ regions, place }: RegionBatch): CompiledBatch {
    const plans = regions.map((request) => this.plans.plan(request));
    const { bytes, sites } = emitRegions(plans, place);
    return { module: this.compileModule(bytes), sites, bytes: bytes.length };
  }
}
