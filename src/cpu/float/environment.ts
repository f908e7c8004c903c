/**
 * The floating-point environment of one instruction: how it rounds, which exceptions are masked, what it raised.
 * Shared by SSE (filled in from MXCSR, SDM vol. 1 section 10.2.3) and the x87 FPU (from the control word, section 8.1.5).
 */

/** Exception flags, in the bit order common to MXCSR and the x87 status word (SDM vol. 1 sections 8.1.3, 10.2.3). */
export const INVALID = 1 << 0;
export const DENORMAL_OPERAND = 1 << 1;
export const DIVIDE_BY_ZERO = 1 << 2;
export const OVERFLOW = 1 << 3;
export const UNDERFLOW = 1 << 4;
export const PRECISION = 1 << 5;
export const ALL_EXCEPTIONS = 0x3f;
/** Exceptions found before a result is computed (SDM vol. 1 section 4.9.1). */
export const PRE_COMPUTATION = INVALID | DENORMAL_OPERAND | DIVIDE_BY_ZERO;

/** Rounding control, as encoded in MXCSR.RC, in the x87 control word and in ROUNDSS/ROUNDSD (SDM vol. 1 table 4-8). */
export const ROUND_NEAREST = 0;
export const ROUND_DOWN = 1;
export const ROUND_UP = 2;
export const ROUND_TO_ZERO = 3;
export type Rounding = typeof ROUND_NEAREST | typeof ROUND_DOWN | typeof ROUND_UP | typeof ROUND_TO_ZERO;

/** MXCSR fields (SDM vol. 1 figure 10-3). */
export const MXCSR_DENORMALS_ARE_ZERO = 1 << 6;
export const MXCSR_MASK_SHIFT = 7;
export const MXCSR_ROUNDING_SHIFT = 13;
export const MXCSR_FLUSH_TO_ZERO = 1 << 15;

/**
 * What the arithmetic asks about its surroundings and where it reports. One object serves many instructions:
 * load it with `loadMxcsr` (or from x87 state), run the operation, then read `flags`.
 */
export class FloatEnvironment {
  rounding: Rounding = ROUND_NEAREST;
  /** Masked exceptions, a set of the flags above. */
  masks: number = ALL_EXCEPTIONS;
  /** Exceptions raised since the last load. */
  flags = 0;
  /** MXCSR.DAZ: denormal operands count as zeros. SSE only. */
  denormalsAreZero = false;
  /** MXCSR.FZ: tiny results become zeros while underflow is masked. SSE only. */
  flushToZero = false;
  /** True selects the x87 rules for NaNs and for results of unmasked overflow and underflow. */
  readonly x87: boolean;
  /** The last rounding increased the magnitude: what x87 reports in C1. */
  roundedUp = false;

  constructor(x87 = false) {
    this.x87 = x87;
  }

  /** Starts an SSE instruction under the given MXCSR value; `flags` becomes empty. */
  loadMxcsr(mxcsr: number): void {
    this.rounding = ((mxcsr >> MXCSR_ROUNDING_SHIFT) & 3) as Rounding;
    this.masks = (mxcsr >> MXCSR_MASK_SHIFT) & ALL_EXCEPTIONS;
    this.denormalsAreZero = (mxcsr & MXCSR_DENORMALS_ARE_ZERO) !== 0;
    this.flushToZero = (mxcsr & MXCSR_FLUSH_TO_ZERO) !== 0;
    this.flags = 0;
  }

  /**
   * Ends an SSE instruction: the MXCSR value with this instruction's flags added. An unmasked exception found before
   * the computation, in any element, keeps those of the computation from being reported (SDM vol. 1 section 11.5.4).
   */
  storeMxcsr(mxcsr: number): number {
    if ((this.flags & ~this.masks & PRE_COMPUTATION) !== 0) this.flags &= PRE_COMPUTATION;
    return mxcsr | this.flags;
  }

  /** Whether anything unmasked was raised: #XM for SSE (the destination stays as it was), a pending #MF for x87. */
  get unmasked(): boolean {
    return (this.flags & ~this.masks) !== 0;
  }

  /** Raises exceptions; true where one of them is unmasked. */
  raise(exceptions: number): boolean {
    this.flags |= exceptions;
    return (exceptions & ~this.masks) !== 0;
  }
}
