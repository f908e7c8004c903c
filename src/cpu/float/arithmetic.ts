/**
 * Exact arithmetic on decoded numbers, common to SSE and x87: each operation forms the exact result (or enough of it to
 * round) and rounds once. The order of the checks is that of exception priority, SDM vol. 1 section 4.9.2.
 */
import {
  DENORMAL_OPERAND,
  DIVIDE_BY_ZERO,
  type FloatEnvironment,
  INVALID,
  PRECISION,
  ROUND_DOWN,
} from './environment.ts';
import {
  bitLength,
  DENORMAL,
  type Float,
  type FloatFormat,
  finite,
  INDEFINITE,
  INFINITE,
  infinity,
  invalid,
  NORMAL,
  QUIET_NAN,
  quiet,
  round,
  roundToUnit,
  SIGNALING_NAN,
  UNSUPPORTED,
  ZERO,
  zero,
} from './number.ts';

/** Bits beyond a result's precision that suffice to round it: the half bit and the jammed rest. */
const ROUNDING_BITS = 2;

/**
 * The result where an operand is no number, raising invalid for signaling NaNs and unsupported encodings; undefined where
 * both are numbers. SSE returns the first NaN; x87 prefers a quiet one, then the larger significand (SDM vol. 1 table 4-7).
 */
export function nanResult(env: FloatEnvironment, a: Float, b: Float): Float | undefined {
  if (a.kind < QUIET_NAN && b.kind < QUIET_NAN) return undefined;
  if (a.kind === UNSUPPORTED || b.kind === UNSUPPORTED) return invalid(env);
  if (a.kind === SIGNALING_NAN || b.kind === SIGNALING_NAN) env.raise(INVALID);
  if (b.kind < QUIET_NAN) return quiet(a);
  if (a.kind < QUIET_NAN) return quiet(b);
  if (!env.x87) return quiet(a);
  if (a.kind !== b.kind) return a.kind === QUIET_NAN ? a : b;
  if (a.significand !== b.significand) return quiet(a.significand > b.significand ? a : b);
  return quiet(a.negative ? b : a);
}

/** Raises the denormal-operand exception where due; true where it is unmasked and the operation must stop. */
export function denormalOperand(env: FloatEnvironment, a: Float, b: Float = a): boolean {
  return (a.kind === DENORMAL || b.kind === DENORMAL) && env.raise(DENORMAL_OPERAND);
}

export const negate = (a: Float): Float => ({ ...a, negative: !a.negative });

/** An exact sum of two finite non-zero numbers, of which the leading `bits` bits matter, jammed beyond. */
function exactSum(a: Float, b: Float, bits: number): { negative: boolean; exponent: number; significand: bigint } {
  const [high, low] = a.exponent >= b.exponent ? [a, b] : [b, a];
  let significandLow = low.significand;
  let exponent = low.exponent;
  // Far apart: the lower operand only matters as "a little more" or "a little less".
  const distance = high.exponent - (low.exponent + bitLength(low.significand));
  if (distance > bits + ROUNDING_BITS) {
    exponent = high.exponent - bits - ROUNDING_BITS;
    significandLow = 1n;
  }
  const significandHigh = high.significand << BigInt(high.exponent - exponent);
  if (high.negative === low.negative) {
    return { negative: high.negative, exponent, significand: significandHigh + significandLow };
  }
  const difference = significandHigh - significandLow;
  return difference >= 0n
    ? { negative: high.negative, exponent, significand: difference }
    : { negative: low.negative, exponent, significand: -difference };
}

/** Addition. */
export function add(env: FloatEnvironment, format: FloatFormat, a: Float, b: Float): Float {
  const nan = nanResult(env, a, b);
  if (nan) return nan;
  if (a.kind === INFINITE && b.kind === INFINITE && a.negative !== b.negative) return invalid(env);
  if (denormalOperand(env, a, b)) return INDEFINITE;
  if (a.kind === INFINITE) return a;
  if (b.kind === INFINITE) return b;
  if (a.kind === ZERO && b.kind === ZERO)
    return zero(a.negative === b.negative ? a.negative : env.rounding === ROUND_DOWN);
  if (a.kind === ZERO) return round(env, format, b.negative, b.exponent, b.significand);
  if (b.kind === ZERO) return round(env, format, a.negative, a.exponent, a.significand);
  const sum = exactSum(a, b, format.precision + ROUNDING_BITS);
  if (sum.significand === 0n) return zero(env.rounding === ROUND_DOWN);
  return round(env, format, sum.negative, sum.exponent, sum.significand);
}

