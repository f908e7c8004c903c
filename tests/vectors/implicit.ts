/**
 * What rows do not say: implicit registers and memory, operand sizes of special forms, and what values are worth
 * trying.
 */
import { addressTarget } from './addressing.ts';
import type { EncodedInstruction, Family, RegisterOperand } from './encoding.ts';
import type { EncodingRow, OperandCode } from './notation.ts';
import { opcodeNumber } from './notation.ts';
import type { Random } from './random.ts';
import type { Assembly } from './rows.ts';
import type { ValueKind } from './values.ts';
import { integer } from './values.ts';

const RAX = 0;
const RCX = 1;
const RDX = 2;
const RBX = 3;
const RBP = 5;
const RDI = 7;

/** Opcodes whose size follows prefixes although no operand in the row shows it. */
export const IMPLICITLY_SIZED: ReadonlySet<number> = new Set([
  0x60, 0x61, 0x98, 0x99, 0x9c, 0x9d, 0xa5, 0xa7, 0xab, 0xad, 0xaf, 0xc9, 0x6d, 0x6f,
]);

/**
 * Opcodes with memory or counts in fixed registers or moffs, which follow the address size: strings, LOOP, XLAT, moffs.
 */
export const ADDRESS_SIZED: ReadonlySet<number> = new Set([
  0xa0, 0xa1, 0xa2, 0xa3, 0xa4, 0xa5, 0xa6, 0xa7, 0xaa, 0xab, 0xac, 0xad, 0xae, 0xaf, 0xd7, 0xe0, 0xe1, 0xe2, 0xe3,
]);

const general =
  (...numbers: number[]) =>
  (): RegisterOperand[] =>
    numbers.map((number) => ({ file: 'gpr', number, values: 'integer' }));
const generalForDigits =
  (low: number, high: number, ...numbers: number[]) =>
  (row: EncodingRow): RegisterOperand[] =>
    row.digit !== undefined && row.digit >= low && row.digit <= high ? general(...numbers)() : [];
const mask = (): RegisterOperand[] => [{ file: 'xmm', number: 0, values: 'integer' }];
/** String lengths of PCMPESTRx: about 0 to 16 elements. */
const lengths = (): RegisterOperand[] => [RAX, RDX].map((number) => ({ file: 'gpr', number, values: 'length' }));

/** Registers used without being operands, by opcode. */
export const IMPLICIT_REGISTERS: Record<number, ((row: EncodingRow) => RegisterOperand[]) | undefined> = {
  39: general(RAX),
  47: general(RAX),
  55: general(RAX),
  63: general(RAX), // DAA DAS AAA AAS
  152: general(RAX),
  153: general(RAX, RDX), // CBW..., CWD...
  158: general(RAX), // SAHF
  170: general(RAX),
  171: general(RAX),
  174: general(RAX),
  175: general(RAX), // STOS SCAS
  210: general(RCX),
  211: general(RCX),
  4005: general(RCX),
  4013: general(RCX), // shifts by CL
  212: general(RAX),
  213: general(RAX), // AAM AAD
  215: general(RAX), // XLAT
  224: general(RCX),
  225: general(RCX),
  226: general(RCX),
  227: general(RCX), // LOOPcc, JCXZ
  246: generalForDigits(4, 7, RAX),
  247: generalForDigits(4, 7, RAX, RDX), // MUL IMUL DIV IDIV
  4016: general(RAX),
  4017: general(RAX), // CMPXCHG
  4039: general(RAX, RBX, RCX, RDX), // CMPXCHG8B, CMPXCHG16B
  997392: mask,
  997396: mask,
  997397: mask, // PBLENDVB BLENDVPS BLENDVPD
  997984: lengths,
  997985: lengths, // PCMPESTRM PCMPESTRI
};

const STRING = new Set([0xa4, 0xa5, 0xa6, 0xa7, 0xaa, 0xab, 0xac, 0xad, 0xae, 0xaf]);
const STACK = new Set([0x60, 0x61, 0x68, 0x6a, 0x8f, 0x9c, 0x9d, 0xc8, 0xc9, 0xe8, 0x0fa0, 0x0fa1, 0x0fa8, 0x0fa9]);
const PUSH_FIRST = 0x50;
const POP_LAST = 0x5f;

/** What the generator must arrange beyond operands. */
export function familyOf(row: EncodingRow): Family {
  const opcode = opcodeNumber(row);
  if (STRING.has(opcode)) return 'string';
  if (opcode === 0xc2 || opcode === 0xc3) return 'return';
  if (opcode === 0xff && (row.digit === 2 || row.digit === 4)) return 'indirect-branch';
  if ((opcode === 0xf6 || opcode === 0xf7) && (row.digit ?? 0) >= 6) return 'divide';
  if (STACK.has(opcode) || (opcode >= PUSH_FIRST && opcode <= POP_LAST) || (opcode === 0xff && row.digit === 6))
    return 'stack';
  return 'plain';
}

