/** A seeded pseudo-random source: the same seed gives the same sequence on every host. */
export class Random {
  /** Whether floating-point values and MXCSR are to be mostly as programs have them, with precision flagged. */
  readonly ordinary: boolean;
  private a = 0;
  private b = 0;
  private c = 0;
  private counter = 1;

  /** @param seed any text; different texts give unrelated sequences. */
  constructor(seed: string, ordinary = false) {
    this.ordinary = ordinary;
    // FNV-1a into three words, then the generator is run in, as its author recommends for weak seeds.
    let hash = 0x811c_9dc5;
    for (const part of ['a', 'b', 'c'] as const) {
      for (const character of `${part}${seed}`) hash = Math.imul(hash ^ (character.codePointAt(0) ?? 0), 0x0100_0193);
      this[part] = hash;
    }
    for (let i = 0; i < 16; i++) this.bits32();
  }

  /** 32 uniform bits as an unsigned number (sfc32). */
  bits32(): number {
    const sum = (this.a + this.b + this.counter) | 0;
    this.counter = (this.counter + 1) | 0;
    this.a = this.b ^ (this.b >>> 9);
    this.b = (this.c + (this.c << 3)) | 0;
    this.c = (((this.c << 21) | (this.c >>> 11)) + sum) | 0;
    return sum >>> 0;
  }

  /** 64 uniform bits. */
  bits64(): bigint {
    return (BigInt(this.bits32()) << 32n) | BigInt(this.bits32());
  }

  /** A uniform integer from 0 to `limit - 1`. */
  below(limit: number): number {
    return Math.floor((this.bits32() / 0x1_0000_0000) * limit);
  }

  /** A uniform integer from `low` to `high`, both included. */
  between(low: number, high: number): number {
    return low + this.below(high - low + 1);
  }

  /** True once in `n` times. */
  oneIn(n: number): boolean {
    return this.below(n) === 0;
  }

  /** One of the items. */
  pick<T>(items: readonly T[]): T {
    return items[this.below(items.length)];
  }

  /** `length` uniform bytes. */
  bytes(length: number): Uint8Array {
    return Uint8Array.from({ length }, () => this.bits32() >>> 24);
  }
}
