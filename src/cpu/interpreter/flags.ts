/**
 * Arithmetic flags as the interpreter keeps them: two words of the context from which each flag can be computed
 * independently of what set them.
 *
 * - flagResult: the result sign-extended to 64 bits. ZF = (flagResult == 0); SF = bit 63 ^ sign delta; PF = parity of the
 *   low byte ^ parity delta.
 * - flagCarries: CF bit 63, CF^OF bit 62 (the carries out of and into the sign bit), AF bit 3, parity delta bits 15:8,
 *   sign delta bit 16.
 */
import type { Bits, FlagName, FlagValues, I32, I64, Int, Stage } from '../../isa/stage.ts';
import type { Local, Value } from '../../wasm/index.ts';
import { offsetOf } from '../context.ts';

const RESULT = offsetOf('flagResult');
const CARRIES = offsetOf('flagCarries');
const CARRY_BITS = (3n << 62n) | 8n;
export const SIGN_DELTA_SHIFT = 16;
export const PARITY_DELTA_SHIFT = 8;

type Context = Local<'i32'>;

function carries(x: Stage, ctx: Context): I64 {
  return x.f.load('i64.load', ctx, CARRIES) as I64;
}
function result(x: Stage, ctx: Context): I64 {
  return x.f.load('i64.load', ctx, RESULT) as I64;
}

/** A result widened to 64 bits by its sign. */
export function signed64(x: Stage, value: Int, bits: Bits): I64 {
  return bits === 64 ? (value as I64) : x.extendS(x.signExtend(x.toI32(value), bits));
}

/** Carries out of each bit of a + b (+ carry) or a - b (- borrow). */
export function carryVector(x: Stage, kind: 'add' | 'sub', a: Int, b: Int, r: Int): Int {
  if (kind === 'add') return x.or(x.and(a, b), x.and(x.or(a, b), x.not(r)));
  return x.or(x.and(x.not(a), b), x.and(x.not(x.xor(a, b)), r));
}

/** The carry vector of `bits` width with its two highest carries at bits 63 and 62, and AF at bit 3. */
export function normalised(x: Stage, vector: Int, bits: Bits): I64 {
  if (bits === 64) return x.and(vector as I64, x.i64(CARRY_BITS) as I64);
  const v = x.let(x.toI32(vector)) as I32;
  const high = x.shl(x.extendU(x.and(x.shrU(v, bits - 2), 3)), 62);
  return x.or(high, x.extendU(x.and(v, 8)));
}

export function emitFlags(
  x: Stage,
  ctx: Context,
  kind: 'add' | 'sub' | 'inc' | 'dec',
  a: Int,
  b: Int,
  r: Int,
  bits: Bits,
): void {
  const { f } = x;
  const vector = carryVector(x, kind === 'add' || kind === 'inc' ? 'add' : 'sub', a, b, r);
  let word = normalised(x, vector, bits);
  if (kind === 'inc' || kind === 'dec') {
    // keep CF; bit 62 holds CF ^ OF, so a changed bit 63 flips it too
    const fresh = x.let(word) as I64;
    const difference = x.let(x.and(x.xor(fresh, carries(x, ctx)), x.i64(1n << 63n) as I64)) as I64;
    word = x.xor(fresh, x.or(difference, x.shrU(difference, 1)));
  }
  f.store('i64.store', ctx, word, CARRIES);
  f.store('i64.store', ctx, signed64(x, r, bits), RESULT);
}

export function emitLogicFlags(x: Stage, ctx: Context, r: Int, bits: Bits): void {
  x.f.store('i64.store', ctx, signed64(x, r, bits), RESULT);
  x.f.store('i64.store', ctx, x.i64(0), CARRIES);
}

/** One flag as a tree of 0 or 1. */
export function emitFlag(x: Stage, ctx: Context, name: FlagName): Value<'i32'> {
  switch (name) {
    case 'CF':
      return x.wrap(x.shrU(carries(x, ctx), 63));
    case 'OF': {
      const word = x.let(carries(x, ctx)) as I64;
      return x.wrap(x.shrU(x.xor(word, x.shl(word, 1)), 63));
    }
    case 'ZF':
      return x.eqz(result(x, ctx));
    case 'SF':
      return x.and(x.xor(x.wrap(x.shrU(result(x, ctx), 63)), x.wrap(x.shrU(carries(x, ctx), SIGN_DELTA_SHIFT))), 1);
    case 'AF':
      return x.and(x.wrap(x.shrU(carries(x, ctx), 3)), 1);
    case 'PF': {
      const byte = x.and(x.wrap(x.xor(result(x, ctx), x.shrU(carries(x, ctx), PARITY_DELTA_SHIFT))), 0xff);
      return x.xor(x.and(x.popcnt(byte), 1), 1);
    }
  }
}