/** Subtraction a - b. */
export function subtract(env: FloatEnvironment, format: FloatFormat, a: Float, b: Float): Float {
  return nanResult(env, a, b) ?? add(env, format, a, negate(b));
}

/** Multiplication. */
export function multiply(env: FloatEnvironment, format: FloatFormat, a: Float, b: Float): Float {
  const nan = nanResult(env, a, b);
  if (nan) return nan;
  if ((a.kind === INFINITE && b.kind === ZERO) || (a.kind === ZERO && b.kind === INFINITE)) return invalid(env);
  if (denormalOperand(env, a, b)) return INDEFINITE;
  const negative = a.negative !== b.negative;
  if (a.kind === INFINITE || b.kind === INFINITE) return infinity(negative);
  if (a.kind === ZERO || b.kind === ZERO) return zero(negative);
  return round(env, format, negative, a.exponent + b.exponent, a.significand * b.significand);
}

/** Division a / b. */
export function divide(env: FloatEnvironment, format: FloatFormat, a: Float, b: Float): Float {
  const nan = nanResult(env, a, b);
  if (nan) return nan;
  if ((a.kind === INFINITE && b.kind === INFINITE) || (a.kind === ZERO && b.kind === ZERO)) return invalid(env);
  const negative = a.negative !== b.negative;
  if (b.kind === ZERO && a.kind !== INFINITE) {
    env.raise(DIVIDE_BY_ZERO);
    return infinity(negative);
  }
  if (denormalOperand(env, a, b)) return INDEFINITE;
  if (a.kind === INFINITE) return infinity(negative);
  if (b.kind === INFINITE || a.kind === ZERO) return zero(negative);
  // Scale the dividend so that the quotient has the bits rounding needs.
  const scale = Math.max(0, format.precision + ROUNDING_BITS + bitLength(b.significand) - bitLength(a.significand));
  const dividend = a.significand << BigInt(scale);
  const quotient = dividend / b.significand;
  const jammed = quotient * b.significand === dividend ? quotient : quotient | 1n;
  return round(env, format, negative, a.exponent - scale - b.exponent, jammed);
}

/** The largest integer whose square does not exceed `value`. */
export function integerSquareRoot(value: bigint): bigint {
  if (value === 0n) return 0n;
  // Newton's iteration from above, started within 2^-50 of the root.
  const shift = Math.max(0, bitLength(value) - 104) >> 1;
  let root = (BigInt(Math.ceil(Math.sqrt(Number(value >> BigInt(2 * shift))))) + 1n) << BigInt(shift);
  for (;;) {
    const next = (root + value / root) >> 1n;
    if (next >= root) return root;
    root = next;
  }
}

/** Square root. */
export function squareRoot(env: FloatEnvironment, format: FloatFormat, a: Float): Float {
  const nan = nanResult(env, a, a);
  if (nan) return nan;
  if (a.kind === ZERO) return a;
  if (a.negative) return invalid(env);
  if (denormalOperand(env, a)) return INDEFINITE;
  if (a.kind === INFINITE) return a;
  const wanted = 2 * (format.precision + ROUNDING_BITS);
  let scale = Math.max(0, wanted - bitLength(a.significand));
  if ((a.exponent - scale) & 1) scale++;
  const radicand = a.significand << BigInt(scale);
  const root = integerSquareRoot(radicand);
  const jammed = root * root === radicand ? root : root | 1n;
  return round(env, format, false, (a.exponent - scale) / 2, jammed);
}

/** Fused multiply-add a * b + c with one rounding (SDM vol. 1 section 14.5). */
export function multiplyAdd(env: FloatEnvironment, format: FloatFormat, a: Float, b: Float, c: Float): Float {
  if (a.kind >= QUIET_NAN || b.kind >= QUIET_NAN || c.kind >= QUIET_NAN) {
    if (a.kind === SIGNALING_NAN || b.kind === SIGNALING_NAN || c.kind === SIGNALING_NAN) env.raise(INVALID);
    return quiet(a.kind >= QUIET_NAN ? a : b.kind >= QUIET_NAN ? b : c);
  }
  if ((a.kind === INFINITE && b.kind === ZERO) || (a.kind === ZERO && b.kind === INFINITE)) return invalid(env);
  const negative = a.negative !== b.negative;
  const infinite = a.kind === INFINITE || b.kind === INFINITE;
  if (infinite && c.kind === INFINITE && negative !== c.negative) return invalid(env);
  if (denormalOperand(env, a, b) || denormalOperand(env, c)) return INDEFINITE;
  if (infinite) return infinity(negative);
  if (c.kind === INFINITE) return c;
  return add(env, format, finite(negative, a.exponent + b.exponent, a.significand * b.significand), {
    ...c,
    kind: c.kind === DENORMAL ? NORMAL : c.kind,
  });
}

