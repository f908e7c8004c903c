/**
 * Decoded floating-point numbers, and rounding of exact values into a format. Everything here is exact: a finite number
 * is an integer significand times a power of two, and only `round` ever discards bits (IEEE 754, SDM vol. 1 chapter 4).
 */
import {
  type FloatEnvironment,
  INVALID,
  OVERFLOW,
  PRECISION,
  ROUND_DOWN,
  ROUND_NEAREST,
  ROUND_TO_ZERO,
  ROUND_UP,
  type Rounding,
  UNDERFLOW,
} from './environment.ts';

/** Classes of operands, ordered: finite ones first, NaNs and other non-numbers last (SDM vol. 1 tables 4-3 and 8-3). */
export const ZERO = 0;
export const DENORMAL = 1;
export const NORMAL = 2;
export const INFINITE = 3;
export const QUIET_NAN = 4;
export const SIGNALING_NAN = 5;
/** 80-bit encodings the 8087 knew and the 387 rejects: unnormals, pseudo-NaNs, pseudo-infinities. */
export const UNSUPPORTED = 6;
export type FloatKind =
  | typeof ZERO
  | typeof DENORMAL
  | typeof NORMAL
  | typeof INFINITE
  | typeof QUIET_NAN
  | typeof SIGNALING_NAN
  | typeof UNSUPPORTED;

/**
 * A decoded operand or result. Finite: significand * 2^exponent, not necessarily normalised. NaN: the significand as the
 * 80-bit format has it, integer bit in bit 63, whatever the format it came from.
 */
export interface Float {
  readonly kind: FloatKind;
  readonly negative: boolean;
  readonly exponent: number;
  readonly significand: bigint;
}

/** The range and precision results are rounded to. Exponents are those of the significand's least significant bit. */
export interface FloatFormat {
  /** Bits in the significand, counting the integer bit. */
  readonly precision: number;
  /** Exponent of denormals and of the smallest normals. */
  readonly minimumExponent: number;
  /** Exponent of the largest normals. */
  readonly maximumExponent: number;
}

const format = (precision: number, bias: number): FloatFormat => ({
  precision,
  minimumExponent: 2 - bias - precision,
  maximumExponent: bias + 1 - precision,
});

const BINARY32_BIAS = 127;
const BINARY64_BIAS = 1023;
const EXTENDED_BIAS = 16383;
export const BINARY32: FloatFormat = format(24, BINARY32_BIAS);
export const BINARY64: FloatFormat = format(53, BINARY64_BIAS);
export const EXTENDED: FloatFormat = format(64, EXTENDED_BIAS);
/** Extended range with less precision: what precision control asks for (SDM vol. 1 section 8.1.5.2). */
export const EXTENDED_24: FloatFormat = format(24, EXTENDED_BIAS);
export const EXTENDED_53: FloatFormat = format(53, EXTENDED_BIAS);

/** What unmasked overflow and underflow add to or take from an x87 exponent (SDM vol. 1 sections 8.5.4, 8.5.5). */
const EXPONENT_ADJUSTMENT = 24576;

const INTEGER_BIT = 1n << 63n;
const QUIET_BIT = 1n << 62n;

export const zero = (negative: boolean): Float => ({ kind: ZERO, negative, exponent: 0, significand: 0n });
export const infinity = (negative: boolean): Float => ({
  kind: INFINITE,
  negative,
  exponent: 0,
  significand: INTEGER_BIT,
});
/** A finite number of the given exact value. */
export const finite = (negative: boolean, exponent: number, significand: bigint): Float => ({
  kind: significand === 0n ? ZERO : NORMAL,
  negative,
  exponent,
  significand,
});
/** The default NaN, "real indefinite" (SDM vol. 1 section 4.8.3.7). */
export const INDEFINITE: Float = { kind: QUIET_NAN, negative: true, exponent: 0, significand: INTEGER_BIT | QUIET_BIT };

/** Raises the invalid-operation exception; its masked result. */
export function invalid(env: FloatEnvironment): Float {
  env.raise(INVALID);
  return INDEFINITE;
}

/** The NaN with its quiet bit set. */
export function quiet(nan: Float): Float {
  return nan.kind === QUIET_NAN ? nan : { ...nan, kind: QUIET_NAN, significand: nan.significand | QUIET_BIT };
}

const lengthDouble = new Float64Array(1);
const lengthWords = new Uint32Array(lengthDouble.buffer);
const DOUBLE_EXPONENT_SHIFT = 20;

/** Bits needed to write a positive integer below 2^1023. */
export function bitLength(value: bigint): number {
  lengthDouble[0] = Number(value);
  const length = (lengthWords[1] >>> DOUBLE_EXPONENT_SHIFT) - BINARY64_BIAS + 1;
  // The conversion may have rounded up to the next power of two.
  return length > BINARY64.precision && value >> BigInt(length - 1) === 0n ? length - 1 : length;
}

