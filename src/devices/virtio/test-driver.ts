/** A small virtio driver for tests: finds the device's structures, negotiates, and fills queues. */
import assert from 'node:assert/strict';
import { PciBus } from '../pci/model.ts';
import {
  ArrayMemory,
  ManualTimers,
  RecordingLine,
  RecordingLog,
  RecordingMessages,
  TestIoSpace,
} from '../test-bench.ts';
import type { VirtioPci } from './device.ts';
import { FEATURE, type VirtioWiring } from './model.ts';

const MEMORY_SIZE = 0x20_0000;
const MSIX_BASE = 0xfe00_0000;
const STRUCTURES_BASE = 0xfe10_0000;
/** Queue n lies at 0x10000 * (n + 1): descriptors, available ring, used ring. */
const QUEUE_AREA = 0x1_0000;
const AVAILABLE = 0x8000;
const USED = 0xc000;

/** One buffer of a request. */
export interface Buffer {
  address: number;
  length: number;
  write?: boolean;
  indirect?: boolean;
}

/** Everything a device under test is wired to. */
export function virtioBench() {
  const memory = new ArrayMemory(MEMORY_SIZE);
  const time = new ManualTimers();
  const log = new RecordingLog();
  const messages = new RecordingMessages();
  const line = new RecordingLine();
  const space = new TestIoSpace();
  const bus = new PciBus({
    space,
    messages,
    log,
    interrupts: { set: (_device, _pin, _source, level) => line.set(level) },
  });
  const wiring: VirtioWiring = { time, memory, log, name: 'virtio under test' };
  return { memory, time, log, messages, line, space, bus, wiring };
}

export class TestDriver {
  readonly bench: ReturnType<typeof virtioBench>;
  readonly device: VirtioPci;
  readonly #structures = new Map<number, number>();
  readonly #availableIndex: number[] = [];
  readonly #usedIndex: number[] = [];
  queueSize = 8;

  constructor(bench: ReturnType<typeof virtioBench>, device: VirtioPci) {
    this.bench = bench;
    this.device = device;
    bench.bus.add(3, 0, device.pci);
    this.place();
  }

