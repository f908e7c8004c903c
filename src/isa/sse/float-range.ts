/**
 * What magnitudes floating-point values can have, where code may assume things (Stage.assuming). Operands that come from
 * memory or from elsewhere are checked once to be zero or in a wide range about 1; from that follows what results can
 * be, and that they raise nothing but the precision exception, which MXCSR masks and flags already (SDM vol. 1 11.5.2).
 * So most operations are a single WebAssembly operator. Whatever is out of range the interpreter computes.
 */
import type { Local } from '../../wasm/index.ts';
import type { I32, Stage } from '../stage.ts';
import { type FloatFormat, type Mask, type Pattern, quietNearest } from './float-format.ts';

/** Exponents to base 2, of every element. Zeros have neither bound nor step. */
interface Range {
  readonly format: FloatFormat;
  /** 2^least <= |value| <= 2^most. */
  readonly least: number;
  readonly most: number;
  /** value is a multiple of 2^step. */
  readonly step: number;
  readonly zero: boolean;
  readonly negative: boolean;
}

/** Exponents of the numbers that are neither denormal nor infinite, and significant bits (SDM vol. 1 table 4-2). */
const NORMAL = {
  32: { least: -126, most: 127, precision: 24 },
  64: { least: -1022, most: 1023, precision: 53 },
} as const;
const normal = (format: FloatFormat) => NORMAL[format.width];

/**
 * Operands are checked to have exponents up to these, of either sign, so that two of them have a normal product. In double
 * precision, where some more may follow without another check, they are those of single precision.
 */
const USUAL = { 32: 62, 64: 128 } as const;

function rangeOf(x: Stage, format: FloatFormat, value: Pattern): Range | undefined {
  const range = x.known(value) as Range | undefined;
  return range?.format === format ? range : undefined;
}
const spread = (range: Range | undefined): number =>
  range ? Math.max(-range.least, range.most) : Number.POSITIVE_INFINITY;

/** Abandons the instruction unless a value is zero, 2^least <= |value| < 2^most, or infinite where that is allowed. */
function check(x: Stage, format: FloatFormat, value: Pattern, least: number, most: number, infinite = false): void {
  const { precision } = normal(format);
  const pattern = (exponent: number) => BigInt(exponent - normal(format).least + 1) << BigInt(precision - 1);
  const inside = format.within(x, value, pattern(least), pattern(most));
  const exceptions = (doubled: Pattern): Mask => {
    const zero = format.isZero(x, doubled);
    if (!infinite) return zero;
    return format.either(x, zero, format.integer(x, 'eq', doubled, format.constant(x, 2n * format.infinity)) as Mask);
  };
  const unusual = () => x.abandonIf(x.eqz(format.all(x, exceptions(format.doubled(x, value)))));
  if (format.scalar) x.if(x.eqz(inside as I32), unusual, undefined, false);
  else x.abandonIf(x.eqz(format.all(x, format.either(x, inside, exceptions(format.doubled(x, value))))));
  x.learn(value, {
    format,
    least,
    most: infinite ? Number.POSITIVE_INFINITY : most,
    step: least - precision + 1,
    zero: true,
    negative: rangeOf(x, format, value)?.negative ?? true,
  } satisfies Range);
}

/** Ranges of two operands for which `fits` holds: the wider one is checked first, if one of them has to be. */
function ranges(
  x: Stage,
  format: FloatFormat,
  a: Pattern,
  b: Pattern,
  fits: (a: Range, b: Range) => boolean,
): [Range, Range] {
  for (;;) {
    const [ra, rb] = [rangeOf(x, format, a), rangeOf(x, format, b)];
    if (ra && rb && fits(ra, rb)) return [ra, rb];
    const limit = USUAL[format.width];
    check(x, format, spread(ra) >= spread(rb) ? a : b, -limit, limit);
  }
}

/** Normal numbers and zeros, twice of which is no overflow. */
const isNormal = (r: Range): boolean => r.least >= normal(r.format).least && r.most < normal(r.format).most;

type Derivation = (x: Stage, format: FloatFormat, a: Pattern, b: Pattern) => Omit<Range, 'format'>;

const ofSum =
  (subtracts: boolean): Derivation =>
  (x, format, a, b) => {
    const [ra, rb] = ranges(x, format, a, b, (p, q) => isNormal(p) && isNormal(q));
    const step = Math.min(ra.step, rb.step);
    // what is not negative does not cancel
    const grows = !subtracts && !ra.negative && !rb.negative;
    return {
      least: grows ? Math.min(ra.least, rb.least) : step,
      most: Math.max(ra.most, rb.most) + 1,
      step,
      zero: !grows || (ra.zero && rb.zero),
      negative: !grows,
    };
  };

const ofProduct: Derivation = (x, format, a, b) => {
  const { least, most } = normal(format);
  const fits = (p: Range, q: Range) =>
    isNormal(p) && isNormal(q) && p.least + q.least >= least && p.most + q.most <= most;
  const [ra, rb] = ranges(x, format, a, b, fits);
  return {
    least: ra.least + rb.least,
    most: ra.most + rb.most,
    step: Math.max(ra.step + rb.step, ra.least + rb.least - normal(format).precision + 1),
    zero: ra.zero || rb.zero,
    negative: a !== b && (ra.negative || rb.negative),
  };
};

