/**
 * How instructions are called in text: the rows' mnemonics, and the names that say the operand size, the address size or
 * the condition as well. Used in both directions, by the assembler and the disassembler.
 */
import { type Encoding, type Operand, operandBits } from '../encoding.ts';
import type { InstructionTable } from '../table.ts';

type Size = 16 | 32 | 64;
type SizedNames = Partial<Record<Size, string>>;

/** Instructions without operands whose name tells the operand size. */
const BY_OPERAND_SIZE: Readonly<Record<string, SizedNames>> = {
  MOVS: { 16: 'MOVSW', 32: 'MOVSD', 64: 'MOVSQ' },
  STOS: { 16: 'STOSW', 32: 'STOSD', 64: 'STOSQ' },
  LODS: { 16: 'LODSW', 32: 'LODSD', 64: 'LODSQ' },
  CMPS: { 16: 'CMPSW', 32: 'CMPSD', 64: 'CMPSQ' },
  SCAS: { 16: 'SCASW', 32: 'SCASD', 64: 'SCASQ' },
  INS: { 16: 'INSW', 32: 'INSD' },
  OUTS: { 16: 'OUTSW', 32: 'OUTSD' },
  CBW: { 16: 'CBW', 32: 'CWDE', 64: 'CDQE' },
  CWD: { 16: 'CWD', 32: 'CDQ', 64: 'CQO' },
  IRET: { 16: 'IRETW', 32: 'IRETD', 64: 'IRETQ' },
  RETF: { 16: 'RETFW', 32: 'RETFD', 64: 'RETFQ' },
  PUSHF: { 16: 'PUSHFW', 32: 'PUSHFD', 64: 'PUSHFQ' },
  POPF: { 16: 'POPFW', 32: 'POPFD', 64: 'POPFQ' },
  PUSHA: { 16: 'PUSHAW', 32: 'PUSHAD' },
  POPA: { 16: 'POPAW', 32: 'POPAD' },
  SYSRET: { 32: 'SYSRET', 64: 'SYSRETQ' },
  SYSEXIT: { 32: 'SYSEXIT', 64: 'SYSEXITQ' },
  FXSAVE: { 32: 'FXSAVE', 64: 'FXSAVE64' },
  FXRSTOR: { 32: 'FXRSTOR', 64: 'FXRSTOR64' },
  XSAVE: { 32: 'XSAVE', 64: 'XSAVE64' },
  XRSTOR: { 32: 'XRSTOR', 64: 'XRSTOR64' },
  XSAVEOPT: { 32: 'XSAVEOPT', 64: 'XSAVEOPT64' },
  XSAVEC: { 32: 'XSAVEC', 64: 'XSAVEC64' },
  XSAVES: { 32: 'XSAVES', 64: 'XSAVES64' },
  XRSTORS: { 32: 'XRSTORS', 64: 'XRSTORS64' },
};

/** Instructions whose name tells the address size. */
const BY_ADDRESS_SIZE: Readonly<Record<string, SizedNames>> = { JrCXZ: { 16: 'JCXZ', 32: 'JECXZ', 64: 'JRCXZ' } };

/** Conditions in the order of their codes, each with its other names (SDM vol. 1 appendix B). */
export const CONDITIONS: readonly (readonly string[])[] = [
  ['O'],
  ['NO'],
  ['B', 'C', 'NAE'],
  ['AE', 'NB', 'NC'],
  ['E', 'Z'],
  ['NE', 'NZ'],
  ['BE', 'NA'],
  ['A', 'NBE'],
  ['S'],
  ['NS'],
  ['P', 'PE'],
  ['NP', 'PO'],
  ['L', 'NGE'],
  ['GE', 'NL'],
  ['LE', 'NG'],
  ['G', 'NLE'],
];

/** Other names in use. */
const SYNONYMS: Readonly<Record<string, string>> = {
  SAL: 'SHL',
  XLATB: 'XLAT',
  WAIT: 'FWAIT',
  ICEBP: 'INT1',
  LOOPZ: 'LOOPE',
  LOOPNZ: 'LOOPNE',
  RETN: 'RET',
  UD2A: 'UD2',
};

