/** PCMPESTRI, PCMPESTRM, PCMPISTRI, PCMPISTRM (SDM vol. 2B 4.1). */
import { CONTEXT } from '../context.ts';
import type { CpuState } from '../state.ts';

/** Bits of the helper's first argument beyond the immediate. */
const EXPLICIT_LENGTHS = 1 << 8;
const MASK_RESULT = 1 << 9;

/** Fields of the immediate (SDM vol. 2B 4.1.2). */
const WORDS = 1 << 0;
const SIGNED = 1 << 1;
const AGGREGATION_SHIFT = 2;
const NEGATIVE = 1 << 4;
const MASKED = 1 << 5;
/** Index: most significant bit instead of least. Mask: elements instead of bits. */
const OUTPUT = 1 << 6;

const EQUAL_ANY = 0;
const RANGES = 1;
const EQUAL_EACH = 2;

/** Flags as returned. */
const CF = 1 << 0;
const ZF = 1 << 1;
const SF = 1 << 2;
const OF = 1 << 3;

const FIRST = CONTEXT.scratch.offset;
const SECOND = FIRST + 16;
/** Lengths in scratch[4] and [5], the result in scratch[6..7]. */
const LENGTHS = FIRST + 32;
const RESULT = FIRST + 48;

type Read = (i: number) => number;

function elementReader(memory: DataView, base: number, immediate: number): Read {
  if (immediate & WORDS) {
    return immediate & SIGNED
      ? (i) => memory.getInt16(base + 2 * i, true)
      : (i) => memory.getUint16(base + 2 * i, true);
  }
  return immediate & SIGNED ? (i) => memory.getInt8(base + i) : (i) => memory.getUint8(base + i);
}

/** Elements before the first zero. */
function implicitLength(read: Read, count: number): number {
  let length = 0;
  while (length < count && read(length) !== 0) length++;
  return length;
}

/** The absolute value of a signed length, at most `count`. */
function explicitLength(memory: DataView, offset: number, count: number): number {
  const length = memory.getBigInt64(offset, true);
  const magnitude = length < 0n ? -length : length;
  return magnitude > BigInt(count) ? count : Number(magnitude);
}

/** IntRes1: one bit per element of the second operand, with the overrides for invalid elements (table 4-8). */
function aggregate(kind: number, first: Read, second: Read, length1: number, length2: number, count: number): number {
  let bits = 0;
  for (let j = 0; j < count; j++) {
    let holds = false;
    switch (kind) {
      case EQUAL_ANY:
        for (let i = 0; i < length1 && !holds; i++) holds = j < length2 && first(i) === second(j);
        break;
      case RANGES:
        for (let i = 0; i + 1 < length1 && !holds; i += 2) {
          holds = j < length2 && first(i) <= second(j) && second(j) <= first(i + 1);
        }
        break;
      case EQUAL_EACH:
        holds = j < length1 && j < length2 ? first(j) === second(j) : j >= length1 && j >= length2;
        break;
      default: // equal ordered
        holds = true;
        for (let i = 0; i < length1 && i + j < count && holds; i++)
          holds = i + j < length2 && first(i) === second(i + j);
    }
    if (holds) bits |= 1 << j;
  }
  return bits;
}

function writeMask(memory: DataView, bits: number, count: number, expand: boolean): void {
  memory.setBigUint64(RESULT, 0n, true);
  memory.setBigUint64(RESULT + 8, 0n, true);
  if (!expand) {
    memory.setUint16(RESULT, bits, true);
    return;
  }
  const width = 16 / count;
  for (let i = 0; i < 16; i++) memory.setUint8(RESULT + i, (bits >> Math.floor(i / width)) & 1 ? 0xff : 0);
}

function indexOf(bits: number, count: number, highest: boolean): number {
  if (bits === 0) return count;
  return 31 - Math.clz32(highest ? bits : bits & -bits);
}

/**
 * (imm8 | explicit lengths << 8 | mask result << 9): operands in scratch[0..3], explicit lengths in scratch[4] and [5];
 * index or mask to scratch[6..7]. Returns CF, ZF, SF, OF in bits 0 to 3.
 */
export function compareStrings(cpu: CpuState, kind: number): number {
  const memory = cpu.view;
  const count = kind & WORDS ? 8 : 16;
  const first = elementReader(memory, FIRST, kind);
  const second = elementReader(memory, SECOND, kind);
  const explicit = (kind & EXPLICIT_LENGTHS) !== 0;
  const length1 = explicit ? explicitLength(memory, LENGTHS, count) : implicitLength(first, count);
  const length2 = explicit ? explicitLength(memory, LENGTHS + 8, count) : implicitLength(second, count);
  const all = (1 << count) - 1;
  let bits = aggregate((kind >> AGGREGATION_SHIFT) & 3, first, second, length1, length2, count);
  if (kind & NEGATIVE) bits ^= kind & MASKED ? (1 << length2) - 1 : all;
  if (kind & MASK_RESULT) writeMask(memory, bits, count, (kind & OUTPUT) !== 0);
  else memory.setBigUint64(RESULT, BigInt(indexOf(bits, count, (kind & OUTPUT) !== 0)), true);
  return (bits !== 0 ? CF : 0) | (length2 < count ? ZF : 0) | (length1 < count ? SF : 0) | (bits & 1 ? OF : 0);
}
