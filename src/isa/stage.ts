/**
 * What an instruction's `execute` is written against. A stage turns each call into WebAssembly: the interpreter stage
 * once per handler, with operands taken from a decoded record; the region stage once per guest instruction, with operands
 * in locals or folded to constants. `execute` runs at emission time and never asks which stage it runs in.
 *
 * Values are emitter trees: anything used more than once goes through {@link Stage.let} first, and anything read from
 * registers or memory is already in a local. Integer operands of 8, 16 and 32 bits are i32 values, zero-extended when
 * read; whatever is above the operand's width is ignored when written. 64-bit operands are i64, 128-bit ones v128.
 *
 * Faults are precise: do everything that can fault (loads, checks, the store) before the first change of a register or
 * flag. A destination in memory that was read by `operand` has been checked for writing, so writing it cannot fault.
 */
import {
  type FunctionBuilder,
  type Local,
  type Operators,
  operators,
  type Value,
  type ValueType,
  type Variable,
} from '../wasm/index.ts';
import type { LightHelper, SystemHelper } from './helpers.ts';

export type Bits = 8 | 16 | 32 | 64;
export type I32 = Value<'i32'>;
export type I64 = Value<'i64'>;
/** An i32 or i64, whichever fits the operand. */
export type Int = Value<'i32'> | Value<'i64'>;
export type Access = 'r' | 'w' | 'rw';

/** A checked place in linear memory. */
export interface Address {
  readonly linear: Local<'i64'>;
  /** Segment register number it came through, for the choice between #SS and #GP. */
  readonly segment: number | Local<'i32'>;
  /** What the region stage knows of how it was made. */
  readonly origin?: { readonly key: string; readonly distance: number };
}

/** Arithmetic flags by name; each value is an i32 of 0 or 1. */
export interface FlagValues {
  /** SF, ZF and PF from this result of `bits` width. */
  result?: Int;
  CF?: I32;
  PF?: I32;
  AF?: I32;
  ZF?: I32;
  SF?: I32;
  OF?: I32;
}
/** The flags that do not follow from a result. */
export type CarryFlags = Pick<FlagValues, 'CF' | 'OF' | 'AF'>;
export type FlagName = 'CF' | 'PF' | 'AF' | 'ZF' | 'SF' | 'OF';

/** Exception vectors an instruction itself may raise (SDM vol. 3A table 6-1). */
export const Vector = {
  DE: 0,
  DB: 1,
  BP: 3,
  OF: 4,
  BR: 5,
  UD: 6,
  NM: 7,
  DF: 8,
  TS: 10,
  NP: 11,
  SS: 12,
  GP: 13,
  PF: 14,
  MF: 16,
  AC: 17,
  MC: 18,
  XM: 19,
} as const;

/** Register numbers as encoded. */
export const RAX = 0;
export const RCX = 1;
export const RDX = 2;
export const RBX = 3;
export const RSP = 4;
export const RBP = 5;
export const RSI = 6;
export const RDI = 7;

/** Words of the processor's state that system instructions look at themselves, before they leave the rest to a helper. */
export type StateWord =
  | 'cpl'
  /** RFLAGS without the arithmetic flags. */
  | 'rflags'
  /** The intercept words of the current VMCB, zero outside guest mode. */
  | 'intercepts'
  /** Zero only if no interrupt waits that RFLAGS.IF may hold back. */
  | 'interruptWaiting'
  | 'efer'
  | 'sfmask'
  /** The translations in use, and those there are for other privilege levels (zero: none): see the processor's context. */
  | 'tlb'
  | 'tlbSupervisor'
  | 'tlbUser';

type Pair = (a: Value, b: Value) => Value;
type Single = (a: Value) => Value;

