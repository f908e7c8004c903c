/**
 * The region stage: emits the instructions of a region into one function. General registers live in locals (general.ts);
 * arithmetic flags stay symbolic until someone needs them. Where an instruction cannot be done here, because it faults or the TLB has
 * no translation, the region is left before it: only then, and off the straight path, is the state stored.
 */

import type { Operand } from '../../isa/encoding.ts';
import { HELPERS, type LightHelper, type SystemHelper } from '../../isa/helpers.ts';
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
import {
  type FunctionBuilder,
  type FunctionRef,
  isConstant,
  type Label,
  type Local,
  type Signature,
  type StoreName,
  type TableRef,
  type Value,
  type Variable,
} from '../../wasm/index.ts';
import { FS, GS, SEGMENT, SS, segmentOffset } from '../context.ts';
import { NO_REGISTER, RIP_RELATIVE } from '../decode/decoder.ts';
import { FIXED_REGISTERS, FormStage, type HandlerForm } from '../form-stage.ts';
import { Exit } from '../interpreter/record.ts';
import { emitFlatSegment } from '../interpreter/segments.ts';
import { HELPER_ARGUMENTS } from '../interpreter/stage.ts';
import { TLB_EXECUTE } from '../interpreter/tlb-access.ts';
import { LOADS, NUMBER_LOADS, STORES } from '../interpreter/widths.ts';
import { InterruptShadow, Pending } from '../state.ts';
import { LazyFlags } from './flags.ts';
import { GeneralRegisters } from './general.ts';
import { generalRegister, isHighByte, MXCSR_BIT, type RegionInstruction, xmmRegister } from './instruction.ts';
import { RegionMemory } from './memory.ts';
import { encodeMiss, exceptionDetail, type SiteWriter } from './sites.ts';
import { RegionTransfer } from './transfer.ts';
import { copiedRegister, KnownTranslations, type Origin, RegionValues, stepOf } from './translations.ts';
import { XmmRegisters } from './xmm.ts';

/** What an address at RSP is made of. */
const STACK = { base: RSP, index: NO_REGISTER, scale: 0 } as const;
/** Larger ones are told exactly by no double. */
const MOST_DISPLACEMENT = 2 ** 51;
const ALL_REGISTERS = 0xffff;

/** What the regions of a module share: imports. */
export interface RegionModule {
  /** (context, record or entry of the jump cache) -> Exit. */
  readonly signature: Signature<readonly ['i32']>;
  readonly table: TableRef;
  /** (segment, offset lo, hi, bytes | write << 8) -> 0 or 1. */
  readonly checkSegment: FunctionRef;
  /** (flag kind, result, other) -> CF. */
  readonly carryOf: FunctionRef;
  /** (context, record, from, address of the region's heat): continues when a region has counted down. */
  readonly cooled: FunctionRef;
  /** (context, record): continues where the budget may end inside a region. */
  readonly tooShort: FunctionRef;
  /** (site): describes the site's exception. */
  readonly regionRaise: FunctionRef;
  /** (site, region): has the interpreter do the site's instruction, for which the region's assumptions do not hold. */
  readonly regionAbandon: FunctionRef;
  /** Each takes HELPER_ARGUMENTS i32 values and gives an i32. */
  readonly helpers: Readonly<Record<LightHelper, FunctionRef>>;
  /** Arena address of the jump cache. */
  readonly jumps: number;
  /** Of the interpreter's module, see Handlers. */
  readonly resume: FunctionRef;
  readonly leap: FunctionRef;
  readonly missed: FunctionRef;
}

/** What a region's function gets from its compiler. */
export interface RegionEnvironment {
  readonly module: RegionModule;
  /** Arena address of the processor's context, always the same. */
  readonly context: Local<'i32'>;
  readonly long: boolean;
  /** Mode key the code was decoded for; and whether it lies in the upper half of the linear addresses, as far as is known. */
  readonly mode: number;
  readonly upper: boolean;
  /** Segments that are flat in this region, a bit mask. */
  readonly flat: number;
  /** Page offset of the region's entry. */
  readonly entry: number;
  /** General registers it has a use for, a bit mask. */
  readonly used: number;
  /** XMM registers that change on paths that merge, a bit mask. */
  readonly merging: number;
  /** Whether code may assume what nearly always holds; and the region's table index, for when it did not. */
  readonly assuming: boolean;
  readonly number: number;
  /** Whether each access looks into the TLB for itself; and the arena address of the region's misses. */
  readonly apart: boolean;
  readonly misses: number;
  readonly sites: SiteWriter;
  /** Instructions the region may run, checked to be enough for its longest path. */
  readonly budget: Variable<'i32'>;
  /** Takes an edge of the current block. */
  goTo(edge: 'taken' | 'next' | 'returns'): void;
  /** Where a return from the current block is expected to go, as an offset; undefined if nothing is known. */
  returns(): number | undefined;
}

