/**
 * What shifts and rotates leave undefined depends on their count (SDM vol. 2 "SAL/SAR/SHL/SHR", "RCL/RCR/ROL/ROR",
 * "SHLD", "SHRD"), which a mask per row cannot say.
 */

import type { Case } from './case.ts';
import { AF, CF, OF, PF, SF, ZF } from './case.ts';
import type { EncodedInstruction } from './encoding.ts';
import type { EncodingRow } from './notation.ts';
import { opcodeNumber } from './notation.ts';

const RCX = 1;
/** ModRM.reg from which on group 2 shifts instead of rotating. */
const FIRST_SHIFT = 4;
const SAR = 7;

const BY_IMMEDIATE = new Set([0xc0, 0xc1, 0x0fa4, 0x0fac]);
const BY_ONE = new Set([0xd0, 0xd1]);
const BY_CL = new Set([0xd2, 0xd3, 0x0fa5, 0x0fad]);
const DOUBLE = new Set([0x0fa4, 0x0fa5, 0x0fac, 0x0fad]);

interface Shift {
  count: number;
  bits: number;
  double: boolean;
  digit: number;
}

function shiftOf(row: EncodingRow, encoded: EncodedInstruction, testCase: Case): Shift | undefined {
  const opcode = opcodeNumber(row);
  let count: number;
  if (BY_IMMEDIATE.has(opcode)) count = encoded.bytes[encoded.bytes.length - 1];
  else if (BY_ONE.has(opcode)) count = 1;
  else if (BY_CL.has(opcode)) count = Number(testCase.state.gpr[RCX] & 0xffn);
  else return undefined;
  const double = DOUBLE.has(opcode);
  const bits = double || (opcode & 1) !== 0 ? encoded.operandBits : 8;
  return { count: count & (encoded.operandBits === 64 && bits === 64 ? 63 : 31), bits, double, digit: row.digit ?? 0 };
}

/** RFLAGS bits undefined after this shift or rotate; undefined for other instructions. */
export function undefinedShiftFlags(row: EncodingRow, encoded: EncodedInstruction, testCase: Case): number | undefined {
  const shift = shiftOf(row, encoded, testCase);
  if (!shift) return undefined;
  const { count, bits, double, digit } = shift;
  if (count === 0) return 0;
  const overflow = count === 1 ? 0 : OF;
  if (double) return count > bits ? CF | PF | AF | ZF | SF | OF : AF | overflow;
  if (digit < FIRST_SHIFT) return overflow;
  const carry = count > bits || (count === bits && digit !== SAR) ? CF : 0;
  return AF | overflow | (digit === SAR ? 0 : carry);
}

/** True where SHLD or SHRD shift by more than the operand's width. */
export function undefinedShiftResult(row: EncodingRow, encoded: EncodedInstruction, testCase: Case): boolean {
  const shift = shiftOf(row, encoded, testCase);
  return shift?.double === true && shift.count > shift.bits;
}
