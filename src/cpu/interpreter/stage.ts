/**
 * The interpreter stage: emits one handler per form of an encoding. A handler finds its operands through the fields of a
 * decoded record, does the instruction on the context in memory, and continues with the next record by a tail call.
 *
 * Handlers have the signature (context, record) -> Exit.
 */

import type { Operand } from '../../isa/encoding.ts';
import { HELPERS, type HelperName, type LightHelper, type SystemHelper } from '../../isa/helpers.ts';
import {
  type Access,
  type Address,
  type Bits,
  type CarryFlags,
  type FlagName,
  type FlagValues,
  type I32,
  type I64,
  type Int,
  RAX,
  RCX,
  RDX,
  RSP,
  type StateWord,
} from '../../isa/stage.ts';
import type { FunctionBuilder, FunctionRef, LoadName, Local, StoreName, Value, ValueType } from '../../wasm/index.ts';
import { CONTEXT, type FieldName, GS, SEGMENT, segmentOffset } from '../context.ts';
import { FIXED_REGISTERS, FormStage, type HandlerForm } from '../form-stage.ts';
import { InterruptShadow } from '../state.ts';
import {
  emitCondition,
  emitFlag,
  emitFlags,
  emitLogicFlags,
  emitLowFlags,
  emitSetFlags,
  emitSetLowFlags,
} from './flags.ts';
import { Exit, RECORD, RECORD_SIZE } from './record.ts';
import { emitFlatSegment } from './segments.ts';
import { TLB_INDEX, TLB_READ, TLB_WRITE, type TlbFields } from './tlb-access.ts';
import { enterBlock, type TransferModule } from './transfer.ts';
import { integerType, LOADS, NUMBER_LOADS, NUMBER_TYPES, STORES, wholeStore, withLow } from './widths.ts';

/** What handlers share: imports and common functions of the module. */
export interface HandlerModule extends TransferModule {
  /** Table index of {@link SpecialHandler.CROSSING}. */
  readonly crossing: number;
  /** (linear lo, hi, info) -> 0 or 1; see memory/linear.ts. */
  readonly slowLoad: FunctionRef;
  readonly slowStore: FunctionRef;
  /** (segment, offset lo, hi, bytes | write << 8) -> 0 or 1. */
  readonly checkSegment: FunctionRef;
  /** (vector, error code, has error code). */
  readonly raise: FunctionRef;
  /** Each takes HELPER_ARGUMENTS i32 values and gives an i32. */
  readonly helpers: Readonly<Record<HelperName, FunctionRef>>;
  /** (context, record, link field offset, target) -> Exit: continues at another address. */
  readonly branchTo: FunctionRef;
  /** (context) -> Exit: continues at rip. */
  readonly resume: FunctionRef;
}

/** Arguments of every helper import; unused ones are 0. */
export const HELPER_ARGUMENTS = 6;

/** Bits above the access size in the info word of slow accesses. */
const INFO_SEGMENT_SHIFT = 8;
const INFO_WRITE = 1 << 16;

const REGISTER_FIELDS = [RECORD.register0, RECORD.register1];

/** What a form of an instruction does besides its operands; noted while its handler is emitted, for the region stage. */
export interface Effects {
  /** General registers read and written outside the operand list, as bit masks by number. */
  read: number;
  written: number;
  /** XMM registers read and written outside the operand list. */
  xmmRead: number;
  xmmWritten: number;
  /** Looks at MXCSR; writes it, other than by setting exception flags. */
  readsMxcsr: boolean;
  writesMxcsr: boolean;
  /** Looks at or keeps arithmetic flags of earlier instructions. */
  readsFlags: boolean;
  writesFlags: boolean;
  /** Calls a system helper on every path. */
  system: boolean;
  /** May go on in another TLB bank, or with another base of GS. */
  changesBank: boolean;
  /** Ends a block of the interpreter only: regions go on behind it. */
  endsHandlers: boolean;
}

