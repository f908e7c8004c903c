/** SSE conversions between floating-point formats and integers. */
import type { Local, Value } from '../../wasm/index.ts';
import { type Feature, type Instruction, instruction } from '../instruction.ts';
import type { I32, I64, Int, Stage } from '../stage.ts';
import {
  type FloatFormat,
  type Pattern,
  PD,
  PS,
  quickOr,
  quietNearest,
  quietPrecision,
  SD,
  SS,
} from './float-format.ts';
import { learnConverted, learnInteger, requireConvertible, requireQuiet } from './float-range.ts';
import { SseOperation } from './operations.ts';
import { elements, lanes, low, source, type V128, type VectorLocal, widened } from './vector.ts';

function conversion(mnemonic: string, encoding: string, feature: Feature, execute: (x: Stage) => void): Instruction {
  return instruction(mnemonic, { encodings: [encoding], access: ['w', 'r'], feature, unit: 'sse', execute });
}

// ---- between single and double precision

export const CVTSS2SD = conversion('CVTSS2SD', 'F3 0F 5A Vsd,Wss', 'sse2', (x) => {
  const value = x.number(1) as Local<'f32'>;
  if (x.assuming) {
    requireConvertible(x, SS, value);
    const result = x.let(x.op['f64.promote_f32'](value));
    learnConverted(x, SD, result, SS, value);
    x.write(0, result);
    return;
  }
  const quick = x.op['f64.promote_f32'](value);
  const sound = SS.all(x, SS.plain(x, SS.doubled(x, value)));
  x.write(
    0,
    quickOr(x, sound, quick, () => SS.exact(x, SseOperation.CONVERT_PRECISION, 'f64', 0, value)),
  );
});

export const CVTSD2SS = conversion('CVTSD2SS', 'F2 0F 5A Vss,Wsd', 'sse2', (x) => {
  const value = x.number(1) as Local<'f64'>;
  const result = x.let(x.op['f32.demote_f64'](value)) as Local<'f32'>;
  if (x.assuming) {
    requireConvertible(x, SD, value);
    requireQuiet(x);
    learnConverted(x, SS, result, SD, value);
    x.write(0, result);
    return;
  }
  const doubled = SD.doubled(x, value);
  // zero only of zero; what is not denormal is ordinary, or the result tells
  const zeros = SD.isZero(x, doubled) as I32;
  const ordinary = SS.ordinary(x, SS.doubled(x, result)) as I32;
  const sound = x.or(zeros, x.and(ordinary, quietNearest(x)));
  x.write(
    0,
    quickOr(x, sound, result as Value<'f32'>, () => SD.exact(x, SseOperation.CONVERT_PRECISION, 'f32', 0, value)),
  );
});

export const CVTPS2PD = conversion('CVTPS2PD', 'NP 0F 5A Vpd,Wq', 'sse2', (x) => {
  // both elements twice, so that all four are to be tested
  const value = widened(x, 1);
  const sound = PS.all(x, PS.plain(x, PS.doubled(x, value)));
  const quick = x.op['f64x2.promote_low_f32x4'](value);
  x.write(
    0,
    quickOr(x, sound, quick, () => PS.exact(x, SseOperation.CONVERT_PRECISION, 'v128', 0, value)),
  );
});

export const CVTPD2PS = conversion('CVTPD2PS', '66 0F 5A Vps,Wpd', 'sse2', (x) => {
  const { op } = x;
  const value = source(x, 1);
  const result = x.let(op['f32x4.demote_f64x2_zero'](value)) as VectorLocal;
  const pair = elements(4, [0, 2, 0, 2]);
  const zero = x.let(PD.isZero(x, PD.doubled(x, value)) as V128) as VectorLocal;
  const zeros = op['i8x16.shuffle'](zero, zero, pair);
  const both = x.let(op['i8x16.shuffle'](result, result, elements(4, [0, 1, 0, 1]))) as Pattern;
  const numbers = PS.all(x, PS.either(x, PS.ordinary(x, PS.doubled(x, both)), zeros));
  const sound = x.and(numbers, quietNearest(x));
  x.write(
    0,
    quickOr(x, sound, result as V128, () => PD.exact(x, SseOperation.CONVERT_PRECISION, 'v128', 0, value)),
  );
});

// ---- from integers

