/**
 * Chooses the TLB bank for the processor's state and invalidates banks as the architecture demands.
 *
 * Banks belong to an {@link AddressSpace}, one for each combination of ASID, PCID and paging mode that was in use lately,
 * and within it to an access class. The page-table base is not part of the key: without PCIDs every MOV to CR3 drops
 * the non-global translations anyway, and should CR3 (or nested CR3) differ from the one a space was filled under, the
 * space drops them by itself. Translations may always be dropped early (SDM vol. 3A 4.10.4).
 */
import type { Cpu, TranslationControl } from '../cpu.ts';
import { word } from '../state.ts';
import type { Arena } from './arena.ts';
import { DataBreakpoints } from './breakpoints.ts';
import { NestedCache } from './nested-cache.ts';
import { ACCESS_CLASSES, AccessClass, isUser, PagingFormat, type PagingMode } from './paging.ts';
import type { PhysicalSpace } from './physical.ts';
import { TlbBanks } from './tlb.ts';

// Control register bits (SDM vol. 3A 2.5) and EFER (APM vol. 2 3.1.7).
const CR0_WP = 1 << 16;
const CR0_AM = 1 << 18;
const CR0_PG = 1 << 31;
const CR4_PSE = 1 << 4;
const CR4_PAE = 1 << 5;
const CR4_PGE = 1 << 7;
const CR4_LA57 = 1 << 12;
const CR4_PCIDE = 1 << 17;
const CR4_SMEP = 1 << 20;
const CR4_SMAP = 1 << 21;
const EFER_LMA = 1 << 10;
const EFER_NXE = 1 << 11;
const RFLAGS_AC = 1 << 18;

const CR0_USED = CR0_PG | CR0_WP;
const CR4_USED = CR4_PSE | CR4_PAE | CR4_PGE | CR4_LA57 | CR4_SMEP | CR4_SMAP;
const EFER_USED = EFER_LMA | EFER_NXE;
/** What `nestedPagingMode` 0 stands for. */
const DEFAULT_NESTED_MODE = EFER_LMA | EFER_NXE | CR4_PAE;

const PCID_MASK = 0xfff;
/** PAE: CR3 bits 11:5 place the page-directory-pointer table within its page, in 4-byte words. */
const PAE_ROOT_WORDS = (cr3: number) => (cr3 & 0xfe0) >>> 2;

const CR0 = word('cr0');
const CR3 = word('cr3');
const CR4 = word('cr4');
const EFER = word('efer');
const RFLAGS = word('rflags');
const CPL = word('cpl');
const GUEST_MODE = word('guestMode');
const GUEST_ASID = word('guestAsid');
const NESTED_PAGING = word('nestedPaging');
const NESTED_PAGING_MODE = word('nestedPagingMode');
const NESTED_CR3 = word('nestedCr3');
const TLB = word('tlb');
const JUMPS = word('jumps');
const TLB_SUPERVISOR = word('tlbSupervisor');
const TLB_USER = word('tlbUser');
const MODE = word('mode');
const DR7 = word('dr7');

/** No bank. */
const NONE = -1;

function formatOf(paging: boolean, long: boolean, cr4: number): number {
  if (!paging) return PagingFormat.NONE;
  if (long) return cr4 & CR4_LA57 ? PagingFormat.LONG_5_LEVEL : PagingFormat.LONG;
  return cr4 & CR4_PAE ? PagingFormat.PAE : PagingFormat.LEGACY;
}

/** Page and word of the top-level table a CR3 names. */
function rootOf(format: number, low: number, high: number): { page: number; word: number } {
  if (format === PagingFormat.LEGACY) return { page: low >>> 12, word: 0 };
  if (format === PagingFormat.PAE) return { page: low >>> 12, word: PAE_ROOT_WORDS(low) };
  return { page: (high & 0xf_ffff) * 0x10_0000 + (low >>> 12), word: 0 };
}

