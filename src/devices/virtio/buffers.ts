/** Walks the segments of a descriptor chain as one run of bytes; drivers may cut buffers anywhere (section 2.7.4). */
import type { GuestMemory } from '../../bus/memory.ts';
import type { Segment } from './queue.ts';

/** A position in a list of segments. */
class SegmentCursor {
  readonly memory: GuestMemory;
  readonly #segments: readonly Segment[];
  #segment = 0;
  #offset = 0;
  /** Bytes between the position and the end. */
  remaining: number;

  constructor(memory: GuestMemory, segments: readonly Segment[]) {
    this.memory = memory;
    this.#segments = segments;
    this.remaining = segments.reduce((total, { length }) => total + length, 0);
  }

  /** The next contiguous piece of at most `limit` bytes, and moves past it; `undefined` at the end. */
  protected next(limit: number): Segment | undefined {
    for (; this.#segment < this.#segments.length; this.#segment++, this.#offset = 0) {
      const { address, length } = this.#segments[this.#segment];
      const count = Math.min(length - this.#offset, limit);
      if (length - this.#offset <= 0) continue;
      const piece = { address: address + this.#offset, length: count };
      this.#offset += count;
      this.remaining -= count;
      return piece;
    }
    return undefined;
  }
}

/** Reads what the driver wrote. */
export class BufferReader extends SegmentCursor {
  /** Takes up to `length` bytes; fewer at the end. */
  read(length: number): Uint8Array {
    const result = new Uint8Array(Math.min(length, this.remaining));
    for (let done = 0; done < result.length; ) {
      const piece = this.next(result.length - done);
      if (!piece) break;
      result.set(this.memory.read(piece.address, piece.length), done);
      done += piece.length;
    }
    return result;
  }
}

/** Fills the driver's buffers. */
export class BufferWriter extends SegmentCursor {
  /** Bytes written so far. */
  written = 0;

  /** Writes as many of `bytes` as there is room for; returns how many. */
  write(bytes: Uint8Array): number {
    let done = 0;
    while (done < bytes.length) {
      const piece = this.next(bytes.length - done);
      if (!piece) break;
      this.memory.write(piece.address, bytes.subarray(done, done + piece.length));
      done += piece.length;
    }
    this.written += done;
    return done;
  }
}
