/**
 * The device's side of a split virtqueue (Virtual I/O Device Version 1.2, section 2.7). Everything in guest memory is under
 * the driver's control, so everything read from it is checked: a driver that breaks the rules gets a {@link DriverError},
 * which the transport turns into DEVICE_NEEDS_RESET.
 */
import type { GuestMemory } from '../../bus/memory.ts';

/** The driver broke the protocol. Never leaves the virtio layer. */
export class DriverError extends Error {
  override readonly name = 'DriverError';
}

/** A piece of guest memory. */
export interface Segment {
  readonly address: number;
  readonly length: number;
}

/** Buffers that the driver offered together: first those the device reads, then those it writes. */
export interface DescriptorChain {
  /** Index of the first descriptor, by which the chain is returned. */
  readonly head: number;
  readonly readable: readonly Segment[];
  readonly writable: readonly Segment[];
  readonly readableLength: number;
  readonly writableLength: number;
}

/** Saved state of a queue. */
export interface VirtqueueState {
  readonly size: number;
  readonly ready: boolean;
  readonly descriptors: number;
  readonly available: number;
  readonly used: number;
  readonly nextAvailable: number;
  readonly nextUsed: number;
  readonly signalledUsed: number;
}

/** Descriptor table (section 2.7.5): address, length, flags, next. */
const DESCRIPTOR = { ADDRESS: 0, LENGTH: 8, FLAGS: 12, NEXT: 14, SIZE: 16 } as const;
const DESCRIPTOR_FLAG = { NEXT: 1, WRITE: 2, INDIRECT: 4 } as const;

/** Available and used rings (sections 2.7.6 and 2.7.8): flags, index, entries, then the other side's event index. */
const RING = { FLAGS: 0, INDEX: 2, ENTRIES: 4 } as const;
const AVAILABLE_ENTRY = 2;
const USED_ENTRY = 8;
const NO_INTERRUPT = 1;
const INDEX_MASK = 0xffff;

/** Longest chain, counting indirect descriptors. The queue size would do by the letter; drivers and QEMU go up to this. */
const MAX_CHAIN = 1024;
/** Most bytes in one chain. The specification allows 4 GiB; no driver comes near, and this bounds the work per request. */
const MAX_CHAIN_BYTES = 2 ** 30;
/** Guest-physical addresses are at most 52 bits wide. */
const ADDRESS_LIMIT = 2n ** 52n;

/** Queue sizes are powers of two up to this (section 2.7). */
export const MAX_QUEUE_SIZE = 32768;

/** A queue. The transport configures it, the device takes chains and returns them. */
export class Virtqueue {
  readonly #memory: GuestMemory;
  readonly maximumSize: number;
  /** Entries; the driver may lower it while the queue is not ready. */
  size: number;
  ready = false;
  /** Guest-physical addresses of the descriptor table, the available ring (driver area) and the used ring (device area). */
  descriptors = 0n;
  available = 0n;
  used = 0n;
  /** VIRTIO_F_EVENT_IDX was negotiated. */
  eventIndex = false;
  #nextAvailable = 0;
  #nextUsed = 0;
  /** Used index at the last decision whether to interrupt. */
  #signalledUsed = 0;

  constructor(memory: GuestMemory, maximumSize: number) {
    this.#memory = memory;
    this.maximumSize = maximumSize;
    this.size = maximumSize;
  }

  reset(): void {
    this.size = this.maximumSize;
    this.ready = false;
    this.descriptors = 0n;
    this.available = 0n;
    this.used = 0n;
    this.eventIndex = false;
    this.#nextAvailable = 0;
    this.#nextUsed = 0;
    this.#signalledUsed = 0;
  }

  /**
   * Checks what the driver configured, when it makes the queue ready.
   * @throws DriverError if the size or an address is impossible
   */
  enable(): void {
    if (this.size === 0 || this.size > this.maximumSize || (this.size & (this.size - 1)) !== 0) {
      throw new DriverError(`queue size ${this.size} is not a power of two up to ${this.maximumSize}`);
    }
    for (const address of [this.descriptors, this.available, this.used]) {
      if (address >= ADDRESS_LIMIT)
        throw new DriverError(`queue address 0x${address.toString(16)} is not guest-physical`);
    }
    this.ready = true;
  }

