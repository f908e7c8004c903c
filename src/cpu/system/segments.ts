/**
 * Segment registers: what loading one checks (SDM vol. 3A 5.4-5.6, MOV and POP in vol. 2), and the offsets up to which
 * emitted code may use one without asking (`readEnd`, `writeEnd`).
 */
import { Vector } from '../../isa/stage.ts';
import { CS, DS, ES, FS, GS, SEGMENT, SEGMENT_SIZE, SS } from '../context.ts';
import type { Cpu } from '../cpu.ts';
import { fault, setFault } from '../fault.ts';
import { word } from '../state.ts';
import {
  Attribute,
  type Descriptor,
  isNullSelector,
  markAccessed,
  requireDescriptor,
  SELECTOR_RPL,
  selectorErrorCode,
} from './descriptors.ts';
import { hasRealSelectors, is64BitMode, isVirtual8086, MASK_32, MASK_64 } from './registers.ts';

/** What real-address mode leaves in a freshly loaded data segment: present, writable, accessed. */
export const REAL_MODE_ATTRIBUTES = Attribute.P | Attribute.S | Attribute.WRITABLE | Attribute.ACCESSED;
/** Virtual-8086 mode segments are such segments of privilege level 3. */
export const VIRTUAL_8086_ATTRIBUTES = REAL_MODE_ATTRIBUTES | (3 << Attribute.DPL_SHIFT);
export const REAL_MODE_LIMIT = 0xffff;
const PARAGRAPH_SHIFT = 4;

const STACK_MASK = word('stackMask');
const FIRST_32BIT_END = 0x1_0000_0000n;

/** `access` argument of {@link checkSegment}. */
export const SegmentAccess = { READ: 0, WRITE: 1 } as const;

// --- the hidden part

function readable(attributes: number): boolean {
  return (attributes & Attribute.CODE) === 0 || (attributes & Attribute.READABLE) !== 0;
}
function writable(attributes: number): boolean {
  return (attributes & (Attribute.CODE | Attribute.WRITABLE)) === Attribute.WRITABLE;
}
function expandsDown(attributes: number): boolean {
  return (attributes & (Attribute.CODE | Attribute.EXPAND_DOWN)) === Attribute.EXPAND_DOWN;
}

const SEGMENTS = word('segments');
const SEGMENT_WORDS = SEGMENT_SIZE >> 2;
const LIMIT_WORD = SEGMENT.limit >> 2;
/** Selector in the low half, attributes in the high half. */
const VISIBLE_WORD = SEGMENT.selector >> 2;
const READ_END_WORD = SEGMENT.readEnd >> 2;
const WRITE_END_WORD = SEGMENT.writeEnd >> 2;

/** Sets `readEnd` or `writeEnd`: to the byte behind the limit, or to 0. */
function setEnd(cpu: Cpu, index: number, limit: number, allowed: boolean): void {
  cpu.u32[index] = allowed ? limit + 1 : 0;
  cpu.u32[index + 1] = allowed && limit === 0xffff_ffff ? 1 : 0;
}

/** Recomputes the fast ends of one segment register. */
export function refreshSegment(cpu: Cpu, number: number): void {
  const at = SEGMENTS + number * SEGMENT_WORDS;
  const limit = cpu.u32[at + LIMIT_WORD];
  const attributes = cpu.u32[at + VISIBLE_WORD] >>> 16;
  const real = hasRealSelectors(cpu);
  const usable = (attributes & (Attribute.P | Attribute.S)) === (Attribute.P | Attribute.S) && !expandsDown(attributes);
  setEnd(cpu, at + READ_END_WORD, limit, real || (usable && readable(attributes)));
  setEnd(cpu, at + WRITE_END_WORD, limit, real || (usable && writable(attributes)));
}

/** Follows SS.B and 64-bit mode. */
export function refreshStackMask(cpu: Cpu): void {
  const wide = is64BitMode(cpu);
  const big = (cpu.segments[SS].attributes & Attribute.DB) !== 0;
  cpu.u32[STACK_MASK] = wide || big ? 0xffff_ffff : 0xffff;
  cpu.u32[STACK_MASK + 1] = wide ? 0xffff_ffff : 0;
}

/** After CR0.PE, RFLAGS.VM or EFER.LMA changed. */
export function refreshSegments(cpu: Cpu): void {
  for (let number = ES; number <= GS; number++) refreshSegment(cpu, number);
  refreshStackMask(cpu);
}

/**
 * Sets a segment register with its hidden part, without checks: for boot code and VMRUN. CPL is the caller's business, as
 * is `translation.stateChanged` after CS.
 *
 * @param attributes in VMCB format
 * @param limit in bytes, granularity applied
 */