export class InterpreterStage extends FormStage {
  readonly effects: Effects = {
    read: 0,
    written: 0,
    xmmRead: 0,
    xmmWritten: 0,
    readsMxcsr: false,
    writesMxcsr: false,
    readsFlags: false,
    writesFlags: false,
    system: false,
    changesBank: false,
    endsHandlers: false,
  };
  readonly assuming = false;
  readonly f: FunctionBuilder;
  /** Whether control never reaches the end of `execute`. */
  ended = false;
  protected readonly form: HandlerForm;
  private readonly long: boolean;
  private readonly module: HandlerModule;
  protected readonly ctx: Local<'i32'>;
  private readonly rec: Local<'i32'>;
  private depth = 0;
  /** Whether the flags are known to be settled. */
  private settled = false;

  constructor(f: FunctionBuilder, form: HandlerForm, module: HandlerModule) {
    super();
    this.f = f;
    this.form = form;
    this.long = form.long;
    this.module = module;
    this.ctx = f.param<'i32'>(0);
    this.rec = f.param<'i32'>(1);
  }

  // ---- the context and the record

  private field32(name: FieldName): Value<'i32'> {
    return this.f.load('i32.load', this.ctx, this.at(name));
  }
  private field64(name: FieldName, index = 0): Value<'i64'> {
    return this.f.load('i64.load', this.ctx, this.at(name, index));
  }
  private recordU8(offset: number): Value<'i32'> {
    return this.f.load('i32.load8_u', this.rec, offset);
  }
  private recordU16(offset: number): Value<'i32'> {
    return this.f.load('i32.load16_u', this.rec, offset);
  }
  /** Arena address of register operand `i`. */
  private place(i: number): Value<'i32'> {
    const operand = this.form.encoding.operands[i];
    if (operand.letter === 'fixed') {
      this.noteFixed(operand);
      return this.add(this.ctx as Value<'i32'>, FIXED_REGISTERS[operand.text] * 8);
    }
    return this.add(this.ctx as Value<'i32'>, this.recordU16(REGISTER_FIELDS[i]));
  }
  private noteFixed({ text, access }: Operand): void {
    const bit = 1 << FIXED_REGISTERS[text];
    this.effects.read |= bit;
    if (access !== 'r') this.effects.written |= bit;
  }

  get x87Opcode(): I32 {
    return this.f.let(this.recordU16(RECORD.extra)) as I32;
  }
  get segment(): I32 {
    return this.f.let(this.recordU8(RECORD.segment)) as I32;
  }

  registerNumber(i: number): I32 {
    const { letter, text } = this.operandOf(i);
    if (letter === 'fixed') return this.f.i32(FIXED_REGISTERS[text]);
    if (letter === 'S' || letter === 'C' || letter === 'D') return this.f.let(this.recordU16(RECORD.extra)) as I32;
    return this.f.let(this.shrU(this.recordU16(REGISTER_FIELDS[i]), 3)) as I32;
  }

  // ---- operands

  protected readRegister(i: number, bits: 8 | 16 | 32 | 64 | 128): Local {
    return this.f.let(this.f.load(bits === 128 ? 'v128.load' : LOADS[bits], this.place(i), 0));
  }

  protected immediate(operand: Operand, bits: Bits): Local {
    const { f } = this;
    if (operand.letter === 'fixed') return f.let(this.constant(1, bits));
    const immediates = this.form.encoding.operands.filter((o) => o.letter === 'I');
    const offset = immediates.indexOf(operand) === 1 ? RECORD.immediate2 : RECORD.immediate;
    // the only ones of 64 bits are those of MOV
    const operator = bits === 64 && operand.width !== 'v' ? 'i64.load32_s' : LOADS[bits];
    return f.let(f.load(operator, this.rec, offset));
  }

  farSelector(_operand: number): I32 {
    return this.f.load('i32.load16_u', this.rec, RECORD.immediate2);
  }
  farOffset(_operand: number): I64 {
    return this.f.load('i64.load32_u', this.rec, RECORD.immediate);
  }

  number(i: number): Local<'f32' | 'f64'> {
    const bits = this.bitsOf(i) as 32 | 64;
    const operator = NUMBER_LOADS[bits];
    if (this.kind(i) === 'register') return this.f.let(this.f.load(operator, this.place(i), 0));
    return this.read(operator, NUMBER_TYPES[bits], bits / 8, this.address(i, bits / 8, 'r'));
  }