export class RegionStage extends FormStage {
  readonly f: FunctionBuilder;
  readonly env: RegionEnvironment;
  readonly flagsState: LazyFlags;
  readonly xmmState: XmmRegisters;
  readonly assuming: boolean;
  /** The instruction being emitted, and how many of its block are not complete (it included). */
  private current!: RegionInstruction;
  private remaining = 0;
  protected readonly ctx: Local<'i32'>;
  readonly general: GeneralRegisters;
  readonly budget: Variable<'i32'>;
  private readonly memory: RegionMemory;
  readonly transfer: RegionTransfer;
  private abortLabel: Label | undefined;
  private missLabel: Label | undefined;
  /** Where it was left for want of a translation, see encodeMiss. */
  private readonly missed: Variable<'i64'>;
  /** By how much the instruction moves the register it writes, if that is a constant; or the register it copies, or -1. */
  private step: number | undefined;
  private copied = -1;
  private readonly values = new RegionValues();

  constructor(f: FunctionBuilder, env: RegionEnvironment) {
    super();
    this.f = f;
    this.env = env;
    this.ctx = env.context;
    this.general = new GeneralRegisters(f, this.ctx, env.used, () => this.xmmState.path);
    this.budget = env.budget;
    this.missed = f.variable('i64');
    this.memory = new RegionMemory(this, env, {
      known: () => this.xmmState.path.translations,
      miss: () => this.miss(),
    });
    this.assuming = env.assuming;
    this.transfer = new RegionTransfer(f, env, this.memory.tlb, env.budget);
    this.xmmState = new XmmRegisters(f, this.ctx, env.merging, new KnownTranslations(this.values));
    this.flagsState = new LazyFlags(this, this.ctx, (name) => this.at(name), env.module.carryOf);
  }

  /** Emits the region's body; faults and misses inside go through the common exits behind it. */
  body(emit: () => void): void {
    const { f } = this;
    f.block((aborted) => {
      this.abortLabel = aborted;
      f.block((missed) => {
        this.missLabel = missed;
        this.transfer.around(emit);
      });
      f.returnCall(this.env.module.missed, [this.ctx, this.missed, f.i32(this.env.misses)]);
    });
    f.return(f.i32(Exit.REGION_ABORT));
  }

  /** Begins a block. */
  beginBlock(): void {
    this.values.begin();
  }

  /**
   * Begins an instruction. `remaining` counts it and those behind it in its block; `carryDead`: nobody sees what it leaves
   * in CF.
   */
  begin(instruction: RegionInstruction, remaining: number, carryDead: boolean): void {
    this.current = instruction;
    this.remaining = remaining;
    this.writeBack = undefined;
    this.step = stepOf(instruction, this.bitsOfAddresses);
    this.copied = copiedRegister(instruction, this.bitsOfAddresses);
    this.general.prepare(instruction.read);
    const { mnemonic } = instruction.form.encoding.instruction;
    this.flagsState.carryDead = carryDead;
    this.flagsState.carriesIn = mnemonic === 'ADC' || mnemonic === 'SBB';
  }

  // ---- state

  /** What is added to an offset for its linear address: the context's rip stays that of the entry. */
  private base(): I64 {
    const rip = this.f.let(this.f.load('i64.load', this.ctx, this.at('rip'))) as I64;
    return this.sub(rip, this.env.entry);
  }
  /** An offset as rip. */
  rip(offset: number): I64 {
    const sum = this.add(this.base(), offset);
    return this.env.long ? sum : this.and(sum, 0xffffffff);
  }

  // ---- facts

  protected get form(): HandlerForm {
    return this.current.form;
  }
  get x87Opcode(): I32 {
    const { opcode, modrm } = this.current.decoded;
    return this.f.i32(((opcode & 7) << 8) | modrm);
  }
  get segment(): I32 {
    return this.f.i32(this.current.decoded.segment);
  }

