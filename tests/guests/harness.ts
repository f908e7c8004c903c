/** The whole processor with a little memory and no devices but a text port: runs a memory image and shows what came of it. */
import type { LogTopic } from '../../src/bus/log.ts';
import type { AccessSize } from '../../src/bus/ports.ts';
import type { LocalApic } from '../../src/cpu/cpu.ts';
import { Arena, DmaMemory, PhysicalSpace } from '../../src/cpu/memory/index.ts';
import { cpuModel } from '../../src/cpu/model.ts';
import { type CodeLimits, type EngineKind, PROCESSOR_OVERHEAD, Processor } from '../../src/cpu/processor.ts';
import { Activity } from '../../src/cpu/state.ts';
import { noteInterrupts } from '../../src/cpu/system/interrupts.ts';
import { resetCpu } from '../../src/cpu/system/reset.ts';

const MiB = 2 ** 20;
export const RAM_BYTES = 4 * MiB;
/** Characters written here are collected, as Bochs and QEMU do. */
const TEXT_PORT = 0xe9;
const ALL_ONES: Readonly<Record<AccessSize, number>> = { 1: 0xff, 2: 0xffff, 4: 0xffff_ffff };

/** What waits at a {@link ScriptedApic}. */
const NOTHING_WAITS = { vector: -1, external: -1, nmiPending: false, smiPending: false };

/** A local APIC reduced to what the processor asks of it: one vector, one ExtINT, one NMI. */
class ScriptedApic implements LocalApic {
  private readonly waits = { ...NOTHING_WAITS };
  private readonly changed: () => void;
  cr8 = 0;
  constructor(changed: () => void) {
    this.changed = changed;
  }
  private set(what: Partial<typeof NOTHING_WAITS>): void {
    Object.assign(this.waits, what);
    this.changed();
  }
  get waiting(): boolean {
    return Object.entries(NOTHING_WAITS).some(([name, value]) => this.waits[name as 'vector'] !== value);
  }
  /** Vector waiting, or -1. */
  get vector(): number {
    return this.waits.vector;
  }
  set vector(vector: number) {
    this.set({ vector });
  }
  get external(): number {
    return this.waits.external;
  }
  set external(external: number) {
    this.set({ external });
  }
  get nmiPending(): boolean {
    return this.waits.nmiPending;
  }
  set nmiPending(nmiPending: boolean) {
    this.set({ nmiPending });
  }
  get smiPending(): boolean {
    return this.waits.smiPending;
  }
  set smiPending(smiPending: boolean) {
    this.set({ smiPending });
  }
  apicBase = 0xfee0_0900n;
  pending(): number {
    return this.vector >> 4 > this.cr8 ? this.vector : -1;
  }
  acknowledge(): number {
    const { vector } = this;
    this.vector = -1;
    return vector;
  }
  externalPending(): boolean {
    return this.external >= 0;
  }
  acknowledgeExternal(): number {
    const vector = this.external;
    this.external = -1;
    return vector;
  }
  readMsr(index: number): bigint | undefined {
    return index === 0x1b ? this.apicBase : undefined;
  }
  writeMsr(): boolean {
    return false;
  }
}

export interface PortWrite {
  readonly port: number;
  readonly size: AccessSize;
  readonly value: number;
}

/** How a run ended. */
export type RunEnd = 'halted' | 'shutdown' | 'limit';

export class Bench {
  readonly processor: Processor;
  readonly memory: DmaMemory;
  readonly apic = new ScriptedApic(() => noteInterrupts(this.cpu));
  /** Characters sent to the text port. */
  output = '';
  /** Other port writes. */
  writes: PortWrite[] = [];
  /** What IN reads from a port; all ones otherwise. */
  readonly inputs = new Map<number, number>();
  log: string[] = [];
  shutdowns: string[] = [];
  private readonly physical: PhysicalSpace;

  constructor(engine: EngineKind, exposeVirtualization: boolean, limits: Partial<CodeLimits> = {}) {
    const limit = RAM_BYTES;
    const arena = new Arena({
      ramBytes: RAM_BYTES,
      overheadBytes: PROCESSOR_OVERHEAD + PhysicalSpace.overheadBytes(limit),
      // as the command line has it; the vectors' machine has memory of its own
      shared: true,
    });
    const log = {
      enabled: (topic: LogTopic) => topic === 'svm' || topic === 'unimplemented',
      write: (topic: LogTopic, message: string) => void this.log.push(`${topic}: ${message}`),
    };
    this.physical = new PhysicalSpace(arena, {
      limit,
      log,
      mmio: { readMmio: (_address, size) => ALL_ONES[size], writeMmio() {} },
    });
    this.physical.addRam(0, RAM_BYTES);
    this.memory = new DmaMemory(this.physical);
    this.processor = new Processor({
      arena,
      physical: this.physical,
      model: cpuModel('amd', { exposeVirtualization }),
      ports: {
        readPort: (port, size) => this.inputs.get(port) ?? ALL_ONES[size],
        writePort: (port, size, value) => {
          if (port === TEXT_PORT) this.output += String.fromCharCode(value & 0xff);
          else this.writes.push({ port, size, value });
        },
      },
      clock: { now: () => this.processor?.engine?.retired ?? 0 },
      entropy: { fill: (target) => void target.fill(0x5a) },
      log,
      apicId: 0,
      engine,
      limits,
      shutdown: (reason) => void this.shutdowns.push(reason),
    });
    this.processor.cpu.apic = this.apic;
  }

  get cpu() {
    return this.processor.cpu;
  }

  /** As after power-on, with memory all zero. */
  reset(): void {
    resetCpu(this.cpu, 'power-on');
    this.physical.discard(0, RAM_BYTES);
    Object.assign(this.apic, { vector: -1, external: -1, nmiPending: false, cr8: 0, apicBase: 0xfee0_0900n });
    this.inputs.clear();
    this.output = '';
    this.writes = [];
    this.log = [];
    this.shutdowns = [];
  }

  /** Runs until the processor halts or shuts down, at most `limit` instructions. */
  run(limit = 10_000): RunEnd {
    const { cpu } = this;
    const { engine } = this.processor;
    const end = engine.retired + limit;
    while (engine.retired < end) {
      const before = engine.retired;
      engine.run(end - before);
      if (cpu.activity === Activity.HALTED) return 'halted';
      if (cpu.activity === Activity.SHUTDOWN) return 'shutdown';
    }
    return 'limit';
  }

  /** Runs exactly so many instructions. */
  step(instructions = 1): void {
    this.processor.engine.run(instructions);
  }
}

/** `GUEST_ENGINE` runs all guests in one stage: `interpreter`, or `regions` with everything compiled at once. */
let engine = (process.env.GUEST_ENGINE ?? 'auto') as EngineKind;
let exposeVirtualization = true;
let bench: Bench | undefined;

/** Whether the next processors have AMD-V; they have unless told otherwise. */
export function useVirtualization(exposed: boolean): void {
  exposeVirtualization = exposed;
  bench = undefined;
}

/** Chooses the stage for the guests of a test file, unless `GUEST_ENGINE` does. */
export function useEngine(kind: EngineKind): void {
  if (process.env.GUEST_ENGINE === undefined) engine = kind;
}

/** Gives the next processors little room for translated code, and makes the stage what a test says in any case. */
export function useLimits(kind: EngineKind, limits: Partial<CodeLimits>): void {
  bench = new Bench(kind, exposeVirtualization, limits);
}

/** The one processor of this test process, as after power-on: building one takes longer than a test. */
export function freshBench(): Bench {
  bench ??= new Bench(engine, exposeVirtualization);
  bench.reset();
  return bench;
}
