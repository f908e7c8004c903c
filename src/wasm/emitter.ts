// biome-ignore-all lint/style/noNonNullAssertion: the kind of a node tells which operands it has
/**
 * Turning trees into bytes: the writing of one function body, its locals, and the order of memory accesses.
 */

import { ByteWriter } from './encode.ts';
import type { Operator } from './operators.ts';
import { type AddressType, TYPE_CODE, type ValueType } from './types.ts';
import { consume, type Deferred, expectType, Kind, type Local, Tree, type Value } from './value.ts';

/** Bytes of a number that is told at the end. */
const DEFERRED_SIZE = 3;
const MOST_DEFERRED = 2 ** 20 - 1;

/** Opcodes of what is no operator (WebAssembly Core Specification 3.0, section 5.4). */
export const Opcode = {
  UNREACHABLE: 0x00,
  BLOCK: 0x02,
  LOOP: 0x03,
  IF: 0x04,
  ELSE: 0x05,
  END: 0x0b,
  BR: 0x0c,
  BR_IF: 0x0d,
  BR_TABLE: 0x0e,
  RETURN: 0x0f,
  CALL: 0x10,
  CALL_INDIRECT: 0x11,
  RETURN_CALL: 0x12,
  RETURN_CALL_INDIRECT: 0x13,
  DROP: 0x1a,
  SELECT: 0x1b,
  LOCAL_GET: 0x20,
  LOCAL_SET: 0x21,
  LOCAL_TEE: 0x22,
  GLOBAL_GET: 0x23,
  GLOBAL_SET: 0x24,
  MEMORY_SIZE: 0x3f,
  I32_CONST: 0x41,
  I64_CONST: 0x42,
  F32_CONST: 0x43,
  F64_CONST: 0x44,
} as const;

/** v128.const: a prefix and an opcode. */
const VECTOR_PREFIX = 0xfd;
const V128_CONST = 12;

/** The block type of a block without parameters and results (section 5.3.5). */
export const EMPTY_BLOCK_TYPE = 0x40;

/** The only memory of a module. */
export const MEMORY_INDEX = 0;

/** A local that changes. */
class VariableTree<T extends ValueType = ValueType> extends Tree<T> {
  get(): Value<T> {
    return this;
  }

  set(value: Value<T>): void {
    (this.owner as Emitter).setLocal(this, value as Value as Tree);
  }
}

/** Writes one function body. FunctionBuilder adds the statements. */
export class Emitter {
  /** The function's name, for error messages. */
  readonly name: string;
  /** The type of memory addresses. */
  readonly addressType: AddressType;
  protected readonly writer: ByteWriter;
  private readonly parameterCount: number;
  /** The types of all locals, parameters first. */
  private readonly localTypes: ValueType[];
  /** Released locals, by type. */
  private readonly free: Record<ValueType, number[]> = { i32: [], i64: [], f32: [], f64: [], v128: [] };
  /** The locals of the innermost scope, and of those around it. */
  private scoped: Tree[] | null = null;
  private readonly outerScopes: (Tree[] | null)[] = [];
  /**
   * What has been written last to memory and globals: a number that changes with every store, call and loop entry.
   * A read carries the number of its time, and is refused when consumed at another.
   */
  protected order = 1;
  private lastOrder = 1;
  /** What `lastOrder` was at the start of the innermost loop; 0 outside of loops. */
  private loopStart = 0;
  /** The local.set just written (its start, its end, its local), which a local.get right after it turns into a tee. */
  private setStart = 0;
  private setEnd = -1;
  private setIndex = 0;
  /** Numbers told at the end, the least that each may be, and where it is to be written. */
  private readonly deferred: { readonly value: Deferred; readonly least: number }[] = [];
  private readonly deferredPlaces: number[] = [];
  /** Where expected branches were written, each followed by whether the condition is likely to hold (1) or not (0). */
  private readonly expectations: number[] = [];

  constructor(name: string, params: readonly ValueType[], addressType: AddressType, writer: ByteWriter) {
    this.name = name;
    this.addressType = addressType;
    this.writer = writer;
    this.parameterCount = params.length;
    this.localTypes = params.slice();
  }

