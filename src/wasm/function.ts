/**
 * FunctionBuilder: the statements of one function. A statement writes its instructions at once; see value.ts for how
 * trees are consumed, and for the one ordering hazard.
 */

import { type AddressOperators, addressOperators } from './address.ts';
import { EMPTY_BLOCK_TYPE, Opcode } from './emitter.ts';
import type { ByteWriter } from './encode.ts';
import { MemoryEmitter } from './memory.ts';
import { type Operators, operators } from './operations.ts';
import {
  type AddressType,
  type FunctionRef,
  type Signature,
  type TableRef,
  TYPE_CODE,
  type ValueType,
} from './types.ts';
import {
  constantF32,
  constantF64,
  constantI32,
  constantI64,
  constantV128,
  consume,
  Kind,
  type Local,
  Tree,
  type Value,
  type Variable,
} from './value.ts';

/** The destination of branches: the end of a block, or the start of a loop. Valid inside the block or loop. */
export interface Label {
  /** How many blocks enclose the labelled one. */
  readonly depth: number;
}

class OpenLabel implements Label {
  readonly depth: number;
  open = true;
  /** Whether a branch to the label can be reached. */
  reached = false;
  /** The order of memory accesses (see Emitter) that branches bring along. */
  order = 0;

  constructor(depth: number) {
    this.depth = depth;
  }
}

/** What constants of each type are made from. */
interface ConstantSource {
  i32: number;
  i64: number | bigint;
  f32: number;
  f64: number;
  v128: bigint | ArrayLike<number>;
}

/** What a call gives: the first result in a local, or nothing. */
export type CallResult<R extends readonly ValueType[]> = R extends readonly []
  ? undefined
  : R extends readonly [infer T extends ValueType, ...unknown[]]
    ? Local<T>
    : Local | undefined;

/** The table that is meant where none is named. */
const FIRST_TABLE: TableRef = { index: 0 };

export class FunctionBuilder extends MemoryEmitter {
  /** The value operators by name: `f.op['i32.add'](a, b)`. */
  readonly op: Operators = operators;
  /** Address arithmetic in the module's address type. */
  readonly address: AddressOperators;
  readonly signature: Signature;
  /** How many blocks are open. */
  private depth = 0;
  /** Whether control can reach this place. */
  private reachable = true;
  private readonly parameters: Tree[] = [];

  /** ModuleBuilder makes these. `writer` is empty and holds the body until `finish`. */
  constructor(name: string, signature: Signature, addressType: AddressType, writer: ByteWriter) {
    super(name, signature.params, addressType, writer);
    this.signature = signature;
    this.address = addressOperators(addressType);
  }

  // Values

  /** Parameter `index`, never changed. */
  // biome-ignore lint/suspicious/noExplicitAny: the caller knows the type; each use checks it when building
  param<T extends ValueType = any>(index: number): Local<T> {
    return this.parameter(index, Kind.LOCAL) as unknown as Local<T>;
  }

  /** Parameter `index` as a variable. A parameter is either used through `param` or through this. */
  // biome-ignore lint/suspicious/noExplicitAny: as above
  paramVariable<T extends ValueType = any>(index: number): Variable<T> {
    return this.parameter(index, Kind.VARIABLE) as unknown as Variable<T>;
  }

  private parameter(index: number, kind: typeof Kind.LOCAL | typeof Kind.VARIABLE): Tree {
    const type = this.signature.params[index];
    if (type === undefined) throw this.error(`no parameter ${index}`);
    this.parameters[index] ??= kind === Kind.LOCAL ? this.localOf(type, index) : this.variableOf(type, index);
    const tree = this.parameters[index];
    if (tree.kind !== kind) throw this.error(`parameter ${index} used both as a local and as a variable`);
    return tree;
  }

  /** A constant. i32 and i64 keep their low 32 and 64 bits, so unsigned numbers are accepted; v128 takes 16 bytes. */
  const<T extends ValueType>(type: T, value: ConstantSource[T]): Value<T> {
    return this.constant(type, value as never) as unknown as Value<T>;
  }

  private constant(type: ValueType, value: never): Tree {
    switch (type) {
      case 'i32':
        return constantI32(value);
      case 'i64':
        return constantI64(value);
      case 'f32':
        return constantF32(value);
      case 'f64':
        return constantF64(value);
      case 'v128':
        return constantV128(value);
    }
  }

  i32(value: number): Value<'i32'> {
    return constantI32(value);
  }

  i64(value: number | bigint): Value<'i64'> {
    return constantI64(value);
  }

  /** Evaluates a value now into a local. Constants and locals are returned as they are; a variable is copied. */
  let<T extends ValueType>(value: Value<T>): Local<T> {
    const tree = value as Tree<T>;
    if (tree.kind <= Kind.LOCAL) {
      consume(tree);
      return tree;
    }
    this.push(tree);
    const local = this.freshLocal(tree.type);
    this.writeLocalSet(local);
    return local;
  }

