/**
 * XMM registers in the region stage. A register's value is in immutable locals, the whole of it or only its low element,
 * which scalar instructions compute with; the other form is made when someone asks for it. So an instruction gets the
 * very local that an earlier one wrote, and what that one found out about it (see {@link Facts}). Registers go back to
 * the context only where the region is left; where paths merge, those that changed are in variables.
 */
import type { FunctionBuilder, Local, Value, Variable } from '../../wasm/index.ts';
import { offsetOf } from '../context.ts';
import { wholeStore, withLow } from '../interpreter/widths.ts';
import { MXCSR_BIT } from './instruction.ts';
import type { KnownTranslations } from './translations.ts';

export const XMM_REGISTERS = 16;

/** The low element of a register, in one form or both. */
interface LowElement {
  readonly bits: 32 | 64;
  readonly integer?: Local<'i32' | 'i64'>;
  readonly number?: Local<'f32' | 'f64'>;
}

interface Register {
  /** Right but for the low element, if there is one; absent: the context is. */
  readonly rest?: Value<'v128'>;
  /** All of it. */
  readonly whole?: Value<'v128'>;
  readonly low?: LowElement;
  /** Whether the context may have another value. */
  readonly changed: boolean;
}

/** What is known of locals on the path that leads to the instruction being emitted. */
export class Facts {
  private own: Map<Local, unknown> | undefined;
  private readonly outer: Facts | undefined;

  constructor(outer?: Facts) {
    this.outer = outer;
  }
  get(local: Local): unknown {
    return this.own?.get(local) ?? this.outer?.get(local);
  }
  set(local: Local, fact: unknown): void {
    this.own ??= new Map();
    this.own.set(local, fact);
  }
}

/** What holds at one place of the region while it is emitted. */
export class Path {
  readonly registers: Register[];
  readonly facts: Facts;
  readonly translations: KnownTranslations;
  /** MXCSR, if it was read and has not changed. */
  mxcsr: Local<'i32'> | undefined;
  /** General registers that are in their variables, a bit mask. */
  inVariables = 0;
  /** An arm within an instruction, where registers must not change: no one would know behind it. */
  readonly arm: boolean;

  constructor(registers: Register[], facts: Facts, translations: KnownTranslations, mxcsr?: Local<'i32'>, arm = false) {
    this.registers = registers;
    this.facts = facts;
    this.translations = translations;
    this.mxcsr = mxcsr;
    this.arm = arm;
  }
  /** For code that this place dominates: what it finds out is not known here. */
  fork(arm = false): Path {
    const path = new Path(this.registers.slice(), new Facts(this.facts), this.translations.fork(), this.mxcsr, arm);
    path.inVariables = this.inVariables;
    return path;
  }
}

export class XmmRegisters {
  private readonly f: FunctionBuilder;
  private readonly ctx: Local<'i32'>;
  /** What merges of paths find registers in. */
  private readonly variables: Variable<'v128'>[] = [];
  path: Path;

  /**
   * @param merging registers that change on paths that merge, a bit mask
   * @param translations what is known of them at the region's entry
   */
  constructor(f: FunctionBuilder, ctx: Local<'i32'>, merging: number, translations: KnownTranslations) {
    this.f = f;
    this.ctx = ctx;
    this.path = new Path(
      Array.from({ length: XMM_REGISTERS }, (): Register => ({ changed: false })),
      new Facts(),
      translations,
    );
    for (let n = 0; n < XMM_REGISTERS; n++) if ((merging >> n) & 1) this.variables[n] = f.variable('v128');
  }

  private place(n: number): number {
    return offsetOf('xmm', n);
  }
  /** A value in a local that lasts as long as the path. */
  private let<T extends Value>(value: T): T {
    return this.f.keep(this.f.let(value)) as Value as T;
  }
  /** Replaces what is known of a register's value by more, in all registers that hold the same. */
  private refine(n: number, register: Register): Register {
    const { registers } = this.path;
    const old = registers[n];
    for (let i = 0; i < XMM_REGISTERS; i++) {
      if (registers[i] === old) registers[i] = register;
    }
    return register;
  }

  // ---- reading

  /** All of a register, not noted. */
  private composed({ rest, whole, low }: Register, n: number): Value<'v128'> {
    if (whole) return whole;
    const base = rest ?? this.f.load('v128.load', this.ctx, this.place(n));
    if (!low) return base;
    return withLow(base, low.number ?? low.integer!);
  }

  whole(n: number): Local<'v128'> {
    const register = this.path.registers[n];
    if (register.whole) return register.whole as Local<'v128'>;
    const whole = this.let(this.composed(register, n));
    this.refine(n, { ...register, rest: register.rest ?? whole, whole });
    return whole as Local<'v128'>;
  }

