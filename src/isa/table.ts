/** Lookup from opcode to the rows that may match, built once from all instruction definitions. */
import { type Encoding, parseEncoding } from './encoding.ts';
import type { Instruction } from './instruction.ts';

export class InstructionTable {
  readonly encodings: readonly Encoding[];
  /** Candidates by map << 8 | opcode, in row order; rows with a mandatory prefix first. */
  private readonly candidates: Encoding[][] = Array.from({ length: 4 * 256 }, () => []);

  constructor(instructions: readonly Instruction[]) {
    const encodings: Encoding[] = [];
    for (const instruction of instructions) {
      for (const text of instruction.encodings) encodings.push(parseEncoding(instruction, text, encodings.length));
    }
    this.encodings = encodings;
    for (const encoding of encodings) {
      for (let i = 0; i < encoding.span; i++)
        this.candidates[(encoding.map << 8) | (encoding.opcode + i)].push(encoding);
    }
    const rank = (e: Encoding) =>
      (e.prefix === 'F2' || e.prefix === 'F3' ? 0 : e.prefix === '66' ? 2 : e.prefix === 'NP' ? 4 : 6) +
      (e.attributes.norexb ? 0 : 1);
    for (const list of this.candidates) list.sort((a, b) => rank(a) - rank(b) || a.id - b.id);
  }

  /** Rows that share this opcode byte. Empty: undefined opcode. */
  rows(map: number, opcode: number): readonly Encoding[] {
    return this.candidates[(map << 8) | opcode];
  }

  /** Whether a ModRM byte follows this opcode. */
  hasModrm(map: number, opcode: number): boolean {
    return this.candidates[(map << 8) | opcode].some((e) => e.hasModrm);
  }
}
