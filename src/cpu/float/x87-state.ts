/**
 * The x87 register stack, control, status and tag words as a view over the CPU context (SDM vol. 1 section 8.1), and how
 * instructions report exceptions in them. All operations in the x87-*.ts files work on this view; none of them looks at
 * CR0 or at pending exceptions: the caller does that before (`exceptionPending`), and keeps the last-instruction pointers.
 */
import { decodeExtended, encodeExtended } from './encoding.ts';
import { FloatEnvironment, INVALID, PRE_COMPUTATION, type Rounding } from './environment.ts';
import {
  EXTENDED,
  EXTENDED_24,
  EXTENDED_53,
  type Float,
  type FloatFormat,
  INDEFINITE,
  INFINITE,
  UNSUPPORTED,
  ZERO,
} from './number.ts';

/** Status word fields (SDM vol. 1 figure 8-4). */
export const STATUS_EXCEPTIONS = 0x3f;
export const STATUS_STACK_FAULT = 1 << 6;
export const STATUS_ERROR_SUMMARY = 1 << 7;
export const STATUS_C0 = 1 << 8;
export const STATUS_C1 = 1 << 9;
export const STATUS_C2 = 1 << 10;
export const STATUS_TOP_SHIFT = 11;
export const STATUS_TOP = 7 << STATUS_TOP_SHIFT;
export const STATUS_C3 = 1 << 14;
export const STATUS_BUSY = 1 << 15;
export const STATUS_CONDITION_CODES = STATUS_C0 | STATUS_C1 | STATUS_C2 | STATUS_C3;

/** Control word fields (SDM vol. 1 figure 8-6). */
export const CONTROL_MASKS = 0x3f;
export const CONTROL_PRECISION_SHIFT = 8;
export const CONTROL_ROUNDING_SHIFT = 10;
/** Bits that can be written; bit 6 always reads as one. */
export const CONTROL_WRITABLE = 0x1f3f;
export const CONTROL_ALWAYS_ONE = 0x0040;

/** Values after FNINIT (SDM vol. 1 section 8.1.5). */
export const INITIAL_CONTROL = 0x037f;
export const INITIAL_STATUS = 0;
export const INITIAL_TAGS = 0xffff;

/** Tags (SDM vol. 1 figure 8-7). */
export const TAG_VALID = 0;
export const TAG_ZERO = 1;
export const TAG_SPECIAL = 2;
export const TAG_EMPTY = 3;

export const REGISTER_COUNT = 8;
const REGISTER_STRIDE = 16;
const REGISTER_INDEX_MASK = REGISTER_COUNT - 1;
/** Precision control values to result formats; the reserved value means full precision (SDM vol. 1 table 8-2). */
const PRECISION_FORMATS: readonly FloatFormat[] = [EXTENDED_24, EXTENDED, EXTENDED_53, EXTENDED];

/** Byte offsets of the x87 state within its memory. */
export interface X87Layout {
  /** Physical registers R0..R7, 16 bytes apart, the 80-bit value first. */
  readonly registers: number;
  readonly control: number;
  readonly status: number;
  /** The full 16-bit tag word; only "empty" or not is kept exactly, `tagWord` derives the rest. */
  readonly tags: number;
}

/** x87 state laid over memory. Stack indices are relative to TOP: 0 is ST(0). */
export class X87State {
  /** Rounding, masks and the exceptions of the instruction under way. */
  readonly environment = new FloatEnvironment(true);
  #memory: DataView;
  readonly #layout: X87Layout;

  constructor(memory: DataView, layout: X87Layout) {
    this.#memory = memory;
    this.#layout = layout;
  }

  /** Moves the view to another DataView of the same contents: after a WebAssembly memory grew. */
  rebase(memory: DataView): void {
    this.#memory = memory;
  }

  get control(): number {
    return this.#memory.getUint16(this.#layout.control, true);
  }

  set control(value: number) {
    this.#memory.setUint16(this.#layout.control, value, true);
  }

  get status(): number {
    return this.#memory.getUint16(this.#layout.status, true);
  }

  set status(value: number) {
    this.#memory.setUint16(this.#layout.status, value, true);
  }

  get tags(): number {
    return this.#memory.getUint16(this.#layout.tags, true);
  }

  set tags(value: number) {
    this.#memory.setUint16(this.#layout.tags, value, true);
  }

  get top(): number {
    return (this.status & STATUS_TOP) >> STATUS_TOP_SHIFT;
  }

  set top(value: number) {
    this.status = (this.status & ~STATUS_TOP) | ((value & REGISTER_INDEX_MASK) << STATUS_TOP_SHIFT);
  }

  /** Result format under the current precision control. */
  get precision(): FloatFormat {
    return PRECISION_FORMATS[(this.control >> CONTROL_PRECISION_SHIFT) & 3];
  }