  /**
   * Takes the next chain the driver made available.
   * @returns undefined when there is none
   * @throws DriverError if the ring or the chain is malformed
   */
  take(): DescriptorChain | undefined {
    if (!this.ready) return undefined;
    const offered = (this.#availableIndex() - this.#nextAvailable) & INDEX_MASK;
    if (offered === 0) return undefined;
    if (offered > this.size)
      throw new DriverError(`available index is ${offered} entries ahead in a queue of ${this.size}`);
    const slot = this.#nextAvailable & (this.size - 1);
    const head = this.#memory.readU16(Number(this.available) + RING.ENTRIES + AVAILABLE_ENTRY * slot);
    const chain = this.#readChain(head);
    this.#nextAvailable = (this.#nextAvailable + 1) & INDEX_MASK;
    if (this.eventIndex) this.#askForNotification();
    return chain;
  }

  /** Puts the chain taken last back, to be taken again. */
  putBack(): void {
    this.#nextAvailable = (this.#nextAvailable - 1) & INDEX_MASK;
  }

  /** Returns a chain to the driver with the number of bytes written into it. */
  giveBack(chain: DescriptorChain, written: number): void {
    const used = Number(this.used);
    const entry = used + RING.ENTRIES + USED_ENTRY * (this.#nextUsed & (this.size - 1));
    this.#memory.writeU32(entry, chain.head);
    this.#memory.writeU32(entry + 4, written);
    this.#nextUsed = (this.#nextUsed + 1) & INDEX_MASK;
    this.#memory.writeU16(used + RING.INDEX, this.#nextUsed);
  }

  /** Whether the driver wants an interrupt for what was given back since the last call (section 2.7.10). */
  shouldInterrupt(): boolean {
    const previous = this.#signalledUsed;
    if (previous === this.#nextUsed) return false;
    this.#signalledUsed = this.#nextUsed;
    const available = Number(this.available);
    if (!this.eventIndex) return (this.#memory.readU16(available + RING.FLAGS) & NO_INTERRUPT) === 0;
    const wanted = this.#memory.readU16(available + RING.ENTRIES + AVAILABLE_ENTRY * this.size);
    // The index passed `wanted`: vring_need_event of section 2.7.10.1.
    return ((this.#nextUsed - wanted - 1) & INDEX_MASK) < ((this.#nextUsed - previous) & INDEX_MASK);
  }

  save(): VirtqueueState {
    return {
      size: this.size,
      ready: this.ready,
      descriptors: Number(this.descriptors),
      available: Number(this.available),
      used: Number(this.used),
      nextAvailable: this.#nextAvailable,
      nextUsed: this.#nextUsed,
      signalledUsed: this.#signalledUsed,
    };
  }

  restore(state: VirtqueueState): void {
    this.size = state.size;
    this.ready = state.ready;
    this.descriptors = BigInt(state.descriptors);
    this.available = BigInt(state.available);
    this.used = BigInt(state.used);
    this.#nextAvailable = state.nextAvailable;
    this.#nextUsed = state.nextUsed;
    this.#signalledUsed = state.signalledUsed;
  }

  #availableIndex(): number {
    return this.#memory.readU16(Number(this.available) + RING.INDEX);
  }

  /** avail_event: notify when the entry after the last one taken becomes available. */
  #askForNotification(): void {
    this.#memory.writeU16(Number(this.used) + RING.ENTRIES + USED_ENTRY * this.size, this.#nextAvailable);
  }

  #readChain(head: number): DescriptorChain {
    const memory = this.#memory;
    const readable: Segment[] = [];
    const writable: Segment[] = [];
    let readableLength = 0;
    let writableLength = 0;
    let table = Number(this.descriptors);
    let entries = this.size;
    let indirect = false;
    let index = head;
    for (let count = 0; ; count++) {
      if (count >= MAX_CHAIN) throw new DriverError(`descriptor chain at ${head} is longer than ${MAX_CHAIN} or loops`);
      if (index >= entries) throw new DriverError(`descriptor ${index} is outside a table of ${entries}`);
      const at = table + DESCRIPTOR.SIZE * index;
      const address = memory.readU64(at + DESCRIPTOR.ADDRESS);
      const length = memory.readU32(at + DESCRIPTOR.LENGTH);
      const flags = memory.readU16(at + DESCRIPTOR.FLAGS);
      if (address >= ADDRESS_LIMIT)
        throw new DriverError(`buffer address 0x${address.toString(16)} is not guest-physical`);
      if (flags & DESCRIPTOR_FLAG.INDIRECT) {
        if (indirect) throw new DriverError('indirect descriptor inside an indirect table');
        if (flags & DESCRIPTOR_FLAG.NEXT) throw new DriverError('indirect descriptor with a successor');
        if (length === 0 || length % DESCRIPTOR.SIZE !== 0) throw new DriverError(`indirect table of ${length} bytes`);
        table = Number(address);
        entries = length / DESCRIPTOR.SIZE;
        indirect = true;
        index = 0;
        continue;
      }
      const segment = { address: Number(address), length };
      if (flags & DESCRIPTOR_FLAG.WRITE) {
        writable.push(segment);
        writableLength += length;
      } else {
        if (writable.length > 0) throw new DriverError('readable buffer after a writable one');
        readable.push(segment);
        readableLength += length;
      }
      if (readableLength + writableLength > MAX_CHAIN_BYTES)
        throw new DriverError(`descriptor chain of more than ${MAX_CHAIN_BYTES} bytes`);
      if (!(flags & DESCRIPTOR_FLAG.NEXT)) break;
      index = memory.readU16(at + DESCRIPTOR.NEXT);
    }
    return { head, readable, writable, readableLength, writableLength };
  }
}