/** An operator on i32 and on i64. */
function onIntegers<F>(name: string): readonly [F, F] {
  const all = operators as unknown as Record<string, F>;
  return [all[`i32.${name}`], all[`i64.${name}`]];
}
const OP = {
  add: onIntegers<Pair>('add'),
  and: onIntegers<Pair>('and'),
  div_s: onIntegers<Pair>('div_s'),
  div_u: onIntegers<Pair>('div_u'),
  eq: onIntegers<Pair>('eq'),
  ge_u: onIntegers<Pair>('ge_u'),
  gt_s: onIntegers<Pair>('gt_s'),
  gt_u: onIntegers<Pair>('gt_u'),
  le_u: onIntegers<Pair>('le_u'),
  lt_s: onIntegers<Pair>('lt_s'),
  lt_u: onIntegers<Pair>('lt_u'),
  mul: onIntegers<Pair>('mul'),
  ne: onIntegers<Pair>('ne'),
  or: onIntegers<Pair>('or'),
  rem_s: onIntegers<Pair>('rem_s'),
  rem_u: onIntegers<Pair>('rem_u'),
  rotl: onIntegers<Pair>('rotl'),
  rotr: onIntegers<Pair>('rotr'),
  shl: onIntegers<Pair>('shl'),
  shr_s: onIntegers<Pair>('shr_s'),
  shr_u: onIntegers<Pair>('shr_u'),
  sub: onIntegers<Pair>('sub'),
  xor: onIntegers<Pair>('xor'),
  clz: onIntegers<Single>('clz'),
  ctz: onIntegers<Single>('ctz'),
  eqz: onIntegers<Single>('eqz'),
  popcnt: onIntegers<Single>('popcnt'),
} as const;
const SIGN_EXTEND = { 8: onIntegers<Single>('extend8_s'), 16: onIntegers<Single>('extend16_s') } as const;

export abstract class Stage {
  /** The function being emitted. Prefer the stage's own methods; control flow must go through `if`/`loop` here. */
  abstract readonly f: FunctionBuilder;
  get op(): Operators {
    return this.f.op;
  }

  // ---- facts about the instruction, known when it is emitted

  /** Effective operand size. */
  abstract readonly bits: Bits;
  /** Effective address size. */
  abstract readonly addressBits: 16 | 32 | 64;
  /** Code segment size: 16, 32, or 64 in 64-bit mode. */
  abstract readonly codeBits: 16 | 32 | 64;
  /** Low four bits of the opcode, for the rows with `+cc`. */
  abstract readonly cc: number;
  /** Repeat prefix in effect. */
  abstract readonly repeat: 'none' | 'rep' | 'repne';
  /** Low three opcode bits << 8 | ModRM of an x87 instruction (0 for others). */
  abstract readonly x87Opcode: I32;
  abstract kind(operand: number): 'register' | 'memory' | 'immediate';
  /** Width of one operand. */
  abstract bitsOf(operand: number): 8 | 16 | 32 | 64 | 128;
  /** Encoded register number of a register operand. */
  abstract registerNumber(operand: number): I32;

  // ---- operands

  /** Reads an operand into a local. Immediates are sign-extended to the operand size where the manual says so. */
  abstract operand(operand: number): Local;
  /** Parts of an immediate far pointer (`Ap`). */
  abstract farSelector(operand: number): I32;
  abstract farOffset(operand: number): I64;
  /** Reads a scalar floating-point operand (`ss`, `sd`) as a number with the operand's very bits. */
  abstract number(operand: number): Local<'f32' | 'f64'>;
  /** Reads all operands the row reads, in order (a write-only operand's place holds a value that must not be used). */
  abstract operands(): Local[];
  /**
   * Writes an operand: a general register (32-bit writes clear the upper half), the low part of an XMM register, an MMX
   * register (the x87 register's sign and exponent become all ones), or memory. XMM registers and memory take numbers too.
   * An XMM register must not be written inside of `if`.
   */
  abstract write(operand: number, value: Value): void;
  /** Writes an XMM register operand from an integer or number, clearing the rest. */
  abstract writeZeroExtended(operand: number, value: Value): void;
  /** The effective address of a memory operand before segmentation (LEA), truncated to the address size. */
  abstract effectiveAddress(operand: number): Local<'i64'>;
  /** The linear address of a memory operand, checked against its segment for `bytes` bytes. */
  abstract address(operand: number, bytes: number, access: Access): Address;
  /** Address of a memory operand displaced by a number of bytes taken from a register (BT and its kin with a register index). */
  abstract addressDisplaced(operand: number, displacement: I64, bytes: number, access: Access): Address;
  /** Address for POP to memory: as if rSP had already been raised by `bytes` where it is the base. */
  abstract addressAfterPop(operand: number, bytes: number): Address;
  /** An offset through the segment of the instruction's memory operand or string source (after overrides). */
  abstract throughOperandSegment(offset: I64, bytes: number, access: Access): Address;
  /** The segment register number of the memory operand or string source (after overrides). */
  abstract readonly segment: I32;

