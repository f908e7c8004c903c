/**
 * Kinds of fuzzed guests, and where things are in them: a few pages of code and data below 2 GiB, at the addresses that
 * the generators of tests/vectors aim at, with pages around that fault, belong to a device, or appear on demand.
 */
import { CODE_BASE, DATA_BASE } from '../vectors/case.ts';
import type { Random } from '../vectors/random.ts';

export interface Flavour {
  readonly name: string;
  /** Size of the program's code, in bits. */
  readonly bits: 64 | 32 | 16;
  readonly cpl: 0 | 3;
  /** Levels of paging structures; 0: real-address mode. */
  readonly levels: 0 | 2 | 3 | 4;
  /** Whether segments may have bases other than zero. */
  readonly segmented: boolean;
}

export const FLAVOURS: readonly Flavour[] = [
  { name: '64-bit, CPL 0', bits: 64, cpl: 0, levels: 4, segmented: false },
  { name: '64-bit, CPL 3', bits: 64, cpl: 3, levels: 4, segmented: false },
  { name: 'compatibility mode, CPL 3', bits: 32, cpl: 3, levels: 4, segmented: false },
  { name: '32-bit, PAE, CPL 0', bits: 32, cpl: 0, levels: 3, segmented: false },
  { name: '32-bit, segments, CPL 3', bits: 32, cpl: 3, levels: 2, segmented: true },
  { name: '16-bit, CPL 3', bits: 16, cpl: 3, levels: 2, segmented: true },
  { name: 'real-address mode', bits: 16, cpl: 0, levels: 0, segmented: true },
];

export const PAGE = 0x1000;

/** What the pages from the data window's start on are; the vectors' operands are aimed at the first two. */
export const DATA_PAGE = {
  FIRST: 0,
  SECOND: 1,
  READ_ONLY: 2,
  DEVICE: 3,
  /** Two pages that are not present until a page fault makes them so. */
  LAZY: 4,
  SPARE: 6,
  ABSENT: 7,
  /** Alternatives of code slots, jump tables, counters. */
  CONSTANTS: 8,
} as const;
export const DATA_PAGES = 9;
/** Pages whose entries the page-fault handler may complete. */
export const MENDABLE_PAGES = 7;

export const CODE_PAGES = 4;
export const CODE_BYTES = CODE_PAGES * PAGE;
export const STACK_PAGES = 2;

/** Offsets in the page of constants. */
export const CONSTANTS = {
  /** Alternatives of slots: {@link ALTERNATIVES} of {@link SLOT_BYTES} for each slot. */
  SLOTS: 0,
  /** Counters of loops, 4 bytes each. */
  COUNTERS: 0x800,
  /** Stack pointers that functions return with, 8 bytes each. */
  FRAMES: 0x900,
  /** FXSAVE image to start with. */
  FX: 0xa00,
  /** Targets of indirect jumps. */
  TARGETS: 0xc00,
} as const;
export const SLOT_BYTES = 8;
export const ALTERNATIVES = 4;
export const MAX_SLOTS = 32;

/** Offsets from the start of the system area. */
export const SYSTEM = {
  GDT: 0,
  TSS: 0x100,
  /** Pointer to code and 8 bytes for it, exchanged by interrupt {@link VECTOR.PATCH}. */
  PATCH_POINTER: 0x400,
  PATCH_VALUE: 0x408,
  COUNTS: 0x800,
  IDT: 0x1000,
  STUBS: 0x2000,
  HANDLER: 0x3000,
  /** Tops of stacks grow down from these. */
  STACK_TOP: 0x5000,
  NMI_STACK_TOP: 0x6000,
  DEBUG_STACK_TOP: 0x6800,
  /** For each byte of code, where to go on after a fault there: 2 bytes, an offset in the code. */
  RESUME: 0x7000,
} as const;
export const SYSTEM_BYTES = SYSTEM.RESUME + 2 * CODE_BYTES;

/** Interrupts with a meaning to the handler. */
export const VECTOR = { PATCH: 0x31, FLUSH: 0x80, SWITCH: 0x81, UNMAP: 0x82, NO_EXECUTE: 0x83 } as const;

/** Linear addresses. */
export interface Layout {
  readonly data: number;
  readonly code: number;
  /** The code's pages again, writable, and behind them their twins. */
  readonly alias: number;
  readonly stack: number;
  /** The page tables of data and code, in this order. */
  readonly tables: number;
  readonly system: number;
  readonly csBase: number;
  readonly dsBase: number;
  readonly ssBase: number;
}

const PAGED = {
  data: DATA_BASE,
  code: CODE_BASE,
  alias: 0x3000_0000,
  stack: 0x4000_0000,
  tables: 0x5000_0000,
  system: 0x6000_0000,
} as const;
/** Without paging: a segment each. */
const REAL = { data: 0x1_0000, code: 0x2_0000, alias: 0x2_0000, stack: 0x3_0000, tables: 0, system: 0x4_0000 } as const;

/** Where real-address mode reaches device memory: behind the first MiB. */
export const DEVICE_PHYSICAL = 0x10_0000;
export const RAM_BYTES = 0x5_8000;

/** The places of a guest; segment bases are random where the flavour has them. */
export function layoutOf(flavour: Flavour, random: Random): Layout {
  if (flavour.levels === 0) return { ...REAL, csBase: REAL.code, dsBase: REAL.data, ssBase: REAL.stack };
  if (flavour.bits === 16) return { ...PAGED, csBase: PAGED.code, dsBase: PAGED.data, ssBase: PAGED.stack };
  if (!flavour.segmented || random.oneIn(3)) return { ...PAGED, csBase: 0, dsBase: 0, ssBase: 0 };
  return {
    ...PAGED,
    csBase: random.pick([0, 0x1000, 0x123, PAGED.code, PAGED.code - 0x20]),
    dsBase: random.pick([0, 0, 0x40, 0x1000, PAGED.data]),
    ssBase: random.pick([0, 0x10, PAGED.stack]),
  };
}

/** Instruction pointer of the code's first byte. */
export const ripBase = (layout: Layout): number => layout.code - layout.csBase;
