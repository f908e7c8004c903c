/**
 * The page walk: every paging mode of SDM vol. 3A chapter 4 and APM vol. 2 chapter 5, and nested paging (APM vol. 2
 * 15.25). Physical addresses are page numbers (JavaScript numbers) and word indexes; entries are taken in 32-bit halves.
 *
 * Nothing here throws or allocates: a failing walk describes the page fault or #VMEXIT in the context and returns 1.
 */
import { setPageFault } from '../fault.ts';
import type { CpuModel } from '../model.ts';
import { type CpuState, Pending, word } from '../state.ts';
import { PAGE_WORDS } from './arena.ts';
import type { NestedCache } from './nested-cache.ts';
import type { PhysicalSpace } from './physical.ts';

/** Layout of a set of paging structures. */
export const PagingFormat = { NONE: 0, LEGACY: 1, PAE: 2, LONG: 3, LONG_5_LEVEL: 4 } as const;

/** Everything the walk must know of one address space; derived from the control registers once. */
export interface PagingMode {
  readonly format: number;
  /** CR0.WP. */
  readonly writeProtect: boolean;
  /** EFER.NXE, where the format has NX bits. */
  readonly noExecute: boolean;
  /** CR4.PSE. */
  readonly pageSizeExtension: boolean;
  /** CR4.PGE. */
  readonly globalPages: boolean;
  /** CR4.SMEP. */
  readonly smep: boolean;
  /** Format of the nested page tables; NONE without nested paging. */
  readonly nestedFormat: number;
  /** Host EFER.NXE as of VMRUN. */
  readonly nestedNoExecute: boolean;
  /** Host CR4.SMEP as of VMRUN: of no effect, as all accesses are a user's, but it makes fetches show in error codes. */
  readonly nestedSmep: boolean;
  /** Host CR4.PSE as of VMRUN. */
  readonly nestedPageSizeExtension: boolean;
  /** Page of the top-level table and its first word there (PAE tables need not be page-aligned). */
  rootPage: number;
  rootWord: number;
  nestedRootPage: number;
  nestedRootWord: number;
}

/**
 * Who accesses: decides over U/S, SMAP and alignment checks. SUPERVISOR_SMAP is supervisor access with SMAP in force:
 * CR4.SMAP set and the access implicit or RFLAGS.AC clear (SDM vol. 3A 4.6).
 */
export const AccessClass = { USER: 0, USER_ALIGNMENT_CHECKED: 1, SUPERVISOR: 2, SUPERVISOR_SMAP: 3 } as const;
export const ACCESS_CLASSES = 4;
export const isUser = (accessClass: number): boolean => accessClass < AccessClass.SUPERVISOR;

/** Page-fault error code (SDM vol. 3A figure 4-12); READ, WRITE and FETCH are also how accesses are asked for. */
export const PageFaultCode = { PRESENT: 1, WRITE: 2, USER: 4, RESERVED: 8, FETCH: 16 } as const;
export const READ = 0;
export const WRITE = PageFaultCode.WRITE;
export const FETCH = PageFaultCode.FETCH;

/** What a translation allows the access class that asked. WRITE only once the dirty bits are set. */
export const Right = { READ: 1, WRITE: 2, EXECUTE: 4 } as const;

const rightFor = (access: number) => (access === FETCH ? Right.EXECUTE : access === WRITE ? Right.WRITE : Right.READ);

// Bits of paging-structure entries, low half (SDM vol. 3A tables 4-5 to 4-20).
const PRESENT = 1;
const WRITABLE = 2;
const USER = 4;
const ACCESSED = 1 << 5;
const DIRTY = 1 << 6;
const PAGE_SIZE_BIT = 1 << 7;
const GLOBAL = 1 << 8;
/** High half: execute-disable (bit 63). */
const NO_EXECUTE = 1 << 31;
/** High half: physical address bits 51:32. */
const ADDRESS_HIGH = 0xf_ffff;
/** High half of PAE entries: bits 62:52 are reserved, unlike with four levels. */
const PAE_RESERVED_HIGH = 0x7ff0_0000;
/** PAE PDPTE: bits 2:1 and 8:5 are reserved (SDM vol. 3A table 4-8). */
const PAE_PDPTE_RESERVED = 0x1e6;
/** Low half: address bits that must be zero in 2 MiB, 1 GiB and 4 MiB pages; bit 12 is PAT. */
const RESERVED_2M = 0x001f_e000;
const RESERVED_1G = 0x3fff_e000;
/** Pages in a 2 MiB, 1 GiB and 4 MiB page, less one. */
const PAGES_2M = 0x1ff;
const PAGES_1G = 0x3_ffff;
const PAGES_4M = 0x3ff;
/** Pages in 4 GiB: weight of the high half of an address. */
const PAGES_4G = 0x10_0000;

