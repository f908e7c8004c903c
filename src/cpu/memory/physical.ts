/**
 * The guest-physical address space of one machine: a table from guest page to arena frame, filled on demand. Addresses
 * and page numbers are JavaScript numbers, exact to 2^52.
 *
 * What is neither RAM nor ROM belongs to devices and is reached through {@link MmioBus}.
 */
import type { Log } from '../../bus/log.ts';
import type { AccessSize } from '../../bus/ports.ts';
import type { PhysicalMemory } from '../cpu.ts';
import { type Arena, PAGE_SIZE, PAGE_WORDS } from './arena.ts';

/** Facts about a guest page, kept in {@link PhysicalSpace.flags}. */
export const PageFlag = {
  /** Backed by memory (RAM or ROM), whether or not a frame was taken yet. */
  MEMORY: 1,
  /** ROM, or RAM the board has write-protected: writes are dropped. */
  READ_ONLY: 2,
  /** Translated code exists; writes must report themselves. */
  HAS_CODE: 4,
  /** Written since the flag was last cleared. */
  DIRTY: 8,
  /** The frame may have other owners: copy before the first write. */
  SHARED: 16,
} as const;
const { MEMORY, READ_ONLY, HAS_CODE, DIRTY, SHARED } = PageFlag;
const WRITE_MASK = MEMORY | READ_ONLY | HAS_CODE | DIRTY | SHARED;
/** `flags & WRITE_MASK` of a page that may be written without any ado. */
const FREELY_WRITABLE = MEMORY | DIRTY;

/** Bytes of a code granule: a page has 32 of them, a bit each. */
export const GRANULE_SIZE = 128;
const GRANULE_SHIFT = 7;

/** The memory-mapped side of the machine's devices. `address` is guest-physical and naturally aligned for `size`. */
export interface MmioBus {
  readMmio(address: number, size: AccessSize): number;
  writeMmio(address: number, size: AccessSize, value: number): void;
}

/** A translation cache, which must learn when pages change their nature. */
export interface TranslationListener {
  /** No write to the page may take the fast path from now on. */
  revokeWrites(page: number): void;
  /** The same for all pages. */
  revokeAllWrites(): void;
  /** The page's frame has changed or gone. */
  dropPage(page: number): void;
  /** Any page's frame may have changed. */
  dropAll(): void;
}

export interface PhysicalSpaceOptions {
  /** End of the highest RAM or ROM, in bytes. */
  readonly limit: number;
  readonly mmio: MmioBus;
  readonly log: Log;
}

/** Bits of the granules that `length` bytes at page offset `offset` touch. */
function granuleMask(offset: number, length: number): number {
  const first = offset >>> GRANULE_SHIFT;
  const last = (offset + length - 1) >>> GRANULE_SHIFT;
  return (0xffff_ffff >>> (31 - last)) & (0xffff_ffff << first);
}

const hex = (n: number) => `0x${n.toString(16)}`;

/** Guest-physical memory as the processor sees it; device accesses are split into naturally aligned ones of up to 4 bytes. */
export class PhysicalSpace implements PhysicalMemory {
  readonly arena: Arena;
  /** Guest pages the tables cover; pages from here on belong to devices. */
  readonly pageCount: number;
  /** Arena address of {@link frames}. */
  readonly framesAddress: number;
  /** Frame of each guest page; 0 if it has none (yet). */
  readonly frames: Uint32Array;
  /** {@link PageFlag}s of each guest page. */
  readonly flags: Uint8Array;
  /** Granules with translated code, for each guest page. */
  readonly granules: Uint32Array;
  /** Told of writes to granules with translated code, after the write. */
  codeWritten: (page: number, offset: number, length: number) => void = () => {};

  /** A frame of all ones, as an undriven bus reads: what instruction fetches from device memory get. */
  readonly undrivenFrame: number;

  private readonly mmio: MmioBus;
  private readonly log: Log;
  private readonly listeners: TranslationListener[] = [];

  /** Bytes of arena overhead a space with this limit takes. */
  static overheadBytes(limit: number): number {
    return Math.ceil(limit / PAGE_SIZE) * 4 + 3 * PAGE_SIZE;
  }

  constructor(arena: Arena, { limit, mmio, log }: PhysicalSpaceOptions) {
    this.arena = arena;
    this.mmio = mmio;
    this.log = log;
    this.pageCount = Math.ceil(limit / PAGE_SIZE);
    this.framesAddress = arena.reserve(this.pageCount * 4, 64);
    this.frames = new Uint32Array(arena.buffer, this.framesAddress, this.pageCount);
    this.flags = new Uint8Array(this.pageCount);
    const undriven = arena.reserve(PAGE_SIZE, PAGE_SIZE);
    arena.bytes.fill(0xff, undriven, undriven + PAGE_SIZE);
    this.undrivenFrame = undriven / PAGE_SIZE;
    this.granules = new Uint32Array(this.pageCount);
  }

