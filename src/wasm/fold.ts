/**
 * Constant folding of the integer operators, and the identities that leave an operand as it is.
 *
 * An operation that would trap is not folded: it traps when it runs.
 */

import type { OperatorName } from './operators.ts';
import { bigintOf, constantI32, constantI64, type Tree } from './value.ts';

/** Computes an operator of constants, or gives undefined where it would trap. */
export type Fold = (a: Tree, b: Tree) => Tree | undefined;

const unaryI32 = (compute: (a: number) => number): Fold => {
  return (a) => constantI32(compute(a.low));
};

const binaryI32 = (compute: (a: number, b: number) => number | undefined): Fold => {
  return (a, b) => {
    const result = compute(a.low, b.low);
    return result === undefined ? undefined : constantI32(result);
  };
};

const compareI32 = (compute: (a: number, b: number) => boolean): Fold => {
  return (a, b) => constantI32(compute(a.low, b.low) ? 1 : 0);
};

const unaryI64 = (compute: (a: bigint) => bigint): Fold => {
  return (a) => constantI64(compute(bigintOf(a)));
};

const binaryI64 = (compute: (a: bigint, b: bigint) => bigint | undefined): Fold => {
  return (a, b) => {
    const result = compute(bigintOf(a), bigintOf(b));
    return result === undefined ? undefined : constantI64(result);
  };
};

const compareI64 = (compute: (a: bigint, b: bigint) => boolean): Fold => {
  return (a, b) => constantI32(compute(bigintOf(a), bigintOf(b)) ? 1 : 0);
};

const unsigned = (value: bigint): bigint => BigInt.asUintN(64, value);
const MOST_NEGATIVE_I32 = -0x8000_0000;
const MOST_NEGATIVE_I64 = -0x8000_0000_0000_0000n;

const countTrailingZeros32 = (a: number): number => (a === 0 ? 32 : 31 - Math.clz32(a & -a));

function countOnes32(a: number): number {
  let count = 0;
  for (; a !== 0; a &= a - 1) count++;
  return count;
}

const FOLDS: Partial<Record<OperatorName, Fold>> = {
  'i32.eqz': unaryI32((a) => (a === 0 ? 1 : 0)),
  'i32.clz': unaryI32(Math.clz32),
  'i32.ctz': unaryI32(countTrailingZeros32),
  'i32.popcnt': unaryI32(countOnes32),
  'i32.extend8_s': unaryI32((a) => (a << 24) >> 24),
  'i32.extend16_s': unaryI32((a) => (a << 16) >> 16),
  'i32.eq': compareI32((a, b) => a === b),
  'i32.ne': compareI32((a, b) => a !== b),
  'i32.lt_s': compareI32((a, b) => a < b),
  'i32.lt_u': compareI32((a, b) => a >>> 0 < b >>> 0),
  'i32.gt_s': compareI32((a, b) => a > b),
  'i32.gt_u': compareI32((a, b) => a >>> 0 > b >>> 0),
  'i32.le_s': compareI32((a, b) => a <= b),
  'i32.le_u': compareI32((a, b) => a >>> 0 <= b >>> 0),
  'i32.ge_s': compareI32((a, b) => a >= b),
  'i32.ge_u': compareI32((a, b) => a >>> 0 >= b >>> 0),
  'i32.add': binaryI32((a, b) => a + b),
  'i32.sub': binaryI32((a, b) => a - b),
  'i32.mul': binaryI32(Math.imul),
  'i32.div_s': binaryI32((a, b) => (b === 0 || (a === MOST_NEGATIVE_I32 && b === -1) ? undefined : Math.trunc(a / b))),
  'i32.div_u': binaryI32((a, b) => (b === 0 ? undefined : Math.trunc((a >>> 0) / (b >>> 0)))),
  'i32.rem_s': binaryI32((a, b) => (b === 0 ? undefined : a % b)),
  'i32.rem_u': binaryI32((a, b) => (b === 0 ? undefined : (a >>> 0) % (b >>> 0))),
  'i32.and': binaryI32((a, b) => a & b),
  'i32.or': binaryI32((a, b) => a | b),
  'i32.xor': binaryI32((a, b) => a ^ b),
  'i32.shl': binaryI32((a, b) => a << b),
  'i32.shr_s': binaryI32((a, b) => a >> b),
  'i32.shr_u': binaryI32((a, b) => a >>> b),
  'i32.rotl': binaryI32((a, b) => (a << b) | (a >>> -b)),
  'i32.rotr': binaryI32((a, b) => (a >>> b) | (a << -b)),

  'i64.eqz': (a) => constantI32(a.low === 0 && a.high === 0 ? 1 : 0),
  'i64.clz': (a) => constantI64(a.high !== 0 ? Math.clz32(a.high) : 32 + Math.clz32(a.low)),
  'i64.ctz': (a) => constantI64(a.low !== 0 ? countTrailingZeros32(a.low) : 32 + countTrailingZeros32(a.high)),
  'i64.popcnt': (a) => constantI64(countOnes32(a.low) + countOnes32(a.high)),
  'i64.extend8_s': unaryI64((a) => BigInt.asIntN(8, a)),
  'i64.extend16_s': unaryI64((a) => BigInt.asIntN(16, a)),
  'i64.extend32_s': unaryI64((a) => BigInt.asIntN(32, a)),
  'i64.eq': compareI64((a, b) => a === b),
  'i64.ne': compareI64((a, b) => a !== b),
  'i64.lt_s': compareI64((a, b) => a < b),
  'i64.lt_u': compareI64((a, b) => unsigned(a) < unsigned(b)),
  'i64.gt_s': compareI64((a, b) => a > b),
  'i64.gt_u': compareI64((a, b) => unsigned(a) > unsigned(b)),
  'i64.le_s': compareI64((a, b) => a <= b),
  'i64.le_u': compareI64((a, b) => unsigned(a) <= unsigned(b)),
  'i64.ge_s': compareI64((a, b) => a >= b),
  'i64.ge_u': compareI64((a, b) => unsigned(a) >= unsigned(b)),
  'i64.add': binaryI64((a, b) => a + b),
  'i64.sub': binaryI64((a, b) => a - b),
  'i64.mul': binaryI64((a, b) => a * b),
  'i64.div_s': binaryI64((a, b) => (b === 0n || (a === MOST_NEGATIVE_I64 && b === -1n) ? undefined : a / b)),
  'i64.div_u': binaryI64((a, b) => (b === 0n ? undefined : unsigned(a) / unsigned(b))),
  'i64.rem_s': binaryI64((a, b) => (b === 0n ? undefined : a % b)),
  'i64.rem_u': binaryI64((a, b) => (b === 0n ? undefined : unsigned(a) % unsigned(b))),
  'i64.and': binaryI64((a, b) => a & b),
  'i64.or': binaryI64((a, b) => a | b),
  'i64.xor': binaryI64((a, b) => a ^ b),
  'i64.shl': binaryI64((a, b) => a << (b & 63n)),
  'i64.shr_s': binaryI64((a, b) => a >> (b & 63n)),
  'i64.shr_u': binaryI64((a, b) => unsigned(a) >> (b & 63n)),
  'i64.rotl': binaryI64((a, b) => (a << (b & 63n)) | (unsigned(a) >> (-b & 63n))),
  'i64.rotr': binaryI64((a, b) => (unsigned(a) >> (b & 63n)) | (a << (-b & 63n))),

  'i32.wrap_i64': (a) => constantI32(a.low),
  'i64.extend_i32_s': (a) => constantI64(a.low),
  'i64.extend_i32_u': (a) => constantI64(a.low >>> 0),
};