const ofQuotient: Derivation = (x, format, a, b) => {
  const { least, most, precision } = normal(format);
  const fits = (p: Range, q: Range) =>
    isNormal(p) && isNormal(q) && p.least - q.most >= least && p.most - q.least <= most;
  const [ra, rb] = ranges(x, format, a, b, fits);
  if (rb.zero) {
    const zero = format.ofBits(x, format.constant(x, 0n));
    const nonzero = format.all(x, format.compare(x, 'ne', b, zero));
    x.abandonIf(x.eqz(nonzero));
    x.learn(b, { ...rb, zero: false } satisfies Range);
  }
  return {
    least: ra.least - rb.most,
    most: ra.most - rb.least,
    step: ra.least - rb.most - precision + 1,
    zero: ra.zero,
    negative: ra.negative || rb.negative,
  };
};

function compute(
  x: Stage,
  format: FloatFormat,
  operator: string,
  operands: Pattern[],
  range: Omit<Range, 'format'>,
): Local {
  requireQuiet(x);
  const result = x.let(format.compute(x, operator, ...operands));
  x.learn(result, { format, ...range } satisfies Range);
  return result;
}

/** Abandons the instruction unless inexact results need no report. */
export function requireQuiet(x: Stage): void {
  const mxcsr = x.mxcsr();
  if (x.known(mxcsr) === 'quiet') return;
  x.abandonIf(x.eqz(quietNearest(x)));
  x.learn(mxcsr, 'quiet');
}

const DERIVATIONS: Readonly<Record<string, Derivation>> = {
  add: ofSum(false),
  sub: ofSum(true),
  mul: ofProduct,
  div: ofQuotient,
};

/** The sum, difference, product or quotient, where the stage may assume things. */
export function assumed(x: Stage, format: FloatFormat, operator: string, a: Pattern, b: Pattern): Local {
  return compute(x, format, operator, [a, b], DERIVATIONS[operator](x, format, a, b));
}

/** The square root. */
export function assumedRoot(x: Stage, format: FloatFormat, value: Pattern): Local {
  const limit = USUAL[format.width];
  const known = rangeOf(x, format, value);
  if (!known || !isNormal(known)) check(x, format, value, -limit, limit);
  const range = rangeOf(x, format, value)!;
  if (range.negative) {
    const zero = format.ofBits(x, format.constant(x, 0n));
    x.abandonIf(x.eqz(format.all(x, format.compare(x, 'ge', value, zero))));
    x.learn(value, { ...range, negative: false } satisfies Range);
  }
  const least = Math.floor(range.least / 2);
  return compute(x, format, 'sqrt', [value], {
    least,
    most: Math.ceil(range.most / 2),
    step: least - normal(format).precision + 1,
    zero: range.zero,
    negative: false,
  });
}

/** Abandons the instruction unless values are zero, normal or infinite: those are compared without exceptions. */
export function requirePlain(x: Stage, format: FloatFormat, ...values: Pattern[]): void {
  const { least, most } = normal(format);
  for (const value of values) {
    const known = rangeOf(x, format, value);
    if (!known || known.least < least) check(x, format, value, least, most + 1, true);
  }
}

/** Notes that a value is one of two plain ones. */
export function learnEither(x: Stage, format: FloatFormat, value: Local, a: Pattern, b: Pattern): void {
  const [ra, rb] = [rangeOf(x, format, a)!, rangeOf(x, format, b)!];
  x.learn(value, {
    format,
    least: Math.min(ra.least, rb.least),
    most: Math.max(ra.most, rb.most),
    step: Math.min(ra.step, rb.step),
    zero: ra.zero || rb.zero,
    negative: ra.negative || rb.negative,
  } satisfies Range);
}

/** Notes that a value comes from an integer of so many bits. */
export function learnInteger(x: Stage, format: FloatFormat, value: Local, bits: number): void {
  x.learn(value, { format, least: 0, most: bits, step: 0, zero: true, negative: true } satisfies Range);
}

/** Abandons the instruction unless a number converts between single and double precision and stays zero or normal. */
export function requireConvertible(x: Stage, from: FloatFormat, value: Pattern): void {
  const { least, most } = NORMAL[32];
  const known = rangeOf(x, from, value);
  if (known && known.least >= least && known.most <= most) return;
  // a number just below 2^128 might become infinite
  check(x, from, value, least, from.width === 32 ? most + 1 : most);
}

/** Notes that a value in one format was converted from one in another. */
export function learnConverted(x: Stage, format: FloatFormat, value: Local, from: FloatFormat, source: Pattern): void {
  const known = rangeOf(x, from, source)!;
  const step = Math.max(known.step, known.least - normal(format).precision + 1);
  x.learn(value, { ...known, format, step } satisfies Range);
}