  // ---- what is where

  /** Registers a translation cache. */
  attach(listener: TranslationListener): void {
    this.listeners.push(listener);
  }

  /**
   * Makes a range RAM. Pages are zero and take no frame until used.
   * @throws RangeError if the range is not page-aligned, beyond the limit, already memory, or more than the arena can back.
   */
  addRam(base: number, length: number): void {
    this.addMemory(base, length, MEMORY);
  }

  /** Makes a range ROM with the given contents; the last page is filled up with zeros. Errors as {@link addRam}. */
  addRom(base: number, contents: Uint8Array): void {
    const length = Math.ceil(contents.length / PAGE_SIZE) * PAGE_SIZE;
    this.addMemory(base, length, MEMORY);
    this.copyIn(base, contents);
    this.setWritable(base, length, false);
  }

  private addMemory(base: number, length: number, flags: number): void {
    const { first, end } = this.pageRange(base, length);
    for (let page = first; page < end; page++) {
      if (this.flags[page] & MEMORY) throw new RangeError(`there is memory at ${hex(page * PAGE_SIZE)} already`);
    }
    this.arena.promiseFrames(end - first);
    this.flags.fill(flags, first, end);
    for (const listener of this.listeners) listener.dropAll();
  }

  /** Takes memory away again; its contents are lost. */
  remove(base: number, length: number): void {
    const { first, end } = this.pageRange(base, length);
    for (let page = first; page < end; page++) {
      if (!(this.flags[page] & MEMORY)) continue;
      this.dropContents(page);
      this.flags[page] = 0;
      this.arena.withdrawPromise(1);
    }
    for (const listener of this.listeners) listener.dropAll();
  }

  /** Gives the frames of a RAM range back; it reads as zeros from now on (dynamic memory, balloons). */
  discard(base: number, length: number): void {
    const { first, end } = this.pageRange(base, length);
    for (let page = first; page < end; page++) {
      if ((this.flags[page] & (MEMORY | READ_ONLY)) !== MEMORY) continue;
      this.dropContents(page);
      this.flags[page] |= DIRTY;
    }
    for (const listener of this.listeners) listener.dropAll();
  }

  private dropContents(page: number): void {
    if (this.flags[page] & HAS_CODE) this.codeWritten(page, 0, PAGE_SIZE);
    this.clearCode(page);
    if (this.frames[page] !== 0) this.arena.releaseFrame(this.frames[page]);
    this.frames[page] = 0;
    this.flags[page] &= ~(SHARED | DIRTY);
  }

  /** Write-protects memory against the guest, or lifts that (firmware shadowing). */
  setWritable(base: number, length: number, writable: boolean): void {
    const { first, end } = this.pageRange(base, length);
    for (let page = first; page < end; page++) {
      if (writable) this.flags[page] &= ~READ_ONLY;
      else this.flags[page] |= READ_ONLY;
    }
    for (const listener of this.listeners) listener.revokeAllWrites();
  }

  private pageRange(base: number, length: number): { first: number; end: number } {
    const first = base / PAGE_SIZE;
    const end = (base + length) / PAGE_SIZE;
    if (!Number.isInteger(first) || !Number.isInteger(end) || first < 0 || end < first) {
      throw new RangeError(`memory range ${hex(base)}+${hex(length)} is not made of whole pages`);
    }
    if (end > this.pageCount) {
      throw new RangeError(
        `memory range ${hex(base)}+${hex(length)} ends beyond the limit of ${hex(this.pageCount * PAGE_SIZE)}`,
      );
    }
    return { first, end };
  }

  /** Whether the page is RAM or ROM. */
  isMemory(page: number): boolean {
    return page < this.pageCount && (this.flags[page] & MEMORY) !== 0;
  }

  // ---- frames

  /** The page's frame, taking one if need be; 0 if the page belongs to a device. */
  frameForRead(page: number): number {
    if (page >= this.pageCount) return 0;
    const frame = this.frames[page];
    if (frame !== 0) return frame;
    if (!(this.flags[page] & MEMORY)) return 0;
    const taken = this.arena.allocateFrame();
    this.frames[page] = taken;
    return taken;
  }