/** Ways a walk over tables ends. */
const Outcome = { OK: 0, NOT_PRESENT: 1, RESERVED: 2, NESTED_FAULT: 3 } as const;

/** #VMEXIT code of a nested page fault (APM vol. 2 appendix C). */
const VMEXIT_NPF = 0x400;
/** EXITINFO1 of a nested page fault, high half (APM vol. 2 15.25.6): bits 32 and 33. */
const NPF_FINAL = 1;
const NPF_TABLE = 2;

const PENDING = word('pending');
const EXIT_CODE = word('exitCode');
const EXIT_INFO_1 = word('exitInfo1');
const EXIT_INFO_2 = word('exitInfo2');

/** PSE-36 gives 4 MiB pages at most 40 address bits (SDM vol. 3A 4.3). */
const PSE_36_BITS = 40;

/** Walks paging structures for one processor. Results are left in the public fields. */
export class PageWalker {
  /** Guest page of a successful translation. */
  page = 0;
  /** {@link Right}s of the access class that asked. */
  rights = 0;
  isGlobal = false;
  /** Cut out of a page larger than 4 KiB. */
  isLarge = false;

  private readonly cpu: CpuState;
  private readonly physical: PhysicalSpace;
  private readonly frames: Uint32Array;
  private readonly i32: Int32Array;
  /** High half of entries: address bits from MAXPHYADDR up to 51. */
  private readonly reservedAddressHigh: number;
  /** Low half of a 4 MiB page's entry: what PSE-36 reserves. */
  private readonly reserved4M: number;
  /** Low half of PML4 and PML5 entries: G is reserved on AMD processors (APM vol. 2 figure 5-18), ignored on Intel's. */
  private readonly reservedTop: number;

  // Results of the walk over one set of tables.
  private leafPage = 0;
  private leafLow = 0;
  private leafEntryPage = 0;
  private leafEntryWord = 0;
  private leafIsLarge = false;
  /** Low halves of all entries ANDed, high halves ORed. */
  private allLow = 0;
  private anyHigh = 0;
  /** {@link Right}s given by the last nested translation. */
  private nestedRights = 0;
  private readonly nestedCache: NestedCache;

  /** `physicalAddressBits` is MAXPHYADDR, 32 to 52. `nestedCache` must serve the nested tables of the modes given. */
  constructor(
    cpu: CpuState,
    physical: PhysicalSpace,
    physicalAddressBits: number,
    vendor: CpuModel['vendor'],
    nestedCache: NestedCache,
  ) {
    this.cpu = cpu;
    this.nestedCache = nestedCache;
    this.physical = physical;
    this.frames = physical.frames;
    this.i32 = physical.arena.i32;
    this.reservedAddressHigh = ADDRESS_HIGH & -(2 ** (physicalAddressBits - 32));
    // Bits 20:13 of the entry are address bits 39:32; those at MAXPHYADDR and above are reserved, and bit 21 always.
    const bits = Math.min(physicalAddressBits, PSE_36_BITS) - 32;
    this.reservedTop = vendor === 'amd' ? GLOBAL : 0;
    this.reserved4M = (1 << 21) | ((0xff & -(1 << bits)) << 13);
  }

  /**
   * Translates one page for an access (READ, WRITE or FETCH) of a class, setting accessed and dirty bits. The linear
   * address must be canonical, and below 4 GiB outside long mode. 0: `page`, `rights`, `isGlobal`, `isLarge` hold the
   * result; 1: the context's pending fields describe the fault.
   */
  translate(mode: PagingMode, lo: number, hi: number, access: number, accessClass: number): number {
    let rights: number = Right.READ | Right.WRITE | Right.EXECUTE;
    this.isGlobal = false;
    this.isLarge = false;
    let page = lo >>> 12;
    const nested = mode.nestedFormat !== PagingFormat.NONE;
    if (mode.format !== PagingFormat.NONE) {
      const outcome = this.walk(
        mode.format,
        mode.rootPage,
        mode.rootWord,
        lo,
        hi,
        mode.noExecute,
        mode.pageSizeExtension,
        nested ? mode : undefined,
      );
      if (outcome === Outcome.NESTED_FAULT) return 1;
      const user = isUser(accessClass);
      if (outcome !== Outcome.OK)
        return this.pageFault(
          mode,
          lo,
          hi,
          access,
          user,
          outcome === Outcome.RESERVED ? PRESENT | PageFaultCode.RESERVED : 0,
        );
      const userPage = (this.allLow & USER) !== 0;
      rights = 0;
      if (user ? userPage : !(userPage && accessClass === AccessClass.SUPERVISOR_SMAP)) {
        rights = Right.READ;
        if (this.allLow & WRITABLE || (!user && !mode.writeProtect)) rights |= Right.WRITE;
      }
      if (this.anyHigh >= 0 && (user ? userPage : !(userPage && mode.smep))) rights |= Right.EXECUTE;
      if (!(rights & rightFor(access))) return this.pageFault(mode, lo, hi, access, user, PRESENT);
      this.finishLeaf(access);
      if (!(this.leafLow & DIRTY)) rights &= ~Right.WRITE;
      this.isGlobal = mode.globalPages && (this.leafLow & GLOBAL) !== 0;
      this.isLarge = this.leafIsLarge;
      page = this.leafPage;
    }
    if (nested) {
      page = this.translateNested(mode, page, lo & 0xfff, access, NPF_FINAL);
      if (page < 0) return 1;
      rights &= this.nestedRights;
    }
    this.page = page;
    this.rights = rights;
    return 0;
  }