  registerNumber(i: number): I32 {
    const operand = this.operandOf(i);
    if (operand.letter === 'fixed') return this.f.i32(FIXED_REGISTERS[operand.text]);
    const { decoded } = this.current;
    if (operand.letter === 'G' || operand.letter === 'C' || operand.letter === 'D') return this.f.i32(decoded.reg);
    if (operand.letter === 'S') return this.f.i32(decoded.reg & 7);
    return this.f.i32(operand.letter === 'Z' ? decoded.opcodeRegister : decoded.rm);
  }

  // ---- operands

  /** General register of a register operand and whether it is a high byte. */
  private generalOperand(i: number): { number: number; high: boolean } | undefined {
    const operand = this.operandOf(i);
    if (operand.letter === 'fixed') return { number: FIXED_REGISTERS[operand.text], high: false };
    const { decoded } = this.current;
    const number = generalRegister(operand, decoded);
    if (number < 0) return undefined;
    const raw = operand.letter === 'G' ? decoded.reg : operand.letter === 'Z' ? decoded.opcodeRegister : decoded.rm;
    return { number, high: isHighByte(operand, decoded, raw) };
  }
  /** Number of an XMM register operand, or -1. */
  private xmmNumber(i: number): number {
    return xmmRegister(this.operandOf(i), this.current.decoded);
  }
  /** Context offset of an MMX or segment register operand. */
  private contextPlace(i: number): number {
    const { letter } = this.operandOf(i);
    const { decoded } = this.current;
    switch (letter) {
      case 'P':
        return this.at('x87', decoded.reg & 7);
      case 'Q':
      case 'N':
        return this.at('x87', decoded.rm & 7);
      case 'S':
        return segmentOffset(decoded.reg & 7, 'selector');
      default:
        throw new Error(`${this.current.form.encoding.text}: operand ${i} is no register of the context`);
    }
  }

  protected readRegister(i: number, bits: 8 | 16 | 32 | 64 | 128): Local {
    const { f } = this;
    const general = this.generalOperand(i);
    if (general) return this.readGpr(general.number, bits as Bits, general.high);
    const xmm = this.xmmNumber(i);
    if (xmm >= 0) return bits === 128 ? this.xmmState.whole(xmm) : this.xmmState.integer(xmm, bits as 32 | 64);
    return f.let(f.load(LOADS[bits as Bits], this.ctx, this.contextPlace(i)));
  }
  number(i: number): Local<'f32' | 'f64'> {
    const bits = this.bitsOf(i) as 32 | 64;
    if (this.kind(i) === 'register') return this.xmmState.number(this.xmmNumber(i), bits);
    const address = this.address(i, bits / 8, 'r');
    const place = this.memory.place(address, bits / 8);
    return this.f.let(this.f.load(NUMBER_LOADS[bits], place.address, place.offset));
  }

  protected immediate(operand: Operand, bits: Bits): Local {
    if (operand.letter === 'fixed') return this.f.let(this.constant(1, bits));
    const { decoded } = this.current;
    const immediates = this.form.encoding.operands.filter((o) => o.letter === 'I');
    const value = immediates.indexOf(operand) === 1 ? BigInt(decoded.immediate2) : decoded.immediate;
    return this.f.let(this.constant(bits === 64 ? value : Number(BigInt.asUintN(bits, value)), bits));
  }

  farSelector(): I32 {
    return this.f.i32(this.current.decoded.immediate2);
  }
  farOffset(): I64 {
    return this.f.i64(this.current.decoded.immediate) as I64;
  }

  protected writeRegister(i: number, bits: 8 | 16 | 32 | 64 | 128, value: Value): void {
    const { f } = this;
    const general = this.generalOperand(i);
    if (general) {
      this.writeGpr(general.number, bits as Bits, value as Int, general.high);
      return;
    }
    const xmm = this.xmmNumber(i);
    if (xmm >= 0) {
      if (value.type === 'v128') this.xmmState.setWhole(xmm, value as Value<'v128'>);
      else this.xmmState.setLow(xmm, value);
      return;
    }
    const place = this.contextPlace(i);
    f.store('i64.store', this.ctx, value, place);
    f.store('i32.store16', this.ctx, f.i32(0xffff), place + 8);
  }

  writeZeroExtended(i: number, value: Value): void {
    this.xmmState.setZeroExtended(this.xmmNumber(i), value);
  }

  effectiveAddress(_operand: number): Local<'i64'> {
    return this.f.let(this.offsetTree());
  }

