/**
 * Encoding rows in the notation of src/isa/instruction.ts, taken apart. Only what is needed to produce bytes: the
 * decoder's own reading of the rows is deliberately not used, so that a mistake there cannot hide itself.
 */

/** One operand code: addressing letter and width as in SDM vol. 2 appendix A, or a fixed register. */
export interface OperandCode {
  text: string;
  /** Addressing letter, or undefined for a fixed operand. */
  letter?: string;
  width: string;
}

export interface EncodingRow {
  text: string;
  /** Mandatory prefix; `NP` means none of them allowed; undefined: prefixes have their usual meaning. */
  prefix?: 'NP' | '66' | 'F2' | 'F3';
  rexW?: 0 | 1;
  opcode: number[];
  /** The low bits of the last opcode byte are free: 3 for `+r` (a register), 4 for `+cc` (a condition). */
  freeOpcodeBits: 0 | 3 | 4;
  digit?: number;
  /** Whole ModRM byte fixed; with `freeRm` its low three bits are a register. */
  modrm?: number;
  freeRm: boolean;
  operands: OperandCode[];
  attributes: ReadonlySet<string>;
}

const ATTRIBUTES = ['lock', 'd64', 'f64', 'no64', 'only64', 'cpl0', 'rep', 'prot', 'reg', 'mem', 'norexb', 'os', 'as'];
const OPERAND = /^([EGMRZIJAOSCDVWUPQN])(b|bs|w|d|q|dq|v|z|y|s|ss|sd|ps|pd|x|p|t)?$/;
const FIXED = /^(AL|AX|EAX|RAX|rAX|CL|DX|1|ES|CS|SS|DS|FS|GS|ST0?|STi|ST\(i\)|XMM0)$/;

function operandCode(text: string): OperandCode {
  if (FIXED.test(text)) return { text, width: '' };
  const match = OPERAND.exec(text);
  if (!match) throw new Error(`unknown operand code '${text}'`);
  return { text, letter: match[1], width: match[2] ?? '' };
}

type RowUnderConstruction = Omit<EncodingRow, 'attributes'> & { attributes: Set<string> };

/** The forms of a row's words, tried in this order; each takes one in. */
const WORDS: readonly [RegExp, (row: RowUnderConstruction, match: RegExpExecArray) => void][] = [
  [
    /^W([01])$/,
    (row, [, bit]) => {
      row.rexW = bit === '1' ? 1 : 0;
    },
  ],
  [
    /^([0-9A-F]{2})(\+r|\+cc)?$/,
    (row, [, byte, free]) => {
      row.opcode.push(Number.parseInt(byte, 16));
      if (free) row.freeOpcodeBits = free === '+r' ? 3 : 4;
    },
  ],
  [
    /^\/([0-7])$/,
    (row, [, digit]) => {
      row.digit = Number(digit);
    },
  ],
  [
    /^\(([0-9A-F]{2})(\+i)?\)$/,
    (row, [, byte, free]) => {
      row.modrm = Number.parseInt(byte, 16);
      row.freeRm = free !== undefined;
    },
  ],
  [
    new RegExp(`^(${ATTRIBUTES.join('|')})$`),
    (row, [word]) => {
      row.attributes.add(word);
    },
  ],
  [
    /^/,
    (row, { input }) => {
      row.operands.push(...input.split(',').map(operandCode));
    },
  ],
];

/** Takes a row apart. @throws Error naming the row when something in it is not understood. */
export function parseRow(text: string): EncodingRow {
  const row: RowUnderConstruction = {
    text,
    opcode: [],
    freeOpcodeBits: 0,
    freeRm: false,
    operands: [],
    attributes: new Set(),
  };
  // F2 and F3 are prefixes where an opcode follows them.
  const prefix = /^(NP|66|F2|F3)(?= (?:W[01] )?[0-9A-F]{2}\b)/.exec(text)?.[1];
  row.prefix = prefix as EncodingRow['prefix'];
  try {
    for (const word of text
      .slice(prefix?.length ?? 0)
      .trim()
      .split(/\s+/)) {
      for (const [form, take] of WORDS) {
        const match = form.exec(word);
        if (!match) continue;
        take(row, match);
        break;
      }
    }
    if (row.opcode.length === 0) throw new Error('no opcode');
  } catch (error) {
    throw new Error(`encoding row '${text}': ${(error as Error).message}`);
  }
  return row;
}

const IN_MODRM = 'EMRGVWUPQNSCD';

/** True where a ModRM byte follows the opcode. */
export function hasModrm(row: EncodingRow): boolean {
  return (
    row.digit !== undefined ||
    row.modrm !== undefined ||
    row.operands.some((operand) => operand.letter !== undefined && IN_MODRM.includes(operand.letter))
  );
}

/** True where the effective operand size chooses between 16, 32 and 64 bits. */
export function isSized(row: EncodingRow): boolean {
  return (
    row.attributes.has('os') ||
    row.attributes.has('d64') ||
    row.operands.some((operand) => ['v', 'z', 'bs'].includes(operand.width) || operand.text === 'rAX')
  );
}

/** True where REX.W widens an operand. */
export function isWidened(row: EncodingRow): boolean {
  return (
    row.attributes.has('os') ||
    row.operands.some((operand) => operand.width === 'v' || operand.width === 'y' || operand.text === 'rAX')
  );
}

/** The opcode as one number with its map in front: 0x0f38f1 and the like. */
export function opcodeNumber(row: EncodingRow): number {
  return row.opcode.reduce((number, byte) => (number << 8) | byte, 0);
}
