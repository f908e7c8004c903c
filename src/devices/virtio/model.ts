/**
 * A virtio device without its transport: feature negotiation, device status, queues and configuration (Virtual I/O Device
 * Version 1.2, chapters 2 and 3). Device types implement {@link VirtioBackend}.
 */
import type { Timer, TimerService } from '../../bus/clock.ts';
import type { Log } from '../../bus/log.ts';
import type { GuestMemory } from '../../bus/memory.ts';
import { DriverError, Virtqueue, type VirtqueueState } from './queue.ts';

/** Device types (chapter 5). */
export const VIRTIO_DEVICE = { NETWORK: 1, BLOCK: 2, CONSOLE: 3, ENTROPY: 4 } as const;

/** Device status bits (section 2.1). */
export const DEVICE_STATUS = {
  ACKNOWLEDGE: 1,
  DRIVER: 2,
  DRIVER_OK: 4,
  FEATURES_OK: 8,
  NEEDS_RESET: 64,
  FAILED: 128,
} as const;

/** Feature bits that are not the device type's (chapter 6). */
export const FEATURE = { INDIRECT_DESC: 1n << 28n, EVENT_IDX: 1n << 29n, VERSION_1: 1n << 32n } as const;
const TRANSPORT_FEATURES = FEATURE.INDIRECT_DESC | FEATURE.EVENT_IDX | FEATURE.VERSION_1;

/**
 * Bytes a device moves before it lets the processor run on; the rest follows at the next opportunity. A queue full of large
 * requests must not stop the machine, or the host, for seconds.
 */
export const WORK_BUDGET = 16 * 2 ** 20;

/** The part of a device that makes it a disk, a console or an entropy source. */
export interface VirtioBackend {
  readonly deviceType: number;
  /** Feature bits 0 to 23 and above 50 that the type offers. */
  readonly features: bigint;
  /** Most entries of each queue. */
  readonly queueSizes: readonly number[];
  /** Device-specific configuration; shorter than what the driver reads gives zeros. */
  readonly config: Uint8Array;
  /** A driver wrote configuration. */
  writeConfig?(offset: number, bytes: Uint8Array): void;
  /** Gets its queues and the memory to find buffers in. Called once. */
  connect(device: VirtioDevice): void;
  /**
   * Serves a queue until it is empty, or {@link VirtioDevice.spend} says that the budget is used up.
   * Throwing a DriverError stops the device.
   */
  serve(queue: number): void;
  /** The driver finished its set-up. */
  started?(): void;
  /** The driver reset the device. */
  reset?(): void;
  /** Type-specific state, as plain JSON. */
  save?(): unknown;
  restore?(state: unknown): void;
}

/** How a device reaches the driver; the transport implements it. */
export interface VirtioSignals {
  queueInterrupt(queue: number): void;
  configInterrupt(): void;
  /** False while the transport keeps the device from memory (PCI bus mastering off). */
  canAccessMemory(): boolean;
}

/** Saved state. */
export interface VirtioDeviceState {
  readonly version: 1;
  readonly status: number;
  readonly driverFeatures: string;
  readonly configGeneration: number;
  readonly queues: readonly VirtqueueState[];
  readonly backlog: readonly number[];
  readonly backend: unknown;
}

/** What a device is connected to. */
export interface VirtioWiring {
  readonly time: TimerService;
  readonly memory: GuestMemory;
  readonly log: Log;
  /** Name for log lines. */
  readonly name: string;
}

export class VirtioDevice {
  readonly backend: VirtioBackend;
  readonly memory: GuestMemory;
  readonly queues: readonly Virtqueue[];
  readonly deviceFeatures: bigint;
  readonly #log: Log;
  readonly #name: string;
  readonly #time: TimerService;
  readonly #resume: Timer;
  /** Queues with work left over when the budget ran out. */
  readonly #backlog = new Set<number>();
  #signals: VirtioSignals | undefined = undefined;
  #status = 0;
  #driverFeatures = 0n;
  #configGeneration = 0;
  #budget = 0;

  constructor(backend: VirtioBackend, wiring: VirtioWiring) {
    this.backend = backend;
    this.memory = wiring.memory;
    this.#log = wiring.log;
    this.#name = wiring.name;
    this.#time = wiring.time;
    this.deviceFeatures = backend.features | TRANSPORT_FEATURES;
    this.queues = backend.queueSizes.map((size) => new Virtqueue(wiring.memory, size));
    this.#resume = wiring.time.timer(wiring.name, () => this.#resumeWork());
    backend.connect(this);
  }

  /** Called once by the transport. */
  connect(signals: VirtioSignals): void {
    this.#signals = signals;
  }

  get status(): number {
    return this.#status;
  }

  get configGeneration(): number {
    return this.#configGeneration;
  }

  get driverFeatures(): bigint {
    return this.#driverFeatures;
  }

