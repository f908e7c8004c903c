/** One decoded instruction of a region, with what its definition is known to do. */
import { type Operand, operandBits } from '../../isa/encoding.ts';
import { RSP } from '../../isa/stage.ts';
import { type Decoded, NO_REGISTER } from '../decode/decoder.ts';
import type { HandlerForm } from '../form-stage.ts';
import type { Handler } from '../interpreter/handlers.ts';

export interface RegionInstruction {
  readonly form: HandlerForm;
  readonly decoded: Decoded;
  /** Offset from the first byte of the page where the region begins, and length in bytes. */
  readonly offset: number;
  readonly length: number;
  /** The same of where a direct jump or call goes to. */
  readonly target: number | undefined;
  readonly transfer: 'call' | 'return' | undefined;
  /** A jump with 16-bit operand size: the target is truncated (never the case in 64-bit mode). */
  readonly truncates: boolean;
  /** Whether the region may follow the jump or call. */
  readonly follows: boolean;
  /** Control never reaches the following instruction. */
  readonly ends: boolean;
  /** General registers read and written, bit masks by number. */
  readonly read: number;
  readonly written: number;
  /** The same for XMM registers; MXCSR_BIT stands for MXCSR. */
  readonly xmmRead: number;
  readonly xmmWritten: number;
  readonly readsFlags: boolean;
  readonly writesFlags: boolean;
  /** May go on in another TLB bank, or with another base of GS. */
  readonly changesBank: boolean;
}

/** MXCSR in the masks of XMM registers: read and written but for exception flags. */
export const MXCSR_BIT = 1 << 16;

const GENERAL_LETTERS = new Set(['E', 'G', 'R', 'Z']);

/** Number of the general register a register operand stands for (AH-DH: RAX-RBX), or -1. */
export function generalRegister(operand: Operand, decoded: Decoded): number {
  if (!GENERAL_LETTERS.has(operand.letter)) return -1;
  const inRegister = operand.letter !== 'E' || decoded.form === 'register';
  if (!inRegister) return -1;
  const number = operand.letter === 'G' ? decoded.reg : operand.letter === 'Z' ? decoded.opcodeRegister : decoded.rm;
  return isHighByte(operand, decoded, number) ? number - 4 : number;
}

/** Number of the XMM register a register operand stands for, or -1. */
export function xmmRegister({ letter }: Operand, decoded: Decoded): number {
  if (letter === 'V') return decoded.reg;
  return letter === 'U' || (letter === 'W' && decoded.form === 'register') ? decoded.rm : -1;
}

/** Whether an 8-bit register number names AH, CH, DH or BH. */
export function isHighByte(operand: Operand, decoded: Decoded, number: number): boolean {
  return operand.width === 'b' && !decoded.rex && number >= 4 && number < 8;
}

const SETS_CARRY = new Set(['ADD', 'AND', 'CMP', 'IMUL', 'NEG', 'OR', 'SUB', 'TEST', 'XOR']);
/** With a constant count that is not zero. */
const SHIFTS_INTO_CARRY = new Set(['SAR', 'SHL', 'SHR']);
/** Every count is masked with 5 bits at least. */
const COUNT_MASK = 31;
const LEAVES_CARRY = new Set(['DEC', 'INC', 'LEA', 'MOV', 'MOVSX', 'MOVSXD', 'MOVZX', 'NOP']);
const REGISTER_LETTERS = new Set(['E', 'G', 'I', 'R', 'Z']);

/**
 * Whether CF as it is before `instructions[from]` is never seen: overwritten before anything reads it or may leave the
 * region. Looks at plain register instructions only.
 */
export function carryIsDead(instructions: readonly RegionInstruction[], from: number): boolean {
  for (let i = from; i < instructions.length; i++) {
    const { form, decoded } = instructions[i];
    const { mnemonic } = form.encoding.instruction;
    const registers = form.encoding.operands.every(
      ({ letter }) => REGISTER_LETTERS.has(letter) && (letter !== 'E' || decoded.form === 'register'),
    );
    if (!registers && mnemonic !== 'LEA' && mnemonic !== 'NOP') return false;
    if (SETS_CARRY.has(mnemonic)) return true;
    const constant = form.encoding.operands.at(-1)?.letter === 'I';
    if (SHIFTS_INTO_CARRY.has(mnemonic) && constant && decoded.immediateLow & COUNT_MASK) return true;
    if (!LEAVES_CARRY.has(mnemonic)) return false;
  }
  return false;
}

const REPLACES = new Set(['LEA', 'MOV', 'MOVSX', 'MOVSXD', 'MOVZX', 'POP']);

/** Whether an operand, a general register, becomes another value as a whole whatever happens, and is not looked at. */
function isReplaced(operand: Operand, { encoding, operandSize }: HandlerForm): boolean {
  return (
    operand.access === 'w' && operandBits(operand, operandSize) >= 32 && REPLACES.has(encoding.instruction.mnemonic)
  );
}

/** Puts together what the region stage needs; keeps `decoded`. */
export function regionInstruction(
  form: HandlerForm,
  decoded: Decoded,
  offset: number,
  handler: Handler,
  code16: boolean,
): RegionInstruction {
  const { effects } = handler;
  let { read, written, xmmRead, xmmWritten } = effects;
  // they may keep a part of it
  read |= written;
  if (effects.readsMxcsr) xmmRead |= MXCSR_BIT;
  if (effects.writesMxcsr) xmmWritten |= MXCSR_BIT;
  for (const operand of form.encoding.operands) {
    const xmm = xmmRegister(operand, decoded);
    if (xmm >= 0) {
      xmmRead |= 1 << xmm;
      if (operand.access !== 'r') xmmWritten |= 1 << xmm;
    }
    const number = generalRegister(operand, decoded);
    if (number < 0) continue;
    if (!isReplaced(operand, form)) read |= 1 << number;
    if (operand.access !== 'r') written |= 1 << number;
  }
  if (decoded.form === 'memory') {
    if (decoded.base >= 0) read |= 1 << decoded.base;
    if (decoded.index !== NO_REGISTER) read |= 1 << decoded.index;
  }
  const [first] = form.encoding.operands;
  const relative = first?.letter === 'J';
  const target = relative ? offset + decoded.length + decoded.immediateLow : undefined;
  const truncates = relative && form.operandSize === 16;
  const { mnemonic } = form.encoding.instruction;
  const call = mnemonic === 'CALL';
  return {
    form,
    decoded,
    offset,
    length: decoded.length,
    target,
    truncates,
    transfer: call ? 'call' : mnemonic === 'RET' ? 'return' : undefined,
    // outside 64-bit mode addresses wrap, and code past the first 64 KiB does not come back if the target is truncated
    follows:
      relative && (form.long ? target === (target! | 0) : (!truncates || code16) && target! >= 0 && target! < 4096),
    ends: handler.ends && !effects.endsHandlers,
    read: call ? read | (1 << RSP) : read,
    written,
    xmmRead,
    xmmWritten,
    readsFlags: effects.readsFlags,
    writesFlags: effects.writesFlags,
    changesBank: effects.changesBank,
  };
}