  /** An error that names the function. */
  protected error(message: string): Error {
    return new Error(`${this.name}: ${message}`);
  }

  /** Checks the type of a value that a statement is about to consume. */
  protected expect(value: Value, type: ValueType, what: string): Tree {
    const tree = value as Tree;
    if (tree.type !== type) expectType(tree, type, `${this.name}: ${what}`);
    return tree;
  }

  /** Marks that memory or globals may have changed: reads written down before must not be consumed any more. */
  protected changed(): void {
    this.order = this.nextOrder();
  }

  /** A number that stands for changes no one has seen yet. */
  protected nextOrder(): number {
    return ++this.lastOrder;
  }

  /** Whether control may come here more than once. */
  protected get inLoop(): boolean {
    return this.loopStart > 0;
  }

  /** Begins a loop, which may bring control here after anything its body changes; gives what ends it. */
  protected enterLoop(): number {
    const outer = this.loopStart;
    this.changed();
    this.loopStart = this.lastOrder;
    return outer;
  }

  protected leaveLoop(outer: number): void {
    this.loopStart = outer;
  }

  /** A constant that is told at the end. */
  laterI64(value: Deferred): Value<'i64'> {
    return new Tree(Kind.DEFERRED, 'i64', null, null, null, null, this.defer(value, -MOST_DEFERRED - 1), 0, 0, null);
  }

  protected defer(value: Deferred, least: number): number {
    return this.deferred.push({ value, least }) - 1;
  }

  /** Leaves room for a number that is told at the end, given by its index. */
  protected writeDeferred(index: number): void {
    const { writer } = this;
    this.deferredPlaces[index] = writer.length;
    for (let i = 0; i < DEFERRED_SIZE; i++) writer.byte(0);
  }

  protected settleDeferred(): void {
    this.deferredPlaces.forEach((place, i) => {
      const { value, least } = this.deferred[i];
      const number = value();
      if (!(Number.isInteger(number) && number >= least && number <= MOST_DEFERRED))
        throw this.error(`${number}, told at the end, is out of range`);
      this.writer.replaceSigned21(place, number);
    });
  }

  /** Consumes a value: writes the instructions that leave it on the stack. */
  protected push(value: Value): void {
    consume(value as Tree);
    this.write(value as Tree);
  }

  private write(tree: Tree): void {
    const writer = this.writer;
    switch (tree.kind) {
      case Kind.CONSTANT:
        this.writeConstant(tree);
        break;
      case Kind.LOCAL:
      case Kind.VARIABLE:
        this.writeLocalGet(tree);
        break;
      case Kind.OPERATOR:
        this.write(tree.a!);
        if (tree.b !== null) this.write(tree.b);
        if (tree.c !== null) this.write(tree.c);
        this.writeOperator(tree.operator!);
        break;
      case Kind.LANE:
        this.write(tree.a!);
        if (tree.b !== null) this.write(tree.b);
        this.writeOperator(tree.operator!);
        writer.byte(tree.low);
        break;
      case Kind.SHUFFLE:
        this.write(tree.a!);
        this.write(tree.b!);
        this.writeOperator(tree.operator!);
        this.writeVector(tree.c!);
        break;
      case Kind.LOAD:
        this.checkOrder(tree);
        this.write(tree.a!);
        this.writeOperator(tree.operator!);
        if (tree.high === 0) this.writeAccess(tree.operator!, tree.low);
        else this.writeDeferredAccess(tree.operator!, tree.low);
        break;
      case Kind.LOAD_LANE:
        this.checkOrder(tree);
        this.write(tree.a!);
        this.write(tree.b!);
        this.writeOperator(tree.operator!);
        this.writeAccess(tree.operator!, tree.low);
        writer.byte(tree.high);
        break;
      case Kind.GLOBAL:
        this.checkOrder(tree);
        writer.byte(Opcode.GLOBAL_GET);
        writer.unsigned(tree.low);
        break;
      case Kind.SELECT:
        this.write(tree.a!);
        this.write(tree.b!);
        this.write(tree.c!);
        writer.byte(Opcode.SELECT);
        break;
      case Kind.MEMORY_SIZE:
        this.checkOrder(tree);
        writer.byte(Opcode.MEMORY_SIZE);
        writer.byte(MEMORY_INDEX);
        break;
      case Kind.DEFERRED:
        writer.byte(Opcode.I64_CONST);
        this.writeDeferred(tree.low);
        break;
      default:
        tree.kind satisfies never;
        throw this.error('not a value');
    }
  }

