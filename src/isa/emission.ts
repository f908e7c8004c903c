/** What all instructions of a kind have in common before their own definition. */
import type { Encoding } from './encoding.ts';
import { INTERCEPT_EXIT_CODE, interceptBit } from './intercepts.ts';
import { type Stage, Vector } from './stage.ts';

/** Emits an instruction: privilege, the intercept of its row, and what it does. */
export function emitInstruction(x: Stage, { instruction, attributes }: Encoding): void {
  if (attributes.cpl0) x.faultIf(x.state('cpl'), Vector.GP, 0);
  const { intercept } = instruction;
  if (intercept) {
    const { word, bit } = interceptBit(intercept);
    x.if(x.and(x.state('intercepts', word), 1 << bit), () => x.system('intercepted', INTERCEPT_EXIT_CODE[intercept]));
  }
  instruction.execute(x);
}