/** Translations that may be used together: one ASID, PCID and paging mode. */
class AddressSpace implements PagingMode {
  readonly asid: number;
  readonly pcid: number;
  /** Bits of CR0, CR4, EFER and the nested paging mode that translations depend on. */
  readonly cr0: number;
  readonly cr4: number;
  readonly efer: number;
  readonly nestedMode: number;

  readonly format: number;
  readonly writeProtect: boolean;
  readonly noExecute: boolean;
  readonly pageSizeExtension: boolean;
  readonly globalPages: boolean;
  readonly smep: boolean;
  readonly smap: boolean;
  /** EFER.LMA: linear addresses have more than 32 bits. */
  readonly longMode: boolean;
  readonly nestedFormat: number;
  readonly nestedNoExecute: boolean;
  readonly nestedSmep: boolean;
  readonly nestedPageSizeExtension: boolean;
  rootPage = 0;
  rootWord = 0;
  nestedRootPage = 0;
  nestedRootWord = 0;

  /** The page-table bases its banks were filled under. */
  cr3Low = 0;
  cr3High = 0;
  nestedCr3Low = 0;
  nestedCr3High = 0;
  /** Bank of each access class, or {@link NONE}. */
  readonly banks = new Int32Array(ACCESS_CLASSES).fill(NONE);

  /** Whether translations of another space that are global may be used in this one too. */
  hasGlobalCodeOf(other: AddressSpace): boolean {
    return (
      this.asid === other.asid &&
      this.cr0 === other.cr0 &&
      this.cr4 === other.cr4 &&
      this.efer === other.efer &&
      this.nestedMode === other.nestedMode
    );
  }

  hasNoBank(): boolean {
    for (let i = 0; i < ACCESS_CLASSES; i++) if (this.banks[i] !== NONE) return false;
    return true;
  }

  constructor(asid: number, pcid: number, cr0: number, cr4: number, efer: number, nestedMode: number) {
    this.asid = asid;
    this.pcid = pcid;
    this.cr0 = cr0;
    this.cr4 = cr4;
    this.efer = efer;
    this.nestedMode = nestedMode;
    this.longMode = (efer & EFER_LMA) !== 0;
    this.format = formatOf((cr0 & CR0_PG) !== 0, this.longMode, cr4);
    this.writeProtect = (cr0 & CR0_WP) !== 0;
    this.noExecute = (efer & EFER_NXE) !== 0 && this.format !== PagingFormat.LEGACY;
    this.pageSizeExtension = (cr4 & CR4_PSE) !== 0;
    this.globalPages = (cr4 & CR4_PGE) !== 0;
    this.smep = (cr4 & CR4_SMEP) !== 0;
    this.smap = (cr4 & CR4_SMAP) !== 0;
    this.nestedFormat = formatOf(nestedMode !== 0, (nestedMode & EFER_LMA) !== 0, nestedMode);
    this.nestedNoExecute = (nestedMode & EFER_NXE) !== 0 && this.nestedFormat !== PagingFormat.LEGACY;
    this.nestedSmep = (nestedMode & CR4_SMEP) !== 0;
    this.nestedPageSizeExtension = (nestedMode & CR4_PSE) !== 0;
  }

  setRoot(low: number, high: number): void {
    this.cr3Low = low;
    this.cr3High = high;
    const root = rootOf(this.format, low, high);
    this.rootPage = root.page;
    this.rootWord = root.word;
  }

  setNestedRoot(low: number, high: number): void {
    this.nestedCr3Low = low;
    this.nestedCr3High = high;
    const root = rootOf(this.nestedFormat, low, high);
    this.nestedRootPage = root.page;
    this.nestedRootWord = root.word;
  }
}

export interface TranslationOptions {
  readonly cpu: Cpu;
  readonly arena: Arena;
  readonly physical: PhysicalSpace;
  /** The decode mode key for the processor's state (below 4096). */
  readonly computeMode: (cpu: Cpu) => number;
  /** Number of TLB banks. */
  readonly banks?: number;
}

