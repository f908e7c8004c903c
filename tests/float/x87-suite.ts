/** The suite that compares the x87 instructions. */
import { encodeExtended } from '../../src/cpu/float/encoding.ts';
import { finite } from '../../src/cpu/float/number.ts';
import { loadFxsave, storeFxsave, type X87Pointers } from '../../src/cpu/float/x87-control.ts';
import { X87State } from '../../src/cpu/float/x87-state.ts';
import {
  FCW_OFFSET,
  FSW_OFFSET,
  FTW_OFFSET,
  MEMORY_OFFSET,
  MEMORY_SIZE,
  newRecord,
  RFLAGS_OFFSET,
  ST_OFFSET,
} from './native.ts';
import { binary32, binary64, extended, type Generator } from './operands.ts';
import { ARITHMETIC_FLAGS, copyOf, gather, hex, memoryOf, type Suite } from './suite.ts';
import { type MemoryKind, X87_ROWS, type X87Row } from './x87-rows.ts';

function controlWord(generator: Generator): number {
  const masks = generator.below(3) === 0 ? generator.below(64) : 63;
  const precision = generator.below(2) ? 3 : generator.below(4);
  return 0x40 | masks | (precision << 8) | (generator.below(4) << 10) | (generator.below(16) === 0 ? 0x1000 : 0);
}

function setExtended(state: DataView, offset: number, value: { signExponent: number; significand: bigint }): void {
  state.setBigUint64(offset, value.significand, true);
  state.setUint16(offset + 8, value.signExponent, true);
}

function memoryOperand(generator: Generator, kind: MemoryKind, state: DataView, near: number): void {
  const at = MEMORY_OFFSET;
  switch (kind) {
    case 'm32fp':
      state.setUint32(at, binary32(generator, Math.min(255, Math.max(0, near - 16383 + 127))), true);
      return;
    case 'm64fp':
      state.setBigUint64(at, binary64(generator, Math.min(2047, Math.max(0, near - 16383 + 1023))), true);
      return;
    case 'm80fp':
      setExtended(state, at, extended(generator, near));
      return;
    case 'm80bcd': {
      const digits = generator.bits64() % 10n ** BigInt(1 + generator.below(18));
      state.setBigUint64(at, BigInt.asUintN(64, BigInt(`0x${digits}`)), true);
      state.setUint16(at + 8, Number(BigInt(`0x${digits}`) >> 64n) | (generator.below(2) << 15), true);
      // Now and then no decimal digits at all.
      if (generator.below(8) === 0) state.setBigUint64(at + generator.below(3), generator.bits64(), true);
      return;
    }
    case 'environment':
    case 'state':
      for (let i = 0; i < 128; i += 4) state.setUint32(at + i, generator.bits32(), true);
      return;
    default:
      state.setBigUint64(at, generator.bits64() >> BigInt(generator.below(64)), true);
      if (generator.below(2)) state.setBigInt64(at, -state.getBigInt64(at, true), true);
  }
}

function record(generator: Generator, row: X87Row): DataView {
  const state = newRecord();
  const control = controlWord(generator);
  state.setUint16(FCW_OFFSET, control, true);
  // Flags already raised stay below the masks: nothing may be pending.
  const sticky = generator.below(4) === 0 ? generator.below(64) & control : 0;
  const top = generator.below(8);
  state.setUint16(
    FSW_OFFSET,
    sticky | (top << 11) | (generator.bits32() & 0x4700) | (sticky & 1 ? generator.below(2) << 6 : 0),
    true,
  );
  let inUse = generator.below(6) === 0 ? generator.below(256) : 0x7f;
  inUse = ((inUse << top) | (inUse >> (8 - top))) & 0xff;
  state.setUint8(FTW_OFFSET, inUse);
  const first = extended(generator);
  const near = first.signExponent & 0x7fff;
  for (let i = 0; i < 8; i++) setExtended(state, ST_OFFSET + 16 * i, extended(generator, near));
  setExtended(state, ST_OFFSET, first);
  const style = generator.below(8);
  if (style === 0) {
    // An integer of any size, or nearly one.
    const bits = generator.bits64() >> BigInt(generator.below(64));
    if (bits !== 0n)
      setExtended(state, ST_OFFSET, encodeExtended(finite(generator.below(2) === 1, -generator.below(3), bits)));
  }
  if (style === 1 && row.second) {
    for (const at of [8, 0])
      state.setBigUint64(ST_OFFSET + 16 * row.second + at, state.getBigUint64(ST_OFFSET + at, true), true);
  }
  if (row.name === 'FSCALE' && generator.below(2)) {
    const amount = generator.below(70000) - 35000;
    setExtended(state, ST_OFFSET + 16, encodeExtended(finite(amount < 0, -1, BigInt(Math.abs(amount)))));
  }
  memoryOperand(generator, row.memory, state, near);
  state.setUint32(RFLAGS_OFFSET, 0x202 | (generator.bits32() & 0x45), true);
  return state;
}

