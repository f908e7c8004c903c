/** A virtual machine: processor, memory, board and clock, and the loop that runs them. */

import type { Log } from '../bus/log.ts';
import { EventQueue } from '../bus/scheduler.ts';
import type { BlockStore, ByteStream, EntropySource } from '../bus/streams.ts';
import { Arena, DmaMemory, PhysicalSpace } from '../cpu/memory/index.ts';
import type { CpuModel } from '../cpu/model.ts';
import { type EngineKind, PROCESSOR_OVERHEAD, Processor } from '../cpu/processor.ts';
import type { RegionCompiler } from '../cpu/regions/background.ts';
import { Activity } from '../cpu/state.ts';
import { interruptsEnabled, noteInterrupts, wakeEventPending } from '../cpu/system/interrupts.ts';
import { resetCpu } from '../cpu/system/reset.ts';
import { placeAcpiTables } from './acpi/placement.ts';
import { buildAcpiTables } from './acpi/tables.ts';
import { Board } from './board.ts';
import type { BootPlan, KernelOptions } from './boot/boot-plan.ts';
import { planKernel } from './boot/load-kernel.ts';
import { BOARD_ADDRESS, boardMemoryMap, splitMemory } from './boot/memory-map.ts';
import { enterBootState } from './boot-state.ts';
import { HostClock, InstructionClock, NANOSECONDS_PER_INSTRUCTION } from './clocks.ts';
import { processorApic } from './processor-apic.ts';
import type { Profile } from './profile.ts';
import { hashMachineState } from './state-hash.ts';

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
  /** Whether other threads may be given the arena's memory, for a MemoryPreparer; a browser may have none to share. */
  readonly sharedMemory?: boolean;
  readonly model: CpuModel;
  /** `virtual`: time is instructions retired; `real`: the host's. */
  readonly clock: 'virtual' | 'real';
  readonly serial: readonly ByteStream[];
  readonly disks?: readonly BlockStore[];
  readonly virtioConsole?: ByteStream;
  readonly entropy: EntropySource;
  readonly log: Log;
  readonly host: HostServices;
  /** Unix seconds at power-on. */
  readonly epochSeconds: number;
  readonly rebootOnReset: boolean;
  readonly engine?: EngineKind;
  /** Compiles guest code on another thread. */
  readonly regionCompiler?: RegionCompiler;
  /** Whether the board has the registers that processor tests use (QEMU's pc-testdev). */
  readonly testDevice?: boolean;
  /** Collects samples of where the guest executes. */
  readonly profile?: Profile;
}

/**
 * With the virtual clock the host has its turn after so many instructions, or so many skipped waits: a measure that only the
 * guest's own doing decides, so that runs with the same input are the same.
 */
const INSTRUCTIONS_PER_TURN = 2_000_000;
const SKIPS_PER_TURN = 1000;
/** With the real clock the host has its turn after so much of its time, in nanoseconds. */
const TIME_PER_TURN = 10_000_000;
/** Longest time the processor runs on between looks at the clock, in nanoseconds; and the same in instructions. */
const LONGEST_SLICE = 1_000_000;
const SLICE_INSTRUCTIONS = { least: 1_000, most: 5_000_000 } as const;
/** Instructions per nanosecond until it has been measured, and the weight of a new measurement. */
const FIRST_SPEED_GUESS = 0.02;
const SPEED_WEIGHT = 0.25;
/** Shorter waits are not slept through: host timers are too coarse. In nanoseconds, as the longest sleep is. */
const SHORTEST_SLEEP = 200_000;
const LONGEST_SLEEP = 1_000_000_000;
/** Seed for the kernel's random numbers. */
const SEED_BYTES = 32;

export class Machine {
  readonly processor: Processor;
  readonly board: Board;
  /** Everything in memory that the guest or emitted code can reach. */
  readonly arena: Arena;
  readonly physical: PhysicalSpace;
  readonly queue: EventQueue;
  private readonly options: MachineOptions;
  private readonly clock: InstructionClock | HostClock;
  private planBoot: (() => BootPlan) | undefined;
  private exit: MachineExit | undefined;
  private resetRequested: string | undefined;
  /** Host time spent executing instructions, in nanoseconds. */
  private busyTime = 0;
  /** Instructions per nanosecond, lately. */
  private speed = FIRST_SPEED_GUESS;
  /** When the host's next turn comes: by count, or by host time. */
  private turn = { retired: 0, skips: 0, time: 0 };
  /** Whether the log has been told that the processor cannot wake up. */
  private haltReported = false;

