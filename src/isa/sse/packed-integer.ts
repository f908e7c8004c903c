/** Packed integer arithmetic, comparison and logic on XMM and MMX registers. */
import type { Instruction } from '../instruction.ts';
import type { Stage } from '../stage.ts';
import {
  bytes,
  elements,
  lanes,
  lanewise,
  lowHalves,
  type PackedOptions,
  packed,
  type V128,
  type VectorLocal,
  type VectorOperation,
} from './vector.ts';

const MMX: PackedOptions = { mmx: 'mmx' };
/** MMX forms that came with SSE. */
const MMX_SSE: PackedOptions = { mmx: 'sse' };
/** MMX forms that came with SSE2. */
const MMX_SSE2: PackedOptions = { mmx: 'sse2' };
const SSSE3: PackedOptions = { mmx: 'ssse3', sse: 'ssse3' };
const SSE41: PackedOptions = { sse: 'sse4.1' };
const SSE42: PackedOptions = { sse: 'sse4.2' };

// ---- addition and subtraction

export const PADDB = lanewise('PADDB', 'FC', 'i8x16.add', MMX);
export const PADDW = lanewise('PADDW', 'FD', 'i16x8.add', MMX);
export const PADDD = lanewise('PADDD', 'FE', 'i32x4.add', MMX);
export const PADDQ = lanewise('PADDQ', 'D4', 'i64x2.add', MMX_SSE2);
export const PADDSB = lanewise('PADDSB', 'EC', 'i8x16.add_sat_s', MMX);
export const PADDSW = lanewise('PADDSW', 'ED', 'i16x8.add_sat_s', MMX);
export const PADDUSB = lanewise('PADDUSB', 'DC', 'i8x16.add_sat_u', MMX);
export const PADDUSW = lanewise('PADDUSW', 'DD', 'i16x8.add_sat_u', MMX);
export const PSUBB = lanewise('PSUBB', 'F8', 'i8x16.sub', MMX);
export const PSUBW = lanewise('PSUBW', 'F9', 'i16x8.sub', MMX);
export const PSUBD = lanewise('PSUBD', 'FA', 'i32x4.sub', MMX);
export const PSUBQ = lanewise('PSUBQ', 'FB', 'i64x2.sub', MMX_SSE2);
export const PSUBSB = lanewise('PSUBSB', 'E8', 'i8x16.sub_sat_s', MMX);
export const PSUBSW = lanewise('PSUBSW', 'E9', 'i16x8.sub_sat_s', MMX);
export const PSUBUSB = lanewise('PSUBUSB', 'D8', 'i8x16.sub_sat_u', MMX);
export const PSUBUSW = lanewise('PSUBUSW', 'D9', 'i16x8.sub_sat_u', MMX);
export const PAVGB = lanewise('PAVGB', 'E0', 'i8x16.avgr_u', MMX_SSE);
export const PAVGW = lanewise('PAVGW', 'E3', 'i16x8.avgr_u', MMX_SSE);

/** Applies an operation to the even and the odd elements of both operands, pairwise (PHADDW and its kin). */
function horizontal(mnemonic: string, opcode: string, size: 2 | 4, operation: VectorOperation): Instruction[] {
  const even = elements(size, size === 2 ? [0, 2, 4, 6, 8, 10, 12, 14] : [0, 2, 4, 6]);
  const odd = even.map((byte) => byte + size);
  const whole: VectorOperation = (x, a, b) => {
    const shuffle = x.op['i8x16.shuffle'];
    return operation(x, x.let(shuffle(a, b, even)) as VectorLocal, x.let(shuffle(a, b, odd)) as VectorLocal);
  };
  return packed(mnemonic, opcode, whole, { ...SSSE3, narrow: pairedNarrow(whole) });
}

/** The MMX form of an operation whose result has the first operand's part in its low half: both operands side by side. */
function pairedNarrow(operation: VectorOperation): VectorOperation {
  return (x, a, b) => {
    const both = x.let(lowHalves(x, a, b)) as VectorLocal;
    return operation(x, both, both);
  };
}

