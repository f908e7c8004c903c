/**
 * What reads and changes memory and globals.
 */

import type { AddressValue } from './address.ts';
import { Emitter, MEMORY_INDEX, Opcode } from './emitter.ts';
import { expectLane } from './operations.ts';
import {
  type AtomicName,
  type LoadLaneName,
  type LoadName,
  OPERATORS,
  type Operator,
  type OperatorName,
  type ResultOf,
  type StoreLaneName,
  type StoreName,
} from './operators.ts';
import type { GlobalRef, ValueType } from './types.ts';
import { consume, type Deferred, Kind, type Local, Tree, type Value } from './value.ts';

type ResultLocal<N extends OperatorName> = ResultOf<N> extends ValueType ? Local<ResultOf<N>> : undefined;
type ResultValue<N extends OperatorName> = ResultOf<N> extends ValueType ? Value<ResultOf<N>> : never;

/** The part of FunctionBuilder that accesses memory and globals. */
export class MemoryEmitter extends Emitter {
  private access(operator: Operator, address: Value, offset: number): void {
    this.expect(address, this.addressType, `address of ${operator.name}`);
    const limit = this.addressType === 'i32' ? 0xffff_ffff : Number.MAX_SAFE_INTEGER;
    if (!(Number.isInteger(offset) && offset >= 0 && offset <= limit)) {
      throw this.error(`${operator.name}: offset ${offset} out of range`);
    }
  }

  /** The value in memory at `address + offset` (not wrapping). A tree: see value.ts for the ordering hazard. */
  load<N extends LoadName>(name: N, address: AddressValue, offset: number | Deferred = 0): ResultValue<N> {
    const operator: Operator = OPERATORS[name];
    const deferred = typeof offset === 'function';
    this.access(operator, address, deferred ? 0 : offset);
    consume(address as Tree);
    const low = deferred ? this.defer(offset, 0) : offset;
    const type = operator.result as ValueType;
    const high = deferred ? 1 : 0;
    const tree = new Tree(Kind.LOAD, type, operator, address as Tree, null, null, low, high, this.order, null);
    return tree as Value as ResultValue<N>;
  }

  /** Stores a value at `address + offset` (not wrapping). */
  store(name: StoreName, address: AddressValue, value: Value, offset: number | Deferred = 0): void {
    const operator: Operator = OPERATORS[name];
    const deferred = typeof offset === 'function';
    this.access(operator, address, deferred ? 0 : offset);
    this.expect(value, operator.operands[1] as ValueType, `value of ${name}`);
    this.push(address);
    this.push(value);
    this.writeOperator(operator);
    if (deferred) this.writeDeferredAccess(operator, this.defer(offset, 0));
    else this.writeAccess(operator, offset);
    this.changed();
  }

  /** `vector` with one lane replaced from memory. A tree, as `load`. */
  loadLane(name: LoadLaneName, address: AddressValue, vector: Value<'v128'>, lane: number, offset = 0): Value<'v128'> {
    const operator: Operator = OPERATORS[name];
    this.access(operator, address, offset);
    const b = this.expect(vector, 'v128', `vector of ${name}`);
    expectLane(operator, lane, operator.lanes);
    consume(address as Tree);
    consume(b);
    return new Tree(Kind.LOAD_LANE, 'v128', operator, address as Tree, b, null, offset, lane, this.order, null);
  }

  /** Stores one lane of a vector. */
  storeLane(name: StoreLaneName, address: AddressValue, vector: Value<'v128'>, lane: number, offset = 0): void {
    const operator: Operator = OPERATORS[name];
    this.access(operator, address, offset);
    this.expect(vector, 'v128', `vector of ${name}`);
    expectLane(operator, lane, operator.lanes);
    this.push(address);
    this.push(vector);
    this.writeOperator(operator);
    this.writeAccess(operator, offset);
    this.writer.byte(lane);
    this.changed();
  }

  /** An atomic access, done at once; its result, if it has one, in a local. `operands` follow the address. */
  atomic<N extends AtomicName>(name: N, address: AddressValue, operands: readonly Value[], offset = 0): ResultLocal<N> {
    const operator: Operator = OPERATORS[name];
    this.access(operator, address, offset);
    this.push(address);
    this.pushAll(operator.operands.slice(1) as ValueType[], operands, name);
    this.writeOperator(operator);
    this.writeAccess(operator, offset);
    this.changed();
    return (operator.result === undefined ? undefined : this.receive(operator.result as ValueType)) as ResultLocal<N>;
  }

  /** atomic.fence: orders all accesses before it against all after it. */
  atomicFence(): void {
    this.writer.byte(0xfe);
    this.writer.byte(0x03);
    this.writer.byte(0x00);
    this.changed();
  }

  /** The size of the memory in 64 KiB pages. A tree, as `load`. */
  memorySize(): AddressValue {
    return new Tree(Kind.MEMORY_SIZE, this.addressType, null, null, null, null, 0, 0, this.order, null);
  }

  /** Grows the memory by `pages`; gives the former size, or -1 where that failed. */
  memoryGrow(pages: AddressValue): AddressValue & Local {
    this.bulk('memory.grow', pages);
    this.writer.byte(MEMORY_INDEX);
    return this.receive(this.addressType) as Local<'i32' | 'i64'>;
  }

  /** Copies `size` bytes, which may overlap. */
  memoryCopy(destination: AddressValue, source: AddressValue, size: AddressValue): void {
    this.bulk('memory.copy', destination, source, size);
    this.writer.byte(MEMORY_INDEX);
    this.writer.byte(MEMORY_INDEX);
  }

  /** Sets `size` bytes to the low byte of `value`. */
  memoryFill(destination: AddressValue, value: Value<'i32'>, size: AddressValue): void {
    this.bulk('memory.fill', destination, value, size);
    this.writer.byte(MEMORY_INDEX);
  }

  private bulk(name: 'memory.grow' | 'memory.copy' | 'memory.fill', ...values: Value[]): void {
    const operator: Operator = OPERATORS[name];
    const types = operator.operands.map((type) => (type === 'address' ? this.addressType : type));
    this.pushAll(types, values, name);
    this.writeOperator(operator);
    this.changed();
  }

  // Globals

  /** The value of a global. A tree; where the global is mutable, as `load`. */
  globalGet<T extends ValueType>(global: GlobalRef<T>): Value<T> {
    const order = global.mutable ? this.order : 0;
    return new Tree(Kind.GLOBAL, global.type, null, null, null, null, global.index, 0, order, null);
  }

  globalSet<T extends ValueType>(global: GlobalRef<T>, value: Value<T>): void {
    if (!global.mutable) throw this.error(`global ${global.index} is not mutable`);
    this.push(this.expect(value, global.type, 'value of global.set'));
    this.writer.byte(Opcode.GLOBAL_SET);
    this.writer.unsigned(global.index);
    this.changed();
  }
}
