/** Every x87 instruction form with its bytes, its memory operand and the function that executes it. */
import { fromInteger } from '../../src/cpu/float/arithmetic.ts';
import { decode32, decode64 } from '../../src/cpu/float/encoding.ts';
import type { Float } from '../../src/cpu/float/number.ts';
import * as arithmetic from '../../src/cpu/float/x87-arithmetic.ts';
import * as compare from '../../src/cpu/float/x87-compare.ts';
import * as control from '../../src/cpu/float/x87-control.ts';
import type { X87State } from '../../src/cpu/float/x87-state.ts';
import * as transcendental from '../../src/cpu/float/x87-transcendental.ts';
import * as transfer from '../../src/cpu/float/x87-transfer.ts';
import { ARITHMETIC_FLAGS, type Row } from './suite.ts';

export type MemoryKind =
  | 'none'
  | 'm32fp'
  | 'm64fp'
  | 'm80fp'
  | 'm16int'
  | 'm32int'
  | 'm64int'
  | 'm80bcd'
  | 'environment'
  | 'state';

/** What an instruction sees besides the x87 state: its memory operand and RFLAGS. */
export interface Surroundings {
  readonly memory: DataView;
  rflags: number;
}

export interface X87Row extends Row {
  readonly memory: MemoryKind;
  readonly execute: (fpu: X87State, surroundings: Surroundings) => void;
  /** Reads a second register operand: ST(1), or ST(i) of the code. */
  readonly second?: number;
}

/** ModRM reg field with [rsi]. */
const memoryForm = (opcode: number, reg: number): number[] => [opcode, (reg << 3) | 6];
const rows: X87Row[] = [];

const source = (memory: DataView, kind: MemoryKind): Float => {
  switch (kind) {
    case 'm32fp':
      return decode32(memory.getUint32(0, true));
    case 'm64fp':
      return decode64(memory.getBigUint64(0, true));
    case 'm16int':
      return fromInteger(BigInt(memory.getInt16(0, true)));
    case 'm32int':
      return fromInteger(BigInt(memory.getInt32(0, true)));
    default:
      return fromInteger(memory.getBigInt64(0, true));
  }
};

