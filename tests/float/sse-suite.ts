/** SSE and FMA instructions with their bytes and the functions that execute them, and the suite that compares them. */
import { EQUAL, LESS, UNORDERED } from '../../src/cpu/float/arithmetic.ts';
import { FloatEnvironment } from '../../src/cpu/float/environment.ts';
import * as sse from '../../src/cpu/float/sse.ts';
import * as compareUnit from '../../src/cpu/float/sse-compare.ts';
import * as convertUnit from '../../src/cpu/float/sse-convert.ts';
import { reciprocal32, reciprocalSquareRoot32 } from '../../src/cpu/float/sse-reciprocal.ts';
import { MXCSR_OFFSET, newRecord, RAX_OFFSET, RFLAGS_OFFSET, TRAPPED_OFFSET, XMM_OFFSET } from './native.ts';
import { binary32, binary64, type Generator } from './operands.ts';
import { ARITHMETIC_FLAGS, copyOf, gather, hex, type Row, type Suite } from './suite.ts';

const XMM0 = XMM_OFFSET;
const XMM1 = XMM_OFFSET + 16;
const XMM2 = XMM_OFFSET + 32;
const CF = 1;
const PF = 4;
const ZF = 64;

type Execute = (env: FloatEnvironment, state: DataView) => void;
interface SseRow extends Row {
  /** Operand width in xmm registers, or of the integer source in RAX. */
  readonly operand: 32 | 64 | 'eax' | 'rax';
  readonly execute: Execute;
}

const binary =
  (operation: sse.BinaryOperation): Execute =>
  (env, state) =>
    operation(env, state, XMM0, XMM0, XMM1);
const unary =
  (operation: sse.UnaryOperation): Execute =>
  (env, state) =>
    operation(env, state, XMM0, XMM1);
const packed =
  (operation: sse.BinaryOperation, width: number): Execute =>
  (env, state) => {
    for (let i = 0; i < 16; i += width) operation(env, state, XMM0 + i, XMM0 + i, XMM1 + i);
  };
const toRax =
  (operation: typeof convertUnit.binary32ToInt32, truncate: boolean, bits: 32 | 64): Execute =>
  (env, state) => {
    operation(env, state, RAX_OFFSET, XMM1, truncate);
    if (bits === 32) state.setUint32(RAX_OFFSET + 4, 0, true);
  };
const fromRax =
  (operation: sse.UnaryOperation): Execute =>
  (env, state) =>
    operation(env, state, XMM0, RAX_OFFSET);
const ordered =
  (operation: typeof compareUnit.compare32, signalQuiet: boolean): Execute =>
  (env, state) => {
    const relation = operation(env, state, XMM0, XMM1, signalQuiet);
    if (env.unmasked) return;
    const flags = relation === UNORDERED ? ZF | PF | CF : relation === LESS ? CF : relation === EQUAL ? ZF : 0;
    state.setBigUint64(
      RFLAGS_OFFSET,
      BigInt((Number(state.getBigUint64(RFLAGS_OFFSET, true)) & ~ARITHMETIC_FLAGS) | flags),
      true,
    );
  };
const predicate =
  (operation: typeof compareUnit.predicate32, width: number, immediate: number): Execute =>
  (env, state) => {
    const holds = operation(env, state, XMM0, XMM1, immediate);
    for (let i = 0; i < width; i += 4) state.setInt32(XMM0 + i, holds ? -1 : 0, true);
  };

