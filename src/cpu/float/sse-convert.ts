/** SSE conversions between floating-point formats and integers, and rounding to integral values. */
import { convert, fromInteger, roundToIntegral, roundValue, toInteger } from './arithmetic.ts';
import { type FloatEnvironment, PRECISION, ROUND_NEAREST, ROUND_TO_ZERO, type Rounding } from './environment.ts';
import { BINARY32, BINARY64, type Float } from './number.ts';
import { isPlain32, isPlain64, read32, read64, settle32, type UnaryOperation, write32, write64 } from './sse.ts';

/** CVTSS2SD, CVTPS2PD: exact but for NaNs. */
export const binary32ToBinary64: UnaryOperation = (env, memory, destination, source) => {
  if (isPlain32(memory, source)) memory.setFloat64(destination, memory.getFloat32(source, true), true);
  else write64(memory, destination, convert(env, BINARY64, read32(env, memory, source)));
};

/** CVTSD2SS, CVTPD2PS. */
export const binary64ToBinary32: UnaryOperation = (env, memory, destination, source) => {
  if (isPlain64(memory, source)) {
    const x = memory.getFloat64(source, true);
    const result = Math.fround(x);
    if (settle32(env, memory, destination, result, x - result)) return;
  }
  write32(memory, destination, convert(env, BINARY32, read64(env, memory, source)));
};

/** CVTSI2SS with a doubleword, CVTDQ2PS. */
export const int32ToBinary32: UnaryOperation = (env, memory, destination, source) => {
  const x = memory.getInt32(source, true);
  const result = Math.fround(x);
  settle32(env, memory, destination, result, x - result);
};

/** CVTSI2SD with a doubleword, CVTDQ2PD, CVTPI2PD: always exact. */
export const int32ToBinary64: UnaryOperation = (_env, memory, destination, source) =>
  memory.setFloat64(destination, memory.getInt32(source, true), true);

/** CVTSI2SS with a quadword. */
export const int64ToBinary32: UnaryOperation = (env, memory, destination, source) =>
  write32(memory, destination, roundValue(env, BINARY32, fromInteger(memory.getBigInt64(source, true))));

/** CVTSI2SD with a quadword. */
export const int64ToBinary64: UnaryOperation = (env, memory, destination, source) =>
  write64(memory, destination, roundValue(env, BINARY64, fromInteger(memory.getBigInt64(source, true))));

/** Runs `work` under another rounding mode: what the truncating conversions and ROUNDSS's immediate ask for. */
function underRounding<T>(env: FloatEnvironment, rounding: Rounding, work: () => T): T {
  const before = env.rounding;
  env.rounding = rounding;
  try {
    return work();
  } finally {
    env.rounding = before;
  }
}

const integerOf = (env: FloatEnvironment, a: Float, bits: number, truncate: boolean): bigint =>
  truncate ? underRounding(env, ROUND_TO_ZERO, () => toInteger(env, a, bits)) : toInteger(env, a, bits);

const INT32_LIMIT = 2 ** 31;
const ROUND_ADDEND = 2 ** 52 + 2 ** 51;

/** The integer a plain double rounds to, where truncating or to nearest and in range; NaN where the exact path must decide. */
function quickInteger(env: FloatEnvironment, x: number, truncate: boolean): number {
  if (!(Math.abs(x) < INT32_LIMIT - 1)) return NaN;
  let result = NaN;
  if (truncate || env.rounding === ROUND_TO_ZERO) result = Math.trunc(x);
  // Adding 1.5 * 2^52 leaves no bits below the point: the addition itself rounds to nearest even.
  else if (env.rounding === ROUND_NEAREST) result = x + ROUND_ADDEND - ROUND_ADDEND;
  if (result !== x && !Number.isNaN(result)) env.flags |= PRECISION;
  return result;
}

/** CVTSS2SI, CVTTSS2SI to a doubleword, CVTPS2DQ, CVTTPS2DQ: writes an int32. */
export function binary32ToInt32(
  env: FloatEnvironment,
  memory: DataView,
  destination: number,
  source: number,
  truncate: boolean,
): void {
  const quick = isPlain32(memory, source) ? quickInteger(env, memory.getFloat32(source, true), truncate) : NaN;
  memory.setInt32(
    destination,
    Number.isNaN(quick) ? Number(integerOf(env, read32(env, memory, source), 32, truncate)) : quick,
    true,
  );
}

/** CVTSD2SI, CVTTSD2SI to a doubleword, CVTPD2DQ, CVTTPD2DQ: writes an int32. */
export function binary64ToInt32(
  env: FloatEnvironment,
  memory: DataView,
  destination: number,
  source: number,
  truncate: boolean,
): void {
  const quick = isPlain64(memory, source) ? quickInteger(env, memory.getFloat64(source, true), truncate) : NaN;
  memory.setInt32(
    destination,
    Number.isNaN(quick) ? Number(integerOf(env, read64(env, memory, source), 32, truncate)) : quick,
    true,
  );
}

/** CVTSS2SI, CVTTSS2SI to a quadword: writes an int64. */
export function binary32ToInt64(
  env: FloatEnvironment,
  memory: DataView,
  destination: number,
  source: number,
  truncate: boolean,
): void {
  memory.setBigInt64(destination, integerOf(env, read32(env, memory, source), 64, truncate), true);
}

/** CVTSD2SI, CVTTSD2SI to a quadword: writes an int64. */
export function binary64ToInt64(
  env: FloatEnvironment,
  memory: DataView,
  destination: number,
  source: number,
  truncate: boolean,
): void {
  memory.setBigInt64(destination, integerOf(env, read64(env, memory, source), 64, truncate), true);
}

/** The immediate of ROUNDPS and kin (SDM vol. 2B figure 4-24): the rounding mode, MXCSR.RC instead, precision suppressed. */
const ROUND_IMMEDIATE_MODE = 3;
const ROUND_IMMEDIATE_MXCSR = 1 << 2;
const ROUND_IMMEDIATE_NO_PRECISION = 1 << 3;

function roundUnder(env: FloatEnvironment, a: Float, immediate: number): Float {
  const rounding = immediate & ROUND_IMMEDIATE_MXCSR ? env.rounding : ((immediate & ROUND_IMMEDIATE_MODE) as Rounding);
  const before = env.flags;
  const result = underRounding(env, rounding, () => roundToIntegral(env, a));
  if (immediate & ROUND_IMMEDIATE_NO_PRECISION) env.flags = (env.flags & ~PRECISION) | (before & PRECISION);
  return result;
}

/** ROUNDSS, ROUNDPS. */
export function round32(
  env: FloatEnvironment,
  memory: DataView,
  destination: number,
  source: number,
  immediate: number,
): void {
  write32(memory, destination, roundUnder(env, read32(env, memory, source), immediate));
}

/** ROUNDSD, ROUNDPD. */
export function round64(
  env: FloatEnvironment,
  memory: DataView,
  destination: number,
  source: number,
  immediate: number,
): void {
  write64(memory, destination, roundUnder(env, read64(env, memory, source), immediate));
}