  protected writeRegister(i: number, bits: 8 | 16 | 32 | 64 | 128, value: Value): void {
    const { f } = this;
    const { letter } = this.operandOf(i);
    if (value.type === 'v128') f.store('v128.store', this.place(i), value, 0);
    else if (letter === 'P' || letter === 'Q' || letter === 'N') {
      const place = f.let(this.place(i));
      f.store('i64.store', place, value, 0);
      f.store('i32.store16', place, f.i32(0xffff), 8);
    } else if (letter === 'V' || letter === 'U' || letter === 'W') {
      f.store(wholeStore(value.type), this.place(i), value, 0);
    } else this.storeRegister(this.place(i), bits as Bits, value as Int);
  }

  private storeRegister(place: Value<'i32'>, bits: Bits, value: Int, offset = 0): void {
    const { f } = this;
    if (bits === 32) f.store('i64.store', place, this.extendU(this.toI32(value)), offset);
    else if (bits === 64) f.store('i64.store', place, value, offset);
    else f.store(STORES[bits], place, this.toI32(value), offset);
  }

  writeZeroExtended(i: number, value: Value): void {
    const { f } = this;
    const place = f.let(this.place(i));
    f.store('v128.store', place, withLow(f.const('v128', 0n), value), 0);
  }

  effectiveAddress(_operand: number): Local<'i64'> {
    return this.f.let(this.offsetTree());
  }

  private offsetTree(displaced?: I64): I64 {
    const { f } = this;
    if (this.form.encoding.operands.some((o) => o.letter === 'O')) return f.load('i64.load', this.rec, RECORD.wide);
    const base = f.load('i64.load', this.add(this.ctx as I32, this.recordU16(RECORD.base)), 0);
    const index = f.load('i64.load', this.add(this.ctx as I32, this.recordU16(RECORD.index)), 0);
    const scaled = this.shl(index as I64, this.op['i64.extend_i32_u'](this.recordU8(RECORD.scale)) as I64);
    let sum = this.add(this.add(base as I64, scaled), f.load('i64.load32_s', this.rec, RECORD.displacement) as I64);
    if (displaced) sum = this.add(sum, displaced);
    const whole = f.let(sum) as Value as I64;
    const narrow = this.and(whole, this.long ? 0xffffffff : 0xffff);
    return this.select(this.recordU8(RECORD.narrow) as I32, narrow, this.long ? whole : this.and(whole, 0xffffffff));
  }

  address(_operand: number, bytes: number, access: Access): Address {
    return this.throughSegment(this.offsetTree(), bytes, access);
  }

  addressAfterPop(_operand: number, bytes: number): Address {
    const { f } = this;
    const fromStack = this.eq(this.recordU16(RECORD.base) as I32, this.at('gpr', RSP));
    const displacement = this.select(fromStack, f.i64(bytes) as I64, f.i64(0) as I64);
    return this.throughSegment(this.offsetTree(displacement), bytes, 'w');
  }

  throughOperandSegment(offset: I64, bytes: number, access: Access): Address {
    return this.throughSegment(offset, bytes, access);
  }

  addressDisplaced(_operand: number, displacement: I64, bytes: number, access: Access): Address {
    return this.throughSegment(this.offsetTree(displacement), bytes, access);
  }

  /** Segmentation of the ModRM operand's offset: base and checks of the segment the record names. */
  private throughSegment(offset: I64, bytes: number, access: Access): Address {
    const { f } = this;
    const cache = () => this.add(this.ctx as I32, this.recordU16(RECORD.segmentCache));
    const segment = f.let(this.recordU8(RECORD.segment)) as Local<'i32'>;
    if (this.long)
      return { linear: f.let(this.add(offset, f.load('i64.load', cache(), SEGMENT.base) as I64)), segment };
    const off = f.let(offset);
    const place = f.let(cache());
    if (bytes > 0) this.checkLimit(place, 0, segment, off, bytes, access);
    return {
      linear: f.let(this.and(this.add(off as I64, f.load('i64.load', place, SEGMENT.base) as I64), 0xffffffff)),
      segment,
    };
  }

