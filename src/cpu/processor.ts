/** One processor put together: context, memory, decoder, interpreter, system code, AMD-V. */

import type { Clock } from '../bus/clock.ts';
import type { Log } from '../bus/log.ts';
import type { EntropySource } from '../bus/streams.ts';
import { HELPERS, type HelperName } from '../isa/helpers.ts';
import { INSTRUCTION_TABLE } from '../isa/index.ts';
import { CONTEXT_SIZE, CS } from './context.ts';
import { Cpu, type LocalApic, type PortBus } from './cpu.ts';
import { BlockCache } from './decode/blocks.ts';
import { Engine, type SystemHelperFunction } from './engine.ts';
import { setFault } from './fault.ts';
import { buildHandlers, type HandlerImports, type Handlers } from './interpreter/handlers.ts';
import { REGION_HEAT, REGION_MISSES } from './interpreter/record.ts';
import { lightHelpers } from './light/index.ts';
import { x87 } from './light/x87-helper.ts';
import {
  type Arena,
  createProcessorMemory,
  type LinearAccess,
  PAGE_SIZE,
  type PhysicalSpace,
  PROCESSOR_MEMORY_OVERHEAD,
  type Translation,
} from './memory/index.ts';
import { computeMode, MODE_64, MODE_SIZE_MASK } from './mode.ts';
import type { CpuModel } from './model.ts';
import type { RegionCompiler } from './regions/background.ts';
import { REGION_POLICY, RegionManager, type RegionPolicy } from './regions/manager.ts';
import { RegionSites } from './regions/sites.ts';
import { Pending } from './state.ts';
import { enableSvm, svmHelpers } from './svm/index.ts';
import { exitGuest } from './svm/world-switch.ts';
import { systemHelpers } from './system/index.ts';
import { resetCpu } from './system/reset.ts';
import { checkSegment } from './system/segments.ts';

/** What bounds translated code. */
export interface CodeLimits extends RegionPolicy {
  /** Arena bytes for decoded code. */
  readonly codeBytes: number;
}
export const CODE_LIMITS: CodeLimits = { ...REGION_POLICY, codeBytes: 256 * 2 ** 20 };
/** Longest instruction, for decode assists. */
const MAX_INSTRUCTION = 15;

/** Which stages run guest code: the interpreter and regions of hot code, the former alone, or regions as soon as possible. */
export type EngineKind = 'auto' | 'interpreter' | 'regions';
/** What is different with an engine: for tests, every block is compiled when it is first met. */
const ENGINE_LIMITS: Readonly<Record<EngineKind, Partial<CodeLimits>>> = {
  auto: {},
  interpreter: {},
  regions: { heat: 1, batch: 1 },
};

/** Arena overhead of one processor. */
export function processorOverhead({ codeBytes, regions } = CODE_LIMITS): number {
  return (
    CONTEXT_SIZE +
    PROCESSOR_MEMORY_OVERHEAD +
    codeBytes +
    regions * (REGION_HEAT.size + REGION_MISSES.size) +
    4 * PAGE_SIZE
  );
}
export const PROCESSOR_OVERHEAD = processorOverhead();

export interface ProcessorOptions {
  readonly arena: Arena;
  readonly physical: PhysicalSpace;
  readonly model: CpuModel;
  readonly ports: PortBus;
  readonly clock: Clock;
  readonly entropy: EntropySource;
  readonly log: Log;
  readonly apicId: number;
  readonly engine?: EngineKind;
  /** Where they differ from the usual ones; for tests. */
  readonly limits?: Partial<CodeLimits>;
  /** Is shown each WebAssembly module made of guest code; for tests. */
  readonly inspectModule?: (module: Uint8Array) => void;
  /** Compiles guest code on another thread. Without it that is done in between. */
  readonly regionCompiler?: RegionCompiler;
  /** Milliseconds of any clock, for statistics of compile time. */
  readonly milliseconds?: () => number;
  shutdown(reason: string): void;
}

/** A processor that can run; its local APIC is connected by the board. */
export class Processor {
  readonly cpu: Cpu;
  readonly engine: Engine;
  readonly linear: LinearAccess;
  readonly blocks: BlockCache;
  readonly translation: Translation;
  readonly regions: RegionManager | undefined;
  private readonly sites = new RegionSites();