  /** Writes a prefix and an opcode. */
  protected writeOperator(operator: Operator): void {
    if (operator.prefix === 0) {
      this.writer.byte(operator.code);
    } else {
      this.writer.byte(operator.prefix);
      this.writer.unsigned(operator.code);
    }
  }

  /** Writes the immediates of a memory access: its natural alignment and its offset. */
  protected writeAccess(operator: Operator, offset: number): void {
    this.writer.byte(operator.alignment);
    this.writer.unsigned(offset);
  }

  protected writeDeferredAccess(operator: Operator, index: number): void {
    this.writer.byte(operator.alignment);
    this.writeDeferred(index);
  }

  private writeConstant(tree: Tree): void {
    const writer = this.writer;
    switch (tree.type) {
      case 'i32':
        writer.byte(Opcode.I32_CONST);
        writer.signed32(tree.low);
        break;
      case 'i64':
        writer.byte(Opcode.I64_CONST);
        writer.signed64(tree.low, tree.high);
        break;
      case 'f32':
        writer.byte(Opcode.F32_CONST);
        writer.fixed32(tree.low);
        break;
      case 'f64':
        writer.byte(Opcode.F64_CONST);
        writer.fixed32(tree.low);
        writer.fixed32(tree.high);
        break;
      case 'v128':
        writer.byte(VECTOR_PREFIX);
        writer.byte(V128_CONST);
        this.writeVector(tree);
        break;
    }
  }

  private writeVector(constant: Tree): void {
    for (const half of [constant.a!, constant.b!]) {
      this.writer.fixed32(half.low);
      this.writer.fixed32(half.high);
    }
  }

  private writeLocalGet(tree: Tree): void {
    if (tree.owner !== this) throw this.error('local of another function');
    if (tree.consumed) throw this.error('local used after its release');
    const writer = this.writer;
    if (this.setEnd === writer.length && this.setIndex === tree.low) {
      writer.bytes[this.setStart] = Opcode.LOCAL_TEE;
      this.setEnd = -1;
    } else {
      writer.byte(Opcode.LOCAL_GET);
      writer.unsigned(tree.low);
    }
  }

  /** Writes a local.set of the value on the stack. */
  protected writeLocalSet(tree: Tree): void {
    const writer = this.writer;
    this.setStart = writer.length;
    writer.byte(Opcode.LOCAL_SET);
    writer.unsigned(tree.low);
    this.setEnd = writer.length;
    this.setIndex = tree.low;
  }

  private checkOrder(tree: Tree): void {
    if (tree.order === this.order || tree.order === 0) return;
    const name = tree.operator === null ? 'read' : tree.operator.name;
    throw this.error(`${name} consumed after a later store, call or loop: use let()`);
  }

  /** Consumes several values, checking their number and types. */
  protected pushAll(types: readonly ValueType[], values: readonly Value[], what: string): void {
    if (values.length !== types.length) {
      throw this.error(`${what}: ${values.length} values, expected ${types.length}`);
    }
    for (let i = 0; i < types.length; i++) {
      const tree = values[i] as Tree;
      if (tree.type !== types[i]) this.expect(tree, types[i], `${what}: value ${i + 1}`);
      this.push(tree);
    }
  }

  /** Takes a value from the stack into a fresh local. */
  protected receive<T extends ValueType>(type: T): Local<T> {
    const local = this.freshLocal(type);
    this.writeLocalSet(local);
    return local;
  }

  /** Consumes a value into a variable. */
  setLocal(variable: Tree, value: Tree): void {
    if (variable.owner !== this) throw this.error('variable of another function');
    if (variable.consumed) throw this.error('variable used after its release');
    this.expect(value, variable.type, 'value of variable.set');
    this.push(value);
    this.writeLocalSet(variable);
  }

  /** Whether an index handed out next would be one that was used before. */
  protected hasReleased(type: ValueType): boolean {
    return this.free[type].length > 0;
  }

