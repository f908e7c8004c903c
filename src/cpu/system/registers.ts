/**
 * Bits of the control, flag and debug registers, and the modes they make up (SDM vol. 3A chapter 2, APM vol. 2 chapter 3).
 * Masks are numbers over the low 32 bits, where every defined bit of these registers lies.
 */

import { ARITHMETIC_FLAGS, FLAG, IOPL_SHIFT } from '../../isa/rflags.ts';
import { CS, SEGMENT, SEGMENT_SIZE } from '../context.ts';
import { type CpuState, word } from '../state.ts';

export { ARITHMETIC_FLAGS, FLAG, IOPL_SHIFT };

/** SDM vol. 3A 2.5. */
export const CR0 = {
  PE: 1 << 0,
  MP: 1 << 1,
  EM: 1 << 2,
  TS: 1 << 3,
  ET: 1 << 4,
  NE: 1 << 5,
  WP: 1 << 16,
  AM: 1 << 18,
  NW: 1 << 29,
  CD: 1 << 30,
  PG: 1 << 31,
} as const;

/** SDM vol. 3A 2.5. */
export const CR4 = {
  VME: 1 << 0,
  PVI: 1 << 1,
  TSD: 1 << 2,
  DE: 1 << 3,
  PSE: 1 << 4,
  PAE: 1 << 5,
  MCE: 1 << 6,
  PGE: 1 << 7,
  PCE: 1 << 8,
  OSFXSR: 1 << 9,
  OSXMMEXCPT: 1 << 10,
  UMIP: 1 << 11,
  FSGSBASE: 1 << 16,
  PCIDE: 1 << 17,
  OSXSAVE: 1 << 18,
  SMEP: 1 << 20,
  SMAP: 1 << 21,
} as const;

/** APM vol. 2 3.1.7. */
export const EFER = {
  SCE: 1 << 0,
  LME: 1 << 8,
  LMA: 1 << 10,
  NXE: 1 << 11,
  SVME: 1 << 12,
  LMSLE: 1 << 13,
  FFXSR: 1 << 14,
  TCE: 1 << 15,
} as const;

/** SDM vol. 3B 18.2.3. */
export const DR6 = {
  B0: 1 << 0,
  /** B0 to B3. */
  BREAKPOINTS: 0xf,
  BD: 1 << 13,
  BS: 1 << 14,
  BT: 1 << 15,
  /** Bits that read as one. */
  FIXED: 0xffff_0ff0,
  WRITABLE: 0xe00f,
} as const;

/** SDM vol. 3B 18.2.4. */
export const DR7 = {
  LE_GE: 3 << 8,
  /** Always 1. */
  FIXED: 1 << 10,
  GD: 1 << 13,
  /** L0-G3, LE, GE, GD and the four R/W and LEN fields. */
  WRITABLE: 0xffff_23ff,
  /** L0-G3. */
  ENABLES: 0xff,
} as const;

/** IA32_DEBUGCTL (SDM vol. 3B 18.4.1). */
export const DEBUGCTL = { LBR: 1 << 0, BTF: 1 << 1 } as const;

const CR0_WORD = word('cr0');
const CR4_WORD = word('cr4');
const EFER_WORD = word('efer');
const RFLAGS_WORD = word('rflags');
const CS_ATTRIBUTES = word('segments') + ((CS * SEGMENT_SIZE + SEGMENT.selector) >> 2);
const SEGMENT_L_IN_WORD = 1 << (9 + 16);
const SEGMENT_DB_IN_WORD = 1 << (10 + 16);

export const cr0 = (cpu: CpuState): number => cpu.u32[CR0_WORD];
export const cr4 = (cpu: CpuState): number => cpu.u32[CR4_WORD];
export const efer = (cpu: CpuState): number => cpu.u32[EFER_WORD];
/** RFLAGS without the arithmetic flags. */
export const systemFlags = (cpu: CpuState): number => cpu.u32[RFLAGS_WORD];
export const setSystemFlags = (cpu: CpuState, value: number): void => {
  cpu.u32[RFLAGS_WORD] = value;
};
export const ioPrivilegeLevel = (cpu: CpuState): number => (cpu.u32[RFLAGS_WORD] >> IOPL_SHIFT) & 3;

