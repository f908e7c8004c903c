/**
 * Layout of one processor's context in the arena, declared once. Offsets for emitted code, typed views for TypeScript,
 * snapshot fields and debugger names all derive from this table.
 */

/** Field kinds with their width in bytes; alignment is natural (16 for 128-bit fields). */
const WIDTH = { u8: 1, u16: 2, u32: 4, u64: 8, u128: 16 } as const;
export type FieldKind = keyof typeof WIDTH;

type FieldSpec = FieldKind | readonly [FieldKind, number];

/** Offsets inside a segment register's cache (SDM vol. 3A 3.4.3). */
export const SEGMENT = {
  /** Base, 64 bits. */
  base: 0,
  /** Limit in bytes (granularity applied), 32 bits. */
  limit: 8,
  /** Visible selector, 16 bits. */
  selector: 12,
  /** Attributes as in a VMCB: type 3:0, S 4, DPL 6:5, P 7, AVL 8, L 9, D/B 10, G 11 (APM vol. 2 15.5.1). */
  attributes: 14,
  /** First offset past the range an ordinary read may use without further checks; 0 sends every read to the slow path. */
  readEnd: 16,
  /** The same for writes. */
  writeEnd: 24,
} as const;
export const SEGMENT_SIZE = 32;

/** Segment register numbers as encoded in instructions, followed by LDTR and TR. */
export const ES = 0;
export const CS = 1;
export const SS = 2;
export const DS = 3;
export const FS = 4;
export const GS = 5;
export const LDTR = 6;
export const TR = 7;

/**
 * A displacement in a decoded record counts from the block's first instruction and has 32 bits. Where it does not fit, it is
 * this much less, and a constant in the context takes the place of the index register. More than a block is long.
 */
export const BEYOND_32_BITS = 4096;

