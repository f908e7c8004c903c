/**
 * What each value operator computes, written independently of the emitter: integers as BigInts, floating-point numbers
 * with Math, vectors lane by lane. Operands and results are bit patterns.
 */

import { OPERATORS, type Operator, type ValueOperatorName } from '../operators.ts';
import { immediatesOf } from './harness.ts';

type Result = bigint | boolean | 'trap';
type IntegerOperator = (a: bigint, b: bigint, width: number) => Result;
type FloatOperator = (a: number, b: number) => number | boolean;

const signed = (bits: bigint, width: number): bigint => BigInt.asIntN(width, bits);
const ones = (width: number): bigint => (1n << BigInt(width)) - 1n;
const binary = (bits: bigint, width: number): string => bits.toString(2).padStart(width, '0');
const smaller = (a: bigint, b: bigint): bigint => (a < b ? a : b);
const larger = (a: bigint, b: bigint): bigint => (a > b ? a : b);
const clamp = (value: bigint, low: bigint, high: bigint): bigint => larger(low, smaller(value, high));
const saturateSigned = (value: bigint, width: number): bigint =>
  clamp(value, -(1n << BigInt(width - 1)), ones(width - 1));
const saturateUnsigned = (value: bigint, width: number): bigint => clamp(value, 0n, ones(width));
const saturate = (value: bigint, width: number, sign: string): bigint =>
  sign === 's' ? saturateSigned(value, width) : saturateUnsigned(value, width);
const interpret = (bits: bigint, width: number, sign: string): bigint => (sign === 's' ? signed(bits, width) : bits);
const rotate = (bits: bigint, count: number, width: number): bigint => {
  const text = binary(bits, width);
  return BigInt(`0b${text.slice(count)}${text.slice(0, count)}`);
};

/** Operands are unsigned; the result is cut to the width. */
const INTEGER: Record<string, IntegerOperator> = {
  eqz: (a) => a === 0n,
  eq: (a, b) => a === b,
  ne: (a, b) => a !== b,
  lt_s: (a, b, width) => signed(a, width) < signed(b, width),
  lt_u: (a, b) => a < b,
  gt_s: (a, b, width) => signed(a, width) > signed(b, width),
  gt_u: (a, b) => a > b,
  le_s: (a, b, width) => signed(a, width) <= signed(b, width),
  le_u: (a, b) => a <= b,
  ge_s: (a, b, width) => signed(a, width) >= signed(b, width),
  ge_u: (a, b) => a >= b,
  clz: (a, _, width) => BigInt(binary(a, width).concat('1').indexOf('1')),
  ctz: (a, _, width) => BigInt(a === 0n ? width : width - 1 - binary(a, width).lastIndexOf('1')),
  popcnt: (a, _, width) => BigInt(binary(a, width).replaceAll('0', '').length),
  add: (a, b) => a + b,
  sub: (a, b) => a - b,
  mul: (a, b) => a * b,
  div_s: (a, b, width) => {
    if (b === 0n) return 'trap';
    const quotient = signed(a, width) / signed(b, width);
    return quotient === saturateSigned(quotient, width) ? quotient : 'trap';
  },
  div_u: (a, b) => (b === 0n ? 'trap' : a / b),
  rem_s: (a, b, width) => (b === 0n ? 'trap' : signed(a, width) % signed(b, width)),
  rem_u: (a, b) => (b === 0n ? 'trap' : a % b),
  and: (a, b) => a & b,
  or: (a, b) => a | b,
  xor: (a, b) => a ^ b,
  andnot: (a, b, width) => a & (b ^ ones(width)),
  not: (a, _, width) => a ^ ones(width),
  shl: (a, b, width) => a << (b % BigInt(width)),
  shr_s: (a, b, width) => signed(a, width) >> (b % BigInt(width)),
  shr_u: (a, b, width) => a >> (b % BigInt(width)),
  rotl: (a, b, width) => rotate(a, Number(b % BigInt(width)), width),
  rotr: (a, b, width) => rotate(a, width - Number(b % BigInt(width)), width),
  extend8_s: (a) => BigInt.asIntN(8, a),
  extend16_s: (a) => BigInt.asIntN(16, a),
  extend32_s: (a) => BigInt.asIntN(32, a),
  abs: (a, _, width) => (signed(a, width) < 0n ? -a : a),
  neg: (a) => -a,
  min_s: (a, b, width) => smaller(signed(a, width), signed(b, width)),
  min_u: smaller,
  max_s: (a, b, width) => larger(signed(a, width), signed(b, width)),
  max_u: larger,
  avgr_u: (a, b) => (a + b + 1n) / 2n,
  add_sat_s: (a, b, width) => saturateSigned(signed(a, width) + signed(b, width), width),
  add_sat_u: (a, b, width) => saturateUnsigned(a + b, width),
  sub_sat_s: (a, b, width) => saturateSigned(signed(a, width) - signed(b, width), width),
  sub_sat_u: (a, b, width) => saturateUnsigned(a - b, width),
  q15mulr_sat_s: (a, b, width) => saturateSigned((signed(a, width) * signed(b, width) + 0x4000n) >> 15n, width),
};

