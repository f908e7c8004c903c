/** Parses the encoding rows of instruction definitions (notation: see instruction.ts). */
import type { Instruction } from './instruction.ts';

/** Opcode maps: one-byte, 0F, 0F 38, 0F 3A. */
export type OpcodeMap = 0 | 1 | 2 | 3;
export type MandatoryPrefix = 'NP' | '66' | 'F2' | 'F3';

/** Addressing letters of SDM vol. 2 appendix A that rows may use, and `fixed` for operands named outright. */
export type OperandLetter =
  | 'E'
  | 'G'
  | 'M'
  | 'R'
  | 'Z'
  | 'I'
  | 'J'
  | 'A'
  | 'O'
  | 'S'
  | 'C'
  | 'D'
  | 'V'
  | 'W'
  | 'U'
  | 'P'
  | 'Q'
  | 'N'
  | 'fixed';

export interface Operand {
  readonly letter: OperandLetter;
  /** Width code: b w d q dq v z y ss sd ps pd x p bs, or '' for an address only. */
  readonly width: string;
  /** As written in the row. */
  readonly text: string;
  readonly access: 'r' | 'w' | 'rw';
}

export interface Encoding {
  readonly instruction: Instruction;
  /** Number of the row over all rows, stable within a build. */
  readonly id: number;
  readonly text: string;
  readonly map: OpcodeMap;
  readonly opcode: number;
  /** How many consecutive opcodes the row covers: 1, 8 (+r) or 16 (+cc). */
  readonly span: 1 | 8 | 16;
  readonly prefix: MandatoryPrefix | undefined;
  readonly w: 0 | 1 | undefined;
  readonly digit: number | undefined;
  /** Fixed ModRM byte; `modrmSpan` consecutive values. */
  readonly modrm: number | undefined;
  readonly modrmSpan: 1 | 8;
  readonly hasModrm: boolean;
  /** Form the ModRM operand must have. */
  readonly form: 'register' | 'memory' | 'any';
  readonly operands: readonly Operand[];
  readonly attributes: Readonly<Record<Attribute, boolean>>;
  /** Whether handlers of this row differ by operand size. */
  readonly dependsOnOperandSize: boolean;
  /** Whether the ModRM operand is a register whatever its mod field says (control and debug registers). */
  readonly ignoresMod: boolean;
}

const ATTRIBUTES = [
  'lock',
  'd64',
  'f64',
  'no64',
  'only64',
  'cpl0',
  'rep',
  'prot',
  'reg',
  'mem',
  'norexb',
  /** The definition depends on the operand size although no operand does. */
  'os',
  /** The definition depends on the address size. */
  'as',
] as const;
export type Attribute = (typeof ATTRIBUTES)[number];

const FIXED: Readonly<Record<string, string>> = {
  AL: 'b',
  CL: 'b',
  AX: 'w',
  DX: 'w',
  rAX: 'v',
  '1': 'b',
  ES: 'w',
  CS: 'w',
  SS: 'w',
  DS: 'w',
  FS: 'w',
  GS: 'w',
  ST0: '',
  STi: '',
};
const OPERAND = /^([EGMRZIJAOSCDVWUPQN])(|b|bs|w|d|q|dq|v|z|y|ss|sd|ps|pd|x|p)$/;
const MEMORY_LETTERS = new Set<OperandLetter>(['M', 'O']);
const REGISTER_LETTERS = new Set<OperandLetter>(['R', 'U', 'N']);
/** Widths that follow the operand size. */
const SIZED_WIDTHS = new Set(['v', 'z', 'y', 'p', 'bs']);
const MODRM_LETTERS = new Set<OperandLetter>(['E', 'G', 'M', 'R', 'S', 'C', 'D', 'V', 'W', 'U', 'P', 'Q', 'N']);

function parseOperand(text: string, access: 'r' | 'w' | 'rw'): Operand | undefined {
  if (text in FIXED) return { letter: 'fixed', width: FIXED[text], text, access };
  const match = OPERAND.exec(text);
  return match ? { letter: match[1] as OperandLetter, width: match[2], text, access } : undefined;
}

