/** Virtio block device (Virtual I/O Device Version 1.2, section 5.2) over a store of whole sectors. */
import type { BlockStore } from '../../bus/streams.ts';
import { BufferReader, BufferWriter } from '../virtio/buffers.ts';
import { VIRTIO_DEVICE, type VirtioBackend, type VirtioDevice } from '../virtio/model.ts';
import { type DescriptorChain, DriverError, type Segment } from '../virtio/queue.ts';

/** requestq1 is the only queue. */
const REQUEST_QUEUE = 0;
const QUEUE_SIZE = 256;

/** Feature bits (section 5.2.3). */
export const BLOCK_FEATURE = {
  SEG_MAX: 1n << 2n,
  READ_ONLY: 1n << 5n,
  BLOCK_SIZE: 1n << 6n,
  FLUSH: 1n << 9n,
  WRITE_ZEROES: 1n << 14n,
} as const;

/** Configuration fields (section 5.2.4). */
const CONFIG = {
  CAPACITY: 0,
  SEG_MAX: 12,
  BLOCK_SIZE: 20,
  MAX_WRITE_ZEROES_SECTORS: 48,
  MAX_WRITE_ZEROES_SEGMENTS: 52,
  LENGTH: 60,
} as const;

/** Requests (section 5.2.6): a header of type, reserved and sector; data; a status byte. */
export const REQUEST = { IN: 0, OUT: 1, FLUSH: 4, GET_ID: 8, WRITE_ZEROES: 13 } as const;
const HEADER = { TYPE: 0, SECTOR: 8, LENGTH: 16 } as const;
export const REQUEST_STATUS = { OK: 0, IO_ERROR: 1, UNSUPPORTED: 2 } as const;
/** virtio_blk_discard_write_zeroes: sector, number of sectors, flags. */
const WRITE_ZEROES = { SECTOR: 0, COUNT: 8, LENGTH: 16, MAX_SECTORS: 0x8000, MAX_SEGMENTS: 1 } as const;

const SECTOR = 512;
const ID_LENGTH = 20;
/** Data moves between store and guest in pieces of this many bytes. */
const PIECE = 0x1_0000;
/** What a request costs besides its data. */
const REQUEST_COST = SECTOR;

/** The outcome of a request: its status, and how many bytes of data were written for the driver. */
interface Outcome {
  readonly status: number;
  readonly written: number;
}

const failed: Outcome = { status: REQUEST_STATUS.IO_ERROR, written: 0 };
const done: Outcome = { status: REQUEST_STATUS.OK, written: 0 };

/** Stateless beyond its queue: a request is complete before the next is taken. */
export class VirtioBlock implements VirtioBackend {
  readonly deviceType = VIRTIO_DEVICE.BLOCK;
  readonly features: bigint;
  readonly queueSizes = [QUEUE_SIZE];
  readonly config = new Uint8Array(CONFIG.LENGTH);
  readonly #store: BlockStore;
  readonly #id: Uint8Array;
  #device!: VirtioDevice;

  /** @param id what GET_ID answers, cut to 20 ASCII characters */
  constructor(store: BlockStore, id = '') {
    this.#store = store;
    this.#id = Uint8Array.from({ length: ID_LENGTH }, (_, index) => id.charCodeAt(index) & 0x7f);
    this.features =
      BLOCK_FEATURE.SEG_MAX |
      BLOCK_FEATURE.BLOCK_SIZE |
      BLOCK_FEATURE.FLUSH |
      (store.readOnly ? BLOCK_FEATURE.READ_ONLY : BLOCK_FEATURE.WRITE_ZEROES);
    const view = new DataView(this.config.buffer);
    view.setBigUint64(CONFIG.CAPACITY, BigInt(store.sectors), true);
    view.setUint32(CONFIG.SEG_MAX, QUEUE_SIZE - 2, true); // header and status take a descriptor each
    view.setUint32(CONFIG.BLOCK_SIZE, SECTOR, true);
    view.setUint32(CONFIG.MAX_WRITE_ZEROES_SECTORS, WRITE_ZEROES.MAX_SECTORS, true);
    view.setUint32(CONFIG.MAX_WRITE_ZEROES_SEGMENTS, WRITE_ZEROES.MAX_SEGMENTS, true);
  }

