/** All instructions. A new family adds one line here. */
import type { Instruction } from './instruction.ts';
import * as arithmetic from './integer/arithmetic.ts';
import * as control from './integer/control.ts';
import * as data from './integer/data.ts';
import * as logic from './integer/logic.ts';
import * as shifts from './integer/shifts.ts';
import * as string from './integer/string.ts';
import * as mmx from './mmx.ts';
import * as elements from './sse/elements.ts';
import * as floatArithmetic from './sse/float-arithmetic.ts';
import * as floatComparison from './sse/float-comparison.ts';
import * as floatConversion from './sse/float-conversion.ts';
import * as moves from './sse/moves.ts';
import * as packedInteger from './sse/packed-integer.ts';
import * as packedShifts from './sse/packed-shifts.ts';
import * as shuffles from './sse/shuffles.ts';
import * as strings from './sse/strings.ts';
import * as system from './system.ts';
import { InstructionTable } from './table.ts';
import * as x87 from './x87.ts';

const FAMILIES = [
  arithmetic,
  logic,
  shifts,
  data,
  control,
  string,
  system,
  mmx,
  elements,
  floatArithmetic,
  floatComparison,
  floatConversion,
  moves,
  packedInteger,
  packedShifts,
  shuffles,
  strings,
  x87,
];

function isInstruction(value: unknown): value is Instruction {
  return typeof value === 'object' && value !== null && 'mnemonic' in value && 'encodings' in value;
}

/** Every exported instruction of the families; groups are exported as arrays. */
export const INSTRUCTIONS: readonly Instruction[] = FAMILIES.flatMap((family) =>
  Object.values(family as Record<string, unknown>).flatMap((value) =>
    (Array.isArray(value) ? value : [value]).filter(isInstruction),
  ),
);

export const INSTRUCTION_TABLE = new InstructionTable(INSTRUCTIONS);
