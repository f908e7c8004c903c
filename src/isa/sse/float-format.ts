/**
 * The four formats of SSE floating-point operands as emitted code handles them: numbers (f32, f64) or vectors of them, of
 * which it asks whether they are plain by looking at their bit patterns.
 *
 * Quick paths rest on this: rounding to nearest, operands that are neither denormal nor NaN, and a result that is neither
 * tiny nor infinite raise nothing but the precision exception (SDM vol. 1 11.5.2), and WebAssembly computes the same
 * result. Where precision is masked and flagged already, nothing is left to report.
 */
import type { Local, Operators, Value, ValueType } from '../../wasm/index.ts';
import type { Feature } from '../instruction.ts';
import type { I32, I64, Int, Stage } from '../stage.ts';
import { SseFormat, type SseOperation } from './operations.ts';
import { elements, lanes, source, type V128 } from './vector.ts';

/** A number, a vector of numbers, or the bit pattern of either, which may be used any number of times. */
export type Pattern = Local;
/** What a test of elements gives: an i32 of 0 or 1, or a vector of all ones or zeros. */
export type Mask = Value<'i32'> | V128;

/** MXCSR fields (SDM vol. 1 figure 10-3). */
export const MXCSR_DENORMAL = 1 << 1;
export const MXCSR_UNDERFLOW = 1 << 4;
export const MXCSR_PRECISION = 1 << 5;
export const MXCSR_DENORMALS_ARE_ZERO = 1 << 6;
export const MXCSR_MASK_SHIFT = 7;
export const MXCSR_PRECISION_MASK = MXCSR_PRECISION << MXCSR_MASK_SHIFT;
export const MXCSR_ROUNDING_SHIFT = 13;
export const MXCSR_ROUNDING = 3 << MXCSR_ROUNDING_SHIFT;
export const MXCSR_FLUSH_TO_ZERO = 1 << 15;
/** Bits 31:16 are reserved. */
export const MXCSR_RESERVED = 0xffff_0000 | 0;

/** The layout of binary32 and binary64: fraction bits, and the pattern of infinity. */
const FRACTION_BITS = { 32: 23, 64: 52 } as const;
const INFINITY = { 32: 0x7f80_0000n, 64: 0x7ff0_0000_0000_0000n } as const;

type Named = Record<string, (...values: Value[]) => Value>;
const named = (x: Stage): Named => x.op as unknown as Named & Operators;

export abstract class FloatFormat {
  readonly code: SseFormat;
  readonly width: 32 | 64;
  readonly scalar: boolean;
  readonly suffix: string;
  /** Mandatory prefix of most instructions in this format, and the feature they come with. */
  readonly prefix: 'NP' | '66' | 'F3' | 'F2';
  readonly feature: Feature;
  /** Type of a value. */
  readonly type: 'f32' | 'f64' | 'v128';
  /** WebAssembly's names for the format and for integers of the same shape. */
  protected readonly shape: string;
  protected readonly integers: string;

  constructor(suffix: string, code: SseFormat, width: 32 | 64, scalar: boolean) {
    this.suffix = suffix;
    this.code = code;
    this.width = width;
    this.scalar = scalar;
    this.prefix = scalar ? (width === 32 ? 'F3' : 'F2') : width === 32 ? 'NP' : '66';
    this.feature = width === 32 ? 'sse' : 'sse2';
    this.type = scalar ? `f${width}` : 'v128';
    this.shape = scalar ? `f${width}` : width === 32 ? 'f32x4' : 'f64x2';
    this.integers = scalar ? `i${width}` : width === 32 ? 'i32x4' : 'i64x2';
  }

  /** Operand codes: `V` and `W` with the width. */
  get operands(): string {
    return `V${this.suffix},W${this.suffix}`;
  }
  get source(): string {
    return `W${this.suffix}`;
  }
  /** Pattern of infinity, and of the smallest normal number. */
  get infinity(): bigint {
    return INFINITY[this.width];
  }
  get smallest(): bigint {
    return 1n << BigInt(FRACTION_BITS[this.width]);
  }

  /** Reads the source operand, aligned where it has to be. */
  read(x: Stage, operand: number): Pattern {
    return this.scalar ? x.number(operand) : source(x, operand);
  }

