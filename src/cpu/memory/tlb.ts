/**
 * The software TLB: direct-mapped banks in the arena that emitted code looks into on every memory access.
 *
 * An access of n bytes at `linear` hits if `((linear + n - 1) & ~0xfff)` equals the tag of its kind in entry
 * `(linear >> 12) & 1023` of the current bank; then its arena address is the low 32 bits of `linear` plus the addend.
 * Accesses that cross a page therefore miss. The execute tag holds the decode mode key in its low 12 bits.
 *
 * A read or write tag with bit 0 set ({@link SLOW}) never matches in emitted code, but tells the slow path that the
 * access is permitted and where it goes: pages with translated code, clean pages, ROM, pages with a breakpoint.
 */
import { type Arena, PAGE_SHIFT } from './arena.ts';
import type { PhysicalSpace, TranslationListener } from './physical.ts';

/** Byte offsets inside an entry. */
export const TLB_ENTRY = {
  readTag: 0,
  writeTag: 8,
  executeTag: 16,
  /** 32 bits: arena address = low half of the linear address + addend, modulo 2^32. */
  addend: 24,
  /** 32 bits: what the decoder gave for this page and mode. */
  codeTable: 28,
} as const;
export const TLB_ENTRY_SIZE = 32;
export const TLB_ENTRIES = 1024;
export const TLB_BANK_SIZE = TLB_ENTRIES * TLB_ENTRY_SIZE;
export const TLB_BANKS = 64;

/** The same places as word offsets, for the slow path. */
export const READ_TAG = TLB_ENTRY.readTag >> 2;
export const WRITE_TAG = TLB_ENTRY.writeTag >> 2;
export const EXECUTE_TAG = TLB_ENTRY.executeTag >> 2;
export const ADDEND = TLB_ENTRY.addend >> 2;
export const CODE_TABLE = TLB_ENTRY.codeTable >> 2;
export const ENTRY_WORDS = TLB_ENTRY_SIZE >> 2;
export const INDEX_MASK = TLB_ENTRIES - 1;
const BANK_WORDS = TLB_BANK_SIZE >> 2;

/** Bit 0 of a read or write tag: permitted, but only the slow path may do it. */
export const SLOW = 1;
/** Both halves of an invalid tag. */
const INVALID = -1;
/** Mask of the page address in the low half of a tag. */
export const PAGE_MASK = ~0xfff;

/** How a fill enters a kind of access. */
export const Grant = { NONE: 0, SLOW: 1, FAST: 2 } as const;

/** Words of a bitmap with a bit per entry of a bank. */
const BITMAP_WORDS = TLB_ENTRIES / 32;
/** A page hint that gives no single entry: all have to be looked at. */
const MANY = 0xffff_ffff;

/** Linear regions for which a bank remembers having seen large pages: 1 GiB, the largest page there is. */
const REGION_SHIFT = 30;
const regionLow = (lo: number, hi: number) => (lo >>> REGION_SHIFT) | (hi << (32 - REGION_SHIFT));

/** The banks of one processor and what must be known about their entries to invalidate the right ones. */
export class TlbBanks implements TranslationListener {
  readonly count: number;
  /** Entries filled so far, for statistics. */
  fills = 0;
  /** Arena address of the first bank. */
  readonly address: number;
  private readonly i32: Int32Array;
  private readonly firstWord: number;
  /** Guest page behind each entry. */
  private readonly pages: Uint32Array;
  /** Entries in use; not global; cut out of a page larger than 4 KiB. Bits per bank and entry. */
  private readonly filled: Int32Array;
  private readonly local: Int32Array;
  private readonly large: Int32Array;
  /** Per bank: not empty, and a 32-bit filter of the regions with large pages. */
  private readonly used: Uint8Array;
  private readonly largeRegions: Int32Array;
  /**
   * Per guest page, where it can be found: 0 nowhere, n entry n - 1 only, {@link MANY} anywhere. May name entries that
   * have gone. Kept for fast write tags apart, since code pages are revoked often and shared widely.
   */
  private readonly holders: Uint32Array;
  private readonly writers: Uint32Array;

  constructor(arena: Arena, physical: PhysicalSpace, count = TLB_BANKS) {
    this.count = count;
    this.address = arena.reserve(count * TLB_BANK_SIZE, TLB_BANK_SIZE);
    this.i32 = arena.i32;
    this.firstWord = this.address >>> 2;
    this.pages = new Uint32Array(count * TLB_ENTRIES);
    this.filled = new Int32Array(count * BITMAP_WORDS);
    this.local = new Int32Array(count * BITMAP_WORDS);
    this.large = new Int32Array(count * BITMAP_WORDS);
    this.used = new Uint8Array(count);
    this.largeRegions = new Int32Array(count);
    this.holders = new Uint32Array(physical.pageCount);
    this.writers = new Uint32Array(physical.pageCount);
    this.i32.fill(INVALID, this.firstWord, this.firstWord + count * BANK_WORDS);
    physical.attach(this);
  }

