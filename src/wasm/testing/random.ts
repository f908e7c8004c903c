/** Repeatable test inputs. */

/** A generator of 32-bit unsigned numbers: Marsaglia's xorshift with the shifts 13, 17, 5. The seed is not 0. */
export function randomNumbers(seed: number): () => number {
  let state = seed | 0;
  return () => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return state >>> 0;
  };
}

/** Integers at the borders of their width, where mistakes are likely. */
const BORDERS = [0n, 1n, 2n, 0x7fn, 0x80n, 0xffn, 0x7fffn, 0x8000n, 0xffffn, 31n, 32n, 33n, 63n, 64n, 65n];

/** A generator of bit patterns of `width` bits, of which half are at the borders of some width. */
export function randomBits(next: () => number): (width: number) => bigint {
  return (width) => {
    let bits = 0n;
    for (let i = 0; i < width; i += 32) bits = (bits << 32n) | BigInt(next());
    switch (next() % 6) {
      case 0:
        bits = BORDERS[next() % BORDERS.length];
        break;
      case 1:
        bits = -BORDERS[next() % BORDERS.length];
        break;
      case 2:
        bits = (1n << BigInt(width - 1)) - BigInt(next() % 3) + 1n;
        break;
    }
    return BigInt.asUintN(width, bits);
  };
}

const NUMBERS = [
  0,
  -0,
  1,
  -1,
  0.5,
  -0.5,
  1.5,
  2.5,
  -2.5,
  0.1,
  1e10,
  -1e10,
  1e19,
  1e-40,
  1e300,
  2147483647,
  2147483648,
  -2147483648,
  -2147483649,
  4294967295,
  4294967296,
  2 ** 63,
  -(2 ** 63),
  2 ** 64,
  2 ** 24 + 1,
  Infinity,
  -Infinity,
  NaN,
];

/** A generator of floating-point numbers, of which half are special. */
export function randomFloats(next: () => number): () => number {
  return () => {
    if (next() % 2 === 0) return NUMBERS[next() % NUMBERS.length];
    return (next() - 0x8000_0000) * 2 ** ((next() % 80) - 48);
  };
}
