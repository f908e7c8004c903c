/** Data movement: MOV, MOVZX, MOVSX, MOVSXD, LEA, XCHG, XADD, CMPXCHG, CMPXCHG8B/16B, PUSH, POP, PUSHA, ENTER, LEAVE, CBW, CWD, XLAT, BCD. */
import { instruction } from '../instruction.ts';
import {
  type Bits,
  type I32,
  type I64,
  type Int,
  RAX,
  RBP,
  RBX,
  RCX,
  RDI,
  RDX,
  RSI,
  RSP,
  type Stage,
  Vector,
} from '../stage.ts';

export const MOV = instruction('MOV', {
  encodings: [
    '88 Eb,Gb',
    '89 Ev,Gv',
    '8A Gb,Eb',
    '8B Gv,Ev',
    'A0 AL,Ob',
    'A1 rAX,Ov',
    'A2 Ob,AL',
    'A3 Ov,rAX',
    'B0+r Zb,Ib',
    'B8+r Zv,Iv',
    'C6 /0 Eb,Ib',
    'C7 /0 Ev,Iz',
  ],
  access: ['w', 'r'],
  execute: (x) => x.write(0, x.operand(1)),
});

export const MOVZX = instruction('MOVZX', {
  encodings: ['0F B6 Gv,Eb', '0F B7 Gv,Ew'],
  access: ['w', 'r'],
  execute: (x) => x.write(0, x.toBits(x.operand(1) as Int, x.bits)),
});

function signExtended(x: Stage): void {
  const from = x.bitsOf(1) as Bits;
  const value = x.operand(1) as Int;
  if (from === 64) x.write(0, value);
  else {
    const wide = x.signExtend(value, from);
    x.write(0, x.bits === 64 ? x.extendS(wide as I32) : wide);
  }
}

export const MOVSX = instruction('MOVSX', {
  encodings: ['0F BE Gv,Eb', '0F BF Gv,Ew'],
  access: ['w', 'r'],
  execute: signExtended,
});

export const MOVSXD = instruction('MOVSXD', {
  // with a 16-bit operand size AMD processors still read 32 bits (Intel's only 16)
  encodings: ['63 Gv,Ed only64'],
  access: ['w', 'r'],
  execute: signExtended,
});

export const LEA = instruction('LEA', {
  encodings: ['8D Gv,M'],
  access: ['w', 'r'],
  execute(x) {
    const address = x.effectiveAddress(1);
    x.write(0, x.bits === 64 ? address : x.wrap(address));
  },
});

export const XCHG = instruction('XCHG', {
  encodings: ['86 Eb,Gb lock', '87 Ev,Gv lock', '90+r Zv,rAX'],
  access: ['rw', 'rw'],
  execute(x) {
    const [a, b] = x.operands() as Int[];
    x.write(0, b);
    x.write(1, a);
  },
});

export const XADD = instruction('XADD', {
  encodings: ['0F C0 Eb,Gb lock', '0F C1 Ev,Gv lock'],
  access: ['rw', 'rw'],
  execute(x) {
    const [a, b] = x.operands() as Int[];
    const sum = x.let(x.add(a, b)) as Int;
    x.flags('add', a, b, sum, x.bitsOf(0) as Bits);
    if (x.kind(0) === 'memory') {
      x.write(0, sum);
      x.write(1, a);
    } else {
      // the destination wins where both are the same register
      x.write(1, a);
      x.write(0, sum);
    }
  },
});

export const CMPXCHG = instruction('CMPXCHG', {
  encodings: ['0F B0 Eb,Gb lock', '0F B1 Ev,Gv lock'],
  execute(x) {
    const [a, b] = x.operands() as Int[];
    const bits = x.bitsOf(0) as Bits;
    const accumulator = x.gpr(RAX, bits) as Int;
    const difference = x.let(x.sub(accumulator, a)) as Int;
    x.flags('sub', accumulator, a, difference, bits);
    const equal = x.let(x.eq(accumulator, a)) as I32;
    if (x.kind(0) === 'memory') {
      // memory is written in either case (SDM vol. 2 CMPXCHG)
      x.write(0, x.select(equal, b, a));
      x.if(x.eqz(equal), () => x.setGpr(RAX, bits, a));
    } else {
      x.if(
        equal,
        () => x.write(0, b),
        () => x.setGpr(RAX, bits, a),
      );
    }
  },
});

export const CMPXCHG8B = instruction('CMPXCHG8B', {
  encodings: ['W0 0F C7 /1 Mq lock'],
  feature: 'cx8',
  execute(x) {
    const old = x.operand(0) as I64;
    const expected = x.or(x.shl(x.extendU(x.gpr(RDX, 32) as I32), 32), x.extendU(x.gpr(RAX, 32) as I32));
    const equal = x.let(x.eq(old, expected)) as I32;
    const fresh = x.or(x.shl(x.extendU(x.gpr(RCX, 32) as I32), 32), x.extendU(x.gpr(RBX, 32) as I32));
    x.write(0, x.select(equal, fresh, old));
    x.setFlags({ ZF: equal });
    x.if(x.eqz(equal), () => {
      x.setGpr(RAX, 32, x.wrap(old));
      x.setGpr(RDX, 32, x.wrap(x.shrU(old, 32)));
    });
  },
});

