/**
 * Elementary functions on exact arguments, to some 130 bits: enough that one more rounding gives the correctly rounded
 * 64-bit result but for arguments nobody has found. Fixed-point series over bigints; no exceptions, no special values.
 */
import { bitLength } from './number.ts';

/** A positive real number significand * 2^exponent, cut after 128 bits or more. */
export interface Magnitude {
  readonly exponent: number;
  readonly significand: bigint;
}
/** A real number, as Magnitude. */
export interface Approximation extends Magnitude {
  readonly negative: boolean;
}

/** Bits kept beyond the leading one of results. */
const WORKING_BITS = 140;
/** Arguments below 2^-TINY_LIMIT: the first term of a series is right to twice as many bits. */
const TINY_LIMIT = 80;
/** Arguments below 2^-LINEAR_LIMIT: the first term is right to as many bits, where the second is not odd. */
const LINEAR_LIMIT = 160;
const CONSTANT_BITS = 512;

/** Position of the leading bit: 2^(n-1) <= value < 2^n. */
const magnitudeOf = ({ exponent, significand }: Magnitude): number => exponent + bitLength(significand);

/** The value in units of 2^-fractionBits, truncated. */
function toFixed({ exponent, significand }: Magnitude, fractionBits: number): bigint {
  const shift = exponent + fractionBits;
  return shift >= 0 ? significand << BigInt(shift) : significand >> BigInt(-shift);
}

function fromFixed(value: bigint, fractionBits: number): Approximation {
  return { negative: value < 0n, exponent: -fractionBits, significand: value < 0n ? -value : value };
}

/** 2 * (t + t^3/3 + t^5/5 ...) = ln((1+t)/(1-t)); with `alternating` 2 * atan(t). */
function oddSeries(t: bigint, fractionBits: number, alternating: boolean): bigint {
  const shift = BigInt(fractionBits);
  const square = alternating ? -((t * t) >> shift) : (t * t) >> shift;
  let power = t;
  let sum = t;
  for (let n = 3n; power !== 0n && power !== -1n; n += 2n) {
    power = (power * square) >> shift;
    sum += power / n;
  }
  return 2n * sum;
}

const one = (fractionBits: number): bigint => 1n << BigInt(fractionBits);

/** ln 2 = 2 atanh(1/3). */
const LN2 = oddSeries(one(CONSTANT_BITS) / 3n, CONSTANT_BITS, false);
/** Machin: pi = 16 atan(1/5) - 4 atan(1/239). */
const PI =
  8n * oddSeries(one(CONSTANT_BITS) / 5n, CONSTANT_BITS, true) -
  2n * oddSeries(one(CONSTANT_BITS) / 239n, CONSTANT_BITS, true);
const LN10 = 3n * LN2 + oddSeries(one(CONSTANT_BITS) / 9n, CONSTANT_BITS, false);

/** pi, log2 10, log2 e, log10 2 and ln 2, for the load-constant instructions. */
export const CONSTANT_PI: Magnitude = fromFixed(PI, CONSTANT_BITS);
export const CONSTANT_LOG2_10: Magnitude = fromFixed((LN10 << BigInt(CONSTANT_BITS)) / LN2, CONSTANT_BITS);
export const CONSTANT_LOG2_E: Magnitude = fromFixed(one(2 * CONSTANT_BITS) / LN2, CONSTANT_BITS);
export const CONSTANT_LOG10_2: Magnitude = fromFixed((LN2 << BigInt(CONSTANT_BITS)) / LN10, CONSTANT_BITS);
export const CONSTANT_LN2: Magnitude = fromFixed(LN2, CONSTANT_BITS);

const cut = (value: bigint, fractionBits: number): bigint => value >> BigInt(CONSTANT_BITS - fractionBits);

/** Sine (cosine with `even`) of 0 <= x < 1 by Taylor series. */
function circularSeries(x: bigint, fractionBits: number, even: boolean): bigint {
  const shift = BigInt(fractionBits);
  const square = (x * x) >> shift;
  let term = even ? one(fractionBits) : x;
  let sum = term;
  for (let n = even ? 1n : 2n; term !== 0n; n += 2n) {
    term = ((term * square) >> shift) / (n * (n + 1n));
    sum += n & 2n ? (even ? term : -term) : even ? -term : term;
    if (term === 0n) break;
  }
  return sum;
}

/** What the processor takes for pi when it reduces arguments: 66 bits, in units of 2^-64 (SDM vol. 1 section 8.3.8). */
const REDUCTION_PI = 0x3_243f_6a88_85a3_08d3n;
const REDUCTION_PI_BITS = 64;

