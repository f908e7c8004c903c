/**
 * Distributions of operand values: uniform bits rarely meet the edges where instructions go wrong, so most values come
 * from the edges themselves.
 */
import type { Random } from './random.ts';

/** What an operand's bits mean, which decides where its edges are. */
export type ValueKind =
  | 'integer'
  | 'single'
  | 'double'
  | 'extended'
  | 'decimal'
  /** A bit number within about a kilobyte either way. */
  | 'bit-offset'
  /** Mostly without the reserved bits that make LDMXCSR fault. */
  | 'mxcsr'
  /** An element count around the number of elements of a vector, either sign. */
  | 'length';

const ALL_ONES = 0xffff_ffff_ffff_ffffn;

/** An unsigned integer of 1-64 bits: 0, 1, -1, sign boundaries of every width, single bits, small, uniform. */
export function integer(random: Random, bits: number): bigint {
  return BigInt.asUintN(bits, anyInteger(random, bits));
}

function anyInteger(random: Random, bits: number): bigint {
  const top = BigInt(bits - 1);
  switch (random.below(12)) {
    case 0:
      return 0n;
    case 1:
      return random.oneIn(2) ? 1n : ALL_ONES;
    case 2:
      return 1n << top;
    case 3:
      return (1n << top) - 1n;
    case 4:
      return (1n << BigInt(random.pick([7, 8, 15, 16, 31, 32, 63]))) + BigInt(random.between(-2, 2));
    case 5:
      return -((1n << BigInt(random.pick([7, 8, 15, 16, 31, 32, 63]))) + BigInt(random.between(-2, 2)));
    case 6:
      return 1n << BigInt(random.below(bits));
    case 7:
      return BigInt(random.between(-64, 64));
    case 8:
      return BigInt(random.below(256)) * 0x0101_0101_0101_0101n;
    default:
      return random.bits64();
  }
}

interface BinaryFormat {
  readonly exponentBits: number;
  /** Fraction bits stored, without the integer bit. */
  readonly fractionBits: number;
}
const SINGLE: BinaryFormat = { exponentBits: 8, fractionBits: 23 };
const DOUBLE: BinaryFormat = { exponentBits: 11, fractionBits: 52 };
/** The double extended format stores its integer bit (SDM vol. 1 table 4-3), added by {@link extended}. */
const EXTENDED: BinaryFormat = { exponentBits: 15, fractionBits: 63 };

/**
 * A fraction: zero, all ones, one bit, few leading bits (so that sums and products come out exact or on a tie),
 * uniform.
 */
function fraction(random: Random, bits: number): bigint {
  const width = BigInt(bits);
  switch (random.below(8)) {
    case 0:
      return 0n;
    case 1:
      return (1n << width) - 1n;
    case 2:
      return 1n << BigInt(random.below(bits));
    case 3:
      return BigInt(random.below(256)) << (width - 8n);
    case 4:
      return BigInt.asUintN(bits, BigInt(random.between(-4, 4)));
    default:
      return BigInt.asUintN(bits, random.bits64());
  }
}

/** Sign, biased exponent and fraction of a value of one of the classes: zero, denormal, infinity, NaN, normal. */
function parts(random: Random, format: BinaryFormat): { sign: bigint; exponent: number; fraction: bigint } {
  const { exponentBits, fractionBits } = format;
  const maximum = (1 << exponentBits) - 1;
  const bias = maximum >> 1;
  const sign = BigInt(random.below(2));
  const any = fraction(random, fractionBits);
  const quiet = 1n << BigInt(fractionBits - 1);
  const at = (exponent: number, bits = any) => ({ sign, exponent, fraction: bits });
  if (random.ordinary && !random.oneIn(3)) {
    // somewhat beyond 2^-128 to 2^128; single precision has half of that
    const limit = exponentBits > 8 ? 135 : 70;
    if (random.oneIn(12)) return at(0, 0n);
    return at(bias + random.between(-limit, limit) * (random.oneIn(2) ? 1 : 0) + random.between(-6, 6));
  }
  switch (random.below(20)) {
    case 0:
      return at(0, 0n);
    case 1:
      return at(0, any === 0n ? 1n : any);
    case 2:
      return at(maximum, 0n);
    case 3:
      return at(maximum, any | quiet);
    case 4:
      return at(maximum, any & (quiet - 1n) || 1n);
    case 5:
      return at(random.between(1, 3));
    case 6:
      return at(maximum - random.between(1, 3));
    case 7:
      return at(bias, 0n);
    case 8:
    case 9:
      // Around the ranges of 16-, 32- and 64-bit integers, where conversions overflow.
      return at(bias + random.pick([14, 15, 16, 30, 31, 32, 62, 63, 64]), random.oneIn(2) ? 0n : any);
    case 10:
    case 11: {
      // An integer and a half or nearly so: conversions round.
      const exponent = random.between(0, Math.min(fractionBits - 1, 30));
      const unit = BigInt(fractionBits - exponent);
      const low = random.pick([0n, 1n, (1n << (unit - 1n)) - 1n, 1n << (unit - 1n), (1n << (unit - 1n)) + 1n]);
      return at(bias + exponent, ((any >> unit) << unit) | BigInt.asUintN(fractionBits - exponent, low));
    }
    case 12:
      // About half the smallest exponent: products and quotients underflow, squares land among the denormals.
      return at(random.between(1, bias >> 1));
    case 13:
      return at(random.between(bias + (bias >> 1), maximum - 1));
    case 14:
      return at(random.below(maximum));
    default:
      // Exponents close to each other, so that additions align and cancel.
      return at(bias + random.between(-6, 6));
  }
}

