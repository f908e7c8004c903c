/**
 * Where control went before: linear addresses, each with the block decoded for it or its region, so that a jump need not look through
 * the TLB and a code table. Emitted code reads and fills it (interpreter/transfer.ts). Jumps of regions to fixed addresses
 * have an entry each for themselves, in the code area ({@link BlockCache.allocateLinks}); all others share the cache.
 *
 * An entry is true as long as its address maps to the same code page in the same TLB bank, and the page's blocks stand.
 * Whoever ends that gives the bank another generation, which no entry has yet (TlbBanks.renew). That another region
 * is in its place by now, or none, a region finds out itself.
 */
import { type Arena, PAGE_SIZE } from './arena.ts';

/** Byte offsets inside an entry. */
export const JUMP_ENTRY = {
  /** 64 bits. */
  linear: 0,
  /** 32 bits: generation of the TLB bank's half that the address is in ({@link JumpCache.generation}) OR decode mode key. */
  key: 8,
  /** 32 bits: table index of what is called with the entry: a region, or what enters the block (SpecialHandler.ENTER). */
  handler: 12,
  /** 32 bits: arena address of the block's first record; 0: not known yet. */
  record: 16,
} as const;
export const JUMP_ENTRY_SIZE = 32;

/** Entries of the cache: a power of 2. */
const ENTRIES = 16_384;
export const JUMP_CACHE_SIZE = ENTRIES * JUMP_ENTRY_SIZE;

/**
 * Byte offset of an address's entry, of its low half: (low * factor >> shift) & mask. Of the product the upper bits depend on
 * all those of the address (Knuth, "The Art of Computer Programming" vol. 3, 6.4: multiplicative hashing).
 */
export const JUMP_INDEX = {
  factor: 0x9e37_79b1 | 0,
  shift: 32 - Math.log2(JUMP_CACHE_SIZE),
  mask: JUMP_CACHE_SIZE - JUMP_ENTRY_SIZE,
} as const;

/** Generations leave the low bits to the mode key. */
const GENERATION_SHIFT = 12;
const GENERATIONS = 2 ** (32 - GENERATION_SHIFT);

export class JumpCache {
  /** Arena address. */
  readonly address: number;
  private readonly words: Int32Array;
  private generations = 0;
  /** Called when all generations have been used: every bank needs new ones, and all entries elsewhere must go. */
  onWrap: () => void = () => {};
  private readonly renewAll: () => void;

  constructor(arena: Arena, renewAll: () => void) {
    this.renewAll = renewAll;
    this.address = arena.reserve(JUMP_CACHE_SIZE, PAGE_SIZE);
    this.words = new Int32Array(arena.buffer, this.address, JUMP_CACHE_SIZE / 4);
  }

  /** A number that no entry has, as a 32-bit integer with the low 12 bits clear. */
  generation(): number {
    if (++this.generations === GENERATIONS) {
      this.generations = 1;
      this.words.fill(0);
      this.onWrap();
      this.renewAll();
      return this.generation();
    }
    return this.generations << GENERATION_SHIFT;
  }
}