export const CMPXCHG16B = instruction('CMPXCHG16B', {
  encodings: ['W1 0F C7 /1 M lock'],
  feature: 'cx16',
  execute(x) {
    x.requireAligned(0, 16);
    const address = x.address(0, 16, 'rw');
    const high8 = x.behind(address, 8);
    const low = x.modify(64, address);
    const high = x.modify(64, high8);
    const oldLow = low.value as I64;
    const oldHigh = high.value as I64;
    const difference = x.or(x.xor(oldLow, x.gpr(RAX, 64) as I64), x.xor(oldHigh, x.gpr(RDX, 64) as I64));
    const equal = x.let(x.eqz(difference)) as I32;
    low.write(x.select(equal, x.gpr(RBX, 64) as I64, oldLow));
    high.write(x.select(equal, x.gpr(RCX, 64) as I64, oldHigh));
    x.setFlags({ ZF: equal });
    x.if(x.eqz(equal), () => {
      x.setGpr(RAX, 64, oldLow);
      x.setGpr(RDX, 64, oldHigh);
    });
  },
});

type StackBits = 16 | 32 | 64;

export const PUSH = instruction('PUSH', {
  encodings: ['50+r Zv d64', '68 Iz d64', '6A Ibs d64', 'FF /6 Ev d64'],
  access: ['r'],
  execute: (x) => x.push(x.bits as StackBits, x.operand(0) as Int),
});

export const POP = instruction('POP', {
  encodings: ['58+r Zv d64'],
  access: ['w'],
  execute(x) {
    const value = x.peek(x.bits as StackBits);
    x.releaseStack(x.bits / 8);
    x.write(0, value);
  },
});

export const POP_MEMORY = instruction('POP', {
  encodings: ['8F /0 Ev d64'],
  access: ['w'],
  execute(x) {
    const value = x.peek(x.bits as StackBits) as Int;
    if (x.kind(0) === 'register') {
      x.releaseStack(x.bits / 8);
      x.write(0, value);
      return;
    }
    // an address based on rSP uses the value after the pop (SDM vol. 2 POP); a fault must leave rSP alone
    const address = x.addressAfterPop(0, x.bits / 8);
    x.store(x.bits, address, value);
    x.releaseStack(x.bits / 8);
  },
});

export const PUSHA = instruction('PUSHA', {
  encodings: ['60 no64 os'],
  execute(x) {
    const bits = x.bits as StackBits;
    const bytes = bits / 8;
    const original = x.gpr(RSP, bits) as Int;
    const order = [RAX, RCX, RDX, RBX, RSP, RBP, RSI, RDI];
    // a fault leaves what was stored before it, but no register changed
    order.forEach((register, i) => {
      x.poke(bits, -(i + 1) * bytes, register === RSP ? original : (x.gpr(register, bits) as Int));
    });
    x.releaseStack(-8 * bytes);
  },
});

export const POPA = instruction('POPA', {
  encodings: ['61 no64 os'],
  execute(x) {
    const bits = x.bits as StackBits;
    const bytes = bits / 8;
    const order = [RDI, RSI, RBP, RSP, RBX, RDX, RCX, RAX];
    const values = order.map((register, i) => (register === RSP ? undefined : (x.peek(bits, i * bytes) as Int)));
    x.releaseStack(8 * bytes);
    order.forEach((register, i) => {
      const value = values[i];
      if (value) x.setGpr(register, bits, value);
    });
  },
});

export const LEAVE = instruction('LEAVE', {
  encodings: ['C9 d64'],
  execute(x) {
    const bits = x.bits as StackBits;
    const frame = x.peekAt(bits, x.gpr(RBP, 64) as I64);
    x.setStackFrom(x.gpr(RBP, 64) as I64);
    x.releaseStack(bits / 8);
    x.setGpr(RBP, bits, frame as Int);
  },
});

export const ENTER = instruction('ENTER', {
  encodings: ['C8 Iw,Ib d64'],
  access: ['r', 'r'],
  execute(x) {
    const level = x.let(x.and(x.operand(1) as I32, 31)) as I32;
    x.system('enter', x.operand(0) as I32, level, x.bits);
  },
});

export const CBW = instruction('CBW', {
  encodings: ['98 os'],
  execute(x) {
    const half = (x.bits / 2) as Bits;
    const value = x.gpr(RAX, half) as I32;
    const wide = x.signExtend(value, half);
    x.setGpr(RAX, x.bits, x.bits === 64 ? x.extendS(wide) : wide);
  },
});

export const CWD = instruction('CWD', {
  encodings: ['99 os'],
  execute(x) {
    const value = x.signExtend(x.gpr(RAX, x.bits) as Int, x.bits);
    x.setGpr(RDX, x.bits, x.shrS(value, x.bits === 64 ? 63 : 31));
  },
});