  private checkLimit(
    place: Value<'i32'>,
    offset: number,
    segment: I32,
    off: Local<'i64'>,
    bytes: number,
    access: Access,
  ): void {
    const { f } = this;
    const end = f.load('i64.load', place, offset + (access === 'r' ? SEGMENT.readEnd : SEGMENT.writeEnd)) as I64;
    f.if(
      this.gtU(this.add(off as I64, bytes), end),
      () => {
        this.saveRecord();
        const status = f.call(this.module.checkSegment, [
          segment,
          this.wrap(off),
          this.wrap(this.shrU(off as I64, 32)),
          f.i32(bytes | (access === 'r' ? 0 : 1 << 8)),
        ]) as Local<'i32'>;
        f.if(status, () => f.return(f.i32(Exit.ABORT)), undefined, false);
      },
      undefined,
      false,
    );
  }

  linear(segment: number, offset: I64, bytes: number, access: Access): Address {
    const { f } = this;
    if (this.long) {
      if (segment < 4) return { linear: f.let(offset), segment };
      return {
        linear: f.let(this.add(offset, f.load('i64.load', this.ctx, segmentOffset(segment, 'base')) as I64)),
        segment,
      };
    }
    const off = f.let(offset);
    if (bytes > 0) this.checkLimit(this.ctx as I32, segmentOffset(segment, 'base'), f.i32(segment), off, bytes, access);
    return {
      linear: f.let(
        this.and(this.add(off as I64, f.load('i64.load', this.ctx, segmentOffset(segment, 'base')) as I64), 0xffffffff),
      ),
      segment,
    };
  }

  // ---- registers

  gpr(register: number, bits: Bits): Local {
    this.effects.read |= 1 << register;
    return this.f.let(this.f.load(LOADS[bits], this.ctx, this.at('gpr', register)));
  }
  setGpr(register: number, bits: Bits, value: Int): void {
    this.effects.written |= 1 << register;
    this.storeRegister(this.ctx as I32, bits, value, this.at('gpr', register));
  }
  xmm(register: number): Local<'v128'> {
    this.effects.xmmRead |= 1 << register;
    return this.f.let(this.f.load('v128.load', this.ctx, this.at('xmm', register)));
  }
  setXmm(register: number, value: Value<'v128'>): void {
    this.effects.xmmWritten |= 1 << register;
    this.f.store('v128.store', this.ctx, value, this.at('xmm', register));
  }
  selector(segment: number): Local<'i32'> {
    return this.f.let(this.f.load('i32.load16_u', this.ctx, segmentOffset(segment, 'selector'))) as Local<'i32'>;
  }
  mxcsr(): Local<'i32'> {
    this.effects.readsMxcsr = true;
    return this.f.let(this.field32('mxcsr'));
  }
  setMxcsr(value: I32): void {
    this.effects.writesMxcsr = true;
    this.f.store('i32.store', this.ctx, value, this.at('mxcsr'));
  }
  scratch(index: number): Local<'i64'> {
    return this.f.let(this.field64('scratch', index));
  }
  setScratch(index: number, value: I64): void {
    this.f.store('i64.store', this.ctx, value, this.at('scratch', index));
  }
  scratch128(index: number): Local<'v128'> {
    return this.f.let(this.f.load('v128.load', this.ctx, this.at('scratch', index)));
  }
  setScratch128(index: number, value: Value<'v128'>): void {
    this.f.store('v128.store', this.ctx, value, this.at('scratch', index));
  }

  // ---- system state