  /** Whether an unmasked exception waits to be reported as #MF by the next waiting instruction. */
  get exceptionPending(): boolean {
    return (this.status & STATUS_ERROR_SUMMARY) !== 0;
  }

  #physical(index: number): number {
    return (this.top + index) & REGISTER_INDEX_MASK;
  }

  #offset(index: number): number {
    return this.#layout.registers + this.#physical(index) * REGISTER_STRIDE;
  }

  isEmpty(index: number): boolean {
    return ((this.tags >> (2 * this.#physical(index))) & TAG_EMPTY) === TAG_EMPTY;
  }

  /** Tags ST(index) as empty (FFREE) or as in use. */
  setEmpty(index: number, empty: boolean): void {
    const shift = 2 * this.#physical(index);
    this.tags = (this.tags & ~(TAG_EMPTY << shift)) | ((empty ? TAG_EMPTY : TAG_VALID) << shift);
  }

  signExponent(index: number): number {
    return this.#memory.getUint16(this.#offset(index) + 8, true);
  }

  significand(index: number): bigint {
    return this.#memory.getBigUint64(this.#offset(index), true);
  }

  /** Writes ST(index) bit by bit and tags it as in use. */
  setBits(index: number, signExponent: number, significand: bigint): void {
    const offset = this.#offset(index);
    this.#memory.setBigUint64(offset, significand, true);
    this.#memory.setUint16(offset + 8, signExponent, true);
    this.setEmpty(index, false);
  }

  /** The value of ST(index), whatever its tag. */
  read(index: number): Float {
    return decodeExtended(this.signExponent(index), this.significand(index));
  }

  write(index: number, value: Float): void {
    const { signExponent, significand } = encodeExtended(value);
    this.setBits(index, signExponent, significand);
  }

  /** Tags ST(0) empty and increments TOP. */
  pop(): void {
    this.setEmpty(0, true);
    this.top = this.top + 1;
  }

  /** The tag word as FNSTENV reports it: contents classified now (SDM vol. 1 section 8.1.7). */
  get tagWord(): number {
    let word = 0;
    for (let physical = 0; physical < REGISTER_COUNT; physical++) {
      const index = (physical - this.top) & REGISTER_INDEX_MASK;
      const { kind } = this.read(index);
      const content = kind === ZERO ? TAG_ZERO : this.#isSpecial(index, kind) ? TAG_SPECIAL : TAG_VALID;
      word |= (this.isEmpty(index) ? TAG_EMPTY : content) << (2 * physical);
    }
    return word;
  }

  /** Anything whose biased exponent is all zeros or all ones, or whose integer bit is clear. */
  #isSpecial(index: number, kind: number): boolean {
    return kind >= INFINITE || kind === UNSUPPORTED || (this.signExponent(index) & 0x7fff) === 0;
  }

  // Instructions.

  /** Starts an instruction: rounding and masks from the control word, nothing raised, C1 clear. */
  begin(): FloatEnvironment {
    const { environment, control } = this;
    environment.rounding = ((control >> CONTROL_ROUNDING_SHIFT) & 3) as Rounding;
    environment.masks = control & CONTROL_MASKS;
    environment.flags = 0;
    environment.roundedUp = false;
    this.status &= ~STATUS_C1;
    return environment;
  }

  /**
   * Ends an instruction: raised exceptions into the status word, C1 where the result was rounded up. False where an
   * unmasked exception found before the computation forbids to write the destination and to pop (SDM vol. 1 section 8.5).
   */
  finish(): boolean {
    const { environment } = this;
    const allowed = (environment.flags & ~environment.masks & PRE_COMPUTATION) === 0;
    this.status |= environment.flags | (environment.roundedUp && allowed ? STATUS_C1 : 0);
    this.summarise();
    return allowed;
  }

  /** Sets or clears ES and B from the flags and masks. */
  summarise(): void {
    const pending = (this.status & ~this.control & STATUS_EXCEPTIONS) !== 0;
    const both = STATUS_ERROR_SUMMARY | STATUS_BUSY;
    this.status = pending ? this.status | both : this.status & ~both;
  }

  /** Reports a stack fault; true where it is masked and the instruction goes on with the indefinite value. */
  stackFault(overflow: boolean): boolean {
    this.environment.raise(INVALID);
    this.status |= STATUS_STACK_FAULT;
    const masked = this.finish();
    if (overflow) this.status |= STATUS_C1;
    return masked;
  }

  /** Decrements TOP and writes the new ST(0); a stack overflow delivers the indefinite value instead, if masked. */
  push(value: Float): void {
    if (!this.isEmpty(-1)) {
      if (!this.stackFault(true)) return;
      value = INDEFINITE;
    }
    this.top = this.top - 1;
    this.write(0, value);
  }

  /** Replaces the condition codes. */
  setConditionCodes(codes: number): void {
    this.status = (this.status & ~STATUS_CONDITION_CODES) | codes;
  }
}
