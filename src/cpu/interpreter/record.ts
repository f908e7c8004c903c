/**
 * Decoded records: what the interpreter stage's handlers read. A block is a run of records; each handler continues with
 * the record behind its own, the last one of a block with another block.
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
  /** Context offsets of up to three register operands, u16 each. */
  register0: 8,
  register1: 10,
  register2: 12,
  /** Context offsets of base and index registers (of `zero` where absent), u16. */
  base: 14,
  index: 16,
  /** Context offset of the segment register's cache (of `zero`-based addressing in 64-bit mode without FS or GS), u16. */
  segmentCache: 18,
  /** Scale as a shift count, u8; segment register number, u8. */
  scale: 20,
  segment: 21,
  /** x87 opcode bits (low 3 bits of D8-DF << 8 | ModRM), or register number of a control/debug/segment operand, u16. */
  extra: 22,
  /** First immediate or branch displacement from the block's first instruction, i64. */
  immediate: 24,
  /** Displacement (for RIP-relative: from the block's first instruction), i64. */
  displacement: 32,
  /** Mask of the effective address: 16, 32 or 64 ones, i64. */
  addressMask: 40,
  /** Record the taken branch leads to when on the same page; 0 unknown, u32. */
  link: 48,
  /** Likewise for the next instruction. */
  linkNext: 52,
  /** Of a block's first record, once a region has taken its handler's place: the handler itself, u32. */
  interpreted: 56,
  /** Of a block's first record: entries left until the block counts as hot, u16. */
  heat: 60,
} as const;

/** Bytes per record. The second immediate of ENTER and far pointers shares the displacement field. */
export const RECORD_SIZE = 64;

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
