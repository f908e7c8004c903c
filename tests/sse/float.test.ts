import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { MEMORY_BASE, named, TestMachine, withConstantImmediates } from '../../src/cpu/interpreter/testing.ts';
import { lightHelpers } from '../../src/cpu/light/index.ts';
import { CR4 } from '../../src/cpu/system/registers.ts';
import { Vector } from '../../src/isa/stage.ts';

const PRECISION = 0x20;
const MXCSR_DEFAULT = 0x1f80;
/** Rounding to nearest, everything masked, precision flagged: what the quick paths need. */
const MXCSR_QUIET = MXCSR_DEFAULT | PRECISION;

/** xorshift32: tests are the same every time. */
function generator(seed: number): () => number {
  let x = seed;
  return () => {
    x ^= x << 13;
    x ^= x >>> 17;
    x ^= x << 5;
    return x >>> 0;
  };
}

/** Values where the quick paths have to give way, and random ones near 1 so that sums cancel. */
function values(width: 32 | 64, random: () => number): bigint {
  const [fraction, bias, top] = width === 32 ? [23n, 127n, 255n] : [52n, 1023n, 2047n];
  const any = BigInt.asUintN(Number(fraction), (BigInt(random()) << 32n) | BigInt(random()));
  const exponents = [
    0n,
    0n,
    1n,
    2n,
    bias - 3n,
    bias,
    bias,
    bias + 2n,
    bias / 2n,
    bias + bias / 2n,
    top - 1n,
    top,
    bias + 31n,
  ];
  const fractions = [0n, 0n, 1n, any, any, any, (1n << fraction) - 1n, 1n << (fraction - 1n)];
  const pick = <T>(list: T[]) => list[random() % list.length];
  return (BigInt(random() & 1) << BigInt(width - 1)) | (pick(exponents) << fraction) | pick(fractions);
}

const FORMATS = [
  { suffix: 'PS', prefix: [], width: 32 },
  { suffix: 'PD', prefix: [0x66], width: 64 },
  { suffix: 'SS', prefix: [0xf3], width: 32 },
  { suffix: 'SD', prefix: [0xf2], width: 64 },
] as const;
const OPERATIONS = { ADD: 0x58, MUL: 0x59, SUB: 0x5c, MIN: 0x5d, DIV: 0x5e, MAX: 0x5f, SQRT: 0x51 };

function operands(width: 32 | 64, random: () => number): bigint {
  let value = 0n;
  for (let i = 0; i < 128 / width; i++) value = (value << BigInt(width)) | values(width, random);
  return value;
}

describe('quick paths give what the exact path gives', () => {
  for (const [name, opcode] of Object.entries(OPERATIONS)) {
    test(name, () => {
      for (const { suffix, prefix, width } of FORMATS) {
        const machine = new TestMachine(named(name + suffix));
        const random = generator(opcode * 7 + width);
        for (let i = 0; i < 400; i++) {
          const [a, b] = [operands(width, random), operands(width, random)];
          // flush to zero and denormals are zero in turn
          for (const control of [0, 0x8000, 0x40, 0x8040]) {
            const run = (mxcsr: number) => {
              machine.setXmm(1, a);
              machine.setXmm(2, b);
              machine.cpu.mxcsr = mxcsr | control;
              assert.equal(machine.run(...prefix, 0x0f, opcode, 0xca), undefined);
              return { result: machine.xmm(1).toString(16), mxcsr: machine.cpu.mxcsr | PRECISION };
            };
            const exact = run(MXCSR_DEFAULT);
            assert.deepEqual(
              run(MXCSR_QUIET),
              exact,
              `${name}${suffix} ${a.toString(16)}, ${b.toString(16)}, ${control.toString(16)}`,
            );
          }
        }
      }
    });
  }

  test('plain operands need no helper', () => {
    let calls = 0;
    const { sseFloat } = lightHelpers;
    const helpers = lightHelpers as { sseFloat: typeof sseFloat };
    helpers.sseFloat = (...args) => {
      calls++;
      return sseFloat(...args);
    };
    try {
      const machine = new TestMachine(named('ADDSD', 'MULSD', 'COMISD', 'CVTTSD2SI', 'CVTSI2SD', 'CMPPD', 'ADDPS'));
      const number = new Float64Array([1.5, -3.25]);
      const pattern = (i: number) => new BigUint64Array(number.buffer)[i];
      machine.setXmm(1, pattern(0));
      machine.setXmm(2, pattern(1));
      machine.cpu.mxcsr = MXCSR_QUIET;
      machine.run(0xf2, 0x0f, 0x58, 0xca);
      machine.run(0xf2, 0x0f, 0x59, 0xca);
      assert.equal(new Float64Array(machine.cpu.xmm.buffer, machine.cpu.xmm.byteOffset, 32)[2], (1.5 - 3.25) * -3.25);
      machine.run(0x66, 0x0f, 0x2f, 0xca);
      machine.run(0xf2, 0x0f, 0x2c, 0xc1);
      assert.equal(machine.cpu.gpr[0], 5n);
      machine.run(0x66, 0x0f, 0xc2, 0xca, 1);
      machine.run(0xf2, 0x48, 0x0f, 0x2a, 0xc8);
      assert.equal(calls, 0);
      machine.setXmm(1, 1n);
      machine.run(0x0f, 0x58, 0xca);
      assert.equal(calls, 1);
    } finally {
      helpers.sseFloat = sseFloat;
    }
  });
});

