import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { MEMORY_BASE, MEMORY_SIZE, named, TestMachine } from '../../src/cpu/interpreter/testing.ts';
import { Vector } from '../../src/isa/stage.ts';

const words = (...values: number[]) => values.reduceRight((all, v) => (all << 16n) | BigInt(v & 0xffff), 0n);

/** `66 0F opcode xmm1, xmm2` on single values. */
function run(mnemonic: string, opcode: number[], a: bigint, b: bigint): bigint {
  const machine = new TestMachine(named(mnemonic));
  machine.setXmm(1, a);
  machine.setXmm(2, b);
  assert.equal(machine.run(0x66, 0x0f, ...opcode, 0xca), undefined);
  return machine.xmm(1);
}

describe('packed multiplication', () => {
  test('PMULHRSW does not saturate -1 * -1', () => {
    assert.equal(
      run('PMULHRSW', [0x38, 0x0b], words(0x8000, 0x8000, 0x7fff), words(0x8000, 0x8001, 0x7fff)),
      words(0x8000, 0x7fff, 0x7ffe),
    );
  });
  test('PMADDUBSW takes unsigned bytes of the destination, signed ones of the source, and saturates', () => {
    assert.equal(
      run('PMADDUBSW', [0x38, 0x04], words(0xffff, 0xffff, 0x0102), words(0x7f7f, 0x8080, 0xff03)),
      words(0x7fff, 0x8000, 5),
    );
  });
  test('PMADDWD wraps for four times 8000H', () => {
    assert.equal(run('PMADDWD', [0xf5], words(0x8000, 0x8000), words(0x8000, 0x8000)), 0x8000_0000n);
  });
});

describe('packed shifts', () => {
  test('counts are 64 bits wide; too large ones clear or fill with the sign', () => {
    for (const count of [16n, 64n, 1n << 32n, 1n << 63n]) {
      assert.equal(run('PSLLW', [0xf1], words(0x8001, 3), count), 0n);
      assert.equal(run('PSRAW', [0xe1], words(0x8001, 3), count), words(0xffff, 0));
    }
    assert.equal(run('PSRLQ', [0xd3], 1n << 63n, 63n), 1n);
    // the upper half of the count operand does not matter
    assert.equal(run('PSLLW', [0xf1], words(0x8001, 3), (1n << 64n) | 1n), words(2, 6));
  });
});

describe('others', () => {
  test('PHMINPOSUW finds the first of the smallest words', () => {
    assert.equal(
      run('PHMINPOSUW', [0x38, 0x41], ~0n & ((1n << 128n) - 1n), words(9, 8, 0xffff, 3, 7, 3, 4, 5)),
      words(3, 3),
    );
  });
  test('PSADBW sums each half', () => {
    assert.equal(
      run('PSADBW', [0xf6], (0xff02n << 64n) | 0x00ffn, (0x0104n << 64n) | 0xff00n),
      (0x100n << 64n) | 0x1fen,
    );
  });
  test('PSIGNB negates, clears, keeps', () => {
    assert.equal(run('PSIGNB', [0x38, 0x08], 0x80_05_05_05n, 0xff_80_00_01n), 0x80_fb_00_05n);
  });
});