  private offsetTree(displaced?: I64): I64 {
    const { decoded } = this.current;
    const { f } = this;
    let displacement = decoded.displacement;
    let sum: I64 | undefined;
    const plus = (term: I64) => {
      sum = sum === undefined ? term : this.add(sum, term);
    };
    if (decoded.base === RIP_RELATIVE) {
      displacement += BigInt(this.current.offset + this.current.length);
      plus(this.base());
    } else if (decoded.base !== NO_REGISTER) plus(this.register(decoded.base));
    if (decoded.index !== NO_REGISTER) plus(this.shl(this.register(decoded.index), decoded.scale));
    if (displaced) plus(displaced);
    if (displacement !== 0n || sum === undefined) plus(f.i64(displacement) as I64);
    const total = sum as unknown as I64;
    return decoded.addressSize === 64 ? total : this.and(total, decoded.addressSize === 32 ? 0xffffffff : 0xffff);
  }

  address(_operand: number, bytes: number, access: Access): Address {
    const { segment } = this.current.decoded;
    const origin = this.operandOrigin();
    return origin
      ? this.addressOf(segment, () => this.offsetTree(), origin)
      : this.linear(segment, this.offsetTree(), bytes, access);
  }
  /** An address through a segment that has no end; neighbours of others need not be computed. */
  private addressOf(segment: number, offset: () => I64, origin: Origin): Address {
    const { f, ctx, env } = this;
    let local: Local<'i64'> | undefined;
    const linear = () => {
      const through = env.long && segment >= FS;
      return f.let(
        through ? this.add(offset(), f.load('i64.load', ctx, segmentOffset(segment, 'base')) as I64) : offset(),
      );
    };
    return {
      get linear() {
        local ??= linear();
        return local;
      },
      segment,
      origin,
    };
  }
  /** What is known of where the ModRM operand is. */
  private operandOrigin(): Origin | undefined {
    const { decoded, offset, length } = this.current;
    const { base, segment, addressSize } = decoded;
    const displacement = Number(decoded.displacement);
    const space = this.space(segment, addressSize);
    if (space === undefined || Math.abs(displacement) > MOST_DISPLACEMENT) return undefined;
    const { translations } = this.xmmState.path;
    return base === RIP_RELATIVE
      ? translations.origin(`${space} rip`, decoded, displacement + offset + length)
      : translations.origin(space, decoded, displacement);
  }
  protected override stackOrigin(displacement: number): Origin | undefined {
    const space = this.space(SS, this.bitsOfAddresses);
    return space === undefined ? undefined : this.xmmState.path.translations.origin(space, STACK, displacement);
  }
  /** Names a segment and an address size; undefined where addresses wrap elsewhere than at the end of a page. */
  private space(segment: number, addressSize: number): string | undefined {
    const { long, flat } = this.env;
    if (!long) return (flat >> segment) & 1 ? `${addressSize}` : undefined;
    if (segment < FS) return `${addressSize}`;
    return addressSize === 64 ? `${segment}:` : undefined;
  }
  private get bitsOfAddresses(): 32 | 64 {
    return this.env.long ? 64 : 32;
  }
  addressDisplaced(_operand: number, displacement: I64, bytes: number, access: Access): Address {
    return this.linear(this.current.decoded.segment, this.offsetTree(displacement), bytes, access);
  }
  addressAfterPop(_operand: number, bytes: number): Address {
    const fromStack = this.current.decoded.base === RSP;
    return this.linear(
      this.current.decoded.segment,
      this.offsetTree(fromStack ? (this.f.i64(bytes) as I64) : undefined),
      bytes,
      'w',
    );
  }
  throughOperandSegment(offset: I64, bytes: number, access: Access): Address {
    return this.linear(this.current.decoded.segment, offset, bytes, access);
  }

  linear(segment: number, offset: I64, bytes: number, access: Access, origin?: Origin): Address {
    const { f } = this;
    if (origin) return this.addressOf(segment, () => offset, origin);
    if (this.env.long) {
      if (segment < FS) return { linear: f.let(offset), segment };
      const base = f.load('i64.load', this.ctx, segmentOffset(segment, 'base'));
      return { linear: f.let(this.add(offset, base as I64)), segment };
    }
    const off = f.let(offset);
    // beyond 4 GiB no translation is found
    if ((this.env.flat >> segment) & 1) return { linear: off as Local<'i64'>, segment };
    if (bytes > 0) {
      const end = f.load(
        'i64.load',
        this.ctx,
        segmentOffset(segment, 'base') + (access === 'r' ? SEGMENT.readEnd : SEGMENT.writeEnd),
      ) as I64;
      f.if(
        this.gtU(this.add(off as I64, bytes), end),
        () => {
          const status = f.call(this.env.module.checkSegment, [
            f.i32(segment),
            this.wrap(off),
            this.wrap(this.shrU(off as I64, 32)),
            f.i32(bytes | (access === 'r' ? 0 : 1 << 8)),
          ]) as Local<'i32'>;
          f.if(status, () => this.abort(), undefined, false);
        },
        undefined,
        false,
      );
    }
    return {
      linear: f.let(
        this.and(this.add(off as I64, f.load('i64.load', this.ctx, segmentOffset(segment, 'base')) as I64), 0xffffffff),
      ),
      segment,
    };
  }