/**
 * Translation state of one processor. Every operation takes effect at once; MOV to CR3, CR4 or EFER first changes the
 * register, then flushes here what the manual says, then calls {@link stateChanged}. So do changes of the debug registers,
 * and nothing may run before `stateChanged` was called once.
 */
export class Translation implements TranslationControl {
  readonly banks: TlbBanks;
  readonly breakpoints: DataBreakpoints;
  readonly nestedCache = new NestedCache();
  /** Address space, access class and bank of explicit accesses now. */
  space: AddressSpace;
  accessClass: number = AccessClass.SUPERVISOR;
  bank = 0;

  private readonly cpu: Cpu;
  private readonly u32: Uint32Array;
  private readonly computeMode: (cpu: Cpu) => number;
  /** Spaces that own banks, and the current one. */
  private readonly spaces: AddressSpace[] = [];
  /** Who has each bank for which class, and when it was chosen last. */
  private readonly owners: (AddressSpace | undefined)[];
  private readonly ownerClass: Int32Array;
  private readonly lastUse: Float64Array;
  private uses = 0;

  // Raw register words under which `space` was chosen.
  private cr0 = -1;
  private cr3Low = -1;
  private cr3High = -1;
  private cr4 = -1;
  private efer = -1;
  private asid = -1;
  private nestedMode = -1;
  private nestedCr3Low = -1;
  private nestedCr3High = -1;

  constructor({ cpu, arena, physical, computeMode, banks }: TranslationOptions) {
    this.cpu = cpu;
    this.u32 = cpu.u32;
    this.computeMode = computeMode;
    this.banks = new TlbBanks(arena, physical, banks);
    this.u32[JUMPS] = this.banks.jumps.address;
    this.breakpoints = new DataBreakpoints(cpu);
    this.owners = Array.from({ length: this.banks.count }, () => undefined);
    this.ownerClass = new Int32Array(this.banks.count);
    this.lastUse = new Float64Array(this.banks.count);
    this.space = new AddressSpace(0, 0, 0, 0, 0, 0);
    this.spaces.push(this.space);
    this.bank = this.bankFor(this.accessClass);
  }

  stateChanged(): void {
    const u32 = this.u32;
    const guest = u32[GUEST_MODE];
    const nested = guest !== 0 && u32[NESTED_PAGING] !== 0;
    if (
      u32[CR0] !== this.cr0 ||
      u32[CR3] !== this.cr3Low ||
      u32[CR3 + 1] !== this.cr3High ||
      u32[CR4] !== this.cr4 ||
      u32[EFER] !== this.efer ||
      (guest === 0 ? 0 : u32[GUEST_ASID]) !== this.asid ||
      (nested ? u32[NESTED_PAGING_MODE] || DEFAULT_NESTED_MODE : 0) !== this.nestedMode ||
      (nested && (u32[NESTED_CR3] !== this.nestedCr3Low || u32[NESTED_CR3 + 1] !== this.nestedCr3High))
    ) {
      this.selectSpace(guest, nested);
    }
    this.accessClass = this.currentClass();
    this.bank = this.bankFor(this.accessClass);
    u32[TLB] = this.banks.addressOf(this.bank);
    if (u32[DR7] !== this.breakpoints.dr7 || this.breakpoints.active) {
      if (this.breakpoints.changed()) this.flushAll();
    }
    u32[MODE] = this.computeMode(this.cpu);
  }

  private currentClass(): number {
    const u32 = this.u32;
    const alignmentCheck = (u32[RFLAGS] & RFLAGS_AC) !== 0;
    if (u32[CPL] === 3)
      return alignmentCheck && u32[CR0] & CR0_AM ? AccessClass.USER_ALIGNMENT_CHECKED : AccessClass.USER;
    return this.space.smap && !alignmentCheck ? AccessClass.SUPERVISOR_SMAP : AccessClass.SUPERVISOR;
  }

  /** Emitted code changes privilege level, RFLAGS.AC and bank by itself: takes notice. */
  follow(): void {
    if (this.u32[TLB] === this.banks.addressOf(this.bank)) return;
    this.accessClass = this.currentClass();
    this.bank = this.bankFor(this.accessClass);
  }