/** sin and cos of x >= 0. */
export function sineCosine(x: Magnitude): { sine: Approximation; cosine: Approximation } {
  // Reduce to |rest| <= pi/4, exactly, in units of 2^-unitBits; half of pi is REDUCTION_PI * 2^-65.
  const unitBits = Math.max(-x.exponent, REDUCTION_PI_BITS + 1);
  let rest = { exponent: x.exponent, significand: x.significand };
  let quadrant = 0n;
  let flipped = false;
  if (magnitudeOf(x) >= 0) {
    const value = x.significand << BigInt(x.exponent + unitBits);
    const half = REDUCTION_PI << BigInt(unitBits - REDUCTION_PI_BITS - 1);
    quadrant = (2n * value + half) / (2n * half);
    const difference = value - quadrant * half;
    flipped = difference < 0n;
    rest = { exponent: -unitBits, significand: flipped ? -difference : difference };
  }
  const sineRest = sineOf(rest, flipped);
  const fixed = toFixed(rest, WORKING_BITS);
  const cosineRest: Approximation =
    fixed === 0n
      ? { negative: false, exponent: -WORKING_BITS, significand: one(WORKING_BITS) - 1n }
      : fromFixed(circularSeries(fixed, WORKING_BITS, true), WORKING_BITS);
  const swap = (quadrant & 1n) !== 0n;
  const sine = swap ? cosineRest : sineRest;
  const cosine = swap ? sineRest : cosineRest;
  return {
    sine: { ...sine, negative: sine.negative !== ((quadrant & 2n) !== 0n) },
    cosine: { ...cosine, negative: cosine.negative !== (((quadrant + 1n) & 2n) !== 0n) },
  };
}

/** The sine of a reduced argument, keeping relative precision near zero. */
function sineOf(rest: Magnitude, negative: boolean): Approximation {
  if (rest.significand === 0n) return { negative, exponent: 0, significand: 0n };
  const leading = magnitudeOf(rest);
  if (leading < -TINY_LIMIT) return { negative, ...slightlyLess(rest) };
  const fractionBits = WORKING_BITS + Math.max(0, -leading);
  return { ...fromFixed(circularSeries(toFixed(rest, fractionBits), fractionBits, false), fractionBits), negative };
}

/** A number an insignificant bit below: for functions like sine that stay below their argument. */
function slightlyLess({ exponent, significand }: Magnitude): Magnitude {
  const extra = Math.max(0, WORKING_BITS - bitLength(significand));
  return { exponent: exponent - extra, significand: (significand << BigInt(extra)) - 1n };
}

/** tan of x >= 0. */
export function tangent(x: Magnitude): Approximation {
  if (magnitudeOf(x) < -TINY_LIMIT) return { negative: false, ...slightlyMore(x) };
  const { sine, cosine } = sineCosine(x);
  return { negative: sine.negative !== cosine.negative, ...quotientOf(sine, cosine) };
}

/** A number an insignificant bit above. */
function slightlyMore({ exponent, significand }: Magnitude): Magnitude {
  const extra = Math.max(1, WORKING_BITS - bitLength(significand));
  return { exponent: exponent - extra, significand: (significand << BigInt(extra)) + 1n };
}

/** a / b to the working precision. */
export function quotientOf(a: Magnitude, b: Magnitude): Magnitude {
  const scale = Math.max(0, WORKING_BITS + bitLength(b.significand) - bitLength(a.significand));
  return {
    exponent: a.exponent - scale - b.exponent,
    significand: (a.significand << BigInt(scale)) / b.significand,
  };
}

/** a * b. */
export const productOf = (a: Magnitude, b: Magnitude): Magnitude => ({
  exponent: a.exponent + b.exponent,
  significand: a.significand * b.significand,
});

/** Sums of angles atan(k/16) that shorten the arctangent series, by k. */
const ANGLE_STEPS = 16n;
const angles: bigint[] = [];
function stepAngle(k: number): bigint {
  // atan(k/16) = 2 atan(h) with h = tan of half the angle, rational only by the addition theorem: sum from the step below.
  angles[0] = 0n;
  for (let i = angles.length; i <= k; i++) {
    // atan(i/16) - atan((i-1)/16) = atan(16 / (256 + i (i-1)))
    const difference = (ANGLE_STEPS << BigInt(CONSTANT_BITS)) / (ANGLE_STEPS * ANGLE_STEPS + BigInt(i * (i - 1)));
    angles[i] = angles[i - 1] + oddSeries(difference, CONSTANT_BITS, true) / 2n;
  }
  return angles[k];
}

