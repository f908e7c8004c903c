/** Packed shifts by register, memory or immediate count; byte shifts of whole registers. */
import { type Instruction, instruction } from '../instruction.ts';
import type { I32, I64, Stage } from '../stage.ts';
import { bytes, immediate, lanes, low, mmx, source, type V128, type VectorLocal, widened } from './vector.ts';

type Shape = 'i16x8' | 'i32x4' | 'i64x2';
const WIDTH: Readonly<Record<Shape, number>> = { i16x8: 16, i32x4: 32, i64x2: 64 };
type Direction = 'shl' | 'shr_u' | 'shr_s';

/** Shifts every element; counts beyond the width clear, or fill with the sign (SDM vol. 2B PSLLW, PSRAW). */
function shifted(x: Stage, value: V128, count: I64, shape: Shape, direction: Direction): V128 {
  const width = WIDTH[shape];
  const n = x.let(count) as I64;
  const shift = x.op[`${shape}.${direction}`];
  if (direction === 'shr_s') return shift(value, x.wrap(x.select(x.gtU(n, width - 1), x.i64(width - 1), n)));
  return x.select(
    x.gtU(n, width - 1),
    lanes(x, 64, () => 0),
    shift(value, x.wrap(n)),
  );
}

/** The three forms of a shift for XMM and for MMX registers. */
function shift(mnemonic: string, opcode: string, group: string, shape: Shape, direction: Direction): Instruction[] {
  const count = (x: Stage) => x.extendU(x.operand(1) as I32);
  const narrow = (encoding: string, amount: (x: Stage) => I64) =>
    mmx(mnemonic, { encodings: [encoding] }, (x) => {
      const n = x.let(amount(x));
      const result = x.let(low(x, shifted(x, widened(x, 0), n as I64, shape, direction)));
      return () => x.write(0, result);
    });
  return [
    instruction(mnemonic, {
      encodings: [`66 0F ${opcode} Vx,Wx`],
      feature: 'sse2',
      unit: 'sse',
      execute(x) {
        const a = x.operand(0) as VectorLocal;
        x.write(0, shifted(x, a, low(x, source(x, 1)), shape, direction));
      },
    }),
    instruction(mnemonic, {
      encodings: [`66 0F ${group} Ux,Ib`],
      feature: 'sse2',
      unit: 'sse',
      execute: (x) => x.write(0, shifted(x, x.operand(0) as VectorLocal, count(x), shape, direction)),
    }),
    narrow(`NP 0F ${opcode} Pq,Qq`, (x) => x.operand(1) as I64),
    narrow(`NP 0F ${group} Nq,Ib`, count),
  ];
}

export const PSRLW = shift('PSRLW', 'D1', '71 /2', 'i16x8', 'shr_u');
export const PSRLD = shift('PSRLD', 'D2', '72 /2', 'i32x4', 'shr_u');
export const PSRLQ = shift('PSRLQ', 'D3', '73 /2', 'i64x2', 'shr_u');
export const PSRAW = shift('PSRAW', 'E1', '71 /4', 'i16x8', 'shr_s');
export const PSRAD = shift('PSRAD', 'E2', '72 /4', 'i32x4', 'shr_s');
export const PSLLW = shift('PSLLW', 'F1', '71 /6', 'i16x8', 'shl');
export const PSLLD = shift('PSLLD', 'F2', '72 /6', 'i32x4', 'shl');
export const PSLLQ = shift('PSLLQ', 'F3', '73 /6', 'i64x2', 'shl');

/**
 * The 16 bytes at byte `offset` (0-255) of a `lower`, `upper` pair that zeros follow. i8x16.swizzle gives zero for
 * indices above 15.
 */
function bytesAt(x: Stage, lower: VectorLocal, upper: VectorLocal, offset: I32): V128 {
  const { op } = x;
  const index = x.let(
    op['i8x16.add_sat_u'](
      bytes(x, (i) => i),
      op['i8x16.splat'](offset),
    ),
  );
  return op['v128.or'](
    op['i8x16.swizzle'](lower, index),
    op['i8x16.swizzle'](
      upper,
      op['i8x16.sub'](
        index,
        bytes(x, () => 16),
      ),
    ),
  );
}

export const PSRLDQ = instruction('PSRLDQ', {
  encodings: ['66 0F 73 /3 Ux,Ib'],
  feature: 'sse2',
  unit: 'sse',
  execute(x) {
    const { op } = x;
    const index = op['i8x16.add_sat_u'](
      bytes(x, (i) => i),
      op['i8x16.splat'](immediate(x, 1)),
    );
    x.write(0, op['i8x16.swizzle'](x.operand(0) as VectorLocal, index));
  },
});

export const PSLLDQ = instruction('PSLLDQ', {
  encodings: ['66 0F 73 /7 Ux,Ib'],
  feature: 'sse2',
  unit: 'sse',
  execute(x) {
    const { op } = x;
    const amount = op['i8x16.min_u'](
      op['i8x16.splat'](immediate(x, 1)),
      bytes(x, () => 16),
    );
    x.write(
      0,
      op['i8x16.swizzle'](
        x.operand(0) as VectorLocal,
        op['i8x16.sub'](
          bytes(x, (i) => i),
          amount,
        ),
      ),
    );
  },
});

/** The source followed by the destination, shifted right by bytes. */
export const PALIGNR = [
  instruction('PALIGNR', {
    encodings: ['66 0F 3A 0F Vx,Wx,Ib'],
    feature: 'ssse3',
    unit: 'sse',
    execute(x) {
      const upper = x.operand(0) as VectorLocal;
      const lower = source(x, 1);
      const offset = immediate(x, 2);
      x.write(0, bytesAt(x, lower, upper, offset));
    },
  }),
  mmx('PALIGNR', { encodings: ['NP 0F 3A 0F Pq,Qq,Ib'], feature: 'ssse3' }, (x) => {
    const { op } = x;
    const upper = x.operand(0) as I64;
    const lower = x.operand(1) as I64;
    const both = op['i64x2.replace_lane'](op['i64x2.splat'](lower), upper, 1);
    const index = op['i8x16.add_sat_u'](
      bytes(x, (i) => i),
      op['i8x16.splat'](immediate(x, 2)),
    );
    const result = x.let(low(x, op['i8x16.swizzle'](both, index)));
    return () => x.write(0, result);
  }),
];
