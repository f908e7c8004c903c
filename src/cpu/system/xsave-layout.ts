/** The XSAVE area as far as x87 and SSE state go (SDM vol. 1 13.4, 10.5.1). Offsets and sizes in bytes. */
export const LEGACY = {
  FCW: 0,
  FSW: 2,
  /** Abridged tag word: one bit per physical register, 1 = not empty. */
  FTW: 4,
  FOP: 6,
  FIP: 8,
  FCS: 12,
  FDP: 16,
  FDS: 20,
  MXCSR: 24,
  MXCSR_MASK: 28,
  ST: 32,
  XMM: 160,
  SLOT: 16,
  SIZE: 512,
} as const;

export const HEADER = {
  XSTATE_BV: 512,
  XCOMP_BV: 520,
  SIZE: 64,
} as const;

/** Legacy area and header. */
export const XSAVE_STANDARD_SIZE = LEGACY.SIZE + HEADER.SIZE;
/** The same for all components there are: none lies beyond the header. */
export const XSAVE_AREA_SIZE = XSAVE_STANDARD_SIZE;

/** State components (SDM vol. 1 13.1). */
export const XSTATE = { X87: 1 << 0, SSE: 1 << 1 } as const;
export const XCR0_SUPPORTED = XSTATE.X87 | XSTATE.SSE;
