/** Insertion and extraction of single elements, masks of sign bits, tests and widening moves. */
import type { Local } from '../../wasm/index.ts';
import { type Instruction, instruction } from '../instruction.ts';
import type { I32, Int, Stage } from '../stage.ts';
import { bitMask, known } from './shuffles.ts';
import { bytes, immediate, lanes, low, mmx, source, type V128, type VectorLocal, widened } from './vector.ts';

// ---- insertion

type Element = 'i8x16' | 'i16x8' | 'i32x4' | 'i64x2';
const COUNT: Readonly<Record<Element, number>> = { i8x16: 16, i16x8: 8, i32x4: 4, i64x2: 2 };

/** `value` with one element replaced; the element's number is taken modulo their count. */
function inserted(x: Stage, value: VectorLocal, element: Int, number: Local<'i32'>, shape: Element): V128 {
  const { op } = x;
  const last = COUNT[shape] - 1;
  const constant = known(number);
  const replace = op[`${shape}.replace_lane`] as (v: V128, e: Int, lane: number) => V128;
  if (constant !== undefined) return replace(value, element, constant & last);
  const splat = op[`${shape}.splat`] as (e: Int) => V128;
  const wanted = splat(shape === 'i64x2' ? x.extendU(x.and(number as I32, last)) : x.and(number as I32, last));
  const numbers = shape === 'i8x16' ? bytes(x, (i) => i) : lanes(x, (128 / COUNT[shape]) as 16 | 32 | 64, (i) => i);
  return op['v128.bitselect'](splat(element), value, op[`${shape}.eq`](numbers, wanted));
}

/** The element of a vector whose number is taken modulo their count, zero-extended. */
function extracted(x: Stage, value: VectorLocal, number: Local<'i32'>, shape: Element): Int {
  const { op } = x;
  const last = COUNT[shape] - 1;
  const constant = known(number);
  const lane = constant === undefined ? 0 : constant & last;
  let from: V128 = value;
  if (constant === undefined) {
    const size = 16 / COUNT[shape];
    const start = x.mul(x.and(number as I32, last), size);
    from = op['i8x16.swizzle'](
      value,
      op['i8x16.add'](
        op['i8x16.splat'](start),
        bytes(x, (i) => i),
      ),
    );
  }
  switch (shape) {
    case 'i8x16':
      return op['i8x16.extract_lane_u'](from, lane) as Int;
    case 'i16x8':
      return op['i16x8.extract_lane_u'](from, lane) as Int;
    case 'i32x4':
      return op['i32x4.extract_lane'](from, lane) as Int;
    case 'i64x2':
      return op['i64x2.extract_lane'](from, lane) as Int;
  }
}

function insert(mnemonic: string, encodings: string[], shape: Element, feature: Instruction['feature']): Instruction {
  return instruction(mnemonic, {
    encodings,
    feature,
    unit: 'sse',
    execute(x) {
      const a = x.operand(0) as VectorLocal;
      const element = x.operand(1) as Int;
      x.write(0, inserted(x, a, element, immediate(x, 2), shape));
    },
  });
}
export const PINSRB = insert('PINSRB', ['66 0F 3A 20 Vx,Rd,Ib', '66 0F 3A 20 Vx,Mb,Ib'], 'i8x16', 'sse4.1');
export const PINSRW = [
  insert('PINSRW', ['66 0F C4 Vx,Rd,Ib', '66 0F C4 Vx,Mw,Ib'], 'i16x8', 'sse2'),
  mmx('PINSRW', { encodings: ['NP 0F C4 Pq,Rd,Ib', 'NP 0F C4 Pq,Mw,Ib'], feature: 'sse' }, (x) => {
    const a = widened(x, 0);
    const element = x.operand(1) as Int;
    const number = x.let(x.and(immediate(x, 2) as I32, 3));
    const result = x.let(low(x, inserted(x, a, element, number, 'i16x8')));
    return () => x.write(0, result);
  }),
];
export const PINSRD = insert('PINSRD', ['66 W0 0F 3A 22 Vx,Ed,Ib'], 'i32x4', 'sse4.1');
export const PINSRQ = insert('PINSRQ', ['66 W1 0F 3A 22 Vx,Eq,Ib'], 'i64x2', 'sse4.1');

/** imm8: source element 7:6 (0 for memory), destination element 5:4, elements to clear 3:0 (SDM vol. 2A INSERTPS). */
export const INSERTPS = [
  instruction('INSERTPS', {
    encodings: ['66 0F 3A 21 Vx,Ux,Ib'],
    feature: 'sse4.1',
    unit: 'sse',
    execute(x) {
      const selector = immediate(x, 2);
      const from = x.let(x.shrU(selector as I32, 6));
      insertSingle(x, extracted(x, x.operand(1) as VectorLocal, from, 'i32x4'), selector);
    },
  }),
  instruction('INSERTPS', {
    encodings: ['66 0F 3A 21 Vx,Md,Ib'],
    feature: 'sse4.1',
    unit: 'sse',
    execute: (x) => insertSingle(x, x.operand(1) as Int, immediate(x, 2)),
  }),
];
function insertSingle(x: Stage, element: Int, selector: Local<'i32'>): void {
  const value = inserted(x, x.operand(0) as VectorLocal, element, x.let(x.and(x.shrU(selector as I32, 4), 3)), 'i32x4');
  x.write(0, x.op['v128.andnot'](value, bitMask(x, selector, 'i32x4')));
}

// ---- extraction

