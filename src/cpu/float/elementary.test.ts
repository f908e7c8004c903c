import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as elementary from './elementary.ts';

/** The leading bits of a magnitude as a fraction of one in hexadecimal. */
const digits = ({ exponent, significand }: elementary.Magnitude, hexDigits: number): string =>
  (exponent + 4 * hexDigits >= 0
    ? significand << BigInt(exponent + 4 * hexDigits)
    : significand >> BigInt(-exponent - 4 * hexDigits)
  ).toString(16);
const number = ({ exponent, significand }: elementary.Magnitude): number => Number(significand) * 2 ** exponent;
const real = (x: number): elementary.Magnitude => ({ exponent: -60, significand: BigInt(x * 2 ** 60) });
const close = (actual: number, expected: number): void =>
  assert.ok(Math.abs(actual / expected - 1) < 1e-14, `${actual} ${expected}`);

test('constants', () => {
  // The hexadecimal expansion of pi is the best known of them.
  assert.equal(digits(elementary.CONSTANT_PI, 32), '3243f6a8885a308d313198a2e03707344');
  close(number(elementary.CONSTANT_LN2), Math.LN2);
  close(number(elementary.CONSTANT_LOG2_E), Math.LOG2E);
  close(number(elementary.CONSTANT_LOG2_10), Math.log2(10));
  close(number(elementary.CONSTANT_LOG10_2), Math.log10(2));
});

test('functions agree with the mathematical ones to double precision', () => {
  for (const x of [0.001, 0.25, 0.5, 0.7, 0.99]) {
    close(number(elementary.sineCosine(real(x)).sine), Math.sin(x));
    close(number(elementary.sineCosine(real(x)).cosine), Math.cos(x));
    close(number(elementary.tangent(real(x))), Math.tan(x));
    close(number(elementary.exponentialMinusOne(real(x), false)), Math.expm1(x * Math.LN2));
    close(number(elementary.logarithm(real(x))), -Math.log2(x));
    close(number(elementary.logarithmPlusOne(real(x), false)), Math.log1p(x) / Math.LN2);
    close(number(elementary.arctangent(real(x), real(0.3), false)), Math.atan2(x, 0.3));
    close(number(elementary.arctangent(real(x), real(0.3), true)), Math.atan2(x, -0.3));
  }
});

test('arguments of any size are handled', () => {
  const tiny = { exponent: -16445, significand: 1n };
  const huge = { exponent: 16320, significand: (1n << 64n) - 1n };
  assert.equal(elementary.arctangent(tiny, huge, false).significand > 0n, true);
  close(number(elementary.arctangent(huge, tiny, false)), Math.PI / 2);
  close(number(elementary.arctangent(tiny, huge, true)), Math.PI);
  close(number(elementary.logarithm(tiny)), 16445);
  close(number(elementary.logarithmPlusOne(huge, false)), 16384);
  assert.equal(elementary.sineCosine(tiny).cosine.negative, false);
});