  state(word: StateWord, index = 0): Local<'i32'> {
    return this.f.let(this.f.load('i32.load', this.ctx, this.at(word, index)));
  }
  setState(word: StateWord, value: I32): void {
    if (word === 'tlb') this.effects.changesBank = true;
    this.f.store('i32.store', this.ctx, value, this.at(word));
  }
  state64(register: 'star' | 'lstar'): Local<'i64'> {
    return this.f.let(this.f.load('i64.load', this.ctx, this.at(register)));
  }
  loadFlatSegment(segment: 1 | 2, selector: I32, attributes: number): void {
    emitFlatSegment(this, this.ctx, segment, selector, attributes);
  }
  swapGsBase(): void {
    const { f } = this;
    this.effects.changesBank = true;
    const base = f.let(f.load('i64.load', this.ctx, segmentOffset(GS, 'base')));
    const kernel = f.let(f.load('i64.load', this.ctx, this.at('kernelGsBase')));
    f.store('i64.store', this.ctx, kernel, segmentOffset(GS, 'base'));
    f.store('i64.store', this.ctx, base, this.at('kernelGsBase'));
  }
  holdInterrupts(): void {
    const { f } = this;
    f.store('i32.store', this.ctx, f.i32(InterruptShadow.STI), this.at('interruptShadow'));
    f.store(
      'i32.store',
      this.ctx,
      this.sub(this.add(this.field32('budget') as I32, this.recordU8(RECORD.remaining)), 1),
      this.at('shadowBudget'),
    );
  }

  // ---- x87 and MMX

  requireNoX87Exception(): void {
    const errorSummary = 0x80; // SDM vol. 1 figure 8-4
    const pending = this.and(this.f.load('i32.load16_u', this.ctx, this.at('x87Status')) as I32, errorSummary);
    this.if(pending, () => void this.call('x87Pending'));
  }
  enterMmx(empty = false): void {
    const { f } = this;
    const notTop = 0xc7ff; // SDM vol. 1 figure 8-4
    const status = this.and(f.load('i32.load16_u', this.ctx, this.at('x87Status')) as I32, notTop);
    f.store('i32.store16', this.ctx, status, this.at('x87Status'));
    f.store('i32.store16', this.ctx, f.i32(empty ? 0xffff : 0), this.at('x87Tag'));
  }

  // ---- memory

  private saveRecord(): void {
    this.f.store('i32.store', this.ctx, this.rec, this.at('record'));
  }

  /** TLB entry for a linear address. */
  private tlbEntry(linear: Local<'i64'>): Local<'i32'> {
    const index = this.and(this.shrU(this.wrap(linear), TLB_INDEX.shift), TLB_INDEX.mask);
    return this.f.let(this.add(this.field32('tlb') as I32, index));
  }
  /** Whether an access of `bytes` bytes hits: page-crossing ones never do. */
  private hit(entry: Local<'i32'>, linear: Local<'i64'>, bytes: number, { tag }: TlbFields): I32 {
    const page = this.and(bytes === 1 ? (linear as I64) : this.add(linear as I64, bytes - 1), this.f.i64(-4096n));
    return this.eq(this.f.load('i64.load', entry, tag) as I64, page);
  }
  private host(entry: Local<'i32'>, linear: Local<'i64'>, { addend }: TlbFields): Value<'i32'> {
    return this.add(this.wrap(linear), this.f.load('i32.load', entry, addend) as I32);
  }
  private info(address: Address, bytes: number, flags = 0): I32 {
    const constant = bytes | flags;
    if (typeof address.segment === 'number') return this.f.i32(constant | (address.segment << INFO_SEGMENT_SHIFT));
    return this.or(this.shl(address.segment as I32, INFO_SEGMENT_SHIFT), constant);
  }
  private slow(access: FunctionRef, address: Address, bytes: number, flags = 0): void {
    const { f } = this;
    this.saveRecord();
    const { linear } = address;
    const status = f.call(access, [
      this.wrap(linear),
      this.wrap(this.shrU(linear as I64, 32)),
      this.info(address, bytes, flags),
    ]) as Local<'i32'>;
    f.if(status, () => f.return(f.i32(Exit.ABORT)), undefined, false);
  }

