/**
 * The software TLB: direct-mapped banks in the arena that emitted code looks into on every memory access.
 *
 * A bank has a table of its own for each kind of access, so that a copy whose source and target lie a multiple of the
 * table's reach apart, or code and its data, do not push each other out. An access of n bytes at `linear` hits if
 * `((linear + n - 1) & ~0xfff)` equals the tag in entry `(linear >> 12) & (TLB_ENTRIES - 1)` of its kind's table in the current bank;
 * then its arena address is the low 32 bits of `linear` plus the addend. Accesses that cross a page therefore miss. The
 * tag of an EXECUTE entry holds the decode mode key in its low 12 bits.
 *
 * A READ or WRITE tag with bit 0 set ({@link SLOW}) never matches in emitted code, but tells the slow path that the
 * access is permitted and where it goes: pages with translated code, clean pages, ROM, pages with a breakpoint.
 */
import { type Arena, PAGE_SHIFT } from './arena.ts';
import { JumpCache } from './jump-cache.ts';
import type { PhysicalSpace, TranslationListener } from './physical.ts';

/** Byte offsets inside an entry. */
export const TLB_ENTRY = {
  /** 64 bits. */
  tag: 0,
  /** 32 bits: arena address = low half of the linear address + addend, modulo 2^32. */
  addend: 8,
  /** 32 bits, of EXECUTE entries: what the decoder gave for this page and mode. */
  codeTable: 12,
} as const;
export const TLB_ENTRY_SIZE = 16;
/** Entries of each kind: pages of 32 MiB. */
export const TLB_ENTRIES = 8192;
const TABLE_SIZE = TLB_ENTRIES * TLB_ENTRY_SIZE;
/** Kinds of access, as byte offsets of their tables in a bank. */
export const TLB_KIND = { READ: 0, WRITE: TABLE_SIZE, EXECUTE: 2 * TABLE_SIZE } as const;
const KINDS = Object.keys(TLB_KIND).length;
/**
 * Behind the tables: what entries of the jump cache for this bank have in their keys, 32 bits each for linear addresses
 * without and with bit 63.
 */
export const TLB_GENERATIONS = KINDS * TABLE_SIZE;
/** Padded to whole words of the bitmaps below. */
export const TLB_BANK_SIZE = TLB_GENERATIONS + 32 * TLB_ENTRY_SIZE;
export const TLB_BANKS = 64;

/** The same places as word offsets, for the slow path. */
export const TAG = TLB_ENTRY.tag >> 2;
export const ADDEND = TLB_ENTRY.addend >> 2;
export const CODE_TABLE = TLB_ENTRY.codeTable >> 2;
export const READ_TABLE = TLB_KIND.READ >> 2;
export const WRITE_TABLE = TLB_KIND.WRITE >> 2;
export const EXECUTE_TABLE = TLB_KIND.EXECUTE >> 2;
const ENTRY_SHIFT = Math.log2(TLB_ENTRY_SIZE >> 2);
const INDEX_MASK = TLB_ENTRIES - 1;
const BANK_WORDS = TLB_BANK_SIZE >> 2;
/** Room for entries in a bank, all kinds together: slots, numbered as they lie in the arena. */
const BANK_SLOTS = BANK_WORDS >> ENTRY_SHIFT;
const GENERATION_WORDS = TLB_GENERATIONS >> 2;
/** Halves of the linear addresses, as their generations lie. */
const LOWER = 0;
const UPPER = 1;

/** Bit 0 of a READ or WRITE tag: permitted, but only the slow path may do it. */
export const SLOW = 1;
/** Both halves of an invalid tag. */
export const INVALID = -1;
/** Mask of the page address in the low half of a tag. */
export const PAGE_MASK = ~0xfff;

/** Words of a bitmap with a bit per slot of a bank, and of one with a bit per word of that. */
const BITMAP_WORDS = BANK_SLOTS / 32;
const SUMMARY_WORDS = Math.ceil(BITMAP_WORDS / 32);

/** Linear pages, and maybe others: a bit for each, by the low bits of its number. */
class PageFilter {
  private readonly bits: Int32Array;

