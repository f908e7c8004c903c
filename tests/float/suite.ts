/** What the native comparison, the recording of vectors and the vector tests share: instructions, operands, results. */
import { MEMORY_OFFSET, RECORD_SIZE } from './native.ts';
import type { Generator } from './operands.ts';

/** One instruction form. */
export interface Row {
  readonly name: string;
  /** Instruction bytes; memory operands are at [RSI]. */
  readonly code: readonly number[];
  /** Results may differ from the processor's in the last place (transcendental functions). */
  readonly approximate?: boolean;
}

/** A set of instruction forms over the same kind of machine state (a record of native-runner.c). */
export interface Suite<R extends Row = Row> {
  readonly name: string;
  readonly rows: readonly R[];
  /** A starting state. */
  record(generator: Generator, row: R): DataView;
  /** The state after our implementation ran the instruction. */
  execute(row: R, before: DataView): DataView;
  /** The bytes of a state that are compared. */
  result(state: DataView, row: R): Uint8Array;
  /** Whether the results of an approximate row agree but for the last place. */
  nearlyEqual(ours: Uint8Array, theirs: Uint8Array): boolean;
  /** A state for people. */
  describe(state: DataView, row: R): string;
}

/** A copy of a record. */
export const copyOf = (state: DataView): DataView =>
  new DataView(state.buffer.slice(state.byteOffset, state.byteOffset + RECORD_SIZE) as ArrayBuffer);

/** Bytes from a record, as big-endian hexadecimal. */
export function hex(state: DataView, offset: number, bytes: number): string {
  let text = '';
  for (let i = bytes - 1; i >= 0; i--)
    text += state
      .getUint8(offset + i)
      .toString(16)
      .padStart(2, '0');
  return text;
}

/** Concatenates ranges of a record. */
export function gather(state: DataView, ranges: readonly (readonly [offset: number, length: number])[]): Uint8Array {
  const bytes: number[] = [];
  for (const [offset, length] of ranges) {
    for (let i = 0; i < length; i++) bytes.push(state.getUint8(offset + i));
  }
  return Uint8Array.from(bytes);
}

export const sameBytes = (a: Uint8Array, b: Uint8Array): boolean =>
  a.length === b.length && a.every((byte, index) => byte === b[index]);

/** The memory operand of a record. */
export const memoryOf = (state: DataView, length: number): DataView =>
  new DataView(state.buffer, state.byteOffset + MEMORY_OFFSET, length);

/** OF, SF, ZF, AF, PF, CF. */
export const ARITHMETIC_FLAGS = 0x8d5;
