/** MMX moves and state. Packed arithmetic and shuffles have their MMX forms with the XMM ones in sse/. */

import { storeMasked } from './sse/moves.ts';
import { mmx, widened } from './sse/vector.ts';
import type { I64, Int, Stage } from './stage.ts';

export const MOVD = [
  mmx('MOVD', { encodings: ['NP W0 0F 6E Pq,Ed'], access: ['w', 'r'] }, (x) => {
    const value = x.let(x.toI64(x.operand(1) as Int));
    return () => x.write(0, value);
  }),
  mmx('MOVD', { encodings: ['NP W0 0F 7E Ed,Pd'], access: ['w', 'r'] }, (x) => storing(x, x.operand(1) as Int)),
];

export const MOVQ = [
  mmx('MOVQ', { encodings: ['NP W1 0F 6E Pq,Eq', 'NP 0F 6F Pq,Qq'], access: ['w', 'r'] }, (x) => {
    const value = x.operand(1);
    return () => x.write(0, value);
  }),
  mmx('MOVQ', { encodings: ['NP W1 0F 7E Eq,Pq', 'NP 0F 7F Qq,Pq'], access: ['w', 'r'] }, (x) =>
    storing(x, x.operand(1) as Int),
  ),
];

export const MOVNTQ = mmx('MOVNTQ', { encodings: ['NP 0F E7 Mq,Pq'], access: ['w', 'r'], feature: 'sse' }, (x) =>
  storing(x, x.operand(1) as I64),
);

export const MASKMOVQ = mmx(
  'MASKMOVQ',
  { encodings: ['NP 0F F7 Pq,Nq as'], access: ['r', 'r'], feature: 'sse' },
  (x) => {
    const value = widened(x, 0);
    const mask = widened(x, 1);
    // the x87 state changes even where the store faults, on AMD processors
    return () => storeMasked(x, value, mask, 1);
  },
);

/** Writes the destination before the x87 state changes where it is in memory and may fault, else behind it. */
function storing(x: Stage, value: Int): () => void {
  if (x.kind(0) !== 'memory') return () => x.write(0, value);
  x.write(0, value);
  return () => {};
}

/** Empties the x87 registers for x87 code to follow. */
export const EMMS = mmx('EMMS', { encodings: ['NP 0F 77'] }, (x) => () => x.enterMmx(true));