  connect(device: VirtioDevice): void {
    this.#device = device;
  }

  serve(): void {
    const queue = this.#device.queues[REQUEST_QUEUE];
    for (let chain = queue.take(); chain; chain = queue.take()) {
      const { status, written } = this.#execute(chain);
      this.#device.memory.writeU8(lastByte(chain.writable), status);
      queue.giveBack(chain, written + 1);
      if (!this.#device.spend(REQUEST_COST + chain.readableLength + chain.writableLength)) return;
    }
  }

  #execute(chain: DescriptorChain): Outcome {
    if (chain.readableLength < HEADER.LENGTH || chain.writableLength < 1) {
      throw new DriverError('block request without a whole header and a status byte');
    }
    const reader = new BufferReader(this.#device.memory, chain.readable);
    const header = viewOf(reader.read(HEADER.LENGTH));
    const sector = Number(header.getBigUint64(HEADER.SECTOR, true));
    const room = chain.writableLength - 1;
    try {
      switch (header.getUint32(HEADER.TYPE, true)) {
        case REQUEST.IN:
          return this.#read(sector, room, new BufferWriter(this.#device.memory, chain.writable));
        case REQUEST.OUT:
          return this.#write(sector, reader);
        case REQUEST.FLUSH:
          this.#store.flush();
          return done;
        case REQUEST.GET_ID: {
          const writer = new BufferWriter(this.#device.memory, chain.writable);
          writer.write(this.#id.subarray(0, room));
          return { status: REQUEST_STATUS.OK, written: writer.written };
        }
        case REQUEST.WRITE_ZEROES:
          return this.#writeZeroes(reader);
        default:
          return { status: REQUEST_STATUS.UNSUPPORTED, written: 0 };
      }
    } catch (error) {
      this.#device.complain(
        `request for sector ${sector} failed: ${error instanceof Error ? error.message : String(error)}`,
      );
      return failed;
    }
  }

  #read(sector: number, length: number, writer: BufferWriter): Outcome {
    if (!this.#contains(sector, length)) return failed;
    const piece = new Uint8Array(Math.min(PIECE, length));
    for (let position = 0; position < length; position += PIECE) {
      const part = piece.subarray(0, Math.min(PIECE, length - position));
      this.#store.read(sector + position / SECTOR, part);
      writer.write(part);
    }
    return { status: REQUEST_STATUS.OK, written: length };
  }

  #write(sector: number, reader: BufferReader): Outcome {
    if (this.#store.readOnly || !this.#contains(sector, reader.remaining)) return failed;
    for (let at = sector; reader.remaining > 0; ) {
      const piece = reader.read(PIECE);
      this.#store.write(at, piece);
      at += piece.length / SECTOR;
    }
    return done;
  }

  #writeZeroes(reader: BufferReader): Outcome {
    if (this.#store.readOnly || reader.remaining !== WRITE_ZEROES.LENGTH) return failed;
    const segment = viewOf(reader.read(WRITE_ZEROES.LENGTH));
    const sector = Number(segment.getBigUint64(WRITE_ZEROES.SECTOR, true));
    const count = segment.getUint32(WRITE_ZEROES.COUNT, true);
    if (count > WRITE_ZEROES.MAX_SECTORS || !this.#contains(sector, count * SECTOR)) return failed;
    const zeros = new Uint8Array(Math.min(PIECE, count * SECTOR));
    for (let position = 0; position < count * SECTOR; position += PIECE) {
      this.#store.write(sector + position / SECTOR, zeros.subarray(0, Math.min(PIECE, count * SECTOR - position)));
    }
    this.#device.spend(count * SECTOR);
    return done;
  }

  /** Whether whole sectors are meant and the store has them. */
  #contains(sector: number, length: number): boolean {
    return length % SECTOR === 0 && sector + length / SECTOR <= this.#store.sectors;
  }
}

/** Address of the last byte of the writable buffers, which is the status byte wherever buffers are cut. */
function lastByte(segments: readonly Segment[]): number {
  const last = segments.findLast(({ length }) => length > 0)!;
  return last.address + last.length - 1;
}

function viewOf(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
}