  set driverFeatures(value: bigint) {
    // After FEATURES_OK the driver must not change its mind (section 3.1.1).
    if (!(this.#status & DEVICE_STATUS.FEATURES_OK)) this.#driverFeatures = value;
  }

  /** Whether the driver accepted a feature. */
  has(feature: bigint): boolean {
    return (this.#driverFeatures & feature) !== 0n;
  }

  /** Whether the driver finished its set-up and nothing broke since. */
  get running(): boolean {
    return (this.#status & (DEVICE_STATUS.DRIVER_OK | DEVICE_STATUS.NEEDS_RESET)) === DEVICE_STATUS.DRIVER_OK;
  }

  /** The driver writes device status. Zero resets. */
  writeStatus(value: number): void {
    if (value === 0) {
      this.reset();
      return;
    }
    let status = (value & 0xff) | (this.#status & DEVICE_STATUS.NEEDS_RESET);
    const wasRunning = this.running;
    const newlyFixed = status & ~this.#status & DEVICE_STATUS.FEATURES_OK;
    if (newlyFixed && !this.#featuresAcceptable()) status &= ~DEVICE_STATUS.FEATURES_OK; // section 2.2.2
    this.#status = status;
    if (newlyFixed && status & DEVICE_STATUS.FEATURES_OK) {
      for (const queue of this.queues) queue.eventIndex = this.has(FEATURE.EVENT_IDX);
    }
    if (!this.running) return;
    if (!wasRunning) this.backend.started?.();
    for (let queue = 0; queue < this.queues.length; queue++) this.notify(queue);
  }

  /** The driver makes a queue ready. */
  enableQueue(index: number): void {
    this.#guarded(() => this.queues[index]?.enable());
  }

  /** The driver says that a queue has buffers; queues that do not exist are ignored. */
  notify(index: number): void {
    const queue = this.queues[index];
    if (!queue?.ready || !this.running) return;
    if (this.#backlog.has(index)) return; // will be served anyway
    this.#budget = WORK_BUDGET;
    this.#serve(index);
  }

  /**
   * Accounts for work that a queue took.
   * @returns false when the backend should stop and wait to be called again
   */
  spend(bytes: number): boolean {
    this.#budget -= bytes;
    return this.#budget > 0;
  }

  /** Interrupts the driver if it wants to hear of the buffers given back to it. */
  interrupt(index: number): void {
    if (this.queues[index].shouldInterrupt()) this.#signals?.queueInterrupt(index);
  }

  /** The backend changed its configuration (section 2.5). */
  configChanged(): void {
    this.#configGeneration = (this.#configGeneration + 1) & 0xff;
    if (this.running) this.#signals?.configInterrupt();
  }

  /** Stops the device until the driver resets it (section 2.1.2). */
  fail(reason: string): void {
    this.#log.write('guest-error', `${this.#name} needs a reset: ${reason}`);
    const tell = (this.#status & DEVICE_STATUS.DRIVER_OK) !== 0 && !(this.#status & DEVICE_STATUS.NEEDS_RESET);
    this.#status |= DEVICE_STATUS.NEEDS_RESET;
    if (tell) this.#signals?.configInterrupt();
  }

  /** Logs a failure of the host's side. */
  complain(message: string): void {
    this.#log.write('device', `${this.#name}: ${message}`);
  }

  reset(): void {
    this.#status = 0;
    this.#driverFeatures = 0n;
    this.#backlog.clear();
    this.#resume.disarm();
    for (const queue of this.queues) queue.reset();
    this.backend.reset?.();
  }

  save(): VirtioDeviceState {
    return {
      version: 1,
      status: this.#status,
      driverFeatures: this.#driverFeatures.toString(),
      configGeneration: this.#configGeneration,
      queues: this.queues.map((queue) => queue.save()),
      backlog: [...this.#backlog],
      backend: this.backend.save?.() ?? null,
    };
  }

  restore(state: VirtioDeviceState): void {
    this.#status = state.status;
    this.#driverFeatures = BigInt(state.driverFeatures);
    this.#configGeneration = state.configGeneration;
    this.queues.forEach((queue, index) => {
      queue.restore(state.queues[index]);
      queue.eventIndex = this.has(FEATURE.EVENT_IDX);
    });
    this.#backlog.clear();
    for (const queue of state.backlog) this.#backlog.add(queue);
    if (this.#backlog.size > 0) this.#resume.arm(this.#time.now());
    else this.#resume.disarm();
    this.backend.restore?.(state.backend);
  }

  #featuresAcceptable(): boolean {
    const unknown = this.#driverFeatures & ~this.deviceFeatures;
    return unknown === 0n && this.has(FEATURE.VERSION_1);
  }

  #serve(index: number): void {
    if (!this.#signals?.canAccessMemory()) return;
    this.#guarded(() => this.backend.serve(index));
    this.interrupt(index);
    if (this.#budget <= 0 && this.running) {
      this.#backlog.add(index);
      this.#resume.arm(this.#time.now());
    }
  }

  #resumeWork(): void {
    this.#budget = WORK_BUDGET;
    for (const index of [...this.#backlog]) {
      if (this.#budget <= 0) break;
      this.#backlog.delete(index);
      this.#serve(index);
    }
    if (this.#backlog.size > 0) this.#resume.arm(this.#time.now());
  }

  #guarded(action: () => void): void {
    try {
      action();
    } catch (error) {
      if (!(error instanceof DriverError)) throw error;
      this.fail(error.message);
    }
  }
}
