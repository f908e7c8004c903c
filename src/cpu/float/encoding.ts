/**
 * The three memory formats of floating-point numbers, decoded and encoded (SDM vol. 1 section 4.2.2 and tables 4-3, 8-3).
 */
import {
  BINARY32,
  BINARY64,
  bitLength,
  DENORMAL,
  EXTENDED,
  type Float,
  type FloatFormat,
  INFINITE,
  NORMAL,
  QUIET_NAN,
  SIGNALING_NAN,
  UNSUPPORTED,
  ZERO,
  zero,
} from './number.ts';

/** An 80-bit register or memory value as it stands: sign and biased exponent, and the significand. */
export interface ExtendedBits {
  signExponent: number;
  significand: bigint;
}

const SIGN_EXTENDED = 0x8000;
const EXPONENT_EXTENDED = 0x7fff;
const INTEGER_BIT = 1n << 63n;
const QUIET_BIT = 1n << 62n;
const SIGNIFICAND_BITS_EXTENDED = 64;

/** An interchange format without explicit integer bit: binary32 or binary64. */
interface Interchange {
  readonly format: FloatFormat;
  readonly fractionBits: number;
  readonly exponentMask: number;
}
const INTERCHANGE32: Interchange = { format: BINARY32, fractionBits: 23, exponentMask: 0xff };
const INTERCHANGE64: Interchange = { format: BINARY64, fractionBits: 52, exponentMask: 0x7ff };

function decodeInterchange(
  { format, fractionBits, exponentMask }: Interchange,
  negative: boolean,
  biased: number,
  fraction: bigint,
): Float {
  if (biased === 0) {
    if (fraction === 0n) return zero(negative);
    return { kind: DENORMAL, negative, exponent: format.minimumExponent, significand: fraction };
  }
  const significand = fraction | (1n << BigInt(fractionBits));
  if (biased !== exponentMask) {
    return { kind: NORMAL, negative, exponent: format.minimumExponent + biased - 1, significand };
  }
  const aligned = significand << BigInt(SIGNIFICAND_BITS_EXTENDED - format.precision);
  const kind = fraction === 0n ? INFINITE : (aligned & QUIET_BIT) !== 0n ? QUIET_NAN : SIGNALING_NAN;
  return { kind, negative, exponent: 0, significand: aligned };
}

const FRACTION_BITS_32 = INTERCHANGE32.fractionBits;
const FRACTION_MASK_32 = 0x7f_ffff;

/** Decodes a binary32 bit pattern. */
export function decode32(bits: number): Float {
  const biased = (bits >>> FRACTION_BITS_32) & INTERCHANGE32.exponentMask;
  return decodeInterchange(INTERCHANGE32, bits >>> 31 !== 0, biased, BigInt(bits & FRACTION_MASK_32));
}

/** Decodes a binary64 bit pattern. */
export function decode64(bits: bigint): Float {
  const biased = Number(bits >> 52n) & INTERCHANGE64.exponentMask;
  return decodeInterchange(INTERCHANGE64, bits >> 63n !== 0n, biased, BigInt.asUintN(52, bits));
}

/** Decodes an 80-bit encoding. Pseudo-denormals are denormals; what the 387 rejects is UNSUPPORTED. */
export function decodeExtended(signExponent: number, significand: bigint): Float {
  const negative = (signExponent & SIGN_EXTENDED) !== 0;
  const biased = signExponent & EXPONENT_EXTENDED;
  if (biased === 0) {
    return significand === 0n
      ? zero(negative)
      : { kind: DENORMAL, negative, exponent: EXTENDED.minimumExponent, significand };
  }
  if ((significand & INTEGER_BIT) === 0n) return { kind: UNSUPPORTED, negative, exponent: 0, significand };
  if (biased !== EXPONENT_EXTENDED) {
    return { kind: NORMAL, negative, exponent: EXTENDED.minimumExponent + biased - 1, significand };
  }
  const kind = significand === INTEGER_BIT ? INFINITE : (significand & QUIET_BIT) !== 0n ? QUIET_NAN : SIGNALING_NAN;
  return { kind, negative, exponent: 0, significand };
}

/** The biased exponent and the full significand of a value the format holds exactly; only finite numbers. */
function normalise(format: FloatFormat, a: Float): { biased: number; significand: bigint } {
  if (a.kind === ZERO) return { biased: 0, significand: 0n };
  const length = bitLength(a.significand);
  const unit = Math.max(a.exponent + length - format.precision, format.minimumExponent);
  const shift = a.exponent - unit;
  const significand = shift >= 0 ? a.significand << BigInt(shift) : a.significand >> BigInt(-shift);
  const normal = length + shift === format.precision;
  return { biased: normal ? unit - format.minimumExponent + 1 : 0, significand };
}

function encodeInterchange({ format, fractionBits, exponentMask }: Interchange, a: Float): bigint {
  let biased = exponentMask;
  let significand = a.significand >> BigInt(SIGNIFICAND_BITS_EXTENDED - format.precision);
  if (a.kind < INFINITE) ({ biased, significand } = normalise(format, a));
  const magnitude = (BigInt(biased) << BigInt(fractionBits)) | BigInt.asUintN(fractionBits, significand);
  return a.negative ? magnitude | (BigInt(exponentMask + 1) << BigInt(fractionBits)) : magnitude;
}

/** Encodes a value already rounded to binary32 (NaN payloads are cut). */
export const encode32 = (a: Float): number => Number(encodeInterchange(INTERCHANGE32, a));

/** Encodes a value already rounded to binary64 (NaN payloads are cut). */
export const encode64 = (a: Float): bigint => encodeInterchange(INTERCHANGE64, a);

/** Encodes a value already rounded to extended range and precision. */
export function encodeExtended(a: Float): ExtendedBits {
  const sign = a.negative ? SIGN_EXTENDED : 0;
  if (a.kind >= INFINITE) return { signExponent: sign | EXPONENT_EXTENDED, significand: a.significand };
  const { biased, significand } = normalise(EXTENDED, a);
  return { signExponent: sign | biased, significand };
}