  /** Computes with a WebAssembly operator of the format. */
  compute(x: Stage, operator: string, ...values: Value[]): Value {
    return named(x)[`${this.shape}.${operator}`](...values);
  }
  /** Compares with a WebAssembly operator of the format. */
  compare(x: Stage, operator: 'eq' | 'ne' | 'lt' | 'gt' | 'le' | 'ge', a: Value, b: Value): Mask {
    return named(x)[`${this.shape}.${operator}`](a, b) as Mask;
  }
  /** b where it is less (greater) than a, else a. */
  extremum(x: Stage, operator: 'lt' | 'gt', a: Value, b: Value): Value {
    const vectors = this.width === 32 ? 'f32x4' : 'f64x2';
    const wide = (value: Value) => (this.scalar ? named(x)[`${vectors}.splat`](value) : value);
    const result = named(x)[`${vectors}.${operator === 'lt' ? 'pmin' : 'pmax'}`](wide(a), wide(b));
    if (!this.scalar) return result;
    return this.width === 32
      ? x.op['f32x4.extract_lane'](result as V128, 0)
      : x.op['f64x2.extract_lane'](result as V128, 0);
  }
  /** The bit pattern of a value. */
  abstract bits(x: Stage, value: Value): Value;
  /** The value of a bit pattern. */
  abstract ofBits(x: Stage, pattern: Value): Value;
  /** Compares patterns as integers. */
  integer(x: Stage, operator: 'eq' | 'ne' | 'add' | 'sub', a: Value, b: Value): Value {
    return named(x)[`${this.integers}.${operator}`](a, b);
  }
  /** (pattern + offset) < bound, unsigned, modulo the width. */
  abstract below(x: Stage, pattern: Value, offset: bigint, bound: bigint): Mask;
  abstract constant(x: Stage, bits: bigint): Value;
  abstract bitwise(x: Stage, operator: 'and' | 'or' | 'xor' | 'andnot', a: Value, b: Value): Value;
  /** 1 where a test holds for every element. */
  abstract all(x: Stage, mask: Mask): I32;
  abstract both(x: Stage, a: Mask, b: Mask): Mask;
  abstract either(x: Stage, a: Mask, b: Mask): Mask;
  abstract not(x: Stage, a: Mask): Mask;
  /** The pattern of a value without its sign, moved up by a bit. */
  doubled(x: Stage, value: Value): Pattern {
    const one = this.scalar && this.width === 64 ? x.i64(1) : x.i32(1);
    return x.let(named(x)[`${this.integers}.shl`](this.bits(x, value), one));
  }

  /** low <= pattern < high, both powers of two, of values without their signs. */
  within(x: Stage, value: Value, low: bigint, high: bigint): Mask {
    return this.below(x, this.doubled(x, value), -2n * low, 2n * (high - low));
  }

  // ---- tests on doubled patterns

  isZero(x: Stage, doubled: Pattern): Mask {
    return this.integer(x, 'eq', doubled, this.constant(x, 0n)) as Mask;
  }
  /** Zero, normal, infinite or NaN. */
  notDenormal(x: Stage, doubled: Pattern): Mask {
    return this.not(x, this.below(x, doubled, -1n, 2n * this.smallest - 1n));
  }
  /** Zero, normal or infinite. */
  plain(x: Stage, doubled: Pattern): Mask {
    return this.both(x, this.notDenormal(x, doubled), this.number(x, doubled));
  }
  finite(x: Stage, doubled: Pattern): Mask {
    return this.below(x, doubled, 0n, 2n * this.infinity);
  }
  number(x: Stage, doubled: Pattern): Mask {
    return this.below(x, doubled, 0n, 2n * this.infinity + 1n);
  }
  /** Finite, and beyond the smallest normal numbers: a result that was not tiny before or after it was rounded. */
  ordinary(x: Stage, doubled: Pattern): Mask {
    const least = 4n * this.smallest;
    return this.below(x, doubled, -least, 2n * this.infinity - least);
  }
  /** The same, or zero: a sum. */
  ordinarySum(x: Stage, doubled: Pattern): Mask {
    const notTiny = this.not(x, this.below(x, doubled, -1n, 4n * this.smallest - 1n));
    return this.both(x, notTiny, this.finite(x, doubled));
  }

