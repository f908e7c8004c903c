/**
 * General registers in the region stage: each in a variable, loaded from the context before the first instruction that has a use for
 * it. What has changed is stored where the region is left, and saved to the context before paths merge: so there is less to be stored
 * behind that, and values need not last. But in loops nothing is saved.
 *
 * What is not saved is in its variable, on every path: for a loop, what changes in it is loaded before it begins.
 */
import type { FunctionBuilder, Local, Value, Variable } from '../../wasm/index.ts';
import { offsetOf } from '../context.ts';
import type { Path } from './xmm.ts';

export const GENERAL_REGISTERS = 16;

export class GeneralRegisters {
  private readonly f: FunctionBuilder;
  private readonly ctx: Local<'i32'>;
  private readonly path: () => Path;
  private readonly variables: (Variable<'i64'> | undefined)[] = [];
  /** Registers of which the context may have another value, a bit mask. */
  unsaved = 0;

  /**
   * @param used registers the region has a use for, a bit mask
   * @param path what holds where code is emitted
   */
  constructor(f: FunctionBuilder, ctx: Local<'i32'>, used: number, path: () => Path) {
    this.f = f;
    this.ctx = ctx;
    this.path = path;
    for (let n = 0; n < GENERAL_REGISTERS; n++) if ((used >> n) & 1) this.variables[n] = f.variable('i64');
  }

  /** Has registers (a bit mask) in their variables from here on. */
  prepare(registers: number): void {
    const path = this.path();
    const missing = registers & ~path.inVariables;
    for (let n = 0; n < GENERAL_REGISTERS; n++) {
      if ((missing >> n) & 1) this.variables[n]!.set(this.f.load('i64.load', this.ctx, offsetOf('gpr', n)));
    }
    path.inVariables |= registers;
  }

  /** The register's variable as a value, read where it is consumed. */
  get(number: number): Value<'i64'> {
    this.require(1 << number);
    return this.variables[number]!;
  }

  set(number: number, value: Value<'i64'>): void {
    this.variables[number]!.set(value);
    this.path().inVariables |= 1 << number;
    this.unsaved |= 1 << number;
  }

  /** Has the context know them from here on. */
  save(): void {
    this.store();
    this.unsaved = 0;
  }

  /** Stores what is not saved. */
  store(): void {
    const { f, unsaved } = this;
    this.require(unsaved);
    for (let n = 0; n < GENERAL_REGISTERS; n++) {
      if ((unsaved >> n) & 1) f.store('i64.store', this.ctx, this.variables[n]! as Value, offsetOf('gpr', n));
    }
  }

  private require(registers: number): void {
    if (registers & ~this.path().inVariables)
      throw new Error(`general registers ${registers} are not all in variables`);
  }
}
