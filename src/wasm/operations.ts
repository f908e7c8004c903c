/**
 * One function per value operator, made from the operator table: `operators['i32.add'](a, b)` is the tree a + b.
 * Constants are folded and identities dropped on the way (fold.ts).
 */

import { type Fold, foldOf, type Identity, identityOf } from './fold.ts';
import {
  type ImmediateOf,
  OPERATORS,
  type OperandsOf,
  type Operator,
  type OperatorName,
  type ResultOf,
  type ValueOperatorName,
} from './operators.ts';
import type { ValueType } from './types.ts';
import { constantV128, consume, expectType, Kind, Tree, type Value } from './value.ts';

type ValuesOf<O> = { [I in keyof O]: O[I] extends ValueType ? Value<O[I]> : never };

type ImmediateArguments<N extends ValueOperatorName> =
  ImmediateOf<N> extends 'lane' ? [lane: number] : ImmediateOf<N> extends 'lanes' ? [lanes: ArrayLike<number>] : [];

type TypeOf<R> = R extends ValueType ? R : never;

/** The functions, by the operator's name; immediates follow the operands. */
export type Operators = {
  readonly [N in ValueOperatorName]: (
    ...args: [...ValuesOf<OperandsOf<N>>, ...ImmediateArguments<N>]
  ) => Value<TypeOf<ResultOf<N>>>;
};

/** Describes an operand for an error message. */
function operand(operator: Operator, number: number): string {
  return `${operator.name}: operand ${number}`;
}

function unary(operator: Operator): (a: Tree) => Tree {
  const type = operator.operands[0] as ValueType;
  const result = operator.result as ValueType;
  const fold: Fold | undefined = foldOf(operator.name as OperatorName);
  return (a) => {
    if (a.type !== type) expectType(a, type, operand(operator, 1));
    if (fold !== undefined && a.kind === Kind.CONSTANT) {
      const folded = fold(a, a);
      if (folded !== undefined) return folded;
    }
    consume(a);
    return new Tree(Kind.OPERATOR, result, operator, a, null, null, 0, 0, 0, null);
  };
}

function isIdentity(tree: Tree, identity: Identity): boolean {
  return tree.low === identity.low && tree.high === identity.high;
}

function binary(operator: Operator): (a: Tree, b: Tree) => Tree {
  const typeA = operator.operands[0] as ValueType;
  const typeB = operator.operands[1] as ValueType;
  const result = operator.result as ValueType;
  const fold: Fold | undefined = foldOf(operator.name as OperatorName);
  const identity: Identity | undefined = identityOf(operator.name as OperatorName);
  return (a, b) => {
    if (a.type !== typeA) expectType(a, typeA, operand(operator, 1));
    if (b.type !== typeB) expectType(b, typeB, operand(operator, 2));
    if (b.kind === Kind.CONSTANT) {
      if (a.kind === Kind.CONSTANT && fold !== undefined) {
        const folded = fold(a, b);
        if (folded !== undefined) return folded;
      }
      if (identity !== undefined && isIdentity(b, identity)) return a;
    } else if (a.kind === Kind.CONSTANT && identity?.commutative === true && isIdentity(a, identity)) {
      return b;
    }
    consume(a);
    consume(b);
    return new Tree(Kind.OPERATOR, result, operator, a, b, null, 0, 0, 0, null);
  };
}

function ternary(operator: Operator): (a: Tree, b: Tree, c: Tree) => Tree {
  const [typeA, typeB, typeC] = operator.operands as readonly ValueType[];
  const result = operator.result as ValueType;
  return (a, b, c) => {
    expectType(a, typeA, operand(operator, 1));
    expectType(b, typeB, operand(operator, 2));
    expectType(c, typeC, operand(operator, 3));
    consume(a);
    consume(b);
    consume(c);
    return new Tree(Kind.OPERATOR, result, operator, a, b, c, 0, 0, 0, null);
  };
}

/** Checks a lane number. */
export function expectLane(operator: Operator, lane: number, lanes: number): void {
  if (!(Number.isInteger(lane) && lane >= 0 && lane < lanes)) {
    throw new RangeError(`${operator.name}: lane ${lane}, expected 0 to ${lanes - 1}`);
  }
}

function extractLane(operator: Operator): (a: Tree, lane: number) => Tree {
  const type = operator.operands[0] as ValueType;
  const result = operator.result as ValueType;
  return (a, lane) => {
    expectType(a, type, operand(operator, 1));
    expectLane(operator, lane, operator.lanes);
    consume(a);
    return new Tree(Kind.LANE, result, operator, a, null, null, lane, 0, 0, null);
  };
}

function replaceLane(operator: Operator): (a: Tree, b: Tree, lane: number) => Tree {
  const [typeA, typeB] = operator.operands as readonly ValueType[];
  const result = operator.result as ValueType;
  return (a, b, lane) => {
    expectType(a, typeA, operand(operator, 1));
    expectType(b, typeB, operand(operator, 2));
    expectLane(operator, lane, operator.lanes);
    consume(a);
    consume(b);
    return new Tree(Kind.LANE, result, operator, a, b, null, lane, 0, 0, null);
  };
}

/** A shuffle chooses each of 16 bytes from the 32 of its two operands. */
const SHUFFLE_LANES = 32;

function shuffle(operator: Operator): (a: Tree, b: Tree, lanes: ArrayLike<number>) => Tree {
  return (a, b, lanes) => {
    expectType(a, 'v128', operand(operator, 1));
    expectType(b, 'v128', operand(operator, 2));
    if (lanes.length !== 16) throw new RangeError(`${operator.name}: ${lanes.length} lanes, expected 16`);
    for (let i = 0; i < 16; i++) expectLane(operator, lanes[i], SHUFFLE_LANES);
    consume(a);
    consume(b);
    return new Tree(Kind.SHUFFLE, 'v128', operator, a, b, constantV128(lanes), 0, 0, 0, null);
  };
}

function operationOf(operator: Operator): unknown {
  switch (operator.immediate) {
    case 'lanes':
      return shuffle(operator);
    case 'lane':
      return operator.operands.length === 1 ? extractLane(operator) : replaceLane(operator);
    default:
      return [unary, binary, ternary][operator.operands.length - 1](operator);
  }
}

function makeOperators(): Operators {
  const functions: Record<string, unknown> = {};
  for (const operator of Object.values<Operator>(OPERATORS)) {
    if (operator.group === 'value') functions[operator.name] = operationOf(operator);
  }
  return functions as Operators;
}

export const operators: Operators = makeOperators();
