/** Stand-ins for the bus, for device tests. */
import type { Timer, TimerService } from '../bus/clock.ts';
import type { InterruptLine, MessageSink } from '../bus/lines.ts';
import type { Log, LogTopic } from '../bus/log.ts';
import type { GuestMemory } from '../bus/memory.ts';
import type { AccessSize, Attachment, IoSpace, MmioDevice, PortDevice } from '../bus/ports.ts';
import type { ByteStream } from '../bus/streams.ts';

interface PendingTimer {
  deadline: number | undefined;
  readonly expired: () => void;
}

/** Guest time that moves only when a test says so. */
export class ManualTimers implements TimerService {
  #now = 0;
  readonly #timers: PendingTimer[] = [];

  now(): number {
    return this.#now;
  }

  timer(_name: string, expired: () => void): Timer {
    const entry: PendingTimer = { deadline: undefined, expired };
    this.#timers.push(entry);
    return {
      arm: (deadline) => {
        entry.deadline = deadline;
      },
      disarm: () => {
        entry.deadline = undefined;
      },
      get deadline() {
        return entry.deadline;
      },
    };
  }

  /** Moves time forward, running timers in order of their deadlines. */
  advance(nanoseconds: number): void {
    const end = this.#now + nanoseconds;
    for (;;) {
      let next: PendingTimer | undefined;
      for (const timer of this.#timers) {
        if (timer.deadline !== undefined && timer.deadline <= end && timer.deadline < (next?.deadline ?? Infinity))
          next = timer;
      }
      if (!next) break;
      this.#now = Math.max(this.#now, next.deadline!);
      next.deadline = undefined;
      next.expired();
    }
    this.#now = end;
  }
}

/** Remembers its level and counts rising edges. */
export class RecordingLine implements InterruptLine {
  level = false;
  edges = 0;

  set(level: boolean): void {
    if (level && !this.level) this.edges++;
    this.level = level;
  }
}

/** Collects message signalled interrupts. */
export class RecordingMessages implements MessageSink {
  readonly messages: { address: number; data: number }[] = [];

  write(address: number, data: number): void {
    this.messages.push({ address, data });
  }
}

/** Collects log lines. */
export class RecordingLog implements Log {
  readonly lines: { topic: LogTopic; message: string }[] = [];

  enabled(): boolean {
    return true;
  }

  write(topic: LogTopic, message: string): void {
    this.lines.push({ topic, message });
  }
}

/** A byte stream whose far end is the test. */
export class TestStream implements ByteStream {
  readonly sent: number[] = [];
  #callback: ((bytes: Uint8Array) => void) | undefined;
  #resized: ((columns: number, rows: number) => void) | undefined;

  send(bytes: Uint8Array): void {
    this.sent.push(...bytes);
  }

  onReceive(callback: (bytes: Uint8Array) => void): void {
    this.#callback = callback;
  }

  onResize(callback: (columns: number, rows: number) => void): void {
    this.#resized = callback;
  }

  /** Gives the screen a new size. */
  resize(columns: number, rows: number): void {
    this.#resized?.(columns, rows);
  }

  /** Sends text to the guest. */
  type(text: string): void {
    this.#callback?.(new TextEncoder().encode(text));
  }

  get text(): string {
    return new TextDecoder().decode(Uint8Array.from(this.sent));
  }
}

/** Plain guest memory of a fixed size, starting at address 0. */
export class ArrayMemory implements GuestMemory {
  readonly bytes: Uint8Array;
  readonly #view: DataView;

  constructor(size: number) {
    this.bytes = new Uint8Array(size);
    this.#view = new DataView(this.bytes.buffer);
  }

  read(address: number, length: number): Uint8Array {
    const result = new Uint8Array(length).fill(0xff);
    if (address >= 0 && address < this.bytes.length)
      result.set(this.bytes.subarray(address, Math.min(address + length, this.bytes.length)));
    return result;
  }

  write(address: number, bytes: Uint8Array): void {
    if (address < 0 || address >= this.bytes.length) return;
    this.bytes.set(bytes.subarray(0, Math.max(0, this.bytes.length - address)), address);
  }

  #holds(address: number, length: number): boolean {
    return address >= 0 && address + length <= this.bytes.length;
  }

  readU8(address: number): number {
    return this.#holds(address, 1) ? this.#view.getUint8(address) : 0xff;
  }

  readU16(address: number): number {
    return this.#holds(address, 2) ? this.#view.getUint16(address, true) : 0xffff;
  }

  readU32(address: number): number {
    return this.#holds(address, 4) ? this.#view.getUint32(address, true) : 0xffff_ffff;
  }

  readU64(address: number): bigint {
    return this.#holds(address, 8) ? this.#view.getBigUint64(address, true) : 0xffff_ffff_ffff_ffffn;
  }

  writeU8(address: number, value: number): void {
    if (this.#holds(address, 1)) this.#view.setUint8(address, value);
  }

  writeU16(address: number, value: number): void {
    if (this.#holds(address, 2)) this.#view.setUint16(address, value, true);
  }

  writeU32(address: number, value: number): void {
    if (this.#holds(address, 4)) this.#view.setUint32(address, value, true);
  }

  writeU64(address: number, value: bigint): void {
    if (this.#holds(address, 8)) this.#view.setBigUint64(address, value, true);
  }
}

/** Routes accesses to attached devices; what nobody decodes reads as ones. */
export class TestIoSpace implements IoSpace {
  readonly ports: { first: number; count: number; device: PortDevice }[] = [];
  readonly regions: { base: number; length: number; device: MmioDevice }[] = [];

  attachPorts(first: number, count: number, device: PortDevice): Attachment {
    if (this.ports.some((entry) => first < entry.first + entry.count && entry.first < first + count)) {
      throw new Error(`ports ${first.toString(16)} are taken`);
    }
    const entry = { first, count, device };
    this.ports.push(entry);
    return { detach: () => void this.ports.splice(this.ports.indexOf(entry), 1) };
  }

  attachMmio(base: number, length: number, device: MmioDevice): Attachment {
    if (this.regions.some((entry) => base < entry.base + entry.length && entry.base < base + length)) {
      throw new Error(`memory at ${base.toString(16)} is taken`);
    }
    const entry = { base, length, device };
    this.regions.push(entry);
    return { detach: () => void this.regions.splice(this.regions.indexOf(entry), 1) };
  }

  in(port: number, size: AccessSize = 1): number {
    const entry = this.ports.find(({ first, count }) => port >= first && port < first + count);
    return entry ? entry.device.readPort(port, size) : 2 ** (8 * size) - 1;
  }

  out(port: number, value: number, size: AccessSize = 1): void {
    this.ports.find(({ first, count }) => port >= first && port < first + count)?.device.writePort(port, size, value);
  }

  load(address: number, size: AccessSize = 4): number {
    const entry = this.regions.find(({ base, length }) => address >= base && address < base + length);
    return entry ? entry.device.readMmio(address - entry.base, size) : 2 ** (8 * size) - 1;
  }

  store(address: number, value: number, size: AccessSize = 4): void {
    const entry = this.regions.find(({ base, length }) => address >= base && address < base + length);
    entry?.device.writeMmio(address - entry.base, size, value);
  }
}