/** Condition codes 0-15 (SDM vol. 1 appendix B). */
export function emitCondition(x: Stage, ctx: Context, cc: number): Value<'i32'> {
  const flag = (name: FlagName) => emitFlag(x, ctx, name);
  const base = (): Value<'i32'> => {
    switch (cc >> 1) {
      case 0:
        return flag('OF');
      case 1:
        return flag('CF');
      case 2:
        return flag('ZF');
      case 3:
        return x.or(flag('CF') as I32, flag('ZF') as I32);
      case 4:
        return flag('SF');
      case 5:
        return flag('PF');
      case 6:
        return x.xor(flag('SF') as I32, flag('OF') as I32);
      default:
        return x.or(x.xor(flag('SF') as I32, flag('OF') as I32), flag('ZF') as I32);
    }
  };
  const value = base();
  return cc & 1 ? x.xor(value as I32, 1) : value;
}

/** Writes both words from all six flags given as 0/1 values. */
function storeAll(x: Stage, ctx: Context, flags: Record<FlagName, I32>): void {
  const { f } = x;
  // ZF set: result 0 (even parity, positive), the deltas correct PF and SF; clear: result 1 (odd parity, positive)
  const zf = x.let(flags.ZF) as I32;
  const parityDelta = x.xor(flags.PF, zf); // result 0 has PF 1, result 1 has PF 0
  const cf = x.let(flags.CF) as I32;
  const low = x.or(
    x.or(x.shl(flags.AF, 3), x.shl(x.and(parityDelta, 1), PARITY_DELTA_SHIFT)),
    x.shl(flags.SF, SIGN_DELTA_SHIFT),
  );
  const high = x.or(x.shl(x.extendU(cf), 63), x.shl(x.extendU(x.xor(cf, flags.OF)), 62));
  f.store('i64.store', ctx, x.or(high, x.extendU(low)), CARRIES);
  f.store('i64.store', ctx, x.extendU(x.xor(zf, 1)), RESULT);
}

export function emitSetFlags(x: Stage, ctx: Context, values: FlagValues, bits: Bits): void {
  const { f } = x;
  if (values.result !== undefined) {
    // SF ZF PF from the result; CF, OF and AF as given, or kept
    const r = x.let(signed64(x, values.result, bits));
    const pick = (name: 'CF' | 'OF' | 'AF') => x.let((values[name] ?? emitFlag(x, ctx, name)) as I32) as I32;
    const cf = pick('CF');
    const of = pick('OF');
    const af = pick('AF');
    const high = x.or(x.shl(x.extendU(cf), 63), x.shl(x.extendU(x.xor(cf, of)), 62));
    f.store('i64.store', ctx, x.or(high, x.shl(x.extendU(af), 3)), CARRIES);
    f.store('i64.store', ctx, r, RESULT);
    return;
  }
  if (values.ZF === undefined && values.SF === undefined && values.PF === undefined) {
    // only carries change
    const old = x.let(carries(x, ctx)) as I64;
    let mask = 0n;
    let fresh: I64 | undefined;
    const put = (value: I64) => {
      fresh = fresh === undefined ? value : x.or(fresh, value);
    };
    if (values.CF !== undefined || values.OF !== undefined) {
      const cf = x.let((values.CF ?? emitFlag(x, ctx, 'CF')) as I32) as I32;
      const of = x.let((values.OF ?? emitFlag(x, ctx, 'OF')) as I32) as I32;
      mask |= 3n << 62n;
      put(x.shl(x.extendU(cf), 63));
      put(x.shl(x.extendU(x.xor(cf, of)), 62));
    }
    if (values.AF !== undefined) {
      mask |= 8n;
      put(x.shl(x.extendU(values.AF), 3));
    }
    if (fresh !== undefined) f.store('i64.store', ctx, x.or(x.and(old, x.i64(~mask) as I64), fresh), CARRIES);
    return;
  }
  const pick = (name: FlagName) => x.let((values[name] ?? emitFlag(x, ctx, name)) as I32) as I32;
  storeAll(x, ctx, { CF: pick('CF'), PF: pick('PF'), AF: pick('AF'), ZF: pick('ZF'), SF: pick('SF'), OF: pick('OF') });
}

/** SF ZF AF PF CF in their RFLAGS places, bit 1 set. */
export function emitLowFlags(x: Stage, ctx: Context): Value<'i32'> {
  const place = (name: FlagName, bit: number) => x.shl(emitFlag(x, ctx, name) as I32, bit);
  return x.or(
    x.or(x.or(place('CF', 0), place('PF', 2)), x.or(place('AF', 4), place('ZF', 6))),
    x.or(place('SF', 7), 2),
  );
}

export function emitSetLowFlags(x: Stage, ctx: Context, value: I32): void {
  const v = x.let(value) as I32;
  const bit = (n: number) => x.and(n === 0 ? v : x.shrU(v, n), 1);
  const of = x.let(emitFlag(x, ctx, 'OF')) as I32;
  storeAll(x, ctx, { CF: bit(0), PF: bit(2), AF: bit(4), ZF: bit(6), SF: bit(7), OF: of });
}