  private pageFault(mode: PagingMode, lo: number, hi: number, access: number, user: boolean, code: number): number {
    const shown = access === FETCH && !mode.noExecute && !mode.smep ? READ : access;
    setPageFault(this.cpu, lo, hi, code | shown | (user ? PageFaultCode.USER : 0));
    return 1;
  }

  /**
   * Translates a guest page through the nested page tables, as a user access of the kind given. `offset` completes the
   * guest-physical address for EXITINFO2. Returns the page, or -1 with the #VMEXIT described.
   */
  private translateNested(mode: PagingMode, page: number, offset: number, access: number, kind: number): number {
    const known = this.nestedCache.rightsOf(page);
    if (known & rightFor(access)) {
      this.nestedRights = known;
      return this.nestedCache.pageOf(page);
    }
    const lo = (page << 12) | 0;
    const hi = page < PAGES_4G ? 0 : Math.floor(page / PAGES_4G);
    // A guest-physical address the host's format has no room for is not mapped.
    const tooHigh =
      hi >
      (mode.nestedFormat === PagingFormat.LONG
        ? 0xffff
        : mode.nestedFormat === PagingFormat.LONG_5_LEVEL
          ? ADDRESS_HIGH
          : 0);
    const outcome = tooHigh
      ? Outcome.NOT_PRESENT
      : this.walk(
          mode.nestedFormat,
          mode.nestedRootPage,
          mode.nestedRootWord,
          lo,
          hi,
          mode.nestedNoExecute,
          mode.nestedPageSizeExtension,
          undefined,
        );
    let code = 0;
    if (outcome === Outcome.OK) {
      const allLow = this.allLow;
      const executable = this.anyHigh >= 0;
      const allowed = allLow & USER && (access !== WRITE || allLow & WRITABLE) && (access !== FETCH || executable);
      if (allowed) {
        this.finishLeaf(access);
        this.nestedRights =
          Right.READ | (allLow & WRITABLE && this.leafLow & DIRTY ? Right.WRITE : 0) | (executable ? Right.EXECUTE : 0);
        this.nestedCache.remember(page, this.leafPage, this.nestedRights);
        return this.leafPage;
      }
      code = PRESENT;
    } else if (outcome === Outcome.RESERVED) {
      code = PRESENT | PageFaultCode.RESERVED;
    }
    const shown = access === FETCH && !mode.nestedNoExecute && !mode.nestedSmep ? READ : access;
    const u32 = this.cpu.u32;
    u32[PENDING] = Pending.GUEST_EXIT;
    u32[EXIT_CODE] = VMEXIT_NPF;
    u32[EXIT_CODE + 1] = 0;
    u32[EXIT_INFO_1] = code | shown | PageFaultCode.USER;
    u32[EXIT_INFO_1 + 1] = kind;
    u32[EXIT_INFO_2] = lo | offset;
    u32[EXIT_INFO_2 + 1] = hi;
    return -1;
  }

  /** Sets the accessed bit of the leaf just found, and the dirty bit for a write. */
  private finishLeaf(access: number): void {
    const bits = access === WRITE ? ACCESSED | DIRTY : ACCESSED;
    if ((this.leafLow & bits) === bits) return;
    this.leafLow |= bits;
    this.physical.setWordBits(this.leafEntryPage, this.leafEntryWord, bits);
  }

