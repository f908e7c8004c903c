/** A virtual machine: processor, memory, board and clock, and the loop that runs them. */

import type { Log } from '../bus/log.ts';
import { EventQueue } from '../bus/scheduler.ts';
import type { BlockStore, ByteStream, EntropySource } from '../bus/streams.ts';
import { Arena, DmaMemory, PhysicalSpace } from '../cpu/memory/index.ts';
import type { CpuModel } from '../cpu/model.ts';
import { Processor, PROCESSOR_OVERHEAD } from '../cpu/processor.ts';
import { Activity } from '../cpu/state.ts';
import { wakeEventPending } from '../cpu/system/interrupts.ts';
import { resetCpu } from '../cpu/system/reset.ts';
import { buildAcpiTables } from './acpi/tables.ts';
import { placeAcpiTables } from './acpi/placement.ts';
import { Board } from './board.ts';
import type { BootPlan, KernelOptions } from './boot/boot-plan.ts';
import { planKernel } from './boot/load-kernel.ts';
import { BOARD_ADDRESS, boardMemoryMap, splitMemory } from './boot/memory-map.ts';
import { enterBootState } from './boot-state.ts';
import { HostClock, InstructionClock, NANOSECONDS_PER_INSTRUCTION } from './clocks.ts';

/** How a run ended. */
export type MachineExit =
  /** The guest powered the machine off (ACPI S5). */
  | { readonly kind: 'power-off' }
  /** The guest asked for a reset, or shut down by a triple fault, and `rebootOnReset` is off. */
  | { readonly kind: 'reset'; readonly reason: string }
  /** A write to the debug-exit port. */
  | { readonly kind: 'debug-exit'; readonly value: number }
  /** `stop` was called. */
  | { readonly kind: 'stopped' };

/** What the host provides. */
export interface HostServices {
  /** Nanoseconds of a monotonic clock. */
  now(): number;
  /** Resolves when pending input and output have had their turn. */
  breathe(): Promise<void>;
  /** Resolves after so many nanoseconds at the latest, or at the next input. */
  sleep(nanoseconds: number): Promise<void>;
}

export interface MachineOptions {
  readonly memoryBytes: number;
  readonly model: CpuModel;
  /** `virtual`: time is instructions retired; `real`: the host's. */
  readonly clock: 'virtual' | 'real';
  readonly serial: readonly ByteStream[];
  readonly disks?: readonly BlockStore[];
  readonly entropy: EntropySource;
  readonly log: Log;
  readonly host: HostServices;
  /** Unix seconds at power-on. */
  readonly epochSeconds: number;
  readonly rebootOnReset: boolean;
}

/** Most instructions between looks at the host, with either clock. */
const VIRTUAL_QUANTUM = 10_000_000;
const REAL_QUANTUM = 200_000;
/** Host time between turns for input and output, in nanoseconds. */
const BREATH_INTERVAL = 10_000_000;
/** Longest sleep of an idle machine. */
const LONGEST_SLEEP = 1_000_000_000;

export class Machine {
  readonly processor: Processor;
  readonly board: Board;
  readonly physical: PhysicalSpace;
  readonly queue: EventQueue;
  private readonly options: MachineOptions;
  private readonly clock: InstructionClock | HostClock;
  private bootPlan: BootPlan | undefined;
  private exit: MachineExit | undefined;
  private resetRequested: string | undefined;

  constructor(options: MachineOptions) {
    this.options = options;
    const { log, model, memoryBytes } = options;
    this.clock = options.clock === 'virtual' ? new InstructionClock(() => this.retired) : new HostClock(() => options.host.now());
    this.queue = new EventQueue(this.clock);
    const { low, high } = splitMemory(memoryBytes);
    const limit = high > 0 ? BOARD_ADDRESS.HIGH_MEMORY + high : low;
    const arena = new Arena({ ramBytes: memoryBytes, overheadBytes: PROCESSOR_OVERHEAD + PhysicalSpace.overheadBytes(limit) });
    this.physical = new PhysicalSpace(arena, {
      limit,
      log,
      mmio: {
        readMmio: (address, size) => this.board.space.readMmio(address, size),
        writeMmio: (address, size, value) => this.board.space.writeMmio(address, size, value),
      },
    });
    this.physical.addRam(0, low);
    if (high > 0) this.physical.addRam(BOARD_ADDRESS.HIGH_MEMORY, high);
    this.processor = new Processor({
      arena,
      physical: this.physical,
      model,
      ports: {
        readPort: (port, size) => this.board.space.readPort(port, size),
        writePort: (port, size, value) => this.board.space.writePort(port, size, value),
      },
      clock: this.clock,
      entropy: options.entropy,
      log,
      apicId: 0,
      shutdown: (reason) => this.requestReset(reason),
    });
    const { cpu, engine } = this.processor;
    this.board = new Board({
      time: this.queue,
      log,
      memory: new DmaMemory(this.physical),
      ramBytes: memoryBytes,
      serial: options.serial,
      disks: options.disks ?? [],
      entropy: options.entropy,
      epochSeconds: options.epochSeconds,
      tsc: () => cpu.hostTsc(),
      tscFrequency: model.tscFrequency,
      physicalAddressBits: model.physicalAddressBits,
      events: {
        powerOff: () => this.end({ kind: 'power-off' }),
        reset: () => this.requestReset('reset by the guest'),
        debugExit: (value) => this.end({ kind: 'debug-exit', value }),
        interruptChanged: () => this.wake(),
        initialize: () => this.requestReset('INIT'),
        startUp() {},
      },
    });
    cpu.apic = this.localApic();
    this.queue.onEarlierDeadline = () => engine.kick();
  }