const FIELDS = {
  // --- general registers and flags
  /** RAX RCX RDX RBX RSP RBP RSI RDI R8-R15. */
  gpr: ['u64', 16],
  /** Always zero: stands in for an absent base, index or segment base. */
  zero: 'u64',
  /** Instruction pointer; while a block runs, that of its first instruction. */
  rip: 'u64',
  /**
   * The arithmetic flags (see cpu/flags.ts). Settled, when flagKind is 0: the last result, sign-extended, gives ZF, SF (xor
   * signDelta) and PF (xor parityDelta).
   */
  flagResult: 'u64',
  /** Settled: CF in bit 63, CF^OF in bit 62, AF in bit 3, parity delta in bits 15:8, sign delta in bit 16. */
  flagCarries: 'u64',
  /** What regions have left in the two words above: an encoded FlagKind, or 0 for settled. */
  flagKind: 'u32',
  /** RFLAGS without the six arithmetic flags (those bits are zero here); bit 1 always set. */
  rflags: 'u64',

  // --- segments and tables
  /** ES CS SS DS FS GS LDTR TR, each of SEGMENT_SIZE bytes. */
  segments: ['u64', (8 * SEGMENT_SIZE) / 8],
  gdtrBase: 'u64',
  idtrBase: 'u64',
  gdtrLimit: 'u32',
  idtrLimit: 'u32',

  // --- control, debug and model specific registers
  cr0: 'u64',
  cr2: 'u64',
  cr3: 'u64',
  cr4: 'u64',
  dr: ['u64', 4],
  dr6: 'u64',
  dr7: 'u64',
  efer: 'u64',
  xcr0: 'u64',
  star: 'u64',
  lstar: 'u64',
  cstar: 'u64',
  sfmask: 'u64',
  kernelGsBase: 'u64',
  sysenterCs: 'u64',
  sysenterEsp: 'u64',
  sysenterEip: 'u64',
  tscOffset: 'u64',
  tscAux: 'u64',
  tscAdjust: 'u64',
  pat: 'u64',
  mtrrDefType: 'u64',
  mtrrPhys: ['u64', 16],
  mtrrFixed: ['u64', 11],
  miscEnable: 'u64',
  specCtrl: 'u64',
  debugCtl: 'u64',
  lastBranchFrom: 'u64',
  lastBranchTo: 'u64',
  lastExceptionFrom: 'u64',
  lastExceptionTo: 'u64',
  hwcr: 'u64',
  mcgStatus: 'u64',
  mcgCtl: 'u64',
  /** MCi_CTL of each machine-check bank. */
  machineCheckControl: ['u64', 4],
  sysCfg: 'u64',
  nbCfg: 'u64',
  topMem: 'u64',
  topMem2: 'u64',
  /** PerfEvtSel0-3; PerfCtr0-3, less the time stamp counter while they count. */
  perfEventSelect: ['u64', 4],
  perfCounter: ['u64', 4],

  // --- x87, MMX and SSE
  xmm: ['u128', 16],
  /** Physical registers R0-R7, 80 bits each in 16-byte slots; MMX registers are their low 64 bits. */
  x87: ['u128', 8],
  x87Control: 'u16',
  x87Status: 'u16',
  /** Full 16-bit tag word. */
  x87Tag: 'u16',
  x87Opcode: 'u16',
  x87Ip: 'u64',
  x87Dp: 'u64',
  x87Cs: 'u16',
  x87Ds: 'u16',
  mxcsr: 'u32',

  // --- AMD-V (APM vol. 2 chapter 15)
  vmCr: 'u64',
  vmHsavePa: 'u64',
  /** SVM_KEY, which unlocks VM_CR. */
  svmKey: 'u64',
  /** Guest-physical address of the current VMCB. */
  vmcb: 'u64',
  /** Intercept words of the current VMCB at offsets 0x00-0x14; all zero outside guest mode. */
  intercepts: ['u32', 6],
  guestAsid: 'u32',
  /** 1 while nested paging is active. */
  nestedPaging: 'u32',
  nestedCr3: 'u64',
  tscRatio: 'u64',
  /** TSC_OFFSET of the current VMCB. */
  guestTscOffset: 'u64',
  /** V_TPR, V_IRQ, V_GIF, V_INTR_* as at VMCB offset 60h; V_TPR, V_IRQ and V_GIF change while the guest runs. */
  virtualInterrupt: 'u64',
  /** Guest-physical addresses of the permission maps. */
  iopmBase: 'u64',
  msrpmBase: 'u64',
  /** Event whose delivery was interrupted by a #VMEXIT (EXITINTINFO), bit 31 valid. */
  exitIntInfo: 'u64',
  /** RFLAGS.IF of the hypervisor inside, in charge of physical interrupts under V_INTR_MASKING. */
  hostInterruptFlag: 'u32',
  /** 1 if VMRUN itself was single-stepped: its trap comes with the #VMEXIT. */
  hostSingleStep: 'u32',
  /** 1 while LBR virtualization is active. */
  lbrVirtualization: 'u32',
  /** PAUSE filter: count left and its reload value, threshold in cycles, time of the last PAUSE. */
  pauseCount: 'u32',
  pauseFilterCount: 'u32',
  pauseFilterThreshold: 'u32',
  lastPause: 'u64',
  /** Guest PAT (nested paging). */
  guestPat: 'u64',

  // --- processor activity
  /** Current privilege level, 0-3. */
  cpl: 'u32',
  /** 1 between VMRUN and #VMEXIT. */
  guestMode: 'u32',
  /** Global interrupt flag (CLGI/STGI). */
  gif: 'u32',
  /** What STI, MOV SS or POP SS hold back until the next instruction completes: see InterruptShadow in cpu/state.ts. */
  interruptShadow: 'u32',
  /** 1 from NMI delivery to IRET. */
  nmiBlocked: 'u32',
  /** Activity: see Activity in cpu/state.ts. */
  activity: 'u32',
  /** Hypervisor-visible id of this processor (initial APIC id). */
  apicId: 'u32',

  // --- engine: not architectural, not in snapshots
  /** Decode mode key (see cpu/mode.ts); also the low bits of execute tags. */
  mode: 'u32',
  /** During a system helper: the address of the next instruction; a helper that branches overwrites it. Nothing at other times. */
  nextRip: 'u64',
  /** Arena address of the current TLB bank. */
  tlb: 'u32',
  /** Arena address of the jump cache. */
  jumps: 'u32',
  /**
   * The banks emitted code may change to, with the privilege level and RFLAGS.AC they are for: supervisor accesses with AC
   * clear and set, and user accesses with AC clear. 0 where none has been chosen yet.
   */
  tlbSupervisor: ['u32', 2],
  tlbUser: 'u32',
  /** Instructions left until the run loop must look around. Signed. */
  budget: 'u32',
  /** Budget when `interruptShadow` was set. With a different one an instruction has completed since and the shadow is over. */
  shadowBudget: 'u32',
  /** 0 only if no interrupt waits that RFLAGS.IF may hold back: see noteInterrupts in cpu/system/interrupts.ts. */
  interruptWaiting: 'u32',
  /** Record of the instruction that called out last. */
  record: 'u32',
  /** Where a region was left before completion of an instruction: see cpu/regions/sites.ts. */
  site: 'u32',
  /** Value passed to or from a slow memory access (low 64 bits; 128-bit accesses use both). */
  slowValue: ['u64', 2],
  /** What ended the current instruction before completion: a Pending value (cpu/state.ts). */
  pending: 'u32',
  /** Pending.FAULT: vector, error code, whether it has one, and the linear address of a page fault. */
  faultVector: 'u32',
  faultErrorCode: 'u32',
  faultHasErrorCode: 'u32',
  /** Pending.GUEST_EXIT: #VMEXIT's EXITCODE, EXITINFO1, EXITINFO2. */
  exitCode: 'u64',
  exitInfo1: 'u64',
  exitInfo2: 'u64',
  faultAddress: 'u64',
  /** Mask applied to the stack pointer: 0xffff, 0xffffffff or all ones. */
  stackMask: 'u64',
  /** Data breakpoints met by the current instruction: DR6 bits 3:0 for the #DB trap after it. */
  dr6Pending: 'u32',
  /** 1 while a single-step trap is due after the current instruction. */
  singleStep: 'u32',
  /**
   * Format of the nested page tables while nestedPaging is 1, set by VMRUN from the host's registers: its CR4 masked to
   * PSE, PAE, LA57 and SMEP OR its EFER masked to LMA and NXE. 0 stands for LMA, PAE and NXE.
   */
  nestedPagingMode: 'u32',
  /** Always {@link BEYOND_32_BITS}: see there. */
  beyond: 'u64',
  /** Scratch for helpers that hand back more than one value. */
  scratch: ['u64', 8],
} as const satisfies Record<string, FieldSpec>;