  // ---- the exact path

  /** Runs the helper on values of this format; the result in the type `result`. */
  exact<T extends ValueType>(
    x: Stage,
    operation: SseOperation,
    result: T,
    immediate: I32 | number,
    second: Value,
    first?: Value,
  ): Local<T> {
    if (first) pass(x, 0, first);
    pass(x, 2, second);
    x.call('sseFloat', operation, this.code, immediate);
    if (result === 'v128') return x.scratch128(4) as Local as Local<T>;
    const low = x.scratch(4);
    if (result === 'i64') return low as Local as Local<T>;
    if (result === 'f64') return x.let(x.op['f64.reinterpret_i64'](low)) as Local as Local<T>;
    const half = x.let(x.wrap(low as I64));
    return (result === 'i32' ? half : x.let(x.op['f32.reinterpret_i32'](half))) as Local as Local<T>;
  }
}

/** Puts an operand in scratch words. */
function pass(x: Stage, index: number, value: Value): void {
  if (value.type === 'v128') x.setScratch128(index, value as V128);
  else x.setScratch(index, x.toI64(integerBits(x, value)));
}

/** A number's bit pattern; an integer as it is. */
function integerBits(x: Stage, value: Value): Int {
  if (value.type === 'f32') return x.op['i32.reinterpret_f32'](value as Value<'f32'>) as I32;
  return value.type === 'f64' ? (x.op['i64.reinterpret_f64'](value as Value<'f64'>) as I64) : (value as Int);
}

class ScalarFormat extends FloatFormat {
  bits(x: Stage, value: Value): Value {
    return integerBits(x, value);
  }
  ofBits(x: Stage, pattern: Value): Value {
    return named(x)[`${this.shape}.reinterpret_i${this.width}`](pattern);
  }
  below(x: Stage, pattern: Value, offset: bigint, bound: bigint): Mask {
    const sum = offset === 0n ? pattern : this.integer(x, 'add', pattern, this.constant(x, offset));
    return named(x)[`${this.integers}.lt_u`](sum, this.constant(x, bound)) as Mask;
  }
  constant(x: Stage, bits: bigint): Value {
    return this.width === 64 ? x.i64(bits) : x.i32(Number(BigInt.asIntN(32, bits)));
  }
  bitwise(x: Stage, operator: 'and' | 'or' | 'xor' | 'andnot', a: Value, b: Value): Value {
    if (operator !== 'andnot') return named(x)[`${this.integers}.${operator}`](a, b);
    return named(x)[`${this.integers}.and`](a, named(x)[`${this.integers}.xor`](b, this.constant(x, -1n)));
  }
  all(_x: Stage, mask: Mask): I32 {
    return mask as I32;
  }
  both(x: Stage, a: Mask, b: Mask): Mask {
    return x.and(a as I32, b as I32);
  }
  either(x: Stage, a: Mask, b: Mask): Mask {
    return x.or(a as I32, b as I32);
  }
  not(x: Stage, a: Mask): Mask {
    return x.eqz(a);
  }
}

/** Where the upper half of a doubled pattern is enough, 32-bit constants do. */
class ScalarDouble extends ScalarFormat {
  override within(x: Stage, value: Value, low: bigint, high: bigint): Mask {
    const upper = x.wrap(x.shrU(this.bits(x, value) as I64, 31));
    const part = (pattern: bigint) => Number(pattern >> 31n);
    return x.ltU(x.sub(upper, part(low)), part(high) - part(low));
  }
}