export const PHADDW = horizontal('PHADDW', '38 01', 2, (x, a, b) => x.op['i16x8.add'](a, b));
export const PHADDD = horizontal('PHADDD', '38 02', 4, (x, a, b) => x.op['i32x4.add'](a, b));
export const PHADDSW = horizontal('PHADDSW', '38 03', 2, (x, a, b) => x.op['i16x8.add_sat_s'](a, b));
export const PHSUBW = horizontal('PHSUBW', '38 05', 2, (x, a, b) => x.op['i16x8.sub'](a, b));
export const PHSUBD = horizontal('PHSUBD', '38 06', 4, (x, a, b) => x.op['i32x4.sub'](a, b));
export const PHSUBSW = horizontal('PHSUBSW', '38 07', 2, (x, a, b) => x.op['i16x8.sub_sat_s'](a, b));

// ---- multiplication

export const PMULLW = lanewise('PMULLW', 'D5', 'i16x8.mul', MMX);
export const PMULLD = lanewise('PMULLD', '38 40', 'i32x4.mul', SSE41);
export const PMADDWD = lanewise('PMADDWD', 'F5', 'i32x4.dot_i16x8_s', MMX);

/** The high words of 32-bit products. */
const highWords = (x: Stage, lower: V128, upper: V128): V128 =>
  x.op['i8x16.shuffle'](lower, upper, elements(2, [1, 3, 5, 7, 9, 11, 13, 15]));

export const PMULHW = packed(
  'PMULHW',
  'E5',
  (x, a, b) => highWords(x, x.op['i32x4.extmul_low_i16x8_s'](a, b), x.op['i32x4.extmul_high_i16x8_s'](a, b)),
  MMX,
);
export const PMULHUW = packed(
  'PMULHUW',
  'E4',
  (x, a, b) => highWords(x, x.op['i32x4.extmul_low_i16x8_u'](a, b), x.op['i32x4.extmul_high_i16x8_u'](a, b)),
  MMX_SSE,
);

/** The even doublewords in the low half, for the widening multiplications. */
const evenDoublewords = (x: Stage, a: VectorLocal): V128 => x.op['i8x16.shuffle'](a, a, elements(4, [0, 2, 0, 2]));

export const PMULUDQ = packed(
  'PMULUDQ',
  'F4',
  (x, a, b) => x.op['i64x2.extmul_low_i32x4_u'](evenDoublewords(x, a), evenDoublewords(x, b)),
  MMX_SSE2,
);
export const PMULDQ = packed(
  'PMULDQ',
  '38 28',
  (x, a, b) => x.op['i64x2.extmul_low_i32x4_s'](evenDoublewords(x, a), evenDoublewords(x, b)),
  SSE41,
);

export const PMULHRSW = packed(
  'PMULHRSW',
  '38 0B',
  (x, a, b) => {
    // WebAssembly saturates -1 * -1 to 7FFFH where PMULHRSW gives 8000H; nothing else differs
    const lowest = lanes(x, 16, () => 0x8000);
    const both = x.op['v128.and'](x.op['i16x8.eq'](a, lowest), x.op['i16x8.eq'](b, lowest));
    return x.op['v128.xor'](x.op['i16x8.q15mulr_sat_s'](a, b), both);
  },
  SSSE3,
);

/** Unsigned bytes of the destination times signed bytes of the source, neighbours added with saturation. */
export const PMADDUBSW = packed(
  'PMADDUBSW',
  '38 04',
  (x, a, b) => {
    const { op } = x;
    const eight = x.i32(8);
    const even = op['i16x8.mul'](
      op['v128.and'](
        a,
        lanes(x, 16, () => 0xff),
      ),
      op['i16x8.shr_s'](op['i16x8.shl'](b, eight), eight),
    );
    const odd = op['i16x8.mul'](op['i16x8.shr_u'](a, eight), op['i16x8.shr_s'](b, eight));
    return op['i16x8.add_sat_s'](even, odd);
  },
  SSSE3,
);

// ---- absolute values, signs, sums of differences

/** |a - b| of unsigned bytes: one of the two saturating differences is zero. */
export function byteDifferences(x: Stage, a: VectorLocal, b: VectorLocal): V128 {
  return x.op['v128.or'](x.op['i8x16.sub_sat_u'](a, b), x.op['i8x16.sub_sat_u'](b, a));
}