const rows: SseRow[] = [];
const arithmetic: [string, number, sse.BinaryOperation, sse.BinaryOperation][] = [
  ['add', 0x58, sse.add32, sse.add64],
  ['mul', 0x59, sse.multiply32, sse.multiply64],
  ['sub', 0x5c, sse.subtract32, sse.subtract64],
  ['min', 0x5d, compareUnit.minimum32, compareUnit.minimum64],
  ['div', 0x5e, sse.divide32, sse.divide64],
  ['max', 0x5f, compareUnit.maximum32, compareUnit.maximum64],
];
for (const [name, opcode, single, double] of arithmetic) {
  rows.push({ name: `${name}ss`, code: [0xf3, 0x0f, opcode, 0xc1], operand: 32, execute: binary(single) });
  rows.push({ name: `${name}sd`, code: [0xf2, 0x0f, opcode, 0xc1], operand: 64, execute: binary(double) });
  rows.push({ name: `${name}ps`, code: [0x0f, opcode, 0xc1], operand: 32, execute: packed(single, 4) });
  rows.push({ name: `${name}pd`, code: [0x66, 0x0f, opcode, 0xc1], operand: 64, execute: packed(double, 8) });
}
rows.push(
  { name: 'sqrtss', code: [0xf3, 0x0f, 0x51, 0xc1], operand: 32, execute: unary(sse.squareRoot32) },
  { name: 'sqrtsd', code: [0xf2, 0x0f, 0x51, 0xc1], operand: 64, execute: unary(sse.squareRoot64) },
  { name: 'cvtss2sd', code: [0xf3, 0x0f, 0x5a, 0xc1], operand: 32, execute: unary(convertUnit.binary32ToBinary64) },
  { name: 'cvtsd2ss', code: [0xf2, 0x0f, 0x5a, 0xc1], operand: 64, execute: unary(convertUnit.binary64ToBinary32) },
  {
    name: 'cvtsi2ss eax',
    code: [0xf3, 0x0f, 0x2a, 0xc0],
    operand: 'eax',
    execute: fromRax(convertUnit.int32ToBinary32),
  },
  {
    name: 'cvtsi2sd eax',
    code: [0xf2, 0x0f, 0x2a, 0xc0],
    operand: 'eax',
    execute: fromRax(convertUnit.int32ToBinary64),
  },
  {
    name: 'cvtsi2ss rax',
    code: [0xf3, 0x48, 0x0f, 0x2a, 0xc0],
    operand: 'rax',
    execute: fromRax(convertUnit.int64ToBinary32),
  },
  {
    name: 'cvtsi2sd rax',
    code: [0xf2, 0x48, 0x0f, 0x2a, 0xc0],
    operand: 'rax',
    execute: fromRax(convertUnit.int64ToBinary64),
  },
  { name: 'ucomiss', code: [0x0f, 0x2e, 0xc1], operand: 32, execute: ordered(compareUnit.compare32, false) },
  { name: 'ucomisd', code: [0x66, 0x0f, 0x2e, 0xc1], operand: 64, execute: ordered(compareUnit.compare64, false) },
  { name: 'comiss', code: [0x0f, 0x2f, 0xc1], operand: 32, execute: ordered(compareUnit.compare32, true) },
  { name: 'comisd', code: [0x66, 0x0f, 0x2f, 0xc1], operand: 64, execute: ordered(compareUnit.compare64, true) },
);
rows.push(
  {
    name: 'rcpss',
    code: [0xf3, 0x0f, 0x53, 0xc1],
    operand: 32,
    approximate: true,
    execute: (_env, state) => reciprocal32(state, XMM0, XMM1),
  },
  {
    name: 'rsqrtss',
    code: [0xf3, 0x0f, 0x52, 0xc1],
    operand: 32,
    approximate: true,
    execute: (_env, state) => reciprocalSquareRoot32(state, XMM0, XMM1),
  },
);
for (const [opcode, truncate] of [
  [0x2c, true],
  [0x2d, false],
] as const) {
  const t = truncate ? 't' : '';
  rows.push(
    {
      name: `cvt${t}ss2si eax`,
      code: [0xf3, 0x0f, opcode, 0xc1],
      operand: 32,
      execute: toRax(convertUnit.binary32ToInt32, truncate, 32),
    },
    {
      name: `cvt${t}sd2si eax`,
      code: [0xf2, 0x0f, opcode, 0xc1],
      operand: 64,
      execute: toRax(convertUnit.binary64ToInt32, truncate, 32),
    },
    {
      name: `cvt${t}ss2si rax`,
      code: [0xf3, 0x48, 0x0f, opcode, 0xc1],
      operand: 32,
      execute: toRax(convertUnit.binary32ToInt64, truncate, 64),
    },
    {
      name: `cvt${t}sd2si rax`,
      code: [0xf2, 0x48, 0x0f, opcode, 0xc1],
      operand: 64,
      execute: toRax(convertUnit.binary64ToInt64, truncate, 64),
    },
  );
}
for (let immediate = 0; immediate < 16; immediate++) {
  const execute32: Execute = (env, state) => convertUnit.round32(env, state, XMM0, XMM1, immediate);
  const execute64: Execute = (env, state) => convertUnit.round64(env, state, XMM0, XMM1, immediate);
  rows.push({
    name: `roundss ${immediate}`,
    code: [0x66, 0x0f, 0x3a, 0x0a, 0xc1, immediate],
    operand: 32,
    execute: execute32,
  });
  rows.push({
    name: `roundsd ${immediate}`,
    code: [0x66, 0x0f, 0x3a, 0x0b, 0xc1, immediate],
    operand: 64,
    execute: execute64,
  });
}
for (let immediate = 0; immediate < 32; immediate++) {
  // VCMPSS/VCMPSD xmm0, xmm0, xmm1, imm8
  rows.push({
    name: `vcmpss ${immediate}`,
    code: [0xc5, 0xfa, 0xc2, 0xc1, immediate],
    operand: 32,
    execute: predicate(compareUnit.predicate32, 4, immediate),
  });
  rows.push({
    name: `vcmpsd ${immediate}`,
    code: [0xc5, 0xfb, 0xc2, 0xc1, immediate],
    operand: 64,
    execute: predicate(compareUnit.predicate64, 8, immediate),
  });
}
for (const [opcode, negateProduct, negateAddend] of [
  [0xa9, false, false],
  [0xab, false, true],
  [0xad, true, false],
  [0xaf, true, true],
] as const) {
  // VF[N]M{ADD,SUB}213SS/SD xmm0, xmm1, xmm2: xmm0 = +-(xmm1 * xmm0) +- xmm2
  const signs = { negateProduct, negateAddend };
  rows.push({
    name: `vfma213ss ${opcode.toString(16)}`,
    code: [0xc4, 0xe2, 0x71, opcode, 0xc2],
    operand: 32,
    execute: (env, state) => sse.fused32(env, state, XMM0, XMM1, XMM0, XMM2, signs),
  });
  rows.push({
    name: `vfma213sd ${opcode.toString(16)}`,
    code: [0xc4, 0xe2, 0xf1, opcode, 0xc2],
    operand: 64,
    execute: (env, state) => sse.fused64(env, state, XMM0, XMM1, XMM0, XMM2, signs),
  });
}