  private read<T extends ValueType>(operator: LoadName, type: T, bytes: number, address: Address): Local<T> {
    const { f } = this;
    const { linear } = address;
    const entry = this.tlbEntry(linear);
    return f.ifValue(
      type,
      this.hit(entry, linear, bytes, TLB_READ),
      () => f.load(operator, this.host(entry, linear, TLB_READ), 0) as Value as Value<T>,
      () => {
        this.slow(this.module.slowLoad, address, bytes);
        return f.load(operator, this.ctx, this.at('slowValue')) as Value as Value<T>;
      },
      true,
    );
  }
  load(bits: Bits, address: Address): Local {
    return this.read(LOADS[bits], integerType(bits), bits / 8, address);
  }
  load128(address: Address): Local<'v128'> {
    return this.read('v128.load', 'v128', 16, address);
  }

  protected storeValue(operator: StoreName, address: Address, bytes: number, value: Value): void {
    const { f } = this;
    const v = f.let(value);
    const { linear } = address;
    const entry = this.tlbEntry(linear);
    f.if(
      this.hit(entry, linear, bytes, TLB_WRITE),
      () => f.store(operator, this.host(entry, linear, TLB_WRITE), v, 0),
      () => {
        f.store(operator, this.ctx, v, this.at('slowValue'));
        this.slow(this.module.slowStore, address, bytes);
      },
      true,
    );
  }
  modify(bits: Bits, address: Address): { value: Local; write(value: Int): void } {
    const { f } = this;
    const bytes = bits / 8;
    const { linear } = address;
    const entry = this.tlbEntry(linear);
    // 0: not directly reachable, the slow path writes back
    const place = f.variable('i32', f.i32(0));
    const value = f.ifValue(
      bits === 64 ? 'i64' : 'i32',
      this.hit(entry, linear, bytes, TLB_WRITE),
      () => {
        place.set(this.host(entry, linear, TLB_WRITE));
        return f.load(LOADS[bits], place.get(), 0);
      },
      () => {
        this.slow(this.module.slowLoad, address, bytes, INFO_WRITE);
        return f.load(LOADS[bits], this.ctx, this.at('slowValue'));
      },
      true,
    );
    const write = (result: Int) => {
      const v = f.let(bits === 64 ? result : this.toI32(result));
      f.if(
        place.get(),
        () => f.store(STORES[bits], place.get(), v, 0),
        () => {
          f.store(STORES[bits], this.ctx, v, this.at('slowValue'));
          this.slow(this.module.slowStore, address, bytes);
        },
        true,
      );
    };
    return { value, write };
  }

  requireAligned(i: number, bytes: number): void {
    if (this.kind(i) !== 'memory') return;
    const { linear } = this.address(i, 0, 'r');
    this.faultIf(this.wrap(this.and(linear as I64, bytes - 1)), 13, 0);
  }

  // ---- stack

  behind({ linear, segment }: Address, bytes: number): Address {
    const sum = this.add(linear as I64, bytes);
    return { linear: this.f.let(this.long ? sum : this.and(sum, 0xffffffff)), segment };
  }

  protected stackPointer(): I64 {
    this.effects.read |= 1 << RSP;
    return this.field64('gpr', RSP) as I64;
  }
  protected setStackPointer(value: I64): void {
    this.effects.read |= 1 << RSP;
    this.effects.written |= 1 << RSP;
    this.f.store('i64.store', this.ctx, value, this.at('gpr', RSP));
  }

  // ---- flags