  /**
   * The page's frame, ready to be written: taken, unshared and marked dirty. 0 if writes go elsewhere (a device) or
   * nowhere (ROM). The caller reports the write if the page holds code: see {@link noteWrite}.
   */
  frameForWrite(page: number): number {
    if (page >= this.pageCount) return 0;
    const flags = this.flags[page];
    if ((flags & ~HAS_CODE) === FREELY_WRITABLE && this.frames[page] !== 0) return this.frames[page];
    if ((flags & (MEMORY | READ_ONLY)) !== MEMORY) return 0;
    this.flags[page] = (flags | DIRTY) & ~SHARED;
    const frame = this.frameForRead(page);
    if (!(flags & SHARED) || this.arena.referencesOf(frame) === 1) return frame;
    const copy = this.arena.copyFrame(frame);
    this.arena.releaseFrame(frame);
    this.frames[page] = copy;
    for (const listener of this.listeners) listener.dropPage(page);
    return copy;
  }

  /** Whether every write to the page may go straight to its frame, unreported. */
  isFreelyWritable(page: number): boolean {
    return page < this.pageCount && (this.flags[page] & WRITE_MASK) === FREELY_WRITABLE && this.frames[page] !== 0;
  }

  /** Reports bytes just written, all within one page. */
  noteWrite(page: number, offset: number, length: number): void {
    if (this.granules[page] & granuleMask(offset, length)) this.codeWritten(page, offset, length);
  }

  /** Whether a range within a page touches translated code. */
  holdsCodeAt(page: number, offset: number, length: number): boolean {
    return (this.granules[page] & granuleMask(offset, length)) !== 0;
  }

  /**
   * Adds an owner to the page's frame (a checkpoint, a fork) and write-protects it, so that the first write copies.
   * Returns the frame, 0 if the page has none. The new owner holds a promise and releases the frame.
   */
  shareFrame(page: number): number {
    const frame = this.frames[page];
    if (frame === 0) return 0;
    this.arena.retainFrame(frame);
    this.flags[page] |= SHARED;
    for (const listener of this.listeners) listener.revokeWrites(page);
    return frame;
  }

  /** Puts a retained frame (0: none) in place of the page's contents; the reference passes to this space. */
  adoptFrame(page: number, frame: number): void {
    this.dropContents(page);
    this.frames[page] = frame;
    this.flags[page] |= SHARED;
    for (const listener of this.listeners) listener.dropPage(page);
  }

  /** Clears the dirty flag everywhere; from now on it tells what was written since. */
  clearDirty(): void {
    for (let page = 0; page < this.pageCount; page++) this.flags[page] &= ~DIRTY;
    for (const listener of this.listeners) listener.revokeAllWrites();
  }

  // ---- translated code

  /** Records that code was translated from `length` bytes of a page; writes to them will be reported. */
  markCode(page: number, offset: number, length: number): void {
    if (page >= this.pageCount) return;
    this.granules[page] |= granuleMask(offset, length);
    if (this.flags[page] & HAS_CODE) return;
    this.flags[page] |= HAS_CODE;
    for (const listener of this.listeners) listener.revokeWrites(page);
  }

  /** Forgets a page's code; it is written at full speed again. */
  clearCode(page: number): void {
    if (page >= this.pageCount) return;
    this.granules[page] = 0;
    this.flags[page] &= ~HAS_CODE;
  }

  // ---- accesses of up to 8 bytes by the processor

  /** Reads 1, 2 or 4 bytes within one page, as an unsigned number. */
  readWithinPage(page: number, offset: number, size: AccessSize): number {
    if (page < this.pageCount && this.flags[page] & MEMORY) {
      const frame = this.frames[page];
      if (frame === 0) return 0;
      const address = frame * PAGE_SIZE + offset;
      if (size === 1) return this.arena.bytes[address];
      return size === 2 ? this.arena.view.getUint16(address, true) : this.arena.view.getUint32(address, true);
    }
    const address = page * PAGE_SIZE + offset;
    if (address % size === 0) return this.mmio.readMmio(address, size) >>> 0;
    const half = (size >> 1) as AccessSize;
    return (
      (this.readWithinPage(page, offset, half) | (this.readWithinPage(page, offset + half, half) << (8 * half))) >>> 0
    );
  }

  /** Writes 1, 2 or 4 bytes within one page. */
  writeWithinPage(page: number, offset: number, size: AccessSize, value: number): void {
    if (page < this.pageCount && this.flags[page] & MEMORY) {
      const frame = this.frameForWrite(page);
      if (frame === 0) {
        if (this.log.enabled('guest-error'))
          this.log.write('guest-error', `write to ROM at ${hex(page * PAGE_SIZE + offset)} ignored`);
        return;
      }
      const address = frame * PAGE_SIZE + offset;
      if (size === 1) this.arena.bytes[address] = value;
      else if (size === 2) this.arena.view.setUint16(address, value, true);
      else this.arena.view.setUint32(address, value, true);
      if (this.flags[page] & HAS_CODE) this.noteWrite(page, offset, size);
      return;
    }
    const address = page * PAGE_SIZE + offset;
    if (address % size === 0) {
      this.mmio.writeMmio(address, size, value >>> 0);
      return;
    }
    const half = (size >> 1) as AccessSize;
    this.writeWithinPage(page, offset, half, value & (half === 1 ? 0xff : 0xffff));
    this.writeWithinPage(page, offset + half, half, value >>> (8 * half));
  }