function packed(random: Random, format: BinaryFormat): bigint {
  const { sign, exponent, fraction: bits } = parts(random, format);
  return (((sign << BigInt(format.exponentBits)) | BigInt(exponent)) << BigInt(format.fractionBits)) | bits;
}

/** A single-precision value as its 32 bits. */
export function single(random: Random): bigint {
  return packed(random, SINGLE);
}

/** A double-precision value as its 64 bits. */
export function double(random: Random): bigint {
  return packed(random, DOUBLE);
}

/**
 * A double extended-precision value as its 80 bits; some are unsupported encodings (pseudo-infinities, unnormals) or
 * pseudo-denormals, some are exact singles or doubles.
 */
export function extended(random: Random): bigint {
  const { sign, exponent, fraction: any } = parts(random, EXTENDED);
  let bits = any;
  if (exponent !== 0 && exponent !== 0x7fff) {
    // Bits below a single's or double's significand cleared, for two values in five.
    const cleared = random.pick([40n, 11n, 0n, 0n, 0n]);
    bits &= ~((1n << cleared) - 1n);
  }
  let integerBit = exponent === 0 ? 0n : 1n;
  if (random.oneIn(24)) integerBit ^= 1n;
  return (sign << 79n) | (BigInt(exponent) << 64n) | (integerBit << 63n) | bits;
}

/** A packed BCD value of 80 bits (SDM vol. 1 figure 4-4), now and then with digits above 9. */
export function decimal(random: Random): bigint {
  let value = BigInt(random.below(2)) << 79n;
  const digits = random.between(0, 18);
  for (let i = 0; i < digits; i++)
    value |= BigInt(random.oneIn(60) ? random.below(16) : random.below(10)) << BigInt(4 * i);
  return value;
}

/** One element of a kind: its bits and their number. `bits` is the element width of integers. */
function element(random: Random, kind: ValueKind, bits: number): { value: bigint; bits: number } {
  switch (kind) {
    case 'integer':
      return { value: integer(random, bits), bits };
    case 'single':
      return { value: single(random), bits: 32 };
    case 'double':
      return { value: double(random), bits: 64 };
    case 'extended':
      return { value: extended(random), bits: 80 };
    case 'decimal':
      return { value: decimal(random), bits: 80 };
    case 'bit-offset':
      return { value: BigInt.asUintN(bits, BigInt(random.between(-0x1000, 0x1000))), bits };
    case 'mxcsr':
      return { value: BigInt(random.oneIn(8) ? random.bits32() : random.bits32() & 0xffff), bits: 32 };
    case 'length':
      return {
        value: random.oneIn(8) ? integer(random, bits) : BigInt.asUintN(bits, BigInt(random.between(-18, 18))),
        bits,
      };
  }
}

/** `length` bytes filled with elements of a kind; integers of one randomly chosen width where `length` allows. */
export function operandBytes(random: Random, kind: ValueKind, length: number): Uint8Array {
  const bytes = new Uint8Array(length);
  const widths = [8, 16, 32, 64].filter((width) => width <= 8 * length);
  // Scalars are one element of their own width; vectors vary.
  const width = length > 8 ? random.pick(widths) : (widths.at(-1) ?? 8);
  for (let at = 0; at < length; ) {
    const { value, bits } = element(random, kind, width);
    for (let i = 0; i < bits / 8 && at < length; i++) bytes[at++] = Number((value >> BigInt(8 * i)) & 0xffn);
  }
  return bytes;
}