  private makeLocal(type: ValueType): number {
    const released = this.free[type].pop();
    return released === undefined ? this.localTypes.push(type) - 1 : released;
  }

  private remember<L extends Tree>(local: L): L {
    if (this.scoped !== null) this.scoped.push(local);
    return local;
  }

  /** A fresh immutable local, which the caller sets at once. */
  protected freshLocal<T extends ValueType>(type: T): Tree<T> {
    return this.remember(
      new Tree(Kind.LOCAL, type, null, null, null, null, this.makeLocal(type), 0, this.lastOrder, this),
    );
  }

  protected freshVariable<T extends ValueType>(type: T): VariableTree<T> {
    return this.remember(this.variableOf(type, this.makeLocal(type), this.lastOrder));
  }

  protected variableOf<T extends ValueType>(type: T, index: number, order = 0): VariableTree<T> {
    return new VariableTree(Kind.VARIABLE, type, null, null, null, null, index, 0, order, this);
  }

  protected localOf<T extends ValueType>(type: T, index: number): Tree<T> {
    return new Tree(Kind.LOCAL, type, null, null, null, null, index, 0, 0, this);
  }

  /**
   * Gives back locals and variables whose last use has been consumed, so that later ones take their places. Using one
   * afterwards is an error. A constant among them is ignored.
   */
  release(...locals: Value[]): void {
    for (const local of locals as Tree[]) {
      if (local.kind === Kind.CONSTANT) continue;
      if (local.kind > Kind.VARIABLE) throw this.error('release: not a local');
      if (local.owner !== this) throw this.error('release: local of another function');
      if (local.consumed) throw this.error('release: released twice');
      // The next round of the loop would find in it what took its place in this one.
      if (local.order < this.loopStart) throw this.error('release: local from outside the loop');
      local.consumed = true;
      this.free[local.type].push(local.low);
    }
  }

  /** Runs `body`, then releases the locals and variables it made and did not release itself. */
  scope<R>(body: () => R): R {
    const locals: Tree[] = [];
    this.outerScopes.push(this.scoped);
    this.scoped = locals;
    const result = body();
    this.scoped = this.outerScopes.pop()!;
    for (const local of locals) if (!local.consumed) this.release(local);
    return result;
  }

  /** Makes a local of the innermost scope, if it is one, a local of the scope around that. */
  keep<L extends Value>(local: L): L {
    const at = this.scoped === null ? -1 : this.scoped.lastIndexOf(local as Value as Tree);
    if (at >= 0) {
      this.scoped!.splice(at, 1);
      this.outerScopes[this.outerScopes.length - 1]?.push(local as Value as Tree);
    }
    return local;
  }

  /** Makes a local of the innermost scope one of the function. */
  keepAlways<L extends Value>(local: L): L {
    const at = this.scoped === null ? -1 : this.scoped.lastIndexOf(local as Value as Tree);
    if (at >= 0) this.scoped!.splice(at, 1);
    return local;
  }

  /** Notes what is expected of the condition of the branch written next. */
  protected expectBranch(likely: boolean | undefined): void {
    if (likely !== undefined) this.expectations.push(this.writer.length, likely ? 1 : 0);
  }

  /**
   * Appends the function's code entry (section 5.5.13) to a code section: size, locals, body. Gives the branches with
   * expectations, their places counted from the start of the locals, as `expectations` has them.
   */
  protected appendTo(code: ByteWriter): readonly number[] {
    const head = new ByteWriter(16);
    const types = this.localTypes;
    let groups = 0;
    for (let i = this.parameterCount; i < types.length; i++) {
      if (i === this.parameterCount || types[i] !== types[i - 1]) groups++;
    }
    head.unsigned(groups);
    for (let i = this.parameterCount; i < types.length; ) {
      const first = i;
      while (i < types.length && types[i] === types[first]) i++;
      head.unsigned(i - first);
      head.byte(TYPE_CODE[types[first]]);
    }
    code.unsigned(head.length + this.writer.length);
    code.copy(head.bytes, 0, head.length);
    code.copy(this.writer.bytes, 0, this.writer.length);
    return this.expectations.map((value, i) => (i & 1 ? value : head.length + value));
  }
}