  behind({ linear, segment }: Address, bytes: number): Address {
    const { f, env } = this;
    const sum = f.let(this.add(linear as I64, bytes)) as Local<'i64'>;
    if (env.long) return { linear: sum, segment };
    if (!((env.flat >> (segment as number)) & 1)) return { linear: f.let(this.and(sum as I64, 0xffffffff)), segment };
    // nobody has looked at the limit
    f.if(this.wrap(this.shrU(sum as I64, 32)), () => this.interpret(), undefined, false);
    return { linear: sum, segment };
  }

  // ---- registers

  private register(number: number): I64 {
    return this.general.get(number) as I64;
  }
  private readGpr(number: number, bits: Bits, high = false): Local {
    const { f } = this;
    const whole = this.register(number);
    if (bits === 64) return f.let(whole);
    if (bits === 32) return f.let(this.wrap(whole));
    if (bits === 16) return f.let(this.and(this.wrap(whole), 0xffff));
    return f.let(this.and(high ? this.shrU(this.wrap(whole), 8) : this.wrap(whole), 0xff));
  }
  private writeGpr(number: number, bits: Bits, value: Int, high = false): void {
    const { general } = this;
    const { translations } = this.xmmState.path;
    if (this.step !== undefined) translations.step(number, this.step);
    else if (this.copied >= 0) translations.copy(this.copied, number);
    else translations.forget(1 << number);
    if (bits === 64) general.set(number, value as I64);
    else if (bits === 32) general.set(number, this.extendU(this.toI32(value)));
    else {
      const width = bits === 16 ? 0xffff : 0xff;
      const shift = high ? 8 : 0;
      const part = this.extendU(this.and(this.toI32(value), width));
      const kept = this.and(this.register(number), this.f.i64(~(BigInt(width) << BigInt(shift))) as I64);
      general.set(number, this.or(kept, shift ? this.shl(part, shift) : part));
    }
  }
  gpr(number: number, bits: Bits): Local {
    return this.readGpr(number, bits);
  }
  setGpr(number: number, bits: Bits, value: Int): void {
    this.writeGpr(number, bits, value);
  }
  xmm(number: number): Local<'v128'> {
    return this.xmmState.whole(number);
  }
  setXmm(number: number, value: Value<'v128'>): void {
    this.xmmState.setWhole(number, value);
  }
  selector(segment: number): Local<'i32'> {
    return this.f.let(this.f.load('i32.load16_u', this.ctx, segmentOffset(segment, 'selector'))) as Local<'i32'>;
  }
  mxcsr(): Local<'i32'> {
    const { f } = this;
    const { path } = this.xmmState;
    const known = path.mxcsr ?? (f.let(f.load('i32.load', this.ctx, this.at('mxcsr'))) as Local<'i32'>);
    // elsewhere helpers set flags in it
    if (this.assuming) path.mxcsr = f.keep(known);
    return known;
  }
  /** Before a loop: reads registers that its rounds only read; a mask of XMM registers and MXCSR_BIT. */
  prepareXmm(registers: number): void {
    this.xmmState.prepare(registers);
    if (registers & MXCSR_BIT && this.assuming) this.mxcsr();
  }
  setMxcsr(value: I32): void {
    this.xmmState.path.mxcsr = undefined;
    this.f.store('i32.store', this.ctx, value, this.at('mxcsr'));
  }
  scratch(index: number): Local<'i64'> {
    return this.f.let(this.f.load('i64.load', this.ctx, this.at('scratch', index))) as Local<'i64'>;
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
    this.f.store('i32.store', this.ctx, value, this.at(word));
    if (word !== 'tlb') return;
    this.memory.tlb.set(this.state('tlb'));
    this.changeBank();
  }
  /** Another TLB bank may be in use here, or another base of GS. */
  changeBank(): void {
    this.values.bank++;
  }
  state64(register: 'star' | 'lstar'): Local<'i64'> {
    return this.f.let(this.f.load('i64.load', this.ctx, this.at(register)));
  }
  loadFlatSegment(segment: 1 | 2, selector: I32, attributes: number): void {
    emitFlatSegment(this, this.ctx, segment, selector, attributes);
  }
  swapGsBase(): void {
    const { f } = this;
    const base = f.let(f.load('i64.load', this.ctx, segmentOffset(GS, 'base')));
    const kernel = f.let(f.load('i64.load', this.ctx, this.at('kernelGsBase')));
    f.store('i64.store', this.ctx, kernel, segmentOffset(GS, 'base'));
    this.changeBank();
    f.store('i64.store', this.ctx, base, this.at('kernelGsBase'));
  }
  holdInterrupts(): void {
    const { f } = this;
    f.store('i32.store', this.ctx, f.i32(InterruptShadow.STI), this.at('interruptShadow'));
    f.store('i32.store', this.ctx, this.add(this.budget as Value as I32, this.remaining - 1), this.at('shadowBudget'));
  }
  readTimeStamp(helper: 'rdtsc' | 'rdtscp'): void {
    const { f } = this;
    // the clock may want to know what has been done so far, and may end the slice
    f.store('i32.store', this.ctx, this.add(this.budget as Value as I32, this.remaining), this.at('budget'));
    this.call('timeStamp');
    const left = f.load('i32.load', this.ctx, this.at('budget')) as I32;
    this.budget.set(this.sub(left, this.remaining));
    const value = this.scratch(0) as Value as I64;
    this.setGpr(RAX, 32, this.wrap(value));
    this.setGpr(RDX, 32, this.wrap(this.shrU(value, 32)));
    if (helper === 'rdtscp') this.setGpr(RCX, 32, f.load('i32.load', this.ctx, this.at('tscAux')) as I32);
  }

