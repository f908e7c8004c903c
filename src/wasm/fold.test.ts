import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { foldedOperators, identityOf } from './fold.ts';
import {
  constantValue,
  isConstant,
  ModuleBuilder,
  OPERATORS,
  operators,
  type Value,
  type ValueOperatorName,
} from './index.ts';
import type { Operator } from './operators.ts';
import { applyOperator, instantiate, runnersOf, WIDTH } from './testing/harness.ts';
import { randomBits, randomNumbers } from './testing/random.ts';
import { constantI32, constantI64, constantV128 } from './value.ts';

type Integer = 'i32' | 'i64';

const constant = (type: Integer, bits: bigint): Value =>
  type === 'i32' ? constantI32(Number(bits)) : constantI64(bits);

const unsignedValue = (value: Value): bigint | undefined => {
  const known = constantValue(value);
  return known === undefined ? undefined : BigInt.asUintN(WIDTH[value.type], BigInt(known));
};

describe('folding', () => {
  const names = foldedOperators() as ValueOperatorName[];
  const runners = runnersOf(names);
  const bits = randomBits(randomNumbers(0xf01d));

  test('covers the integer operators', () => {
    const integers = Object.values<Operator>(OPERATORS).filter(
      (o) => o.group === 'value' && [...o.operands, o.result].every((type) => type === 'i32' || type === 'i64'),
    );
    assert.deepEqual([...names].sort(), integers.map((o) => o.name).sort());
  });

  for (const name of names) {
    test(`${name} folds to what it computes when run`, () => {
      const operator: Operator = OPERATORS[name];
      for (let round = 0; round < 100; round++) {
        const operands = (operator.operands as Integer[]).map((type) => bits(WIDTH[type]));
        const values = operands.map((operand, i) => constant(operator.operands[i] as Integer, operand));
        const folded = unsignedValue(applyOperator(operators, operator, values));
        assert.equal(folded ?? 'trap', runners.get(name)?.(operands), `${operands}`);
      }
    });
  }

  test('an operator that would trap is emitted and traps', () => {
    const quotient = operators['i32.div_u'](constantI32(1), constantI32(0));
    assert.ok(!isConstant(quotient));
    const module = new ModuleBuilder();
    module.function('f', [], ['i32'], (f) => f.return(quotient), { export: 'f' });
    assert.throws(() => instantiate(module.build()).f(), { name: 'RuntimeError' });
  });

  test('other operators do not fold', () => {
    assert.ok(!isConstant(operators['f64.convert_i32_s'](constantI32(1))));
    assert.ok(!isConstant(operators['i8x16.add'](constantV128(1n), constantV128(1n))));
  });
});

describe('identities', () => {
  const bits = randomBits(randomNumbers(0x1de7));
  const names = foldedOperators().filter((name) => identityOf(name) !== undefined) as ValueOperatorName[];
  const runners = runnersOf(names);

  for (const name of names) {
    test(`${name} with its identity is the other operand`, () => {
      const operator: Operator = OPERATORS[name];
      const type = operator.operands[0] as Integer;
      const { low, high, commutative } = identityOf(name) as NonNullable<ReturnType<typeof identityOf>>;
      const neutral = type === 'i32' ? BigInt(low) : (BigInt(high) << 32n) | BigInt.asUintN(32, BigInt(low));
      const identity = constant(type, BigInt.asIntN(WIDTH[type], neutral));
      const module = new ModuleBuilder();
      module.function('f', [type], [], (f) => {
        const x = f.param(0);
        assert.equal(applyOperator(operators, operator, [x, identity]), x);
        assert.equal(applyOperator(operators, operator, [identity, x]) === x, commutative);
      });
      const run = runners.get(name);
      for (let round = 0; round < 50; round++) {
        const operand = bits(WIDTH[type]);
        const constantBits = BigInt.asUintN(WIDTH[type], neutral);
        assert.equal(run?.([operand, constantBits]), operand);
        if (commutative) assert.equal(run?.([constantBits, operand]), operand);
      }
    });
  }

  test('leave a tree to be consumed once', () => {
    const module = new ModuleBuilder();
    module.function('f', ['i32'], [], (f) => {
      const tree = f.op['i32.clz'](f.param(0));
      const same = f.op['i32.add'](tree, f.i32(0));
      f.drop(same);
      assert.throws(() => f.drop(tree), /consumed twice/);
    });
  });
});

describe('constants', () => {
  test('keep the low bits of any integer', () => {
    assert.equal(constantValue(constantI32(0xffff_ffff)), -1);
    assert.equal(constantValue(constantI32(2 ** 40 + 5)), 5);
    assert.equal(constantValue(constantI64(-1)), -1n);
    assert.equal(constantValue(constantI64(2 ** 53 - 1)), 2n ** 53n - 1n);
    assert.equal(constantValue(constantI64(-(2 ** 53) + 1)), -(2n ** 53n) + 1n);
    assert.equal(constantValue(constantI64(0x8000_0000)), 0x8000_0000n);
    assert.equal(constantValue(constantI64(2n ** 64n - 1n)), -1n);
    assert.equal(constantValue(constantI64(2n ** 70n + 3n)), 3n);
  });

  test('must be integers', () => {
    assert.throws(() => constantI32(1.5), RangeError);
    assert.throws(() => constantI32(Number.NaN), RangeError);
    assert.throws(() => constantI64(2 ** 53), RangeError);
    assert.throws(() => constantV128([1, 2]), RangeError);
  });

  test('reach the module as they are', () => {
    const bits = randomBits(randomNumbers(0xc0de));
    const integers = Array.from({ length: 200 }, () => BigInt.asIntN(64, bits(64)));
    const module = new ModuleBuilder();
    integers.forEach((value, i) => {
      module.function('i64', [], ['i64'], (f) => f.return(f.i64(value)), { export: `i64 ${i}` });
      module.function('i32', [], ['i32'], (f) => f.return(f.i32(Number(BigInt.asIntN(32, value)))), {
        export: `i32 ${i}`,
      });
    });
    const floats = [0, -0, 1.5, 1e300, Infinity, Number.NaN];
    floats.forEach((value, i) => {
      module.function('f64', [], ['f64'], (f) => f.return(f.const('f64', value)), { export: `f64 ${i}` });
      module.function('f32', [], ['f32'], (f) => f.return(f.const('f32', value)), { export: `f32 ${i}` });
    });
    const vector = 0x0102_0304_0506_0708_090a_0b0c_0d0e_0f10n;
    module.function(
      'v128',
      [],
      ['i64', 'i64'],
      (f) => {
        const bytes = Uint8Array.from({ length: 16 }, (_, i) => 16 - i);
        const low = f.op['i64x2.extract_lane'](f.const('v128', vector), 0);
        f.return(low, f.op['i64x2.extract_lane'](f.const('v128', bytes), 1));
      },
      { export: 'v128' },
    );
    const exports = instantiate(module.build());
    integers.forEach((value, i) => {
      assert.equal(exports[`i64 ${i}`](), value);
      assert.equal(exports[`i32 ${i}`](), Number(BigInt.asIntN(32, value)));
    });
    floats.forEach((value, i) => {
      assert.equal(exports[`f64 ${i}`](), value);
      assert.equal(exports[`f32 ${i}`](), Math.fround(value));
    });
    assert.deepEqual(exports.v128(), [BigInt.asIntN(64, vector), BigInt.asIntN(64, vector >> 64n)]);
  });
});
