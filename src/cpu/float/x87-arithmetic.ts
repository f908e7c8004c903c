/** x87 arithmetic instructions but for the transcendental ones (SDM vol. 1 sections 8.3.5, 8.3.6). */
import {
  add,
  denormalOperand,
  divide,
  multiply,
  nanResult,
  roundToIntegral,
  squareRoot,
  subtract,
} from './arithmetic.ts';
import { DIVIDE_BY_ZERO, type FloatEnvironment, PRECISION, UNDERFLOW } from './environment.ts';
import {
  bitLength,
  EXTENDED,
  type Float,
  type FloatFormat,
  finite,
  INDEFINITE,
  INFINITE,
  infinity,
  invalid,
  NORMAL,
  round,
  ZERO,
  zero,
} from './number.ts';
import { STATUS_C0, STATUS_C1, STATUS_C2, STATUS_C3, type X87State } from './x87-state.ts';

/** destination = operation(destination, source). */
export type X87Operation = (env: FloatEnvironment, format: FloatFormat, destination: Float, source: Float) => Float;

export const FADD: X87Operation = add;
export const FMUL: X87Operation = multiply;
export const FSUB: X87Operation = subtract;
export const FSUBR: X87Operation = (env, format, destination, source) => subtract(env, format, source, destination);
export const FDIV: X87Operation = divide;
export const FDIVR: X87Operation = (env, format, destination, source) => divide(env, format, source, destination);

/** ST(0) = ST(0) op source: the memory forms; the source decoded with decode32, decode64 or fromInteger. */
export function arithmeticMemory(fpu: X87State, operation: X87Operation, source: Float): void {
  const env = fpu.begin();
  if (fpu.isEmpty(0)) {
    if (fpu.stackFault(false)) fpu.write(0, INDEFINITE);
    return;
  }
  const result = operation(env, fpu.precision, fpu.read(0), source);
  if (fpu.finish()) fpu.write(0, result);
}

/** ST(destination) = ST(destination) op ST(source), optionally popping: one of the two is 0. */
export function arithmeticStack(
  fpu: X87State,
  operation: X87Operation,
  destination: number,
  source: number,
  pop = false,
): void {
  const env = fpu.begin();
  if (fpu.isEmpty(destination) || fpu.isEmpty(source)) {
    if (!fpu.stackFault(false)) return;
    fpu.write(destination, INDEFINITE);
  } else {
    const result = operation(env, fpu.precision, fpu.read(destination), fpu.read(source));
    if (!fpu.finish()) return;
    fpu.write(destination, result);
  }
  if (pop) fpu.pop();
}

/** ST(0) = operation(ST(0)). */
function unary(fpu: X87State, operation: (env: FloatEnvironment, a: Float) => Float): void {
  const env = fpu.begin();
  if (fpu.isEmpty(0)) {
    if (fpu.stackFault(false)) fpu.write(0, INDEFINITE);
    return;
  }
  const result = operation(env, fpu.read(0));
  if (fpu.finish()) fpu.write(0, result);
}

/** FSQRT. */
export const squareRootSt0 = (fpu: X87State): void => unary(fpu, (env, a) => squareRoot(env, fpu.precision, a));

/** FRNDINT: to an integral value under rounding control. */
export const roundSt0 = (fpu: X87State): void =>
  unary(fpu, (env, a) => (denormalOperand(env, a) ? INDEFINITE : roundToIntegral(env, a)));

/** FCHS and FABS work on the bits, whatever they mean. */
function changeSign(fpu: X87State, change: (signExponent: number) => number): void {
  fpu.begin();
  if (!fpu.isEmpty(0)) fpu.setBits(0, change(fpu.signExponent(0)), fpu.significand(0));
  else if (fpu.stackFault(false)) fpu.write(0, INDEFINITE);
}

const SIGN = 0x8000;
/** FCHS. */
export const changeSignSt0 = (fpu: X87State): void => changeSign(fpu, (bits) => bits ^ SIGN);
/** FABS. */
export const absoluteSt0 = (fpu: X87State): void => changeSign(fpu, (bits) => bits & ~SIGN);

/** Beyond any difference of extended exponents: FSCALE amounts are cut to this. */
const SCALE_LIMIT = 1n << 17n;

/** a * 2^trunc(b). */
function scale(env: FloatEnvironment, a: Float, b: Float): Float {
  const nan = nanResult(env, a, b);
  if (nan) return nan;
  if (b.kind === INFINITE && (b.negative ? a.kind === INFINITE : a.kind === ZERO)) return invalid(env);
  if (denormalOperand(env, a, b)) return INDEFINITE;
  if (a.kind === INFINITE || a.kind === ZERO) return a;
  if (b.kind === INFINITE) return b.negative ? zero(a.negative) : infinity(a.negative);
  const large = b.exponent + bitLength(b.significand) > 18;
  const truncated =
    b.exponent >= 0 ? b.significand << BigInt(large ? 0 : b.exponent) : b.significand >> BigInt(-b.exponent);
  const amount = Number(large || truncated > SCALE_LIMIT ? SCALE_LIMIT : truncated);
  const result = round(env, EXTENDED, a.negative, a.exponent + (b.negative ? -amount : amount), a.significand);
  // Results so far out that even the adjusted exponent does not fit become infinities and zeros.
  if (result.kind === NORMAL && result.exponent > EXTENDED.maximumExponent) {
    env.raise(PRECISION);
    env.roundedUp = true;
    return infinity(a.negative);
  }
  if (env.flags & ~env.masks & UNDERFLOW && result.exponent < EXTENDED.minimumExponent) {
    env.raise(PRECISION);
    env.roundedUp = false;
    return zero(a.negative);
  }
  return result;
}