  /** @param size in bits, a power of 2 */
  constructor(size: number) {
    this.bits = new Int32Array(size / 32);
  }
  add(lo: number): void {
    const page = lo >>> PAGE_SHIFT;
    this.bits[(page >>> 5) & (this.bits.length - 1)] |= 1 << (page & 31);
  }
  has(lo: number): boolean {
    const page = lo >>> PAGE_SHIFT;
    return ((this.bits[(page >>> 5) & (this.bits.length - 1)] >>> (page & 31)) & 1) !== 0;
  }
  clear(): void {
    this.bits.fill(0);
  }
}
const LOWER_FILTER = 1024;
const UPPER_FILTER = 4096;

/**
 * Banks that translate global code in the upper half of the linear addresses alike: those of one ASID, paging mode and kind
 * of privilege. They have a generation in common, so that a kernel's entries of the jump cache are good in all of them.
 */
export class CodeGroup {
  generation = 0;
  /** The pages whose addresses entries of this generation may have, and the regions where such pages are parts of large ones. */
  readonly executed = new PageFilter(UPPER_FILTER);
  largeRegions = 0;
}

/** Linear regions for which a bank remembers having seen large pages: 1 GiB, the largest page there is. */
const REGION_SHIFT = 30;
const regionLow = (lo: number, hi: number) => (lo >>> REGION_SHIFT) | (hi << (32 - REGION_SHIFT));
/** Its bit in a filter of 32 bits. */
const regionBit = (lo: number, hi: number) => 1 << (regionLow(lo, hi) & 31);

/** The banks of one processor and what must be known about their entries to invalidate the right ones. */
export class TlbBanks implements TranslationListener {
  readonly count: number;
  /** Entries filled so far, for statistics. */
  fills = 0;
  /** Arena address of the first bank. */
  readonly address: number;
  /** Holds what EXECUTE entries lead to. */
  readonly jumps: JumpCache;
  private readonly physical: PhysicalSpace;
  private readonly i32: Int32Array;
  private readonly firstWord: number;
  /** Guest page behind each slot. */
  private readonly pages: Uint32Array;
  /** Slots in use; not global; cut out of a page larger than 4 KiB. Bits per bank and slot. */
  private readonly filled: Int32Array;
  private readonly local: Int32Array;
  private readonly large: Int32Array;
  /** For `filled` and `local`: the words that are not 0, and maybe others. */
  private readonly filledWords: Int32Array;
  private readonly localWords: Int32Array;
  /** Per bank, from its first use on: what it shares with others. */
  private readonly groups: (CodeGroup | undefined)[];
  /** Per bank: the pages in the lower half whose addresses entries of the jump cache may have, and whether one is global. */
  private readonly executed: PageFilter[];
  private readonly lowerIsGlobal: Uint8Array;
  /** Per bank: not empty, and a 32-bit filter of the regions with large pages. */
  private readonly used: Uint8Array;
  /**
   * Per bank: since the last flush code was entered that is in the upper half of the linear addresses and not global, and the
   * bank has a generation for itself there.
   */
  private readonly upperIsLocal: Uint8Array;
  private readonly largeRegions: Int32Array;
  /**
   * A doubly linked list per guest page of the slots that hold it, by number + 1. A slot stays in its page's list until
   * it is filled for another one, valid or not.
   */
  private readonly heads: Int32Array;
  private readonly next: Int32Array;
  private readonly previous: Int32Array;

  constructor(arena: Arena, physical: PhysicalSpace, count = TLB_BANKS) {
    this.count = count;
    this.address = arena.reserve(count * TLB_BANK_SIZE, 64);
    this.jumps = new JumpCache(arena, () => this.forgetJumps());
    this.physical = physical;
    this.i32 = arena.i32;
    this.firstWord = this.address >>> 2;
    const slots = count * BANK_SLOTS;
    this.pages = new Uint32Array(slots);
    this.filled = new Int32Array(count * BITMAP_WORDS);
    this.local = new Int32Array(count * BITMAP_WORDS);
    this.large = new Int32Array(count * BITMAP_WORDS);
    this.filledWords = new Int32Array(count * SUMMARY_WORDS);
    this.localWords = new Int32Array(count * SUMMARY_WORDS);
    this.groups = Array.from({ length: count }, () => undefined);
    this.executed = Array.from({ length: count }, () => new PageFilter(LOWER_FILTER));
    this.lowerIsGlobal = new Uint8Array(count);
    this.used = new Uint8Array(count);
    this.upperIsLocal = new Uint8Array(count);
    this.largeRegions = new Int32Array(count);
    this.heads = new Int32Array(physical.pageCount);
    this.next = new Int32Array(slots);
    this.previous = new Int32Array(slots);
    physical.attach(this);
  }