  /** Before flags are looked at or kept: a region may have left them in another form. */
  private settle(): void {
    this.effects.readsFlags = true;
    if (this.settled) return;
    this.f.if(this.field32('flagKind'), () => void this.call('settleFlags'));
    if (this.depth === 0) this.settled = true;
  }
  /** When all flags are set. */
  private overwrite(): void {
    this.effects.writesFlags = true;
    if (!this.settled) this.f.store('i32.store', this.ctx, this.f.i32(0), this.at('flagKind'));
  }
  flags(kind: 'add' | 'sub' | 'inc' | 'dec', a: Int, b: Int, result: Int, bits: Bits = this.bits): void {
    const r = this.f.let(result) as Int;
    if (kind === 'inc' || kind === 'dec') this.settle();
    this.overwrite();
    emitFlags(this, this.ctx, kind, a, b, r, bits);
  }
  logicFlags(result: Int, bits: Bits = this.bits): void {
    const r = this.f.let(result) as Int;
    this.overwrite();
    emitLogicFlags(this, this.ctx, r, bits);
  }
  setFlags(values: FlagValues, bits: Bits = this.bits): void {
    for (const name of Object.keys(values) as (keyof FlagValues)[]) values[name] = this.f.let(values[name]!) as never;
    this.settle();
    this.effects.writesFlags = true;
    emitSetFlags(this, this.ctx, values, bits);
  }
  setFlagsLater(_inputs: readonly Int[], values: () => CarryFlags, bits: Bits, result?: Int): void {
    this.setFlags(result === undefined ? values() : { result, ...values() }, bits);
  }
  flag(name: FlagName): Local<'i32'> {
    this.settle();
    return this.f.let(emitFlag(this, this.ctx, name));
  }
  condition(cc: number): Local<'i32'> {
    this.settle();
    return this.f.let(emitCondition(this, this.ctx, cc));
  }
  direction(): Local<'i64'> {
    // DF is bit 10: 1 - 2 * DF
    const df = this.and(this.shrU(this.field64('rflags') as I64, 10), 1);
    return this.f.let(this.sub(this.f.i64(1) as I64, this.shl(df, 1)));
  }
  setDirection(value: 0 | 1): void {
    const old = this.field64('rflags') as I64;
    this.f.store('i64.store', this.ctx, value ? this.or(old, 0x400) : this.and(old, ~0x400), this.at('rflags'));
  }
  lowFlags(): Local<'i32'> {
    this.settle();
    return this.f.let(emitLowFlags(this, this.ctx));
  }
  setLowFlags(value: I32): void {
    const v = this.f.let(value) as I32;
    this.settle();
    this.effects.writesFlags = true;
    emitSetLowFlags(this, this.ctx, v);
  }

  // ---- control flow of the guest

  /** Adds to the block's address, within 32 bits outside 64-bit mode. */
  private ripPlus(offset: I64): I64 {
    const sum = this.add(this.field64('rip') as I64, offset);
    return this.long ? sum : this.and(sum, 0xffffffff);
  }
  nextRip(): Local<'i64'> {
    const offset = this.add(this.recordU16(RECORD.delta), this.recordU8(RECORD.length));
    return this.f.let(this.ripPlus(this.extendU(offset)));
  }
  target(_operand: number): Local<'i64'> {
    const target = this.ripPlus(this.f.load('i64.load', this.rec, RECORD.wide) as I64);
    return this.f.let(this.bits === 16 ? this.and(target, 0xffff) : target);
  }
  /**
   * Continues with the block a link field points to; the instructions of this block that did not run go back to the
   * budget. An empty link is looked up (and set, within a page).
   */
  private goTo(target: Value<'i64'>, link: number): void {
    const { f } = this;
    const to = f.let(target);
    const next = f.let(f.load('i32.load', this.rec, link));
    f.if(
      next,
      () => {
        const unused = this.sub(this.recordU8(RECORD.remaining), 1);
        const left = f.let(this.add(this.field32('budget') as I32, unused));
        f.store('i64.store', this.ctx, to, this.at('rip'));
        f.store('i32.store', this.ctx, left, this.at('budget'));
        enterBlock(f, left, next, this.module);
      },
      undefined,
      true,
    );
    f.returnCall(this.module.branchTo, [this.ctx, this.rec, f.i32(link), to]);
  }
  branch(operand: number): void {
    this.goTo(this.target(operand), RECORD.link);
    this.end();
  }
  branchIf(condition: I32, operand: number): void {
    this.f.if(condition, () => this.goTo(this.target(operand), RECORD.link));
    // not taken: the next record follows
  }
  checkTarget(target: Int): Local<'i64'> {
    const { f } = this;
    if (this.bits === 64) {
      const to = f.let(target) as Local<'i64'>;
      this.faultIf(this.ne(this.shrS(this.shl(to as I64, 16), 16), to), 13, 0);
      return to;
    }
    const to = f.let(this.toI64(this.bits === 16 ? this.and(this.toI32(target), 0xffff) : this.toI32(target)));
    if (!this.long) {
      // CS limit (SDM vol. 2 JMP, CALL, RET)
      const limit = f.load('i32.load', this.ctx, segmentOffset(1, 'limit')) as I32;
      this.faultIf(this.gtU(this.wrap(to), limit), 13, 0);
    }
    return to;
  }
  jump(target: I64, _hint: 'indirect' | 'call' | 'return'): void {
    this.f.returnCall(this.module.branchTo, [this.ctx, this.rec, this.f.i32(0), target]);
    this.end();
  }
  callHint(): void {}