  /** Assigns BARs and finds the structures by their capabilities. */
  place(): void {
    const { pci } = this.device;
    pci.write(0x14, 4, MSIX_BASE);
    pci.write(0x20, 4, STRUCTURES_BASE);
    pci.write(0x24, 4, 0);
    pci.write(0x04, 2, 0x6);
    for (let at = pci.read(0x34, 1); at !== 0; at = pci.read(at + 1, 1)) {
      if (pci.read(at, 1) === 9 && pci.read(at + 3, 1) !== 5)
        this.#structures.set(pci.read(at + 3, 1), STRUCTURES_BASE + pci.read(at + 8, 4));
    }
    assert.deepEqual([...this.#structures.keys()].sort(), [1, 2, 3, 4]);
  }

  read(offset: number, size: 1 | 2 | 4): number {
    return this.bench.space.load(this.#structures.get(1)! + offset, size);
  }

  write(offset: number, value: number, size: 1 | 2 | 4): void {
    this.bench.space.store(this.#structures.get(1)! + offset, value, size);
  }

  get status(): number {
    return this.read(0x14, 1);
  }

  set status(value: number) {
    this.write(0x14, value, 1);
  }

  readConfig(offset: number, size: 1 | 2 | 4): number {
    return this.bench.space.load(this.#structures.get(4)! + offset, size);
  }

  writeConfig(offset: number, value: number, size: 1 | 2 | 4): void {
    this.bench.space.store(this.#structures.get(4)! + offset, value, size);
  }

  readIsr(): number {
    return this.bench.space.load(this.#structures.get(3)!, 1);
  }

  /** The whole initialisation of section 3.1.1. */
  start(features: bigint = FEATURE.VERSION_1): void {
    this.status = 0;
    this.status = 1;
    this.status = 3;
    for (const word of [0, 1]) {
      this.write(0x08, word, 4);
      this.write(0x0c, Number((features >> BigInt(32 * word)) & 0xffff_ffffn), 4);
    }
    this.status = 0xb;
    assert.equal(this.status, 0xb, 'features refused');
    for (let queue = 0; queue < this.read(0x12, 2); queue++) this.setUpQueue(queue);
    this.status = 0xf;
  }

  setUpQueue(queue: number): void {
    const base = this.#area(queue);
    this.bench.memory.bytes.fill(0, base, base + QUEUE_AREA);
    this.#availableIndex[queue] = 0;
    this.#usedIndex[queue] = 0;
    this.write(0x16, queue, 2);
    this.write(0x18, this.queueSize, 2);
    for (const [offset, address] of [
      [0x20, base],
      [0x28, base + AVAILABLE],
      [0x30, base + USED],
    ] as const) {
      this.write(offset, address, 4);
      this.write(offset + 4, 0, 4);
    }
    this.write(0x1c, 1, 2);
  }

  /** Writes a descriptor. */
  describe(table: number, index: number, buffer: Buffer, next?: number): void {
    const { memory } = this.bench;
    const at = table + 16 * index;
    memory.writeU64(at, BigInt(buffer.address));
    memory.writeU32(at + 8, buffer.length);
    memory.writeU16(at + 12, (next === undefined ? 0 : 1) | (buffer.write ? 2 : 0) | (buffer.indirect ? 4 : 0));
    memory.writeU16(at + 14, next ?? 0);
  }

  /** Makes a chain of buffers available, from descriptor `head`, and notifies unless told not to. */
  offer(queue: number, buffers: readonly Buffer[], options: { head?: number; notify?: boolean } = {}): void {
    const head = options.head ?? 0;
    for (const [index, buffer] of buffers.entries()) {
      this.describe(this.#area(queue), head + index, buffer, index < buffers.length - 1 ? head + index + 1 : undefined);
    }
    this.makeAvailable(queue, head);
    if (options.notify !== false) this.notify(queue);
  }

  makeAvailable(queue: number, head: number): void {
    const { memory } = this.bench;
    const available = this.#area(queue) + AVAILABLE;
    memory.writeU16(available + 4 + 2 * (this.#availableIndex[queue] % this.queueSize), head);
    this.#availableIndex[queue]++;
    memory.writeU16(available + 2, this.#availableIndex[queue] & 0xffff);
  }

  notify(queue: number): void {
    this.bench.space.store(this.#structures.get(2)! + 4 * queue, queue, 2);
  }

  /** The used entries since the last call. */
  used(queue: number): { head: number; length: number }[] {
    const { memory } = this.bench;
    const ring = this.#area(queue) + USED;
    const entries: { head: number; length: number }[] = [];
    while (this.#usedIndex[queue] !== memory.readU16(ring + 2)) {
      const at = ring + 4 + 8 * (this.#usedIndex[queue] % this.queueSize);
      entries.push({ head: memory.readU32(at), length: memory.readU32(at + 4) });
      this.#usedIndex[queue] = (this.#usedIndex[queue] + 1) & 0xffff;
    }
    return entries;
  }

  /** Addresses of a queue's parts, for tests that damage them. */
  parts(queue: number): { descriptors: number; available: number; used: number } {
    const base = this.#area(queue);
    return { descriptors: base, available: base + AVAILABLE, used: base + USED };
  }

  enableMsix(vectors: number): void {
    for (let vector = 0; vector < vectors; vector++) {
      this.bench.space.store(MSIX_BASE + 16 * vector, 0xfee0_0000);
      this.bench.space.store(MSIX_BASE + 16 * vector + 8, 0x40 + vector);
      this.bench.space.store(MSIX_BASE + 16 * vector + 12, 0);
    }
    this.device.pci.write(0x42, 2, 0x8000);
  }

  #area(queue: number): number {
    return QUEUE_AREA * (queue + 1);
  }
}