  /**
   * Makes a bank ready for use by others, before any other call for it. Those never used take no memory from the host.
   *
   * @param like a bank of the same group, if there is one
   */
  open(bank: number, like: number | undefined): void {
    if (this.groups[bank]) this.empty(bank, false);
    else {
      const first = this.firstWord + bank * BANK_WORDS;
      this.i32.fill(INVALID, first, first + BANK_WORDS);
    }
    let group = like === undefined ? undefined : this.groups[like];
    if (!group) {
      group = new CodeGroup();
      group.generation = this.jumps.generation();
    }
    this.groups[bank] = group;
    this.setGeneration(bank, LOWER, this.jumps.generation());
    this.setGeneration(bank, UPPER, group.generation);
  }

  private setGeneration(bank: number, half: number, generation: number): void {
    this.i32[this.firstWord + bank * BANK_WORDS + GENERATION_WORDS + half] = generation;
  }

  /** Makes the jump cache's entries for code void that a group shares. */
  private renewGroup(group: CodeGroup): void {
    group.generation = this.jumps.generation();
    for (let bank = 0; bank < this.count; bank++) {
      if (this.groups[bank] === group && this.upperIsLocal[bank] === 0)
        this.setGeneration(bank, UPPER, group.generation);
    }
  }

  /** Makes all entries of the jump cache void. */
  forgetJumps(): void {
    for (const group of new Set(this.groups)) if (group) this.renewGroup(group);
    for (let bank = 0; bank < this.count; bank++) {
      if (!this.groups[bank]) continue;
      this.setGeneration(bank, LOWER, this.jumps.generation());
      if (this.upperIsLocal[bank] !== 0) this.setGeneration(bank, UPPER, this.jumps.generation());
    }
  }

  /** Arena address of a bank. */
  addressOf(bank: number): number {
    return this.address + bank * TLB_BANK_SIZE;
  }

  /** Index in the arena's 32-bit words of the entry for a linear page in a table ({@link READ_TABLE} and so on). */
  entryWord(bank: number, table: number, lo: number): number {
    return this.firstWord + bank * BANK_WORDS + table + (((lo >>> PAGE_SHIFT) & INDEX_MASK) << ENTRY_SHIFT);
  }

  private slotOf(entry: number): number {
    return (entry - this.firstWord) >> ENTRY_SHIFT;
  }

  private entryOf(slot: number): number {
    return this.firstWord + (slot << ENTRY_SHIFT);
  }

  /** Guest page behind an entry. */
  pageAt(entry: number): number {
    return this.pages[this.slotOf(entry)];
  }

  /**
   * Enters a translation in one table and returns the entry's word index.
   *
   * @param tagBits low 12 bits of the tag: {@link SLOW}, or the mode key of an EXECUTE entry
   * @param page guest page
   * @param frameAddress arena address of the page's frame
   */
  fill(
    bank: number,
    table: number,
    lo: number,
    hi: number,
    tagBits: number,
    page: number,
    frameAddress: number,
    isGlobal: boolean,
    isLarge: boolean,
  ): number {
    this.fills++;
    const i32 = this.i32;
    const entry = this.entryWord(bank, table, lo);
    const tag = lo & PAGE_MASK;
    i32[entry + TAG] = tag | tagBits;
    i32[entry + TAG + 1] = hi;
    i32[entry + ADDEND] = (frameAddress - tag) | 0;

    const slot = this.slotOf(entry);
    if (this.pages[slot] !== page || this.previous[slot] === 0) this.link(slot, page);
    this.used[bank] = 1;
    if (table === EXECUTE_TABLE) this.noteCode(bank, lo, hi, isGlobal, isLarge);
    const word = slot >>> 5;
    const bit = 1 << (slot & 31);
    const inBank = word - bank * BITMAP_WORDS;
    const summary = bank * SUMMARY_WORDS + (inBank >>> 5);
    this.filled[word] |= bit;
    this.filledWords[summary] |= 1 << (inBank & 31);
    if (isGlobal) this.local[word] &= ~bit;
    else {
      this.local[word] |= bit;
      this.localWords[summary] |= 1 << (inBank & 31);
    }
    if (isLarge) {
      this.large[word] |= bit;
      this.largeRegions[bank] |= regionBit(lo, hi);
    } else {
      this.large[word] &= ~bit;
    }
    return entry;
  }