/** Parses one row. Throws on notation errors: they are mistakes in this repository. */
export function parseEncoding(instruction: Instruction, text: string, id: number): Encoding {
  const bad = (why: string) => new Error(`${instruction.mnemonic} '${text}': ${why}`);
  const words = text.split(/\s+/);
  let at = 0;
  let prefix: MandatoryPrefix | undefined;
  let w: 0 | 1 | undefined;
  if (/^(NP|66|F2|F3)$/.test(words[at]) && words.length > at + 1 && /^[0-9A-F]{2}|^W[01]$/.test(words[at + 1]))
    prefix = words[at++] as MandatoryPrefix;
  if (/^W[01]$/.test(words[at])) w = words[at++] === 'W1' ? 1 : 0;
  const bytes: number[] = [];
  let span: 1 | 8 | 16 = 1;
  while (at < words.length) {
    const match = /^([0-9A-F]{2})(\+r|\+cc)?$/.exec(words[at]);
    if (!match) break;
    bytes.push(Number.parseInt(match[1], 16));
    if (match[2]) span = match[2] === '+r' ? 8 : 16;
    at++;
  }
  let map: OpcodeMap = 0;
  if (bytes[0] === 0x0f && bytes.length > 1) {
    bytes.shift();
    map = 1;
    const second = bytes[0] as number;
    if (bytes.length > 1 && (second === 0x38 || second === 0x3a)) {
      bytes.shift();
      map = second === 0x38 ? 2 : 3;
    }
  }
  if (bytes.length !== 1) throw bad('exactly one opcode byte expected after the map');
  let digit: number | undefined;
  let modrm: number | undefined;
  let modrmSpan: 1 | 8 = 1;
  const modrmMatch = /^(?:\/([0-7])|\(([0-9A-F]{2})(\+i)?\))$/.exec(words[at] ?? '');
  if (modrmMatch) {
    if (modrmMatch[1]) digit = Number(modrmMatch[1]);
    else modrm = Number.parseInt(modrmMatch[2], 16);
    if (modrmMatch[3]) modrmSpan = 8;
    at++;
  }
  const operands: Operand[] = [];
  const attributes = Object.fromEntries(ATTRIBUTES.map((name) => [name, false])) as Record<Attribute, boolean>;
  const { access } = instruction;
  if (at < words.length && !(ATTRIBUTES as readonly string[]).includes(words[at])) {
    const list = words[at++].split(',');
    list.forEach((name, i) => {
      const operand = parseOperand(name, access?.[i] ?? (i === 0 ? 'rw' : 'r'));
      if (!operand) throw bad(`unknown operand '${name}'`);
      operands.push(operand);
    });
  }
  for (; at < words.length; at++) {
    if (!(ATTRIBUTES as readonly string[]).includes(words[at])) throw bad(`unknown attribute '${words[at]}'`);
    attributes[words[at] as Attribute] = true;
  }
  const some = (set: Set<OperandLetter>) => operands.some((o) => set.has(o.letter));
  const form =
    attributes.mem || some(MEMORY_LETTERS) ? 'memory' : attributes.reg || some(REGISTER_LETTERS) ? 'register' : 'any';
  return {
    instruction,
    id,
    text,
    map,
    opcode: bytes[0],
    span,
    prefix,
    w,
    digit,
    modrm,
    modrmSpan,
    hasModrm: digit !== undefined || modrm !== undefined || some(MODRM_LETTERS),
    form: modrm !== undefined ? 'register' : form,
    operands,
    attributes,
    dependsOnOperandSize:
      attributes.os || attributes.d64 || attributes.f64 || operands.some(({ width }) => SIZED_WIDTHS.has(width)),
    ignoresMod: operands.some(({ letter }) => letter === 'C' || letter === 'D'),
  };
}

/** Width in bits of an operand, given the operand size. 0: an address or a far pointer without a single width. */
export function operandBits(operand: Operand, operandSize: 16 | 32 | 64): 0 | 8 | 16 | 32 | 64 | 128 {
  switch (operand.width) {
    case 'b':
      return 8;
    case 'bs':
    case 'v':
      return operandSize;
    case 'w':
      return 16;
    case 'd':
    case 'ss':
      return 32;
    case 'q':
    case 'sd':
      return 64;
    case 'z':
      return operandSize === 64 && operand.letter !== 'I' ? 32 : operandSize;
    case 'y':
      return operandSize === 64 ? 64 : 32;
    case 'dq':
    case 'ps':
    case 'pd':
    case 'x':
      return 128;
    default:
      return 0;
  }
}