  // ---- memory

  load(bits: Bits, address: Address): Local {
    const place = this.memory.place(address, bits / 8);
    return this.f.let(this.f.load(LOADS[bits], place.address, place.offset));
  }
  load128(address: Address): Local<'v128'> {
    const place = this.memory.place(address, 16);
    return this.f.let(this.f.load('v128.load', place.address, place.offset));
  }
  protected storeValue(operator: StoreName, address: Address, bytes: number, value: Value): void {
    this.memory.store(operator, address, bytes, value);
  }
  modify(bits: Bits, address: Address): { value: Local; write(value: Int): void } {
    const { f } = this;
    const { address: at, offset } = this.memory.place(address, bits / 8, true);
    const value = f.let(f.load(LOADS[bits], at, offset));
    const write = (result: Int) => f.store(STORES[bits], at, bits === 64 ? result : this.toI32(result), offset);
    return { value, write };
  }
  requireAligned(i: number, bytes: number): void {
    if (this.kind(i) !== 'memory') return;
    const { linear } = this.address(i, 0, 'r');
    this.faultIf(this.wrap(this.and(linear as I64, bytes - 1)), 13, 0);
  }

  // ---- stack

  protected stackPointer(): I64 {
    return this.register(RSP);
  }
  protected setStackPointer(value: I64, moved?: number): void {
    const { translations } = this.xmmState.path;
    if (moved !== undefined && this.space(SS, this.bitsOfAddresses) !== undefined) translations.step(RSP, moved);
    else translations.forget(1 << RSP);
    this.general.set(RSP, value);
  }
  protected override stackMask(): I64 {
    return (this.env.flat >> SS) & 1 ? (this.f.i64(0xffffffff) as I64) : super.stackMask();
  }

  // ---- flags