export const PSADBW = packed(
  'PSADBW',
  'F6',
  (x, a, b) => {
    const { op } = x;
    const words = op['i16x8.extadd_pairwise_i8x16_u'](byteDifferences(x, a, b));
    const doublewords = x.let(op['i32x4.extadd_pairwise_i16x8_u'](words));
    const lower = op['v128.and'](
      doublewords,
      lanes(x, 64, () => 0xffffffff),
    );
    return op['i64x2.add'](lower, op['i64x2.shr_u'](doublewords, x.i32(32)));
  },
  MMX_SSE,
);

export const PABSB = packed('PABSB', '38 1C', (x, _a, b) => x.op['i8x16.abs'](b), SSSE3);
export const PABSW = packed('PABSW', '38 1D', (x, _a, b) => x.op['i16x8.abs'](b), SSSE3);
export const PABSD = packed('PABSD', '38 1E', (x, _a, b) => x.op['i32x4.abs'](b), SSSE3);

/** Negates where the source is negative, clears where it is zero: (a ^ m) - m with m all ones or zeros. */
function sign(mnemonic: string, opcode: string, shape: 'i8x16' | 'i16x8' | 'i32x4', bits: number): Instruction[] {
  return packed(
    mnemonic,
    opcode,
    (x, a, b) => {
      const { op } = x;
      const negative = x.let(op[`${shape}.shr_s`](b, x.i32(bits - 1)));
      const signed = op[`${shape}.sub`](op['v128.xor'](a, negative), negative);
      return op['v128.andnot'](
        signed,
        op[`${shape}.eq`](
          b,
          lanes(x, 64, () => 0),
        ),
      );
    },
    SSSE3,
  );
}
export const PSIGNB = sign('PSIGNB', '38 08', 'i8x16', 8);
export const PSIGNW = sign('PSIGNW', '38 09', 'i16x8', 16);
export const PSIGND = sign('PSIGND', '38 0A', 'i32x4', 32);

// ---- minimum and maximum

export const PMINUB = lanewise('PMINUB', 'DA', 'i8x16.min_u', MMX_SSE);
export const PMAXUB = lanewise('PMAXUB', 'DE', 'i8x16.max_u', MMX_SSE);
export const PMINSW = lanewise('PMINSW', 'EA', 'i16x8.min_s', MMX_SSE);
export const PMAXSW = lanewise('PMAXSW', 'EE', 'i16x8.max_s', MMX_SSE);
export const PMINSB = lanewise('PMINSB', '38 38', 'i8x16.min_s', SSE41);
export const PMINSD = lanewise('PMINSD', '38 39', 'i32x4.min_s', SSE41);
export const PMINUW = lanewise('PMINUW', '38 3A', 'i16x8.min_u', SSE41);
export const PMINUD = lanewise('PMINUD', '38 3B', 'i32x4.min_u', SSE41);
export const PMAXSB = lanewise('PMAXSB', '38 3C', 'i8x16.max_s', SSE41);
export const PMAXSD = lanewise('PMAXSD', '38 3D', 'i32x4.max_s', SSE41);
export const PMAXUW = lanewise('PMAXUW', '38 3E', 'i16x8.max_u', SSE41);
export const PMAXUD = lanewise('PMAXUD', '38 3F', 'i32x4.max_u', SSE41);

/** The smallest word and its place: words above their numbers in doublewords, then minima down to one. */
export const PHMINPOSUW = packed(
  'PHMINPOSUW',
  '38 41',
  (x, _a, b) => {
    const { op } = x;
    const numbered = (words: V128, first: number) =>
      op['v128.or'](
        op['i32x4.shl'](words, x.i32(16)),
        lanes(x, 32, (i) => first + i),
      );
    const lower = numbered(op['i32x4.extend_low_i16x8_u'](b), 0);
    const upper = numbered(op['i32x4.extend_high_i16x8_u'](b), 4);
    const four = x.let(op['i32x4.min_u'](lower, upper)) as VectorLocal;
    const two = x.let(
      op['i32x4.min_u'](four, op['i8x16.shuffle'](four, four, elements(4, [2, 3, 2, 3]))),
    ) as VectorLocal;
    const one = op['i32x4.min_u'](two, op['i8x16.shuffle'](two, two, elements(4, [1, 1, 1, 1])));
    const least = op['i32x4.extract_lane'](one, 0);
    return op['i32x4.replace_lane'](
      lanes(x, 64, () => 0),
      op['i32.rotl'](least, x.i32(16)),
      0,
    );
  },
  SSE41,
);

// ---- comparison

