/**
 * The slow path of emitted code: complete accesses to linear memory, and instruction fetch.
 *
 * Linear addresses travel as two signed 32-bit halves. Nothing here throws or allocates.
 */
import type { Log } from '../../bus/log.ts';
import { Vector } from '../../isa/stage.ts';
import { CS, SS, segmentOffset } from '../context.ts';
import type { Cpu } from '../cpu.ts';
import { setFault } from '../fault.ts';
import type { CpuModel } from '../model.ts';
import { word } from '../state.ts';
import { type Arena, PAGE_SIZE } from './arena.ts';
import { AccessClass, FETCH, PageWalker, PagingFormat, READ, Right, WRITE } from './paging.ts';
import { PageFlag, type PhysicalSpace } from './physical.ts';
import {
  ADDEND,
  CODE_TABLE,
  EXECUTE_TABLE,
  INVALID,
  PAGE_MASK,
  READ_TABLE,
  SLOW,
  TAG,
  type TlbBanks,
  WRITE_TABLE,
} from './tlb.ts';
import type { Translation } from './translation.ts';

/** Layout of the `info` argument of the slow paths. */
export const AccessInfo = {
  /** Bits 7:0: 1, 2, 4, 8 or 16 bytes. */
  BYTES_MASK: 0xff,
  /** Bits 15:8: segment register number. */
  SEGMENT_SHIFT: 8,
  SEGMENT_MASK: 0xff,
  /** A load that needs write permission too, because a store of the same place follows. */
  READ_MODIFY_WRITE: 1 << 16,
} as const;

/** Results of locating a page: not in memory (device or ROM write), or a fault that is described in the context. */
export const ELSEWHERE = 0;
export const FAULT = -1;

const SLOW_VALUE = word('slowValue');
const MODE = word('mode');
/** Address bits that must equal each other: 63:47, or 63:56 with five levels (SDM vol. 1 3.3.7.1). */
const CANONICAL_SHIFT = 15;
const CANONICAL_SHIFT_5_LEVEL = 24;
/** Segment attributes: L bit. */
const ATTRIBUTE_LONG = 1 << 9;

export interface SlowPathOptions {
  readonly cpu: Cpu;
  readonly arena: Arena;
  readonly physical: PhysicalSpace;
  readonly translation: Translation;
  /** MAXPHYADDR. */
  readonly physicalAddressBits: number;
  readonly vendor: CpuModel['vendor'];
  readonly log: Log;
  /** What goes into `codeTable` of a TLB entry filled for execution. */
  readonly codeTableFor: (page: number, mode: number) => number;
}

/** One processor's slow path. */
export class SlowPath {
  /** Guest page of the last {@link translateExecute}. */
  executePage = 0;

  protected readonly cpu: Cpu;
  protected readonly physical: PhysicalSpace;
  protected readonly translation: Translation;
  private readonly banks: TlbBanks;
  private readonly walker: PageWalker;
  private readonly log: Log;
  private readonly codeTableFor: (page: number, mode: number) => number;
  private readonly i32: Int32Array;
  protected readonly bytes: Uint8Array;
  private readonly view: DataView;
  /** `slowValue` as bytes and words: where data of the access in progress is. */
  private readonly value: Uint8Array;
  protected readonly value32: Uint32Array;

  /** Guest page of the last {@link locate} that did not hit a fast tag, and whether it holds code. */
  protected page = 0;
  protected holdsCode = false;
  /** Bank and class of the access in progress. */
  private bank = 0;
  private accessClass: number = AccessClass.SUPERVISOR;

  constructor(options: SlowPathOptions) {
    this.cpu = options.cpu;
    this.physical = options.physical;
    this.translation = options.translation;
    this.banks = options.translation.banks;
    this.walker = new PageWalker(
      options.cpu,
      options.physical,
      options.physicalAddressBits,
      options.vendor,
      options.translation.nestedCache,
    );
    this.log = options.log;
    this.codeTableFor = options.codeTableFor;
    this.i32 = options.arena.i32;
    this.bytes = options.arena.bytes;
    this.view = options.arena.view;
    this.value = new Uint8Array(options.arena.buffer, this.cpu.base + SLOW_VALUE * 4, 16);
    this.value32 = new Uint32Array(options.arena.buffer, this.cpu.base + SLOW_VALUE * 4, 4);
  }