/** What lies below the last kept bit. */
const EXACT = 0;
const BELOW_HALF = 1;
const HALF = 2;
const ABOVE_HALF = 3;

function discardedPart(significand: bigint, shift: number): number {
  if (shift <= 0) return EXACT;
  const rest = BigInt.asUintN(shift, significand);
  if (rest === 0n) return EXACT;
  const half = 1n << BigInt(shift - 1);
  return rest < half ? BELOW_HALF : rest === half ? HALF : ABOVE_HALF;
}

function roundsAway(rounding: Rounding, negative: boolean, odd: boolean, discarded: number): boolean {
  if (discarded === EXACT) return false;
  switch (rounding) {
    case ROUND_NEAREST:
      return discarded === ABOVE_HALF || (discarded === HALF && odd);
    case ROUND_DOWN:
      return negative;
    case ROUND_UP:
      return !negative;
    case ROUND_TO_ZERO:
      return false;
  }
}

/** Shifts right so that the result's low bit tells whether any one bit was lost ("jamming"). */
function shiftRightJam(significand: bigint, shift: number): bigint {
  const kept = significand >> BigInt(shift);
  return BigInt.asUintN(shift, significand) === 0n ? kept : kept | 1n;
}

/**
 * Rounds significand * 2^exponent (significand non-zero) to an integral multiple of 2^unit. Returns the multiple and
 * leaves in env.roundedUp whether the magnitude grew; raises nothing.
 */
export function roundToUnit(
  env: FloatEnvironment,
  negative: boolean,
  exponent: number,
  significand: bigint,
  unit: number,
): { multiple: bigint; inexact: boolean } {
  let shift = unit - exponent;
  if (shift <= 0) {
    env.roundedUp = false;
    return { multiple: significand << BigInt(-shift), inexact: false };
  }
  const length = bitLength(significand);
  if (shift > length + 2) {
    // Far below the unit: a single bit still says "less than half".
    significand = 1n;
    shift = 2;
  }
  const discarded = discardedPart(significand, shift);
  const kept = significand >> BigInt(shift);
  env.roundedUp = roundsAway(env.rounding, negative, (kept & 1n) !== 0n, discarded);
  return { multiple: env.roundedUp ? kept + 1n : kept, inexact: discarded !== EXACT };
}

/**
 * The value significand * 2^exponent (significand non-zero; a jammed low bit is fine) as the format can hold it, raising
 * overflow, underflow and precision as the processor does: tininess is detected after rounding (SDM vol. 1 section 4.9.1.5).
 */
export function round(
  env: FloatEnvironment,
  target: FloatFormat,
  negative: boolean,
  exponent: number,
  significand: bigint,
): Float {
  const { precision, minimumExponent, maximumExponent } = target;
  let unit = exponent + bitLength(significand) - precision;
  let tiny = false;
  let adjustment = 0;
  if (unit < minimumExponent) {
    const unbounded = roundToUnit(env, negative, exponent, significand, unit).multiple;
    tiny = unit + 1 < minimumExponent || bitLength(unbounded) <= precision;
    if (tiny && env.raise(env.masks & UNDERFLOW ? 0 : UNDERFLOW)) adjustment = EXPONENT_ADJUSTMENT;
    else if (tiny && env.flushToZero) {
      env.raise(UNDERFLOW | PRECISION);
      return zero(negative);
    } else unit = minimumExponent;
  }
  const { multiple, inexact } = roundToUnit(env, negative, exponent, significand, unit);
  // A carry out of the significand leaves a power of two, one bit longer: renormalise it.
  const carried = bitLength(multiple) > precision;
  const resultUnit = carried ? unit + 1 : unit;
  const resultSignificand = carried ? multiple >> 1n : multiple;
  if (resultUnit > maximumExponent) {
    if (env.raise(OVERFLOW)) adjustment = -EXPONENT_ADJUSTMENT;
    else {
      env.raise(PRECISION);
      const limit = env.rounding === ROUND_TO_ZERO || env.rounding === (negative ? ROUND_UP : ROUND_DOWN);
      env.roundedUp = !limit;
      return limit ? finite(negative, maximumExponent, (1n << BigInt(precision)) - 1n) : infinity(negative);
    }
  }
  if (inexact) env.raise(tiny ? UNDERFLOW | PRECISION : PRECISION);
  return finite(negative, resultUnit + adjustment, resultSignificand);
}

/** An exact significand cut to at most `bits` bits, the last one jammed: keeps later shifts and roundings cheap. */
export function compress(
  exponent: number,
  significand: bigint,
  bits: number,
): { exponent: number; significand: bigint } {
  const excess = bitLength(significand) - bits;
  if (excess <= 0) return { exponent, significand };
  return { exponent: exponent + excess, significand: shiftRightJam(significand, excess) };
}