describe('MMX', () => {
  const PENDING = 0x8080;
  const machineWith = (...mnemonics: string[]) => {
    const machine = new TestMachine(named(...mnemonics));
    machine.cpu.x87Status = 0x3800;
    machine.cpu.x87Tag = 0xffff;
    return machine;
  };
  const register = (machine: TestMachine, n: number) =>
    new DataView(machine.cpu.bytes.buffer, machine.cpu.view.byteOffset + x87(machine) + 16 * n, 10);
  const x87 = (machine: TestMachine) =>
    machine.cpu.xmm.byteOffset - machine.cpu.view.byteOffset + machine.cpu.xmm.length;

  test('a write sets sign and exponent to ones, TOP to zero, all tags to valid', () => {
    const machine = machineWith('MOVD');
    machine.cpu.gpr[0] = 0x1234_5678n;
    machine.run(0x0f, 0x6e, 0xd8);
    const mm3 = register(machine, 3);
    assert.equal(mm3.getBigUint64(0, true), 0x1234_5678n);
    assert.equal(mm3.getUint16(8, true), 0xffff);
    assert.equal(machine.cpu.x87Status, 0);
    assert.equal(machine.cpu.x87Tag, 0);
  });
  test('EMMS empties', () => {
    const machine = machineWith('EMMS');
    machine.cpu.x87Tag = 0;
    machine.run(0x0f, 0x77);
    assert.equal(machine.cpu.x87Tag, 0xffff);
  });
  test('a pending x87 exception comes first, a page fault changes nothing', () => {
    const machine = machineWith('MOVQ');
    machine.cpu.gpr[0] = BigInt(MEMORY_BASE + MEMORY_SIZE);
    machine.cpu.x87Status |= PENDING;
    assert.equal(machine.run(0x0f, 0x6f, 0x00)?.vector, Vector.MF);
    machine.cpu.x87Status &= ~PENDING;
    assert.equal(machine.run(0x0f, 0x6f, 0x00)?.vector, Vector.PF);
    assert.equal(machine.cpu.x87Status, 0x3800);
    assert.equal(machine.cpu.x87Tag, 0xffff);
  });
  test('PACKSSWB packs both operands into one register', () => {
    const machine = machineWith('PACKSSWB');
    register(machine, 1).setBigUint64(0, 0x0001_ff7f_8000_7fffn, true);
    register(machine, 2).setBigUint64(0, 0x0004_0003_0002_0001n, true);
    machine.run(0x0f, 0x63, 0xca);
    assert.equal(register(machine, 1).getBigUint64(0, true), 0x04030201_0180807fn);
  });
});

describe('strings and CRC', () => {
  const text = (value: string) => [...value].reduceRight((all, c) => (all << 8n) | BigInt(c.charCodeAt(0)), 0n);
  const compare = (a: string, b: string, immediate: number) => {
    const machine = new TestMachine(named('PCMPISTRI'));
    machine.setXmm(1, text(a));
    machine.setXmm(2, text(b));
    machine.run(0x66, 0x0f, 0x3a, 0x63, 0xca, immediate);
    return { index: Number(machine.cpu.gpr[1]), flags: machine.rflags & 0x8d5 };
  };
  const [CF, ZF, SF] = [1, 0x40, 0x80];
  test('equal any, ranges, equal each, equal ordered', () => {
    assert.deepEqual(compare('xyz', 'abcyd', 0x00), { index: 3, flags: CF | ZF | SF });
    assert.deepEqual(compare('09', 'ab7', 0x04), { index: 2, flags: CF | ZF | SF });
    // negated: the first difference
    assert.deepEqual(compare('same-', 'same+', 0x18), { index: 4, flags: CF | ZF | SF });
    assert.deepEqual(compare('lo', 'hello', 0x0c), { index: 3, flags: CF | ZF | SF });
    assert.deepEqual(compare('q', 'sixteen letters.', 0x00), { index: 16, flags: SF });
  });
  test('CRC32 of eight bytes', () => {
    const machine = new TestMachine(named('CRC32'));
    machine.cpu.gpr[0] = 0xffff_ffffn;
    machine.cpu.gpr[1] = text('12345678');
    machine.run(0xf2, 0x48, 0x0f, 0x38, 0xf1, 0xc1);
    machine.cpu.gpr[1] = text('9');
    machine.run(0xf2, 0x0f, 0x38, 0xf0, 0xc1);
    // the check value of CRC-32C
    assert.equal(machine.cpu.gpr[0] ^ 0xffff_ffffn, 0xe306_9283n);
  });
});

describe('masked store', () => {
  test('MASKMOVDQU writes the chosen bytes only', () => {
    const machine = new TestMachine(named('MASKMOVDQU'));
    machine.memory.fill(0xee);
    machine.cpu.gpr[7] = BigInt(MEMORY_BASE + 3);
    machine.setXmm(1, 0x0f0e0d0c_0b0a0908_07060504_03020100n);
    machine.setXmm(2, 0x80000000_00000000_7f000000_0000ff80n);
    assert.equal(machine.run(0x66, 0x0f, 0xf7, 0xca), undefined);
    const expected = new Array(16).fill(0xee);
    expected[0] = 0;
    expected[1] = 1;
    expected[15] = 15;
    assert.deepEqual([...machine.memory.subarray(3, 19)], expected);
    assert.equal(machine.memory[19], 0xee);
  });
});
