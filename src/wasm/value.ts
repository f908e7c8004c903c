/**
 * Values: expression trees that become bytes when a statement consumes them.
 *
 * A tree is evaluated where it is consumed, not where it was built, and exactly once. Three kinds may be used any number
 * of times: constants, locals and variables. Anything else wanted twice goes through `FunctionBuilder.let`.
 *
 * Ordering hazard: a load (or the read of a global) written down before a store, a call or a loop, but consumed after
 * it, would see the later contents. The emitter refuses such a tree; `let()` before the store is the remedy. A tree
 * that may trap (a division, a load) traps where it is consumed; a variable is read where it is consumed.
 */

import type { Operator } from './operators.ts';
import type { ValueType } from './types.ts';

/** A value of type T: an expression tree, consumed exactly once unless it is a constant, a local or a variable. */
export interface Value<T extends ValueType = ValueType> {
  readonly type: T;
}

/** A value held in a WebAssembly local and never changed; free to use any number of times. */
export interface Local<T extends ValueType = ValueType> extends Value<T> {
  readonly index: number;
}

/** A local that changes. Used as a value, it is read where that value is consumed; `let()` keeps the present one. */
export interface Variable<T extends ValueType = ValueType> extends Local<T> {
  get(): Value<T>;
  set(value: Value<T>): void;
}

/** Gives a number once the function is finished: a constant from -2^20 to 2^20 - 1, or an offset that is not negative. */
export type Deferred = () => number;

/** What a tree node is. */
export const Kind = {
  CONSTANT: 0,
  LOCAL: 1,
  VARIABLE: 2,
  /** An operator without immediate. */
  OPERATOR: 3,
  /** A vector operator with a lane number. */
  LANE: 4,
  /** i8x16.shuffle. */
  SHUFFLE: 5,
  LOAD: 6,
  LOAD_LANE: 7,
  GLOBAL: 8,
  SELECT: 9,
  MEMORY_SIZE: 10,
  /** A constant of which a function gives the value when all has been written. */
  DEFERRED: 11,
} as const;

export type Kind = (typeof Kind)[keyof typeof Kind];

/** A node of an expression tree. All nodes have one shape, so that the code which handles them stays monomorphic. */
export class Tree<T extends ValueType = ValueType> implements Local<T> {
  readonly kind: Kind;
  readonly type: T;
  /** The operator of OPERATOR, LANE, SHUFFLE, LOAD and LOAD_LANE. */
  readonly operator: Operator | null;
  /** Operands. Of a v128 constant, the low and the high half; `c` of SHUFFLE is its lane numbers as a v128 constant. */
  readonly a: Tree | null;
  readonly b: Tree | null;
  readonly c: Tree | null;
  /** Constant: bits 0 to 31, signed. LOCAL, VARIABLE, GLOBAL, DEFERRED: the index. LANE: the lane. LOAD: the offset. */
  readonly low: number;
  /** Constant: bits 32 to 63, signed. LOAD_LANE: the lane. LOAD: 1 if the offset is a deferred one's index. */
  readonly high: number;
  /** When it was written down (see Emitter.order): of what reads memory or a global, and of locals and variables. */
  readonly order: number;
  /** LOCAL, VARIABLE: the function the local belongs to. */
  readonly owner: object | null;
  /** Consumed already; for a local: released. */
  consumed = false;

  constructor(
    kind: Kind,
    type: T,
    operator: Operator | null,
    a: Tree | null,
    b: Tree | null,
    c: Tree | null,
    low: number,
    high: number,
    order: number,
    owner: object | null,
  ) {
    this.kind = kind;
    this.type = type;
    this.operator = operator;
    this.a = a;
    this.b = b;
    this.c = c;
    this.low = low;
    this.high = high;
    this.order = order;
    this.owner = owner;
  }

  /** Of a local or variable: its index. */
  get index(): number {
    return this.low;
  }
}

const scratch = new DataView(new ArrayBuffer(8));

function constantOfBits<T extends ValueType>(type: T, low: number, high: number): Tree<T> {
  return new Tree(Kind.CONSTANT, type, null, null, null, null, low, high, 0, null);
}

