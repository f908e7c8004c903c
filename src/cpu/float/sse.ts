/**
 * Scalar SSE/SSE2 arithmetic, bit-exact with flags: one function per operation and width, on operands in memory (register
 * file or guest operand) so that no bit pattern ever passes through a JavaScript value that could change a NaN.
 *
 * Each operation has a quick path in doubles, taken where operands and result are plainly normal: the rounding error is
 * then itself a double and its sign says everything about inexactness and directed rounding. The rest goes through
 * arithmetic.ts. Packed instructions call these per element between one loadMxcsr and one storeMxcsr.
 */
import { add, divide, multiply, multiplyAdd, negate, squareRoot, subtract } from './arithmetic.ts';
import { decode32, decode64, encode32, encode64 } from './encoding.ts';
import { type FloatEnvironment, PRECISION, ROUND_DOWN, ROUND_NEAREST, ROUND_TO_ZERO, ROUND_UP } from './environment.ts';
import { BINARY32, BINARY64, DENORMAL, type Float, type FloatFormat, QUIET_NAN, zero } from './number.ts';

/** memory[destination] = memory[first] op memory[second]; offsets in bytes, no alignment needed. */
export type BinaryOperation = (
  env: FloatEnvironment,
  memory: DataView,
  destination: number,
  first: number,
  second: number,
) => void;
/** memory[destination] = op memory[source]. */
export type UnaryOperation = (env: FloatEnvironment, memory: DataView, destination: number, source: number) => void;

type ExactBinary = (env: FloatEnvironment, format: FloatFormat, a: Float, b: Float) => Float;

/** The operand with MXCSR.DAZ applied. */
const operand = (env: FloatEnvironment, a: Float): Float =>
  a.kind === DENORMAL && env.denormalsAreZero ? zero(a.negative) : a;

/** Reads a binary32 operand under DAZ. */
export const read32 = (env: FloatEnvironment, memory: DataView, offset: number): Float =>
  operand(env, decode32(memory.getUint32(offset, true)));
/** Reads a binary64 operand under DAZ. */
export const read64 = (env: FloatEnvironment, memory: DataView, offset: number): Float =>
  operand(env, decode64(memory.getBigUint64(offset, true)));
export const write32 = (memory: DataView, offset: number, a: Float): void =>
  memory.setUint32(offset, encode32(a), true);
export const write64 = (memory: DataView, offset: number, a: Float): void =>
  memory.setBigUint64(offset, encode64(a), true);

const exact32 = (
  env: FloatEnvironment,
  memory: DataView,
  destination: number,
  first: number,
  second: number,
  operation: ExactBinary,
): void =>
  write32(memory, destination, operation(env, BINARY32, read32(env, memory, first), read32(env, memory, second)));

const exact64 = (
  env: FloatEnvironment,
  memory: DataView,
  destination: number,
  first: number,
  second: number,
  operation: ExactBinary,
): void =>
  write64(memory, destination, operation(env, BINARY64, read64(env, memory, first), read64(env, memory, second)));

// Quick paths.

const EXPONENT_SHIFT_32 = 23;
const EXPONENT_MASK_32 = 0xff;
const MINIMUM_NORMAL_32 = 2 ** -126;
const MAXIMUM_32 = 2 ** 128 - 2 ** 104;

/** Normal or zero: a binary32 whose arithmetic can be done in doubles. */
export function isPlain32(memory: DataView, offset: number): boolean {
  const word = memory.getUint32(offset, true);
  const biased = (word >>> EXPONENT_SHIFT_32) & EXPONENT_MASK_32;
  return (biased !== 0 && biased !== EXPONENT_MASK_32) || word << 1 === 0;
}

const EXPONENT_SHIFT_64 = 20;
const EXPONENT_MASK_64 = 0x7ff;
/** Biased exponents of 2^-400..2^400: products and quotients, and their rounding errors, stay normal doubles. */
const PLAIN_MINIMUM_64 = 1023 - 400;
const PLAIN_SPAN_64 = 800;

/** Zero, or of moderate exponent: a binary64 whose rounding errors can be computed in doubles. */
export function isPlain64(memory: DataView, offset: number): boolean {
  const high = memory.getUint32(offset + 4, true);
  const biased = (high >>> EXPONENT_SHIFT_64) & EXPONENT_MASK_64;
  if ((biased - PLAIN_MINIMUM_64) >>> 0 <= PLAIN_SPAN_64) return true;
  return high << 1 === 0 && memory.getUint32(offset, true) === 0;
}

/**
 * By how many units in the last place the magnitude of the nearest result changes under directed rounding, given the sign
 * of the error (exact value minus nearest result, not zero).
 */