/** Bytes of memory an instruction may write; of environment images not the pointers, which are the runner's own addresses. */
function memoryRanges(row: X87Row): readonly (readonly [number, number])[] {
  if (row.memory === 'none') return [];
  if (row.memory !== 'environment' && row.memory !== 'state') return [[MEMORY_OFFSET, 10]];
  const size = row.code[0] === 0x66 ? 2 : 4;
  return [
    [MEMORY_OFFSET, 3 * size],
    [MEMORY_OFFSET + 7 * size, MEMORY_SIZE - 7 * size],
  ];
}

const REGISTERS = Array.from({ length: 8 }, (_, i) => [ST_OFFSET + 16 * i, 10] as const);
const fpu = new X87State(new DataView(new ArrayBuffer(256)), { registers: 0, control: 128, status: 130, tags: 132 });
const pointers: X87Pointers = { opcode: 0, instructionPointer: 0n, codeSelector: 0, dataPointer: 0n, dataSelector: 0 };

function execute(row: X87Row, before: DataView): DataView {
  const state = copyOf(before);
  loadFxsave(fpu, true, state, 0);
  const surroundings = { memory: memoryOf(state, MEMORY_SIZE), rflags: state.getUint32(RFLAGS_OFFSET, true) };
  row.execute(fpu, surroundings);
  storeFxsave(fpu, pointers, true, state, 0);
  state.setUint32(RFLAGS_OFFSET, surroundings.rflags, true);
  return state;
}

const STATUS_AT = 80;
const RESULT_C1 = 2;

/** The registers first, then status, control, tags, flags and memory. */
function result(state: DataView, row: X87Row): Uint8Array {
  const flags = state.getUint16(RFLAGS_OFFSET, true) & ARITHMETIC_FLAGS;
  const fields = gather(state, [...REGISTERS, [FSW_OFFSET, 2], [FCW_OFFSET, 2], [FTW_OFFSET, 1]]);
  return Uint8Array.from([...fields, flags & 0xff, flags >> 8, ...gather(state, memoryRanges(row))]);
}

/** Equal but for C1 and one unit in the last place of ST(0) and ST(1). */
function nearlyEqual(ours: Uint8Array, theirs: Uint8Array): boolean {
  const value = (bytes: Uint8Array, at: number): bigint => {
    const view = new DataView(bytes.buffer, bytes.byteOffset);
    return (BigInt(view.getUint16(at + 8, true)) << 63n) + BigInt.asUintN(63, view.getBigUint64(at, true));
  };
  const near = [0, 10].every((at) => Math.abs(Number(value(ours, at) - value(theirs, at))) <= 1);
  const rest = (bytes: Uint8Array): string =>
    [...bytes.slice(20)].map((byte, index) => (index === STATUS_AT + 1 - 20 ? byte & ~RESULT_C1 : byte)).join();
  return near && rest(ours) === rest(theirs);
}

function describe(state: DataView, row: X87Row): string {
  const registers = REGISTERS.map(([at]) => `${hex(state, at + 8, 2)}:${hex(state, at, 8)}`);
  const memory = memoryRanges(row).map(([at, length]) => hex(state, at, length));
  return (
    `cw ${hex(state, FCW_OFFSET, 2)} sw ${hex(state, FSW_OFFSET, 2)} tags ${hex(state, FTW_OFFSET, 1)} ` +
    `flags ${(state.getUint32(RFLAGS_OFFSET, true) & ARITHMETIC_FLAGS).toString(16)} memory ${memory.join(' ')} st ${registers.join(' ')}`
  );
}

export const X87_SUITE: Suite<X87Row> = { name: 'x87', rows: X87_ROWS, record, execute, result, nearlyEqual, describe };