  // ---- registers

  abstract gpr(register: number, bits: Bits): Local;
  abstract setGpr(register: number, bits: Bits, value: Int): void;
  abstract xmm(register: number): Local<'v128'>;
  abstract setXmm(register: number, value: Value<'v128'>): void;
  /** A selector as held in a segment register. */
  abstract selector(segment: number): Local<'i32'>;
  abstract mxcsr(): Local<'i32'>;
  abstract setMxcsr(value: I32): void;
  /** Scratch words shared with light helpers. */
  abstract scratch(index: number): Local<'i64'>;
  abstract setScratch(index: number, value: I64): void;
  /** Two scratch words, the first must be even. */
  abstract scratch128(index: number): Local<'v128'>;
  abstract setScratch128(index: number, value: Value<'v128'>): void;

  // ---- system state

  abstract state(word: StateWord, index?: number): Local<'i32'>;
  abstract setState(word: StateWord, value: I32): void;
  abstract state64(register: 'star' | 'lstar'): Local<'i64'>;
  /** Sets CS or SS to the whole of 4 GiB; attributes as in a VMCB (APM vol. 2 15.5.1). */
  abstract loadFlatSegment(segment: 1 | 2, selector: I32, attributes: number): void;
  /** Interrupts wait until the next instruction has completed (STI). */
  abstract holdInterrupts(): void;
  /** EDX:EAX from the time stamp counter, and for RDTSCP ECX from TSC_AUX; the helper's checks included. */
  abstract readTimeStamp(helper: 'rdtsc' | 'rdtscp'): void;
  /** SWAPGS. */
  abstract swapGsBase(): void;

  // ---- x87 and MMX

  /** #MF if an x87 exception is pending (FERR# with CR0.NE clear), as waiting x87 and all MMX instructions do first. */
  abstract requireNoX87Exception(): void;
  /** TOP becomes 0, all registers valid, or empty for EMMS (SDM vol. 1 9.5). Behind everything that can fault. */
  abstract enterMmx(empty?: boolean): void;

  // ---- memory

  /** Linear address from a segment and an offset, checked for `bytes` bytes. */
  abstract linear(segment: number, offset: I64, bytes: number, access: Access): Address;
  /** The address so many bytes behind one, in a range that was checked as a whole. Before anything has changed. */
  abstract behind(address: Address, bytes: number): Address;
  abstract load(bits: Bits, address: Address): Local;
  abstract load128(address: Address): Local<'v128'>;
  abstract store(bits: Bits, address: Address, value: Int): void;
  abstract store128(address: Address, value: Value<'v128'>): void;
  /** Reads with write access checked, and gives the way to write back that cannot fault. */
  abstract modify(bits: Bits, address: Address): { value: Local; write(value: Int): void };
  /** #GP(0) unless the memory operand is aligned; call before reading it. No effect on registers. */
  abstract requireAligned(operand: number, bytes: number): void;

  // ---- stack

