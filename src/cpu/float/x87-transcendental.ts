/** x87 transcendental and load-constant instructions (SDM vol. 1 sections 8.3.4, 8.3.7 to 8.3.10). */
import { denormalOperand, nanResult } from './arithmetic.ts';
import {
  arctangent,
  CONSTANT_LN2,
  CONSTANT_LOG2_10,
  CONSTANT_LOG2_E,
  CONSTANT_LOG10_2,
  CONSTANT_PI,
  exponentialMinusOne,
  logarithm,
  logarithmPlusOne,
  type Magnitude,
  productOf,
  sineCosine,
  tangent,
} from './elementary.ts';
import { DIVIDE_BY_ZERO, type FloatEnvironment, PRECISION, UNDERFLOW } from './environment.ts';
import {
  bitLength,
  EXTENDED,
  type Float,
  finite,
  INDEFINITE,
  INFINITE,
  infinity,
  invalid,
  round,
  ZERO,
  zero,
} from './number.ts';
import { STATUS_C2, type X87State } from './x87-state.ts';

/** Rounds an irrational value: the jammed last bit says that more would follow. */
const settle = (env: FloatEnvironment, negative: boolean, { exponent, significand }: Magnitude): Float =>
  round(env, EXTENDED, negative, exponent, significand | 1n);

// Constants.

const ONE = finite(false, 0, 1n);

/** Pushes a constant rounded under rounding control, without raising precision. */
function loadConstant(fpu: X87State, value: Magnitude): void {
  const env = fpu.begin();
  if (fpu.isEmpty(-1)) {
    const result = settle(env, false, value);
    env.flags = 0;
    fpu.push(result);
  } else fpu.push(INDEFINITE);
}

function loadExact(fpu: X87State, value: Float): void {
  fpu.begin();
  fpu.push(value);
}

/** FLD1. */
export const loadOne = (fpu: X87State): void => loadExact(fpu, ONE);
/** FLDZ. */
export const loadZero = (fpu: X87State): void => loadExact(fpu, zero(false));
/** FLDPI. */
export const loadPi = (fpu: X87State): void => loadConstant(fpu, CONSTANT_PI);
/** FLDL2T: log2 10. */
export const loadLog2Ten = (fpu: X87State): void => loadConstant(fpu, CONSTANT_LOG2_10);
/** FLDL2E: log2 e. */
export const loadLog2E = (fpu: X87State): void => loadConstant(fpu, CONSTANT_LOG2_E);
/** FLDLG2: log10 2. */
export const loadLog10Two = (fpu: X87State): void => loadConstant(fpu, CONSTANT_LOG10_2);
/** FLDLN2: ln 2. */
export const loadLnTwo = (fpu: X87State): void => loadConstant(fpu, CONSTANT_LN2);

// Trigonometry.

/** Arguments of this magnitude and more are left alone with C2 set. */
const CIRCULAR_LIMIT = 63;
const outOfRange = (a: Float): boolean =>
  a.kind < INFINITE && a.kind !== ZERO && a.exponent + bitLength(a.significand) > CIRCULAR_LIMIT;

/** Results of a circular function: the value for ST(0), and where there is one, the value pushed after it. */
interface Circular {
  readonly value: Float;
  readonly pushed?: Float;
}

function circular(fpu: X87State, pushes: boolean, operation: (env: FloatEnvironment, a: Float) => Circular): void {
  const env = fpu.begin();
  fpu.status &= ~STATUS_C2;
  const underflow = fpu.isEmpty(0);
  if (underflow || (pushes && !fpu.isEmpty(-1))) {
    if (!fpu.stackFault(!underflow)) return;
    fpu.write(0, INDEFINITE);
    if (!pushes) return;
    fpu.top = fpu.top - 1;
    fpu.write(0, INDEFINITE);
    return;
  }
  const operand = fpu.read(0);
  if (outOfRange(operand)) {
    fpu.status |= STATUS_C2;
    return;
  }
  const { value, pushed } = operation(env, operand);
  if (!fpu.finish()) return;
  fpu.write(0, value);
  if (!pushed) return;
  fpu.top = fpu.top - 1;
  fpu.write(0, pushed);
}

/** Results for operands that are no finite numbers. */
function nonFinite(env: FloatEnvironment, a: Float): Float | undefined {
  return nanResult(env, a, a) ?? (a.kind === INFINITE ? invalid(env) : undefined);
}