  // ---- translation

  private isCanonical(hi: number): boolean {
    const { format } = this.translation.space;
    const sign = hi >> (format === PagingFormat.LONG_5_LEVEL ? CANONICAL_SHIFT_5_LEVEL : CANONICAL_SHIFT);
    return sign === 0 || sign === -1;
  }

  private nonCanonical(segment: number): typeof FAULT {
    setFault(this.cpu, segment === SS ? Vector.SS : Vector.GP, 0);
    return FAULT;
  }

  /**
   * Arena address of the byte at a linear address for a READ or WRITE, entering its page in the TLB; ELSEWHERE if the
   * access must go through {@link PhysicalSpace} (page in `this.page`), FAULT if it may not take place.
   */
  protected locate(lo: number, hi: number, access: number, segment: number): number {
    const table = access === READ ? READ_TABLE : WRITE_TABLE;
    const entry = this.banks.entryWord(this.bank, table, lo);
    const tag = lo & PAGE_MASK;
    const i32 = this.i32;
    const known = i32[entry + TAG];
    if ((known & ~SLOW) === tag && i32[entry + TAG + 1] === hi) {
      if (access !== READ && known !== tag) return this.locateForWrite(lo, hi, entry);
      this.holdsCode = false;
      return (lo + i32[entry + ADDEND]) >>> 0;
    }
    if (!this.isCanonical(hi)) return this.nonCanonical(segment);
    if (this.walker.translate(this.translation.space, lo, hi, access, this.accessClass) !== 0) return FAULT;
    this.page = this.walker.page;
    const writable = access === READ || this.physical.frameForWrite(this.page) !== 0;
    const frame = this.physical.frameForRead(this.page);
    if (frame === 0) return ELSEWHERE;
    this.enter(lo, hi, frame, table);
    if (!writable) return ELSEWHERE;
    this.holdsCode = access === WRITE && (this.physical.flags[this.page] & PageFlag.HAS_CODE) !== 0;
    return frame * PAGE_SIZE + (lo & 0xfff);
  }

  /**
   * Enters the walker's result in one table of the current bank. What is written is mostly read too: a write enters the
   * page for reading unless another page's entry would have to give way.
   */
  private enter(lo: number, hi: number, frame: number, table: number): void {
    const { rights, page } = this.walker;
    const slowOnly =
      this.accessClass === AccessClass.USER_ALIGNMENT_CHECKED || this.translation.breakpoints.watches(lo, hi);
    if (table === READ_TABLE) {
      this.fill(READ_TABLE, lo, hi, frame, slowOnly);
      return;
    }
    this.fill(WRITE_TABLE, lo, hi, frame, slowOnly || !this.physical.isFreelyWritable(page));
    if (!(rights & Right.READ)) return;
    const entry = this.banks.entryWord(this.bank, READ_TABLE, lo);
    const tag = this.i32[entry + TAG];
    if (tag === INVALID || ((tag & PAGE_MASK) === (lo & PAGE_MASK) && this.i32[entry + TAG + 1] === hi))
      this.fill(READ_TABLE, lo, hi, frame, slowOnly);
  }

  private fill(table: number, lo: number, hi: number, frame: number, slowOnly: boolean): void {
    const { isGlobal, isLarge, page } = this.walker;
    this.banks.fill(this.bank, table, lo, hi, slowOnly ? SLOW : 0, page, frame * PAGE_SIZE, isGlobal, isLarge);
  }