  /** Shows emitted code the current space's banks. */
  private publishBanks(): void {
    const { banks, smap } = this.space;
    const address = (accessClass: number) =>
      banks[accessClass] === NONE ? 0 : this.banks.addressOf(banks[accessClass]);
    this.u32[TLB_SUPERVISOR] = address(smap ? AccessClass.SUPERVISOR_SMAP : AccessClass.SUPERVISOR);
    this.u32[TLB_SUPERVISOR + 1] = address(AccessClass.SUPERVISOR);
    this.u32[TLB_USER] = address(AccessClass.USER);
  }

  /** Access class of implicit supervisor accesses (descriptor tables, TSS). */
  get systemClass(): number {
    return this.space.smap ? AccessClass.SUPERVISOR_SMAP : AccessClass.SUPERVISOR;
  }

  /** Bank of an access class in the current address space. */
  bankFor(accessClass: number): number {
    const bank = this.space.banks[accessClass];
    if (bank === NONE) return this.allocateBank(accessClass);
    this.lastUse[bank] = ++this.uses;
    return bank;
  }

  private allocateBank(accessClass: number): number {
    // those of the current space may be in use without our being told
    this.noteUse(this.space);
    let bank = 0;
    for (let other = 1; other < this.lastUse.length; other++) {
      if (this.lastUse[other] < this.lastUse[bank]) bank = other;
    }
    const owner = this.owners[bank];
    if (owner !== undefined) {
      owner.banks[this.ownerClass[bank]] = NONE;
      if (owner !== this.space && owner.hasNoBank()) this.spaces.splice(this.spaces.indexOf(owner), 1);
    }
    this.owners[bank] = undefined;
    this.banks.open(bank, this.bankLike(accessClass));
    this.owners[bank] = this.space;
    this.ownerClass[bank] = accessClass;
    this.space.banks[accessClass] = bank;
    this.lastUse[bank] = ++this.uses;
    this.publishBanks();
    return bank;
  }

  /** A bank whose global code is that of a class in the current space. */
  private bankLike(accessClass: number): number | undefined {
    const bank = this.owners.findIndex(
      (owner, i) => owner?.hasGlobalCodeOf(this.space) && isUser(this.ownerClass[i]) === isUser(accessClass),
    );
    return bank < 0 ? undefined : bank;
  }

  private noteUse(space: AddressSpace): void {
    const use = ++this.uses;
    for (let accessClass = 0; accessClass < ACCESS_CLASSES; accessClass++) {
      if (space.banks[accessClass] !== NONE) this.lastUse[space.banks[accessClass]] = use;
    }
  }

