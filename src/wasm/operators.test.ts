import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { FunctionBuilder, Value, ValueOperatorName, ValueType } from './index.ts';
import { type LoadName, ModuleBuilder, OPERATORS, type OperatorName, type StoreName } from './index.ts';
import type { AtomicName, LoadLaneName, Operator, StoreLaneName } from './operators.ts';
import { applyOperator, instantiate, readBits, runnersOf, WIDTH } from './testing/harness.ts';
import { randomBits, randomFloats, randomNumbers } from './testing/random.ts';
import { bitsOfFloat, floatOfBits, lanesOf, referenceOf, vectorOf } from './testing/reference.ts';

const operators = Object.values<Operator>(OPERATORS);
const namesOf = (group: string) => operators.filter((o) => o.group === group).map((o) => o.name as OperatorName);
const valueNames = namesOf('value') as ValueOperatorName[];

/** Emits any operator with operands that are no constants. */
function emitAny(f: FunctionBuilder, operator: Operator): void {
  const types = operator.operands.map((type) => (type === 'address' ? f.addressType : type));
  const operands: Value[] = types.map((type) => f.variable(type));
  const [address, second] = operands as [Value<'i32'>, Value<'v128'>];
  const offset = 24;
  switch (operator.group) {
    case 'value':
      f.drop(applyOperator(f.op, operator, operands));
      break;
    case 'load':
      f.drop(f.load(operator.name as LoadName, address, offset));
      break;
    case 'store':
      f.store(operator.name as StoreName, address, second, offset);
      break;
    case 'load lane':
      f.drop(f.loadLane(operator.name as LoadLaneName, address, second, operator.lanes - 1, offset));
      break;
    case 'store lane':
      f.storeLane(operator.name as StoreLaneName, address, second, operator.lanes - 1, offset);
      break;
    case 'atomic':
      f.atomic(operator.name as AtomicName, address, operands.slice(1), offset);
      break;
    case 'bulk':
      emitBulk(f, operator.name, operands as Value<'i32'>[]);
      break;
  }
}

function emitBulk(f: FunctionBuilder, name: string, operands: Value<'i32'>[]): void {
  const [a, b, c] = operands;
  switch (name) {
    case 'memory.size':
      f.drop(f.memorySize());
      break;
    case 'memory.grow':
      f.drop(f.memoryGrow(a));
      break;
    case 'memory.copy':
      f.memoryCopy(a, b, c);
      break;
    case 'memory.fill':
      f.memoryFill(a, b, c);
      break;
    default:
      assert.fail(`${name} is not tried`);
  }
}

describe('every operator of the table', () => {
  for (const memory64 of [false, true]) {
    test(`is valid with ${memory64 ? 64 : 32}-bit addresses`, () => {
      for (const operator of operators) {
        const module = new ModuleBuilder({ memory64 });
        module.importMemory('env', 'memory', { initial: 1, maximum: 2, shared: true });
        module.function('f', [], [], (f) => emitAny(f, operator));
        const bytes = module.build();
        if (!WebAssembly.validate(bytes)) assert.doesNotThrow(() => new WebAssembly.Module(bytes), operator.name);
      }
    });
  }

  test('has the opcode that the other rows do not have', () => {
    const codes = new Set(operators.map((operator) => `${operator.prefix} ${operator.code}`));
    assert.equal(codes.size, operators.length);
  });

  test('is there', () => {
    const count = (group: string) => namesOf(group).length;
    // Scalars: 0x45 to 0xc4, and 8 saturating truncations. Vectors: 236, of which 13 load, 1 stores, 8 access a lane,
    // 1 is the constant; 20 relaxed ones.
    assert.equal(count('value'), 128 + 8 + (236 - 13 - 1 - 8 - 1) + 20);
    assert.equal(count('load'), 14 + 13);
    assert.equal(count('store'), 9 + 1);
    assert.equal(count('load lane') + count('store lane'), 8);
    assert.equal(count('atomic'), 3 + 7 * 9);
    assert.equal(count('bulk'), 4);
  });
});

/** How the lanes of a type are to be tried and compared: whether they hold floating-point numbers, and their width. */
interface Lanes {
  readonly isFloat: boolean;
  readonly width: number;
}

function lanesOfType(type: ValueType, shape: string): Lanes {
  if (type !== 'v128') return { isFloat: type.startsWith('f'), width: WIDTH[type] };
  return { isFloat: shape.startsWith('f'), width: shape === 'v128' ? 64 : Number(/\d+/.exec(shape)?.[0]) };
}

/** The shape of the operands: a conversion names it after its own. */
function operandShape(name: string): string {
  const [shape, rest] = name.split('.');
  return /_([if]\d+x\d+)/.exec(rest)?.[1] ?? shape;
}

function isEqual(actual: bigint, expected: bigint, type: ValueType, { isFloat, width }: Lanes): boolean {
  if (!isFloat) return actual === expected;
  const same = (a: bigint, b: bigint) =>
    a === b || (Number.isNaN(floatOfBits(a, width)) && Number.isNaN(floatOfBits(b, width)));
  if (type !== 'v128') return same(actual, expected);
  const lanes = lanesOf(actual, width);
  return lanesOf(expected, width).every((lane, i) => same(lanes[i], lane));
}