  /** A permitted write through a slow entry: makes the frame writable and the entry fast if nothing speaks against it. */
  private locateForWrite(lo: number, hi: number, entry: number): number {
    const { physical } = this;
    const page = this.banks.pageAt(entry);
    this.page = page;
    const before = physical.frames[page];
    const frame = physical.frameForWrite(page);
    if (frame === 0) return ELSEWHERE;
    this.holdsCode = (physical.flags[page] & PageFlag.HAS_CODE) !== 0;
    // A copied frame has dropped the entry; the next access enters it again.
    if (
      frame === before &&
      !this.holdsCode &&
      this.accessClass !== AccessClass.USER_ALIGNMENT_CHECKED &&
      !this.translation.breakpoints.watches(lo, hi)
    ) {
      this.banks.allowFastWrites(entry);
    }
    return frame * PAGE_SIZE + (lo & 0xfff);
  }

  /** High half of the address of the byte after a page, which wraps at 4 GiB outside 64-bit mode. */
  protected nextPageHigh(lo: number, hi: number): number {
    if ((lo & PAGE_MASK) !== PAGE_MASK) return hi;
    if (!this.translation.space.longMode) return 0;
    const attributes = this.cpu.view.getUint16(segmentOffset(CS, 'attributes'), true);
    return hi === 0 && !(attributes & ATTRIBUTE_LONG) ? 0 : (hi + 1) | 0;
  }

  protected begin(system: boolean): void {
    const { translation } = this;
    translation.follow();
    if (system) {
      this.accessClass = translation.systemClass;
      this.bank = translation.bankFor(this.accessClass);
    } else {
      this.accessClass = translation.accessClass;
      this.bank = translation.bank;
    }
  }

  /** #GP or #SS for an access whose end is not canonical: comes before anything about its beginning. */
  private runsOut(lo: number, hi: number, bytes: number, segment: number): boolean {
    if ((lo & 0xfff) + bytes <= PAGE_SIZE || this.isCanonical(this.nextPageHigh(lo, hi))) return false;
    this.nonCanonical(segment);
    return true;
  }

  /** #AC for an unaligned access with alignment checking on (SDM vol. 3A 6.15). */
  private misaligned(lo: number, hi: number, bytes: number): boolean {
    if (!this.isCanonical(hi)) return false;
    if (this.accessClass !== AccessClass.USER_ALIGNMENT_CHECKED || (lo & (Math.min(bytes, 8) - 1)) === 0) return false;
    setFault(this.cpu, Vector.AC, 0);
    return true;
  }

  // ---- slow path of emitted code

  /** Loads into the context's `slowValue`, zero-extended. `info`: {@link AccessInfo}. 0: done, 1: a fault is pending. */
  slowLoad(lo: number, hi: number, info: number): number {
    this.begin(false);
    const bytes = info & AccessInfo.BYTES_MASK;
    const segment = (info >>> AccessInfo.SEGMENT_SHIFT) & AccessInfo.SEGMENT_MASK;
    return this.load(lo | 0, hi | 0, bytes, (info & AccessInfo.READ_MODIFY_WRITE) !== 0 ? WRITE : READ, segment);
  }

  /** Stores from the context's `slowValue`. 0: done, 1: a fault is pending and nothing was written. */
  slowStore(lo: number, hi: number, info: number): number {
    this.begin(false);
    return this.store(
      lo | 0,
      hi | 0,
      info & AccessInfo.BYTES_MASK,
      (info >>> AccessInfo.SEGMENT_SHIFT) & AccessInfo.SEGMENT_MASK,
    );
  }

  protected load(lo: number, hi: number, bytes: number, access: number, segment: number): number {
    if (this.runsOut(lo, hi, bytes, segment) || this.misaligned(lo, hi, bytes)) return 1;
    const { value32, view } = this;
    if ((lo & 0xfff) + bytes <= PAGE_SIZE) {
      const address = this.locate(lo, hi, access, segment);
      if (address === FAULT) return 1;
      if (address === ELSEWHERE) {
        this.loadElsewhere(lo & 0xfff, bytes);
      } else if (bytes === 8) {
        value32[0] = view.getUint32(address, true);
        value32[1] = view.getUint32(address + 4, true);
      } else {
        value32[1] = 0;
        if (bytes === 4) value32[0] = view.getUint32(address, true);
        else if (bytes === 1) value32[0] = this.bytes[address];
        else if (bytes === 2) value32[0] = view.getUint16(address, true);
        else for (let i = 0; i < 4; i++) value32[i] = view.getUint32(address + 4 * i, true);
      }
    } else if (this.loadCrossing(lo, hi, bytes, access, segment) !== 0) {
      return 1;
    }
    if (this.translation.breakpoints.active) this.translation.breakpoints.accessed(lo, hi, bytes, access === WRITE);
    return 0;
  }