export const XLAT = instruction('XLAT', {
  encodings: ['D7 as'],
  execute(x) {
    const sum = x.add(x.gpr(RBX, 64) as I64, x.extendU(x.gpr(RAX, 8) as I32));
    const offset = x.addressBits === 64 ? sum : x.and(sum, x.addressBits === 32 ? 0xffffffff : 0xffff);
    x.setGpr(RAX, 8, x.load(8, x.throughOperandSegment(offset, 1, 'r')) as Int);
  },
});

// ---- decimal adjustment, outside 64-bit mode only

export const DAA = instruction('DAA', {
  encodings: ['27 no64'],
  undefinedFlags: 'O',
  execute: (x) => decimalAdjust(x, false),
});
export const DAS = instruction('DAS', {
  encodings: ['2F no64'],
  undefinedFlags: 'O',
  execute: (x) => decimalAdjust(x, true),
});

function decimalAdjust(x: Stage, subtract: boolean): void {
  const al = x.gpr(RAX, 8) as I32;
  const cf = x.flag('CF');
  const af = x.flag('AF');
  const step = (value: I32, by: I32): I32 => (subtract ? x.sub(value, by) : x.add(value, by));
  const lowAdjust = x.let(x.or(x.gtU(x.and(al, 15), 9), af)) as I32;
  const highAdjust = x.let(x.or(x.gtU(al, 0x99), cf)) as I32;
  const first = x.let(step(al, x.mul(lowAdjust, 6))) as I32;
  // a borrow out of the first subtraction also sets CF
  const borrow = subtract ? x.and(lowAdjust, x.ltU(al, 6)) : x.i32(0);
  const result = x.let(x.and(step(first, x.mul(highAdjust, 0x60)), 0xff)) as I32;
  x.setFlags({ result, CF: x.or(highAdjust, borrow), AF: lowAdjust, OF: x.i32(0) }, 8);
  x.setGpr(RAX, 8, result);
}

function asciiAdjust(x: Stage, subtract: boolean): void {
  const ax = x.gpr(RAX, 16) as I32;
  const adjust = x.let(x.or(x.gtU(x.and(ax, 15), 9), x.flag('AF'))) as I32;
  const by = x.mul(adjust, 0x106);
  const changed = x.let(subtract ? x.sub(ax, by) : x.add(ax, by)) as I32;
  x.setGpr(RAX, 16, x.and(changed, 0xff0f));
  x.setFlags({ CF: adjust, AF: adjust });
}
export const AAA = instruction('AAA', {
  encodings: ['37 no64'],
  undefinedFlags: 'OSZP',
  execute: (x) => asciiAdjust(x, false),
});
export const AAS = instruction('AAS', {
  encodings: ['3F no64'],
  undefinedFlags: 'OSZP',
  execute: (x) => asciiAdjust(x, true),
});

export const AAM = instruction('AAM', {
  encodings: ['D4 Ib no64'],
  access: ['r'],
  undefinedFlags: 'OAC',
  execute(x) {
    const base = x.operand(0) as I32;
    x.faultIf(x.eqz(base), Vector.DE);
    const al = x.gpr(RAX, 8) as I32;
    const low = x.let(x.remU(al, base)) as I32;
    x.setGpr(RAX, 16, x.or(x.shl(x.divU(al, base), 8), low));
    x.setFlags({ result: low, CF: x.i32(0), OF: x.i32(0), AF: x.i32(0) }, 8);
  },
});

export const AAD = instruction('AAD', {
  encodings: ['D5 Ib no64'],
  access: ['r'],
  undefinedFlags: 'OAC',
  execute(x) {
    const ax = x.gpr(RAX, 16) as I32;
    const sum = x.add(x.and(ax, 0xff), x.mul(x.shrU(ax, 8), x.operand(0) as I32));
    const low = x.let(x.and(sum, 0xff)) as I32;
    x.setGpr(RAX, 16, low);
    x.setFlags({ result: low, CF: x.i32(0), OF: x.i32(0), AF: x.i32(0) }, 8);
  },
});

export const SALC = instruction('SALC', {
  encodings: ['D6 no64'],
  execute: (x) => x.setGpr(RAX, 8, x.sub(x.i32(0), x.flag('CF') as I32)),
});

export const BOUND = instruction('BOUND', {
  encodings: ['62 Gv,M no64'],
  access: ['r', 'r'],
  execute(x) {
    const bits = x.bits as 16 | 32;
    const index = x.signExtend(x.operand(0) as I32, bits);
    const address = x.address(1, bits / 4, 'r');
    const upper = x.behind(address, bits / 8);
    const low = x.let(x.signExtend(x.load(bits, address) as I32, bits));
    const high = x.let(x.signExtend(x.load(bits, upper) as I32, bits));
    const i = x.let(index) as I32;
    x.faultIf(x.or(x.ltS(i, low), x.gtS(i, high)), Vector.BR);
  },
});
