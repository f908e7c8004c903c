import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import * as exact from './arithmetic.ts';
import { decode32, decode64, encode32, encode64 } from './encoding.ts';
import {
  DENORMAL_OPERAND,
  DIVIDE_BY_ZERO,
  FloatEnvironment,
  INVALID,
  OVERFLOW,
  PRE_COMPUTATION,
  PRECISION,
  type Rounding,
  UNDERFLOW,
} from './environment.ts';
import { BINARY32, BINARY64 } from './number.ts';
import * as sse from './sse.ts';
import { predicate64 } from './sse-compare.ts';
import { binary64ToInt32, round64 } from './sse-convert.ts';

const MXCSR_DEFAULT = 0x1f80;
const RESULT = 0;
const FIRST = 8;
const SECOND = 16;
const memory = new DataView(new ArrayBuffer(24));
const env = new FloatEnvironment();
const OPERATIONS = [
  ['add', sse.add32, sse.add64, exact.add],
  ['subtract', sse.subtract32, sse.subtract64, exact.subtract],
  ['multiply', sse.multiply32, sse.multiply64, exact.multiply],
  ['divide', sse.divide32, sse.divide64, exact.divide],
] as const;
/** Operands whose results are exact, halfway, just off halfway, cancelling, or far apart. */
const VALUES = [
  0,
  -0,
  1,
  -1,
  3,
  1 / 3,
  2 ** -52,
  1 + 2 ** -23,
  1 - 2 ** -24,
  2 ** 53 + 2,
  -(2 ** 60),
  1e-30,
  6.02e23,
  0.1,
];

describe('the quick paths agree with exact arithmetic', () => {
  for (const [name, quick32, quick64, operation] of OPERATIONS) {
    test(name, () => {
      for (const rounding of [0, 1, 2, 3] as Rounding[]) {
        for (const x of VALUES) {
          for (const y of VALUES) {
            env.loadMxcsr(MXCSR_DEFAULT | (rounding << 13));
            memory.setFloat64(FIRST, x, true);
            memory.setFloat64(SECOND, y, true);
            const [a, b] = [FIRST, SECOND].map((at) => decode64(memory.getBigUint64(at, true)));
            const expected = encode64(operation(env, BINARY64, a, b));
            const flags = env.flags;
            env.flags = 0;
            quick64(env, memory, RESULT, FIRST, SECOND);
            assert.deepEqual(
              [memory.getBigUint64(RESULT, true), env.flags],
              [expected, flags],
              `${x} ${y} ${rounding}`,
            );

            env.flags = 0;
            memory.setFloat32(FIRST, x, true);
            memory.setFloat32(SECOND, y, true);
            const [c, d] = [FIRST, SECOND].map((at) => decode32(memory.getUint32(at, true)));
            const expected32 = encode32(operation(env, BINARY32, c, d));
            const flags32 = env.flags;
            env.flags = 0;
            quick32(env, memory, RESULT, FIRST, SECOND);
            assert.deepEqual(
              [memory.getUint32(RESULT, true), env.flags],
              [expected32, flags32],
              `${x} ${y} ${rounding}`,
            );
          }
        }
      }
    });
  }
});

