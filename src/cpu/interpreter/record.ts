/**
 * Decoded records: what the interpreter stage's handlers read. A block is a header and a run of records; each handler
 * continues with the record behind its own, the last one of a block with another block. Blocks are named by the address of
 * their first record.
 *
 * Cold code waits for its records: they are as small as they can be. Fields that no instruction has both of share a place.
 */
export const RECORD = {
  /** Table index of the handler, u32. */
  handler: 0,
  /** Offset of the instruction from the block's first, in bytes, u16. */
  delta: 4,
  /** Length of the instruction in bytes, u8. */
  length: 6,
  /** Instructions of the block from this one on (this one included), u8. Of a block's first record: its length. */
  remaining: 7,
  /** Context offsets of up to two register operands, u16 each. */
  register0: 8,
  register1: 10,
  /** Of a relative branch, and what goes on behind a block: the block there, if on the same page; 0 unknown, u32. */
  link: 8,
  /** 1 where the address size is the smaller one of the two that there are in the mode class, u8. */
  narrow: 12,
  /** Segment register number, u8. */
  segment: 13,
  /** Context offsets of base and index registers (of `zero` where absent), u16. */
  base: 14,
  index: 16,
  /** Context offset of the segment register's cache (of `zero`-based addressing in 64-bit mode without FS or GS), u16. */
  segmentCache: 18,
  /** Scale as a shift count, u8. */
  scale: 20,
  /** x87 opcode bits (low 3 bits of D8-DF << 8 | ModRM), or register number of a control/debug/segment operand, u16. */
  extra: 22,
  /** First immediate, i32. */
  immediate: 24,
  /** Displacement (for RIP-relative: from the block's first instruction), i32. */
  displacement: 28,
  /** Second immediate of ENTER, selector of a far pointer. */
  immediate2: 28,
  /** 64-bit immediate; branch displacement from the block's first instruction; offset of an `O` operand: i64. */
  wide: 24,
} as const;

/** Bytes per record. */
export const RECORD_SIZE = 32;

/** Before a block's first record. Offsets from the start of the header, which ends where the record begins. */
export const BLOCK_HEADER = {
  /** Entries left until the block counts as hot; 0: nobody counts. u32. */
  heat: 0,
  /** Once a region has taken the place of the first record's handler: the handler itself, u32. */
  interpreted: 4,
} as const;
/** As long as a record, so that no record lies across the lines of a cache. */
export const BLOCK_HEADER_SIZE = RECORD_SIZE;

/**
 * What each region counts down first, by table index - {@link FIRST_REGION}, i32 each: entries left until it is made anew, or so
 * many that nobody counts; or that it has been replaced, or taken out: go on with the record's handler.
 */
export const REGION_HEAT = { size: 4, replaced: 0, uncounted: 0x7fff_ffff } as const;

/**
 * Of each region, by table index - {@link FIRST_REGION}: the TLB tag it met when it was left last for want of another, u64, and how often
 * in a row that has been the same one, i32. A translation that was missing is there the next time: so after `most` times it is something
 * else, mostly neighbours on two pages.
 */
export const REGION_MISSES = { tag: 0, count: 8, size: 16, most: 64 } as const;

/** Table index from which regions are numbered, behind the handlers of both classes. */
export const FIRST_REGION = 8192;

/** What the chain of handlers returns to the run loop. */
export const Exit = {
  /** Budget used up (or a deliberate stop); rip is right. */
  STOP: 0,
  /** The instruction of `ctx.record` ended before completion (`ctx.pending`); state is still that of the block's start plus what ran. */
  ABORT: 1,
  /** A system helper ran; rip is right. */
  SYSTEM: 2,
  /** A system helper ended before completion; rip is the instruction's. */
  SYSTEM_ABORT: 3,
  /** rip is right but has no decoded block yet. */
  LOOKUP: 4,
  /** rip is right and its block has become hot. */
  HOT: 5,
  /** Of a system helper, to its handler: rip is right and nothing is due at this boundary, go on there. */
  CONTINUE: 6,
  /** A region was left at `ctx.site` (`ctx.pending` says why): rip is that of the page's first byte, the rest is in the site. */
  REGION_ABORT: 7,
} as const;

/** Instead of an encoded FlagKind where a region is left: what the context has. */
export const VARIABLE_FLAG_KIND = 0xff;

/**
 * Where a region is left before an instruction, for the interpreter to go on with, as one number of 64 bits. From bit 0: the
 * instruction's distance from rip, signed; then how many instructions of its block have not completed, and the kind of flags.
 */
export const MISS = { REMAINING_SHIFT: 32, FLAG_KIND_SHIFT: 48 } as const;
