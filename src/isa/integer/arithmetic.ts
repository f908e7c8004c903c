/** Binary integer arithmetic: ADD, ADC, SUB, SBB, CMP, INC, DEC, NEG, MUL, IMUL, DIV, IDIV (SDM vol. 2). */
import { instruction } from '../instruction.ts';
import { type Bits, type I32, type I64, type Int, RAX, RDX, type Stage, Vector } from '../stage.ts';

/** The eight ModRM and accumulator forms that the classic two-operand instructions share. */
export function classicForms(opcode: number, digit: number, lock: boolean): string[] {
  const hex = (n: number) => (opcode + n).toString(16).toUpperCase().padStart(2, '0');
  const l = lock ? ' lock' : '';
  return [
    `${hex(0)} Eb,Gb${l}`,
    `${hex(1)} Ev,Gv${l}`,
    `${hex(2)} Gb,Eb`,
    `${hex(3)} Gv,Ev`,
    `${hex(4)} AL,Ib`,
    `${hex(5)} rAX,Iz`,
    `80 /${digit} Eb,Ib${l}`,
    `81 /${digit} Ev,Iz${l}`,
    `82 /${digit} Eb,Ib no64${l}`,
    `83 /${digit} Ev,Ibs${l}`,
  ];
}

/** Carry flag as an integer of the operand's type. */
function carry(x: Stage, bits: Bits): Int {
  const cf = x.flag('CF');
  return x.toBits(cf, bits);
}

export const ADD = instruction('ADD', {
  encodings: classicForms(0x00, 0, true),
  execute(x) {
    const [a, b] = x.operands() as Int[];
    const sum = x.let(x.add(a, b)) as Int;
    x.flags('add', a, b, sum, x.bitsOf(0) as Bits);
    x.write(0, sum);
  },
});

export const ADC = instruction('ADC', {
  encodings: classicForms(0x10, 2, true),
  execute(x) {
    const [a, b] = x.operands() as Int[];
    const bits = x.bitsOf(0) as Bits;
    const sum = x.let(x.add(x.add(a, b), carry(x, bits))) as Int;
    x.flags('add', a, b, sum, bits);
    x.write(0, sum);
  },
});

export const SUB = instruction('SUB', {
  encodings: classicForms(0x28, 5, true),
  execute(x) {
    const [a, b] = x.operands() as Int[];
    const difference = x.let(x.sub(a, b)) as Int;
    x.flags('sub', a, b, difference, x.bitsOf(0) as Bits);
    x.write(0, difference);
  },
});

export const SBB = instruction('SBB', {
  encodings: classicForms(0x18, 3, true),
  execute(x) {
    const [a, b] = x.operands() as Int[];
    const bits = x.bitsOf(0) as Bits;
    const difference = x.let(x.sub(x.sub(a, b), carry(x, bits))) as Int;
    x.flags('sub', a, b, difference, bits);
    x.write(0, difference);
  },
});

export const CMP = instruction('CMP', {
  encodings: classicForms(0x38, 7, false),
  access: ['r', 'r'],
  execute(x) {
    const [a, b] = x.operands() as Int[];
    const difference = x.let(x.sub(a, b)) as Int;
    x.flags('sub', a, b, difference, x.bitsOf(0) as Bits);
  },
});

export const INC = instruction('INC', {
  encodings: ['FE /0 Eb lock', 'FF /0 Ev lock', '40+r Zv no64'],
  execute(x) {
    const a = x.operand(0) as Int;
    const bits = x.bitsOf(0) as Bits;
    const sum = x.let(x.add(a, 1)) as Int;
    x.flags('inc', a, x.constant(1, bits), sum, bits);
    x.write(0, sum);
  },
});

export const DEC = instruction('DEC', {
  encodings: ['FE /1 Eb lock', 'FF /1 Ev lock', '48+r Zv no64'],
  execute(x) {
    const a = x.operand(0) as Int;
    const bits = x.bitsOf(0) as Bits;
    const difference = x.let(x.sub(a, 1)) as Int;
    x.flags('dec', a, x.constant(1, bits), difference, bits);
    x.write(0, difference);
  },
});

export const NEG = instruction('NEG', {
  encodings: ['F6 /3 Eb lock', 'F7 /3 Ev lock'],
  execute(x) {
    const a = x.operand(0) as Int;
    const bits = x.bitsOf(0) as Bits;
    const negated = x.let(x.neg(a)) as Int;
    x.flags('sub', x.constant(0, bits), a, negated, bits);
    x.write(0, negated);
  },
});