  /** Arena address of a bank. */
  addressOf(bank: number): number {
    return this.address + bank * TLB_BANK_SIZE;
  }

  /** Index in the arena's 32-bit words of the entry for a linear page. */
  entryWord(bank: number, lo: number): number {
    return this.firstWord + bank * BANK_WORDS + ((lo >>> PAGE_SHIFT) & INDEX_MASK) * ENTRY_WORDS;
  }

  /** Guest page behind an entry. */
  pageAt(bank: number, lo: number): number {
    return this.pages[bank * TLB_ENTRIES + ((lo >>> PAGE_SHIFT) & INDEX_MASK)];
  }

  /**
   * Enters a translation and returns the entry's word index. An execute tag of the same translation stays.
   * `frameAddress` is the arena address of the page's frame.
   */
  fill(
    bank: number,
    lo: number,
    hi: number,
    page: number,
    frameAddress: number,
    read: number,
    write: number,
    isGlobal: boolean,
    isLarge: boolean,
  ): number {
    this.fills++;
    const i32 = this.i32;
    const index = (lo >>> PAGE_SHIFT) & INDEX_MASK;
    const entry = this.firstWord + bank * BANK_WORDS + index * ENTRY_WORDS;
    const tag = lo & PAGE_MASK;
    const addend = (frameAddress - tag) | 0;
    if (
      i32[entry + ADDEND] !== addend ||
      (i32[entry + EXECUTE_TAG] & PAGE_MASK) !== tag ||
      i32[entry + EXECUTE_TAG + 1] !== hi
    ) {
      i32[entry + EXECUTE_TAG] = INVALID;
      i32[entry + EXECUTE_TAG + 1] = INVALID;
      i32[entry + ADDEND] = addend;
    }
    i32[entry + READ_TAG] = read === Grant.FAST ? tag : read === Grant.SLOW ? tag | SLOW : INVALID;
    i32[entry + READ_TAG + 1] = read === Grant.NONE ? INVALID : hi;
    i32[entry + WRITE_TAG] = write === Grant.FAST ? tag : write === Grant.SLOW ? tag | SLOW : INVALID;
    i32[entry + WRITE_TAG + 1] = write === Grant.NONE ? INVALID : hi;

    const slot = bank * TLB_ENTRIES + index;
    this.pages[slot] = page;
    this.used[bank] = 1;
    const word = bank * BITMAP_WORDS + (index >>> 5);
    const bit = 1 << (index & 31);
    this.filled[word] |= bit;
    if (isGlobal) this.local[word] &= ~bit;
    else this.local[word] |= bit;
    if (isLarge) {
      this.large[word] |= bit;
      this.largeRegions[bank] |= 1 << (regionLow(lo, hi) & 31);
    } else {
      this.large[word] &= ~bit;
    }
    this.hint(this.holders, page, slot);
    if (write === Grant.FAST) this.hint(this.writers, page, slot);
    return entry;
  }

  /** Turns a slow write tag into a fast one. */
  allowFastWrites(bank: number, lo: number): void {
    const index = (lo >>> PAGE_SHIFT) & INDEX_MASK;
    this.i32[this.firstWord + bank * BANK_WORDS + index * ENTRY_WORDS + WRITE_TAG] = lo & PAGE_MASK;
    const slot = bank * TLB_ENTRIES + index;
    this.hint(this.writers, this.pages[slot], slot);
  }

  private hint(hints: Uint32Array, page: number, slot: number): void {
    if (page >= hints.length) return;
    const old = hints[page];
    if (old === 0 || (old !== MANY && this.pages[old - 1] !== page)) hints[page] = slot + 1;
    else if (old !== slot + 1) hints[page] = MANY;
  }

  // ---- invalidation by linear address

  private clear(bank: number, index: number): void {
    this.clearEntry(this.firstWord + bank * BANK_WORDS + index * ENTRY_WORDS);
  }