  private localApic() {
    const { board } = this;
    const { lapic } = board;
    return {
      pending: () => board.pendingVector(),
      acknowledge: () => lapic.acknowledge(),
      externalPending: () => board.externalPending(),
      acknowledgeExternal: () => lapic.acknowledge(),
      get nmiPending() {
        return board.nmiPending;
      },
      set nmiPending(value: boolean) {
        board.nmiPending = value;
      },
      readMsr: (index: number) => lapic.readMsr(index),
      writeMsr: (index: number, value: bigint) => lapic.writeMsr(index, value),
      get cr8() {
        return lapic.cr8;
      },
      set cr8(value: number) {
        lapic.cr8 = value;
      },
      get apicBase() {
        return lapic.readMsr(APIC_BASE_MSR) ?? 0n;
      },
      set apicBase(value: bigint) {
        lapic.writeMsr(APIC_BASE_MSR, value);
      },
    };
  }

  /** Instructions retired since power-on. */
  get retired(): number {
    return this.processor.engine.retired;
  }

  /** Guest time in nanoseconds since power-on. */
  get time(): number {
    return this.clock.now();
  }

  /**
   * Puts a kernel into memory and the processor at its entry.
   * @throws BootError for an image that cannot be booted
   */
  loadKernel(kernel: Uint8Array, options: Omit<KernelOptions, 'memoryMap' | 'rsdpAddress'>): void {
    const { low } = splitMemory(this.options.memoryBytes);
    const tables = buildAcpiTables({
      processors: 1,
      lowMemoryEnd: Math.max(low, BOARD_ADDRESS.PCI_WINDOW),
      serialPorts: this.options.serial.map((_, i) => i),
      keyboardController: true,
      fwCfg: true,
      vga: false,
    });
    const base = BOARD_ADDRESS.FIRMWARE_TABLES;
    const acpi = placeAcpiTables(tables, base, BOARD_ADDRESS.EXTENDED_MEMORY - base);
    const plan = planKernel(kernel, { ...options, memoryMap: boardMemoryMap(this.options.memoryBytes), rsdpAddress: acpi.rsdpAddress });
    this.bootPlan = { writes: [...acpi.writes, ...plan.writes], cpu: plan.cpu };
    this.boot();
  }

  private boot(): void {
    if (!this.bootPlan) return;
    for (const { address, bytes } of this.bootPlan.writes) this.physical.copyIn(address, bytes);
    enterBootState(this.processor.cpu, this.bootPlan.cpu);
  }

  private end(exit: MachineExit): void {
    this.exit ??= exit;
    this.processor.engine.kick();
  }

  private requestReset(reason: string): void {
    this.resetRequested ??= reason;
    this.processor.engine.kick();
  }

  private wake(): void {
    if (this.board.lapic.pending() >= 0 || this.board.nmiPending) this.processor.engine.kick();
  }

  /** Ends `run` soon, with exit kind `stopped`. */
  stop(): void {
    this.end({ kind: 'stopped' });
  }

  private reset(): void {
    const { low, high } = splitMemory(this.options.memoryBytes);
    this.physical.discard(0, low);
    if (high > 0) this.physical.discard(BOARD_ADDRESS.HIGH_MEMORY, high);
    resetCpu(this.processor.cpu, 'power-on');
    this.board.reset();
    this.boot();
  }

  /** Runs until the guest or the user ends it. */
  async run(): Promise<MachineExit> {
    const { host } = this.options;
    const virtual = this.options.clock === 'virtual';
    let breath = host.now();
    let quantumEnd = this.retired + VIRTUAL_QUANTUM;
    this.exit = undefined;
    for (;;) {
      if (this.exit) return this.exit;
      if (this.resetRequested !== undefined) {
        const reason = this.resetRequested;
        this.resetRequested = undefined;
        this.options.log.write('boot', `reset: ${reason}`);
        if (!this.options.rebootOnReset) return { kind: 'reset', reason };
        this.reset();
      }
      this.queue.runDue();
      const idle = this.runOnce(virtual, quantumEnd);
      if (virtual ? this.retired >= quantumEnd : host.now() - breath >= BREATH_INTERVAL) {
        await host.breathe();
        breath = host.now();
        quantumEnd = this.retired + VIRTUAL_QUANTUM;
      }
      if (idle) await this.idleUntilEvent();
    }
  }

  /** Runs the processor to the next deadline or quantum; true if it has nothing to do. */
  private runOnce(virtual: boolean, quantumEnd: number): boolean {
    const { cpu, engine } = this.processor;
    if (cpu.activity !== Activity.RUNNING && !wakeEventPending(cpu)) return this.exit === undefined && this.resetRequested === undefined;
    let instructions = REAL_QUANTUM;
    if (virtual) {
      const untilDeadline = Math.ceil((this.queue.nextDeadline() - this.clock.now()) / NANOSECONDS_PER_INSTRUCTION);
      instructions = Math.max(1, Math.min(untilDeadline, quantumEnd - this.retired));
    }
    engine.run(instructions);
    return false;
  }

  private async idleUntilEvent(): Promise<void> {
    const { clock } = this;
    const wait = this.queue.nextDeadline() - clock.now();
    if (clock instanceof InstructionClock && Number.isFinite(wait)) {
      clock.skip(wait);
      return;
    }
    if (wait > 0) await this.options.host.sleep(Math.min(wait, LONGEST_SLEEP));
    if (clock instanceof HostClock) clock.resume();
  }
}

/** IA32_APIC_BASE. */
const APIC_BASE_MSR = 0x1b;