function roundToEven(value: number): number {
  if (!Number.isFinite(value) || Number.isInteger(value)) return value;
  const below = Math.floor(value);
  const part = value - below;
  const up = part > 0.5 || (part === 0.5 && below % 2 !== 0);
  const rounded = up ? below + 1 : below;
  return rounded === 0 && value < 0 ? -0 : rounded;
}

const isNegative = (value: number): boolean => value < 0 || Object.is(value, -0);

/** A result of 32 bits is rounded afterwards, which for these operators is the same as rounding once. */
const FLOAT: Record<string, FloatOperator> = {
  eq: (a, b) => a === b,
  ne: (a, b) => a !== b,
  lt: (a, b) => a < b,
  gt: (a, b) => a > b,
  le: (a, b) => a <= b,
  ge: (a, b) => a >= b,
  abs: Math.abs,
  neg: (a) => -a,
  ceil: Math.ceil,
  floor: Math.floor,
  trunc: Math.trunc,
  nearest: roundToEven,
  sqrt: Math.sqrt,
  add: (a, b) => a + b,
  sub: (a, b) => a - b,
  mul: (a, b) => a * b,
  div: (a, b) => a / b,
  min: (a, b) => Math.min(a, b),
  max: (a, b) => Math.max(a, b),
  copysign: (a, b) => (isNegative(a) === isNegative(b) ? a : -a),
  // By the specification these choose an operand; Math.min and Math.max treat zeros and NaN differently.
  pmin: (a, b) => (b < a ? b : a),
  pmax: (a, b) => (a < b ? b : a),
};

const scratch = new DataView(new ArrayBuffer(8));

export function floatOfBits(bits: bigint, width: number): number {
  if (width === 32) scratch.setUint32(0, Number(bits));
  else scratch.setBigUint64(0, bits);
  return width === 32 ? scratch.getFloat32(0) : scratch.getFloat64(0);
}

export function bitsOfFloat(value: number, width: number): bigint {
  if (width === 32) scratch.setFloat32(0, value);
  else scratch.setFloat64(0, value);
  return width === 32 ? BigInt(scratch.getUint32(0)) : scratch.getBigUint64(0);
}

export function lanesOf(bits: bigint, width: number): bigint[] {
  return Array.from({ length: 128 / width }, (_, i) => (bits >> BigInt(i * width)) & ones(width));
}

export function vectorOf(lanes: readonly bigint[], width: number): bigint {
  return lanes.reduceRight((bits, lane) => (bits << BigInt(width)) | BigInt.asUintN(width, lane), 0n);
}

/** A truncated number, or undefined for what is no number or out of range. */
function truncate(value: number, width: number, sign: string): bigint | undefined {
  if (!Number.isFinite(value)) return undefined;
  const whole = BigInt(Math.trunc(value));
  return whole === saturate(whole, width, sign) ? whole : undefined;
}

function truncateSaturating(value: number, width: number, sign: string): bigint {
  if (Number.isNaN(value)) return 0n;
  const bounded = Math.max(-1e30, Math.min(1e30, value));
  return saturate(BigInt(Math.trunc(bounded)), width, sign);
}

/** Enough for the neighbours of 1 to become integers. */
const FRACTION_BITS = 24;