  private selectSpace(guest: number, nested: boolean): void {
    const u32 = this.u32;
    this.cr0 = u32[CR0];
    this.cr3Low = u32[CR3];
    this.cr3High = u32[CR3 + 1];
    this.cr4 = u32[CR4];
    this.efer = u32[EFER];
    this.asid = guest === 0 ? 0 : u32[GUEST_ASID];
    this.nestedMode = nested ? u32[NESTED_PAGING_MODE] || DEFAULT_NESTED_MODE : 0;
    this.nestedCr3Low = u32[NESTED_CR3];
    this.nestedCr3High = u32[NESTED_CR3 + 1];

    const paging = (this.cr0 & CR0_PG) !== 0;
    const cr0 = this.cr0 & CR0_USED;
    const cr4 = paging ? this.cr4 & CR4_USED : 0;
    const efer = this.efer & EFER_USED;
    const pcid = this.currentPcid();
    let space: AddressSpace | undefined;
    for (let i = 0; i < this.spaces.length; i++) {
      const candidate = this.spaces[i];
      if (
        candidate.asid === this.asid &&
        candidate.pcid === pcid &&
        candidate.cr0 === cr0 &&
        candidate.cr4 === cr4 &&
        candidate.efer === efer &&
        candidate.nestedMode === this.nestedMode
      ) {
        space = candidate;
        break;
      }
    }
    if (nested) this.nestedCache.use(this.asid, this.nestedMode, this.nestedCr3Low, this.nestedCr3High);
    const previous = this.space;
    if (space === undefined) {
      space = new AddressSpace(this.asid, pcid, cr0, cr4, efer, this.nestedMode);
      space.setRoot(this.cr3Low, this.cr3High);
      space.setNestedRoot(this.nestedCr3Low, this.nestedCr3High);
      this.spaces.push(space);
    } else {
      if (space.cr3Low !== this.cr3Low || space.cr3High !== this.cr3High) {
        if (paging) this.flushSpace(space, true);
        space.setRoot(this.cr3Low, this.cr3High);
      }
      if (nested && (space.nestedCr3Low !== this.nestedCr3Low || space.nestedCr3High !== this.nestedCr3High)) {
        this.flushSpace(space, false);
        space.setNestedRoot(this.nestedCr3Low, this.nestedCr3High);
      }
    }
    this.noteUse(previous);
    this.space = space;
    this.publishBanks();
    if (previous !== space && previous.hasNoBank()) this.spaces.splice(this.spaces.indexOf(previous), 1);
  }

  private currentPcid(): number {
    const u32 = this.u32;
    return u32[CR0] & CR0_PG && u32[CR4] & CR4_PCIDE ? u32[CR3] & PCID_MASK : 0;
  }

  private currentAsid(): number {
    return this.u32[GUEST_MODE] === 0 ? 0 : this.u32[GUEST_ASID];
  }

  private flushSpace(space: AddressSpace, keepGlobal: boolean): void {
    for (let accessClass = 0; accessClass < ACCESS_CLASSES; accessClass++) {
      const bank = space.banks[accessClass];
      if (bank !== NONE) this.banks.flush(bank, keepGlobal);
    }
  }

  flushAddressSpace(keepGlobal: boolean): void {
    if (!keepGlobal) {
      this.flushLinear(this.currentAsid());
      return;
    }
    const pcid = this.currentPcid();
    const asid = this.currentAsid();
    for (const space of this.spaces) {
      if (space.asid === asid && space.pcid === pcid) this.flushSpace(space, true);
    }
  }

  flushAsid(asid: number): void {
    this.nestedCache.flushAsid(asid);
    this.flushLinear(asid);
  }

  /** Drops all linear translations of an ASID; nested ones are the hypervisor's to flush. */
  private flushLinear(asid: number): void {
    for (const space of this.spaces) {
      if (space.asid === asid) this.flushSpace(space, false);
    }
  }

  flushAll(): void {
    this.nestedCache.flush();
    for (const space of this.spaces) this.flushSpace(space, false);
  }

  invalidatePage(linear: bigint): void {
    this.invalidatePageOf(this.currentAsid(), linear);
  }

  invalidatePageOf(asid: number, linear: bigint): void {
    const lo = Number(BigInt.asIntN(32, linear));
    const hi = Number(BigInt.asIntN(32, linear >> 32n));
    for (const space of this.spaces) {
      if (space.asid !== asid) continue;
      for (let accessClass = 0; accessClass < ACCESS_CLASSES; accessClass++) {
        const bank = space.banks[accessClass];
        if (bank !== NONE) this.banks.dropLinear(bank, lo, hi);
      }
    }
  }

  /** INVPCID (SDM vol. 2A): 0 one address of a PCID, 1 a PCID, 2 everything, 3 everything but global translations. */
  invalidatePcid(type: number, pcid: number, linear: bigint): void {
    const asid = this.currentAsid();
    if (type === 0) {
      // Drops the address in the other PCIDs too, which is allowed.
      this.invalidatePageOf(asid, linear);
      return;
    }
    for (const space of this.spaces) {
      if (space.asid !== asid || (type === 1 && space.pcid !== pcid)) continue;
      this.flushSpace(space, type !== 2);
    }
  }
}