function sine(env: FloatEnvironment, a: Float): Float {
  env.roundedUp = false;
  if (a.kind === ZERO) return a;
  const { sine } = sineCosine(a);
  return settle(env, sine.negative !== a.negative, sine);
}

function cosine(env: FloatEnvironment, a: Float): Float {
  if (a.kind === ZERO) return ONE;
  const { cosine } = sineCosine(a);
  return settle(env, cosine.negative, cosine);
}

/** FSIN. */
export const sineSt0 = (fpu: X87State): void =>
  circular(fpu, false, (env, a) => ({
    value: nonFinite(env, a) ?? (denormalOperand(env, a) ? INDEFINITE : sine(env, a)),
  }));

/** FCOS. */
export const cosineSt0 = (fpu: X87State): void =>
  circular(fpu, false, (env, a) => ({
    value: nonFinite(env, a) ?? (denormalOperand(env, a) ? INDEFINITE : cosine(env, a)),
  }));

/** FSINCOS: the sine replaces ST(0), then the cosine is pushed. */
export const sineCosineSt0 = (fpu: X87State): void =>
  circular(fpu, true, (env, a) => {
    const special = nonFinite(env, a);
    if (special) return { value: special, pushed: special };
    if (denormalOperand(env, a)) return { value: INDEFINITE };
    // The sine last: C1 reports its rounding.
    const pushed = cosine(env, a);
    return { value: sine(env, a), pushed };
  });

/** FPTAN: the tangent replaces ST(0), then 1.0 is pushed. */
export const tangentSt0 = (fpu: X87State): void =>
  circular(fpu, true, (env, a) => {
    const special = nonFinite(env, a);
    if (special) return { value: special, pushed: special };
    if (denormalOperand(env, a)) return { value: INDEFINITE };
    if (a.kind === ZERO) return { value: a, pushed: ONE };
    const result = tangent(a);
    return { value: settle(env, result.negative !== a.negative, result), pushed: ONE };
  });

// Functions of one and two operands.

/** ST(1) = operation(ST(1), ST(0)), then pop. */
function binary(fpu: X87State, operation: (env: FloatEnvironment, y: Float, x: Float) => Float): void {
  const env = fpu.begin();
  if (fpu.isEmpty(0) || fpu.isEmpty(1)) {
    if (!fpu.stackFault(false)) return;
    fpu.write(1, INDEFINITE);
    fpu.pop();
    return;
  }
  const result = operation(env, fpu.read(1), fpu.read(0));
  if (!fpu.finish()) return;
  fpu.write(1, result);
  fpu.pop();
}

/** A multiple of pi / 4 as a result. */
function quarters(env: FloatEnvironment, count: bigint, negative: boolean): Float {
  const { exponent, significand } = CONSTANT_PI;
  return settle(env, negative, { exponent: exponent - 2, significand: significand * count });
}

/** The angle of the point (x, y) (SDM vol. 2A, table "FPATAN Results"). */
function angle(env: FloatEnvironment, y: Float, x: Float): Float {
  const nan = nanResult(env, x, y);
  if (nan) return nan;
  if (denormalOperand(env, x, y)) return INDEFINITE;
  if (y.kind === INFINITE) return quarters(env, x.kind === INFINITE ? (x.negative ? 3n : 1n) : 2n, y.negative);
  if (y.kind === ZERO || x.kind === INFINITE) return x.negative ? quarters(env, 4n, y.negative) : zero(y.negative);
  if (x.kind === ZERO) return quarters(env, 2n, y.negative);
  return settle(env, y.negative, arctangent(y, x, x.negative));
}

/** FPATAN: ST(1) = angle of (ST(0), ST(1)), then pop. */
export const arctangentSt1 = (fpu: X87State): void => binary(fpu, angle);

/** F2XM1: ST(0) = 2^ST(0) - 1, for operands between -1 and 1. */
export function exponentialSt0(fpu: X87State): void {
  const env = fpu.begin();
  if (fpu.isEmpty(0)) {
    if (fpu.stackFault(false)) fpu.write(0, INDEFINITE);
    return;
  }
  const result = powerMinusOne(env, fpu.read(0));
  if (fpu.finish()) fpu.write(0, result);
}