  /** A mutable local, set to `init` or zero. */
  variable<T extends ValueType>(type: T, init?: Value<T>): Variable<T> {
    if (init !== undefined) this.push(this.expect(init, type, 'initial value of variable'));
    // A local no one used before is zero already, unless a loop brings control here again.
    const zeroed = init === undefined && !this.inLoop && !this.hasReleased(type);
    const variable = this.freshVariable(type);
    if (zeroed) return variable;
    if (init === undefined) this.push(type === 'v128' ? constantV128(0n) : this.constant(type, 0 as never));
    this.writeLocalSet(variable);
    return variable;
  }

  /** `a` where `condition` is not 0, else `b`; both are evaluated. */
  select<T extends ValueType>(condition: Value<'i32'>, a: Value<T>, b: Value<T>): Value<T> {
    const c = this.expect(condition, 'i32', 'condition of select');
    const first = a as Tree<T>;
    const second = this.expect(b, first.type, 'second value of select') as Tree<T>;
    if (c.kind === Kind.CONSTANT) {
      // The other one must not be something whose evaluation would be missed.
      if (first.kind <= Kind.VARIABLE && second.kind <= Kind.VARIABLE) return c.low !== 0 ? first : second;
    }
    consume(first);
    consume(second);
    consume(c);
    return new Tree(Kind.SELECT, first.type, null, first, second, c, 0, 0, 0, null);
  }

  // Control

  private openBlock(opcode: number, blockType: number): void {
    this.writer.byte(opcode);
    this.writer.byte(blockType);
    this.depth++;
  }

  private closeBlock(): void {
    this.writer.byte(Opcode.END);
    this.depth--;
  }

  /**
   * Runs the statements of `then` where the condition is not 0, else those of `otherwise`. With a constant condition
   * only the one taken is emitted. `likely` tells engines whether the condition is expected to hold.
   */
  if(condition: Value<'i32'>, then: () => void, otherwise?: () => void, likely?: boolean): void {
    const tree = this.expect(condition, 'i32', 'condition of if');
    if (tree.kind === Kind.CONSTANT) {
      if (tree.low !== 0) then();
      else otherwise?.();
      return;
    }
    this.push(tree);
    this.expectBranch(likely);
    this.openBlock(Opcode.IF, EMPTY_BLOCK_TYPE);
    this.arms(then, otherwise);
  }

  /** Writes the arms of an if, of which only one runs. */
  private arms(then: () => void, otherwise: (() => void) | undefined): void {
    const { reachable, order } = this;
    then();
    const afterThen = this.reachable;
    const orderAfterThen = this.order;
    this.reachable = reachable;
    this.order = order;
    if (otherwise !== undefined) {
      this.writer.byte(Opcode.ELSE);
      otherwise();
    }
    this.closeBlock();
    this.join(afterThen, orderAfterThen);
  }

  /** Where another path of control, if it can be reached, meets this one: what either changed may have changed. */
  private join(reachable: boolean, order: number): void {
    if (!reachable) return;
    if (!this.reachable) this.order = order;
    else if (this.order !== order) this.changed();
    this.reachable = true;
  }

  /** The value of one of two functions, each of which may emit statements first; in a local. */
  ifValue<T extends ValueType>(
    type: T,
    condition: Value<'i32'>,
    then: () => Value<T>,
    otherwise: () => Value<T>,
    likely?: boolean,
  ): Local<T> {
    const tree = this.expect(condition, 'i32', 'condition of ifValue');
    const pushArm = (arm: () => Value<T>) => this.push(this.expect(arm(), type, 'value of ifValue'));
    if (tree.kind === Kind.CONSTANT) {
      return this.let(this.expect((tree.low !== 0 ? then : otherwise)(), type, 'value of ifValue') as Tree<T>);
    }
    this.push(tree);
    this.expectBranch(likely);
    this.openBlock(Opcode.IF, TYPE_CODE[type]);
    this.arms(
      () => pushArm(then),
      () => pushArm(otherwise),
    );
    return this.receive(type);
  }

  /** A block, whose label is its end. */
  block(body: (label: Label) => void): void {
    const label = new OpenLabel(this.depth);
    this.openBlock(Opcode.BLOCK, EMPTY_BLOCK_TYPE);
    body(label);
    this.closeBlock();
    label.open = false;
    this.join(label.reached, label.order);
  }

  /** A loop, whose label is its start: control leaves at its end unless it branches to the label. */
  loop(body: (label: Label) => void): void {
    const label = new OpenLabel(this.depth);
    this.openBlock(Opcode.LOOP, EMPTY_BLOCK_TYPE);
    const outer = this.enterLoop();
    body(label);
    this.leaveLoop(outer);
    this.closeBlock();
    label.open = false;
  }

  /** Checks a label before a branch to it is written. */
  private target(label: Label): OpenLabel {
    const target = label as OpenLabel;
    if (!target.open) throw this.error('branch to a label from outside its block');
    return target;
  }

  private writeTarget(target: OpenLabel): void {
    if (this.reachable) {
      if (!target.reached) target.order = this.order;
      else if (target.order !== this.order) target.order = this.nextOrder();
      target.reached = true;
    }
    this.writer.unsigned(this.depth - target.depth - 1);
  }