function directedStep(env: FloatEnvironment, result: number, error: number): number {
  const outward = error > 0 === result > 0;
  switch (env.rounding) {
    case ROUND_NEAREST:
      return 0;
    case ROUND_DOWN:
      return error > 0 ? 0 : outward ? 1 : -1;
    case ROUND_UP:
      return error < 0 ? 0 : outward ? 1 : -1;
    case ROUND_TO_ZERO:
      return outward ? 0 : -1;
  }
}

/** Stores a nearest binary64 result, corrected for the rounding mode; `error` as in directedStep, zero where exact. */
export function settle64(
  env: FloatEnvironment,
  memory: DataView,
  destination: number,
  result: number,
  error: number,
): void {
  memory.setFloat64(destination, result, true);
  if (error === 0) return;
  env.flags |= PRECISION;
  const step = directedStep(env, result, error);
  if (step === 0) return;
  const low = memory.getUint32(destination, true);
  memory.setUint32(destination, low + step, true);
  const carry = step > 0 ? (low === 0xffff_ffff ? 1 : 0) : low === 0 ? -1 : 0;
  if (carry !== 0) memory.setUint32(destination + 4, memory.getUint32(destination + 4, true) + carry, true);
}

/** As settle64, for a binary32 result; false where it is not plainly normal and must be computed exactly. */
export function settle32(
  env: FloatEnvironment,
  memory: DataView,
  destination: number,
  result: number,
  error: number,
): boolean {
  const magnitude = Math.abs(result);
  if (result === 0 ? error !== 0 : !(magnitude > MINIMUM_NORMAL_32 && magnitude < MAXIMUM_32)) return false;
  memory.setFloat32(destination, result, true);
  if (error === 0) return true;
  env.flags |= PRECISION;
  const step = directedStep(env, result, error);
  if (step !== 0) memory.setUint32(destination, memory.getUint32(destination, true) + step, true);
  return true;
}

/** What rounding to nearest took from x + y, given its rounded sum (Knuth's TwoSum). */
function sumError(x: number, y: number, sum: number): number {
  const part = sum - x;
  return x - (sum - part) + (y - part);
}

const SPLITTER = 2 ** 27 + 1;

/** What rounding to nearest took from x * y, given its rounded product (Veltkamp's split, Dekker's product). */
function productError(x: number, y: number, product: number): number {
  const scaledX = x * SPLITTER;
  const highX = scaledX - (scaledX - x);
  const lowX = x - highX;
  const scaledY = y * SPLITTER;
  const highY = scaledY - (scaledY - y);
  const lowY = y - highY;
  return lowX * lowY - (product - highX * highY - lowX * highY - highX * lowY);
}

/** An exactly known zero sum is -0 under rounding down unless both operands were +0: left to the exact path. */
const needsZeroSign = (env: FloatEnvironment, sum: number): boolean => sum === 0 && env.rounding === ROUND_DOWN;

function quickSum32(env: FloatEnvironment, memory: DataView, destination: number, x: number, y: number): boolean {
  const sum = x + y;
  if (needsZeroSign(env, sum)) return false;
  const result = Math.fround(sum);
  return settle32(env, memory, destination, result, sum - result || sumError(x, y, sum));
}

function quickSum64(env: FloatEnvironment, memory: DataView, destination: number, x: number, y: number): boolean {
  const sum = x + y;
  if (needsZeroSign(env, sum)) return false;
  settle64(env, memory, destination, sum, sumError(x, y, sum));
  return true;
}

export const add32: BinaryOperation = (env, memory, destination, first, second) => {
  const plain = isPlain32(memory, first) && isPlain32(memory, second);
  if (plain && quickSum32(env, memory, destination, memory.getFloat32(first, true), memory.getFloat32(second, true)))
    return;
  exact32(env, memory, destination, first, second, add);
};

export const add64: BinaryOperation = (env, memory, destination, first, second) => {
  const plain = isPlain64(memory, first) && isPlain64(memory, second);
  if (plain && quickSum64(env, memory, destination, memory.getFloat64(first, true), memory.getFloat64(second, true)))
    return;
  exact64(env, memory, destination, first, second, add);
};

export const subtract32: BinaryOperation = (env, memory, destination, first, second) => {
  const plain = isPlain32(memory, first) && isPlain32(memory, second);
  if (plain && quickSum32(env, memory, destination, memory.getFloat32(first, true), -memory.getFloat32(second, true)))
    return;
  exact32(env, memory, destination, first, second, subtract);
};