const MINUS_ONE = finite(true, 0, 1n);

function powerMinusOne(env: FloatEnvironment, a: Float): Float {
  const nan = nanResult(env, a, a);
  if (nan) return nan;
  if (denormalOperand(env, a)) return INDEFINITE;
  if (a.kind === INFINITE) return a.negative ? MINUS_ONE : a;
  if (a.kind === ZERO) return a;
  const leading = a.exponent + bitLength(a.significand);
  const atEnd = leading === 1 && a.significand === 1n << BigInt(Math.max(0, -a.exponent));
  if (leading > 0 && !atEnd) {
    // Beyond 1 the result is undefined: the operand comes back.
    env.raise(PRECISION);
    return a;
  }
  return settle(env, a.negative, exponentialMinusOne(a, a.negative));
}

/** y times a logarithm already known not to be zero. */
function timesLogarithm(
  env: FloatEnvironment,
  y: Float,
  log: { negative: boolean } & Magnitude,
  exact: boolean,
): Float {
  const negative = y.negative !== log.negative;
  const product = productOf(y, log);
  if (!exact) return settle(env, negative, product);
  // The processor does not notice exact results: they count as inexact, and if tiny as underflow.
  const result = round(env, EXTENDED, negative, product.exponent, product.significand);
  const tiny = result.exponent === EXTENDED.minimumExponent && bitLength(result.significand) < EXTENDED.precision;
  env.raise(tiny ? UNDERFLOW | PRECISION : PRECISION);
  return result;
}

/** y * log2(x) (SDM vol. 2A, table "FYL2X Results"). */
function yLog2X(env: FloatEnvironment, y: Float, x: Float): Float {
  const nan = nanResult(env, x, y);
  if (nan) return nan;
  if (x.negative && x.kind !== ZERO) return invalid(env);
  const isOne =
    x.kind < INFINITE && x.kind !== ZERO && x.significand === 1n << BigInt(Math.max(0, -x.exponent)) && x.exponent <= 0;
  if (x.kind === ZERO) {
    if (y.kind === ZERO) return invalid(env);
    if (y.kind !== INFINITE) {
      env.raise(DIVIDE_BY_ZERO);
      return infinity(!y.negative);
    }
    return infinity(!y.negative);
  }
  if (isOne && y.kind === INFINITE) return invalid(env);
  if (x.kind === INFINITE && y.kind === ZERO) return invalid(env);
  if (denormalOperand(env, x, y)) return INDEFINITE;
  const below = x.kind !== INFINITE && x.exponent + bitLength(x.significand) <= 0;
  if (x.kind === INFINITE || y.kind === INFINITE) return infinity(y.negative !== below);
  if (y.kind === ZERO || isOne) return zero(y.negative !== below);
  const powerOfTwo = (x.significand & (x.significand - 1n)) === 0n;
  return timesLogarithm(env, y, logarithm(x), powerOfTwo);
}

/** FYL2X: ST(1) = ST(1) * log2 ST(0), then pop. */
export const logarithmSt1 = (fpu: X87State): void => binary(fpu, yLog2X);

/** y * log2(x + 1) (SDM vol. 2A, table "FYL2XP1 Results"). */
function yLog2XPlusOne(env: FloatEnvironment, y: Float, x: Float): Float {
  const nan = nanResult(env, x, y);
  if (nan) return nan;
  if (x.kind === ZERO && y.kind === INFINITE) return invalid(env);
  if (x.kind === INFINITE && (x.negative || y.kind === ZERO)) return invalid(env);
  if (denormalOperand(env, x, y)) return INDEFINITE;
  if (x.kind === INFINITE || y.kind === INFINITE) return infinity(y.negative !== x.negative);
  if (x.kind === ZERO || y.kind === ZERO) return zero(y.negative !== x.negative);
  // Undefined from -1 down: the operand comes back.
  if (x.negative && x.exponent + bitLength(x.significand) > 0) {
    env.raise(PRECISION);
    return x;
  }
  return timesLogarithm(env, y, logarithmPlusOne(x, x.negative), false);
}

/** FYL2XP1: ST(1) = ST(1) * log2(ST(0) + 1), then pop. */
export const logarithmPlusOneSt1 = (fpu: X87State): void => binary(fpu, yLog2XPlusOne);
