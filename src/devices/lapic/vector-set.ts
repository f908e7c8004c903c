/** A set of interrupt vectors in the layout of IRR, ISR and TMR: eight 32-bit words, vector 0 in bit 0 of the first. */
import { VECTOR_WORDS } from './registers.ts';

export class VectorSet {
  readonly #words: Uint32Array;

  /** `words` are the eight registers themselves. */
  constructor(words: Uint32Array) {
    this.#words = words;
  }

  has(vector: number): boolean {
    return (this.#words[vector >> 5] & (1 << (vector & 31))) !== 0;
  }

  add(vector: number): void {
    this.#words[vector >> 5] |= 1 << (vector & 31);
  }

  delete(vector: number): void {
    this.#words[vector >> 5] &= ~(1 << (vector & 31));
  }

  /** The highest vector in the set, or -1. */
  highest(): number {
    for (let word = VECTOR_WORDS - 1; word >= 0; word--) {
      const bits = this.#words[word];
      if (bits !== 0) return 32 * word + 31 - Math.clz32(bits);
    }
    return -1;
  }
}