  private readNumber(address: number, size: AccessSize): number {
    const page = Math.floor(address / PAGE_SIZE);
    const offset = address - page * PAGE_SIZE;
    if (offset + size <= PAGE_SIZE) return this.readWithinPage(page, offset, size);
    const half = (size >> 1) as AccessSize;
    return (this.readNumber(address, half) | (this.readNumber(address + half, half) << (8 * half))) >>> 0;
  }
  private writeNumber(address: number, size: AccessSize, value: number): void {
    const page = Math.floor(address / PAGE_SIZE);
    const offset = address - page * PAGE_SIZE;
    if (offset + size <= PAGE_SIZE) {
      this.writeWithinPage(page, offset, size, value);
      return;
    }
    const half = (size >> 1) as AccessSize;
    this.writeNumber(address, half, value & (half === 1 ? 0xff : 0xffff));
    this.writeNumber(address + half, half, value >>> (8 * half));
  }

  /** Arena address of the page around an address, for direct reading and writing; 0 if the guest cannot write memory there. */
  hostPage(address: number): number {
    const page = Math.floor(address / PAGE_SIZE);
    const frame = this.frameForWrite(page);
    if (frame !== 0 && this.flags[page] & HAS_CODE) this.noteWrite(page, 0, PAGE_SIZE);
    return frame * PAGE_SIZE;
  }

  readU8(address: number): number {
    return this.readNumber(address, 1);
  }
  readU16(address: number): number {
    return this.readNumber(address, 2);
  }
  readU32(address: number): number {
    return this.readNumber(address, 4);
  }
  readU64(address: number): bigint {
    const low = this.readNumber(address, 4);
    return BigInt(low) | (BigInt(this.readNumber(address + 4, 4)) << 32n);
  }
  writeU8(address: number, value: number): void {
    this.writeNumber(address, 1, value);
  }
  writeU16(address: number, value: number): void {
    this.writeNumber(address, 2, value);
  }
  writeU32(address: number, value: number): void {
    this.writeNumber(address, 4, value);
  }
  writeU64(address: number, value: bigint): void {
    this.writeNumber(address, 4, Number(value & 0xffff_ffffn));
    this.writeNumber(address + 4, 4, Number((value >> 32n) & 0xffff_ffffn));
  }

  // ---- whole ranges of memory, devices excluded

  /** Copies memory into `target`; bytes that are not memory read as all ones. */
  copyOut(address: number, target: Uint8Array): void {
    for (let done = 0; done < target.length; ) {
      const page = Math.floor((address + done) / PAGE_SIZE);
      const offset = address + done - page * PAGE_SIZE;
      const count = Math.min(PAGE_SIZE - offset, target.length - done);
      if (!this.isMemory(page)) {
        target.fill(0xff, done, done + count);
      } else if (this.frames[page] === 0) {
        target.fill(0, done, done + count);
      } else {
        const from = this.frames[page] * PAGE_SIZE + offset;
        target.set(this.arena.bytes.subarray(from, from + count), done);
      }
      done += count;
    }
  }

  /** Copies `source` into memory; bytes that fall on ROM or outside memory are dropped. */
  copyIn(address: number, source: Uint8Array): void {
    for (let done = 0; done < source.length; ) {
      const page = Math.floor((address + done) / PAGE_SIZE);
      const offset = address + done - page * PAGE_SIZE;
      const count = Math.min(PAGE_SIZE - offset, source.length - done);
      const frame = this.frameForWrite(page);
      if (frame !== 0) {
        this.arena.bytes.set(source.subarray(done, done + count), frame * PAGE_SIZE + offset);
        if (this.flags[page] & HAS_CODE) this.noteWrite(page, offset, count);
      }
      done += count;
    }
  }

  // ---- 32-bit words of paging structures, addressed by page and word index

  /** Reads one aligned 32-bit word. */
  readWord(page: number, index: number): number {
    const frame = page < this.pageCount ? this.frames[page] : 0;
    return frame !== 0 ? this.arena.u32[frame * PAGE_WORDS + index] : this.readWithinPage(page, index << 2, 4);
  }

  /** Sets bits in one aligned 32-bit word of memory (accessed and dirty flags). */
  setWordBits(page: number, index: number, bits: number): void {
    const frame = this.frameForWrite(page);
    if (frame === 0) return;
    this.arena.u32[frame * PAGE_WORDS + index] |= bits;
    if (this.flags[page] & HAS_CODE) this.noteWrite(page, index << 2, 4);
  }
}