  /** Code can be entered that could not before. */
  private noteCode(bank: number, lo: number, hi: number, isGlobal: boolean, isLarge: boolean): void {
    if (hi >= 0) {
      this.executed[bank].add(lo);
      if (isGlobal) this.lowerIsGlobal[bank] = 1;
    } else if (isGlobal) {
      const group = this.groups[bank]!;
      group.executed.add(lo);
      if (isLarge) group.largeRegions |= regionBit(lo, hi);
    } else if (this.upperIsLocal[bank] === 0) {
      this.upperIsLocal[bank] = 1;
      this.setGeneration(bank, UPPER, this.jumps.generation());
    }
  }

  /** Moves a slot to the list of a page. The first slot's `previous` is minus the page, less one. */
  private link(slot: number, page: number): void {
    const { heads, next, previous } = this;
    const before = previous[slot];
    if (before !== 0) {
      const after = next[slot];
      if (before > 0) next[before - 1] = after;
      else heads[-before - 1] = after;
      if (after !== 0) previous[after - 1] = before;
      previous[slot] = 0;
    }
    this.pages[slot] = page;
    // no one asks for pages of devices
    if (page >= heads.length) return;
    const first = heads[page];
    next[slot] = first;
    previous[slot] = -page - 1;
    if (first !== 0) previous[first - 1] = slot + 1;
    heads[page] = slot + 1;
  }

  /** Turns a slow WRITE entry into a fast one. */
  allowFastWrites(entry: number): void {
    this.i32[entry + TAG] &= ~SLOW;
  }

  // ---- invalidation by linear address

  private clear(entry: number): void {
    this.i32[entry + TAG] = INVALID;
    this.i32[entry + TAG + 1] = INVALID;
  }

  /** Drops the translation of a linear page, and all those that share a large page with it. */
  dropLinear(bank: number, lo: number, hi: number): void {
    const region = regionLow(lo, hi);
    const isLarge = (this.largeRegions[bank] & regionBit(lo, hi)) !== 0;
    this.dropCode(bank, lo, hi, isLarge);
    if (this.used[bank] === 0) return;
    this.clear(this.entryWord(bank, READ_TABLE, lo));
    this.clear(this.entryWord(bank, WRITE_TABLE, lo));
    this.clear(this.entryWord(bank, EXECUTE_TABLE, lo));
    if (!isLarge) return;
    this.forEachBit(this.large, bank, (slot) => {
      const entry = this.entryOf(slot);
      if (regionLow(this.i32[entry + TAG], this.i32[entry + TAG + 1]) === region) this.clear(entry);
    });
  }

  /**
   * Makes the entries of the jump cache void that may be in a linear page, or in the large page around it: in the upper half
   * those too that were made through other banks, which may be gone.
   */
  private dropCode(bank: number, lo: number, hi: number, isLarge: boolean): void {
    if (hi >= 0) {
      if (isLarge || this.executed[bank].has(lo)) this.setGeneration(bank, LOWER, this.jumps.generation());
      return;
    }
    const group = this.groups[bank]!;
    if (group.largeRegions & regionBit(lo, hi) || group.executed.has(lo)) this.renewGroup(group);
    if (this.upperIsLocal[bank] !== 0) this.setGeneration(bank, UPPER, this.jumps.generation());
  }

  /** Calls `action` with the slots of a bank whose bits are set. */
  private forEachBit(bitmap: Int32Array, bank: number, action: (slot: number) => void): void {
    for (let word = bank * BITMAP_WORDS; word < (bank + 1) * BITMAP_WORDS; word++) {
      let bits = bitmap[word];
      while (bits !== 0) {
        const bit = 31 - Math.clz32(bits);
        bits &= ~(1 << bit);
        action(word * 32 + bit);
      }
    }
  }

  private readonly clearSlot = (slot: number): void => this.clear(this.entryOf(slot));

