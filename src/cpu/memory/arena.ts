/**
 * The arena: one WebAssembly.Memory with everything emitted code touches. Fixed areas (processor contexts, TLB banks,
 * tables, decoded code) are reserved once; the rest is a pool of 4 KiB frames that back guest pages on demand.
 *
 * It is created at full size: untouched pages cost the host nothing, and addresses and views never change. An arena is a
 * security domain: forks of a machine share one, unrelated machines never do.
 */

import type { Limits } from '../../wasm/index.ts';

/** Bytes of a frame, and of a guest page: 4 KiB. */
export const PAGE_SIZE = 4096;
export const PAGE_SHIFT = 12;
/** 32-bit words of a page. */
export const PAGE_WORDS = PAGE_SIZE / 4;

/** Bytes of a WebAssembly page (WebAssembly Core Specification, section 4.2.8 "Memory Instances"). */
const WASM_PAGE_SIZE = 65536;
/** Most bytes a 32-bit memory can have. */
const MAX_ARENA_BYTES = 2 ** 32;

export interface ArenaOptions {
  /** Bytes of guest memory the arena can back: RAM and ROM of every machine that shares it. */
  readonly ramBytes: number;
  /** Bytes for everything obtained by {@link Arena.reserve}. */
  readonly overheadBytes: number;
  /** Whether other threads may be given the memory. */
  readonly shared?: boolean;
}

/** What modules say of the memory they import, an arena's. */
export function arenaLimits(shared: boolean): Limits {
  return shared ? { initial: 1, maximum: MAX_ARENA_BYTES / WASM_PAGE_SIZE, shared } : { initial: 1 };
}

/** Most frames that may be on loan for preparation at a time: see {@link Arena.borrowFrames}. */
export const MOST_BORROWED = 1024;

const mebibytes = (bytes: number) => `${Math.ceil(bytes / 2 ** 20)} MiB`;

/**
 * Frames are named by number: arena address divided by {@link PAGE_SIZE}. Frame 0 is never handed out and stands for
 * "none". A frame on loan has a reference count of at least one.
 */
export class Arena {
  readonly memory: WebAssembly.Memory;
  readonly buffer: ArrayBufferLike;
  readonly shared: boolean;
  readonly bytes: Uint8Array;
  readonly u32: Uint32Array;
  readonly i32: Int32Array;
  readonly view: DataView;

  private readonly overheadEnd: number;
  private nextReserved = PAGE_SIZE;
  private readonly firstFrame: number;
  private readonly frameLimit: number;
  /** Frames from here on were never handed out and are still zero. */
  private nextFrame: number;
  private readonly references: Uint32Array;
  /** Frames given back, a stack. */
  private readonly freeFrames: Uint32Array;
  private freeCount = 0;
  private promisedFrames = 0;
  /** Frames that can be promised. */
  private readonly poolFrames: number;
  /** Runs of zero frames that the host has prepared: first frame and end of each, the next to be used first. */
  private readonly prepared: { next: number; readonly end: number }[] = [];
  /** Frames in {@link prepared}, and lent. */
  private preparedCount = 0;
  private borrowed = 0;

  /** @throws RangeError if the sizes do not fit a 32-bit memory, Error if the host cannot provide the address space. */
  constructor({ ramBytes, overheadBytes, shared = false }: ArenaOptions) {
    this.shared = shared;
    const pool = Math.ceil(ramBytes / PAGE_SIZE) * PAGE_SIZE;
    // The first page stays unused so that address 0 and frame 0 can mean "none".
    this.overheadEnd = PAGE_SIZE + Math.ceil(overheadBytes / PAGE_SIZE) * PAGE_SIZE;
    const spare = MOST_BORROWED * PAGE_SIZE;
    const wasmPages = Math.ceil((this.overheadEnd + pool + spare) / WASM_PAGE_SIZE);
    if (!(ramBytes >= 0) || !(overheadBytes >= 0) || wasmPages * WASM_PAGE_SIZE > MAX_ARENA_BYTES) {
      throw new RangeError(
        `cannot create a memory of ${mebibytes(ramBytes)} for the guest and ${mebibytes(overheadBytes)} for the processor: ` +
          `at most ${mebibytes(MAX_ARENA_BYTES)} are possible together; give the machine less memory`,
      );
    }
    try {
      this.memory = new WebAssembly.Memory({ initial: wasmPages, maximum: wasmPages, shared });
    } catch (error) {
      throw new Error(
        `cannot create a memory of ${mebibytes(wasmPages * WASM_PAGE_SIZE)}: ${(error as Error).message}`,
      );
    }
    this.buffer = this.memory.buffer;
    this.bytes = new Uint8Array(this.buffer);
    this.u32 = new Uint32Array(this.buffer);
    this.i32 = new Int32Array(this.buffer);
    this.view = new DataView(this.buffer);
    this.firstFrame = this.overheadEnd / PAGE_SIZE;
    this.poolFrames = pool / PAGE_SIZE;
    this.frameLimit = this.firstFrame + this.poolFrames + MOST_BORROWED;
    this.nextFrame = this.firstFrame;
    this.references = new Uint32Array(this.frameLimit);
    this.freeFrames = new Uint32Array(this.frameLimit - this.firstFrame);
  }