/** FSCALE: ST(0) * 2^trunc(ST(1)). */
export function scaleSt0(fpu: X87State): void {
  const env = fpu.begin();
  if (fpu.isEmpty(0) || fpu.isEmpty(1)) {
    if (fpu.stackFault(false)) fpu.write(0, INDEFINITE);
    return;
  }
  const result = scale(env, fpu.read(0), fpu.read(1));
  if (fpu.finish()) fpu.write(0, result);
}

/** FXTRACT: ST(0) becomes its exponent, then its significand is pushed. */
export function extractSt0(fpu: X87State): void {
  const env = fpu.begin();
  const underflow = fpu.isEmpty(0);
  const overflow = !fpu.isEmpty(-1);
  if (underflow || overflow) {
    if (!fpu.stackFault(overflow && !underflow)) return;
    fpu.write(0, INDEFINITE);
    fpu.top = fpu.top - 1;
    fpu.write(0, INDEFINITE);
    return;
  }
  const { exponent, significand } = extract(env, fpu.read(0));
  if (!fpu.finish()) return;
  fpu.write(0, exponent);
  fpu.top = fpu.top - 1;
  fpu.write(0, significand);
}

function extract(env: FloatEnvironment, a: Float): { exponent: Float; significand: Float } {
  const nan = nanResult(env, a, a);
  if (nan) return { exponent: nan, significand: nan };
  if (a.kind === ZERO) {
    env.raise(DIVIDE_BY_ZERO);
    return { exponent: infinity(true), significand: a };
  }
  if (a.kind === INFINITE) return { exponent: infinity(false), significand: a };
  denormalOperand(env, a);
  const length = bitLength(a.significand);
  const power = a.exponent + length - 1;
  return {
    exponent: finite(power < 0, 0, BigInt(Math.abs(power))),
    significand: finite(a.negative, 1 - length, a.significand),
  };
}

/** Exponent differences from here on are reduced in steps by FPREM and FPREM1. */
const COMPLETE_LIMIT = 64;

interface Remainder {
  readonly result: Float;
  /** C0, C1, C2, C3 as the instruction leaves them; without a remainder C0 and C3 keep their values. */
  readonly codes?: number;
}

/** Quotient bits 2, 1, 0 in C0, C3, C1 (SDM vol. 2A, FPREM). */
const quotientCodes = (quotient: bigint): number =>
  (quotient & 4n ? STATUS_C0 : 0) | (quotient & 2n ? STATUS_C3 : 0) | (quotient & 1n ? STATUS_C1 : 0);

/**
 * The exact (partial) remainder of a / b, the quotient truncated (FPREM) or to nearest (FPREM1). A partial step takes off
 * a multiple of b of which the exponent difference falls to less than 64 eventually; its size is up to the processor.
 */
function remainder(env: FloatEnvironment, a: Float, b: Float, nearest: boolean): Remainder {
  const nan = nanResult(env, a, b);
  if (nan) return { result: nan };
  if (a.kind === INFINITE || b.kind === ZERO) return { result: invalid(env) };
  if (denormalOperand(env, a, b)) return { result: INDEFINITE };
  if (a.kind === ZERO) return { result: a, codes: 0 };
  const difference = a.exponent + bitLength(a.significand) - b.exponent - bitLength(b.significand);
  // a denormal dividend is a tiny result
  if (b.kind === INFINITE || difference < -1)
    return { result: round(env, EXTENDED, a.negative, a.exponent, a.significand), codes: 0 };
  const step = difference < COMPLETE_LIMIT ? 0 : difference - ((difference & 31) | 32);
  const divisorExponent = b.exponent + step;
  const unit = Math.min(a.exponent, divisorExponent);
  const dividend = a.significand << BigInt(a.exponent - unit);
  const divisor = b.significand << BigInt(divisorExponent - unit);
  let quotient = dividend / divisor;
  let rest = dividend - quotient * divisor;
  let negative = a.negative;
  if (nearest && step === 0 && (2n * rest > divisor || (2n * rest === divisor && quotient & 1n))) {
    quotient++;
    rest = divisor - rest;
    negative = !negative;
  }
  const result = rest === 0n ? zero(a.negative) : round(env, EXTENDED, negative, unit, rest);
  return { result, codes: step === 0 ? quotientCodes(quotient) : STATUS_C2 };
}

function partialRemainder(fpu: X87State, nearest: boolean): void {
  const env = fpu.begin();
  fpu.status &= ~STATUS_C2;
  if (fpu.isEmpty(0) || fpu.isEmpty(1)) {
    if (fpu.stackFault(false)) fpu.write(0, INDEFINITE);
    return;
  }
  const { result, codes } = remainder(env, fpu.read(0), fpu.read(1), nearest);
  if (!fpu.finish()) return;
  if (codes !== undefined) fpu.setConditionCodes(codes);
  fpu.write(0, result);
}

/** FPREM: partial remainder of ST(0) / ST(1), quotient truncated. */
export const partialRemainderSt0 = (fpu: X87State): void => partialRemainder(fpu, false);
/** FPREM1: the IEEE 754 remainder, quotient to nearest. */
export const ieeeRemainderSt0 = (fpu: X87State): void => partialRemainder(fpu, true);
