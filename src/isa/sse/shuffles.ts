/** Shuffles by immediate, unpacking and blends. */
import { constantValue, type Local } from '../../wasm/index.ts';
import { type Instruction, instruction } from '../instruction.ts';
import type { I32, Stage } from '../stage.ts';
import {
  bytes,
  elements,
  high,
  immediate,
  lanes,
  low,
  mmx,
  source,
  type V128,
  type VectorLocal,
  widened,
} from './vector.ts';

/**
 * An immediate as a constant, where the stage knows it. Definitions then use WebAssembly's static shuffles; otherwise they
 * compute an index vector from the immediate.
 */
export const known = (value: Local<'i32'>): number | undefined => constantValue(value);

/** Two bits per result element: the shape of PSHUFD's immediate. */
const order = (immediate: number): number[] => [0, 1, 2, 3].map((i) => (immediate >> (2 * i)) & 3);

/**
 * Byte numbers of four doublewords chosen by an immediate. The multiplication moves each element's two bits to bits 7:6,
 * the second one spreads the number over its four bytes.
 */
function doublewordIndex(x: Stage, selector: I32): V128 {
  const { op } = x;
  const placed = op['i32x4.mul'](
    op['i32x4.splat'](selector),
    lanes(x, 32, (i) => 64 >> (2 * i)),
  );
  const number = op['v128.and'](
    op['i32x4.shr_u'](placed, x.i32(6)),
    lanes(x, 32, () => 3),
  );
  return op['i32x4.add'](
    op['i32x4.mul'](
      number,
      lanes(x, 32, () => 0x04040404),
    ),
    lanes(x, 32, () => 0x03020100),
  );
}

/** The same for the words of one half (0 low, 1 high), the other half left in place. */
function wordIndex(x: Stage, selector: I32, half: 0 | 1): V128 {
  const { op } = x;
  const chosen = (i: number) => i >> 2 === half;
  const placed = op['i16x8.mul'](
    op['i16x8.splat'](selector),
    lanes(x, 16, (i) => (chosen(i) ? 64 >> (2 * (i & 3)) : 0)),
  );
  const number = op['v128.and'](
    op['i16x8.shr_u'](placed, x.i32(6)),
    lanes(x, 16, () => 3),
  );
  const first = (i: number) => 2 * (chosen(i) ? half * 4 : i);
  return op['i16x8.add'](
    op['i16x8.mul'](
      number,
      lanes(x, 16, () => 0x0202),
    ),
    lanes(x, 16, (i) => first(i) | ((first(i) + 1) << 8)),
  );
}

function shuffledWords(x: Stage, value: VectorLocal, selector: Local<'i32'>, half: 0 | 1): V128 {
  const constant = known(selector);
  if (constant === undefined) return x.op['i8x16.swizzle'](value, wordIndex(x, selector, half));
  const words = order(constant).map((word) => word + 4 * half);
  const chosen = half === 0 ? [...words, 4, 5, 6, 7] : [0, 1, 2, 3, ...words];
  return x.op['i8x16.shuffle'](value, value, elements(2, chosen));
}

/** `mnemonic destination, source, imm8` on whole registers. */
function byImmediate(
  mnemonic: string,
  encoding: string,
  feature: Instruction['feature'],
  operation: (x: Stage, a: VectorLocal, b: VectorLocal, selector: Local<'i32'>) => V128,
): Instruction {
  return instruction(mnemonic, {
    encodings: [`${encoding} Vx,Wx,Ib`],
    feature,
    unit: 'sse',
    execute(x) {
      const a = x.operand(0) as VectorLocal;
      const b = source(x, 1);
      x.write(0, operation(x, a, b, immediate(x, 2)));
    },
  });
}

export const PSHUFD = byImmediate('PSHUFD', '66 0F 70', 'sse2', (x, _a, b, selector) => {
  const constant = known(selector);
  if (constant === undefined) return x.op['i8x16.swizzle'](b, doublewordIndex(x, selector));
  return x.op['i8x16.shuffle'](b, b, elements(4, order(constant)));
});
export const PSHUFHW = byImmediate('PSHUFHW', 'F3 0F 70', 'sse2', (x, _a, b, selector) =>
  shuffledWords(x, b, selector, 1),
);
export const PSHUFLW = byImmediate('PSHUFLW', 'F2 0F 70', 'sse2', (x, _a, b, selector) =>
  shuffledWords(x, b, selector, 0),
);
export const PSHUFW = mmx(
  'PSHUFW',
  { encodings: ['NP 0F 70 Pq,Qq,Ib'], access: ['w', 'r', 'r'], feature: 'sse' },
  (x) => {
    const value = widened(x, 1);
    const result = x.let(low(x, shuffledWords(x, value, immediate(x, 2), 0)));
    return () => x.write(0, result);
  },
);

export const SHUFPS = byImmediate('SHUFPS', 'NP 0F C6', 'sse', (x, a, b, selector) => {
  const { op } = x;
  const constant = known(selector);
  if (constant !== undefined) {
    const [p, q, r, s] = order(constant);
    return op['i8x16.shuffle'](a, b, elements(4, [p, q, r + 4, s + 4]));
  }
  const index = x.let(doublewordIndex(x, selector));
  return op['i8x16.shuffle'](op['i8x16.swizzle'](a, index), op['i8x16.swizzle'](b, index), elements(4, [0, 1, 6, 7]));
});