const operations: [string, number, arithmetic.X87Operation, arithmetic.X87Operation][] = [
  ['FADD', 0, arithmetic.FADD, arithmetic.FADD],
  ['FMUL', 1, arithmetic.FMUL, arithmetic.FMUL],
  ['FSUB', 4, arithmetic.FSUB, arithmetic.FSUBR],
  ['FSUBR', 5, arithmetic.FSUBR, arithmetic.FSUB],
  ['FDIV', 6, arithmetic.FDIV, arithmetic.FDIVR],
  ['FDIVR', 7, arithmetic.FDIVR, arithmetic.FDIV],
];
const sources: [MemoryKind, number][] = [
  ['m32fp', 0xd8],
  ['m32int', 0xda],
  ['m64fp', 0xdc],
  ['m16int', 0xde],
];
for (const [kind, opcode] of sources) {
  for (const [name, reg, operation] of operations) {
    rows.push({
      name: `${name} ${kind}`,
      code: memoryForm(opcode, reg),
      memory: kind,
      execute: (fpu, { memory }) => arithmetic.arithmeticMemory(fpu, operation, source(memory, kind)),
    });
  }
  for (const [name, reg, pop] of [
    ['FCOM', 2, false],
    ['FCOMP', 3, true],
  ] as const) {
    rows.push({
      name: `${name} ${kind}`,
      code: memoryForm(opcode, reg),
      memory: kind,
      execute: (fpu, { memory }) => compare.compareMemory(fpu, source(memory, kind), pop),
    });
  }
}
for (const i of [0, 1, 3, 7]) {
  for (const [name, reg, operation, swapped] of operations) {
    rows.push(
      {
        name: `${name} st0, st${i}`,
        code: [0xd8, 0xc0 | (reg << 3) | i],
        memory: 'none',
        second: i,
        execute: (fpu) => arithmetic.arithmeticStack(fpu, operation, 0, i),
      },
      {
        name: `${name}[swapped] st${i}, st0`,
        code: [0xdc, 0xc0 | (reg << 3) | i],
        memory: 'none',
        second: i,
        execute: (fpu) => arithmetic.arithmeticStack(fpu, swapped, i, 0),
      },
      {
        name: `${name}P[swapped] st${i}, st0`,
        code: [0xde, 0xc0 | (reg << 3) | i],
        memory: 'none',
        second: i,
        execute: (fpu) => arithmetic.arithmeticStack(fpu, swapped, i, 0, true),
      },
    );
  }
  rows.push(
    {
      name: `FCOM st${i}`,
      code: [0xd8, 0xd0 | i],
      memory: 'none',
      second: i,
      execute: (fpu) => compare.compareStack(fpu, i, 0),
    },
    {
      name: `FCOMP st${i}`,
      code: [0xd8, 0xd8 | i],
      memory: 'none',
      second: i,
      execute: (fpu) => compare.compareStack(fpu, i, 1),
    },
    {
      name: `FUCOM st${i}`,
      code: [0xdd, 0xe0 | i],
      memory: 'none',
      second: i,
      execute: (fpu) => compare.compareUnordered(fpu, i, 0),
    },
    {
      name: `FUCOMP st${i}`,
      code: [0xdd, 0xe8 | i],
      memory: 'none',
      second: i,
      execute: (fpu) => compare.compareUnordered(fpu, i, 1),
    },
    {
      name: `FLD st${i}`,
      code: [0xd9, 0xc0 | i],
      memory: 'none',
      second: i,
      execute: (fpu) => transfer.loadStack(fpu, i),
    },
    {
      name: `FXCH st${i}`,
      code: [0xd9, 0xc8 | i],
      memory: 'none',
      second: i,
      execute: (fpu) => transfer.exchange(fpu, i),
    },
    {
      name: `FFREE st${i}`,
      code: [0xdd, 0xc0 | i],
      memory: 'none',
      second: i,
      execute: (fpu) => transfer.free(fpu, i),
    },
    {
      name: `FST st${i}`,
      code: [0xdd, 0xd0 | i],
      memory: 'none',
      second: i,
      execute: (fpu) => transfer.storeStack(fpu, i, false),
    },
    {
      name: `FSTP st${i}`,
      code: [0xdd, 0xd8 | i],
      memory: 'none',
      second: i,
      execute: (fpu) => transfer.storeStack(fpu, i, true),
    },
  );
  const toFlags =
    (signalQuiet: boolean, pop: boolean): X87Row['execute'] =>
    (fpu, surroundings) => {
      const flags = compare.compareToFlags(fpu, i, signalQuiet, pop);
      surroundings.rflags = (surroundings.rflags & ~ARITHMETIC_FLAGS) | flags;
    };
  rows.push(
    { name: `FCOMI st${i}`, code: [0xdb, 0xf0 | i], memory: 'none', second: i, execute: toFlags(true, false) },
    { name: `FUCOMI st${i}`, code: [0xdb, 0xe8 | i], memory: 'none', second: i, execute: toFlags(false, false) },
    { name: `FCOMIP st${i}`, code: [0xdf, 0xf0 | i], memory: 'none', second: i, execute: toFlags(true, true) },
    { name: `FUCOMIP st${i}`, code: [0xdf, 0xe8 | i], memory: 'none', second: i, execute: toFlags(false, true) },
  );
  for (const [opcode, wanted] of [
    [0xda, true],
    [0xdb, false],
  ] as const) {
    [1, 64, 65, 4].forEach((mask, condition) => {
      rows.push({
        name: `FCMOV ${wanted ? '' : 'N'}${condition} st${i}`,
        code: [opcode, 0xc0 | (condition << 3) | i],
        memory: 'none',
        second: i,
        execute: (fpu, { rflags }) => transfer.conditionalMove(fpu, i, ((rflags & mask) !== 0) === wanted),
      });
    });
  }
}
const simple = (name: string, code: number[], execute: X87Row['execute'], second?: number): X87Row => ({
  name,
  code,
  memory: 'none',
  execute,
  second,
});
const approximate = (name: string, code: number[], execute: X87Row['execute'], second?: number): X87Row => ({
  ...simple(name, code, execute, second),
  approximate: true,
});
rows.push(
  simple('FCOMPP', [0xde, 0xd9], (fpu) => compare.compareStack(fpu, 1, 2), 1),
  simple('FUCOMPP', [0xda, 0xe9], (fpu) => compare.compareUnordered(fpu, 1, 2), 1),
  simple('FTST', [0xd9, 0xe4], compare.testSt0),
  simple('FXAM', [0xd9, 0xe5], compare.examineSt0),
  simple('FCHS', [0xd9, 0xe0], arithmetic.changeSignSt0),
  simple('FABS', [0xd9, 0xe1], arithmetic.absoluteSt0),
  simple('FSQRT', [0xd9, 0xfa], arithmetic.squareRootSt0),
  simple('FRNDINT', [0xd9, 0xfc], arithmetic.roundSt0),
  simple('FSCALE', [0xd9, 0xfd], arithmetic.scaleSt0, 1),
  simple('FXTRACT', [0xd9, 0xf4], arithmetic.extractSt0),
  simple('FPREM', [0xd9, 0xf8], arithmetic.partialRemainderSt0, 1),
  simple('FPREM1', [0xd9, 0xf5], arithmetic.ieeeRemainderSt0, 1),
  simple('FINCSTP', [0xd9, 0xf7], transfer.incrementTop),
  simple('FDECSTP', [0xd9, 0xf6], transfer.decrementTop),
  simple('FLD1', [0xd9, 0xe8], transcendental.loadOne),
  simple('FLDL2T', [0xd9, 0xe9], transcendental.loadLog2Ten),
  simple('FLDL2E', [0xd9, 0xea], transcendental.loadLog2E),
  simple('FLDPI', [0xd9, 0xeb], transcendental.loadPi),
  simple('FLDLG2', [0xd9, 0xec], transcendental.loadLog10Two),
  simple('FLDLN2', [0xd9, 0xed], transcendental.loadLnTwo),
  simple('FLDZ', [0xd9, 0xee], transcendental.loadZero),
  approximate('F2XM1', [0xd9, 0xf0], transcendental.exponentialSt0),
  approximate('FYL2X', [0xd9, 0xf1], transcendental.logarithmSt1, 1),
  approximate('FPTAN', [0xd9, 0xf2], transcendental.tangentSt0),
  approximate('FPATAN', [0xd9, 0xf3], transcendental.arctangentSt1, 1),
  approximate('FYL2XP1', [0xd9, 0xf9], transcendental.logarithmPlusOneSt1, 1),
  approximate('FSINCOS', [0xd9, 0xfb], transcendental.sineCosineSt0),
  approximate('FSIN', [0xd9, 0xfe], transcendental.sineSt0),
  approximate('FCOS', [0xd9, 0xff], transcendental.cosineSt0),
  simple('FNINIT', [0xdb, 0xe3], control.initialise),
  simple('FNCLEX', [0xdb, 0xe2], control.clearExceptions),
  simple('EMMS', [0x0f, 0x77], control.emptyRegisters),
);

