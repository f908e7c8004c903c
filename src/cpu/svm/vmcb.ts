/** Layout of the virtual machine control block (APM vol. 2 appendix B). */

import type { FieldName } from '../context.ts';
import { CS, DS, ES, FS, GS, LDTR, SS, TR } from '../context.ts';

/** Control area. */
export const CONTROL = {
  /** Six words of intercepts: CR, DR, exceptions, instructions (three). */
  INTERCEPTS: 0x00,
  PAUSE_FILTER_THRESHOLD: 0x3c,
  PAUSE_FILTER_COUNT: 0x3e,
  IOPM_BASE_PA: 0x40,
  MSRPM_BASE_PA: 0x48,
  TSC_OFFSET: 0x50,
  GUEST_ASID: 0x58,
  TLB_CONTROL: 0x5c,
  VIRTUAL_INTERRUPT: 0x60,
  INTERRUPT_SHADOW: 0x68,
  EXITCODE: 0x70,
  EXITINFO1: 0x78,
  EXITINFO2: 0x80,
  EXITINTINFO: 0x88,
  NP_ENABLE: 0x90,
  EVENTINJ: 0xa8,
  N_CR3: 0xb0,
  LBR_VIRTUALIZATION_ENABLE: 0xb8,
  VMCB_CLEAN: 0xc0,
  NRIP: 0xc8,
  /** Number of bytes fetched, then the bytes. */
  GUEST_INSTRUCTION: 0xd0,
} as const;

/** State save area. */
export const SAVE = {
  ES: 0x400,
  CS: 0x410,
  SS: 0x420,
  DS: 0x430,
  FS: 0x440,
  GS: 0x450,
  GDTR: 0x460,
  LDTR: 0x470,
  IDTR: 0x480,
  TR: 0x490,
  CPL: 0x4cb,
  EFER: 0x4d0,
  CR4: 0x548,
  CR3: 0x550,
  CR0: 0x558,
  DR7: 0x560,
  DR6: 0x568,
  RFLAGS: 0x570,
  RIP: 0x578,
  RSP: 0x5d8,
  RAX: 0x5f8,
  STAR: 0x600,
  LSTAR: 0x608,
  CSTAR: 0x610,
  SFMASK: 0x618,
  KERNEL_GS_BASE: 0x620,
  SYSENTER_CS: 0x628,
  SYSENTER_ESP: 0x630,
  SYSENTER_EIP: 0x638,
  CR2: 0x640,
  G_PAT: 0x668,
  DBGCTL: 0x670,
  BR_FROM: 0x678,
  BR_TO: 0x680,
  LASTEXCPFROM: 0x688,
  LASTEXCPTO: 0x690,
} as const;

/** Within a segment register's 16 bytes. */
export const SAVED_SEGMENT = { selector: 0, attributes: 2, limit: 4, base: 8 } as const;

/** Segment registers that VMRUN and #VMEXIT swap. */
export const SWAPPED_SEGMENTS = [
  [ES, SAVE.ES],
  [CS, SAVE.CS],
  [SS, SAVE.SS],
  [DS, SAVE.DS],
] as const;
/** Segment registers that VMLOAD and VMSAVE move. */
export const LOADED_SEGMENTS = [
  [FS, SAVE.FS],
  [GS, SAVE.GS],
  [LDTR, SAVE.LDTR],
  [TR, SAVE.TR],
] as const;

type Move = readonly [field: FieldName, offset: number];

/** 64-bit registers that VMRUN and #VMEXIT swap as they are. */
export const SWAPPED_REGISTERS: readonly Move[] = [
  ['cr3', SAVE.CR3],
  ['cr4', SAVE.CR4],
  ['efer', SAVE.EFER],
  ['rip', SAVE.RIP],
  ['gdtrBase', SAVE.GDTR + SAVED_SEGMENT.base],
  ['idtrBase', SAVE.IDTR + SAVED_SEGMENT.base],
];
/** 64-bit registers of the guest that are loaded and saved besides. */
export const GUEST_REGISTERS: readonly Move[] = [
  ['cr2', SAVE.CR2],
  ['dr6', SAVE.DR6],
  ['dr7', SAVE.DR7],
];
/** 64-bit registers that VMLOAD and VMSAVE move. */
export const LOADED_REGISTERS: readonly Move[] = [
  ['kernelGsBase', SAVE.KERNEL_GS_BASE],
  ['star', SAVE.STAR],
  ['lstar', SAVE.LSTAR],
  ['cstar', SAVE.CSTAR],
  ['sfmask', SAVE.SFMASK],
  ['sysenterCs', SAVE.SYSENTER_CS],
  ['sysenterEsp', SAVE.SYSENTER_ESP],
  ['sysenterEip', SAVE.SYSENTER_EIP],
];
/** LBR virtualization. */
export const LBR_REGISTERS: readonly Move[] = [
  ['debugCtl', SAVE.DBGCTL],
  ['lastBranchFrom', SAVE.BR_FROM],
  ['lastBranchTo', SAVE.BR_TO],
  ['lastExceptionFrom', SAVE.LASTEXCPFROM],
  ['lastExceptionTo', SAVE.LASTEXCPTO],
];

/** Bits of the word at VIRTUAL_INTERRUPT. */
export const VirtualInterrupt = {
  TPR_MASK: 0xf,
  IRQ: 1 << 8,
  GIF: 1 << 9,
  PRIORITY_SHIFT: 16,
  PRIORITY_MASK: 0xf,
  IGNORE_TPR: 1 << 20,
  INTR_MASKING: 1 << 24,
  GIF_ENABLE: 1 << 25,
} as const;

/** EVENTINJ and EXITINTINFO (APM vol. 2 15.20). */
export const EventInjection = {
  VECTOR_MASK: 0xff,
  TYPE_SHIFT: 8,
  TYPE_MASK: 7,
  ERROR_CODE_VALID: 1 << 11,
  VALID: 1 << 31,
} as const;
export const EventType = { INTR: 0, NMI: 2, EXCEPTION: 3, SOFTWARE: 4 } as const;

/** TLB_CONTROL (APM vol. 2 15.16.2). */
export const TlbControl = { NOTHING: 0, FLUSH_ALL: 1, FLUSH_GUEST: 3, FLUSH_GUEST_NON_GLOBAL: 7 } as const;

/** Exit codes that are not instruction intercepts (APM vol. 2 appendix C). */
export const ExitCode = {
  CR_READ: 0x00,
  CR_WRITE: 0x10,
  DR_READ: 0x20,
  DR_WRITE: 0x30,
  EXCEPTION: 0x40,
  INTR: 0x60,
  NMI: 0x61,
  SMI: 0x62,
  VINTR: 0x64,
  CR0_SEL_WRITE: 0x65,
  PAUSE: 0x77,
  SWINT: 0x75,
  INVLPG: 0x79,
  IOIO: 0x7b,
  MSR: 0x7c,
  TASK_SWITCH: 0x7d,
  SHUTDOWN: 0x7f,
  NPF: 0x400,
  INVALID: -1,
} as const;

/** Words of the intercept vectors. */
export const InterceptWord = { CR: 0, DR: 1, EXCEPTION: 2, INSTRUCTION1: 3, INSTRUCTION2: 4, INSTRUCTION3: 5 } as const;