/** The nearest number of single precision, ties to even: going through double precision would round twice. */
function singleOf(integer: bigint): number {
  const distance = (value: number): bigint => {
    const difference = BigInt(value * 2 ** FRACTION_BITS) - (integer << BigInt(FRACTION_BITS));
    return difference < 0n ? -difference : difference;
  };
  const near = bitsOfFloat(Number(integer), 32);
  let best = near;
  for (const bits of [near - 1n, near + 1n]) {
    if (near === 0n) break;
    const difference = distance(floatOfBits(bits, 32)) - distance(floatOfBits(best, 32));
    if (difference < 0n || (difference === 0n && bits % 2n === 0n)) best = bits;
  }
  return floatOfBits(best, 32);
}

function convert(integer: bigint, width: number): bigint {
  return bitsOfFloat(width === 32 ? singleOf(integer) : Number(integer), width);
}

/** Conversions between scalars, by what follows the result type in the name. */
function scalarConversion(name: string, width: number): ((a: bigint) => Result) | undefined {
  const match = /^(\w+?)_([if])(32|64)(?:_([su]))?$/.exec(name);
  if (match === null) return undefined;
  const [, operation, , sourceText, sign = 's'] = match;
  const source = Number(sourceText);
  switch (operation) {
    case 'wrap':
    case 'reinterpret':
      return (a) => a;
    case 'extend':
      return (a) => interpret(a, source, sign);
    case 'trunc':
      return (a) => truncate(floatOfBits(a, source), width, sign) ?? 'trap';
    case 'trunc_sat':
      return (a) => truncateSaturating(floatOfBits(a, source), width, sign);
    case 'convert':
      return (a) => convert(interpret(a, source, sign), width);
    case 'promote':
    case 'demote':
      return (a) => bitsOfFloat(floatOfBits(a, source), width);
    default:
      return undefined;
  }
}

type VectorOperator = (a: bigint, b: bigint, c: bigint) => bigint;

/** The low or the high half of the lanes, interpreted. */
function half(vector: bigint, width: number, part: string, sign: string): bigint[] {
  const lanes = lanesOf(vector, width).map((lane) => interpret(lane, width, sign));
  return part === 'low' ? lanes.slice(0, lanes.length / 2) : lanes.slice(lanes.length / 2);
}

const pairs = (lanes: readonly bigint[]): bigint[] => lanes.flatMap((lane, i) => (i % 2 ? [] : [lane + lanes[i + 1]]));

