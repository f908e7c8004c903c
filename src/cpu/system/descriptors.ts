/** Segment descriptors as they lie in the GDT and LDT (SDM vol. 3A 3.4.5, 3.5; APM vol. 2 4.7, 4.8). */
import { Vector } from '../../isa/stage.ts';
import { LDTR } from '../context.ts';
import type { Cpu } from '../cpu.ts';
import { fault } from '../fault.ts';
import { isLongMode, MASK_32, MASK_64 } from './registers.ts';

/** Attribute bits of a cached segment, in VMCB format (APM vol. 2 15.5.1). */
export const Attribute = {
  TYPE: 0xf,
  ACCESSED: 1 << 0,
  /** Data: writable; code: readable. */
  WRITABLE: 1 << 1,
  READABLE: 1 << 1,
  /** Data: expand-down; code: conforming. */
  EXPAND_DOWN: 1 << 2,
  CONFORMING: 1 << 2,
  CODE: 1 << 3,
  /** Code or data; clear for system segments. */
  S: 1 << 4,
  DPL_SHIFT: 5,
  P: 1 << 7,
  L: 1 << 9,
  DB: 1 << 10,
  G: 1 << 11,
} as const;

/** System segment and gate types (SDM vol. 3A table 3-2). In long mode only the 32-bit ones exist, as 64-bit types. */
export const SystemType = {
  TSS16_AVAILABLE: 1,
  LDT: 2,
  TSS16_BUSY: 3,
  CALL_GATE16: 4,
  TASK_GATE: 5,
  INTERRUPT_GATE16: 6,
  TRAP_GATE16: 7,
  TSS32_AVAILABLE: 9,
  TSS32_BUSY: 11,
  CALL_GATE32: 12,
  INTERRUPT_GATE32: 14,
  TRAP_GATE32: 15,
} as const;
/** Bit that tells a busy TSS type from an available one. */
export const TSS_BUSY = 2;
/** Bit that tells 32-bit (64-bit) system types from 16-bit ones. */
export const TYPE_32BIT = 8;

export const SELECTOR_RPL = 3;
const SELECTOR_TI = 4;
const SELECTOR_INDEX = 0xfff8;
const DESCRIPTOR_SIZE = 8;
/** Byte of a descriptor that holds type, S, DPL and P. */
const ACCESS_BYTE = 5;

/** The index part of a selector, as pushed in error codes (SDM vol. 3A 6.13). */
export const selectorErrorCode = (selector: number): number => selector & 0xfffc;
export const isNullSelector = (selector: number): boolean => (selector & 0xfffc) === 0;

export class Descriptor {
  readonly low: number;
  readonly high: number;
  constructor(low: number, high: number) {
    this.low = low;
    this.high = high;
  }
  /** Attributes in VMCB format. */
  get attributes(): number {
    return ((this.high >>> 8) & 0xff) | ((this.high >>> 12) & 0xf00);
  }
  /** Bits 31:0 of the base. */
  get base(): number {
    return ((this.low >>> 16) | ((this.high & 0xff) << 16) | (this.high & 0xff00_0000)) >>> 0;
  }
  /** Limit in bytes, granularity applied. */
  get limit(): number {
    const raw = (this.low & 0xffff) | (this.high & 0xf_0000);
    return (this.attributes & Attribute.G) !== 0 ? ((raw << 12) | 0xfff) >>> 0 : raw;
  }
  get type(): number {
    return (this.high >>> 8) & 0xf;
  }
  /** Code or data segment (S set). */
  get isSegment(): boolean {
    return (this.attributes & Attribute.S) !== 0;
  }
  get isCode(): boolean {
    return (this.attributes & (Attribute.S | Attribute.CODE)) === (Attribute.S | Attribute.CODE);
  }
  get isConforming(): boolean {
    return this.isCode && (this.attributes & Attribute.CONFORMING) !== 0;
  }
  get isReadable(): boolean {
    return this.isSegment && (!this.isCode || (this.attributes & Attribute.READABLE) !== 0);
  }
  get isWritableData(): boolean {
    return this.isSegment && !this.isCode && (this.attributes & Attribute.WRITABLE) !== 0;
  }
  get dpl(): number {
    return (this.high >>> 13) & 3;
  }
  get present(): boolean {
    return (this.high & 0x8000) !== 0;
  }
  get isLong(): boolean {
    return (this.attributes & Attribute.L) !== 0;
  }
  get isDefault32(): boolean {
    return (this.attributes & Attribute.DB) !== 0;
  }
  /** Gates: target selector and offset bits 31:0. */
  get gateSelector(): number {
    return this.low >>> 16;
  }
  get gateOffset(): number {
    return ((this.low & 0xffff) | (this.high & 0xffff_0000)) >>> 0;
  }
}