/** MXCSR values: any rounding, DAZ, FZ, masks mostly all set, flags now and then already set. */
function mxcsr(generator: Generator): number {
  const masks = generator.below(3) === 0 ? generator.below(64) : 63;
  const rounding = generator.below(4);
  const daz = generator.below(4) === 0 ? 1 << 6 : 0;
  const ftz = generator.below(4) === 0 ? 1 << 15 : 0;
  const flags = generator.below(4) === 0 ? generator.below(64) : 0;
  return flags | daz | (masks << 7) | (rounding << 13) | ftz;
}

function record(generator: Generator, row: SseRow): DataView {
  const state = newRecord();
  state.setUint32(MXCSR_OFFSET, mxcsr(generator), true);
  for (const base of [XMM0, XMM1, XMM2]) {
    if (row.operand === 64) {
      for (let i = 0; i < 16; i += 8) {
        const near = base === XMM0 ? 1023 : Number(state.getBigUint64(XMM0 + i, true) >> 52n) & 0x7ff;
        state.setBigUint64(base + i, binary64(generator, near), true);
      }
    } else {
      for (let i = 0; i < 16; i += 4) {
        const near = base === XMM0 ? 127 : (state.getUint32(XMM0 + i, true) >>> 23) & 0xff;
        state.setUint32(base + i, binary32(generator, near), true);
      }
    }
  }
  if (generator.below(16) === 0) state.setBigUint64(XMM1, state.getBigUint64(XMM0, true), true);
  const shift = BigInt(generator.below(64));
  state.setBigUint64(
    RAX_OFFSET,
    generator.below(2) ? generator.bits64() >> shift : BigInt.asUintN(64, -1n << shift) - BigInt(generator.below(3)),
    true,
  );
  return state;
}

const env = new FloatEnvironment();

function execute(row: SseRow, before: DataView): DataView {
  const state = copyOf(before);
  const control = state.getUint32(MXCSR_OFFSET, true);
  env.loadMxcsr(control);
  row.execute(env, state);
  const after = env.storeMxcsr(control);
  // After an unmasked exception the destination is as before; only MXCSR changes.
  const result = env.unmasked ? copyOf(before) : state;
  result.setUint32(MXCSR_OFFSET, after, true);
  result.setBigUint64(TRAPPED_OFFSET, env.unmasked ? 1n : 0n, true);
  return result;
}

function result(state: DataView): Uint8Array {
  const flags = state.getUint16(RFLAGS_OFFSET, true) & ARITHMETIC_FLAGS;
  const fields = gather(state, [
    [MXCSR_OFFSET, 2],
    [XMM0, 16],
    [RAX_OFFSET, 8],
    [TRAPPED_OFFSET, 1],
  ]);
  return Uint8Array.from([...fields, flags & 0xff, flags >> 8]);
}

/** Reciprocals have 12 bits (SDM vol. 2B, RCPSS); what differs must be XMM0's low 32 bits, and there by little. */
function nearlyEqual(ours: Uint8Array, theirs: Uint8Array): boolean {
  const value = (bytes: Uint8Array): number => new DataView(bytes.buffer, bytes.byteOffset).getFloat32(2, true);
  const rest = (bytes: Uint8Array): string => [...bytes.slice(0, 2), ...bytes.slice(6)].join();
  return rest(ours) === rest(theirs) && Math.abs(value(ours) / value(theirs) - 1) <= 2 * 1.5 * 2 ** -12;
}

const describe = (state: DataView): string =>
  `mxcsr ${hex(state, MXCSR_OFFSET, 2)} xmm0 ${hex(state, XMM0, 16)} xmm1 ${hex(state, XMM1, 16)} xmm2 ${hex(state, XMM2, 16)} ` +
  `rax ${hex(state, RAX_OFFSET, 8)} flags ${(state.getUint32(RFLAGS_OFFSET, true) & ARITHMETIC_FLAGS).toString(16)} trapped ${state.getUint8(TRAPPED_OFFSET)}`;

export const SSE_SUITE: Suite<SseRow> = { name: 'sse', rows, record, execute, result, nearlyEqual, describe };