  constructor(options: ProcessorOptions) {
    const { arena, physical, model } = options;
    const limits = { ...CODE_LIMITS, ...ENGINE_LIMITS[options.engine ?? 'auto'], ...options.limits };
    const cpu = new Cpu(arena.buffer, arena.reserve(CONTEXT_SIZE, 64));
    this.cpu = cpu;
    const memory = createProcessorMemory({
      cpu,
      arena,
      physical,
      physicalAddressBits: model.physicalAddressBits,
      vendor: model.vendor,
      log: options.log,
      computeMode,
      codeTableFor: (page, mode) => this.blocks.tableFor(page, mode),
    });
    this.linear = memory.linear;
    this.translation = memory.translation;
    cpu.connect({
      linear: memory.linear,
      physical,
      translation: memory.translation,
      apic: undefined as unknown as LocalApic,
      ports: options.ports,
      clock: options.clock,
      entropy: options.entropy,
      log: options.log,
      model,
      shutdown: options.shutdown,
    });
    cpu.apicId = options.apicId;

    const functionTable = new WebAssembly.Table({ element: 'anyfunc', initial: 0 });
    const imports = this.imports();
    const long = buildHandlers(INSTRUCTION_TABLE, true, arena, functionTable, 0, imports);
    let legacy: { handlers: Handlers; base: number } | undefined;
    /** Most guests never leave 64-bit mode once they are in it. */
    const legacyHandlers = () => {
      legacy ??= {
        handlers: buildHandlers(INSTRUCTION_TABLE, false, arena, functionTable, long.nextIndex, imports).handlers,
        base: long.nextIndex,
      };
      return legacy;
    };
    this.blocks = new BlockCache({
      buffer: arena.buffer,
      area: { start: arena.reserve(limits.codeBytes, PAGE_SIZE), size: limits.codeBytes },
      regionHeat: arena.reserve(limits.regions * REGION_HEAT.size, PAGE_SIZE),
      table: INSTRUCTION_TABLE,
      features: model.features,
      long: long.handlers,
      legacy: () => legacyHandlers().handlers,
      longBase: 0,
      legacyBase: () => legacyHandlers().base,
      codePages: physical,
    });
    const regions =
      options.engine === 'interpreter'
        ? undefined
        : new RegionManager({
            blocks: this.blocks,
            buffer: arena.buffer,
            sites: this.sites,
            machine: {
              jumps: memory.translation.banks.jumps.address,
              context: cpu.base,
              shared: arena.shared,
              misses: arena.reserve(limits.regions * REGION_MISSES.size, PAGE_SIZE),
            },
            compiler: options.regionCompiler,
            inspect: options.inspectModule,
            imports: {
              memory: arena.memory,
              table: functionTable,
              imports,
              access: {
                ...long.handlers.regionImports,
                regionRaise: imports.regionRaise,
                regionAbandon: imports.regionAbandon,
              },
              handlers: (is64) => (is64 ? long.handlers : legacyHandlers().handlers),
            },
            policy: limits,
            milliseconds: options.milliseconds ?? (() => 0),
            followAll: options.engine === 'regions',
          });
    this.regions = regions;
    if (regions) this.blocks.heat = regions.firstHeat;
    memory.translation.banks.jumps.onWrap = () => this.blocks.clearLinks();
    this.blocks.onFlush = () => {
      memory.translation.banks.dropAllExecute();
      regions?.flushed();
    };
    physical.codeWritten = (page) => {
      memory.translation.banks.forgetJumps();
      this.blocks.invalidate(page);
    };
    this.engine = new Engine(cpu, {
      blocks: this.blocks,
      handlers: { long: long.handlers, legacy: () => legacyHandlers().handlers },
      fetch: memory.linear,
      regions,
      sites: this.sites,
      guestExit: (exiting) => {
        cpu.counters.exit(Number(exiting.exitCode));
        exitGuest(exiting, () => this.currentInstruction());
      },
    });
    if (model.features.has('svm')) enableSvm();
    resetCpu(cpu, 'power-on');
  }

  /** What emitted code calls. The engine exists by the time anything runs. */
  private imports(): HandlerImports {
    const { cpu, linear, sites } = this;
    const system = { ...systemHelpers, ...svmHelpers, x87 } as Record<string, SystemHelperFunction>;
    const light = lightHelpers as unknown as Record<string, (cpu: Cpu, ...args: number[]) => number>;
    const helpers = {} as Record<HelperName, (...args: number[]) => number>;
    for (const name of Object.keys(HELPERS) as HelperName[]) {
      if (HELPERS[name].kind === 'system') {
        const helper = system[name];
        helpers[name] = (a, b, c, d, e, f) => this.engine.callSystem(helper, a, b, c, d, e, f);
      } else {
        const helper = light[name];
        helpers[name] = (a, b, c, d, e, f) => helper(cpu, a, b, c, d, e, f);
      }
    }
    const readTimeStamp = helpers.timeStamp;
    helpers.timeStamp = () => this.engine.fromRegion(readTimeStamp);
    return {
      slowLoad: (lo, hi, info) => linear.slowLoad(lo, hi, info),
      slowStore: (lo, hi, info) => linear.slowStore(lo, hi, info),
      regionRaise: (site) => {
        setFault(cpu, sites.vector(site), sites.errorCode(site));
        cpu.site = site;
      },
      regionAbandon: (site, region) => {
        cpu.pending = Pending.INTERPRET;
        cpu.site = site;
        this.regions!.failed(region);
      },
      regionMisses: (misses) => this.regions!.missing(misses),
      checkSegment: (segment, lo, hi, bytesAndAccess) =>
        checkSegment(cpu, segment, lo, hi, bytesAndAccess & 0xff, bytesAndAccess >> 8),
      raise: (vector, errorCode, has) => setFault(cpu, vector, has ? errorCode : undefined),
      helpers,
    };
  }

  /** Bytes of the instruction at rip up to the end of its page, for decode assists. */
  private currentInstruction(): Uint8Array {
    const { cpu, linear } = this;
    const address = (cpu.mode & MODE_SIZE_MASK) === MODE_64 ? cpu.rip : (cpu.rip + cpu.segments[CS].base) & 0xffffffffn;
    const { exitCode, exitInfo1, exitInfo2, pending } = cpu;
    const host = linear.translateExecute(Number(address & 0xffffffffn) | 0, Number(address >> 32n) | 0);
    if (host === 0) {
      // not mapped any more: no bytes; the exit in progress stays as it was
      cpu.exitCode = exitCode;
      cpu.exitInfo1 = exitInfo1;
      cpu.exitInfo2 = exitInfo2;
      cpu.pending = pending;
      return new Uint8Array(0);
    }
    const length = Math.min(MAX_INSTRUCTION, PAGE_SIZE - (host & (PAGE_SIZE - 1)));
    return cpu.bytes.subarray(host, host + length);
  }
}