/** Address of `length` bytes of a selector's descriptor, or `undefined` when its table does not reach that far. */
function descriptorAddress(cpu: Cpu, selector: number, length: number): bigint | undefined {
  let base = cpu.gdtrBase;
  let limit = cpu.gdtrLimit;
  if ((selector & SELECTOR_TI) !== 0) {
    const ldtr = cpu.segments[LDTR];
    if ((ldtr.attributes & Attribute.P) === 0) return undefined;
    base = ldtr.base;
    limit = ldtr.limit;
  }
  const index = selector & SELECTOR_INDEX;
  if (index + length - 1 > limit) return undefined;
  return (base + BigInt(index)) & (isLongMode(cpu) ? MASK_64 : MASK_32);
}

/** Reads a descriptor; `undefined` when the selector is beyond its table. */
export function readDescriptor(cpu: Cpu, selector: number): Descriptor | undefined {
  const address = descriptorAddress(cpu, selector, DESCRIPTOR_SIZE);
  if (address === undefined) return undefined;
  return new Descriptor(cpu.linear.readU32(address, true), cpu.linear.readU32(address + 4n, true));
}

/** Reads a descriptor, or faults with the selector as error code. */
export function requireDescriptor(cpu: Cpu, selector: number, vector: number = Vector.GP): Descriptor {
  const descriptor = readDescriptor(cpu, selector);
  if (descriptor === undefined) throw fault(cpu, vector, selectorErrorCode(selector));
  return descriptor;
}

/**
 * Bits 63:32 of the base or offset of a 16-byte system descriptor in long mode, and its last doubleword;
 * `undefined` beyond the table.
 */
export function readUpperDescriptor(cpu: Cpu, selector: number): { high: number; last: number } | undefined {
  const address = descriptorAddress(cpu, selector, 2 * DESCRIPTOR_SIZE);
  if (address === undefined) return undefined;
  return { high: cpu.linear.readU32(address + 8n, true), last: cpu.linear.readU32(address + 12n, true) };
}

function writeAccessByte(cpu: Cpu, selector: number, value: number): void {
  const address = descriptorAddress(cpu, selector, DESCRIPTOR_SIZE);
  if (address !== undefined) cpu.linear.writeU8(address + BigInt(ACCESS_BYTE), value, true);
}

/** Sets the accessed bit in memory if it is clear, and gives the attributes to cache. */
export function markAccessed(cpu: Cpu, selector: number, descriptor: Descriptor): number {
  if ((descriptor.type & Attribute.ACCESSED) === 0) {
    writeAccessByte(cpu, selector, ((descriptor.high >>> 8) & 0xff) | Attribute.ACCESSED);
  }
  return descriptor.attributes | Attribute.ACCESSED;
}

/** Sets or clears the busy bit of a TSS descriptor in memory. */
export function markBusy(cpu: Cpu, selector: number, busy: boolean): void {
  const address = descriptorAddress(cpu, selector, DESCRIPTOR_SIZE);
  if (address === undefined) return;
  const access = cpu.linear.readU8(address + BigInt(ACCESS_BYTE), true);
  cpu.linear.writeU8(address + BigInt(ACCESS_BYTE), busy ? access | TSS_BUSY : access & ~TSS_BUSY, true);
}

/** Faults as writing the descriptor would, before a task switch commits to doing so. */
export function probeDescriptorWrite(cpu: Cpu, selector: number): void {
  const address = descriptorAddress(cpu, selector, DESCRIPTOR_SIZE);
  if (address !== undefined) cpu.linear.probe(address, DESCRIPTOR_SIZE, 'w', true);
}