  /** Stores below the stack pointer, then moves it. */
  abstract push(bits: 16 | 32 | 64, value: Int): void;
  /** Loads from the stack without moving the pointer; `offset` in bytes from the top. */
  abstract peek(bits: 16 | 32 | 64, offset?: number): Local;
  /** Stores at `offset` bytes from the top without moving the pointer. */
  abstract poke(bits: 16 | 32 | 64, offset: number, value: Int): void;
  /** Loads from the stack segment at another pointer (LEAVE: rBP), wrapped to the stack's address size. */
  abstract peekAt(bits: 16 | 32 | 64, pointer: I64): Local;
  /** Sets the stack pointer, within the stack's address size. */
  abstract setStackFrom(pointer: I64): void;
  /** Moves the stack pointer up (negative: down). */
  abstract releaseStack(bytes: number | I64): void;

  // ---- flags

  /**
   * Sets all six arithmetic flags (INC/DEC: all but CF) for `result` of `bits` width. 'add' and 'sub' also hold with a
   * carry or borrow in, since they look at the carries between the operands and the result.
   */
  abstract flags(kind: 'add' | 'sub' | 'inc' | 'dec', a: Int, b: Int, result: Int, bits?: Bits): void;
  /** AND, OR, XOR, TEST: SF ZF PF from the result, CF and OF cleared, AF cleared (undefined). */
  abstract logicFlags(result: Int, bits?: Bits): void;
  /** Sets the named flags, leaves the others. */
  abstract setFlags(values: FlagValues, bits?: Bits): void;
  /**
   * The same, of values that need only be made if someone asks for them: `values` may be called any number of times, or never.
   * `inputs` are the locals they are made of. SF, ZF and PF come from `result`; without one they, and AF, stay.
   */
  abstract setFlagsLater(inputs: readonly Int[], values: () => CarryFlags, bits: Bits, result?: Int): void;
  /** One flag as 0 or 1. */
  abstract flag(name: FlagName): Local<'i32'>;
  /** The condition of Jcc/SETcc/CMOVcc number `cc` as 0 or 1. */
  abstract condition(cc: number): Local<'i32'>;
  /** Direction flag as +1 or -1. */
  abstract direction(): Local<'i64'>;
  /** CLD (0) / STD (1). */
  abstract setDirection(value: 0 | 1): void;
  /** CLC, STC, CMC work through setFlags; SAHF/LAHF through these: SF ZF AF PF CF in their RFLAGS places, bit 1 set. */
  abstract lowFlags(): Local<'i32'>;
  abstract setLowFlags(value: I32): void;

  // ---- control flow of the guest

  /** Address of the following instruction. */
  abstract nextRip(): Local<'i64'>;
  /** Target of a relative branch operand, truncated as the operand size demands. */
  abstract target(operand: number): Local<'i64'>;
  /** Goes to a static target (a `J` operand). Ends the instruction. */
  abstract branch(operand: number): void;
  /** Goes to a static target if the condition is not zero, else to the next instruction. Ends the instruction. */
  abstract branchIf(condition: I32, operand: number): void;
  /** Truncates a computed target to the operand size and checks it (#GP(0) if not canonical or past the CS limit). */
  abstract checkTarget(target: Int): Local<'i64'>;
  /** Goes to a target that `checkTarget` gave. Ends the instruction. */
  abstract jump(target: I64, hint: 'indirect' | 'call' | 'return'): void;
  /** Before branch or jump of a CALL: lets a stage predict the return. */
  abstract callHint(): void;

  // ---- faults and helpers

  /** Raises a fault now. */
  abstract fault(vector: number, errorCode?: number): void;
  faultIf(condition: I32, vector: number, errorCode?: number): void {
    this.if(condition, () => this.fault(vector, errorCode), undefined, false);
  }
  /**
   * Calls a system helper; must be the last thing `execute` does on its path. Instructions that do so on every path end a
   * region; where it is for unusual cases only, a region leaves those to the interpreter, so nothing may have changed yet.
   */
  abstract system(helper: SystemHelper, ...args: (number | Int)[]): void;
  /** Calls a light helper; the result is 0 where the helper gives none. */
  abstract call(helper: LightHelper, ...args: (number | Int)[]): Local<'i32'>;