  /**
   * Walks one set of tables down to the leaf and sets the accessed bits above it. With `nesting`, the tables lie in
   * nested-paged guest memory; their own translation is always a write (APM vol. 2 15.25.6).
   */
  private walk(
    format: number,
    rootPage: number,
    rootWord: number,
    lo: number,
    hi: number,
    noExecute: boolean,
    pageSizeExtension: boolean,
    nesting: PagingMode | undefined,
  ): number {
    if (format === PagingFormat.LEGACY) return this.walk32(rootPage, lo, pageSizeExtension, nesting);
    let reservedHigh = noExecute ? this.reservedAddressHigh : this.reservedAddressHigh | NO_EXECUTE;
    if (format === PagingFormat.PAE) reservedHigh |= PAE_RESERVED_HIGH;
    let level = format === PagingFormat.LONG ? 3 : format === PagingFormat.PAE ? 2 : 4;
    let tablePage = rootPage;
    let tableWord = rootWord;
    let allLow = -1;
    let anyHigh = 0;
    for (;;) {
      let index: number;
      if (level === 0) index = (lo >>> 12) & 511;
      else if (level === 1) index = (lo >>> 21) & 511;
      else if (level === 2) index = (lo >>> 30) | ((hi << 2) & 511);
      else if (level === 3) index = (hi >>> 7) & 511;
      else index = (hi >>> 16) & 511;
      const word = tableWord + index * 2;
      if (nesting !== undefined) {
        tablePage = this.translateNested(nesting, tablePage, word << 2, WRITE, NPF_TABLE);
        if (tablePage < 0) return Outcome.NESTED_FAULT;
      }
      const frame = tablePage < this.frames.length ? this.frames[tablePage] : 0;
      let low: number;
      let high: number;
      if (frame !== 0) {
        low = this.i32[frame * PAGE_WORDS + word];
        high = this.i32[frame * PAGE_WORDS + word + 1];
      } else {
        low = this.physical.readWord(tablePage, word) | 0;
        high = this.physical.readWord(tablePage, word + 1) | 0;
      }
      if (!(low & PRESENT)) return Outcome.NOT_PRESENT;
      if (high & reservedHigh || (level > 2 && low & this.reservedTop)) return Outcome.RESERVED;
      const target = (high & ADDRESS_HIGH) * PAGES_4G + (low >>> 12);
      if (level === 2 && format === PagingFormat.PAE) {
        if (low & PAE_PDPTE_RESERVED || high & NO_EXECUTE) return Outcome.RESERVED;
      } else {
        allLow &= low;
        anyHigh |= high;
        if (level === 0 || low & PAGE_SIZE_BIT) {
          if (level === 0) {
            this.leafPage = target;
            this.leafIsLarge = false;
          } else {
            const inside = level === 1 ? PAGES_2M : PAGES_1G;
            if (level > 2 || low & (level === 1 ? RESERVED_2M : RESERVED_1G)) return Outcome.RESERVED;
            // Bit 12 is PAT, not address.
            this.leafPage = target - (target & inside) + ((lo >>> 12) & inside);
            this.leafIsLarge = true;
          }
          this.leafLow = low;
          this.leafEntryPage = tablePage;
          this.leafEntryWord = word;
          this.allLow = allLow;
          this.anyHigh = anyHigh;
          return Outcome.OK;
        }
        if (!(low & ACCESSED)) this.physical.setWordBits(tablePage, word, ACCESSED);
      }
      tablePage = target;
      tableWord = 0;
      level--;
    }
  }

  /** 32-bit paging (SDM vol. 3A 4.3). */
  private walk32(rootPage: number, lo: number, pageSizeExtension: boolean, nesting: PagingMode | undefined): number {
    let tablePage = rootPage;
    let word = lo >>> 22;
    let allLow = -1;
    for (let level = 1; ; level--) {
      if (nesting !== undefined) {
        tablePage = this.translateNested(nesting, tablePage, word << 2, WRITE, NPF_TABLE);
        if (tablePage < 0) return Outcome.NESTED_FAULT;
      }
      const low = this.physical.readWord(tablePage, word) | 0;
      if (!(low & PRESENT)) return Outcome.NOT_PRESENT;
      allLow &= low;
      const isLarge = level === 1 && pageSizeExtension && (low & PAGE_SIZE_BIT) !== 0;
      if (level === 0 || isLarge) {
        if (isLarge) {
          if (low & this.reserved4M) return Outcome.RESERVED;
          const high = (low >>> 13) & 0xff;
          this.leafPage = high * PAGES_4G + ((low >>> 12) & ~PAGES_4M) + ((lo >>> 12) & PAGES_4M);
        } else {
          this.leafPage = low >>> 12;
        }
        this.leafIsLarge = isLarge;
        this.leafLow = low;
        this.leafEntryPage = tablePage;
        this.leafEntryWord = word;
        this.allLow = allLow;
        this.anyHigh = 0;
        return Outcome.OK;
      }
      if (!(low & ACCESSED)) this.physical.setWordBits(tablePage, word, ACCESSED);
      tablePage = low >>> 12;
      word = (lo >>> 12) & 0x3ff;
    }
  }
}
