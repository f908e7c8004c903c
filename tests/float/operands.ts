/** Deterministic operands for the floating-point comparisons: interesting values mixed with random ones. */

/** A small deterministic generator (xorshift32). */
export class Generator {
  #state: number;

  constructor(seed: number) {
    this.#state = seed | 1;
  }

  /** 32 random bits. */
  bits32(): number {
    let x = this.#state;
    x ^= x << 13;
    x ^= x >>> 17;
    x ^= x << 5;
    this.#state = x;
    return x >>> 0;
  }

  /** An integer below `limit`. */
  below(limit: number): number {
    return this.bits32() % limit;
  }

  bits64(): bigint {
    return (BigInt(this.bits32()) << 32n) | BigInt(this.bits32());
  }

  pick<T>(values: readonly T[]): T {
    return values[this.below(values.length)];
  }
}

/** A significand of `bits` bits: all ones or zeros in places, or random, so that halfway cases and carries turn up. */
function fraction(generator: Generator, bits: number): bigint {
  const random = generator.bits64();
  const all = (1n << BigInt(bits)) - 1n;
  const cut = BigInt(generator.below(bits + 1));
  switch (generator.below(6)) {
    case 0:
      return random & all;
    case 1:
      return (random << cut) & all;
    case 2:
      return (all << cut) & all;
    case 3:
      return (1n << cut) & all;
    case 4:
      return all >> cut;
    default:
      return ((random << cut) ^ BigInt(generator.below(4))) & all;
  }
}

/** A biased exponent, often at the ends, around one, or close to another operand's. */
function exponent(generator: Generator, bits: number, near: number): number {
  const all = 2 ** bits - 1;
  switch (generator.below(8)) {
    case 0:
      return 0;
    case 1:
      return generator.below(4) === 0 ? all : all - 1 - generator.below(3);
    case 2:
      return 1 + generator.below(3);
    case 3:
    case 4:
      return Math.min(all - 1, Math.max(0, near + generator.below(140) - 70));
    case 5:
      return (all >> 1) + generator.below(70) - 6;
    case 6:
      return (all >> 1) + generator.below(5) - 2;
    default:
      return generator.below(all + 1);
  }
}

/** A binary32 bit pattern. */
export function binary32(generator: Generator, near = 127): number {
  const biased = exponent(generator, 8, near);
  return ((generator.below(2) << 31) | (biased << 23) | Number(fraction(generator, 23))) >>> 0;
}

/** A binary64 bit pattern. */
export function binary64(generator: Generator, near = 1023): bigint {
  const biased = exponent(generator, 11, near);
  return (BigInt(generator.below(2)) << 63n) | (BigInt(biased) << 52n) | fraction(generator, 52);
}

/** An 80-bit pattern: mostly proper numbers, now and then an unnormal, pseudo-denormal or pseudo-NaN. */
export function extended(generator: Generator, near = 16383): { signExponent: number; significand: bigint } {
  const biased = exponent(generator, 15, near);
  let significand = fraction(generator, 63);
  const integerBit = generator.below(24) === 0 ? biased === 0 : biased !== 0;
  if (integerBit) significand |= 1n << 63n;
  return { signExponent: (generator.below(2) << 15) | biased, significand };
}
