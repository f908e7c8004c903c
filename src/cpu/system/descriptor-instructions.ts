/** Descriptor tables, LDTR and TR, LAR, LSL, VERR, VERW, ARPL, and their system register stores (SDM vol. 3A 2.4, 5.10). */
import { Vector } from '../../isa/stage.ts';
import { LDTR, TR } from '../context.ts';
import type { Cpu } from '../cpu.ts';
import { fault } from '../fault.ts';
import { arithmeticFlags, setArithmeticFlags } from '../flags.ts';
import {
  type Descriptor,
  isNullSelector,
  markBusy,
  readDescriptor,
  readUpperDescriptor,
  requireDescriptor,
  SELECTOR_RPL,
  SystemType,
  selectorErrorCode,
  TSS_BUSY,
} from './descriptors.ts';
import { hooks, interceptInstruction } from './hooks.ts';
import { CR4, cr4, FLAG, is64BitMode, isCanonical, isLongMode, join, MASK_32, writeRegister } from './registers.ts';
import { loadSegmentRaw } from './segments.ts';

const SELECTOR_TI = 4;
/** 16-bit LGDT and LIDT load 24 bits of base. */
const BASE_24 = 0xff_ffffn;
const LIMIT_BYTES = 2n;

/** CR4.UMIP keeps system addresses from user mode (SDM vol. 3A 2.5). */
function checkUserMode(cpu: Cpu): void {
  if (cpu.cpl !== 0 && (cr4(cpu) & CR4.UMIP) !== 0) throw fault(cpu, Vector.GP, 0);
}

// --- GDTR and IDTR

function readTable(cpu: Cpu, low: number, high: number, bits: number): { base: bigint; limit: number } {
  const linear = join(low, high);
  const limit = cpu.linear.readU16(linear);
  if (is64BitMode(cpu)) {
    const base = cpu.linear.readU64(linear + LIMIT_BYTES);
    if (!isCanonical(base)) throw fault(cpu, Vector.GP, 0);
    return { base, limit };
  }
  const base = BigInt(cpu.linear.readU32((linear + LIMIT_BYTES) & MASK_32));
  return { base: bits === 16 ? base & BASE_24 : base, limit };
}

function writeTable(cpu: Cpu, low: number, high: number, base: bigint, limit: number): void {
  const linear = join(low, high);
  const wide = is64BitMode(cpu);
  cpu.linear.probe(linear, wide ? 10 : 6, 'w');
  cpu.linear.writeU16(linear, limit);
  if (wide) cpu.linear.writeU64(linear + LIMIT_BYTES, base);
  else cpu.linear.writeU32((linear + LIMIT_BYTES) & MASK_32, Number(base & MASK_32));
}

export function lgdt(cpu: Cpu, low: number, high: number, bits: number): void {
  interceptInstruction(cpu, 'GDTR_WRITE');
  const { base, limit } = readTable(cpu, low, high, bits);
  cpu.gdtrBase = base;
  cpu.gdtrLimit = limit;
}

export function lidt(cpu: Cpu, low: number, high: number, bits: number): void {
  interceptInstruction(cpu, 'IDTR_WRITE');
  const { base, limit } = readTable(cpu, low, high, bits);
  cpu.idtrBase = base;
  cpu.idtrLimit = limit;
}

export function sgdt(cpu: Cpu, low: number, high: number): void {
  checkUserMode(cpu);
  interceptInstruction(cpu, 'GDTR_READ');
  writeTable(cpu, low, high, cpu.gdtrBase, cpu.gdtrLimit);
}

export function sidt(cpu: Cpu, low: number, high: number): void {
  checkUserMode(cpu);
  interceptInstruction(cpu, 'IDTR_READ');
  writeTable(cpu, low, high, cpu.idtrBase, cpu.idtrLimit);
}

// --- LDTR and TR

/** Bits 31:0 of the base and in long mode the rest; #GP(selector) where a 16-byte descriptor does not fit or is malformed. */
function systemBase(cpu: Cpu, selector: number, descriptor: Descriptor): bigint {
  if (!isLongMode(cpu)) return BigInt(descriptor.base);
  const UPPER_TYPE = 0x1f00;
  const upper = readUpperDescriptor(cpu, selector);
  if (upper === undefined || (upper.last & UPPER_TYPE) !== 0) throw fault(cpu, Vector.GP, selectorErrorCode(selector));
  const base = join(descriptor.base, upper.high);
  if (!isCanonical(base)) throw fault(cpu, Vector.GP, selectorErrorCode(selector));
  return base;
}

/** Reads the descriptor of an LLDT or LTR operand, which must be in the GDT. */
function requireGlobal(cpu: Cpu, selector: number): Descriptor {
  if ((selector & SELECTOR_TI) !== 0) throw fault(cpu, Vector.GP, selectorErrorCode(selector));
  return requireDescriptor(cpu, selector);
}

export function lldt(cpu: Cpu, selector: number): void {
  interceptInstruction(cpu, 'LDTR_WRITE');
  if (isNullSelector(selector)) {
    loadSegmentRaw(cpu, LDTR, selector, 0n, 0, 0);
    return;
  }
  const errorCode = selectorErrorCode(selector);
  const descriptor = requireGlobal(cpu, selector);
  if (descriptor.isSegment || descriptor.type !== SystemType.LDT) throw fault(cpu, Vector.GP, errorCode);
  if (!descriptor.present) throw fault(cpu, Vector.NP, errorCode);
  const base = systemBase(cpu, selector, descriptor);
  loadSegmentRaw(cpu, LDTR, selector, base, descriptor.limit, descriptor.attributes);
}