  integer(n: number, bits: 32 | 64): Local<'i32' | 'i64'> {
    const { op } = this.f;
    const low = this.element(n, bits);
    if (low.integer) return low.integer;
    const integer =
      bits === 64
        ? op['i64.reinterpret_f64'](low.number as Local<'f64'>)
        : op['i32.reinterpret_f32'](low.number as Local<'f32'>);
    return this.noteLow(n, { ...low, integer: this.let(integer) as Local<'i32' | 'i64'> }).integer!;
  }

  number(n: number, bits: 32 | 64): Local<'f32' | 'f64'> {
    const { op } = this.f;
    const low = this.element(n, bits);
    if (low.number) return low.number;
    const number =
      bits === 64
        ? op['f64.reinterpret_i64'](low.integer as Local<'i64'>)
        : op['f32.reinterpret_i32'](low.integer as Local<'i32'>);
    return this.noteLow(n, { ...low, number: this.let(number) as Local<'f32' | 'f64'> }).number!;
  }

  private noteLow(n: number, low: LowElement): LowElement {
    this.refine(n, { ...this.path.registers[n], low });
    return low;
  }

  /** The low element in any form. */
  private element(n: number, bits: 32 | 64): LowElement {
    const { op } = this.f;
    const { rest, low } = this.path.registers[n];
    if (low?.bits === bits) return low;
    let number: Value;
    if (rest || low) {
      const whole = this.whole(n);
      // a smaller element than the one that was apart
      if (low && low.bits > bits) this.refine(n, { ...this.path.registers[n], rest: whole });
      number = bits === 64 ? op['f64x2.extract_lane'](whole, 0) : op['f32x4.extract_lane'](whole, 0);
    } else number = this.f.load(bits === 64 ? 'f64.load' : 'f32.load', this.ctx, this.place(n));
    return this.noteLow(n, { bits, number: this.let(number) as Local<'f32' | 'f64'> });
  }

  // ---- writing

  private set(n: number, register: Register): void {
    if (this.path.arm) throw new Error(`XMM${n} is written inside of a conditional`);
    this.path.registers[n] = register;
  }

  setWhole(n: number, value: Value<'v128'>): void {
    const whole = this.let(value);
    const same = this.path.registers.find((register) => register.whole === whole);
    this.set(n, same ? { ...same, changed: true } : { rest: whole, whole, changed: true });
  }

  /** Replaces the low element by an integer or a number. */
  setLow(n: number, value: Value): void {
    const bits = value.type === 'i64' || value.type === 'f64' ? 64 : 32;
    const register = this.path.registers[n];
    // a smaller element than the one that is apart
    const rest = register.low && register.low.bits > bits ? this.whole(n) : register.rest;
    this.set(n, { rest, low: this.lowOf(value, bits), changed: true });
  }

  setZeroExtended(n: number, value: Value): void {
    const bits = value.type === 'i64' || value.type === 'f64' ? 64 : 32;
    this.set(n, { rest: this.f.const('v128', 0n), low: this.lowOf(value, bits), changed: true });
  }

  private lowOf(value: Value, bits: 32 | 64): LowElement {
    const local = this.let(value) as Local;
    if (value.type === 'f32' || value.type === 'f64') return { bits, number: local as Local<'f32' | 'f64'> };
    return { bits, integer: local as Local<'i32' | 'i64'> };
  }

  // ---- paths

  /** Stores what has changed to the context. Notes nothing: control may go on elsewhere without. */
  store(): void {
    const { f } = this;
    this.path.registers.forEach((register, n) => {
      if (!register.changed) return;
      const { rest, low } = register;
      if (rest || !low) f.store('v128.store', this.ctx, this.composed(register, n), this.place(n));
      else {
        const value = low.number ?? low.integer!;
        f.store(wholeStore(value.type), this.ctx, value, this.place(n));
      }
    });
  }

  /** On an edge to where paths merge: puts registers (a bit mask) into their variables. */
  join(registers: number): void {
    this.path.registers.forEach((register, n) => {
      if ((registers >> n) & 1) this.variables[n].set(this.composed(register, n));
    });
  }

  /** Where paths have merged that joined these registers. */
  merged(registers: number): void {
    if (registers & MXCSR_BIT) this.path.mxcsr = undefined;
    for (let n = 0; n < XMM_REGISTERS; n++) {
      if (!((registers >> n) & 1)) continue;
      const whole = this.let(this.variables[n].get());
      this.path.registers[n] = { rest: whole, whole, changed: true };
    }
  }

  /** Before a loop: reads registers (a bit mask) that do not change in it, so that its rounds need not. */
  prepare(registers: number): void {
    for (let n = 0; n < XMM_REGISTERS; n++) {
      const register = this.path.registers[n];
      if ((registers >> n) & 1 && !register.rest && !register.low) this.whole(n);
    }
  }
}
