/** Compares the x87 instructions with the host's processor. Usage: compare-x87.ts [cases per instruction] [name prefix] [seed] */
import { encode32, encode64, encodeExtended } from '../../src/cpu/float/encoding.ts';
import { loadFxsave, storeFxsave, type X87Pointers } from '../../src/cpu/float/x87-control.ts';
import { X87State } from '../../src/cpu/float/x87-state.ts';
import { finite } from '../../src/cpu/float/number.ts';
import { FCW_OFFSET, FSW_OFFSET, FTW_OFFSET, MEMORY_OFFSET, NativeProcessor, newRecord, RFLAGS_OFFSET, ST_OFFSET } from './native.ts';
import { binary32, binary64, extended, Generator } from './operands.ts';
import { type MemoryKind, X87_ROWS, type X87Row } from './x87-rows.ts';

const ARITHMETIC_FLAGS = 0x8d5;
const POINTER_FIELDS: readonly [number, number][] = [];

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
      return state.setUint32(at, binary32(generator, Math.min(255, Math.max(0, near - 16383 + 127))), true);
    case 'm64fp':
      return state.setBigUint64(at, binary64(generator, Math.min(2047, Math.max(0, near - 16383 + 1023))), true);
    case 'm80fp':
      return setExtended(state, at, extended(generator, near));
    case 'm80bcd': {
      const digits = generator.bits64() % 10n ** BigInt(1 + generator.below(18));
      state.setBigUint64(at, BigInt.asUintN(64, BigInt(`0x${digits}`)), true);
      return state.setUint16(at + 8, Number(BigInt(`0x${digits}`) >> 64n) | (generator.below(2) << 15), true);
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

export function record(generator: Generator, row: X87Row): DataView {
  const state = newRecord();
  const control = controlWord(generator);
  state.setUint16(FCW_OFFSET, control, true);
  // Flags already raised stay below the masks: nothing may be pending.
  const sticky = generator.below(4) === 0 ? generator.below(64) & control : 0;
  const top = generator.below(8);
  state.setUint16(FSW_OFFSET, sticky | (top << 11) | (generator.bits32() & 0x4700) | (sticky & 1 ? generator.below(2) << 6 : 0), true);
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
    if (bits !== 0n) setExtended(state, ST_OFFSET, encodeExtended(finite(generator.below(2) === 1, -generator.below(3), bits)));
  }
  if (style === 1 && row.second) {
    for (const at of [8, 0]) state.setBigUint64(ST_OFFSET + 16 * row.second + at, state.getBigUint64(ST_OFFSET + at, true), true);
  }
  if (row.name === 'FSCALE' && generator.below(2)) {
    const amount = generator.below(70000) - 35000;
    setExtended(state, ST_OFFSET + 16, encodeExtended(finite(amount < 0, -1, BigInt(Math.abs(amount)))));
  }
  memoryOperand(generator, row.memory, state, near);
  state.setUint32(RFLAGS_OFFSET, 0x202 | (generator.bits32() & 0x45), true);
  return state;
}

const hex = (state: DataView, offset: number, bytes: number): string => {
  let text = '';
  for (let i = bytes - 1; i >= 0; i--) text += state.getUint8(offset + i).toString(16).padStart(2, '0');
  return text;
};

function memoryText(state: DataView, row: X87Row): string {
  if (row.memory !== 'environment' && row.memory !== 'state') return hex(state, MEMORY_OFFSET, 10);
  const size = row.code[0] === 0x66 ? 2 : 4;
  const parts: string[] = [];
  for (let at = 0; at < 128; at += 2) {
    // The pointer fields are the runner's own addresses.
    if (at >= 3 * size && at < 7 * size) continue;
    parts.push(hex(state, MEMORY_OFFSET + at, 2));
  }
  return parts.join('.');
}

const text = (state: DataView, row: X87Row): string => {
  const registers = Array.from({ length: 8 }, (_, i) => `${hex(state, ST_OFFSET + 16 * i + 8, 2)}:${hex(state, ST_OFFSET + 16 * i, 8)}`);
  return `cw ${hex(state, FCW_OFFSET, 2)} sw ${hex(state, FSW_OFFSET, 2)} tags ${hex(state, FTW_OFFSET, 1)} mem ${memoryText(state, row)} flags ${(state.getUint32(RFLAGS_OFFSET, true) & ARITHMETIC_FLAGS).toString(16)} ${registers.join(' ')}`;
};

/** Equal but for C1 and one unit in the last place of the results: what approximate rows are held to. */
function nearlyEqual(ours: DataView, theirs: DataView, row: X87Row): boolean {
  const [a, b] = [ours, theirs].map((state) => new DataView(state.buffer.slice(state.byteOffset, state.byteOffset + state.byteLength)));
  for (const state of [a, b]) state.setUint16(FSW_OFFSET, state.getUint16(FSW_OFFSET, true) & ~0x200, true);
  for (const at of [ST_OFFSET, ST_OFFSET + 16]) {
    const value = (state: DataView): bigint => (BigInt(state.getUint16(at + 8, true)) << 63n) + BigInt.asUintN(63, state.getBigUint64(at, true));
    const distance = value(a) - value(b);
    if (distance < -1n || distance > 1n) return false;
    a.setBigUint64(at, b.getBigUint64(at, true), true);
    a.setUint16(at + 8, b.getUint16(at + 8, true), true);
  }
  return text(a, row) === text(b, row);
}

const scratch = new DataView(new ArrayBuffer(256));
const fpu = new X87State(scratch, { registers: 0, control: 128, status: 130, tags: 132 });
const pointers: X87Pointers = { opcode: 0, instructionPointer: 0n, codeSelector: 0, dataPointer: 0n, dataSelector: 0 };

/** The state after our implementation ran the row on it. */
export function execute(row: X87Row, before: DataView): DataView {
  const state = new DataView(before.buffer.slice(before.byteOffset, before.byteOffset + before.byteLength));
  loadFxsave(fpu, true, state, 0);
  const surroundings = { memory: new DataView(state.buffer, MEMORY_OFFSET, 128), rflags: state.getUint32(RFLAGS_OFFSET, true) };
  row.execute(fpu, surroundings);
  storeFxsave(fpu, pointers, true, state, 0);
  state.setUint32(RFLAGS_OFFSET, surroundings.rflags, true);
  return state;
}

void encode32, encode64, POINTER_FIELDS;
const cases = Number(process.argv[2] ?? 500);
const filter = process.argv[3] ?? '';
const generator = new Generator(Number(process.argv[4] ?? 4711));
const native = new NativeProcessor();
let differences = 0;
let compared = 0;
let near = 0;
const strict = process.argv[6] === 'strict';
for (const row of X87_ROWS.filter(({ name }) => name.startsWith(filter))) {
  const records = Array.from({ length: cases }, () => record(generator, row));
  const [results] = native.run([{ code: row.code, records }]);
  let different = 0;
  records.forEach((before, index) => {
    compared++;
    const after = execute(row, before);
    const [ours, theirs] = [text(after, row), text(results[index], row)];
    if (ours === theirs) return;
    if (row.approximate && !strict && nearlyEqual(after, results[index], row)) {
      near++;
      return;
    }
    if (different++ < Number(process.argv[5] ?? 2)) console.log(`${row.name}\n  before ${text(before, row)}\n  native ${theirs}\n  ours   ${ours}`);
  });
  if (different) console.log(`${row.name}: ${different} of ${cases} differ`);
  differences += different;
}
native.close();
console.log(`${compared} compared, ${differences} differences, ${near} approximate results in the last place`);
process.exitCode = differences === 0 ? 0 : 1;