  // ---- assumptions

  /**
   * Whether code may assume what nearly always holds, and abandon instructions for which it does not. Otherwise every case
   * is to be handled where it occurs.
   */
  abstract readonly assuming: boolean;
  /** Leaves the instruction, of which nothing has been done, to another stage. Only where `assuming`. */
  abstract abandon(): void;
  abandonIf(condition: I32): void {
    this.if(condition, () => this.abandon(), undefined, false);
  }
  /** What has been found out about a local on the way to this place, by this instruction or earlier ones. */
  abstract known(local: Local): unknown;
  /** Notes something about a local that holds from here on. Only where `assuming`. */
  abstract learn(local: Local, fact: unknown): void;

  // ---- emission

  /** `likely`: whether the condition is expected to hold, if anything is expected. */
  abstract if(condition: I32, then: () => void, otherwise?: () => void, likely?: boolean): void;
  /** Runs `body` until it yields zero. Registers and flags must not be written inside. */
  abstract while(body: () => I32): void;
  let<T extends ValueType>(value: Value<T>): Local<T> {
    return this.f.let(value);
  }
  variable<T extends ValueType>(type: T, init?: Value<T>): Variable<T> {
    return this.f.variable(type, init);
  }

  // ---- arithmetic on whichever integer type the operands have; a number stands for a constant of that type