export const subtract64: BinaryOperation = (env, memory, destination, first, second) => {
  const plain = isPlain64(memory, first) && isPlain64(memory, second);
  if (plain && quickSum64(env, memory, destination, memory.getFloat64(first, true), -memory.getFloat64(second, true)))
    return;
  exact64(env, memory, destination, first, second, subtract);
};

export const multiply32: BinaryOperation = (env, memory, destination, first, second) => {
  if (isPlain32(memory, first) && isPlain32(memory, second)) {
    const product = memory.getFloat32(first, true) * memory.getFloat32(second, true);
    const result = Math.fround(product);
    if (settle32(env, memory, destination, result, product - result)) return;
  }
  exact32(env, memory, destination, first, second, multiply);
};

export const multiply64: BinaryOperation = (env, memory, destination, first, second) => {
  if (isPlain64(memory, first) && isPlain64(memory, second)) {
    const x = memory.getFloat64(first, true);
    const y = memory.getFloat64(second, true);
    const product = x * y;
    settle64(env, memory, destination, product, productError(x, y, product));
    return;
  }
  exact64(env, memory, destination, first, second, multiply);
};

export const divide32: BinaryOperation = (env, memory, destination, first, second) => {
  if (isPlain32(memory, first) && isPlain32(memory, second)) {
    const x = memory.getFloat32(first, true);
    const y = memory.getFloat32(second, true);
    if (y !== 0) {
      const result = Math.fround(x / y);
      const remainder = x - result * y;
      if (settle32(env, memory, destination, result, y > 0 ? remainder : -remainder)) return;
    }
  }
  exact32(env, memory, destination, first, second, divide);
};

export const divide64: BinaryOperation = (env, memory, destination, first, second) => {
  if (isPlain64(memory, first) && isPlain64(memory, second)) {
    const x = memory.getFloat64(first, true);
    const y = memory.getFloat64(second, true);
    if (y !== 0) {
      const quotient = x / y;
      const product = quotient * y;
      const remainder = x - product - productError(quotient, y, product);
      settle64(env, memory, destination, quotient, y > 0 ? remainder : -remainder);
      return;
    }
  }
  exact64(env, memory, destination, first, second, divide);
};

export const squareRoot32: UnaryOperation = (env, memory, destination, source) => {
  if (isPlain32(memory, source)) {
    const x = memory.getFloat32(source, true);
    if (x >= 0) {
      const result = Math.fround(Math.sqrt(x));
      if (settle32(env, memory, destination, result, x - result * result)) return;
    }
  }
  write32(memory, destination, squareRoot(env, BINARY32, read32(env, memory, source)));
};

export const squareRoot64: UnaryOperation = (env, memory, destination, source) => {
  if (isPlain64(memory, source)) {
    const x = memory.getFloat64(source, true);
    if (x >= 0) {
      const root = Math.sqrt(x);
      const square = root * root;
      settle64(env, memory, destination, root, x - square - productError(root, root, square));
      return;
    }
  }
  write64(memory, destination, squareRoot(env, BINARY64, read64(env, memory, source)));
};

// Fused multiply-add: always the exact path.

/** Signs of a fused multiply-add: VFMADD, VFMSUB (minus c), VFNMADD (minus a * b), VFNMSUB (both). */
export interface FusedSigns {
  readonly negateProduct: boolean;
  readonly negateAddend: boolean;
}

/** memory[destination] = +-(a * b) +- c, all binary32, rounded once. */
export function fused32(
  env: FloatEnvironment,
  memory: DataView,
  destination: number,
  a: number,
  b: number,
  c: number,
  signs: FusedSigns,
): void {
  write32(
    memory,
    destination,
    fused(env, BINARY32, read32(env, memory, a), read32(env, memory, b), read32(env, memory, c), signs),
  );
}

/** memory[destination] = +-(a * b) +- c, all binary64, rounded once. */
export function fused64(
  env: FloatEnvironment,
  memory: DataView,
  destination: number,
  a: number,
  b: number,
  c: number,
  signs: FusedSigns,
): void {
  write64(
    memory,
    destination,
    fused(env, BINARY64, read64(env, memory, a), read64(env, memory, b), read64(env, memory, c), signs),
  );
}

/** Negation applies to numbers only: a NaN operand is delivered with its own sign. */
function fused(env: FloatEnvironment, format: FloatFormat, a: Float, b: Float, c: Float, signs: FusedSigns): Float {
  const flip = (x: Float, wanted: boolean): Float => (wanted && x.kind < QUIET_NAN ? negate(x) : x);
  return multiplyAdd(env, format, flip(a, signs.negateProduct), b, flip(c, signs.negateAddend));
}