/** Condition code of a name, or -1. */
export function conditionCode(name: string): number {
  const upper = name.toUpperCase();
  return CONDITIONS.findIndex((names) => names.includes(upper));
}

/** What a name stands for: rows of one mnemonic, and what else it says. */
export interface Meaning {
  readonly encoding: Encoding;
  readonly operandSize?: Size;
  readonly addressSize?: Size;
  readonly condition?: number;
}

/** Entries of a table of names, sizes as numbers. */
function sizesOf(names: SizedNames): [Size, string][] {
  return Object.entries(names).map(([size, name]) => [Number(size) as Size, name]);
}

const tables = new WeakMap<InstructionTable, ReadonlyMap<string, readonly Meaning[]>>();

/** All names of a table's instructions, in upper case. */
export function meanings(table: InstructionTable): ReadonlyMap<string, readonly Meaning[]> {
  let known = tables.get(table);
  if (!known) {
    known = collect(table);
    tables.set(table, known);
  }
  return known;
}

function collect(table: InstructionTable): ReadonlyMap<string, readonly Meaning[]> {
  const map = new Map<string, Meaning[]>();
  const add = (name: string, meaning: Meaning) => {
    const key = name.toUpperCase();
    const list = map.get(key);
    if (!list) map.set(key, [meaning]);
    else list.push(meaning);
  };
  for (const encoding of table.encodings) {
    const { mnemonic } = encoding.instruction;
    add(mnemonic, { encoding });
    for (const [size, name] of sizesOf(BY_OPERAND_SIZE[mnemonic] ?? {})) {
      if (name !== mnemonic || mnemonic === 'CBW' || mnemonic === 'CWD') add(name, { encoding, operandSize: size });
    }
    for (const [size, name] of sizesOf(BY_ADDRESS_SIZE[mnemonic] ?? {})) add(name, { encoding, addressSize: size });
    if (encoding.span === 16 && mnemonic.endsWith('cc')) {
      const stem = mnemonic.slice(0, -2);
      CONDITIONS.forEach((names, condition) => {
        for (const name of names) add(`${stem}${name}`, { encoding, condition });
      });
    }
  }
  // CBW and CWD are their own 16-bit forms
  for (const mnemonic of ['CBW', 'CWD']) {
    const own = map.get(mnemonic)?.filter((meaning) => meaning.operandSize !== undefined);
    if (own) map.set(mnemonic, own);
  }
  for (const [name, original] of Object.entries(SYNONYMS)) {
    const list = map.get(original);
    if (list && !map.has(name)) map.set(name, list);
  }
  return map;
}

/** The name of a decoded instruction in lower case. */
export function nameOf(encoding: Encoding, operandSize: Size, addressSize: Size, condition: number): string {
  const { mnemonic } = encoding.instruction;
  const sized = BY_OPERAND_SIZE[mnemonic];
  const name = sized
    ? (sized[operandSize] ?? sized[32] ?? mnemonic)
    : BY_ADDRESS_SIZE[mnemonic]
      ? (BY_ADDRESS_SIZE[mnemonic][addressSize] ?? mnemonic)
      : encoding.span === 16 && mnemonic.endsWith('cc')
        ? mnemonic.slice(0, -2) + CONDITIONS[condition][0]
        : mnemonic;
  return name.toLowerCase();
}

/** x87 instructions whose memory operand without a width in the row is 80 bits wide (real or packed decimal). */
const EXTENDED = new Set(['FLD', 'FSTP', 'FBLD', 'FBSTP']);
const EXTENDED_BITS = 80;

/** Width of a row's memory operand, as its text says it; 0 for an address. */
export function memoryBits(encoding: Encoding, operand: Operand, operandSize: Size): number {
  if (operand.width === 'p') return operandSize;
  return operand.width === '' && EXTENDED.has(encoding.instruction.mnemonic)
    ? EXTENDED_BITS
    : operandBits(operand, operandSize);
}