export function loadSegmentRaw(
  cpu: Cpu,
  number: number,
  selector: number,
  base: bigint,
  limit: number,
  attributes: number,
): void {
  const segment = cpu.segments[number];
  segment.selector = selector;
  segment.base = base;
  segment.limit = limit;
  segment.attributes = attributes;
  if (number <= GS) refreshSegment(cpu, number);
  if (number === SS || number === CS) refreshStackMask(cpu);
}

/**
 * Sets a segment register to the whole of 4 GiB, outside real-address and virtual-8086 mode. The caller sees to the
 * stack mask ({@link refreshStackMask}).
 *
 * @param attributes of a present code or data segment that is readable and does not expand down
 */
export function loadFlatSegment(cpu: Cpu, number: number, selector: number, attributes: number): void {
  const { u32 } = cpu;
  const at = SEGMENTS + number * SEGMENT_WORDS;
  u32[at] = 0;
  u32[at + 1] = 0;
  u32[at + LIMIT_WORD] = 0xffff_ffff;
  u32[at + VISIBLE_WORD] = selector | (attributes << 16);
  u32[at + READ_END_WORD] = 0;
  u32[at + READ_END_WORD + 1] = 1;
  u32[at + WRITE_END_WORD] = 0;
  u32[at + WRITE_END_WORD + 1] = writable(attributes) ? 1 : 0;
}

/** A null selector: unusable, base and limit zero (NullSelectClearsBase, CPUID 8000_0021h EAX[6]). */
export function loadNullSegment(cpu: Cpu, number: number, selector: number): void {
  loadSegmentRaw(cpu, number, selector, 0n, 0, 0);
}

/** Sets a segment register from a checked descriptor whose accessed bit has been dealt with. */
export function loadFromDescriptor(
  cpu: Cpu,
  number: number,
  selector: number,
  descriptor: Descriptor,
  attributes = descriptor.attributes | Attribute.ACCESSED,
): void {
  loadSegmentRaw(cpu, number, selector, BigInt(descriptor.base), descriptor.limit, attributes);
}

/** Sets CS and CPL from a checked descriptor; RPL becomes the new CPL. */
export function loadCodeSegment(cpu: Cpu, selector: number, descriptor: Descriptor, cpl: number): void {
  cpu.cpl = cpl;
  loadFromDescriptor(cpu, CS, (selector & ~SELECTOR_RPL) | cpl, descriptor);
  cpu.translation.stateChanged();
}

/** Real-address mode keeps limit and attributes of a usable segment; virtual-8086 mode forces them (SDM vol. 3B 20.1, 20.2). */
export function loadRealSegment(cpu: Cpu, number: number, selector: number): void {
  const base = BigInt(selector << PARAGRAPH_SHIFT);
  if (isVirtual8086(cpu)) {
    loadSegmentRaw(cpu, number, selector, base, REAL_MODE_LIMIT, VIRTUAL_8086_ATTRIBUTES);
    return;
  }
  const { limit, attributes } = cpu.segments[number];
  if ((attributes & Attribute.P) !== 0) loadSegmentRaw(cpu, number, selector, base, limit, attributes);
  else loadSegmentRaw(cpu, number, selector, base, REAL_MODE_LIMIT, REAL_MODE_ATTRIBUTES);
}

// --- loads with checks

/**
 * Checks an SS selector for a given privilege level and reads its descriptor.
 *
 * @param vector what the selector's faults are: #GP for an instruction's operand, #TS for one taken from a TSS
 */
export function requireStackDescriptor(
  cpu: Cpu,
  selector: number,
  cpl: number,
  vector: number = Vector.GP,
): Descriptor {
  const errorCode = selectorErrorCode(selector);
  if (isNullSelector(selector)) throw fault(cpu, vector, 0);
  const descriptor = requireDescriptor(cpu, selector, vector);
  if ((selector & SELECTOR_RPL) !== cpl || !descriptor.isWritableData || descriptor.dpl !== cpl) {
    throw fault(cpu, vector, errorCode);
  }
  if (!descriptor.present) throw fault(cpu, Vector.SS, errorCode);
  return descriptor;
}

function loadStackSegment(cpu: Cpu, selector: number): void {
  if (isNullSelector(selector)) {
    if (!is64BitMode(cpu) || cpu.cpl === 3 || (selector & SELECTOR_RPL) !== cpu.cpl) throw fault(cpu, Vector.GP, 0);
    loadNullSegment(cpu, SS, selector);
    return;
  }
  const descriptor = requireStackDescriptor(cpu, selector, cpu.cpl);
  loadFromDescriptor(cpu, SS, selector, descriptor, markAccessed(cpu, selector, descriptor));
}