  /**
   * Takes a fixed, zeroed area for the life of the arena and returns its address.
   * @throws RangeError once the overhead asked for at creation is used up (a wiring error).
   */
  reserve(bytes: number, align = 16): number {
    const address = Math.ceil(this.nextReserved / align) * align;
    if (address + bytes > this.overheadEnd) {
      throw new RangeError(
        `arena: ${bytes} bytes do not fit the ${this.overheadEnd - this.nextReserved} left of its overhead; raise overheadBytes`,
      );
    }
    this.nextReserved = address + bytes;
    return address;
  }

  /** Bytes that {@link reserve} can still give. */
  get reservable(): number {
    return this.overheadEnd - this.nextReserved;
  }

  /**
   * Promises that `count` frames will be there when asked for, so that running out shows when a machine is put together
   * and never while it runs.
   * @throws RangeError if the pool has fewer.
   */
  promiseFrames(count: number): void {
    const total = this.poolFrames;
    if (this.promisedFrames + count > total) {
      throw new RangeError(
        `arena: ${mebibytes(count * PAGE_SIZE)} of guest memory asked for, ${mebibytes((total - this.promisedFrames) * PAGE_SIZE)} left ` +
          `of ${mebibytes(total * PAGE_SIZE)}`,
      );
    }
    this.promisedFrames += count;
  }

  /** Withdraws a promise; the frames themselves must have been released. */
  withdrawPromise(count: number): void {
    this.promisedFrames -= count;
  }

  /** A zeroed frame with one reference. Callers hold a promise for it. */
  allocateFrame(): number {
    if (this.framesInUse >= this.poolFrames) throw new Error('arena: more frames taken than were promised');
    let frame: number;
    if (this.freeCount > 0) {
      frame = this.freeFrames[--this.freeCount];
      this.u32.fill(0, frame * PAGE_WORDS, (frame + 1) * PAGE_WORDS);
    } else if (this.prepared.length > 0) {
      const run = this.prepared[0];
      frame = run.next++;
      this.preparedCount--;
      if (run.next === run.end) this.prepared.shift();
    } else {
      frame = this.nextFrame++;
    }
    this.references[frame] = 1;
    return frame;
  }

  /** A copy of a frame, with one reference. */
  copyFrame(source: number): number {
    const frame = this.allocateFrame();
    this.bytes.copyWithin(frame * PAGE_SIZE, source * PAGE_SIZE, (source + 1) * PAGE_SIZE);
    return frame;
  }

  /** Adds a reference. */
  retainFrame(frame: number): void {
    this.references[frame]++;
  }

  /** Drops a reference; the last one returns the frame to the pool. */
  releaseFrame(frame: number): void {
    if (this.references[frame] === 0) throw new Error(`arena: frame ${frame} released twice`);
    if (--this.references[frame] === 0) this.freeFrames[this.freeCount++] = frame;
  }

  referencesOf(frame: number): number {
    return this.references[frame];
  }

  /**
   * Lends frames that were never used, up to {@link MOST_BORROWED}, all in a row, to someone who makes the host back them
   * with memory: a guest's first touch of a page takes long otherwise. The borrower may write zeros only. Returns the
   * first of `count` frames; 0 where there are not so many, or some are lent already.
   */
  borrowFrames(count: number): number {
    if (this.borrowed > 0 || count > MOST_BORROWED || this.nextFrame + count > this.frameLimit) return 0;
    const first = this.nextFrame;
    this.nextFrame += count;
    this.borrowed = count;
    return first;
  }

  /** Gives borrowed frames back. */
  returnFrames(first: number): void {
    this.prepared.push({ next: first, end: first + this.borrowed });
    this.preparedCount += this.borrowed;
    this.borrowed = 0;
  }

  /** Frames that have been prepared and not been used yet. */
  get preparedFrames(): number {
    return this.preparedCount;
  }

  /** Frames on loan now, but for those being prepared. */
  get framesInUse(): number {
    return this.nextFrame - this.firstFrame - this.freeCount - this.preparedFrames - this.borrowed;
  }
}