export type FieldName = keyof typeof FIELDS;

export interface Field {
  readonly kind: FieldKind;
  readonly count: number;
  /** Byte offset from the start of the context. */
  readonly offset: number;
}

function layOut(): { fields: Record<FieldName, Field>; size: number } {
  const fields = {} as Record<FieldName, Field>;
  let offset = 0;
  for (const [name, spec] of Object.entries(FIELDS) as [FieldName, FieldSpec][]) {
    const [kind, count] = typeof spec === 'string' ? ([spec, 1] as const) : spec;
    const width = WIDTH[kind];
    offset = (offset + width - 1) & -width;
    fields[name] = { kind, count, offset };
    offset += width * count;
  }
  return { fields, size: (offset + 63) & -64 };
}

const laidOut = layOut();

/** Every field's place. */
export const CONTEXT: Readonly<Record<FieldName, Field>> = laidOut.fields;
/** Bytes one context takes, a multiple of 64. */
export const CONTEXT_SIZE = laidOut.size;

/** Byte offset of a field, or of one element of an array field. */
export function offsetOf(name: FieldName, index = 0): number {
  const field = CONTEXT[name];
  return field.offset + index * WIDTH[field.kind];
}

/** Byte offset of a part of a segment register's cache. */
export function segmentOffset(segment: number, part: keyof typeof SEGMENT): number {
  return CONTEXT.segments.offset + segment * SEGMENT_SIZE + SEGMENT[part];
}