/** High 64 bits of the unsigned product, by 32-bit halves. */
function highProductU(x: Stage, a: I64, b: I64): I64 {
  const low = 0xffffffff;
  const a0 = x.let(x.and(a, low)) as I64;
  const a1 = x.let(x.shrU(a, 32)) as I64;
  const b0 = x.let(x.and(b, low)) as I64;
  const b1 = x.let(x.shrU(b, 32)) as I64;
  const middle = x.let(x.add(x.mul(a1, b0), x.shrU(x.mul(a0, b0), 32))) as I64;
  const other = x.let(x.add(x.mul(a0, b1), x.and(middle, low))) as I64;
  return x.add(x.add(x.mul(a1, b1), x.shrU(middle, 32)), x.shrU(other, 32));
}

/** High 64 bits of the signed product. */
function highProductS(x: Stage, a: I64, b: I64): I64 {
  const unsigned = highProductU(x, a, b);
  return x.sub(x.sub(unsigned, x.and(x.shrS(a, 63), b)), x.and(x.shrS(b, 63), a));
}

/** CF and OF set where the upper half of a product is significant; the other flags are undefined (left as the low half gives). */
function productFlags(x: Stage, inputs: readonly Int[], significant: () => I32, low: Int, bits: Bits): void {
  const values = () => {
    const s = x.let(significant()) as I32;
    return { CF: s, OF: s, AF: x.i32(0) };
  };
  x.setFlagsLater(inputs, values, bits, low);
}

/** One-operand MUL and IMUL: rDX:rAX (AX for bytes) = rAX * operand. */
function wideMultiply(x: Stage, signed: boolean): void {
  const bits = x.bitsOf(0) as Bits;
  const b = x.operand(0) as Int;
  const a = x.gpr(RAX, bits) as Int;
  if (bits === 64) {
    const low = x.let(x.mul(a, b)) as I64;
    const high = x.let(signed ? highProductS(x, a as I64, b as I64) : highProductU(x, a as I64, b as I64)) as I64;
    productFlags(x, [high], () => (signed ? x.ne(high, x.shrS(low, 63)) : x.nez(high)), low, 64);
    x.setGpr(RAX, 64, low);
    x.setGpr(RDX, 64, high);
    return;
  }
  const wide = (v: Int): I64 => (signed ? x.extendS(x.signExtend(v as I32, bits)) : x.extendU(v as I32));
  const product = x.let(x.mul(wide(a), wide(b))) as I64;
  const low = x.let(x.wrap(product)) as I32;
  const high = x.let(x.wrap(x.shrU(product, bits))) as I32;
  const significant = () => (signed ? x.ne(product, x.extendS(x.signExtend(low, bits))) : x.nez(x.shrU(product, bits)));
  productFlags(x, [product], significant, low, bits);
  if (bits === 8) {
    x.setGpr(RAX, 16, low);
  } else {
    x.setGpr(RAX, bits, low);
    x.setGpr(RDX, bits, high);
  }
}

export const MUL = instruction('MUL', {
  encodings: ['F6 /4 Eb', 'F7 /4 Ev'],
  access: ['r'],
  undefinedFlags: 'SZAP',
  execute: (x) => wideMultiply(x, false),
});

export const IMUL = instruction('IMUL', {
  encodings: ['F6 /5 Eb', 'F7 /5 Ev'],
  access: ['r'],
  undefinedFlags: 'SZAP',
  execute: (x) => wideMultiply(x, true),
});

/** Two- and three-operand IMUL: the product truncated to the operand size. */
function truncatingMultiply(x: Stage, a: Int, b: Int): void {
  const bits = x.bitsOf(0) as Bits;
  if (bits === 64) {
    const low = x.let(x.mul(a, b)) as I64;
    const high = () => highProductS(x, a as I64, b as I64);
    productFlags(x, [a, b], () => x.ne(high(), x.shrS(low, 63)), low, 64);
    x.write(0, low);
    return;
  }
  const wide = (v: Int): I64 => x.extendS(x.signExtend(v as I32, bits));
  const product = x.let(x.mul(wide(a), wide(b))) as I64;
  const low = x.let(x.wrap(product)) as I32;
  productFlags(x, [product], () => x.ne(product, x.extendS(x.signExtend(low, bits))), low, bits);
  x.write(0, low);
}

