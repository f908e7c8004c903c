/**
 * Whether a result needed no rounding, so that there is no precision exception to report: asked where MXCSR does not flag
 * one yet. Tests may say no of an exact result. Operands and result are normal numbers or zeros, rounded to nearest.
 */
import type { I32, I64, Int, Stage } from '../stage.ts';
import type { FloatFormat, Mask, Pattern } from './float-format.ts';

export type Exactness = (x: Stage, format: FloatFormat, a: Pattern, b: Pattern, result: Pattern) => I32 | undefined;

const same = (x: Stage, format: FloatFormat, a: Pattern, b: Pattern): I32 =>
  format.all(x, format.compare(x, 'eq', a, b) as Mask);

/** The rounding error of a sum is a number that six operations give (Knuth, TAOCP vol. 2, 4.2.2, theorem B). */
const ofSum =
  (subtracts: boolean): Exactness =>
  (x, format, a, subtrahend, sum) => {
    const sub = (p: Pattern, q: Pattern) => x.let(format.compute(x, 'sub', p, q));
    const b = subtracts ? x.let(format.compute(x, 'neg', subtrahend)) : subtrahend;
    const second = sub(sum, a);
    const first = sub(sum, second);
    return x.and(same(x, format, a, first), same(x, format, b, second));
  };

/** Zero bits at the end of a number's significand, its leading one included. */
function trailingZeros(x: Stage, format: FloatFormat, value: Pattern): I32 {
  const significand = x.or(format.bits(x, value) as Int, format.constant(x, format.smallest) as Int);
  const count = x.ctz(significand);
  return count.type === 'i64' ? x.wrap(count as I64) : (count as I32);
}

/** Whether the significands of two scalars are short enough for their product. */
function productFits(x: Stage, format: FloatFormat, a: Pattern, b: Pattern): I32 {
  const precision = format.smallest.toString(2).length;
  return x.geU(x.add(trailingZeros(x, format, a), trailingZeros(x, format, b)), precision);
}

const ofProduct: Exactness = (x, format, a, b, product) => {
  if (!format.scalar) return undefined;
  const zero = format.isZero(x, format.doubled(x, product)) as I32;
  return x.or(zero, productFits(x, format, a, b));
};

const ofQuotient: Exactness = (x, format, a, b, quotient) => {
  if (!format.scalar) return undefined;
  const product = x.let(format.compute(x, 'mul', quotient, b));
  return x.and(productFits(x, format, quotient, b), same(x, format, product, a));
};

export const EXACTNESS = {
  add: ofSum(false),
  sub: ofSum(true),
  mul: ofProduct,
  div: ofQuotient,
  /** Of `a`; `b` is not used. */
  sqrt: (x, format, a, _b, root) => ofQuotient(x, format, a, root, root),
} satisfies Record<string, Exactness>;