  flags(kind: 'add' | 'sub' | 'inc' | 'dec', a: Int, b: Int, result: Int, bits: Bits = this.bits): void {
    this.flagsState.arithmetic(kind, a, b, result, bits);
  }
  logicFlags(result: Int, bits: Bits = this.bits): void {
    this.flagsState.logic(result, bits);
  }
  setFlags(values: FlagValues, bits: Bits = this.bits): void {
    this.flagsState.set(values, bits);
  }
  setFlagsLater(inputs: readonly Int[], values: () => CarryFlags, bits: Bits, result?: Int): void {
    this.flagsState.setLater(inputs, values, bits, result);
  }
  flag(name: FlagName): Local<'i32'> {
    return this.f.let(this.flagsState.flag(name));
  }
  condition(cc: number): Local<'i32'> {
    return this.f.let(this.flagsState.condition(cc));
  }
  direction(): Local<'i64'> {
    const df = this.and(this.shrU(this.f.load('i64.load', this.ctx, this.at('rflags')) as I64, 10), 1);
    return this.f.let(this.sub(this.f.i64(1) as I64, this.shl(df, 1)));
  }
  setDirection(value: 0 | 1): void {
    const old = this.f.load('i64.load', this.ctx, this.at('rflags')) as I64;
    this.f.store('i64.store', this.ctx, value ? this.or(old, 0x400) : this.and(old, ~0x400), this.at('rflags'));
  }
  lowFlags(): Local<'i32'> {
    return this.f.let(this.flagsState.lowFlags());
  }
  setLowFlags(value: I32): void {
    this.flagsState.setLowFlags(value);
  }
  requireNoX87Exception(): void {
    const errorSummary = 0x80; // SDM vol. 1 figure 8-4
    const pending = this.and(this.f.load('i32.load16_u', this.ctx, this.at('x87Status')) as I32, errorSummary);
    this.if(pending, () => void this.call('x87Pending'), undefined, false);
  }
  enterMmx(empty = false): void {
    const { f } = this;
    const notTop = 0xc7ff; // SDM vol. 1 figure 8-4
    const status = this.and(f.load('i32.load16_u', this.ctx, this.at('x87Status')) as I32, notTop);
    f.store('i32.store16', this.ctx, status, this.at('x87Status'));
    f.store('i32.store16', this.ctx, f.i32(empty ? 0xffff : 0), this.at('x87Tag'));
  }

  // ---- control flow of the guest

  nextRip(): Local<'i64'> {
    return this.f.let(this.rip(this.current.offset + this.current.length));
  }
  target(_operand: number): Local<'i64'> {
    const target = this.rip(this.current.target!);
    return this.f.let(this.bits === 16 ? this.and(target, 0xffff) : target);
  }
  branch(_operand: number): void {
    this.env.goTo('taken');
  }
  branchIf(condition: I32, _operand: number): void {
    // neither arm comes back, so what is known of the flags here holds in both
    const known = this.flagsState.state;
    this.f.if(condition, () => this.env.goTo('taken'));
    this.flagsState.state = known;
    this.env.goTo('next');
  }
  checkTarget(target: Int): Local<'i64'> {
    const { f } = this;
    if (this.bits === 64) {
      const to = f.let(target) as Local<'i64'>;
      this.faultIf(this.ne(this.shrS(this.shl(to as I64, 16), 16), to), 13, 0);
      return to;
    }
    const to = f.let(this.toI64(this.bits === 16 ? this.and(this.toI32(target), 0xffff) : this.toI32(target)));
    if (!this.env.long)
      this.faultIf(this.gtU(this.wrap(to), f.load('i32.load', this.ctx, segmentOffset(1, 'limit')) as I32), 13, 0);
    return to;
  }
  jump(target: I64, hint: 'indirect' | 'call' | 'return'): void {
    const { f } = this;
    const to = f.let(target) as Local<'i64'>;
    const expected = hint === 'return' ? this.env.returns() : undefined;
    if (expected !== undefined) {
      const known = this.flagsState.state;
      f.if(this.eq(to, this.rip(expected)), () => this.env.goTo('returns'));
      this.flagsState.state = known;
    }
    this.continueAt(to);
  }
  /**
   * Leaves the region for the offset unless the code of its page is still what it was: translated for execution, to the guest page
   * with this code table (which each guest page has of its own, for each mode).
   */
  requireMapped(offset: number, codeTable: number, mode: number): void {
    const { f } = this;
    const page = f.let(this.rip(offset & ~0xfff)) as Local<'i64'>;
    const entry = this.memory.tlbEntry(page);
    f.block((mapped) => {
      f.block((unmapped) => {
        f.brIf(unmapped, this.ne(f.load('i64.load', entry, TLB_EXECUTE.tag) as I64, this.or(page as I64, mode)), false);
        f.brIf(mapped, this.eq(f.load('i32.load', entry, TLB_EXECUTE.codeTable) as I32, codeTable), true);
      });
      const known = this.flagsState.state;
      this.continueAt(f.let(this.rip(offset)) as Local<'i64'>);
      this.flagsState.state = known;
    });
  }
  /** Leaves the region for an address, found as the interpreter finds it. */
  continueAt(to: Local<'i64'>): void {
    this.leave();
    this.transfer.resume(to);
  }
  /** Stores all but rip and the budget. */
  leave(): void {
    this.xmmState.store();
    this.general.store();
    this.flagsState.store();
  }
  callHint(): void {}

