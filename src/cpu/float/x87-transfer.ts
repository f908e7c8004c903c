/**
 * x87 data transfer instructions (SDM vol. 1 section 8.3.3): loads, stores, exchanges, conditional moves, constants.
 *
 * Stores put their value where the caller says and return whether it is to be stored at all: false after an unmasked
 * exception. As they change the status word and may pop, the caller makes sure beforehand that the guest's memory operand
 * can be written (a fault must leave the x87 state as it was).
 */
import { fromInteger, nanResult, roundValue, toInteger } from './arithmetic.ts';
import { encode32, encode64 } from './encoding.ts';
import {
  DENORMAL_OPERAND,
  type FloatEnvironment,
  INVALID,
  OVERFLOW,
  PRECISION,
  ROUND_TO_ZERO,
  UNDERFLOW,
} from './environment.ts';
import { BINARY32, BINARY64, DENORMAL, type Float, finite, INDEFINITE, INFINITE, roundToUnit, ZERO } from './number.ts';
import type { X87State } from './x87-state.ts';

// Loads.

/** FLD m32fp, m64fp: pushes the operand (decode32, decode64); signaling NaNs and denormals raise their exceptions. */
export function loadFloat(fpu: X87State, source: Float): void {
  const env = fpu.begin();
  if (!fpu.isEmpty(-1)) {
    fpu.push(INDEFINITE);
    return;
  }
  // A denormal is pushed even where its exception is unmasked: the handler finds it in ST(0).
  if (source.kind === DENORMAL) env.raise(DENORMAL_OPERAND);
  const value = nanResult(env, source, source) ?? source;
  const allowed = fpu.finish();
  if (allowed || source.kind === DENORMAL) fpu.push(value);
}

/** FLD m80fp: pushes the bits as they are. */
export function loadExtended(fpu: X87State, signExponent: number, significand: bigint): void {
  fpu.begin();
  if (!fpu.isEmpty(-1)) {
    fpu.push(INDEFINITE);
    return;
  }
  fpu.top = fpu.top - 1;
  fpu.setBits(0, signExponent, significand);
}

/** FLD ST(i). */
export function loadStack(fpu: X87State, index: number): void {
  if (!fpu.isEmpty(index)) {
    loadExtended(fpu, fpu.signExponent(index), fpu.significand(index));
    return;
  }
  fpu.begin();
  if (!fpu.stackFault(false)) return;
  fpu.top = fpu.top - 1;
  fpu.write(0, INDEFINITE);
}

/** FILD of any width: exact. */
export function loadInteger(fpu: X87State, value: bigint): void {
  fpu.begin();
  fpu.push(fromInteger(value));
}

const BCD_DIGITS = 18;
const BCD_SIGN = 0x8000;

/** FBLD: 18 packed decimal digits, the low 16 of them in `low`; the sign is the top bit of `high`. Digits are not checked. */
export function loadDecimal(fpu: X87State, low: bigint, high: number): void {
  fpu.begin();
  let value = 0n;
  const digits = (BigInt(high & 0xff) << 64n) | low;
  for (let i = BCD_DIGITS - 1; i >= 0; i--) value = value * 10n + ((digits >> BigInt(4 * i)) & 15n);
  fpu.push(finite((high & BCD_SIGN) !== 0, 0, value));
}

// Stores.

/** Ends a store of ST(0): status, then the pop. False where nothing is to be stored. */
function finishStore(fpu: X87State, pop: boolean): boolean {
  if (!fpu.finish()) return false;
  if (pop) fpu.pop();
  return true;
}

/** Memory gets no bias-adjusted results: an unmasked overflow or underflow stores nothing (SDM vol. 1 sections 8.5.4, 8.5.5). */
const storesNothing = (env: FloatEnvironment): boolean => (env.flags & ~env.masks & (OVERFLOW | UNDERFLOW)) !== 0;

function storeFloat(fpu: X87State, format: typeof BINARY32, pop: boolean, put: (value: Float) => void): boolean {
  const env = fpu.begin();
  if (fpu.isEmpty(0)) {
    if (!fpu.stackFault(false)) return false;
    put(INDEFINITE);
    if (pop) fpu.pop();
    return true;
  }
  const value = fpu.read(0);
  const result = nanResult(env, value, value) ?? roundValue(env, format, value);
  if (storesNothing(env)) {
    env.flags &= ~PRECISION;
    env.roundedUp = false;
    fpu.finish();
    return false;
  }
  if (!finishStore(fpu, pop)) return false;
  put(result);
  return true;
}

/** FST, FSTP m32fp: writes a binary32. */
export const storeBinary32 = (fpu: X87State, memory: DataView, offset: number, pop: boolean): boolean =>
  storeFloat(fpu, BINARY32, pop, (value) => memory.setUint32(offset, encode32(value), true));

/** FST, FSTP m64fp: writes a binary64. */
export const storeBinary64 = (fpu: X87State, memory: DataView, offset: number, pop: boolean): boolean =>
  storeFloat(fpu, BINARY64, pop, (value) => memory.setBigUint64(offset, encode64(value), true));

const INDEFINITE_SIGN_EXPONENT = 0xffff;
const INDEFINITE_SIGNIFICAND = 3n << 62n;

