/** x87 instructions: rows for the decoder; the x87 unit (the `x87` helper) does them from the opcode and ModRM bytes. */
import { type Feature, type Instruction, instruction } from './instruction.ts';
import type { Stage } from './stage.ts';

/** Bytes of an 80-bit operand, packed decimal or extended precision. */
const EXTENDED_BYTES = 10;
/** Bytes of the environment and of the whole state with 16- and 32-bit operand size (SDM vol. 1 figures 8-9 to 8-12). */
const ENVIRONMENT_BYTES = { 16: 14, 32: 28 } as const;
const STATE_BYTES = { 16: 94, 32: 108 } as const;

const sizeOf = (x: Stage): 16 | 32 => (x.bits === 16 ? 16 : 32);

function row(
  mnemonic: string,
  encoding: string,
  feature: Feature,
  execute: (x: Stage) => void,
  access: 'r' | 'w' = 'r',
): Instruction {
  return instruction(mnemonic, { encodings: [encoding], access: [access, 'r'], feature, unit: 'x87', execute });
}

/** Register forms, or none operand at all. */
const register = (mnemonic: string, encoding: string, feature: Feature = 'fpu') =>
  row(mnemonic, encoding, feature, (x) => x.system('x87', x.x87Opcode, 0, 0, x.bits, 0));

/** A memory form; `bytes` as the operand size asks for, or fixed. */
function memory(
  mnemonic: string,
  encoding: string,
  access: 'r' | 'w',
  bytes: number | Readonly<Record<16 | 32, number>>,
  feature: Feature = 'fpu',
): Instruction {
  return row(
    mnemonic,
    encoding,
    feature,
    (x) => {
      const { linear } = x.address(0, typeof bytes === 'number' ? bytes : bytes[sizeOf(x)], access);
      x.system('x87', x.x87Opcode, linear, x.bits, x.segment);
    },
    access,
  );
}

const WIDTHS = { Mw: 2, Md: 4, Mq: 8, M: EXTENDED_BYTES } as const;
const load = (mnemonic: string, opcode: string, width: keyof typeof WIDTHS) =>
  memory(mnemonic, `${opcode} ${width}`, 'r', WIDTHS[width]);
const save = (mnemonic: string, opcode: string, width: keyof typeof WIDTHS, feature: Feature = 'fpu') =>
  memory(mnemonic, `${opcode} ${width}`, 'w', WIDTHS[width], feature);

/** The eight arithmetic instructions in the order of their digits, with every form they have. */
const ARITHMETIC = ['ADD', 'MUL', 'COM', 'COMP', 'SUB', 'SUBR', 'DIV', 'DIVR'] as const;
/** The two subtractions and the two divisions swap places where ST(i) is the destination. */
const REVERSED = ['ADD', 'MUL', 'COM', 'COMP', 'SUBR', 'SUB', 'DIVR', 'DIV'] as const;
const modrm = (digit: number) => `(${(0xc0 + 8 * digit).toString(16).toUpperCase()}+i)`;

export const ARITHMETIC_MEMORY = ARITHMETIC.flatMap((name, digit) => [
  load(`F${name}`, `D8 /${digit}`, 'Md'),
  load(`F${name}`, `DC /${digit}`, 'Mq'),
  load(`FI${name}`, `DA /${digit}`, 'Md'),
  load(`FI${name}`, `DE /${digit}`, 'Mw'),
]);
export const ARITHMETIC_STACK = [
  ...ARITHMETIC.map((name, digit) => register(`F${name}`, `D8 ${modrm(digit)} ST0,STi`)),
  // DC D0+i and D8+i: the same as their D8 forms, as processors have always done
  ...REVERSED.map((name, digit) =>
    register(`F${name}`, `DC ${modrm(digit)} ${digit === 2 || digit === 3 ? 'ST0,STi' : 'STi,ST0'}`),
  ),
  ...REVERSED.flatMap((name, digit) =>
    digit === 2 || digit === 3 ? [] : [register(`F${name}P`, `DE ${modrm(digit)} STi,ST0`)],
  ),
  register('FCOMP', 'DE (D0+i) ST0,STi'),
  register('FCOMPP', 'DE (D9)'),
];

export const FLD = [
  load('FLD', 'D9 /0', 'Md'),
  load('FLD', 'DD /0', 'Mq'),
  load('FLD', 'DB /5', 'M'),
  register('FLD', 'D9 (C0+i) STi'),
];
export const FST = [save('FST', 'D9 /2', 'Md'), save('FST', 'DD /2', 'Mq'), register('FST', 'DD (D0+i) STi')];
export const FSTP = [
  save('FSTP', 'D9 /3', 'Md'),
  save('FSTP', 'DD /3', 'Mq'),
  save('FSTP', 'DB /7', 'M'),
  register('FSTP', 'DD (D8+i) STi'),
  // the other places of the opcode map where processors do FSTP
  register('FSTP', 'D9 (D8+i) STi'),
  register('FSTP', 'DF (D0+i) STi'),
  register('FSTP', 'DF (D8+i) STi'),
];
export const FILD = [load('FILD', 'DF /0', 'Mw'), load('FILD', 'DB /0', 'Md'), load('FILD', 'DF /5', 'Mq')];
export const FIST = [save('FIST', 'DF /2', 'Mw'), save('FIST', 'DB /2', 'Md')];
export const FISTP = [save('FISTP', 'DF /3', 'Mw'), save('FISTP', 'DB /3', 'Md'), save('FISTP', 'DF /7', 'Mq')];
export const FISTTP = [
  save('FISTTP', 'DF /1', 'Mw', 'sse3'),
  save('FISTTP', 'DB /1', 'Md', 'sse3'),
  save('FISTTP', 'DD /1', 'Mq', 'sse3'),
];
export const FBLD = load('FBLD', 'DF /4', 'M');
export const FBSTP = save('FBSTP', 'DF /6', 'M');