/** |value| up to 2^bits is exact in a format of more than that many bits. */
function small(x: Stage, value: Int, bits: number): I32 {
  const bound = 1n << BigInt(bits);
  const constant = (n: bigint) => (value.type === 'i64' ? x.i64(n) : x.i32(Number(n))) as Int;
  return x.leU(x.add(value, constant(bound)), constant(2n * bound));
}

function fromInteger(mnemonic: string, format: FloatFormat, bits: 32 | 64): Instruction {
  const encoding = `${format.prefix} W${bits === 64 ? 1 : 0} 0F 2A V${format.suffix},E${bits === 64 ? 'q' : 'd'}`;
  const precision = format.width === 64 ? 53 : 24;
  return conversion(mnemonic, encoding, format.feature, (x) => {
    const value = x.operand(1) as Int;
    const convert = x.op[`f${format.width}.convert_i${bits}_s`] as (v: Int) => Value;
    const quick = x.let(convert(value));
    if (x.assuming) learnInteger(x, format, quick, bits);
    if (precision > bits) {
      x.write(0, quick);
      return;
    }
    const operation = bits === 64 ? SseOperation.FROM_INT64 : SseOperation.FROM_INT32;
    const sound = x.or(small(x, value, precision), quietNearest(x));
    x.write(
      0,
      quickOr(x, sound, quick as Value, () => format.exact(x, operation, format.type, 0, value as Value) as Value),
    );
  });
}
export const CVTSI2SS = [fromInteger('CVTSI2SS', SS, 32), fromInteger('CVTSI2SS', SS, 64)];
export const CVTSI2SD = [fromInteger('CVTSI2SD', SD, 32), fromInteger('CVTSI2SD', SD, 64)];

/** Doublewords to single precision. */
function singles(x: Stage, value: VectorLocal): V128 {
  const { op } = x;
  const bound = 1 << 24;
  const small = op['i32x4.all_true'](
    op['i32x4.le_u'](
      op['i32x4.add'](
        value,
        lanes(x, 32, () => bound),
      ),
      lanes(x, 32, () => 2 * bound),
    ),
  );
  const sound = x.or(small as I32, quietNearest(x));
  const quick = op['f32x4.convert_i32x4_s'](value);
  return quickOr(x, sound, quick, () => PS.exact(x, SseOperation.FROM_INT32, 'v128', 0, value));
}
export const CVTDQ2PS = conversion('CVTDQ2PS', 'NP 0F 5B Vps,Wdq', 'sse2', (x) => x.write(0, singles(x, source(x, 1))));
export const CVTDQ2PD = conversion('CVTDQ2PD', 'F3 0F E6 Vpd,Wq', 'sse2', (x) =>
  x.write(0, x.op['f64x2.convert_low_i32x4_s'](x.op['i64x2.splat'](x.operand(1) as I64))),
);
/**
 * From an MMX register; from memory there is no change of the x87 state. As in conversions to MMX registers it changes even
 * where the conversion faults: AMD processors do it that way.
 */
function fromMmx(
  mnemonic: string,
  encoding: string,
  feature: Feature,
  convert: (x: Stage, value: VectorLocal) => Value,
): Instruction[] {
  return [
    conversion(mnemonic, `${encoding},Nq`, feature, (x) => {
      x.requireNoX87Exception();
      const value = widened(x, 1);
      x.enterMmx();
      x.write(0, convert(x, value));
    }),
    conversion(mnemonic, `${encoding},Mq`, feature, (x) => x.write(0, convert(x, widened(x, 1)))),
  ];
}
export const CVTPI2PS = fromMmx('CVTPI2PS', 'NP 0F 2A Vq', 'sse', (x, value) => low(x, singles(x, value)));
export const CVTPI2PD = fromMmx('CVTPI2PD', '66 0F 2A Vpd', 'sse2', (x, value) =>
  x.op['f64x2.convert_low_i32x4_s'](value),
);

// ---- to integers

/** The second argument of the exact operation: truncate whatever the rounding mode. */
const TRUNCATE = 1;

/** Patterns of 2^31 and 2^63. */
const LIMITS = {
  32: { 32: 0x4f00_0000n, 64: 0x41e0_0000_0000_0000n },
  64: { 32: 0x5f00_0000n, 64: 0x43e0_0000_0000_0000n },
} as const;

/**
 * The value made integral, and whether it converts to `bits` bits with nothing to report: in range, and exact or with
 * precision quiet. Exact conversions do not depend on the rounding mode.
 */
