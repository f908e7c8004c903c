/** x87. Widths of memory operands: ss and sd are floats, t is the 80-bit format, w d q are integers. */

import type { InstructionRows } from '../rows.ts';
import { hex, rows } from './definition.ts';

const x87 = (mnemonic: string, ...encodings: string[]): InstructionRows => rows(mnemonic, encodings, { unit: 'x87' });
/** Arithmetic by ModRM.reg of D8 and DC; register forms of DC and DE have the reversed operations swapped. */
const X87_ARITHMETIC = ['FADD', 'FMUL', 'FCOM', 'FCOMP', 'FSUB', 'FSUBR', 'FDIV', 'FDIVR'].map((mnemonic, digit) => {
  const swapped = digit >= 4 ? digit ^ 1 : digit;
  const compare = digit === 2 || digit === 3;
  return x87(
    mnemonic,
    `D8 /${digit} Mss`,
    `DC /${digit} Msd`,
    `D8 (${hex(0xc0 + 8 * digit)}+i)`,
    ...(compare ? [] : [`DC (${hex(0xc0 + 8 * swapped)}+i)`, `DE (${hex(0xc0 + 8 * swapped)}+i)`]),
    `DA /${digit} Md`,
    `DE /${digit} Mw`,
  );
});
/** D9 forms without operands. */
const X87_CONSTANT_FORMS: Record<string, number> = {
  FNOP: 0xd0,
  FCHS: 0xe0,
  FABS: 0xe1,
  FTST: 0xe4,
  FXAM: 0xe5,
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
  FDECSTP: 0xf6,
  FINCSTP: 0xf7,
  FPREM: 0xf8,
  FYL2XP1: 0xf9,
  FSQRT: 0xfa,
  FSINCOS: 0xfb,
  FRNDINT: 0xfc,
  FSCALE: 0xfd,
  FSIN: 0xfe,
  FCOS: 0xff,
};

/** Every row of this file. */
export const X87: InstructionRows[] = [
  ...X87_ARITHMETIC,
  ...Object.entries(X87_CONSTANT_FORMS).map(([mnemonic, modrm]) => x87(mnemonic, `D9 (${hex(modrm)})`)),
  x87('FLD', 'D9 /0 Mss', 'DD /0 Msd', 'DB /5 Mt', 'D9 (C0+i)'),
  x87('FST', 'D9 /2 Mss', 'DD /2 Msd', 'DD (D0+i)'),
  x87('FSTP', 'D9 /3 Mss', 'DD /3 Msd', 'DB /7 Mt', 'DD (D8+i)'),
  x87('FILD', 'DB /0 Md', 'DF /0 Mw', 'DF /5 Mq'),
  x87('FIST', 'DB /2 Md', 'DF /2 Mw'),
  x87('FISTP', 'DB /3 Md', 'DF /3 Mw', 'DF /7 Mq'),
  x87('FISTTP', 'DB /1 Md', 'DF /1 Mw', 'DD /1 Mq'),
  x87('FBLD', 'DF /4 Mt'),
  x87('FBSTP', 'DF /6 Mt'),
  x87('FXCH', 'D9 (C8+i)'),
  x87('FCOMPP', 'DE (D9)'),
  x87('FUCOM', 'DD (E0+i)'),
  x87('FUCOMP', 'DD (E8+i)'),
  x87('FUCOMPP', 'DA (E9)'),
  x87('FCOMI', 'DB (F0+i)'),
  x87('FCOMIP', 'DF (F0+i)'),
  x87('FUCOMI', 'DB (E8+i)'),
  x87('FUCOMIP', 'DF (E8+i)'),
  x87('FCMOVcc', ...['DA', 'DB'].flatMap((first) => ['C0', 'C8', 'D0', 'D8'].map((modrm) => `${first} (${modrm}+i)`))),
  x87('FFREE', 'DD (C0+i)'),
  x87('FNINIT', 'DB (E3)'),
  x87('FNCLEX', 'DB (E2)'),
  x87('FWAIT', '9B'),
  x87('FLDCW', 'D9 /5 Mw'),
  x87('FNSTCW', 'D9 /7 Mw'),
  x87('FNSTSW', 'DD /7 Mw', 'DF (E0)'),
  x87('FLDENV', 'D9 /4 M'),
  x87('FNSTENV', 'D9 /6 M'),
  x87('FRSTOR', 'DD /4 M'),
  x87('FNSAVE', 'DD /6 M'),
];