describe('exceptions', () => {
  const run = (mxcsr: number, operation: sse.BinaryOperation, x: number, y: number): number => {
    env.loadMxcsr(mxcsr);
    memory.setFloat64(FIRST, x, true);
    memory.setFloat64(SECOND, y, true);
    operation(env, memory, RESULT, FIRST, SECOND);
    return memory.getFloat64(RESULT, true);
  };

  test('masked responses', () => {
    assert.equal(run(MXCSR_DEFAULT, sse.divide64, 1, 0), Infinity);
    assert.equal(env.flags, DIVIDE_BY_ZERO);
    assert.ok(Number.isNaN(run(MXCSR_DEFAULT, sse.divide64, 0, 0)));
    assert.equal(env.flags, INVALID);
    assert.equal(memory.getBigUint64(RESULT, true), 0xfff8_0000_0000_0000n);
    assert.equal(run(MXCSR_DEFAULT, sse.multiply64, Number.MAX_VALUE, 2), Infinity);
    assert.equal(env.flags, OVERFLOW | PRECISION);
    assert.equal(run(MXCSR_DEFAULT, sse.multiply64, Number.MIN_VALUE, 0.5), 0);
    assert.equal(env.flags, DENORMAL_OPERAND | UNDERFLOW | PRECISION);
  });

  test('an exact denormal result is no underflow unless unmasked', () => {
    assert.equal(run(MXCSR_DEFAULT, sse.multiply64, 2 ** -1022, 0.5), 2 ** -1023);
    assert.equal(env.flags, 0);
    run(MXCSR_DEFAULT & ~(1 << 11), sse.multiply64, 2 ** -1022, 0.5);
    assert.equal(env.flags, UNDERFLOW);
    assert.ok(env.unmasked);
  });

  test('tininess is detected after rounding', () => {
    // 2^-1022 * (1 - 2^-104): rounds up to the smallest normal, or truncates to the largest denormal.
    const [x, y] = [1 - 2 ** -52, (1 + 2 ** -52) * 2 ** -1022];
    assert.equal(run(MXCSR_DEFAULT, sse.multiply64, x, y), 2 ** -1022);
    assert.equal(env.flags, PRECISION);
    assert.equal(run(MXCSR_DEFAULT | (3 << 13), sse.multiply64, x, y), 2 ** -1022 - 2 ** -1074);
    assert.equal(env.flags, UNDERFLOW | PRECISION);
  });

  test('of two NaNs the first is delivered, quieted', () => {
    env.loadMxcsr(MXCSR_DEFAULT);
    memory.setBigUint64(FIRST, 0x7ff8_0000_0000_0001n, true);
    memory.setBigUint64(SECOND, 0xfff0_0000_0000_0002n, true);
    sse.add64(env, memory, RESULT, FIRST, SECOND);
    assert.deepEqual([memory.getBigUint64(RESULT, true), env.flags], [0x7ff8_0000_0000_0001n, INVALID]);
    sse.add64(env, memory, RESULT, SECOND, FIRST);
    assert.equal(memory.getBigUint64(RESULT, true), 0xfff8_0000_0000_0002n);
  });

  test('denormals-are-zero and flush-to-zero', () => {
    assert.equal(run(MXCSR_DEFAULT | 0x40, sse.add64, Number.MIN_VALUE, Number.MIN_VALUE), 0);
    assert.equal(env.flags, 0);
    assert.equal(run(MXCSR_DEFAULT | 0x8000, sse.multiply64, 2 ** -1022, 0.5), 0);
    assert.equal(env.flags, UNDERFLOW | PRECISION);
  });

  test('an unmasked exception before the computation hides those after it', () => {
    const mxcsr = MXCSR_DEFAULT & ~(1 << 7);
    env.loadMxcsr(mxcsr);
    env.raise(INVALID | PRECISION);
    assert.equal(env.storeMxcsr(mxcsr), mxcsr | INVALID);
    assert.equal(env.flags & ~PRE_COMPUTATION, 0);
  });
});

describe('conversions and comparisons', () => {
  const put = (x: number): void => memory.setFloat64(FIRST, x, true);

  test('integers out of range are indefinite', () => {
    for (const x of [2 ** 31, -(2 ** 31) - 1, Infinity, Number.NaN]) {
      env.loadMxcsr(MXCSR_DEFAULT);
      put(x);
      binary64ToInt32(env, memory, RESULT, FIRST, true);
      assert.deepEqual([memory.getInt32(RESULT, true), env.flags], [-(2 ** 31), INVALID]);
    }
  });

  test('ties go to even, and truncation to zero', () => {
    for (const [x, nearest, truncated] of [
      [0.5, 0, 0],
      [1.5, 2, 1],
      [-2.5, -2, -2],
      [-3.5, -4, -3],
    ]) {
      env.loadMxcsr(MXCSR_DEFAULT);
      put(x);
      binary64ToInt32(env, memory, RESULT, FIRST, false);
      assert.equal(memory.getInt32(RESULT, true), nearest);
      binary64ToInt32(env, memory, RESULT, FIRST, true);
      assert.equal(memory.getInt32(RESULT, true), truncated);
      assert.equal(env.flags, PRECISION);
    }
  });

  test('ROUNDSD keeps the sign of zero and can suppress the precision exception', () => {
    env.loadMxcsr(MXCSR_DEFAULT);
    put(-0.25);
    round64(env, memory, RESULT, FIRST, 8);
    assert.ok(Object.is(memory.getFloat64(RESULT, true), -0));
    assert.equal(env.flags, 0);
  });

  test('only signaling predicates raise invalid for quiet NaNs', () => {
    put(Number.NaN);
    memory.setFloat64(SECOND, 1, true);
    env.loadMxcsr(MXCSR_DEFAULT);
    assert.equal(predicate64(env, memory, FIRST, SECOND, 3), true); // UNORD_Q
    assert.equal(env.flags, 0);
    assert.equal(predicate64(env, memory, FIRST, SECOND, 1), false); // LT_OS
    assert.equal(env.flags, INVALID);
  });
});