function integral(
  x: Stage,
  format: FloatFormat,
  value: Pattern,
  bits: 32 | 64,
  truncate: boolean,
): { number: Pattern; sound: I32 } {
  const number = x.let(format.compute(x, truncate ? 'trunc' : 'nearest', value));
  const limit = format.ofBits(x, format.constant(x, LIMITS[bits][format.width]));
  const inRange = format.all(x, format.compare(x, 'lt', format.compute(x, 'abs', number), limit));
  const exact = format.all(x, format.compare(x, 'eq', number, value));
  const quiet = truncate ? quietPrecision(x) : quietNearest(x);
  return { number, sound: x.and(inRange, x.or(exact, quiet)) };
}

function toInteger(
  mnemonic: string,
  opcode: string,
  format: FloatFormat,
  bits: 32 | 64,
  truncate: boolean,
): Instruction {
  const encoding = `${format.prefix} W${bits === 64 ? 1 : 0} 0F ${opcode} G${bits === 64 ? 'q' : 'd'},${format.source}`;
  return conversion(mnemonic, encoding, format.feature, (x) => {
    const value = x.number(1);
    const { number, sound } = integral(x, format, value, bits, truncate);
    const convert = x.op[`i${bits}.trunc_sat_f${format.width}_s`] as (v: Value) => Value<'i32' | 'i64'>;
    const operation = bits === 64 ? SseOperation.TO_INT64 : SseOperation.TO_INT32;
    const exact = () => format.exact(x, operation, `i${bits}`, truncate ? TRUNCATE : 0, value);
    x.write(0, quickOr(x, sound, convert(number), exact as () => Value<'i32' | 'i64'>));
  });
}
const toIntegers = (mnemonic: string, opcode: string, format: FloatFormat, truncate: boolean) => [
  toInteger(mnemonic, opcode, format, 32, truncate),
  toInteger(mnemonic, opcode, format, 64, truncate),
];
export const CVTSS2SI = toIntegers('CVTSS2SI', '2D', SS, false);
export const CVTTSS2SI = toIntegers('CVTTSS2SI', '2C', SS, true);
export const CVTSD2SI = toIntegers('CVTSD2SI', '2D', SD, false);
export const CVTTSD2SI = toIntegers('CVTTSD2SI', '2C', SD, true);

/** All elements to doublewords; of double precision ones to the low half. */
function doublewords(x: Stage, format: FloatFormat, value: VectorLocal, truncate: boolean): V128 {
  const { number, sound } = integral(x, format, value, 32, truncate);
  const quick = x.op[format === PS ? 'i32x4.trunc_sat_f32x4_s' : 'i32x4.trunc_sat_f64x2_s_zero'](number as VectorLocal);
  return quickOr(x, sound, quick, () => format.exact(x, SseOperation.TO_INT32, 'v128', truncate ? TRUNCATE : 0, value));
}
const packedToIntegers = (mnemonic: string, encoding: string, format: FloatFormat, truncate: boolean) =>
  conversion(mnemonic, `${encoding} Vdq,${format.source}`, 'sse2', (x) =>
    x.write(0, doublewords(x, format, source(x, 1), truncate)),
  );
export const CVTPS2DQ = packedToIntegers('CVTPS2DQ', '66 0F 5B', PS, false);
export const CVTTPS2DQ = packedToIntegers('CVTTPS2DQ', 'F3 0F 5B', PS, true);
export const CVTPD2DQ = packedToIntegers('CVTPD2DQ', 'F2 0F E6', PD, false);
export const CVTTPD2DQ = packedToIntegers('CVTTPD2DQ', '66 0F E6', PD, true);

const toMmx = (mnemonic: string, encoding: string, format: FloatFormat, truncate: boolean) =>
  conversion(mnemonic, `${encoding} Pq,${format === PS ? 'Wq' : 'Wpd'}`, format.feature, (x) => {
    x.requireNoX87Exception();
    const value = format === PS ? widened(x, 1) : source(x, 1);
    x.enterMmx();
    x.write(0, low(x, doublewords(x, format, value, truncate)));
  });
export const CVTPS2PI = toMmx('CVTPS2PI', 'NP 0F 2D', PS, false);
export const CVTTPS2PI = toMmx('CVTTPS2PI', 'NP 0F 2C', PS, true);
export const CVTPD2PI = toMmx('CVTPD2PI', '66 0F 2D', PD, false);
export const CVTTPD2PI = toMmx('CVTTPD2PI', '66 0F 2C', PD, true);
