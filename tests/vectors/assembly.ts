/**
 * The processor that vectors are replayed on, put together without a board: memory, decoder, interpreter, system code,
 * and nothing on the buses.
 */
import { SILENT } from '../../src/bus/log.ts';
import { CONTEXT_SIZE } from '../../src/cpu/context.ts';
import { Cpu, type LocalApic, type PortBus } from '../../src/cpu/cpu.ts';
import { BlockCache } from '../../src/cpu/decode/blocks.ts';
import { Engine } from '../../src/cpu/engine.ts';
import { fault, setFault } from '../../src/cpu/fault.ts';
import { buildHandlers, type HandlerImports, type Handlers } from '../../src/cpu/interpreter/handlers.ts';
import { lightHelpers } from '../../src/cpu/light/index.ts';
import {
  Arena,
  createProcessorMemory,
  type MmioBus,
  PAGE_SIZE,
  PhysicalSpace,
  PROCESSOR_MEMORY_OVERHEAD,
} from '../../src/cpu/memory/index.ts';
import { computeMode } from '../../src/cpu/mode.ts';
import { cpuModel } from '../../src/cpu/model.ts';
import * as farTransfers from '../../src/cpu/system/far-transfers.ts';
import * as interruptInstructions from '../../src/cpu/system/interrupt-instructions.ts';
import * as returns from '../../src/cpu/system/returns.ts';
import { checkSegment } from '../../src/cpu/system/segments.ts';
import * as string from '../../src/cpu/system/string.ts';
import { type HelperName, HELPERS } from '../../src/isa/helpers.ts';
import { INSTRUCTION_TABLE } from '../../src/isa/index.ts';
import type { Feature } from '../../src/isa/instruction.ts';
import { Vector } from '../../src/isa/stage.ts';

const CODE_BYTES = 8 * 2 ** 20;

export interface TestProcessor {
  readonly cpu: Cpu;
  readonly engine: Engine;
  readonly physical: PhysicalSpace;
  readonly arena: Arena;
}

const NO_INTERRUPTS: LocalApic = {
  pending: () => -1,
  acknowledge: () => 0,
  externalPending: () => false,
  acknowledgeExternal: () => 0,
  nmiPending: false,
  readMsr: () => undefined,
  writeMsr: () => false,
  cr8: 0,
  apicBase: 0n,
};
const NO_PORTS: PortBus = { readPort: () => 0xffff_ffff, writePort() {} };
const NO_DEVICES: MmioBus = { readMmio: () => 0xffff_ffff, writeMmio() {} };

/** Instructions beyond those of the processor model that vectors may contain. */
const FURTHER_FEATURES: readonly Feature[] = ['movbe', 'clwb'];

const SYSTEM = { ...interruptInstructions, ...returns, ...farTransfers, ...string } as unknown as Record<
  string,
  ((cpu: Cpu, ...args: number[]) => void) | undefined
>;
const LIGHT = lightHelpers as unknown as Record<string, ((cpu: Cpu, ...args: number[]) => number) | undefined>;

/** A processor with `ramBytes` of memory at address 0. */
export function testProcessor(ramBytes: number): TestProcessor {
  const arena = new Arena({
    ramBytes,
    overheadBytes:
      CONTEXT_SIZE + PROCESSOR_MEMORY_OVERHEAD + PhysicalSpace.overheadBytes(ramBytes) + CODE_BYTES + 4 * PAGE_SIZE,
  });
  const cpu = new Cpu(arena.buffer, arena.reserve(CONTEXT_SIZE, 64));
  const physical = new PhysicalSpace(arena, { limit: ramBytes, mmio: NO_DEVICES, log: SILENT });
  physical.addRam(0, ramBytes);
  const model = cpuModel('amd');
  const { translation, linear } = createProcessorMemory({
    cpu,
    arena,
    physical,
    physicalAddressBits: model.physicalAddressBits,
    log: SILENT,
    computeMode,
    codeTableFor: (page, mode) => blocks.tableFor(page, mode),
  });
  cpu.connect({
    linear,
    physical,
    translation,
    apic: NO_INTERRUPTS,
    ports: NO_PORTS,
    clock: { now: () => 0 },
    entropy: { fill() {} },
    log: SILENT,
    model,
    shutdown() {},
  });

  const helpers = {} as Record<HelperName, (...args: number[]) => number>;
  for (const name of Object.keys(HELPERS) as HelperName[]) {
    if (HELPERS[name].kind === 'system') {
      const helper =
        SYSTEM[name] ??
        (() => {
          throw fault(cpu, Vector.UD);
        });
      let wrapped: ((...args: number[]) => number) | undefined;
      helpers[name] = (...args) => {
        wrapped ??= engine.systemHelper(helper);
        return wrapped(...args);
      };
    } else {
      const helper = LIGHT[name];
      helpers[name] = (a, b, c, d, e, f) => {
        if (helper) return helper(cpu, a, b, c, d, e, f);
        setFault(cpu, Vector.UD);
        return 1;
      };
    }
  }
  const imports: HandlerImports = {
    slowLoad: (lo, hi, info) => linear.slowLoad(lo, hi, info),
    slowStore: (lo, hi, info) => linear.slowStore(lo, hi, info),
    checkSegment: (segment, lo, hi, bytesAndAccess) =>
      checkSegment(cpu, segment, lo, hi, bytesAndAccess & 0xff, bytesAndAccess >> 8),
    raise: (vector, errorCode, has) => setFault(cpu, vector, has ? errorCode : undefined),
    helpers,
  };
  const functionTable = new WebAssembly.Table({ element: 'anyfunc', initial: 0 });
  const long = buildHandlers(INSTRUCTION_TABLE, true, arena.memory, functionTable, 0, imports);
  const legacyBase = long.nextIndex;
  const legacy: Handlers = buildHandlers(
    INSTRUCTION_TABLE,
    false,
    arena.memory,
    functionTable,
    legacyBase,
    imports,
  ).handlers;
  const blocks = new BlockCache({
    buffer: arena.buffer,
    area: { start: arena.reserve(CODE_BYTES, PAGE_SIZE), size: CODE_BYTES },
    table: INSTRUCTION_TABLE,
    features: new Set([...model.features, ...FURTHER_FEATURES]),
    long: long.handlers,
    legacy: () => legacy,
    longBase: 0,
    legacyBase: () => legacyBase,
    codePages: physical,
  });
  blocks.onFlush = () => translation.flushAll();
  physical.codeWritten = (page) => blocks.invalidate(page);
  const engine = new Engine(cpu, {
    blocks,
    handlers: { long: long.handlers, legacy: () => legacy },
    fetch: linear,
    guestExit() {},
  });
  return { cpu, engine, physical, arena };
}