/** The constant n of an operator for which x operator n is x; for a commutative operator n operator x is x as well. */
export interface Identity {
  /** The two halves of the constant, as in Tree. */
  readonly low: number;
  readonly high: number;
  readonly commutative: boolean;
}

const ZERO = { low: 0, high: 0, commutative: true };
const ZERO_RIGHT = { low: 0, high: 0, commutative: false };
const ONE = { low: 1, high: 0, commutative: true };
const ONE_RIGHT = { low: 1, high: 0, commutative: false };
const ONES_I32 = { low: -1, high: 0, commutative: true };
const ONES_I64 = { low: -1, high: -1, commutative: true };

const IDENTITIES: Partial<Record<OperatorName, Identity>> = {
  'i32.add': ZERO,
  'i64.add': ZERO,
  'i32.or': ZERO,
  'i64.or': ZERO,
  'i32.xor': ZERO,
  'i64.xor': ZERO,
  'i32.sub': ZERO_RIGHT,
  'i64.sub': ZERO_RIGHT,
  'i32.shl': ZERO_RIGHT,
  'i64.shl': ZERO_RIGHT,
  'i32.shr_s': ZERO_RIGHT,
  'i64.shr_s': ZERO_RIGHT,
  'i32.shr_u': ZERO_RIGHT,
  'i64.shr_u': ZERO_RIGHT,
  'i32.rotl': ZERO_RIGHT,
  'i64.rotl': ZERO_RIGHT,
  'i32.rotr': ZERO_RIGHT,
  'i64.rotr': ZERO_RIGHT,
  'i32.mul': ONE,
  'i64.mul': ONE,
  'i32.div_s': ONE_RIGHT,
  'i64.div_s': ONE_RIGHT,
  'i32.div_u': ONE_RIGHT,
  'i64.div_u': ONE_RIGHT,
  'i32.and': ONES_I32,
  'i64.and': ONES_I64,
};

/** How an operator of constants is computed, if it can be. */
export function foldOf(name: OperatorName): Fold | undefined {
  return FOLDS[name];
}

/** The identity of an operator, if it has one. */
export function identityOf(name: OperatorName): Identity | undefined {
  return IDENTITIES[name];
}

/** The operators that fold; for tests. */
export function foldedOperators(): OperatorName[] {
  return Object.keys(FOLDS) as OperatorName[];
}