export const SHUFPD = byImmediate('SHUFPD', '66 0F C6', 'sse2', (x, a, b, selector) => {
  const { op } = x;
  const constant = known(selector);
  if (constant !== undefined) return op['i8x16.shuffle'](a, b, elements(8, [constant & 1, 2 + ((constant >> 1) & 1)]));
  const first = x.select(x.and(selector as I32, 1), high(x, a), low(x, a));
  const second = x.select(x.and(selector as I32, 2), high(x, b), low(x, b));
  return op['i64x2.replace_lane'](op['i64x2.splat'](first), second, 1);
});

/** Elements of both operands in turn, from the low or the high half. */
function unpack(
  mnemonic: string,
  encoding: string,
  feature: Instruction['feature'],
  size: 4 | 8,
  chosen: number[],
): Instruction {
  return instruction(mnemonic, {
    encodings: [`${encoding} Vx,Wx`],
    feature,
    unit: 'sse',
    execute(x) {
      const a = x.operand(0) as VectorLocal;
      const b = source(x, 1);
      x.write(0, x.op['i8x16.shuffle'](a, b, elements(size, chosen)));
    },
  });
}
export const UNPCKLPS = unpack('UNPCKLPS', 'NP 0F 14', 'sse', 4, [0, 4, 1, 5]);
export const UNPCKHPS = unpack('UNPCKHPS', 'NP 0F 15', 'sse', 4, [2, 6, 3, 7]);
export const UNPCKLPD = unpack('UNPCKLPD', '66 0F 14', 'sse2', 8, [0, 2]);
export const UNPCKHPD = unpack('UNPCKHPD', '66 0F 15', 'sse2', 8, [1, 3]);

// ---- blends

/** A mask of elements whose bit of the immediate is set. */
export function bitMask(x: Stage, selector: I32, shape: 'i16x8' | 'i32x4'): V128 {
  const { op } = x;
  const width = shape === 'i16x8' ? 16 : 32;
  const bit = () => lanes(x, width, (i) => 1 << i);
  return op[`${shape}.eq`](op['v128.and'](op[`${shape}.splat`](selector), bit()), bit());
}

function blend(mnemonic: string, encoding: string, size: 2 | 4 | 8): Instruction {
  const count = 16 / size;
  return byImmediate(mnemonic, encoding, 'sse4.1', (x, a, b, selector) => {
    const { op } = x;
    const constant = known(selector);
    if (constant !== undefined) {
      return op['i8x16.shuffle'](
        a,
        b,
        elements(
          size,
          Array.from({ length: count }, (_, i) => i + ((constant >> i) & 1) * count),
        ),
      );
    }
    // BLENDPD: bits 1:0 doubled over the doublewords
    const mask =
      size === 8
        ? op['i64x2.ne'](
            op['v128.and'](
              op['i64x2.splat'](x.extendU(selector)),
              lanes(x, 64, (i) => 1 << i),
            ),
            lanes(x, 64, () => 0),
          )
        : bitMask(x, selector, size === 2 ? 'i16x8' : 'i32x4');
    return op['v128.bitselect'](b, a, mask);
  });
}
export const BLENDPS = blend('BLENDPS', '66 0F 3A 0C', 4);
export const BLENDPD = blend('BLENDPD', '66 0F 3A 0D', 8);
export const PBLENDW = blend('PBLENDW', '66 0F 3A 0E', 2);

/** Blends by the sign bits of XMM0's elements. */
function variableBlend(
  mnemonic: string,
  encoding: string,
  shape: 'i8x16' | 'i32x4' | 'i64x2',
  bits: number,
): Instruction {
  return instruction(mnemonic, {
    encodings: [`${encoding} Vx,Wx`],
    feature: 'sse4.1',
    unit: 'sse',
    execute(x) {
      const a = x.operand(0) as VectorLocal;
      const b = source(x, 1);
      x.write(0, x.op['v128.bitselect'](b, a, x.op[`${shape}.shr_s`](x.xmm(0), x.i32(bits - 1))));
    },
  });
}
export const PBLENDVB = variableBlend('PBLENDVB', '66 0F 38 10', 'i8x16', 8);
export const BLENDVPS = variableBlend('BLENDVPS', '66 0F 38 14', 'i32x4', 32);
export const BLENDVPD = variableBlend('BLENDVPD', '66 0F 38 15', 'i64x2', 64);

/** Sums of absolute differences of four source bytes with eight destination places; imm8: source 1:0, destination 2, in fours. */
export const MPSADBW = byImmediate('MPSADBW', '66 0F 3A 42', 'sse4.1', (x, a, b, selector) => {
  const { op } = x;
  const start = (value: I32) => op['i8x16.splat'](x.mul(value, 4));
  const window = x.let(
    op['i8x16.swizzle'](
      a,
      op['i8x16.add'](
        start(x.and(x.shrU(selector as I32, 2), 1)),
        bytes(x, (i) => i),
      ),
    ),
  ) as VectorLocal;
  const block = x.let(
    op['i8x16.swizzle'](
      b,
      op['i8x16.add'](
        start(x.and(selector as I32, 3)),
        bytes(x, (i) => i),
      ),
    ),
  ) as VectorLocal;
  let sum: V128 | undefined;
  for (let j = 0; j < 4; j++) {
    const from = x.let(
      op['i8x16.shuffle'](
        window,
        window,
        Array.from({ length: 16 }, (_, i) => (i + j) & 15),
      ),
    );
    const byte = x.let(
      op['i8x16.shuffle'](
        block,
        block,
        Array.from({ length: 16 }, () => j),
      ),
    );
    const difference = op['v128.or'](op['i8x16.sub_sat_u'](from, byte), op['i8x16.sub_sat_u'](byte, from));
    const words = op['i16x8.extend_low_i8x16_u'](difference);
    sum = sum === undefined ? words : op['i16x8.add'](sum, words);
  }
  return sum as V128;
});
