/** Running emitted operators: operands are read from memory, the result is written to memory. */

import assert from 'node:assert/strict';
import type { FunctionBuilder, LoadName, Operators, Value, ValueType } from '../index.ts';
import { ModuleBuilder } from '../module.ts';
import { OPERATORS, type Operator, type StoreName, type ValueOperatorName } from '../operators.ts';

export const WIDTH = { i32: 32, i64: 64, f32: 32, f64: 64, v128: 128 } as const satisfies Record<ValueType, number>;

/** Operand i lies at i * OPERAND_STRIDE. */
const OPERAND_STRIDE = 16;
const RESULT = 64;

/** Instantiates a module; `imports` is what it imports from 'env'. */
export function instantiate(bytes: Uint8Array<ArrayBuffer>, imports: Record<string, unknown> = {}) {
  const instance = new WebAssembly.Instance(new WebAssembly.Module(bytes), { env: imports as never });
  // biome-ignore lint/suspicious/noExplicitAny: tests call exports of any type
  return instance.exports as Record<string, any>;
}

/** Compiles one function and gives it back; memory of one page, if it needs one. */
export function compile(
  params: readonly ValueType[],
  results: readonly ValueType[],
  body: (f: FunctionBuilder) => void,
  memory?: WebAssembly.Memory,
) {
  const module = new ModuleBuilder();
  if (memory !== undefined) module.importMemory('env', 'memory', { initial: 1 });
  module.function('test', params, results, body, { export: 'test' });
  return instantiate(module.build(), { memory }).test;
}

/** Emits a function for the errors of emitting it. */
export function emit(body: (f: FunctionBuilder) => void, memory64 = false): void {
  const module = new ModuleBuilder({ memory64 });
  module.importMemory('env', 'memory', { initial: 1 });
  module.function('test', ['i32', 'i64'], [], body);
  assert.ok(WebAssembly.validate(module.build()));
}

export function readBits(view: DataView, address: number, width: number): bigint {
  let bits = 0n;
  for (let i = width / 8 - 1; i >= 0; i--) bits = (bits << 8n) | BigInt(view.getUint8(address + i));
  return bits;
}

export function writeBits(view: DataView, address: number, width: number, bits: bigint): void {
  for (let i = 0; i < width / 8; i++) view.setUint8(address + i, Number((bits >> BigInt(8 * i)) & 0xffn));
}

/** The immediates a value operator is tried with. */
export function immediatesOf(operator: Operator): (number | number[])[] {
  switch (operator.immediate) {
    case 'lane':
      return [operator.lanes - 1];
    case 'lanes':
      return [[0, 16, 1, 17, 31, 15, 8, 8, 2, 3, 30, 29, 7, 20, 11, 0]];
    default:
      return [];
  }
}

/** A function that runs a value operator on bit patterns, or tells that it trapped. */
export type Run = (operands: readonly bigint[]) => bigint | 'trap';

/** Emits each of the value operators into one module. */
export function runnersOf(names: readonly ValueOperatorName[]): Map<ValueOperatorName, Run> {
  const module = new ModuleBuilder();
  module.importMemory('env', 'memory', { initial: 1 });
  for (const name of names) {
    const operator: Operator = OPERATORS[name];
    const exported = { export: name };
    module.function(name, [], [], (f) => emitOnMemory(f, operator), exported);
  }
  const memory = new WebAssembly.Memory({ initial: 1 });
  const view = new DataView(memory.buffer);
  const exports = instantiate(module.build(), { memory });
  return new Map(names.map((name) => [name, runner(name, view, exports[name])]));
}

function emitOnMemory(f: FunctionBuilder, operator: Operator): void {
  const types = operator.operands as readonly ValueType[];
  const operands = types.map((type, i) => f.load(`${type}.load` as LoadName, f.i32(0), i * OPERAND_STRIDE));
  const result = applyOperator(f.op, operator, operands);
  f.store(`${operator.result}.store` as StoreName, f.i32(0), result, RESULT);
}

/** Builds the tree of any value operator. */
export function applyOperator(op: Operators, operator: Operator, operands: readonly Value[]): Value {
  const build = op[operator.name as ValueOperatorName] as (...args: unknown[]) => Value;
  return build(...operands, ...immediatesOf(operator));
}

function runner(name: ValueOperatorName, view: DataView, run: () => void): Run {
  const types = OPERATORS[name].operands as readonly ValueType[];
  const width = WIDTH[OPERATORS[name].result];
  return (operands) => {
    types.forEach((type, i) => {
      writeBits(view, i * OPERAND_STRIDE, WIDTH[type], operands[i]);
    });
    try {
      run();
    } catch (error) {
      if ((error as Error).name === 'RuntimeError') return 'trap';
      throw error;
    }
    return readBits(view, RESULT, width);
  };
}