export const STACK = [
  register('FXCH', 'D9 (C8+i) STi'),
  register('FXCH', 'DD (C8+i) STi'),
  register('FXCH', 'DF (C8+i) STi'),
  register('FFREE', 'DD (C0+i) STi'),
  register('FFREEP', 'DF (C0+i) STi'),
  register('FNOP', 'D9 (D0)'),
  register('FDECSTP', 'D9 (F6)'),
  register('FINCSTP', 'D9 (F7)'),
];
export const FCMOVCC = [
  register('FCMOVB', 'DA (C0+i) ST0,STi', 'cmov'),
  register('FCMOVE', 'DA (C8+i) ST0,STi', 'cmov'),
  register('FCMOVBE', 'DA (D0+i) ST0,STi', 'cmov'),
  register('FCMOVU', 'DA (D8+i) ST0,STi', 'cmov'),
  register('FCMOVNB', 'DB (C0+i) ST0,STi', 'cmov'),
  register('FCMOVNE', 'DB (C8+i) ST0,STi', 'cmov'),
  register('FCMOVNBE', 'DB (D0+i) ST0,STi', 'cmov'),
  register('FCMOVNU', 'DB (D8+i) ST0,STi', 'cmov'),
];
export const COMPARISONS = [
  register('FUCOM', 'DD (E0+i) ST0,STi'),
  register('FUCOMP', 'DD (E8+i) ST0,STi'),
  register('FUCOMPP', 'DA (E9)'),
  register('FUCOMI', 'DB (E8+i) ST0,STi', 'cmov'),
  register('FCOMI', 'DB (F0+i) ST0,STi', 'cmov'),
  register('FUCOMIP', 'DF (E8+i) ST0,STi', 'cmov'),
  register('FCOMIP', 'DF (F0+i) ST0,STi', 'cmov'),
  register('FTST', 'D9 (E4)'),
  register('FXAM', 'D9 (E5)'),
];

/** D9 E0 to FF without operand. */
const NAMED: Readonly<Record<string, number>> = {
  FCHS: 0xe0,
  FABS: 0xe1,
  FLD1: 0xe8,
  FLDL2T: 0xe9,
  FLDL2E: 0xea,
  FLDPI: 0xeb,
  FLDLG2: 0xec,
  FLDLN2: 0xed,
  FLDZ: 0xee,
  F2XM1: 0xf0,
  FYL2X: 0xf1,
  FPTAN: 0xf2,
  FPATAN: 0xf3,
  FXTRACT: 0xf4,
  FPREM1: 0xf5,
  FPREM: 0xf8,
  FYL2XP1: 0xf9,
  FSQRT: 0xfa,
  FSINCOS: 0xfb,
  FRNDINT: 0xfc,
  FSCALE: 0xfd,
  FSIN: 0xfe,
  FCOS: 0xff,
};
export const OPERATIONS = Object.entries(NAMED).map(([name, byte]) =>
  register(name, `D9 (${byte.toString(16).toUpperCase()})`),
);

export const CONTROL = [
  load('FLDCW', 'D9 /5', 'Mw'),
  save('FNSTCW', 'D9 /7', 'Mw'),
  save('FNSTSW', 'DD /7', 'Mw'),
  register('FNSTSW', 'DF (E0) AX'),
  memory('FLDENV', 'D9 /4 M os', 'r', ENVIRONMENT_BYTES),
  memory('FNSTENV', 'D9 /6 M os', 'w', ENVIRONMENT_BYTES),
  memory('FRSTOR', 'DD /4 M os', 'r', STATE_BYTES),
  memory('FNSAVE', 'DD /6 M os', 'w', STATE_BYTES),
  register('FNCLEX', 'DB (E2)'),
  register('FNINIT', 'DB (E3)'),
  // 8087 and 80287 control instructions: no operation since the 80387
  register('FNENI', 'DB (E0)'),
  register('FNDISI', 'DB (E1)'),
  register('FNSETPM', 'DB (E4)'),
];

/** WAIT: reports a pending exception. The decoder knows it by name: it faults by CR0.MP and CR0.TS together. */
export const FWAIT = instruction('FWAIT', {
  encodings: ['9B'],
  feature: 'fpu',
  unit: 'x87',
  execute: (x) => x.requireNoX87Exception(),
});
