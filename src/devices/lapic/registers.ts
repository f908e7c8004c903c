/**
 * Registers of the local APIC (SDM vol. 3A 11.4, table 11-1) by index: the xAPIC offset divided by 16, which is also
 * the x2APIC MSR less 800H (table 11-6).
 */

export const REGISTER_COUNT = 0x40;

export const ID = 0x02;
export const VERSION = 0x03;
export const TPR = 0x08;
export const APR = 0x09;
export const PPR = 0x0a;
export const EOI = 0x0b;
export const RRD = 0x0c;
export const LDR = 0x0d;
export const DFR = 0x0e;
export const SVR = 0x0f;
export const ISR = 0x10;
export const TMR = 0x18;
export const IRR = 0x20;
export const ESR = 0x28;
export const LVT_CMCI = 0x2f;
export const ICR_LOW = 0x30;
export const ICR_HIGH = 0x31;
export const LVT_TIMER = 0x32;
export const LVT_THERMAL = 0x33;
export const LVT_PERFORMANCE = 0x34;
export const LVT_LINT0 = 0x35;
export const LVT_LINT1 = 0x36;
export const LVT_ERROR = 0x37;
export const INITIAL_COUNT = 0x38;
export const CURRENT_COUNT = 0x39;
export const DIVIDE_CONFIGURATION = 0x3e;
/** x2APIC only. */
export const SELF_IPI = 0x3f;

/** Words in IRR, ISR and TMR. */
export const VECTOR_WORDS = 8;
/** Vectors below this one are reserved and cannot be delivered by the APIC. */
export const FIRST_LEGAL_VECTOR = 16;

/** Version register: integrated APIC, as QEMU identifies it. */
export const VERSION_NUMBER = 0x14;
export const VERSION_MAX_LVT_SHIFT = 16;
export const VERSION_EOI_SUPPRESSION = 1 << 24;

/** Spurious-interrupt vector register (figure 11-23). */
export const SVR_VECTOR = 0xff;
export const SVR_ENABLE = 0x100;
export const SVR_FOCUS_CHECKING = 0x200;
export const SVR_SUPPRESS_EOI_BROADCAST = 0x1000;
export const SVR_RESET = 0xff;

/** Local vector table entries (figure 11-8). */
export const LVT_VECTOR = 0xff;
export const LVT_DELIVERY_MODE = 0x700;
export const LVT_DELIVERY_MODE_SHIFT = 8;
export const LVT_DELIVERY_STATUS = 0x1000;
export const LVT_POLARITY = 0x2000;
export const LVT_REMOTE_IRR = 0x4000;
export const LVT_LEVEL = 0x8000;
export const LVT_MASKED = 0x1_0000;
export const LVT_TIMER_MODE = 0x6_0000;
export const LVT_TIMER_MODE_SHIFT = 17;

/** Interrupt command register, low half (figure 11-12). */
export const ICR_VECTOR = 0xff;
export const ICR_DELIVERY_MODE_SHIFT = 8;
export const ICR_LOGICAL = 0x800;
export const ICR_DELIVERY_STATUS = 0x1000;
export const ICR_ASSERT = 0x4000;
export const ICR_LEVEL = 0x8000;
export const ICR_SHORTHAND_SHIFT = 18;
export const ICR_WRITABLE = 0xc_cfff;

/** Error status register (figure 11-9). */
export const ESR_SEND_ILLEGAL_VECTOR = 0x20;
export const ESR_RECEIVE_ILLEGAL_VECTOR = 0x40;
export const ESR_ILLEGAL_REGISTER = 0x80;

/** Destination format register: the model field; the rest reads as ones. */
export const DFR_CLUSTER = 0x0;
export const DFR_FLAT = 0xf;
export const DFR_MODEL_SHIFT = 28;
export const DFR_RESERVED_ONES = 0x0fff_ffff;

/** Destination and identifier fields of the 32-bit xAPIC registers. */
export const XAPIC_ID_SHIFT = 24;
export const XAPIC_ID_MASK = 0xff00_0000;

/** Delivery modes (figure 11-12 and 11-8). */
export const DELIVERY_FIXED = 0;
export const DELIVERY_LOWEST_PRIORITY = 1;
export const DELIVERY_SMI = 2;
export const DELIVERY_NMI = 4;
export const DELIVERY_INIT = 5;
export const DELIVERY_STARTUP = 6;
export const DELIVERY_EXTINT = 7;