function extract(
  mnemonic: string,
  encodings: string[],
  shape: Element,
  feature: Instruction['feature'] = 'sse4.1',
): Instruction {
  return instruction(mnemonic, {
    encodings,
    access: ['w', 'r', 'r'],
    feature,
    unit: 'sse',
    execute: (x) => x.write(0, extracted(x, x.operand(1) as VectorLocal, immediate(x, 2), shape)),
  });
}
export const PEXTRB = extract('PEXTRB', ['66 0F 3A 14 Rd,Vx,Ib', '66 0F 3A 14 Mb,Vx,Ib'], 'i8x16');
export const PEXTRW = [
  extract('PEXTRW', ['66 0F 3A 15 Rd,Vx,Ib', '66 0F 3A 15 Mw,Vx,Ib'], 'i16x8'),
  extract('PEXTRW', ['66 0F C5 Gd,Ux,Ib'], 'i16x8', 'sse2'),
  mmx('PEXTRW', { encodings: ['NP 0F C5 Gd,Nq,Ib'], access: ['w', 'r', 'r'], feature: 'sse' }, (x) => {
    const number = x.let(x.and(immediate(x, 2) as I32, 3));
    const result = x.let(extracted(x, widened(x, 1), number, 'i16x8'));
    return () => x.write(0, result);
  }),
];
export const PEXTRD = extract('PEXTRD', ['66 W0 0F 3A 16 Ed,Vx,Ib'], 'i32x4');
export const PEXTRQ = extract('PEXTRQ', ['66 W1 0F 3A 16 Eq,Vx,Ib'], 'i64x2');
export const EXTRACTPS = extract('EXTRACTPS', ['66 0F 3A 17 Ed,Vx,Ib'], 'i32x4');

// ---- masks of sign bits

function signMask(
  mnemonic: string,
  encoding: string,
  feature: Instruction['feature'],
  shape: 'i8x16' | 'i32x4' | 'i64x2',
): Instruction {
  return instruction(mnemonic, {
    encodings: [`${encoding} Gd,Ux`],
    access: ['w', 'r'],
    feature,
    unit: 'sse',
    execute: (x) => x.write(0, x.op[`${shape}.bitmask`](x.operand(1) as VectorLocal)),
  });
}
export const PMOVMSKB = [
  signMask('PMOVMSKB', '66 0F D7', 'sse2', 'i8x16'),
  mmx('PMOVMSKB', { encodings: ['NP 0F D7 Gd,Nq'], access: ['w', 'r'], feature: 'sse' }, (x) => {
    const result = x.let(x.and(x.op['i8x16.bitmask'](widened(x, 1)) as I32, 0xff));
    return () => x.write(0, result);
  }),
];
export const MOVMSKPS = signMask('MOVMSKPS', 'NP 0F 50', 'sse', 'i32x4');
export const MOVMSKPD = signMask('MOVMSKPD', '66 0F 50', 'sse2', 'i64x2');

/** ZF: no common bits; CF: no bits of the source outside the destination. */
export const PTEST = instruction('PTEST', {
  encodings: ['66 0F 38 17 Vx,Wx'],
  access: ['r', 'r'],
  feature: 'sse4.1',
  unit: 'sse',
  execute(x) {
    const a = x.operand(0) as VectorLocal;
    const b = source(x, 1);
    const none = (v: V128) => x.eqz(x.op['v128.any_true'](v));
    const zero = x.i32(0);
    x.setFlags({
      ZF: none(x.op['v128.and'](b, a)),
      CF: none(x.op['v128.andnot'](b, a)),
      OF: zero,
      AF: zero,
      PF: zero,
      SF: zero,
    });
  },
});

// ---- widening

function widen(mnemonic: string, opcode: string, memory: string, operators: readonly string[]): Instruction {
  return instruction(mnemonic, {
    encodings: [`66 0F 38 ${opcode} Vx,Ux`, `66 0F 38 ${opcode} Vx,${memory}`],
    access: ['w', 'r'],
    feature: 'sse4.1',
    unit: 'sse',
    execute(x) {
      const read = x.operand(1);
      let value: V128 = read.type === 'v128' ? (read as VectorLocal) : x.op['i64x2.splat'](x.toI64(read as Int));
      const named = x.op as unknown as Record<string, (v: V128) => V128>;
      for (const operator of operators) value = named[operator](value);
      x.write(0, value);
    },
  });
}
const WORDS = 'i16x8.extend_low_i8x16';
const DOUBLEWORDS = 'i32x4.extend_low_i16x8';
const QUADWORDS = 'i64x2.extend_low_i32x4';
const widenings = (kind: 'S' | 'Z', base: number, suffix: '_s' | '_u'): Instruction[] =>
  (
    [
      ['BW', 'Mq', [WORDS]],
      ['BD', 'Md', [WORDS, DOUBLEWORDS]],
      ['BQ', 'Mw', [WORDS, DOUBLEWORDS, QUADWORDS]],
      ['WD', 'Mq', [DOUBLEWORDS]],
      ['WQ', 'Md', [DOUBLEWORDS, QUADWORDS]],
      ['DQ', 'Mq', [QUADWORDS]],
    ] as const
  ).map(([widths, memory, operators], i) =>
    widen(
      `PMOV${kind}X${widths}`,
      (base + i).toString(16).padStart(2, '0').toUpperCase(),
      memory,
      operators.map((o) => o + suffix),
    ),
  );
export const PMOVSX = widenings('S', 0x20, '_s');
export const PMOVZX = widenings('Z', 0x30, '_u');