const load =
  (kind: MemoryKind): X87Row['execute'] =>
  (fpu, { memory }) =>
    transfer.loadFloat(fpu, source(memory, kind));
const loadInteger =
  (bits: 16 | 32 | 64): X87Row['execute'] =>
  (fpu, { memory }) =>
    transfer.loadInteger(fpu, BigInt.asIntN(bits, memory.getBigInt64(0, true)));
const storeInteger =
  (bits: 16 | 32 | 64, pop: boolean, truncate = false): X87Row['execute'] =>
  (fpu, { memory }) => {
    transfer.storeInteger(fpu, memory, 0, bits, pop, truncate);
  };
const protected32: control.ImageFormat = { operandSize: 32, protectedMode: true };
const protected16: control.ImageFormat = { operandSize: 16, protectedMode: true };
const pointers: control.X87Pointers = {
  opcode: 0,
  instructionPointer: 0n,
  codeSelector: 0,
  dataPointer: 0n,
  dataSelector: 0,
};
rows.push(
  { name: 'FLD m32fp', code: memoryForm(0xd9, 0), memory: 'm32fp', execute: load('m32fp') },
  { name: 'FLD m64fp', code: memoryForm(0xdd, 0), memory: 'm64fp', execute: load('m64fp') },
  {
    name: 'FLD m80fp',
    code: memoryForm(0xdb, 5),
    memory: 'm80fp',
    execute: (fpu, { memory }) => transfer.loadExtended(fpu, memory.getUint16(8, true), memory.getBigUint64(0, true)),
  },
  { name: 'FILD m16int', code: memoryForm(0xdf, 0), memory: 'm16int', execute: loadInteger(16) },
  { name: 'FILD m32int', code: memoryForm(0xdb, 0), memory: 'm32int', execute: loadInteger(32) },
  { name: 'FILD m64int', code: memoryForm(0xdf, 5), memory: 'm64int', execute: loadInteger(64) },
  {
    name: 'FBLD m80bcd',
    code: memoryForm(0xdf, 4),
    memory: 'm80bcd',
    execute: (fpu, { memory }) => transfer.loadDecimal(fpu, memory.getBigUint64(0, true), memory.getUint16(8, true)),
  },
  {
    name: 'FST m32fp',
    code: memoryForm(0xd9, 2),
    memory: 'm32fp',
    execute: (fpu, { memory }) => {
      transfer.storeBinary32(fpu, memory, 0, false);
    },
  },
  {
    name: 'FSTP m32fp',
    code: memoryForm(0xd9, 3),
    memory: 'm32fp',
    execute: (fpu, { memory }) => {
      transfer.storeBinary32(fpu, memory, 0, true);
    },
  },
  {
    name: 'FST m64fp',
    code: memoryForm(0xdd, 2),
    memory: 'm64fp',
    execute: (fpu, { memory }) => {
      transfer.storeBinary64(fpu, memory, 0, false);
    },
  },
  {
    name: 'FSTP m64fp',
    code: memoryForm(0xdd, 3),
    memory: 'm64fp',
    execute: (fpu, { memory }) => {
      transfer.storeBinary64(fpu, memory, 0, true);
    },
  },
  {
    name: 'FSTP m80fp',
    code: memoryForm(0xdb, 7),
    memory: 'm80fp',
    execute: (fpu, { memory }) => {
      transfer.storeExtended(fpu, memory, 0);
    },
  },
  {
    name: 'FBSTP m80bcd',
    code: memoryForm(0xdf, 6),
    memory: 'm80bcd',
    execute: (fpu, { memory }) => {
      transfer.storeDecimal(fpu, memory, 0);
    },
  },
  { name: 'FISTTP m16int', code: memoryForm(0xdf, 1), memory: 'm16int', execute: storeInteger(16, true, true) },
  { name: 'FIST m16int', code: memoryForm(0xdf, 2), memory: 'm16int', execute: storeInteger(16, false) },
  { name: 'FISTP m16int', code: memoryForm(0xdf, 3), memory: 'm16int', execute: storeInteger(16, true) },
  { name: 'FISTTP m32int', code: memoryForm(0xdb, 1), memory: 'm32int', execute: storeInteger(32, true, true) },
  { name: 'FIST m32int', code: memoryForm(0xdb, 2), memory: 'm32int', execute: storeInteger(32, false) },
  { name: 'FISTP m32int', code: memoryForm(0xdb, 3), memory: 'm32int', execute: storeInteger(32, true) },
  { name: 'FISTTP m64int', code: memoryForm(0xdd, 1), memory: 'm64int', execute: storeInteger(64, true, true) },
  { name: 'FISTP m64int', code: memoryForm(0xdf, 7), memory: 'm64int', execute: storeInteger(64, true) },
  {
    name: 'FLDCW',
    code: memoryForm(0xd9, 5),
    memory: 'm16int',
    execute: (fpu, { memory }) => control.loadControl(fpu, memory.getUint16(0, true)),
  },
  {
    name: 'FNSTCW',
    code: memoryForm(0xd9, 7),
    memory: 'm16int',
    execute: (fpu, { memory }) => memory.setUint16(0, fpu.control, true),
  },
  {
    name: 'FNSTSW',
    code: memoryForm(0xdd, 7),
    memory: 'm16int',
    execute: (fpu, { memory }) => memory.setUint16(0, fpu.status, true),
  },
  {
    name: 'FNSTENV 32',
    code: memoryForm(0xd9, 6),
    memory: 'environment',
    execute: (fpu, { memory }) => control.storeEnvironment(fpu, pointers, protected32, memory, 0),
  },
  {
    name: 'FNSTENV 16',
    code: [0x66, ...memoryForm(0xd9, 6)],
    memory: 'environment',
    execute: (fpu, { memory }) => control.storeEnvironment(fpu, pointers, protected16, memory, 0),
  },
  {
    name: 'FLDENV 32',
    code: memoryForm(0xd9, 4),
    memory: 'environment',
    execute: (fpu, { memory }) => {
      control.loadEnvironment(fpu, protected32, memory, 0);
    },
  },
  {
    name: 'FLDENV 16',
    code: [0x66, ...memoryForm(0xd9, 4)],
    memory: 'environment',
    execute: (fpu, { memory }) => {
      control.loadEnvironment(fpu, protected16, memory, 0);
    },
  },
  {
    name: 'FNSAVE 32',
    code: memoryForm(0xdd, 6),
    memory: 'state',
    execute: (fpu, { memory }) => control.saveState(fpu, pointers, protected32, memory, 0),
  },
  {
    name: 'FNSAVE 16',
    code: [0x66, ...memoryForm(0xdd, 6)],
    memory: 'state',
    execute: (fpu, { memory }) => control.saveState(fpu, pointers, protected16, memory, 0),
  },
  {
    name: 'FRSTOR 32',
    code: memoryForm(0xdd, 4),
    memory: 'state',
    execute: (fpu, { memory }) => {
      control.restoreState(fpu, protected32, memory, 0);
    },
  },
  {
    name: 'FRSTOR 16',
    code: [0x66, ...memoryForm(0xdd, 4)],
    memory: 'state',
    execute: (fpu, { memory }) => {
      control.restoreState(fpu, protected16, memory, 0);
    },
  },
);

export const X87_ROWS: readonly X87Row[] = rows;