/** An i32 constant: any integer, of which 32 bits are kept. */
export function constantI32(value: number): Tree<'i32'> {
  const low = value | 0;
  if (low !== value && !Number.isInteger(value)) throw new RangeError(`i32.const: ${value} is not an integer`);
  return constantOfBits('i32', low, 0);
}

/** An i64 constant: a safe integer, or a bigint of which 64 bits are kept. */
export function constantI64(value: number | bigint): Tree<'i64'> {
  if (typeof value === 'bigint') {
    scratch.setBigInt64(0, value, true);
    return constantOfBits('i64', scratch.getInt32(0, true), scratch.getInt32(4, true));
  }
  const low = value | 0;
  if (low === value) return constantOfBits('i64', low, low >> 31);
  if (!Number.isSafeInteger(value)) throw new RangeError(`i64.const: ${value} is not a safe integer: use a bigint`);
  return constantOfBits('i64', low, Math.floor(value / 0x1_0000_0000) | 0);
}

/** An f32 constant; the number is rounded to single precision. */
export function constantF32(value: number): Tree<'f32'> {
  scratch.setFloat32(0, value, true);
  return constantOfBits('f32', scratch.getInt32(0, true), 0);
}

export function constantF64(value: number): Tree<'f64'> {
  scratch.setFloat64(0, value, true);
  return constantOfBits('f64', scratch.getInt32(0, true), scratch.getInt32(4, true));
}

/** A v128 constant: its 16 bytes in memory order, or a bigint of which 128 bits are kept. */
export function constantV128(value: bigint | ArrayLike<number>): Tree<'v128'> {
  let low: Tree<'i64'>;
  let high: Tree<'i64'>;
  if (typeof value === 'bigint') {
    low = constantI64(value);
    high = constantI64(value >> 64n);
  } else {
    if (value.length !== 16) throw new RangeError(`v128.const: ${value.length} bytes, expected 16`);
    low = constantOfBytes(value, 0);
    high = constantOfBytes(value, 8);
  }
  return new Tree(Kind.CONSTANT, 'v128', null, low, high, null, 0, 0, 0, null);
}

function constantOfBytes(bytes: ArrayLike<number>, start: number): Tree<'i64'> {
  for (let i = 0; i < 8; i++) scratch.setUint8(i, bytes[start + i]);
  return constantOfBits('i64', scratch.getInt32(0, true), scratch.getInt32(4, true));
}

/** The value of an i64 constant, signed. */
export function bigintOf(constant: Tree): bigint {
  scratch.setInt32(0, constant.low, true);
  scratch.setInt32(4, constant.high, true);
  return scratch.getBigInt64(0, true);
}

/** Whether a value is a constant, whose bits the emitter knows. */
export function isConstant(value: Value): boolean {
  return (value as Tree).kind === Kind.CONSTANT;
}

/** The value of an integer constant, signed: a number for i32, a bigint for i64; undefined of anything else. */
export function constantValue(value: Value<'i32'>): number | undefined;
export function constantValue(value: Value<'i64'>): bigint | undefined;
export function constantValue(value: Value): number | bigint | undefined;
export function constantValue(value: Value): number | bigint | undefined {
  const tree = value as Tree;
  if (tree.kind !== Kind.CONSTANT) return undefined;
  if (tree.type === 'i32') return tree.low;
  if (tree.type === 'i64') return bigintOf(tree);
  return undefined;
}

/** Checks the type of an operand. */
export function expectType(tree: Tree, type: ValueType, where: string): void {
  if (tree.type !== type) throw new TypeError(`${where} is ${describe(tree)}, expected ${type}`);
}

function describe(tree: Tree): string {
  return tree instanceof Tree ? tree.type : 'not a value';
}

/** Marks a tree as used; constants, locals and variables may be used again. */
export function consume(tree: Tree): void {
  if (tree.consumed) {
    if (tree.kind <= Kind.VARIABLE) throw new Error('local used after its release');
    throw new Error('value consumed twice: use let()');
  }
  if (tree.kind > Kind.VARIABLE) tree.consumed = true;
}