  private end(): void {
    if (this.depth === 0) this.ended = true;
  }

  // ---- faults and helpers

  fault(vector: number, errorCode?: number): void {
    const { f } = this;
    this.saveRecord();
    f.call(this.module.raise, [f.i32(vector), f.i32(errorCode ?? 0), f.i32(errorCode === undefined ? 0 : 1)]);
    f.return(f.i32(Exit.ABORT));
    this.end();
  }

  private helperArguments(args: (number | Int)[]): Value[] {
    const { f } = this;
    const values: Value[] = [];
    for (const arg of args) {
      if (typeof arg === 'number') values.push(f.i32(arg));
      else if (arg.type === 'i64') {
        const both = f.let(arg) as I64;
        values.push(this.wrap(both), this.wrap(this.shrU(both, 32)));
      } else values.push(arg);
    }
    if (values.length > HELPER_ARGUMENTS) throw new Error(`${this.form.encoding.text}: too many helper arguments`);
    while (values.length < HELPER_ARGUMENTS) values.push(f.i32(0));
    return values;
  }

  readTimeStamp(helper: 'rdtsc' | 'rdtscp'): void {
    this.effects.written |= (1 << RAX) | (1 << RDX) | (helper === 'rdtscp' ? 1 << RCX : 0);
    this.effects.endsHandlers = true;
    this.callSystem(helper, []);
  }

  system(helper: SystemHelper, ...args: (number | Int)[]): void {
    if (this.depth === 0) this.effects.system = true;
    this.callSystem(helper, args);
  }

  private callSystem(helper: SystemHelper, args: (number | Int)[]): void {
    const { f } = this;
    const values = this.helperArguments(args).map((v) => f.let(v));
    this.saveRecord();
    const exit = f.call(this.module.helpers[helper], values) as Local<'i32'>;
    f.if(this.eq(exit, Exit.CONTINUE), () => f.returnCall(this.module.resume, [this.ctx]));
    f.return(exit);
    this.end();
  }

  call(helper: LightHelper, ...args: (number | Int)[]): Local<'i32'> {
    const { f } = this;
    const values = this.helperArguments(args).map((v) => f.let(v));
    if (HELPERS[helper].result === 'status') this.saveRecord();
    const result = f.call(this.module.helpers[helper], values) as Local<'i32'>;
    if (HELPERS[helper].result === 'status') f.if(result, () => f.return(f.i32(Exit.ABORT)), undefined, false);
    return result;
  }

  // ---- assumptions

  abandon(): void {
    throw new Error(`${this.form.encoding.text}: handlers handle everything`);
  }
  known(): undefined {}
  learn(): void {}

  // ---- emission

  if(condition: I32, then: () => void, otherwise?: () => void, likely?: boolean): void {
    this.depth++;
    this.f.if(condition, then, otherwise, likely);
    this.depth--;
  }
  while(body: () => I32): void {
    this.depth++;
    this.f.loop((again) => this.f.brIf(again, body()));
    this.depth--;
  }

  /** Continues with the record behind this one. */
  finish(): void {
    if (this.ended) return;
    const { f } = this;
    const next = f.let(this.add(this.rec as I32, RECORD_SIZE));
    f.returnCallIndirect(
      this.module.signature,
      f.load('i32.load', next, RECORD.handler),
      [this.ctx, next],
      this.module.table,
    );
  }
}

/** Bytes from the context's start that records address: all register fields lie below 64 KiB. */
if (CONTEXT.scratch.offset > 0xffff) throw new Error('context too large for 16-bit record fields');
