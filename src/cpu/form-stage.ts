/** What the interpreter's stage and the regions' have in common: both emit forms of encodings, one at a time. */
import { type Encoding, type Operand, operandBits } from '../isa/encoding.ts';
import { type Access, type Address, type Bits, type I64, type Int, Stage } from '../isa/stage.ts';
import type { Local, StoreName, Value } from '../wasm/index.ts';
import { type FieldName, offsetOf, SS } from './context.ts';
import { STORES, wholeStore } from './interpreter/widths.ts';

/** A form of an encoding: one handler of the interpreter is for it. */
export interface HandlerForm {
  readonly encoding: Encoding;
  /** 64-bit mode, or any of the others. */
  readonly long: boolean;
  readonly operandSize: 16 | 32 | 64;
  readonly addressSize: 16 | 32 | 64;
  readonly memory: boolean;
  readonly repeat: 'none' | 'rep' | 'repne';
  readonly cc: number;
}

/** Numbers of the general registers named outright in rows. */
export const FIXED_REGISTERS: Readonly<Record<string, number>> = { AL: 0, CL: 1, AX: 0, DX: 2, rAX: 0 };

export abstract class FormStage extends Stage {
  /** The form being emitted. */
  protected abstract readonly form: HandlerForm;
  protected abstract readonly ctx: Local<'i32'>;
  /** Set where `operand` read a memory destination with write access: how to write it back. */
  protected writeBack: ((value: Int) => void) | undefined;

  /** Context offset of a field. */
  protected at(name: FieldName, index = 0): number {
    return offsetOf(name, index);
  }

  // ---- facts

  get bits(): Bits {
    return this.form.operandSize;
  }
  get addressBits(): 16 | 32 | 64 {
    return this.form.addressSize;
  }
  get codeBits(): 32 | 64 {
    return this.form.long ? 64 : 32;
  }
  get cc(): number {
    return this.form.cc;
  }
  get repeat(): 'none' | 'rep' | 'repne' {
    return this.form.repeat;
  }
  protected operandOf(i: number): Operand {
    return this.form.encoding.operands[i];
  }
  kind(i: number): 'register' | 'memory' | 'immediate' {
    const { letter, text } = this.operandOf(i);
    switch (letter) {
      case 'I':
      case 'J':
      case 'A':
        return 'immediate';
      case 'M':
      case 'O':
        return 'memory';
      case 'E':
      case 'W':
      case 'Q':
        return this.form.memory ? 'memory' : 'register';
      case 'fixed':
        return text === '1' ? 'immediate' : 'register';
      default:
        return 'register';
    }
  }
  bitsOf(i: number): 8 | 16 | 32 | 64 | 128 {
    const bits = operandBits(this.operandOf(i), this.form.operandSize);
    if (bits === 0) throw new Error(`${this.form.encoding.text}: operand ${i} has no width`);
    return bits;
  }

  // ---- operands

  /** @param origin what the region stage knows of how the offset was made */
  abstract override linear(
    segment: number,
    offset: I64,
    bytes: number,
    access: Access,
    origin?: Address['origin'],
  ): Address;
  protected abstract immediate(operand: Operand, bits: Bits): Local;
  protected abstract readRegister(i: number, bits: 8 | 16 | 32 | 64 | 128): Local;
  protected abstract writeRegister(i: number, bits: 8 | 16 | 32 | 64 | 128, value: Value): void;
  protected abstract storeValue(operator: StoreName, address: Address, bytes: number, value: Value): void;

  operand(i: number): Local {
    const operand = this.operandOf(i);
    const bits = this.bitsOf(i);
    switch (this.kind(i)) {
      case 'immediate':
        return this.immediate(operand, bits as Bits);
      case 'register':
        return this.readRegister(i, bits);
      case 'memory': {
        const address = this.address(i, bits / 8, operand.access === 'r' ? 'r' : 'rw');
        if (bits === 128) {
          if (operand.access === 'r') return this.load128(address);
          throw new Error(`${this.form.encoding.text}: 128-bit memory is not read and written`);
        }
        if (operand.access === 'r') return this.load(bits, address);
        const modify = this.modify(bits, address);
        this.writeBack = modify.write;
        return modify.value;
      }
    }
  }
  operands(): Local[] {
    return this.form.encoding.operands.map((operand, i) =>
      operand.access === 'w' ? (undefined as unknown as Local) : this.operand(i),
    );
  }
  write(i: number, value: Value): void {
    const bits = this.bitsOf(i);
    if (this.kind(i) !== 'memory') this.writeRegister(i, bits, value);
    else if (bits === 128) this.store128(this.address(i, 16, 'w'), value as Value<'v128'>);
    else if (this.writeBack) {
      this.writeBack(value as Int);
      this.writeBack = undefined;
    } else if (value.type === 'f32' || value.type === 'f64') {
      this.storeValue(wholeStore(value.type), this.address(i, bits / 8, 'w'), bits / 8, value);
    } else {
      const v = this.f.let(value as Int) as Int;
      this.store(bits, this.address(i, bits / 8, 'w'), v);
    }
  }
  store(bits: Bits, address: Address, value: Int): void {
    this.storeValue(STORES[bits], address, bits / 8, bits === 64 ? value : this.toI32(value));
  }
  store128(address: Address, value: Value<'v128'>): void {
    this.storeValue('v128.store', address, 16, value);
  }

  // ---- stack

  /** RSP; and `stackMask` of the context, outside 64-bit mode. */
  protected abstract stackPointer(): I64;
  /** @param moved by how many bytes it moves, if that is a constant */
  protected abstract setStackPointer(value: I64, moved?: number): void;

  protected stackMask(): I64 {
    return this.f.load('i64.load', this.ctx, this.at('stackMask')) as I64;
  }
  /** What the region stage knows of the address so many bytes from RSP. */
  protected stackOrigin(_displacement: number): Address['origin'] {
    return undefined;
  }
  private stackOffset(displacement: number | I64, from: I64 = this.stackPointer()): I64 {
    const moved = this.add(from, displacement as number);
    return this.form.long ? moved : this.and(moved, this.stackMask());
  }
  private setStack(offset: I64, moved?: number): void {
    if (this.form.long) this.setStackPointer(offset, moved);
    else this.setStackPointer(this.or(this.and(this.stackPointer(), this.not(this.stackMask())), offset), moved);
  }
  push(bits: 16 | 32 | 64, value: Int): void {
    const v = this.f.let(value) as Int;
    const displacement = -bits / 8;
    const offset = this.f.let(this.stackOffset(displacement));
    this.store(bits, this.linear(SS, offset, bits / 8, 'w', this.stackOrigin(displacement)), v);
    this.setStack(offset, displacement);
  }
  peek(bits: 16 | 32 | 64, offset = 0): Local {
    return this.load(bits, this.linear(SS, this.stackOffset(offset), bits / 8, 'r', this.stackOrigin(offset)));
  }
  poke(bits: 16 | 32 | 64, offset: number, value: Int): void {
    const v = this.f.let(value) as Int;
    this.store(bits, this.linear(SS, this.stackOffset(offset), bits / 8, 'w', this.stackOrigin(offset)), v);
  }
  peekAt(bits: 16 | 32 | 64, pointer: I64): Local {
    return this.load(bits, this.linear(SS, this.stackOffset(0, pointer), bits / 8, 'r'));
  }
  setStackFrom(pointer: I64): void {
    this.setStack(this.f.let(this.stackOffset(0, pointer)));
  }
  releaseStack(bytes: number | I64): void {
    this.setStack(this.f.let(this.stackOffset(bytes)), typeof bytes === 'number' ? bytes : undefined);
  }
}