/** Converts to another format; denormal operands raise their exception. */
export function convert(env: FloatEnvironment, format: FloatFormat, a: Float): Float {
  const nan = nanResult(env, a, a);
  if (nan) return nan;
  if (denormalOperand(env, a)) return INDEFINITE;
  return roundValue(env, format, a);
}

/** Rounds a number to a format without looking at it as an operand: no denormal-operand exception. */
export function roundValue(env: FloatEnvironment, format: FloatFormat, a: Float): Float {
  if (a.kind === ZERO || a.kind === INFINITE) return a;
  return round(env, format, a.negative, a.exponent, a.significand);
}

/** Rounds to an integral value in floating-point (ROUNDSS, FRNDINT); raises precision where that changes it. */
export function roundToIntegral(env: FloatEnvironment, a: Float): Float {
  const nan = nanResult(env, a, a);
  if (nan) return nan;
  if (a.kind === ZERO || a.kind === INFINITE || a.exponent >= 0) return a;
  const { multiple, inexact } = roundToUnit(env, a.negative, a.exponent, a.significand, 0);
  if (inexact) env.raise(PRECISION);
  return finite(a.negative, 0, multiple);
}

/**
 * Converts to a two's complement integer of the given width under the environment's rounding. Out of range, infinite or
 * NaN: raises invalid and returns the integer indefinite, the most negative number (SDM vol. 1 table 4-1).
 */
export function toInteger(env: FloatEnvironment, a: Float, bits: number): bigint {
  const indefinite = -1n << BigInt(bits - 1);
  if (a.kind === ZERO) return 0n;
  const tooLarge = a.kind >= INFINITE || a.exponent + bitLength(a.significand) > bits;
  if (!tooLarge) {
    const { multiple, inexact } = roundToUnit(env, a.negative, a.exponent, a.significand, 0);
    const value = a.negative ? -multiple : multiple;
    if (value >= indefinite && value < -indefinite) {
      if (inexact) env.raise(PRECISION);
      return value;
    }
    env.roundedUp = false;
  }
  env.raise(INVALID);
  return indefinite;
}

/** An integer as an exact number. */
export function fromInteger(value: bigint): Float {
  return finite(value < 0n, 0, value < 0n ? -value : value);
}

/** Outcomes of a comparison. */
export const LESS = 0;
export const EQUAL = 1;
export const GREATER = 2;
export const UNORDERED = 3;
export type Relation = typeof LESS | typeof EQUAL | typeof GREATER | typeof UNORDERED;

function compareMagnitude(a: Float, b: Float): Relation {
  const [infiniteA, infiniteB] = [a.kind === INFINITE, b.kind === INFINITE];
  if (infiniteA || infiniteB) return infiniteA === infiniteB ? EQUAL : infiniteA ? GREATER : LESS;
  const top = a.exponent + bitLength(a.significand) - (b.exponent + bitLength(b.significand));
  if (top !== 0) return top < 0 ? LESS : GREATER;
  const unit = Math.min(a.exponent, b.exponent);
  const difference = (a.significand << BigInt(a.exponent - unit)) - (b.significand << BigInt(b.exponent - unit));
  return difference < 0n ? LESS : difference > 0n ? GREATER : EQUAL;
}

/** The relation of two numbers, without any exception; NaNs are unordered. */
export function relation(a: Float, b: Float): Relation {
  if (a.kind >= QUIET_NAN || b.kind >= QUIET_NAN) return UNORDERED;
  if (a.kind === ZERO || b.kind === ZERO) {
    if (a.kind === b.kind) return EQUAL;
    return (a.kind === ZERO ? !b.negative : a.negative) ? LESS : GREATER;
  }
  if (a.negative !== b.negative) return a.negative ? LESS : GREATER;
  return a.negative ? compareMagnitude(b, a) : compareMagnitude(a, b);
}

/**
 * Compares, raising what a comparison raises: invalid for signaling NaNs and unsupported encodings, and for quiet NaNs too
 * where `signalQuiet` (COMISD, FCOM; not UCOMISD, FUCOM).
 */
export function compare(env: FloatEnvironment, a: Float, b: Float, signalQuiet: boolean): Relation {
  const worst = Math.max(a.kind, b.kind);
  if (worst >= QUIET_NAN) {
    if (signalQuiet || worst > QUIET_NAN) env.raise(INVALID);
  } else denormalOperand(env, a, b);
  return relation(a, b);
}
