/** Logic, bit and byte instructions: AND OR XOR TEST NOT, BT and its kin, BSF BSR POPCNT, BSWAP, MOVBE, CRC32, SETcc, CMOVcc. */
import { instruction } from '../instruction.ts';
import type { Bits, I32, I64, Int, Stage } from '../stage.ts';
import { classicForms } from './arithmetic.ts';

type Binary = (x: Stage, a: Int, b: Int) => Int;

function logical(mnemonic: string, opcode: number, digit: number, operation: Binary) {
  return instruction(mnemonic, {
    encodings: classicForms(opcode, digit, true),
    undefinedFlags: 'A',
    execute(x) {
      const [a, b] = x.operands() as Int[];
      const result = x.let(operation(x, a, b)) as Int;
      x.logicFlags(result, x.bitsOf(0) as Bits);
      x.write(0, result);
    },
  });
}

export const OR = logical('OR', 0x08, 1, (x, a, b) => x.or(a, b));
export const AND = logical('AND', 0x20, 4, (x, a, b) => x.and(a, b));
export const XOR = logical('XOR', 0x30, 6, (x, a, b) => x.xor(a, b));

export const TEST = instruction('TEST', {
  encodings: [
    '84 Eb,Gb',
    '85 Ev,Gv',
    'A8 AL,Ib',
    'A9 rAX,Iz',
    'F6 /0 Eb,Ib',
    'F7 /0 Ev,Iz',
    'F6 /1 Eb,Ib',
    'F7 /1 Ev,Iz',
  ],
  access: ['r', 'r'],
  undefinedFlags: 'A',
  execute(x) {
    const [a, b] = x.operands() as Int[];
    x.logicFlags(x.let(x.and(a, b)) as Int, x.bitsOf(0) as Bits);
  },
});

export const NOT = instruction('NOT', {
  encodings: ['F6 /2 Eb lock', 'F7 /2 Ev lock'],
  execute: (x) => x.write(0, x.not(x.operand(0) as Int)),
});

/** BT, BTS, BTR, BTC: `change` gives the new value from the old one and the bit's mask. */
function bitTest(mnemonic: string, opcode: string, digit: number, change?: Binary) {
  const lock = change ? ' lock' : '';
  return instruction(mnemonic, {
    encodings: [`0F ${opcode} Ev,Gv${lock}`, `0F BA /${digit} Ev,Ib${lock}`],
    access: [change ? 'rw' : 'r', 'r'],
    undefinedFlags: 'OSAP',
    execute(x) {
      const bits = x.bitsOf(0) as Bits;
      const selector = x.operand(1) as Int;
      const byRegister = x.kind(1) === 'register';
      const index = x.let(x.and(x.toBits(selector, bits), bits - 1)) as Int;
      let value: Int;
      let put: (result: Int) => void;
      if (x.kind(0) === 'memory' && byRegister) {
        // the register's full signed value selects the unit (SDM vol. 2 BT)
        const signed = bits === 64 ? (selector as I64) : x.extendS(x.signExtend(selector as I32, bits));
        const shift = bits === 64 ? 6 : bits === 32 ? 5 : 4;
        const displacement = x.shl(x.shrS(signed, shift), shift - 3);
        const address = x.addressDisplaced(0, displacement, bits / 8, change ? 'rw' : 'r');
        if (change) {
          const modify = x.modify(bits, address);
          value = modify.value as Int;
          put = modify.write;
        } else {
          value = x.load(bits, address) as Int;
          put = () => {};
        }
      } else {
        value = x.operand(0) as Int;
        put = (result) => x.write(0, result);
      }
      const bit = x.let(x.and(x.toI32(x.shrU(value, index)), 1)) as I32;
      if (change) {
        const mask = x.shl(x.constant(1, bits), index);
        put(x.let(change(x, value, mask)) as Int);
      }
      x.setFlags({ CF: bit });
    },
  });
}

export const BT = bitTest('BT', 'A3', 4);
export const BTS = bitTest('BTS', 'AB', 5, (x, value, mask) => x.or(value, mask));
export const BTR = bitTest('BTR', 'B3', 6, (x, value, mask) => x.and(value, x.not(mask)));
export const BTC = bitTest('BTC', 'BB', 7, (x, value, mask) => x.xor(value, mask));

/** BSF and BSR leave the destination as it was for a zero source (AMD documents it, Intel processors do it). */
function bitScan(mnemonic: string, opcode: string, position: (x: Stage, value: Int, bits: Bits) => Int) {
  return instruction(mnemonic, {
    encodings: [`0F ${opcode} Gv,Ev`],
    access: ['rw', 'r'],
    undefinedFlags: 'COSAP',
    execute(x) {
      const bits = x.bitsOf(0) as Bits;
      const value = x.operand(1) as Int;
      x.if(x.nez(value), () => x.write(0, position(x, value, bits)));
      x.setFlags({ ZF: x.eqz(value) });
    },
  });
}

export const BSF = bitScan('BSF', 'BC', (x, value) => x.ctz(value));
export const BSR = bitScan('BSR', 'BD', (x, value, bits) => x.xor(x.clz(value), bits === 64 ? 63 : 31));

export const POPCNT = instruction('POPCNT', {
  encodings: ['F3 0F B8 Gv,Ev'],
  access: ['w', 'r'],
  feature: 'popcnt',
  execute(x) {
    const value = x.operand(1) as Int;
    x.write(0, x.popcnt(value));
    x.setFlags({ CF: x.i32(0), PF: x.i32(0), AF: x.i32(0), ZF: x.eqz(value), SF: x.i32(0), OF: x.i32(0) });
  },
});

/** The bytes of a value in reverse order, within the low `bits`. */
function reverseBytes(x: Stage, value: Int, bits: Bits): Int {
  const swap32 = (v: I32): I32 => {
    const a = x.let(v) as I32;
    return x.or(x.and(x.rotl(a, 8), 0x00ff00ff), x.and(x.rotr(a, 8), 0xff00ff00 | 0));
  };
  if (bits === 64) {
    const low = x.let(swap32(x.wrap(value as I64))) as I32;
    const high = x.let(swap32(x.wrap(x.shrU(value as I64, 32)))) as I32;
    return x.or(x.shl(x.extendU(low), 32), x.extendU(high));
  }
  return bits === 32 ? swap32(value as I32) : x.shrU(swap32(value as I32), 16);
}

export const BSWAP = instruction('BSWAP', {
  // with a 16-bit operand undefined: processors clear the register's low half
  encodings: ['0F C8+r Zv'],
  execute(x) {
    const bits = x.bitsOf(0) as Bits;
    x.write(0, bits === 16 ? x.i32(0) : reverseBytes(x, x.operand(0) as Int, bits));
  },
});

export const MOVBE = instruction('MOVBE', {
  encodings: ['0F 38 F0 Gv,Mv', '0F 38 F1 Mv,Gv'],
  access: ['w', 'r'],
  feature: 'movbe',
  execute: (x) => x.write(0, reverseBytes(x, x.operand(1) as Int, x.bitsOf(0) as Bits)),
});

export const SETCC = instruction('SETcc', {
  encodings: ['0F 90+cc Eb'],
  access: ['w'],
  execute: (x) => x.write(0, x.condition(x.cc)),
});

export const CMOVCC = instruction('CMOVcc', {
  encodings: ['0F 40+cc Gv,Ev'],
  access: ['rw', 'r'],
  feature: 'cmov',
  execute(x) {
    const [a, b] = x.operands() as Int[];
    x.write(0, x.select(x.condition(x.cc), b, a));
  },
});