  /** Empties a bank, or leaves global translations in it. */
  flush(bank: number, keepGlobal: boolean): void {
    // what is global may be known to other banks of the group only
    const group = this.groups[bank];
    if (group && !keepGlobal) this.renewGroup(group);
    if (this.used[bank] === 0) return;
    this.setGeneration(bank, LOWER, this.jumps.generation());
    this.empty(bank, keepGlobal);
  }

  /** The same without what the other banks of its group must know. */
  private empty(bank: number, keepGlobal: boolean): void {
    if (this.upperIsLocal[bank] !== 0) {
      this.upperIsLocal[bank] = 0;
      this.setGeneration(bank, UPPER, this.groups[bank]!.generation);
    }
    this.clearSlots(bank, keepGlobal ? this.local : this.filled, keepGlobal ? this.localWords : this.filledWords);
    if (!keepGlobal || this.lowerIsGlobal[bank] === 0) this.executed[bank].clear();
    if (keepGlobal) return;
    this.lowerIsGlobal[bank] = 0;
    this.used[bank] = 0;
    this.largeRegions[bank] = 0;
  }

  /** Invalidates the slots of a bitmap with this summary, `filled` or `local`, and clears both. */
  private clearSlots(bank: number, victims: Int32Array, summary: Int32Array): void {
    const { filled, large, local, i32 } = this;
    for (let at = bank * SUMMARY_WORDS, base = bank * BITMAP_WORDS; at < (bank + 1) * SUMMARY_WORDS; at++, base += 32) {
      for (let words = summary[at]; words !== 0; words &= words - 1) {
        const word = base + 31 - Math.clz32(words & -words);
        const cleared = victims[word];
        for (let bits = cleared; bits !== 0; bits &= bits - 1) {
          const tag = this.entryOf(word * 32 + 31 - Math.clz32(bits & -bits)) + TAG;
          i32[tag] = INVALID;
          i32[tag + 1] = INVALID;
        }
        filled[word] &= ~cleared;
        large[word] &= ~cleared;
        local[word] = 0;
      }
      summary[at] = 0;
      if (victims === filled) this.localWords[at] = 0;
    }
  }

  // ---- invalidation by guest page

  private isOfTable(slot: number, table: number): boolean {
    return (slot % BANK_SLOTS) >> Math.log2(TLB_ENTRIES) === table / (TABLE_SIZE >> 2);
  }

  revokeWrites(page: number): void {
    if (page >= this.heads.length) return;
    for (let at = this.heads[page]; at !== 0; at = this.next[at - 1]) {
      if (this.isOfTable(at - 1, WRITE_TABLE)) this.revoke(this.entryOf(at - 1));
    }
  }

  private revoke(entry: number): void {
    if (this.i32[entry + TAG] !== INVALID) this.i32[entry + TAG] |= SLOW;
  }

  dropPage(page: number): void {
    if (page >= this.heads.length) return;
    if (this.physical.granules[page] !== 0) this.forgetJumps();
    for (let at = this.heads[page]; at !== 0; at = this.next[at - 1]) this.clearSlot(at - 1);
  }

  /** The code table given for a page is no longer good. */
  dropExecute(page: number): void {
    if (page >= this.heads.length) return;
    this.forgetJumps();
    for (let at = this.heads[page]; at !== 0; at = this.next[at - 1]) {
      if (this.isOfTable(at - 1, EXECUTE_TABLE)) this.clearSlot(at - 1);
    }
  }

  /** No code table is good any longer. */
  dropAllExecute(): void {
    this.forgetJumps();
    this.forEachUsedEntry(EXECUTE_TABLE, (entry) => this.clear(entry));
  }

  revokeAllWrites(): void {
    this.forEachUsedEntry(WRITE_TABLE, (entry) => this.revoke(entry));
  }

  dropAll(): void {
    for (let bank = 0; bank < this.count; bank++) this.flush(bank, false);
  }

  private forEachUsedEntry(table: number, action: (entry: number) => void): void {
    for (let bank = 0; bank < this.count; bank++) {
      if (this.used[bank] === 0) continue;
      const first = this.firstWord + bank * BANK_WORDS + table;
      for (let i = 0; i < TLB_ENTRIES; i++) action(first + (i << ENTRY_SHIFT));
    }
  }
}