  private constantLike(like: Value, n: Value | number): Value {
    return typeof n === 'number' ? this.f.const(like.type, n) : n;
  }
  private both(pair: readonly [Pair, Pair], a: Value, b: Value | number): Value {
    return pair[a.type === 'i64' ? 1 : 0](a, this.constantLike(a, b));
  }
  private one(pair: readonly [Single, Single], a: Value): Value {
    return pair[a.type === 'i64' ? 1 : 0](a);
  }
  /** A constant of the type operands of `bits` width have. */
  constant(n: number | bigint, bits: Bits = this.bits): Int {
    return this.f.const(bits === 64 ? 'i64' : 'i32', n) as Int;
  }
  i32(n: number): I32 {
    return this.f.i32(n);
  }
  i64(n: number | bigint): I64 {
    return this.f.i64(n);
  }
  add<T extends Value>(a: T, b: T | number): T {
    return this.both(OP.add, a, b) as T;
  }
  sub<T extends Value>(a: T, b: T | number): T {
    return this.both(OP.sub, a, b) as T;
  }
  mul<T extends Value>(a: T, b: T | number): T {
    return this.both(OP.mul, a, b) as T;
  }
  and<T extends Value>(a: T, b: T | number): T {
    return this.both(OP.and, a, b) as T;
  }
  or<T extends Value>(a: T, b: T | number): T {
    return this.both(OP.or, a, b) as T;
  }
  xor<T extends Value>(a: T, b: T | number): T {
    return this.both(OP.xor, a, b) as T;
  }
  not<T extends Value>(a: T): T {
    return this.both(OP.xor, a, -1) as T;
  }
  neg<T extends Value>(a: T): T {
    return this.both(OP.sub, this.f.const(a.type, 0), a) as T;
  }
  shl<T extends Value>(a: T, b: T | number): T {
    return this.both(OP.shl, a, b) as T;
  }
  shrU<T extends Value>(a: T, b: T | number): T {
    return this.both(OP.shr_u, a, b) as T;
  }
  shrS<T extends Value>(a: T, b: T | number): T {
    return this.both(OP.shr_s, a, b) as T;
  }
  rotl<T extends Value>(a: T, b: T | number): T {
    return this.both(OP.rotl, a, b) as T;
  }
  rotr<T extends Value>(a: T, b: T | number): T {
    return this.both(OP.rotr, a, b) as T;
  }
  divU<T extends Value>(a: T, b: T | number): T {
    return this.both(OP.div_u, a, b) as T;
  }
  divS<T extends Value>(a: T, b: T | number): T {
    return this.both(OP.div_s, a, b) as T;
  }
  remU<T extends Value>(a: T, b: T | number): T {
    return this.both(OP.rem_u, a, b) as T;
  }
  remS<T extends Value>(a: T, b: T | number): T {
    return this.both(OP.rem_s, a, b) as T;
  }
  clz<T extends Value>(a: T): T {
    return this.one(OP.clz, a) as T;
  }
  ctz<T extends Value>(a: T): T {
    return this.one(OP.ctz, a) as T;
  }
  popcnt<T extends Value>(a: T): T {
    return this.one(OP.popcnt, a) as T;
  }
  eqz(a: Value): I32 {
    return this.one(OP.eqz, a) as I32;
  }
  /** 1 where the value is not zero. */
  nez(a: Value): I32 {
    return this.both(OP.ne, a, 0) as I32;
  }
  eq(a: Value, b: Value | number): I32 {
    return this.both(OP.eq, a, b) as I32;
  }
  ne(a: Value, b: Value | number): I32 {
    return this.both(OP.ne, a, b) as I32;
  }
  ltU(a: Value, b: Value | number): I32 {
    return this.both(OP.lt_u, a, b) as I32;
  }
  ltS(a: Value, b: Value | number): I32 {
    return this.both(OP.lt_s, a, b) as I32;
  }
  gtU(a: Value, b: Value | number): I32 {
    return this.both(OP.gt_u, a, b) as I32;
  }
  gtS(a: Value, b: Value | number): I32 {
    return this.both(OP.gt_s, a, b) as I32;
  }
  leU(a: Value, b: Value | number): I32 {
    return this.both(OP.le_u, a, b) as I32;
  }
  geU(a: Value, b: Value | number): I32 {
    return this.both(OP.ge_u, a, b) as I32;
  }
  /** `condition` not zero: a, else b. */
  select<T extends Value>(condition: I32, a: T, b: T): T {
    return this.f.select(condition, a, b) as T;
  }
  wrap(a: I64): I32 {
    return this.op['i32.wrap_i64'](a) as I32;
  }
  extendU(a: I32): I64 {
    return this.op['i64.extend_i32_u'](a) as I64;
  }
  extendS(a: I32): I64 {
    return this.op['i64.extend_i32_s'](a) as I64;
  }
  /** Any integer as i32 (low half of an i64). */
  toI32(a: Int): I32 {
    return a.type === 'i64' ? this.wrap(a as I64) : (a as I32);
  }
  /** Any integer as i64, zero-extending an i32. */
  toI64(a: Int): I64 {
    return a.type === 'i64' ? (a as I64) : this.extendU(a as I32);
  }
  /** An integer converted to the type operands of `bits` width have, zero-extending. */
  toBits(a: Int, bits: Bits): Int {
    return bits === 64 ? this.toI64(a) : this.toI32(a);
  }
  /** Sign-extends the low `bits` of an integer within its own type. */
  signExtend<T extends Int>(a: T, bits: Bits): T {
    if (bits === 64 || (bits === 32 && a.type === 'i32')) return a;
    if (bits === 32) return this.extendS(this.wrap(a as I64)) as Value as T;
    return this.one(SIGN_EXTEND[bits], a) as T;
  }
  /** Clears everything above the low `bits` of an integer within its own type. */
  zeroExtend<T extends Int>(a: T, bits: Bits): T {
    if (bits === 64 || (bits === 32 && a.type === 'i32')) return a;
    if (bits === 32) return this.extendU(this.wrap(a as I64)) as Value as T;
    return this.and(a, bits === 8 ? 0xff : 0xffff);
  }
  /** The sign bit of the low `bits` as an i32 of 0 or 1. */
  signBit(a: Int, bits: Bits): I32 {
    return this.and(this.toI32(this.shrU(a, bits - 1)), 1);
  }
}