/** CR0.PE: protected mode, virtual-8086 mode included. */
export const isProtected = (cpu: CpuState): boolean => (cpu.u32[CR0_WORD] & CR0.PE) !== 0;
export const isVirtual8086 = (cpu: CpuState): boolean => (cpu.u32[RFLAGS_WORD] & FLAG.VM) !== 0;
/** Selectors are paragraph numbers: real-address or virtual-8086 mode. */
export const hasRealSelectors = (cpu: CpuState): boolean => !isProtected(cpu) || isVirtual8086(cpu);
/** EFER.LMA: 64-bit or compatibility mode. */
export const isLongMode = (cpu: CpuState): boolean => (cpu.u32[EFER_WORD] & EFER.LMA) !== 0;
export const is64BitMode = (cpu: CpuState): boolean =>
  (cpu.u32[EFER_WORD] & EFER.LMA) !== 0 && (cpu.u32[CS_ATTRIBUTES] & SEGMENT_L_IN_WORD) !== 0;
export const codeSegmentBits = (cpu: CpuState): 16 | 32 | 64 =>
  is64BitMode(cpu) ? 64 : (cpu.u32[CS_ATTRIBUTES] & SEGMENT_DB_IN_WORD) !== 0 ? 32 : 16;

/** Whether a linear address has bits 63:47 equal (SDM vol. 1 3.3.7.1). */
export const isCanonical = (address: bigint): boolean => BigInt.asUintN(64, BigInt.asIntN(48, address)) === address;
/** The same for an address in halves. */
export const isCanonicalHigh = (high: number): boolean => {
  const top = high >> 15;
  return top === 0 || top === -1;
};

export const MASK_16 = 0xffffn;
export const MASK_32 = 0xffff_ffffn;
export const MASK_64 = 0xffff_ffff_ffff_ffffn;
/** All ones in the low `bits`. */
export const maskOf = (bits: number): bigint =>
  bits === 64 ? MASK_64 : bits === 32 ? MASK_32 : bits === 16 ? MASK_16 : 0xffn;
/** Joins the halves of an i64 argument. */
export const join = (low: number, high: number): bigint => (BigInt(high >>> 0) << 32n) | BigInt(low >>> 0);

/** Reads the low `bits` of a general register. */
export const readRegister = (cpu: CpuState, register: number, bits: number): bigint => cpu.gpr[register] & maskOf(bits);

/** Writes a general register with the width rules: 32-bit writes clear the upper half, 16-bit ones keep the rest. */
export function writeRegister(cpu: CpuState, register: number, bits: number, value: bigint): void {
  if (bits === 64) cpu.gpr[register] = value;
  else if (bits === 32) cpu.gpr[register] = value & MASK_32;
  else {
    const mask = maskOf(bits);
    cpu.gpr[register] = (cpu.gpr[register] & ~mask & MASK_64) | (value & mask);
  }
}

/** The low half of a general register. */
export const low32 = (cpu: CpuState, register: number): number => cpu.u32[GPR_WORD + 2 * register];
/** Writes a general register as a 32-bit operand. */
export function setLow32(cpu: CpuState, register: number, value: number): void {
  cpu.u32[GPR_WORD + 2 * register] = value;
  cpu.u32[GPR_WORD + 2 * register + 1] = 0;
}
const GPR_WORD = word('gpr');

/** EDX:EAX as the 64-bit operand of MSR-like instructions. */
export const edxEax = (cpu: CpuState): bigint => join(low32(cpu, 0), low32(cpu, 2));
export function setEdxEax(cpu: CpuState, value: bigint): void {
  cpu.gpr[0] = value & MASK_32;
  cpu.gpr[2] = (value >> 32n) & MASK_32;
}