class PackedFormat extends FloatFormat {
  bits(_x: Stage, value: Value): Value {
    return value;
  }
  ofBits(_x: Stage, pattern: Value): Value {
    return pattern;
  }
  below(x: Stage, pattern: Value, offset: bigint, bound: bigint): Mask {
    if (this.width === 32) {
      const sum = offset === 0n ? pattern : this.integer(x, 'add', pattern, this.constant(x, offset));
      return x.op['i32x4.lt_u'](sum as V128, this.constant(x, bound) as V128);
    }
    // there is no unsigned comparison of quadwords: both sides moved by half the range
    const half = 1n << 63n;
    const sum = x.op['i64x2.add'](pattern as V128, this.constant(x, offset + half) as V128);
    return x.op['i64x2.lt_s'](sum, this.constant(x, bound + half) as V128);
  }
  constant(x: Stage, bits: bigint): Value {
    return lanes(x, this.width, () => bits);
  }
  bitwise(x: Stage, operator: 'and' | 'or' | 'xor' | 'andnot', a: Value, b: Value): Value {
    return x.op[`v128.${operator}`](a as V128, b as V128);
  }
  all(x: Stage, mask: Mask): I32 {
    return named(x)[`${this.integers}.all_true`](mask) as I32;
  }
  both(x: Stage, a: Mask, b: Mask): Mask {
    return x.op['v128.and'](a as V128, b as V128);
  }
  either(x: Stage, a: Mask, b: Mask): Mask {
    return x.op['v128.or'](a as V128, b as V128);
  }
  not(x: Stage, a: Mask): Mask {
    return x.op['v128.not'](a as V128);
  }
}

export const PS: FloatFormat = new PackedFormat('ps', SseFormat.PS, 32, false);
export const PD: FloatFormat = new PackedFormat('pd', SseFormat.PD, 64, false);
export const SS: FloatFormat = new ScalarFormat('ss', SseFormat.SS, 32, true);
export const SD: FloatFormat = new ScalarDouble('sd', SseFormat.SD, 64, true);
export const FORMATS: readonly FloatFormat[] = [PS, PD, SS, SD];

/** Whether MXCSR rounds to nearest and has precision masked and flagged: inexact results need no report. */
export function quietNearest(x: Stage): I32 {
  const fields = MXCSR_ROUNDING | MXCSR_PRECISION | MXCSR_PRECISION_MASK;
  return x.eq(x.and(x.mxcsr() as I32, fields), MXCSR_PRECISION | MXCSR_PRECISION_MASK);
}

/** Whether denormals need no report either: what is finite is as WebAssembly computes it. */
export function quietDenormals(x: Stage): I32 {
  const flags = MXCSR_DENORMAL | MXCSR_UNDERFLOW | MXCSR_PRECISION;
  const quiet = flags | (flags << MXCSR_MASK_SHIFT);
  const fields = quiet | MXCSR_ROUNDING | MXCSR_DENORMALS_ARE_ZERO | MXCSR_FLUSH_TO_ZERO;
  return x.eq(x.and(x.mxcsr() as I32, fields), quiet);
}

/** Whether denormal operands that are compared need no report. */
export function quietOperands(x: Stage): I32 {
  const quiet = MXCSR_DENORMAL | (MXCSR_DENORMAL << MXCSR_MASK_SHIFT);
  return x.eq(x.and(x.mxcsr() as I32, quiet | MXCSR_DENORMALS_ARE_ZERO), quiet);
}

export function roundsToNearest(x: Stage): I32 {
  return x.eqz(x.and(x.mxcsr() as I32, MXCSR_ROUNDING));
}

/** Whether MXCSR has precision masked and flagged, however it rounds. */
export function quietPrecision(x: Stage): I32 {
  const fields = MXCSR_PRECISION | MXCSR_PRECISION_MASK;
  return x.eq(x.and(x.mxcsr() as I32, fields), fields);
}

/** `quick`, unless `sound` is zero: then what `exact` gives. */
export function quickOr<T extends ValueType>(x: Stage, sound: I32, quick: Value<T>, exact: () => Value<T>): Local<T> {
  if (x.assuming) {
    const result = x.let(quick);
    x.abandonIf(x.eqz(sound));
    return result;
  }
  const result = x.variable(quick.type, quick);
  x.if(x.eqz(sound), () => result.set(exact()), undefined, false);
  return result;
}

/** Even and odd elements of two vectors side by side. */
export function evenAndOdd(x: Stage, format: FloatFormat, a: Pattern, b: Pattern): [Pattern, Pattern] {
  const size = format.width / 8;
  const even = elements(size, size === 4 ? [0, 2, 4, 6] : [0, 2]);
  const shuffle = x.op['i8x16.shuffle'];
  return [
    x.let(shuffle(a as V128, b as V128, even)),
    x.let(
      shuffle(
        a as V128,
        b as V128,
        even.map((byte) => byte + size),
      ),
    ),
  ];
}