describe('comparison predicates', () => {
  const holds = [
    (a: number, b: number) => a === b,
    (a: number, b: number) => a < b,
    (a: number, b: number) => a <= b,
    (a: number, b: number) => Number.isNaN(a) || Number.isNaN(b),
  ];
  const numbers = [-1, 0, -0, 2.5, Infinity, NaN];
  test('all eight, immediate in the record and constant', () => {
    for (let predicate = 0; predicate < 8; predicate++) {
      const machines = [named('CMPSD'), named('CMPSD').map((one) => withConstantImmediates(one, predicate))].map(
        (i) => new TestMachine(i),
      );
      for (const a of numbers) {
        for (const b of numbers) {
          const expected = holds[predicate & 3](a, b) !== predicate >= 4;
          for (const machine of machines) {
            const xmm = new DataView(machine.cpu.xmm.buffer, machine.cpu.xmm.byteOffset);
            xmm.setFloat64(16, a, true);
            xmm.setFloat64(32, b, true);
            machine.run(0xf2, 0x0f, 0xc2, 0xca, predicate);
            assert.equal(
              machine.xmm(1) & ((1n << 64n) - 1n),
              expected ? (1n << 64n) - 1n : 0n,
              `${a} ${predicate} ${b}`,
            );
          }
        }
      }
    }
  });
});

describe('exceptions', () => {
  const DIVIDE_BY_ZERO = 4;
  const divide = (mxcsr: number, cr4?: bigint) => {
    const machine = new TestMachine(named('DIVSD'));
    if (cr4 !== undefined) machine.cpu.cr4 = cr4;
    machine.setXmm(1, 0x3ff0_0000_0000_0000n);
    machine.cpu.mxcsr = mxcsr;
    const raised = machine.run(0xf2, 0x0f, 0x5e, 0xca);
    return { raised, result: machine.xmm(1), flags: machine.cpu.mxcsr & 0x3f };
  };
  test('masked: the flag and the masked result', () => {
    assert.deepEqual(divide(MXCSR_DEFAULT), {
      raised: undefined,
      result: 0x7ff0_0000_0000_0000n,
      flags: DIVIDE_BY_ZERO,
    });
  });
  test('unmasked: #XM, the flag, the destination as it was', () => {
    const unmasked = MXCSR_DEFAULT & ~(DIVIDE_BY_ZERO << 7);
    const result = 0x3ff0_0000_0000_0000n;
    assert.deepEqual(divide(unmasked), { raised: { vector: Vector.XM }, result, flags: DIVIDE_BY_ZERO });
    assert.deepEqual(divide(unmasked, BigInt(CR4.OSFXSR)), {
      raised: { vector: Vector.UD },
      result,
      flags: DIVIDE_BY_ZERO,
    });
  });
});

describe('memory operands', () => {
  test('legacy 128-bit operands must be aligned, MOVUPS not', () => {
    const machine = new TestMachine(named('ADDPS', 'MOVUPS', 'MOVAPS', 'PCMPISTRI'));
    machine.cpu.gpr[0] = BigInt(MEMORY_BASE + 8);
    const gp = { vector: Vector.GP, errorCode: 0 };
    assert.deepEqual(machine.run(0x0f, 0x58, 0x08), gp);
    assert.deepEqual(machine.run(0x0f, 0x28, 0x08), gp);
    assert.deepEqual(machine.run(0x0f, 0x29, 0x08), gp);
    assert.equal(machine.run(0x0f, 0x10, 0x08), undefined);
    assert.equal(machine.run(0x0f, 0x11, 0x08), undefined);
    assert.equal(machine.run(0x66, 0x0f, 0x3a, 0x63, 0x08, 0), undefined);
  });
});

describe('approximations', () => {
  test('RCPPS and RSQRTPS stay within 1.5 * 2^-12 and keep to the special cases', () => {
    const machine = new TestMachine(named('RCPPS', 'RSQRTPS'));
    const xmm = new DataView(machine.cpu.xmm.buffer, machine.cpu.xmm.byteOffset);
    const run = (opcode: number, x: number) => {
      xmm.setFloat32(32, x, true);
      machine.run(0x0f, opcode, 0xca);
      return xmm.getFloat32(16, true);
    };
    for (const x of [1, 3, 0.1, 1e30, 7e-30]) {
      assert.ok(Math.abs(run(0x53, x) * x - 1) < 1.5 * 2 ** -12);
      assert.ok(Math.abs(run(0x52, x) ** 2 * x - 1) < 3 * 2 ** -12);
    }
    assert.equal(run(0x53, -0), -Infinity);
    assert.equal(run(0x53, 2 ** -140), Infinity);
    assert.equal(run(0x53, -(2 ** 127)), -0);
    assert.equal(run(0x52, Infinity), 0);
    assert.ok(Number.isNaN(run(0x52, -1)));
  });
});

describe('MXCSR', () => {
  test('LDMXCSR refuses reserved bits', () => {
    const machine = new TestMachine(named('LDMXCSR', 'STMXCSR'));
    machine.cpu.gpr[0] = BigInt(MEMORY_BASE);
    machine.memory.set([0x80, 0x1f, 1, 0]);
    assert.deepEqual(machine.run(0x0f, 0xae, 0x10), { vector: Vector.GP, errorCode: 0 });
    machine.memory.set([0xbf, 0xff, 0, 0]);
    assert.equal(machine.run(0x0f, 0xae, 0x10), undefined);
    assert.equal(machine.cpu.mxcsr, 0xffbf);
  });
});