  /** Drops the translation of a linear page, and all those that share a large page with it. */
  dropLinear(bank: number, lo: number, hi: number): void {
    if (this.used[bank] === 0) return;
    const index = (lo >>> PAGE_SHIFT) & INDEX_MASK;
    this.clear(bank, index);
    const region = regionLow(lo, hi);
    if (!(this.largeRegions[bank] & (1 << (region & 31)))) return;
    for (let word = 0; word < BITMAP_WORDS; word++) {
      let bits = this.large[bank * BITMAP_WORDS + word];
      while (bits !== 0) {
        const bit = 31 - Math.clz32(bits);
        bits &= ~(1 << bit);
        if (this.isInRegion(bank, word * 32 + bit, region)) this.clear(bank, word * 32 + bit);
      }
    }
  }

  private isInRegion(bank: number, index: number, region: number): boolean {
    const entry = this.firstWord + bank * BANK_WORDS + index * ENTRY_WORDS;
    // Whichever tag is valid has the linear address; the read tag is missing on execute-only fills (SMAP).
    const tag = this.i32[entry + READ_TAG] === INVALID ? entry + EXECUTE_TAG : entry + READ_TAG;
    return regionLow(this.i32[tag], this.i32[tag + 1]) === region;
  }

  /** Empties a bank, or leaves global translations in it. */
  flush(bank: number, keepGlobal: boolean): void {
    if (this.used[bank] === 0) return;
    const victims = keepGlobal ? this.local : this.filled;
    for (let word = bank * BITMAP_WORDS; word < (bank + 1) * BITMAP_WORDS; word++) {
      let bits = victims[word];
      if (bits === 0) continue;
      this.filled[word] &= ~bits;
      this.large[word] &= ~bits;
      this.local[word] = 0;
      const first = (word - bank * BITMAP_WORDS) * 32;
      while (bits !== 0) {
        const bit = 31 - Math.clz32(bits);
        bits &= ~(1 << bit);
        this.clear(bank, first + bit);
      }
    }
    if (keepGlobal) return;
    this.used[bank] = 0;
    this.largeRegions[bank] = 0;
  }

  // ---- invalidation by guest page

  /** Calls `action` with the entry word of every filled entry of a guest page; `hints` tells where to look. */
  private forEachEntryOf(hints: Uint32Array, page: number, action: (entry: number) => void): void {
    if (page >= hints.length) return;
    const hint = hints[page];
    if (hint === 0) return;
    hints[page] = 0;
    if (hint !== MANY) {
      if (this.pages[hint - 1] === page) action(this.firstWord + (hint - 1) * ENTRY_WORDS);
      return;
    }
    for (let bank = 0; bank < this.count; bank++) {
      if (this.used[bank] === 0) continue;
      for (let slot = bank * TLB_ENTRIES; slot < (bank + 1) * TLB_ENTRIES; slot++) {
        if (this.pages[slot] === page) action(this.firstWord + slot * ENTRY_WORDS);
      }
    }
  }

  private readonly revokeEntry = (entry: number): void => {
    if (this.i32[entry + WRITE_TAG] !== INVALID) this.i32[entry + WRITE_TAG] |= SLOW;
  };
  private readonly clearEntry = (entry: number): void => {
    const i32 = this.i32;
    for (let tag = entry + READ_TAG; tag < entry + ADDEND; tag++) i32[tag] = INVALID;
  };
  private readonly clearExecuteTag = (entry: number): void => {
    this.i32[entry + EXECUTE_TAG] = INVALID;
    this.i32[entry + EXECUTE_TAG + 1] = INVALID;
  };

  revokeWrites(page: number): void {
    this.forEachEntryOf(this.writers, page, this.revokeEntry);
  }

  dropPage(page: number): void {
    this.forEachEntryOf(this.holders, page, this.clearEntry);
  }

  /** The code table given for a page is no longer good. */
  dropExecute(page: number): void {
    const hint = page < this.holders.length ? this.holders[page] : 0;
    this.forEachEntryOf(this.holders, page, this.clearExecuteTag);
    if (hint !== 0) this.holders[page] = hint;
  }

  /** No code table is good any longer. */
  dropAllExecute(): void {
    this.forEachUsedEntry(this.clearExecuteTag);
  }

  revokeAllWrites(): void {
    this.forEachUsedEntry(this.revokeEntry);
    this.writers.fill(0);
  }

  dropAll(): void {
    for (let bank = 0; bank < this.count; bank++) this.flush(bank, false);
    this.holders.fill(0);
    this.writers.fill(0);
  }

  private forEachUsedEntry(action: (entry: number) => void): void {
    for (let bank = 0; bank < this.count; bank++) {
      if (this.used[bank] === 0) continue;
      const first = this.firstWord + bank * BANK_WORDS;
      for (let entry = first; entry < first + BANK_WORDS; entry += ENTRY_WORDS) action(entry);
    }
  }
}