/** Destination shorthands of the ICR. */
export const SHORTHAND_NONE = 0;
export const SHORTHAND_SELF = 1;
export const SHORTHAND_ALL_INCLUDING_SELF = 2;
export const SHORTHAND_ALL_EXCLUDING_SELF = 3;

/** IA32_APIC_BASE (figure 11-5 and 11-26). */
export const MSR_APIC_BASE = 0x1b;
export const APIC_BASE_BSP = 0x100n;
export const APIC_BASE_X2APIC = 0x400n;
export const APIC_BASE_ENABLE = 0x800n;
export const APIC_BASE_ADDRESS = ~0xfffn;
export const APIC_BASE_RESET_ADDRESS = 0xfee0_0000n;

/** IA32_TSC_DEADLINE. */
export const MSR_TSC_DEADLINE = 0x6e0;
/** The x2APIC registers' MSRs. */
export const MSR_X2APIC_FIRST = 0x800;
export const MSR_X2APIC_LAST = 0x8ff;

/** Bits a guest may set in each local vector table entry; others are reserved. */
export const LVT_WRITABLE: Readonly<Record<number, number>> = {
  [LVT_CMCI]: LVT_VECTOR | LVT_DELIVERY_MODE | LVT_MASKED,
  [LVT_TIMER]: LVT_VECTOR | LVT_MASKED | LVT_TIMER_MODE,
  [LVT_THERMAL]: LVT_VECTOR | LVT_DELIVERY_MODE | LVT_MASKED,
  [LVT_PERFORMANCE]: LVT_VECTOR | LVT_DELIVERY_MODE | LVT_MASKED,
  [LVT_LINT0]: LVT_VECTOR | LVT_DELIVERY_MODE | LVT_POLARITY | LVT_LEVEL | LVT_MASKED,
  [LVT_LINT1]: LVT_VECTOR | LVT_DELIVERY_MODE | LVT_POLARITY | LVT_LEVEL | LVT_MASKED,
  [LVT_ERROR]: LVT_VECTOR | LVT_MASKED,
};

/** Read-only bits of a local vector table entry, which a write may carry. */
export const LVT_READ_ONLY = LVT_DELIVERY_STATUS | LVT_REMOTE_IRR;

/** What software may do with a register in x2APIC mode, and the bits it may write (table 11-6). */
export interface X2ApicAccess {
  readonly read: boolean;
  /** Bits that may be set in a write; `undefined` for a read-only register. */
  readonly writable: number | undefined;
}

const ALL_BITS = 0xffff_ffff;
const TPR_BITS = 0xff;
const DIVIDE_BITS = 0xb;

/** Access rules by register index. An index that is absent gives #GP. */
export const X2APIC_ACCESS: ReadonlyMap<number, X2ApicAccess> = new Map<number, X2ApicAccess>([
  ...[ID, VERSION, PPR, LDR, CURRENT_COUNT].map((index): [number, X2ApicAccess] => [
    index,
    { read: true, writable: undefined },
  ]),
  ...[ISR, TMR, IRR].flatMap((first) =>
    Array.from({ length: VECTOR_WORDS }, (_, word): [number, X2ApicAccess] => [
      first + word,
      { read: true, writable: undefined },
    ]),
  ),
  ...Object.entries(LVT_WRITABLE).map(([index, bits]): [number, X2ApicAccess] => [
    Number(index),
    { read: true, writable: bits | LVT_READ_ONLY },
  ]),
  [TPR, { read: true, writable: TPR_BITS }],
  [EOI, { read: false, writable: 0 }],
  [SVR, { read: true, writable: SVR_VECTOR | SVR_ENABLE | SVR_FOCUS_CHECKING | SVR_SUPPRESS_EOI_BROADCAST }],
  [ESR, { read: true, writable: 0 }],
  // Delivery status is gone in x2APIC mode; setting its bit is tolerated, as KVM does.
  [ICR_LOW, { read: true, writable: ICR_WRITABLE | ICR_DELIVERY_STATUS }],
  [INITIAL_COUNT, { read: true, writable: ALL_BITS }],
  [DIVIDE_CONFIGURATION, { read: true, writable: DIVIDE_BITS }],
  [SELF_IPI, { read: false, writable: ICR_VECTOR }],
]);