  protected store(lo: number, hi: number, bytes: number, segment: number): number {
    if (this.runsOut(lo, hi, bytes, segment) || this.misaligned(lo, hi, bytes)) return 1;
    const { value32, view } = this;
    if ((lo & 0xfff) + bytes <= PAGE_SIZE) {
      const address = this.locate(lo, hi, WRITE, segment);
      if (address === FAULT) return 1;
      if (address === ELSEWHERE) {
        this.storeElsewhere(lo & 0xfff, bytes);
      } else {
        if (bytes === 8) {
          view.setUint32(address, value32[0], true);
          view.setUint32(address + 4, value32[1], true);
        } else if (bytes === 4) view.setUint32(address, value32[0], true);
        else if (bytes === 1) this.bytes[address] = value32[0];
        else if (bytes === 2) view.setUint16(address, value32[0], true);
        else for (let i = 0; i < 4; i++) view.setUint32(address + 4 * i, value32[i], true);
        if (this.holdsCode) this.physical.noteWrite(this.page, lo & 0xfff, bytes);
      }
    } else if (this.storeCrossing(lo, hi, bytes, segment) !== 0) {
      return 1;
    }
    if (this.translation.breakpoints.active) this.translation.breakpoints.accessed(lo, hi, bytes, true);
    return 0;
  }

  /** Size of the next naturally aligned piece of an access to a device. */
  private piece(offset: number, left: number): 1 | 2 | 4 {
    if (left >= 4 && (offset & 3) === 0) return 4;
    return left >= 2 && (offset & 1) === 0 ? 2 : 1;
  }

  private loadElsewhere(offset: number, bytes: number): void {
    const { page, value } = this;
    value.fill(0);
    for (let done = 0; done < bytes; ) {
      const size = this.piece(offset + done, bytes - done);
      let piece = this.physical.readWithinPage(page, offset + done, size);
      for (let i = 0; i < size; i++, piece >>>= 8) value[done + i] = piece;
      done += size;
    }
  }

  private storeElsewhere(offset: number, bytes: number): void {
    const { page, value } = this;
    for (let done = 0; done < bytes; ) {
      const size = this.piece(offset + done, bytes - done);
      let piece = 0;
      for (let i = size - 1; i >= 0; i--) piece = (piece << 8) | value[done + i];
      this.physical.writeWithinPage(page, offset + done, size, piece >>> 0);
      done += size;
    }
  }

  private loadCrossing(lo: number, hi: number, bytes: number, access: number, segment: number): number {
    const first = PAGE_SIZE - (lo & 0xfff);
    const address1 = this.locate(lo, hi, access, segment);
    if (address1 === FAULT) return 1;
    const page1 = this.page;
    const address2 = this.locate((lo + first) | 0, this.nextPageHigh(lo, hi), access, segment);
    if (address2 === FAULT) return 1;
    const page2 = this.page;
    const { value } = this;
    for (let i = 0; i < bytes; i++) {
      if (i < first)
        value[i] =
          address1 !== ELSEWHERE ? this.bytes[address1 + i] : this.physical.readWithinPage(page1, (lo & 0xfff) + i, 1);
      else
        value[i] =
          address2 !== ELSEWHERE ? this.bytes[address2 + i - first] : this.physical.readWithinPage(page2, i - first, 1);
    }
    value.fill(0, bytes);
    return 0;
  }