/** atan(y / x) for y, x > 0, between 0 and pi/2; with `obtuse` the angle of (-x, y): pi minus that. */
export function arctangent(y: Magnitude, x: Magnitude, obtuse: boolean): Magnitude {
  const unit = Math.min(x.exponent, y.exponent);
  const order = magnitudeOf(y) - magnitudeOf(x);
  const steep = order > 0 || (order === 0 && toFixed(y, -unit) > toFixed(x, -unit));
  const ratio = steep ? quotientOf(x, y) : quotientOf(y, x);
  const leading = magnitudeOf(ratio);
  if (leading < -TINY_LIMIT && !steep && !obtuse) return slightlyLess(ratio);
  const fractionBits = WORKING_BITS + Math.max(0, steep || obtuse ? 0 : -leading);
  const t = leading < -fractionBits ? 0n : toFixed(ratio, fractionBits);
  const scale = BigInt(fractionBits);
  const k = (t * ANGLE_STEPS + one(fractionBits - 1)) >> scale;
  const reduced = ((t * ANGLE_STEPS - (k << scale)) << scale) / ((ANGLE_STEPS << scale) + t * k);
  const angle = cut(stepAngle(Number(k)), fractionBits) + oddSeries(reduced, fractionBits, true) / 2n;
  const turn = cut(PI, fractionBits);
  const result = steep ? (obtuse ? turn / 2n + angle : turn / 2n - angle) : obtuse ? turn - angle : angle;
  return fromFixed(result, fractionBits);
}

/** 2^x - 1 for |x| <= 1, x not zero. */
export function exponentialMinusOne(x: Magnitude, negative: boolean): Approximation {
  const leading = magnitudeOf(x);
  if (leading < -LINEAR_LIMIT) return { negative, ...productOf(x, CONSTANT_LN2) };
  const fractionBits = WORKING_BITS + Math.max(0, -leading);
  const shift = BigInt(fractionBits);
  const magnitude = (toFixed(x, fractionBits) * cut(LN2, fractionBits)) >> shift;
  const power = negative ? -magnitude : magnitude;
  let term = power;
  let sum = power;
  for (let n = 2n; term !== 0n && term !== -1n; n++) {
    term = ((term * power) >> shift) / n;
    sum += term;
  }
  return fromFixed(sum, fractionBits);
}

/** log2 of x > 0, exact zero for 1. */
export function logarithm(x: Magnitude): Approximation {
  // x = 2^power * m with sqrt(1/2) < m < sqrt(2), nearly.
  const length = bitLength(x.significand);
  let power = x.exponent + length - 1;
  let unit = length - 1;
  // Above 1.414: halve m.
  if ((x.significand << 10n) >> BigInt(unit) > 1448n) {
    power++;
    unit++;
  }
  const unity = 1n << BigInt(unit);
  const numerator = x.significand - unity;
  if (numerator === 0n) return fromFixed(BigInt(power) << BigInt(WORKING_BITS), WORKING_BITS);
  return addPower(log2Ratio(numerator, x.significand + unity, power === 0), power);
}

/** log2(1 + x) for x > -1, x not zero. */
export function logarithmPlusOne(x: Magnitude, negative: boolean): Approximation {
  if (magnitudeOf(x) < -LINEAR_LIMIT) return { negative, ...productOf(x, CONSTANT_LOG2_E) };
  if (magnitudeOf(x) > LINEAR_LIMIT) return logarithm(x);
  const unit = Math.max(0, -x.exponent);
  const value = x.significand << BigInt(x.exponent + unit);
  const sum = (1n << BigInt(unit)) + (negative ? -value : value);
  if (magnitudeOf(x) >= -1) return logarithm({ exponent: -unit, significand: sum });
  return log2Ratio(negative ? -value : value, sum + (1n << BigInt(unit)), true);
}

/** log2((1+t)/(1-t)) of t = numerator / denominator, |t| < 0.18; relative precision near zero where asked for. */
function log2Ratio(numerator: bigint, denominator: bigint, relative: boolean): Approximation {
  const magnitude = numerator < 0n ? -numerator : numerator;
  const small = relative ? bitLength(denominator) - bitLength(magnitude) : 0;
  const fractionBits = WORKING_BITS + small;
  const t = (magnitude << BigInt(fractionBits)) / denominator;
  const logarithm = (oddSeries(t, fractionBits, false) << BigInt(fractionBits)) / cut(LN2, fractionBits);
  return { ...fromFixed(logarithm, fractionBits), negative: numerator < 0n };
}

function addPower(fraction: Approximation, power: number): Approximation {
  if (power === 0) return fraction;
  const value =
    (BigInt(power) << BigInt(-fraction.exponent)) + (fraction.negative ? -fraction.significand : fraction.significand);
  return fromFixed(value, -fraction.exponent);
}
