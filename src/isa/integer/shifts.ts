/** Shifts and rotates: ROL ROR RCL RCR SHL SHR SAR SHLD SHRD (SDM vol. 2; counts are masked to 5 or 6 bits). */
import { instruction } from '../instruction.ts';
import type { Bits, I32, Int, Stage } from '../stage.ts';

function forms(digit: number): string[] {
  return [
    `C0 /${digit} Eb,Ib`,
    `C1 /${digit} Ev,Ib`,
    `D0 /${digit} Eb,1`,
    `D1 /${digit} Ev,1`,
    `D2 /${digit} Eb,CL`,
    `D3 /${digit} Ev,CL`,
  ];
}

/** The masked count, as an integer of the operand's type. A zero count changes nothing, flags included. */
function shift(
  mnemonic: string,
  digits: number[],
  undefinedFlags: string,
  body: (x: Stage, a: Int, count: Int, bits: Bits) => void,
) {
  return instruction(mnemonic, {
    encodings: digits.flatMap(forms),
    access: ['rw', 'r'],
    undefinedFlags,
    execute(x) {
      const bits = x.bitsOf(0) as Bits;
      const a = x.operand(0) as Int;
      const raw = x.operand(1) as Int;
      const count = x.let(x.toBits(x.and(x.toI32(raw), bits === 64 ? 63 : 31), bits)) as Int;
      // a 32-bit register operand is written (and its upper half cleared) even when the count is 0
      if (bits === 32 && x.kind(0) === 'register') x.write(0, a);
      x.if(x.nez(count), () => body(x, a, count, bits));
    },
  });
}

/** Shifts a value held in a wider integer: bits beyond the type's width must vanish, so 8/16-bit counts up to 31 are safe in i32; 32/64-bit counts are below the width. */
export const SHL = shift('SHL', [4, 6], 'OA', (x, a, count, bits) => {
  const result = x.let(x.shl(a, count)) as Int;
  const flags = () => {
    // last bit shifted out: bit `bits - count` of a; for counts beyond the width it is 0
    const previous = x.let(x.shl(a, x.sub(count, 1))) as Int;
    const cf = x.let(x.signBit(previous, bits)) as I32;
    return { CF: cf, OF: x.xor(x.signBit(result, bits), cf), AF: x.i32(0) };
  };
  x.setFlagsLater([a, count], flags, bits, result);
  x.write(0, result);
});

export const SHR = shift('SHR', [5], 'OA', (x, a, count, bits) => {
  const result = x.let(x.shrU(a, count)) as Int;
  const flags = () => {
    const cf = x.and(x.toI32(x.shrU(a, x.sub(count, 1))), 1);
    return { CF: cf, OF: x.signBit(a, bits), AF: x.i32(0) };
  };
  x.setFlagsLater([a, count], flags, bits, result);
  x.write(0, result);
});

export const SAR = shift('SAR', [7], 'A', (x, a, count, bits) => {
  const wide = x.let(x.signExtend(a, bits)) as Int;
  const result = x.let(x.shrS(wide, count)) as Int;
  const flags = () => {
    const cf = x.and(x.toI32(x.shrS(wide, x.sub(count, 1))), 1);
    return { CF: cf, OF: x.i32(0), AF: x.i32(0) };
  };
  x.setFlagsLater([wide, count], flags, bits, result);
  x.write(0, result);
});

/** Rotates `bits`-wide `a` left by `count` (already within the type's shift range). */
function rotate(x: Stage, a: Int, count: Int, bits: Bits, left: boolean): Int {
  if (bits >= 32) return left ? x.rotl(a, count) : x.rotr(a, count);
  const n = x.let(x.and(count, bits - 1)) as Int;
  const back = x.and(x.sub(x.constant(bits, bits), n), bits - 1);
  const value = left ? x.or(x.shl(a, n), x.shrU(a, back)) : x.or(x.shrU(a, n), x.shl(a, back));
  return x.zeroExtend(x.let(value) as Int, bits);
}

export const ROL = shift('ROL', [0], 'O', (x, a, count, bits) => {
  const result = x.let(rotate(x, a, count, bits, true)) as Int;
  const flags = () => {
    const cf = x.let(x.and(x.toI32(result), 1)) as I32;
    return { CF: cf, OF: x.xor(x.signBit(result, bits), cf) };
  };
  x.setFlagsLater([result], flags, bits);
  x.write(0, result);
});

export const ROR = shift('ROR', [1], 'O', (x, a, count, bits) => {
  const result = x.let(rotate(x, a, count, bits, false)) as Int;
  const flags = () => {
    const cf = x.let(x.signBit(result, bits)) as I32;
    return { CF: cf, OF: x.xor(cf, x.and(x.toI32(x.shrU(result, bits - 2)), 1)) };
  };
  x.setFlagsLater([result], flags, bits);
  x.write(0, result);
});

/**
 * RCL and RCR rotate through CF, bits + 1 positions; the count is taken modulo that for bytes and words. Shifts are done in
 * 64 bits for up to 32-bit operands (the joined value has at most 33), and in two steps for 64-bit ones.
 */