  private storeCrossing(lo: number, hi: number, bytes: number, segment: number): number {
    const first = PAGE_SIZE - (lo & 0xfff);
    const address1 = this.locate(lo, hi, WRITE, segment);
    if (address1 === FAULT) return 1;
    const page1 = this.page;
    const code1 = this.holdsCode;
    const address2 = this.locate((lo + first) | 0, this.nextPageHigh(lo, hi), WRITE, segment);
    if (address2 === FAULT) return 1;
    const page2 = this.page;
    const code2 = this.holdsCode;
    const { value } = this;
    for (let i = 0; i < bytes; i++) {
      if (i < first) {
        if (address1 !== ELSEWHERE) this.bytes[address1 + i] = value[i];
        else this.physical.writeWithinPage(page1, (lo & 0xfff) + i, 1, value[i]);
      } else if (address2 !== ELSEWHERE) this.bytes[address2 + i - first] = value[i];
      else this.physical.writeWithinPage(page2, i - first, 1, value[i]);
    }
    if (address1 !== ELSEWHERE && code1) this.physical.noteWrite(page1, lo & 0xfff, first);
    if (address2 !== ELSEWHERE && code2) this.physical.noteWrite(page2, 0, bytes - first);
    return 0;
  }

  // ---- instruction fetch

  /**
   * Translates for instruction fetch and fills the execute tag and code table of the page's TLB entry. Returns the arena
   * address of the byte, or 0 with the fault pending; the guest page is left in `executePage`.
   */
  translateExecute(lo: number, hi: number): number {
    this.begin(false);
    lo |= 0;
    hi |= 0;
    const mode = this.cpu.u32[MODE];
    const i32 = this.i32;
    const hit = this.banks.entryWord(this.bank, EXECUTE_TABLE, lo);
    if (i32[hit + TAG] === ((lo & PAGE_MASK) | mode) && i32[hit + TAG + 1] === hi) {
      this.executePage = this.banks.pageAt(hit);
      return (lo + i32[hit + ADDEND]) >>> 0;
    }
    if (!this.isCanonical(hi)) {
      this.nonCanonical(CS);
      return 0;
    }
    if (this.walker.translate(this.translation.space, lo, hi, FETCH, this.accessClass) !== 0) return 0;
    const { page } = this.walker;
    let frame = this.physical.frameForRead(page);
    if (frame === 0) {
      if (this.log.enabled('guest-error')) {
        this.log.write(
          'guest-error',
          `instruction fetch from device memory at 0x${(page * PAGE_SIZE + (lo & 0xfff)).toString(16)}`,
        );
      }
      // No instruction starts with ones: #UD.
      frame = this.physical.undrivenFrame;
    }
    const codeTable = this.codeTableFor(page, mode);
    const { isGlobal, isLarge } = this.walker;
    const address = frame * PAGE_SIZE;
    const entry = this.banks.fill(this.bank, EXECUTE_TABLE, lo, hi, mode, page, address, isGlobal, isLarge);
    i32[entry + CODE_TABLE] = codeTable;
    this.executePage = page;
    return frame * PAGE_SIZE + (lo & 0xfff);
  }

  /** What the TLB knows of the page of a linear address for instruction fetch; looks no further. */
  mappedPage(lo: number, hi: number): { page: number; table: number; host: number } | undefined {
    const { bank } = this.translation;
    const entry = this.banks.entryWord(bank, EXECUTE_TABLE, lo);
    const i32 = this.i32;
    const tag = lo & PAGE_MASK;
    if (i32[entry + TAG] !== (tag | this.cpu.u32[MODE]) || i32[entry + TAG + 1] !== (hi | 0)) return undefined;
    const host = (tag + i32[entry + ADDEND]) >>> 0;
    return { page: this.banks.pageAt(entry), table: i32[entry + CODE_TABLE] >>> 0, host };
  }

  /** Code table of the page {@link translateExecute} was last asked for. */
  codeTable(lo: number): number {
    return this.i32[this.banks.entryWord(this.translation.bank, EXECUTE_TABLE, lo) + CODE_TABLE] >>> 0;
  }

  /** Guest page of the same. */
  guestPage(): number {
    return this.executePage;
  }
}
