import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { named, TestMachine, withConstantImmediates } from '../../src/cpu/interpreter/testing.ts';

const A = 0x0f0e0d0c_0b0a0908_07060504_03020100n;
const B = 0x1f1e1d1c_1b1a1918_17161514_13121110n;

const dword = (value: bigint, i: number) => (value >> BigInt(32 * i)) & 0xffff_ffffn;
const join = (bits: number, elements: bigint[]) => elements.reduceRight((value, e) => (value << BigInt(bits)) | e, 0n);

/** `mnemonic xmm1, xmm2, imm8` with its immediate in the record and as a constant. */
function both(mnemonic: string, opcode: number[], immediate: number, a = A, b = B): bigint {
  const results = [named(mnemonic), named(mnemonic).map((one) => withConstantImmediates(one, immediate))].map(
    (instructions) => {
      const machine = new TestMachine(instructions);
      machine.setXmm(1, a);
      machine.setXmm(2, b);
      assert.equal(machine.run(...opcode, 0xca, immediate), undefined);
      return machine.xmm(1);
    },
  );
  assert.equal(results[1], results[0], `${mnemonic} ${immediate}: constant and variable immediate differ`);
  return results[0];
}

const IMMEDIATES = [0x00, 0x1b, 0x4e, 0xb1, 0xe4, 0x93, 0xff];

describe('shuffles by immediate, as variable and as constant', () => {
  test('PSHUFD chooses doublewords of the source', () => {
    for (const immediate of IMMEDIATES) {
      const expected = join(
        32,
        [0, 1, 2, 3].map((i) => dword(B, (immediate >> (2 * i)) & 3)),
      );
      assert.equal(both('PSHUFD', [0x66, 0x0f, 0x70], immediate), expected);
    }
  });

  test('SHUFPS takes two doublewords of each operand', () => {
    for (const immediate of IMMEDIATES) {
      const expected = join(
        32,
        [0, 1, 2, 3].map((i) => dword(i < 2 ? A : B, (immediate >> (2 * i)) & 3)),
      );
      assert.equal(both('SHUFPS', [0x0f, 0xc6], immediate), expected);
    }
  });

  test('PSHUFLW and PSHUFHW leave the other half', () => {
    assert.equal(both('PSHUFLW', [0xf2, 0x0f, 0x70], 0x1b), 0x1f1e1d1c_1b1a1918_11101312_15141716n);
    assert.equal(both('PSHUFHW', [0xf3, 0x0f, 0x70], 0x1b), 0x19181b1a_1d1c1f1e_17161514_13121110n);
  });

  test('SHUFPD looks at two bits', () => {
    assert.equal(both('SHUFPD', [0x66, 0x0f, 0xc6], 0xfd), ((B & ((1n << 64n) - 1n)) << 64n) | (A >> 64n));
    assert.equal(both('SHUFPD', [0x66, 0x0f, 0xc6], 2), ((B >> 64n) << 64n) | (A & ((1n << 64n) - 1n)));
  });

  test('blends take the bits of their element count', () => {
    assert.equal(
      both('BLENDPS', [0x66, 0x0f, 0x3a, 0x0c], 0xf5),
      join(32, [dword(B, 0), dword(A, 1), dword(B, 2), dword(A, 3)]),
    );
    assert.equal(both('BLENDPD', [0x66, 0x0f, 0x3a, 0x0d], 0xfe), ((B >> 64n) << 64n) | (A & ((1n << 64n) - 1n)));
    assert.equal(both('PBLENDW', [0x66, 0x0f, 0x3a, 0x0e], 0x81), 0x1f1e0d0c_0b0a0908_07060504_03021110n);
  });

  test('PALIGNR shifts across both operands and clears beyond', () => {
    const pair = (A << 128n) | B;
    for (const immediate of [0, 1, 15, 16, 17, 31, 32, 250]) {
      const expected = (pair >> BigInt(8 * immediate)) & ((1n << 128n) - 1n);
      assert.equal(both('PALIGNR', [0x66, 0x0f, 0x3a, 0x0f], immediate), expected);
    }
  });

  test('INSERTPS moves, then clears', () => {
    // source element 2, destination element 1, element 3 cleared
    assert.equal(
      both('INSERTPS', [0x66, 0x0f, 0x3a, 0x21], 0x98),
      join(32, [dword(A, 0), dword(B, 2), dword(A, 2), 0n]),
    );
  });
});

describe('byte shifts of registers', () => {
  const shifted = (digit: number, amount: number) => {
    const machine = new TestMachine(named('PSRLDQ', 'PSLLDQ'));
    machine.setXmm(2, B);
    machine.run(0x66, 0x0f, 0x73, 0xc2 | (digit << 3), amount);
    return machine.xmm(2);
  };
  test('amounts above 15 clear', () => {
    for (const amount of [0, 3, 15, 16, 17, 255]) {
      assert.equal(shifted(3, amount), B >> BigInt(8 * amount));
      assert.equal(shifted(7, amount), BigInt.asUintN(128, B << BigInt(8 * amount)));
    }
  });
});

describe('elements', () => {
  test('PINSRW takes its number modulo 8 and the low word of the register', () => {
    const machine = new TestMachine(named('PINSRW'));
    machine.setXmm(1, A);
    machine.cpu.gpr[0] = 0x1234_5678_9abc_defn;
    machine.run(0x66, 0x0f, 0xc4, 0xc8, 0xfb);
    assert.equal(machine.xmm(1), (A & ~(0xffffn << 48n)) | (0xcdefn << 48n));
  });

  test('PEXTRB clears the rest of the register', () => {
    const machine = new TestMachine(named('PEXTRB'));
    machine.setXmm(1, B);
    machine.cpu.gpr[0] = ~0n & 0xffff_ffff_ffff_ffffn;
    machine.run(0x66, 0x0f, 0x3a, 0x14, 0xc8, 0xff);
    assert.equal(machine.cpu.gpr[0], 0x1fn);
  });

  test('PTEST sets ZF and CF and clears the others', () => {
    const machine = new TestMachine(named('PTEST'));
    const run = (a: bigint, b: bigint) => {
      machine.rflags = 0x8d5;
      machine.setXmm(1, a);
      machine.setXmm(2, b);
      machine.run(0x66, 0x0f, 0x38, 0x17, 0xca);
      return machine.rflags & 0x8d5;
    };
    assert.equal(run(0xf0n, 0x0fn), 0x40);
    assert.equal(run(0xffn, 0x0fn), 0x01);
    assert.equal(run(0xffn, 0x101n), 0);
    assert.equal(run(0n, 0n), 0x41);
  });
});