describe('value operators compute what JavaScript computes', () => {
  const runners = runnersOf(valueNames);
  const next = randomNumbers(0x7e57);
  const bits = randomBits(next);
  const floats = randomFloats(next);
  const element = ({ isFloat, width }: Lanes) => (isFloat ? bitsOfFloat(floats(), width) : bits(width));
  const ROUNDS = 60;

  const withoutReference: string[] = [];
  for (const name of valueNames) {
    const reference = referenceOf(name);
    if (reference === undefined) {
      withoutReference.push(name);
      continue;
    }
    test(name, () => {
      const operator: Operator = OPERATORS[name];
      const result = operator.result as ValueType;
      const shape = operandShape(name);
      for (let round = 0; round < ROUNDS; round++) {
        const operands = (operator.operands as readonly ValueType[]).map((type) => {
          const lanes = lanesOfType(type, shape);
          return type === 'v128'
            ? vectorOf(
                lanesOf(0n, lanes.width).map(() => element(lanes)),
                lanes.width,
              )
            : element(lanes);
        });
        const expected: bigint | 'trap' = reference(...operands);
        const actual = runners.get(name)?.(operands);
        const message: string = `${operands.map((o) => o.toString(16))} gives ${actual?.toString(16)}, not ${expected.toString(16)}`;
        if (actual === undefined || actual === 'trap' || expected === 'trap') assert.equal(actual, expected, message);
        else assert.ok(isEqual(actual, expected, result, lanesOfType(result, name.split('.')[0])), message);
      }
    });
  }

  test('only relaxed operators have no reference', () => {
    assert.deepEqual(
      withoutReference.filter((name) => !name.includes('relaxed')),
      [],
    );
    assert.equal(withoutReference.length, 20);
  });
});

