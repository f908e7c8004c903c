/** A fingerprint of a machine's memory and processor state, by which two runs can be told apart. */
import { CONTEXT } from '../cpu/context.ts';
import type { Cpu } from '../cpu/cpu.ts';
import { settleFlags } from '../cpu/flags.ts';
import { PAGE_SIZE, type PhysicalSpace } from '../cpu/memory/index.ts';

/** Multipliers and rotations of MurmurHash3's 32-bit mixing, with a different seed for each half. */
const MULTIPLIER_1 = 0xcc9e_2d51;
const MULTIPLIER_2 = 0x1b87_3593;
const ADDEND = 0xe654_6b64;
const SEEDS = [0x0, 0x9747_b28c] as const;

const PAGE_WORDS = PAGE_SIZE / 4;
/** The context's fields from here on belong to the engine; they are no state of the processor. */
const ARCHITECTURAL_WORDS = CONTEXT.mode.offset / 4;

/** Two 32-bit hashes with different seeds side by side: 64 bits, which are plenty to notice a difference. */
class StateHash {
  private a: number = SEEDS[0];
  private b: number = SEEDS[1];

  word(value: number): void {
    let k = Math.imul(value, MULTIPLIER_1);
    k = Math.imul((k << 15) | (k >>> 17), MULTIPLIER_2);
    this.a ^= k;
    this.a = (Math.imul((this.a << 13) | (this.a >>> 19), 5) + ADDEND) | 0;
    // the second half also sees where the first one stands
    this.b ^= k + this.a;
    this.b = (Math.imul((this.b << 17) | (this.b >>> 15), 9) + ADDEND) | 0;
  }

  words(words: Uint32Array, first: number, count: number): void {
    for (let i = first; i < first + count; i++) this.word(words[i]);
  }

  /** Sixteen hexadecimal digits. */
  get text(): string {
    const half = (value: number) => (value >>> 0).toString(16).padStart(8, '0');
    return half(this.a) + half(this.b);
  }
}

function isZero(words: Uint32Array, first: number): boolean {
  for (let i = first; i < first + PAGE_WORDS; i++) if (words[i] !== 0) return false;
  return true;
}

/**
 * Hashes all guest memory in the order of its addresses, and the processor's architectural state. Pages that were never
 * touched count the same as pages of zeros.
 * @returns sixteen hexadecimal digits
 */
export function hashMachineState(physical: PhysicalSpace, cpu: Cpu): string {
  const hash = new StateHash();
  settleFlags(cpu);
  const { u32 } = physical.arena;
  physical.frames.forEach((frame, page) => {
    const first = frame * PAGE_WORDS;
    if (frame === 0 || isZero(u32, first)) return;
    hash.word(page);
    hash.words(u32, first, PAGE_WORDS);
  });
  hash.words(cpu.u32, 0, ARCHITECTURAL_WORDS);
  return hash.text;
}