  // ---- faults and helpers

  /** A site of the current instruction, with what the flags are now. */
  private site(detail: number): I32 {
    const { remaining } = this;
    const offset = this.current.offset - this.env.entry;
    return this.f.i32(this.env.sites.add({ offset, remaining, flagKind: this.flagsState.encodedKind }, detail));
  }
  /** Stores what is to be in the context where the region is left before the current instruction. */
  private storeForSite(): void {
    this.xmmState.store();
    this.general.store();
    this.flagsState.storeForSite();
    this.f.store('i32.store', this.ctx, this.budget as Value, this.at('budget'));
  }
  /** Leaves before the current instruction: the interpreter goes on with it. */
  private miss(): void {
    const { f, remaining } = this;
    this.storeForSite();
    const offset = this.current.offset - this.env.entry;
    this.missed.set(f.i64(encodeMiss({ offset, remaining, flagKind: this.flagsState.encodedKind })));
    f.br(this.missLabel!);
  }
  /** Leaves with the current instruction not done; the context says why. */
  private abort(): void {
    this.f.store('i32.store', this.ctx, this.site(0), this.at('site'));
    this.storeForSite();
    this.f.br(this.abortLabel!);
  }
  fault(vector: number, errorCode?: number): void {
    this.storeForSite();
    this.f.call(this.env.module.regionRaise, [this.site(exceptionDetail(vector, errorCode))]);
    this.f.br(this.abortLabel!);
  }
  /** An unusual case: the interpreter calls the helper. */
  system(_helper: SystemHelper): void {
    this.interpret();
  }
  /** Has the interpreter do the current instruction. */
  private interpret(): void {
    const { f } = this;
    f.store('i32.store', this.ctx, f.i32(Pending.INTERPRET), this.at('pending'));
    this.abort();
  }
  call(helper: LightHelper, ...args: (number | Int)[]): Local<'i32'> {
    const { f } = this;
    const values: Value[] = [];
    for (const arg of args) {
      if (typeof arg === 'number') values.push(f.i32(arg));
      else if (arg.type === 'i64') {
        const both = f.let(arg) as I64;
        values.push(f.let(this.wrap(both)), f.let(this.wrap(this.shrU(both, 32))));
      } else values.push(f.let(arg));
    }
    while (values.length < HELPER_ARGUMENTS) values.push(f.i32(0));
    const result = f.call(this.env.module.helpers[helper], values) as Local<'i32'>;
    if (HELPERS[helper].result === 'status') f.if(result, () => this.abort(), undefined, false);
    return result;
  }

  // ---- assumptions

  abandon(): void {
    const { module, number } = this.env;
    this.storeForSite();
    this.f.call(module.regionAbandon, [this.site(0), this.f.i32(number)]);
    this.f.br(this.abortLabel!);
  }
  known(local: Local): unknown {
    return this.xmmState.path.facts.get(local);
  }
  learn(local: Local, fact: unknown): void {
    this.xmmState.path.facts.set(local, fact);
  }

  // ---- emission

  if(condition: I32, then: () => void, otherwise?: () => void, likely?: boolean): void {
    if (isConstant(condition)) {
      this.f.if(condition, then, otherwise);
      return;
    }
    // what an arm finds out holds in it only, and what it saves
    const { general, values, xmmState } = this;
    const { path } = xmmState;
    const { unsaved } = general;
    let after = unsaved;
    let moved = 0;
    const apart = (arm: () => void) => () => {
      xmmState.path = path.fork(true);
      general.unsaved = unsaved;
      values.begin();
      arm();
      after |= general.unsaved;
      moved |= xmmState.path.translations.movedFrom(path.translations);
      xmmState.path = path;
      general.unsaved = after;
    };
    this.flagsState.conditional(
      (both) => this.f.if(condition, apart(both(then)), apart(both(otherwise ?? (() => {}))), likely),
      otherwise !== undefined,
    );
    path.translations.forget(moved);
    values.begin();
  }
  while(body: () => I32): void {
    const { translations } = this.xmmState.path;
    translations.forget(ALL_REGISTERS);
    this.values.begin();
    this.f.loop((again) => this.f.brIf(again, body()));
    translations.forget(ALL_REGISTERS);
  }
}