  /** Branches to a label. */
  br(label: Label): void {
    const target = this.target(label);
    this.writer.byte(Opcode.BR);
    this.writeTarget(target);
    this.reachable = false;
  }

  /** Branches to a label where the condition is not 0; `likely` as with `if`. */
  brIf(label: Label, condition: Value<'i32'>, likely?: boolean): void {
    const target = this.target(label);
    const tree = this.expect(condition, 'i32', 'condition of brIf');
    if (tree.kind === Kind.CONSTANT) {
      if (tree.low !== 0) this.br(label);
      return;
    }
    this.push(tree);
    this.expectBranch(likely);
    this.writer.byte(Opcode.BR_IF);
    this.writeTarget(target);
  }

  /** Branches to `labels[index]`, or to `otherwise` where the index (unsigned) is past the last. */
  brTable(labels: readonly Label[], otherwise: Label, index: Value<'i32'>): void {
    const targets = labels.map((label) => this.target(label));
    const last = this.target(otherwise);
    this.push(this.expect(index, 'i32', 'index of brTable'));
    this.writer.byte(Opcode.BR_TABLE);
    this.writer.unsigned(targets.length);
    for (const target of targets) this.writeTarget(target);
    this.writeTarget(last);
    this.reachable = false;
  }

  /** Returns from the function with its results. */
  return(...values: Value[]): void {
    this.pushAll(this.signature.results, values, 'return');
    this.writer.byte(Opcode.RETURN);
    this.reachable = false;
  }

  /** Traps. */
  unreachable(): void {
    this.writer.byte(Opcode.UNREACHABLE);
    this.reachable = false;
  }

  /** Evaluates a value for its traps alone. */
  drop(value: Value): void {
    this.push(value);
    this.writer.byte(Opcode.DROP);
  }

  // Calls

  /** Takes results from the stack, of which the last is on top. */
  private receiveAll(types: readonly ValueType[]): Local[] {
    const locals: Local[] = [];
    for (let i = types.length - 1; i >= 0; i--) locals[i] = this.receive(types[i]);
    return locals;
  }

  private writeCallIndirect(
    opcode: number,
    signature: Signature,
    table: TableRef,
    index: Value<'i32'>,
    values: readonly Value[],
  ): void {
    this.pushAll(signature.params, values, 'indirect call');
    this.push(this.expect(index, 'i32', 'table index of an indirect call'));
    this.writer.byte(opcode);
    this.writer.unsigned(signature.index);
    this.writer.unsigned(table.index);
  }

  private writeCall(opcode: number, callee: FunctionRef, values: readonly Value[]): void {
    this.pushAll(callee.signature.params, values, callee.name);
    this.writer.byte(opcode);
    this.writer.unsigned(callee.index);
  }

  private expectSameResults(signature: Signature): void {
    if (signature.results.join() === this.signature.results.join()) return;
    throw this.error(`tail call returns (${signature.results}), expected (${this.signature.results})`);
  }

  /** Calls a function now; the first of its results in a local. */
  call<const R extends readonly ValueType[]>(callee: FunctionRef<R>, values: readonly Value[]): CallResult<R> {
    return this.callMultiple(callee, values)[0] as CallResult<R>;
  }

  /** Calls a function now; all its results in locals. */
  callMultiple(callee: FunctionRef, values: readonly Value[]): Local[] {
    this.writeCall(Opcode.CALL, callee, values);
    this.changed();
    return this.receiveAll(callee.signature.results);
  }

  /** Calls the function at `index` of a table now; the first of its results in a local. */
  callIndirect<const R extends readonly ValueType[]>(
    signature: Signature<R>,
    table: TableRef,
    index: Value<'i32'>,
    values: readonly Value[],
  ): CallResult<R> {
    this.writeCallIndirect(Opcode.CALL_INDIRECT, signature, table, index, values);
    this.changed();
    return this.receiveAll(signature.results)[0] as CallResult<R>;
  }

  /** Ends the function by calling another one that returns the same results. */
  returnCall(callee: FunctionRef, values: readonly Value[]): void {
    this.expectSameResults(callee.signature);
    this.writeCall(Opcode.RETURN_CALL, callee, values);
    this.reachable = false;
  }

  /** Ends the function by calling the one at `index` of a table (the module's first by default). */
  returnCallIndirect(
    signature: Signature,
    index: Value<'i32'>,
    values: readonly Value[],
    table: TableRef = FIRST_TABLE,
  ): void {
    this.expectSameResults(signature);
    this.writeCallIndirect(Opcode.RETURN_CALL_INDIRECT, signature, table, index, values);
    this.reachable = false;
  }

  /** Ends the body and appends it to the module's code; gives the branches with expectations. ModuleBuilder calls this. */
  finish(code: ByteWriter): readonly number[] {
    if (this.signature.results.length > 0) {
      if (this.reachable) throw this.error('control reaches the end without a return');
      this.writer.byte(Opcode.UNREACHABLE);
    }
    this.writer.byte(Opcode.END);
    this.settleDeferred();
    return this.appendTo(code);
  }
}