describe('memory operators', () => {
  const SOURCE = 32;
  const OFFSET = 3;
  const RESULT = 96;
  const PATTERN = Uint8Array.from({ length: 128 }, (_, i) => (i * 37 + 0x85) & 0xff);

  /** Runs a function on a memory that holds the pattern. */
  function runOnPattern(body: (f: FunctionBuilder) => void): { before: DataView; after: DataView } {
    const memory = new WebAssembly.Memory({ initial: 1, maximum: 2, shared: true });
    const bytes = new Uint8Array(memory.buffer);
    bytes.set(PATTERN);
    const module = new ModuleBuilder();
    module.importMemory('env', 'memory', { initial: 1, maximum: 2, shared: true });
    module.function('f', [], [], body, { export: 'f' });
    instantiate(module.build(), { memory }).f();
    return { before: new DataView(PATTERN.buffer), after: new DataView(memory.buffer) };
  }

  const widthOfName = (name: string, operator: Operator) => 8 << operator.alignment || Number(name);

  for (const name of namesOf('load') as LoadName[]) {
    test(name, () => {
      const operator: Operator = OPERATORS[name];
      const type = operator.result as ValueType;
      const { before, after } = runOnPattern((f) =>
        f.store(`${type}.store`, f.i32(RESULT), f.load(name, f.i32(SOURCE), OFFSET)),
      );
      const width = widthOfName(name, operator);
      const loaded = readBits(before, SOURCE + OFFSET, width);
      assert.equal(readBits(after, RESULT, WIDTH[type]), extended(name, loaded, width, WIDTH[type]));
    });
  }

  /** What a load makes of the bits in memory. */
  function extended(name: string, loaded: bigint, width: number, to: number): bigint {
    const lanes = /load(\d+)x(\d)_([su])/.exec(name);
    if (lanes !== null) {
      const lane = Number(lanes[1]);
      const values = lanesOf(loaded, lane).slice(0, Number(lanes[2]));
      return vectorOf(
        values.map((value) => (lanes[3] === 's' ? BigInt.asIntN(lane, value) : value)),
        lane * 2,
      );
    }
    if (name.endsWith('_splat')) return vectorOf(lanesOf(0n, width).fill(loaded), width);
    return name.endsWith('_s') ? BigInt.asUintN(to, BigInt.asIntN(width, loaded)) : loaded;
  }

  for (const name of namesOf('store') as StoreName[]) {
    test(name, () => {
      const operator: Operator = OPERATORS[name];
      const type = operator.operands[1] as ValueType;
      const { before, after } = runOnPattern((f) =>
        f.store(name, f.i32(RESULT), f.load(`${type}.load`, f.i32(SOURCE)), OFFSET),
      );
      const width = widthOfName(name, operator);
      assert.equal(readBits(after, RESULT + OFFSET, width), readBits(before, SOURCE, width));
      const end = RESULT + OFFSET + width / 8;
      assert.equal(
        readBits(after, end, 32),
        readBits(new DataView(Uint8Array.of(...PATTERN, 0, 0, 0, 0).buffer), end, 32),
      );
    });
  }

  for (const name of namesOf('load lane') as LoadLaneName[]) {
    test(name, () => {
      const width = widthOfName(name, OPERATORS[name]);
      const lane = 128 / width - 1;
      const { before, after } = runOnPattern((f) => {
        const vector = f.load('v128.load', f.i32(0));
        f.store('v128.store', f.i32(RESULT), f.loadLane(name, f.i32(SOURCE), vector, lane, OFFSET));
      });
      const expected = lanesOf(readBits(before, 0, 128), width).with(lane, readBits(before, SOURCE + OFFSET, width));
      assert.equal(readBits(after, RESULT, 128), vectorOf(expected, width));
    });
  }

  for (const name of namesOf('store lane') as StoreLaneName[]) {
    test(name, () => {
      const width = widthOfName(name, OPERATORS[name]);
      const lane = 128 / width - 1;
      const { before, after } = runOnPattern((f) =>
        f.storeLane(name, f.i32(RESULT), f.load('v128.load', f.i32(SOURCE)), lane, OFFSET),
      );
      assert.equal(readBits(after, RESULT + OFFSET, width), lanesOf(readBits(before, SOURCE, 128), width)[lane]);
    });
  }

  const READ_MODIFY_WRITE: Record<string, (old: bigint, value: bigint) => bigint> = {
    add: (old, value) => old + value,
    sub: (old, value) => old - value,
    and: (old, value) => old & value,
    or: (old, value) => old | value,
    xor: (old, value) => old ^ value,
    xchg: (_, value) => value,
  };

  for (const name of (namesOf('atomic') as AtomicName[]).filter((n) => !n.startsWith('memory'))) {
    test(name, () => {
      const operator: Operator = OPERATORS[name];
      const width = widthOfName(name, operator);
      const type = name.slice(0, 3) as 'i32' | 'i64';
      const value = BigInt.asUintN(width, 0x1234_5678_9abc_def5n);
      const old = readBits(new DataView(PATTERN.buffer), SOURCE, width);
      const operation = /\.(\w+?)(_u)?$/.exec(name)?.[1] ?? '';
      const { after } = runOnPattern((f) => {
        const constant = type === 'i32' ? f.i32(Number(value)) : f.i64(value);
        const compared = type === 'i32' ? f.i32(Number(old)) : f.i64(old);
        const operands =
          operator.operands.length === 3 ? [compared, constant] : [constant].slice(2 - operator.operands.length);
        const result = f.atomic(name, f.i32(SOURCE), operands);
        if (result !== undefined) f.store(`${type}.store`, f.i32(RESULT), result);
        f.atomicFence();
      });
      const changes = name.includes('rmw') || name.includes('store');
      const expected = READ_MODIFY_WRITE[operation]?.(old, value) ?? value;
      assert.equal(readBits(after, SOURCE, width), changes ? BigInt.asUintN(width, expected) : old);
      if (operator.result !== undefined) assert.equal(readBits(after, RESULT, WIDTH[type]), old);
    });
  }

  test('memory.atomic.notify wakes nobody, memory.atomic.wait sees another value', () => {
    const { after } = runOnPattern((f) => {
      const woken = f.atomic('memory.atomic.notify', f.i32(SOURCE), [f.i32(1)]);
      f.store('i32.store', f.i32(RESULT), woken);
      const noTimeout = -1;
      f.store(
        'i32.store',
        f.i32(RESULT + 4),
        f.atomic('memory.atomic.wait32', f.i32(SOURCE), [f.i32(0), f.i64(noTimeout)]),
      );
      f.store(
        'i32.store',
        f.i32(RESULT + 8),
        f.atomic('memory.atomic.wait64', f.i32(SOURCE), [f.i64(0), f.i64(noTimeout)]),
      );
    });
    const [notEqual, nobody] = [1, 0];
    const results = [0, 4, 8].map((i) => after.getUint32(RESULT + i, true));
    assert.deepEqual(results, [nobody, notEqual, notEqual]);
  });

  test('memory.fill and memory.copy', () => {
    const { after } = runOnPattern((f) => {
      f.memoryFill(f.i32(RESULT), f.i32(0x1ab), f.i32(5));
      f.memoryCopy(f.i32(RESULT + 8), f.i32(SOURCE), f.i32(4));
    });
    const bytes = new Uint8Array(after.buffer);
    assert.deepEqual([...bytes.subarray(RESULT, RESULT + 6)], [0xab, 0xab, 0xab, 0xab, 0xab, PATTERN[RESULT + 5]]);
    assert.deepEqual(
      bytes.slice(RESULT + 8, RESULT + 13),
      Uint8Array.of(...PATTERN.subarray(SOURCE, SOURCE + 4), PATTERN[RESULT + 12]),
    );
  });

  test('memory.grow gives the former size', () => {
    const { after } = runOnPattern((f) => {
      const former = f.memoryGrow(f.i32(1)) as Value<'i32'>;
      f.store('i32.store', f.i32(RESULT), former);
      f.store('i32.store', f.i32(RESULT + 4), f.memorySize());
    });
    assert.deepEqual([after.getUint32(RESULT, true), after.getUint32(RESULT + 4, true)], [1, 2]);
  });
});