/** BT BTS BTR BTC: the bit offset in a register reaches memory far from the operand. */
const BIT_TEST = new Set([0x0fa3, 0x0fab, 0x0fb3, 0x0fbb]);

const FLOAT_WIDTH: Record<string, ValueKind | undefined> = {
  ss: 'single',
  ps: 'single',
  sd: 'double',
  pd: 'double',
  t: 'extended',
};
/** FBLD: the only memory operand in packed BCD. */
const isDecimalLoad = (row: EncodingRow): boolean => opcodeNumber(row) === 0xdf && row.digit === 4;

/** What values to try in an operand. */
export function valuesOf(row: EncodingRow, operand: OperandCode, memoryForm: boolean): ValueKind {
  if (isDecimalLoad(row)) return 'decimal';
  if (opcodeNumber(row) === 0x0fae && row.digit === 2) return 'mxcsr';
  if (memoryForm && operand.letter === 'G' && BIT_TEST.has(opcodeNumber(row))) return 'bit-offset';
  return FLOAT_WIDTH[operand.width] ?? 'integer';
}

/** FXSAVE area, x87 environment and state in their 32-bit forms (SDM vol. 1 8.1.10). */
const FXSAVE_BYTES = 512;
const X87_ENVIRONMENT_BYTES = 28;
const X87_STATE_BYTES = 108;

/** Bytes a memory operand takes. */
export function memorySize(
  row: EncodingRow,
  operand: OperandCode | undefined,
  operandBits: number,
  is64: boolean,
): number {
  const opcode = opcodeNumber(row);
  if (opcode === 0x0fae && (row.digit ?? 9) < 2) return FXSAVE_BYTES;
  if (opcode === 0xd9 && (row.digit === 4 || row.digit === 6)) return X87_ENVIRONMENT_BYTES;
  if (opcode === 0xdd && (row.digit === 4 || row.digit === 6)) return X87_STATE_BYTES;
  if (opcode === 0x0fc7) return operandBits === 64 ? 16 : 8;
  switch (operand?.width) {
    case 'b':
    case 'bs':
      return 1;
    case 'w':
      return 2;
    case 'd':
    case 'ss':
      return 4;
    case 'q':
    case 'sd':
      return 8;
    case 't':
      return 10;
    case 'v':
      return operandBits / 8;
    case 'z':
      return Math.min(operandBits, 32) / 8;
    case 'y':
      return is64 && operandBits === 64 ? 8 : 4;
    case 'dq':
    case 'x':
    case 'ps':
    case 'pd':
      return 16;
    default:
      return 0;
  }
}

/** Memory reached through fixed registers other than those of the string and stack instructions. */
export function implicitMemory(row: EncodingRow, random: Random, assembly: Assembly): EncodedInstruction['memory'] {
  const opcode = opcodeNumber(row);
  const through = (base: number, size: number): EncodedInstruction['memory'] => ({
    base,
    scale: 1,
    displacement: 0n,
    addressBits: assembly.addressBits,
    size,
    values: 'integer',
    target: addressTarget(random, size, false),
  });
  switch (opcode) {
    case 0xd7:
      return through(RBX, 1); // XLAT: AL adds up to 255
    case 0xc8:
    case 0xc9:
      return through(RBP, 8); // ENTER, LEAVE
    case 0x0ff7:
      return through(RDI, row.prefix === '66' ? 16 : 8); // MASKMOVQ, MASKMOVDQU
    default:
      return undefined;
  }
}

/** An immediate of `bits`; small where large ones only repeat themselves or have no defined meaning. */
export function immediateValue(row: EncodingRow, random: Random, bits: number, position: number): bigint {
  const below = (limit: number): bigint => BigInt(random.below(limit));
  switch (opcodeNumber(row)) {
    case 0xc0:
    case 0xc1:
    case 0x0fa4:
    case 0x0fac:
      return random.oneIn(8) ? below(256) : below(66); // shift counts
    case 0x0fc2:
      return below(8); // CMPPS and the like: bits 7:3 are reserved
    case 0x0f3a0f:
      return below(40); // PALIGNR
    case 0xc8:
      return position === 0 ? below(64) : random.oneIn(8) ? below(256) : below(4); // ENTER: size, nesting level
    case 0xc2:
      return below(0x400);
    default:
      return integer(random, bits);
  }
}