export function ltr(cpu: Cpu, selector: number): void {
  interceptInstruction(cpu, 'TR_WRITE');
  if (isNullSelector(selector)) throw fault(cpu, Vector.GP, 0);
  const errorCode = selectorErrorCode(selector);
  const descriptor = requireGlobal(cpu, selector);
  const { type } = descriptor;
  const available = type === SystemType.TSS32_AVAILABLE || (type === SystemType.TSS16_AVAILABLE && !isLongMode(cpu));
  if (descriptor.isSegment || !available) throw fault(cpu, Vector.GP, errorCode);
  if (!descriptor.present) throw fault(cpu, Vector.NP, errorCode);
  const base = systemBase(cpu, selector, descriptor);
  markBusy(cpu, selector, true);
  loadSegmentRaw(cpu, TR, selector, base, descriptor.limit, descriptor.attributes | TSS_BUSY);
}

/** SLDT, STR, SMSW. Arguments as in helpers.ts. */
export function storeSystemRegister(
  cpu: Cpu,
  kind: number,
  register: number,
  bits: number,
  low: number,
  high: number,
): void {
  const SLDT = 0;
  const STR = 1;
  checkUserMode(cpu);
  let value: bigint;
  if (kind === SLDT) {
    interceptInstruction(cpu, 'LDTR_READ');
    value = BigInt(cpu.segments[LDTR].selector);
  } else if (kind === STR) {
    interceptInstruction(cpu, 'TR_READ');
    value = BigInt(cpu.segments[TR].selector);
  } else {
    if (cpu.guestMode !== 0) hooks.controlRegister(cpu, 0, false, -1, 0n);
    value = cpu.cr0;
  }
  if (register >= 0) writeRegister(cpu, register, bits, value);
  else cpu.linear.writeU16(join(low, high), Number(value & 0xffffn));
}

// --- looking at selectors

function setZero(cpu: Cpu, value: boolean): void {
  setArithmeticFlags(cpu, (arithmeticFlags(cpu) & ~FLAG.ZF) | (value ? FLAG.ZF : 0));
}

/** System types LAR and LSL know (SDM vol. 2 tables 3-51, 3-64). */
const LAR_TYPES: ReadonlySet<number> = new Set([1, 2, 3, 4, 5, 9, 11, 12]);
const LAR_LONG_TYPES: ReadonlySet<number> = new Set([2, 9, 11, 12]);
const LSL_TYPES: ReadonlySet<number> = new Set([1, 2, 3, 9, 11]);
const LSL_LONG_TYPES: ReadonlySet<number> = new Set([2, 9, 11]);
/** Access rights as LAR gives them: the second doubleword without base and limit. */
const LAR_MASK = 0x00f0_ff00;

/** The descriptor a selector names, if the current privilege may see it. */
function visibleDescriptor(cpu: Cpu, selector: number): Descriptor | undefined {
  if (isNullSelector(selector)) return undefined;
  const descriptor = readDescriptor(cpu, selector);
  if (descriptor === undefined || descriptor.isConforming) return descriptor;
  const { dpl } = descriptor;
  return dpl < cpu.cpl || dpl < (selector & SELECTOR_RPL) ? undefined : descriptor;
}

/** LAR (kind 0) and LSL (kind 1). Arguments as in helpers.ts. */
export function larLsl(cpu: Cpu, kind: number, register: number, bits: number, selector: number): void {
  const LAR = 0;
  const descriptor = visibleDescriptor(cpu, selector);
  const long = isLongMode(cpu);
  const types = kind === LAR ? (long ? LAR_LONG_TYPES : LAR_TYPES) : long ? LSL_LONG_TYPES : LSL_TYPES;
  const usable = descriptor !== undefined && (descriptor.isSegment || types.has(descriptor.type));
  if (usable) {
    const value = kind === LAR ? descriptor.high & LAR_MASK : descriptor.limit;
    writeRegister(cpu, register, bits, BigInt(value >>> 0));
  }
  setZero(cpu, usable);
}

/** VERR (kind 0) and VERW (kind 1). */
export function verify(cpu: Cpu, kind: number, selector: number): void {
  const VERR = 0;
  const descriptor = visibleDescriptor(cpu, selector);
  const allowed = descriptor !== undefined && (kind === VERR ? descriptor.isReadable : descriptor.isWritableData);
  setZero(cpu, allowed);
}

/** ARPL: (register number or -1, source selector, linear lo, hi). */
export function arpl(cpu: Cpu, register: number, source: number, low: number, high: number): void {
  const linear = join(low, high);
  const target = register >= 0 ? Number(cpu.gpr[register] & 0xffffn) : cpu.linear.readU16(linear);
  const raised = (target & SELECTOR_RPL) < (source & SELECTOR_RPL);
  if (raised) {
    const value = (target & ~SELECTOR_RPL) | (source & SELECTOR_RPL);
    if (register >= 0) writeRegister(cpu, register, 16, BigInt(value));
    else cpu.linear.writeU16(linear, value);
  }
  setZero(cpu, raised);
}