/** FSTP m80fp: writes 10 bytes, bits unchanged, and pops. */
export function storeExtended(fpu: X87State, memory: DataView, offset: number): boolean {
  fpu.begin();
  const empty = fpu.isEmpty(0);
  if (empty && !fpu.stackFault(false)) return false;
  memory.setBigUint64(offset, empty ? INDEFINITE_SIGNIFICAND : fpu.significand(0), true);
  memory.setUint16(offset + 8, empty ? INDEFINITE_SIGN_EXPONENT : fpu.signExponent(0), true);
  fpu.pop();
  return true;
}

/** FST, FSTP ST(i). */
export function storeStack(fpu: X87State, index: number, pop: boolean): void {
  fpu.begin();
  if (!fpu.isEmpty(0)) fpu.setBits(index, fpu.signExponent(0), fpu.significand(0));
  else if (fpu.stackFault(false)) fpu.write(index, INDEFINITE);
  else return;
  if (pop) fpu.pop();
}

/** FIST, FISTP, and FISTTP with `truncate`: writes a 16-, 32- or 64-bit integer. */
export function storeInteger(
  fpu: X87State,
  memory: DataView,
  offset: number,
  bits: 16 | 32 | 64,
  pop: boolean,
  truncate = false,
): boolean {
  const env = fpu.begin();
  if (truncate) env.rounding = ROUND_TO_ZERO;
  let value: bigint;
  if (fpu.isEmpty(0)) {
    if (!fpu.stackFault(false)) return false;
    value = -1n << BigInt(bits - 1);
    if (pop) fpu.pop();
  } else {
    value = toInteger(env, fpu.read(0), bits);
    if (!finishStore(fpu, pop)) return false;
  }
  if (bits === 64) memory.setBigInt64(offset, value, true);
  else if (bits === 32) memory.setInt32(offset, Number(value), true);
  else memory.setInt16(offset, Number(value), true);
  return true;
}

/** The packed BCD indefinite (SDM vol. 1 table 4-4). */
const BCD_INDEFINITE_LOW = 0xc000_0000_0000_0000n;
const BCD_INDEFINITE_HIGH = 0xffff;
const BCD_LIMIT = 10n ** BigInt(BCD_DIGITS);

/** FBSTP: writes 10 bytes of packed decimal and pops. */
export function storeDecimal(fpu: X87State, memory: DataView, offset: number): boolean {
  const env = fpu.begin();
  let digits: { low: bigint; high: number };
  if (fpu.isEmpty(0)) {
    if (!fpu.stackFault(false)) return false;
    digits = { low: BCD_INDEFINITE_LOW, high: BCD_INDEFINITE_HIGH };
    fpu.pop();
  } else {
    digits = toDecimal(env, fpu.read(0));
    if (!finishStore(fpu, true)) return false;
  }
  memory.setBigUint64(offset, digits.low, true);
  memory.setUint16(offset + 8, digits.high, true);
  return true;
}

function toDecimal(env: FloatEnvironment, a: Float): { low: bigint; high: number } {
  const fits = a.kind < INFINITE && a.exponent < 0;
  let magnitude = a.kind === ZERO ? 0n : BCD_LIMIT;
  if (a.kind !== ZERO && a.kind < INFINITE && (fits || a.exponent === 0)) {
    const { multiple, inexact } = roundToUnit(env, a.negative, a.exponent, a.significand, 0);
    magnitude = multiple;
    if (inexact && magnitude < BCD_LIMIT) env.raise(PRECISION);
  }
  if (magnitude >= BCD_LIMIT) {
    env.raise(INVALID);
    env.roundedUp = false;
    return { low: BCD_INDEFINITE_LOW, high: BCD_INDEFINITE_HIGH };
  }
  const packed = BigInt(`0x${magnitude}`);
  return { low: BigInt.asUintN(64, packed), high: Number(packed >> 64n) | (a.negative ? BCD_SIGN : 0) };
}

// Register moves.

/** FXCH ST(i). */
export function exchange(fpu: X87State, index: number): void {
  fpu.begin();
  if (fpu.isEmpty(0) || fpu.isEmpty(index)) {
    if (!fpu.stackFault(false)) return;
    if (fpu.isEmpty(0)) fpu.write(0, INDEFINITE);
    if (fpu.isEmpty(index)) fpu.write(index, INDEFINITE);
  }
  const signExponent = fpu.signExponent(0);
  const significand = fpu.significand(0);
  fpu.setBits(0, fpu.signExponent(index), fpu.significand(index));
  fpu.setBits(index, signExponent, significand);
}

/** FCMOVcc ST(0), ST(i); the caller evaluates the condition on the flags. */
export function conditionalMove(fpu: X87State, index: number, condition: boolean): void {
  if (fpu.isEmpty(0) || fpu.isEmpty(index)) {
    fpu.begin();
    if (fpu.stackFault(false)) fpu.write(0, INDEFINITE);
  } else if (condition) fpu.setBits(0, fpu.signExponent(index), fpu.significand(index));
}

/** FFREE ST(i). */
export function free(fpu: X87State, index: number): void {
  fpu.begin();
  fpu.setEmpty(index, true);
}

/** FINCSTP. */
export function incrementTop(fpu: X87State): void {
  fpu.begin();
  fpu.top = fpu.top + 1;
}

/** FDECSTP. */
export function decrementTop(fpu: X87State): void {
  fpu.begin();
  fpu.top = fpu.top - 1;
}