function rotateThroughCarry(x: Stage, a: Int, count: Int, bits: Bits, left: boolean): void {
  const cf = x.flag('CF');
  let result: Int;
  let out: I32;
  if (bits === 64) {
    // count is 1-63
    const carryIn = x.extendU(cf);
    const one = x.let(x.sub(count, 1)) as Int;
    const rest = x.sub(x.constant(63, 64), one);
    const split = x.let(rest) as Int;
    if (left) {
      out = x.let(x.and(x.toI32(x.shrU(a, split)), 1)) as I32;
      const low = x.shrU(x.shrU(a, split), 1);
      result = x.let(x.or(x.or(x.shl(a, count), x.shl(carryIn as Int, one)), low)) as Int;
    } else {
      out = x.let(x.and(x.toI32(x.shrU(a, one)), 1)) as I32;
      const high = x.shl(x.shl(a, split), 1);
      result = x.let(x.or(x.or(x.shrU(a, count), x.shl(carryIn as Int, split)), high)) as Int;
    }
  } else {
    const width = bits + 1;
    const n = x.let(x.toI64(bits === 32 ? count : x.remU(count, width)));
    const joined = x.let(x.or(x.toI64(a), x.shl(x.extendU(cf), bits)));
    const m = x.sub(x.i64(width), n);
    const rotated = x.let(left ? x.or(x.shl(joined, n), x.shrU(joined, m)) : x.or(x.shrU(joined, n), x.shl(joined, m)));
    out = x.let(x.and(x.wrap(x.shrU(rotated, bits)), 1)) as I32;
    result = x.let(x.wrap(rotated)) as Int;
  }
  const msb = x.signBit(result, bits);
  const of = left ? x.xor(msb, out) : x.xor(msb, x.and(x.toI32(x.shrU(result, bits - 2)), 1));
  x.setFlags({ CF: out, OF: of });
  x.write(0, result);
}

export const RCL = shift('RCL', [2], 'O', (x, a, count, bits) => rotateThroughCarry(x, a, count, bits, true));
export const RCR = shift('RCR', [3], 'O', (x, a, count, bits) => rotateThroughCarry(x, a, count, bits, false));

/** SHLD and SHRD. Word counts above 16 are undefined; processors shift the 48-bit value a:b:a. */
function doubleShift(mnemonic: string, opcodes: [string, string], left: boolean) {
  return instruction(mnemonic, {
    encodings: [`0F ${opcodes[0]} Ev,Gv,Ib`, `0F ${opcodes[1]} Ev,Gv,CL`],
    access: ['rw', 'r', 'r'],
    undefinedFlags: 'OA',
    execute(x) {
      const bits = x.bitsOf(0) as Bits;
      const a = x.operand(0) as Int;
      const b = x.operand(1) as Int;
      const raw = x.operand(2) as Int;
      const count = x.let(x.toBits(x.and(x.toI32(raw), bits === 64 ? 63 : 31), bits)) as Int;
      if (bits === 32 && x.kind(0) === 'register') x.write(0, a);
      x.if(x.nez(count), () => {
        let result: Int;
        let cf: I32;
        if (bits === 16) {
          const wide = x.let(
            left
              ? x.or(x.or(x.shl(x.toI64(a), 32), x.shl(x.toI64(b), 16)), x.toI64(a))
              : x.or(x.or(x.toI64(a), x.shl(x.toI64(b), 16)), x.shl(x.toI64(a), 32)),
          );
          const n = x.let(x.toI64(count));
          if (left) {
            const shifted = x.let(x.shl(wide, n));
            result = x.let(x.and(x.wrap(x.shrU(shifted, 32)), 0xffff)) as Int;
            cf = x.let(x.and(x.wrap(x.shrU(shifted, 48)), 1)) as I32;
          } else {
            result = x.let(x.and(x.wrap(x.shrU(wide, n)), 0xffff)) as Int;
            cf = x.let(x.and(x.wrap(x.shrU(wide, x.sub(n, 1))), 1)) as I32;
          }
        } else {
          const back = x.let(x.sub(x.constant(bits, bits), count)) as Int; // 1 .. bits - 1
          if (left) {
            result = x.let(x.or(x.shl(a, count), x.shrU(b, back))) as Int;
            cf = x.let(x.and(x.toI32(x.shrU(a, back)), 1)) as I32;
          } else {
            result = x.let(x.or(x.shrU(a, count), x.shl(b, back))) as Int;
            cf = x.let(x.and(x.toI32(x.shrU(a, x.sub(count, 1))), 1)) as I32;
          }
        }
        const of = x.xor(x.signBit(result, bits), x.signBit(a, bits));
        x.setFlags({ result, CF: cf, OF: of, AF: x.i32(0) }, bits);
        x.write(0, result);
      });
    },
  });
}

export const SHLD = doubleShift('SHLD', ['A4', 'A5'], true);
export const SHRD = doubleShift('SHRD', ['AC', 'AD'], false);