export const IMUL2 = instruction('IMUL', {
  encodings: ['0F AF Gv,Ev'],
  undefinedFlags: 'SZAP',
  execute(x) {
    const [a, b] = x.operands() as Int[];
    truncatingMultiply(x, a, b);
  },
});

export const IMUL3 = instruction('IMUL', {
  encodings: ['69 Gv,Ev,Iz', '6B Gv,Ev,Ibs'],
  access: ['w', 'r', 'r'],
  undefinedFlags: 'SZAP',
  execute: (x) => truncatingMultiply(x, x.operand(1) as Int, x.operand(2) as Int),
});

/** DIV and IDIV: #DE on a zero divisor or a quotient that does not fit. */
function divide(x: Stage, signed: boolean): void {
  const bits = x.bitsOf(0) as Bits;
  const divisor = x.operand(0) as Int;
  x.faultIf(x.eqz(divisor), Vector.DE);
  if (bits === 64) {
    divide64(x, divisor as I64, signed);
    return;
  }
  const by = x.let(signed ? x.extendS(x.signExtend(divisor as I32, bits)) : x.extendU(divisor as I32)) as I64;
  let dividend: I64;
  if (bits === 8) {
    const ax = x.gpr(RAX, 16) as I32;
    dividend = x.let(signed ? x.extendS(x.signExtend(ax, 16)) : x.extendU(ax)) as I64;
  } else {
    const high = x.gpr(RDX, bits) as I32;
    const low = x.gpr(RAX, bits) as I32;
    const joined = x.or(x.shl(x.extendU(high), bits), x.extendU(low));
    dividend = x.let(signed ? (bits === 16 ? x.signExtend(joined, 32) : joined) : joined) as I64;
  }
  if (signed) {
    // the one i64 quotient that would trap, and never fits anyway
    const overflow = x.and(x.eq(dividend, x.i64(-(2n ** 63n)) as I64), x.eq(by, -1));
    x.faultIf(overflow, Vector.DE);
  }
  const quotient = x.let(signed ? x.divS(dividend, by) : x.divU(dividend, by)) as I64;
  const fits = signed ? x.eq(x.signExtend(quotient, bits), quotient) : x.eqz(x.shrU(quotient, bits));
  x.faultIf(x.eqz(fits), Vector.DE);
  const remainder = x.let(signed ? x.remS(dividend, by) : x.remU(dividend, by)) as I64;
  if (bits === 8) {
    x.setGpr(RAX, 16, x.or(x.and(x.wrap(quotient), 0xff), x.shl(x.wrap(remainder), 8)));
  } else {
    x.setGpr(RAX, bits, x.wrap(quotient));
    x.setGpr(RDX, bits, x.wrap(remainder));
  }
}

function divide64(x: Stage, divisor: I64, signed: boolean): void {
  const high = x.gpr(RDX, 64) as I64;
  const low = x.gpr(RAX, 64) as I64;
  // a dividend that fits 64 bits divides in one operation
  const narrow = signed ? x.eq(high, x.shrS(low, 63)) : x.eqz(high);
  const safe = signed ? x.or(x.ne(low, x.i64(-(2n ** 63n)) as I64), x.ne(divisor, -1)) : x.i32(1);
  x.if(
    x.and(narrow, safe),
    () => {
      const quotient = x.let(signed ? x.divS(low, divisor) : x.divU(low, divisor)) as I64;
      const remainder = x.let(signed ? x.remS(low, divisor) : x.remU(low, divisor)) as I64;
      x.setGpr(RAX, 64, quotient);
      x.setGpr(RDX, 64, remainder);
    },
    () => {
      x.setScratch(0, low);
      x.setScratch(1, high);
      x.setScratch(2, divisor);
      x.call(signed ? 'divideS128' : 'divideU128');
      x.setGpr(RAX, 64, x.scratch(0) as I64);
      x.setGpr(RDX, 64, x.scratch(1) as I64);
    },
  );
}

export const DIV = instruction('DIV', {
  encodings: ['F6 /6 Eb', 'F7 /6 Ev'],
  access: ['r'],
  undefinedFlags: 'COSZAP',
  execute: (x) => divide(x, false),
});

export const IDIV = instruction('IDIV', {
  encodings: ['F6 /7 Eb', 'F7 /7 Ev'],
  access: ['r'],
  undefinedFlags: 'COSZAP',
  execute: (x) => divide(x, true),
});