export const PCMPEQB = lanewise('PCMPEQB', '74', 'i8x16.eq', MMX);
export const PCMPEQW = lanewise('PCMPEQW', '75', 'i16x8.eq', MMX);
export const PCMPEQD = lanewise('PCMPEQD', '76', 'i32x4.eq', MMX);
export const PCMPEQQ = lanewise('PCMPEQQ', '38 29', 'i64x2.eq', SSE41);
export const PCMPGTB = lanewise('PCMPGTB', '64', 'i8x16.gt_s', MMX);
export const PCMPGTW = lanewise('PCMPGTW', '65', 'i16x8.gt_s', MMX);
export const PCMPGTD = lanewise('PCMPGTD', '66', 'i32x4.gt_s', MMX);
export const PCMPGTQ = lanewise('PCMPGTQ', '38 37', 'i64x2.gt_s', SSE42);

// ---- logic

export const PAND = lanewise('PAND', 'DB', 'v128.and', MMX);
export const PANDN = packed('PANDN', 'DF', (x, a, b) => x.op['v128.andnot'](b, a), MMX);
export const POR = lanewise('POR', 'EB', 'v128.or', MMX);
export const PXOR = lanewise('PXOR', 'EF', 'v128.xor', MMX);

// ---- packing

/** Narrows both operands with saturation into one. */
const pack = (mnemonic: string, opcode: string, operation: VectorOperation): Instruction[] =>
  packed(mnemonic, opcode, operation, { ...MMX, narrow: pairedNarrow(operation) });

export const PACKSSWB = pack('PACKSSWB', '63', (x, a, b) => x.op['i8x16.narrow_i16x8_s'](a, b));
export const PACKUSWB = pack('PACKUSWB', '67', (x, a, b) => x.op['i8x16.narrow_i16x8_u'](a, b));
export const PACKSSDW = pack('PACKSSDW', '6B', (x, a, b) => x.op['i16x8.narrow_i32x4_s'](a, b));
export const PACKUSDW = lanewise('PACKUSDW', '38 2B', 'i16x8.narrow_i32x4_u', SSE41);

// ---- unpacking

/** Elements of both operands in turn, from their low or high halves. */
function unpack(mnemonic: string, opcode: string, size: 1 | 2 | 4 | 8, upper: boolean): Instruction[] {
  const count = 16 / size;
  const half = count / 2;
  const order = (first: number) =>
    elements(
      size,
      Array.from({ length: count }, (_, i) => first + (i >> 1) + (i & 1) * count),
    );
  const operation: VectorOperation = (x, a, b) => x.op['i8x16.shuffle'](a, b, order(upper ? half : 0));
  // of an MMX register the high half is the second quarter, that is the high half of the low unpacking
  const narrow: VectorOperation = upper ? (x, a, b) => x.op['i8x16.shuffle'](a, b, order(half / 2)) : operation;
  return packed(mnemonic, opcode, operation, size === 8 ? {} : { ...MMX, narrow, narrowSource: upper ? 'Qq' : 'Qd' });
}
export const PUNPCKLBW = unpack('PUNPCKLBW', '60', 1, false);
export const PUNPCKLWD = unpack('PUNPCKLWD', '61', 2, false);
export const PUNPCKLDQ = unpack('PUNPCKLDQ', '62', 4, false);
export const PUNPCKLQDQ = unpack('PUNPCKLQDQ', '6C', 8, false);
export const PUNPCKHBW = unpack('PUNPCKHBW', '68', 1, true);
export const PUNPCKHWD = unpack('PUNPCKHWD', '69', 2, true);
export const PUNPCKHDQ = unpack('PUNPCKHDQ', '6A', 4, true);
export const PUNPCKHQDQ = unpack('PUNPCKHQDQ', '6D', 8, true);

/** Each byte of the result is one of the destination's, chosen by the source; bit 7 clears. */
export const PSHUFB = packed(
  'PSHUFB',
  '38 00',
  (x, a, b) =>
    x.op['i8x16.swizzle'](
      a,
      x.op['v128.and'](
        b,
        bytes(x, () => 0x8f),
      ),
    ),
  {
    ...SSSE3,
    narrow: (x, a, b) =>
      x.op['i8x16.swizzle'](
        a,
        x.op['v128.and'](
          b,
          bytes(x, () => 0x87),
        ),
      ),
  },
);