/** Checks a selector for DS, ES, FS or GS and reads its descriptor; `undefined` for a null selector. */
export function requireDataDescriptor(cpu: Cpu, selector: number, vector: number = Vector.GP): Descriptor | undefined {
  if (isNullSelector(selector)) return undefined;
  const errorCode = selectorErrorCode(selector);
  const descriptor = requireDescriptor(cpu, selector, vector);
  const privileged = descriptor.dpl < cpu.cpl || descriptor.dpl < (selector & SELECTOR_RPL);
  if (!descriptor.isReadable || (privileged && !descriptor.isConforming)) throw fault(cpu, vector, errorCode);
  if (!descriptor.present) throw fault(cpu, Vector.NP, errorCode);
  return descriptor;
}

/** MOV, POP and the far pointer loads: ES, SS, DS, FS or GS in the current mode. #UD for CS and numbers above GS. */
export function loadSegmentRegister(cpu: Cpu, number: number, selector: number): void {
  if (number === CS || number > GS) throw fault(cpu, Vector.UD);
  if (hasRealSelectors(cpu)) loadRealSegment(cpu, number, selector);
  else if (number === SS) loadStackSegment(cpu, selector);
  else {
    const descriptor = requireDataDescriptor(cpu, selector);
    if (descriptor === undefined) loadNullSegment(cpu, number, selector);
    else loadFromDescriptor(cpu, number, selector, descriptor, markAccessed(cpu, selector, descriptor));
  }
}

/**
 * Data segments an outer privilege level may not keep become null, and null selectors zero (SDM vol. 2 "RET", "IRET").
 * Unlike a load of a null selector this leaves base and limit: 64-bit programs live with null FS and GS that have a base.
 */
export function clearInaccessibleSegments(cpu: Cpu): void {
  for (const number of [ES, DS, FS, GS]) {
    const { selector, attributes, base, limit } = cpu.segments[number];
    const dpl = (attributes >> Attribute.DPL_SHIFT) & 3;
    const conforming =
      (attributes & (Attribute.CODE | Attribute.CONFORMING)) === (Attribute.CODE | Attribute.CONFORMING);
    const accessible = !isNullSelector(selector) && (dpl >= cpu.cpl || conforming);
    if (selector !== 0 && !accessible) loadSegmentRaw(cpu, number, 0, base, limit, 0);
  }
}

// --- use

/** Whether `bytes` bytes at `offset` lie inside a segment of this limit (SDM vol. 3A 5.3). */
export function withinLimit(limit: number, attributes: number, offset: number, bytes: number): boolean {
  const last = offset + bytes - 1;
  if (expandsDown(attributes)) {
    const top = (attributes & Attribute.DB) !== 0 ? 0xffff_ffff : 0xffff;
    return offset > limit && last <= top;
  }
  return last <= limit;
}

/** Whether an access through a segment register is allowed outside 64-bit mode. */
function mayAccess(cpu: Cpu, number: number, offset: number, bytes: number, access: number): boolean {
  const { limit, attributes } = cpu.segments[number];
  if (hasRealSelectors(cpu)) return offset + bytes - 1 <= limit;
  if ((attributes & (Attribute.P | Attribute.S)) !== (Attribute.P | Attribute.S)) return false;
  const typeAllows = access === SegmentAccess.WRITE ? writable(attributes) : readable(attributes);
  return typeAllows && withinLimit(limit, attributes, offset, bytes);
}

/**
 * Decides an access that reached past `readEnd` or `writeEnd`: 0 if it is allowed after all, 1 with #SS(0) or #GP(0)
 * described in the context. Not for 64-bit mode. Changes no registers.
 */
export function checkSegment(
  cpu: Cpu,
  number: number,
  offsetLow: number,
  offsetHigh: number,
  bytes: number,
  access: number,
): 0 | 1 {
  if (offsetHigh === 0 && mayAccess(cpu, number, offsetLow >>> 0, bytes, access)) return 0;
  setFault(cpu, number === SS ? Vector.SS : Vector.GP, 0);
  return 1;
}

/** Base to add to an offset: in 64-bit mode only FS and GS have one. */
export function segmentBase(cpu: Cpu, number: number): bigint {
  return is64BitMode(cpu) && number !== FS && number !== GS ? 0n : cpu.segments[number].base;
}

/**
 * Linear address of an access by a helper through a segment register; faults like an ordinary one. Whether it is
 * canonical is left to `cpu.linear`.
 */
export function linearAddress(cpu: Cpu, number: number, offset: bigint, bytes: number, access: number): bigint {
  if (is64BitMode(cpu)) return (segmentBase(cpu, number) + offset) & MASK_64;
  const end = access === SegmentAccess.WRITE ? cpu.segments[number].writeEnd : cpu.segments[number].readEnd;
  if (offset + BigInt(bytes) > end) {
    const beyond = offset >= FIRST_32BIT_END ? 1 : 0;
    if (checkSegment(cpu, number, Number(offset & MASK_32), beyond, bytes, access) !== 0) {
      throw fault(cpu, number === SS ? Vector.SS : Vector.GP, 0);
    }
  }
  return (cpu.segments[number].base + offset) & MASK_32;
}