  constructor(options: MachineOptions) {
    this.options = options;
    const { log, model, memoryBytes } = options;
    const retired = () => this.retired;
    this.clock =
      options.clock === 'virtual' ? new InstructionClock(retired) : new HostClock(() => options.host.now(), retired);
    this.queue = new EventQueue(this.clock);
    const { low, high } = splitMemory(memoryBytes);
    const limit = high > 0 ? BOARD_ADDRESS.HIGH_MEMORY + high : low;
    this.arena = new Arena({
      ramBytes: memoryBytes,
      overheadBytes: PROCESSOR_OVERHEAD + PhysicalSpace.overheadBytes(limit),
      shared: options.sharedMemory,
    });
    this.physical = new PhysicalSpace(this.arena, {
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
      arena: this.arena,
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
      engine: options.engine,
      regionCompiler: options.regionCompiler,
      milliseconds: () => options.host.now() / 1e6,
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
      virtioConsole: options.virtioConsole,
      testDevice: options.testDevice,
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
        // there is no firmware that would tell an INIT from a reset
        initialize: () => this.requestReset('processor initialized by the guest'),
        startUp() {},
      },
    });
    cpu.apic = processorApic(this.board);
    this.queue.onEarlierDeadline = () => engine.kick();
    if (this.clock instanceof HostClock) this.clock.due = () => engine.kick();
  }

  /** Instructions retired since power-on. */
  get retired(): number {
    return this.processor.engine.retired;
  }

  /** Host time spent executing instructions so far, in nanoseconds. */
  get busyNanoseconds(): number {
    return this.busyTime;
  }

  /** Whether the same input gives the same run: time does not come from the host. */
  get isRepeatable(): boolean {
    return this.clock instanceof InstructionClock;
  }

  /** Fingerprint of memory and processor: the same for two runs that did the same. Sixteen hexadecimal digits. */
  snapshotHash(): string {
    return hashMachineState(this.physical, this.processor.cpu);
  }

  /** Guest time in nanoseconds since power-on. */
  get time(): number {
    return this.clock.now();
  }

  /**
   * Puts a kernel into memory and the processor at its entry; after a reset of the machine the kernel starts anew.
   * @throws BootError for an image that cannot be booted
   */
  loadKernel(kernel: Uint8Array, options: Omit<KernelOptions, 'memoryMap' | 'rsdpAddress' | 'randomSeed'>): void {
    const { memoryBytes, serial, entropy } = this.options;
    const { low } = splitMemory(memoryBytes);
    const tables = buildAcpiTables({
      processors: 1,
      lowMemoryEnd: Math.max(low, BOARD_ADDRESS.PCI_WINDOW),
      serialPorts: serial.map((_, i) => i),
      keyboardController: true,
      fwCfg: true,
      vga: false,
    });
    const base = BOARD_ADDRESS.FIRMWARE_TABLES;
    const acpi = placeAcpiTables(tables, base, BOARD_ADDRESS.EXTENDED_MEMORY - base);
    const { rsdpAddress } = acpi;
    const memoryMap = boardMemoryMap(memoryBytes);
    this.planBoot = () => {
      const randomSeed = new Uint8Array(SEED_BYTES);
      entropy.fill(randomSeed);
      const { writes, cpu } = planKernel(kernel, { ...options, memoryMap, rsdpAddress, randomSeed });
      return { writes: [...acpi.writes, ...writes], cpu };
    };
    this.boot();
  }

  private boot(): void {
    if (!this.planBoot) return;
    const { writes, cpu } = this.planBoot();
    for (const { address, bytes } of writes) this.physical.copyIn(address, bytes);
    enterBootState(this.processor.cpu, cpu);
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
    noteInterrupts(this.processor.cpu);
    if (this.board.lapic.pending() >= 0 || this.board.nmiPending || this.board.smiPending) this.processor.engine.kick();
  }

  /** Ends `run` soon, or at once when it is called next, with exit kind `stopped`. */
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

  /** Runs until the guest or the user ends it. Host input is taken while the host has its turn, never in between. */
  async run(): Promise<MachineExit> {
    const { host, log, rebootOnReset } = this.options;
    this.startTurn();
    for (;;) {
      if (this.exit !== undefined) {
        const { exit } = this;
        this.exit = undefined;
        return exit;
      }
      if (this.resetRequested !== undefined) {
        const reason = this.resetRequested;
        this.resetRequested = undefined;
        if (!rebootOnReset) return { kind: 'reset', reason };
        log.write('boot', `reset: ${reason}`);
        this.reset();
      }
      this.queue.runDue();
      if (this.canExecute()) this.execute();
      else await this.idle();
      if (this.turnIsOver()) {
        await host.breathe();
        this.startTurn();
      }
    }
  }

  private startTurn(): void {
    this.turn = {
      retired: this.retired + INSTRUCTIONS_PER_TURN,
      skips: 0,
      time: this.options.host.now() + TIME_PER_TURN,
    };
  }

  private turnIsOver(): boolean {
    const { turn } = this;
    if (this.clock instanceof HostClock) return this.options.host.now() >= turn.time;
    return this.retired >= turn.retired || turn.skips >= SKIPS_PER_TURN;
  }

  private canExecute(): boolean {
    const { cpu } = this.processor;
    return cpu.activity === Activity.RUNNING || wakeEventPending(cpu);
  }

  /** Runs the processor up to the next deadline or the host's turn. */
  private execute(): void {
    const { host, profile } = this.options;
    const { engine, cpu } = this.processor;
    const { retired } = this;
    const start = host.now();
    const instructions = Math.min(this.sliceInstructions(), profile?.remaining(retired) ?? Infinity);
    if (this.clock instanceof HostClock) this.clock.runUntil(this.queue.nextDeadline());
    engine.run(instructions);
    profile?.sample(cpu, this.retired);
    // exceptions without end perhaps: no time passes, but the host gets its turn
    if (this.retired === retired) this.turn = { retired, skips: 0, time: start };
    const elapsed = host.now() - start;
    this.busyTime += elapsed;
    this.haltReported = false;
    if (elapsed > 0) this.speed += ((this.retired - retired) / elapsed - this.speed) * SPEED_WEIGHT;
  }

  private sliceInstructions(): number {
    const untilDeadline = this.queue.nextDeadline() - this.clock.now();
    if (this.clock instanceof HostClock) {
      const estimate = Math.ceil(this.clock.instructionsFor(Math.min(untilDeadline, LONGEST_SLICE), this.speed));
      return Math.min(Math.max(estimate, SLICE_INSTRUCTIONS.least), SLICE_INSTRUCTIONS.most);
    }
    const instructions = Math.ceil(untilDeadline / NANOSECONDS_PER_INSTRUCTION);
    return Math.max(1, Math.min(instructions, this.turn.retired - this.retired));
  }

  /** The processor waits for an interrupt: waits with it, or skips to the next deadline. */
  private async idle(): Promise<void> {
    const { clock } = this;
    const { host } = this.options;
    const wakeable = interruptsEnabled(this.processor.cpu);
    if (!wakeable) this.reportHalt();
    let wait = this.queue.nextDeadline() - clock.now();
    if (clock instanceof HostClock) wait = clock.idle(wait);
    if (clock instanceof InstructionClock && Number.isFinite(wait)) {
      clock.skip(wait);
      this.turn.skips++;
      // Only an NMI or the user can help a processor that is halted for good: its timers need not be hurried through.
      if (wakeable) return;
    }
    if (wait <= 0) return;
    if (wait < SHORTEST_SLEEP) await host.breathe();
    else await host.sleep(Math.min(wait, LONGEST_SLEEP));
    if (clock instanceof HostClock) clock.resume();
    this.startTurn();
  }

  private reportHalt(): void {
    if (this.haltReported) return;
    this.haltReported = true;
    const { cpu } = this.processor;
    this.options.log.write(
      'guest-error',
      `processor halted for good: interrupts are disabled at RIP ${cpu.rip.toString(16)}h`,
    );
  }
}