/** Vector operators whose lanes change in number or kind. `width` is that of the result's lanes. */
function vectorSpecial(operator: Operator, name: string, width: number): VectorOperator | undefined {
  const isFloat = operator.name.startsWith('f');
  const [immediate] = immediatesOf(operator);
  const match = /^(\w+?)(?:_(low|high))?(?:_pairwise)?_[if](8|16|32|64)x\d+(?:_([su]))?(?:_zero)?$/.exec(name);
  const source = Number(match?.[3]);
  const part = match?.[2] ?? 'low';
  const sign = match?.[4] ?? 's';
  const floats = (vector: bigint) => lanesOf(vector, source).map((lane) => floatOfBits(lane, source));
  switch (match?.[1] ?? name) {
    case 'splat':
      return (a) => vectorOf(lanesOf(0n, width).fill(a), width);
    case 'extract_lane':
    case 'extract_lane_u':
      return (a) => lanesOf(a, width)[Number(immediate)];
    case 'extract_lane_s':
      return (a) => BigInt.asUintN(32, signed(lanesOf(a, width)[Number(immediate)], width));
    case 'replace_lane':
      return (a, b) => vectorOf(lanesOf(a, width).with(Number(immediate), b), width);
    case 'shuffle':
      return (a, b) => {
        const bytes = [...lanesOf(a, 8), ...lanesOf(b, 8)];
        return vectorOf(
          (immediate as number[]).map((lane) => bytes[lane]),
          8,
        );
      };
    case 'swizzle':
      return (a, b) =>
        vectorOf(
          lanesOf(b, 8).map((lane) => lanesOf(a, 8)[Number(lane)] ?? 0n),
          8,
        );
    case 'bitselect':
      return (a, b, c) => (a & c) | (b & (c ^ ones(128)));
    case 'any_true':
      return (a) => (a === 0n ? 0n : 1n);
    case 'all_true':
      return (a) => (lanesOf(a, width).includes(0n) ? 0n : 1n);
    case 'bitmask':
      return (a) => lanesOf(a, width).reduceRight((mask, lane) => (mask << 1n) | (lane >> BigInt(width - 1)), 0n);
    case 'narrow':
      return (a, b) =>
        vectorOf(
          [...lanesOf(a, source), ...lanesOf(b, source)].map((lane) => saturate(signed(lane, source), width, sign)),
          width,
        );
    case 'extend':
      return (a) => vectorOf(half(a, source, part, sign), width);
    case 'extmul':
      return (a, b) => {
        const factors = half(b, source, part, sign);
        return vectorOf(
          half(a, source, part, sign).map((lane, i) => lane * factors[i]),
          width,
        );
      };
    case 'extadd':
      return (a) => vectorOf(pairs(lanesOf(a, source).map((lane) => interpret(lane, source, sign))), width);
    case 'dot':
      return (a, b) => {
        const factors = lanesOf(b, source);
        return vectorOf(
          pairs(lanesOf(a, source).map((lane, i) => signed(lane, source) * signed(factors[i], source))),
          width,
        );
      };
    case 'trunc_sat':
      return (a) =>
        vectorOf(
          floats(a).map((lane) => truncateSaturating(lane, width, sign)),
          width,
        );
    case 'convert':
      return (a) => {
        const count = 128 / Math.max(width, source);
        const lanes = lanesOf(a, source).slice(0, count);
        return vectorOf(
          lanes.map((lane) => convert(interpret(lane, source, sign), width)),
          width,
        );
      };
    case 'promote':
    case 'demote':
      return (a) =>
        vectorOf(
          floats(a)
            .slice(0, 2)
            .map((lane) => bitsOfFloat(lane, width)),
          width,
        );
  }
  if (isFloat || !['shl', 'shr_s', 'shr_u'].includes(name)) return undefined;
  return (a, count) =>
    vectorOf(
      lanesOf(a, width).map((lane) => INTEGER[name](lane, count, width) as bigint),
      width,
    );
}

/** A lane-wise vector operator. */
function lanewise(name: string, isFloat: boolean, width: number): VectorOperator | undefined {
  const toBits = (result: Result) => (typeof result === 'boolean' ? (result ? ones(width) : 0n) : (result as bigint));
  const compute = elementwise(name, isFloat, width);
  if (compute === undefined) return undefined;
  return (a, b) => {
    const right = lanesOf(b ?? 0n, width);
    return vectorOf(
      lanesOf(a, width).map((lane, i) => toBits(compute(lane, right[i]))),
      width,
    );
  };
}

function elementwise(name: string, isFloat: boolean, width: number): ((a: bigint, b: bigint) => Result) | undefined {
  if (!isFloat) {
    const integer = INTEGER[name];
    return integer && ((a, b) => integer(a, b, width));
  }
  const float = FLOAT[name];
  return (
    float &&
    ((a, b) => {
      const result = float(floatOfBits(a, width), floatOfBits(b, width));
      return typeof result === 'boolean' ? result : bitsOfFloat(result, width);
    })
  );
}

export type Reference = (...operands: bigint[]) => bigint | 'trap';

/** What an operator computes; undefined where nothing is written down here (the relaxed vector operators). */
export function referenceOf(name: ValueOperatorName): Reference | undefined {
  const operator: Operator = OPERATORS[name];
  const [shape, rest] = name.split('.');
  const isFloat = shape.startsWith('f');
  const laneWidth = shape === 'v128' ? 128 : Number(/\d+/.exec(shape)?.[0]);
  if (shape.includes('x') || shape === 'v128') {
    return (vectorSpecial(operator, rest, laneWidth) ?? lanewise(rest, isFloat, laneWidth)) as Reference | undefined;
  }
  const compute = scalarConversion(rest, laneWidth) ?? elementwise(rest, isFloat, laneWidth);
  if (compute === undefined) return undefined;
  return (a, b) => {
    const result = compute(a, b ?? 0n);
    if (result === 'trap') return result;
    return typeof result === 'boolean' ? BigInt(result) : BigInt.asUintN(laneWidth, result);
  };
}
