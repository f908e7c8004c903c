/**
 * A stack being pushed to or popped from while its pointer is not committed yet: the current one, or the one a gate or
 * task switch is about to change to. Every fault is raised before RSP or SS change.
 */
import { RSP, Vector } from '../../isa/stage.ts';
import { SS } from '../context.ts';
import type { Cpu } from '../cpu.ts';
import { fault } from '../fault.ts';
import { Attribute, type Descriptor } from './descriptors.ts';
import { hasRealSelectors, is64BitMode, isCanonical, MASK_16, MASK_32, MASK_64 } from './registers.ts';
import { withinLimit } from './segments.ts';

export type StackBits = 16 | 32 | 64;

export class Stack {
  private readonly cpu: Cpu;
  /** Linear base; zero for a 64-bit stack. */
  private readonly base: bigint;
  private readonly limit: number;
  private readonly attributes: number;
  /** Which bits of the pointer take part: all in 64-bit mode, else 32 or 16 as SS.B says. */
  readonly mask: bigint;
  /** Accesses are made as the supervisor although CPL is still 3. */
  private readonly supervisor: boolean;
  /** Error code of #SS for an access beyond the limit. */
  private readonly errorCode: number;
  pointer: bigint;

  private constructor(
    cpu: Cpu,
    pointer: bigint,
    mask: bigint,
    base: bigint,
    limit: number,
    attributes: number,
    supervisor: boolean,
    errorCode: number,
  ) {
    this.cpu = cpu;
    this.pointer = pointer;
    this.mask = mask;
    this.base = base;
    this.limit = limit;
    this.attributes = attributes;
    this.supervisor = supervisor;
    this.errorCode = errorCode;
  }

  /** The stack in use. */
  static current(cpu: Cpu): Stack {
    const { base, limit, attributes } = cpu.segments[SS];
    if (is64BitMode(cpu)) return new Stack(cpu, cpu.gpr[RSP], MASK_64, 0n, 0, 0, false, 0);
    // Only the limit counts where selectors are paragraph numbers.
    const checked = hasRealSelectors(cpu) ? Attribute.P : attributes;
    return new Stack(cpu, cpu.gpr[RSP], cpu.stackMask, base, limit, checked, false, 0);
  }

  /** The stack of 64-bit code at `cpl`, or of the current one in compatibility mode entering 64-bit mode. */
  static flat(cpu: Cpu, pointer: bigint, cpl: number): Stack {
    return new Stack(cpu, pointer, MASK_64, 0n, 0, 0, cpl < cpu.cpl, 0);
  }

  /** A stack described by a descriptor, of a more privileged level or of a task. */
  static of(cpu: Cpu, descriptor: Descriptor, pointer: bigint, cpl: number, errorCode: number): Stack {
    const mask = descriptor.isDefault32 ? MASK_32 : MASK_16;
    const { limit, attributes } = descriptor;
    return new Stack(cpu, pointer, mask, BigInt(descriptor.base), limit, attributes, cpl < cpu.cpl, errorCode);
  }

  private linear(offset: bigint, bytes: number): bigint {
    if (this.mask === MASK_64) {
      if (!isCanonical(offset)) throw fault(this.cpu, Vector.SS, this.errorCode);
      return offset;
    }
    const number = Number(offset);
    const present = (this.attributes & Attribute.P) !== 0;
    if (!present || !withinLimit(this.limit, this.attributes, number, bytes))
      throw fault(this.cpu, Vector.SS, this.errorCode);
    return (this.base + offset) & MASK_32;
  }

  push(bits: StackBits, value: number | bigint): void {
    const bytes = bits >> 3;
    const offset = (this.pointer - BigInt(bytes)) & this.mask;
    const linear = this.linear(offset, bytes);
    if (bits === 64) this.cpu.linear.writeU64(linear, BigInt.asUintN(64, BigInt(value)), this.supervisor);
    else if (bits === 32) this.cpu.linear.writeU32(linear, Number(BigInt.asUintN(32, BigInt(value))), this.supervisor);
    else this.cpu.linear.writeU16(linear, Number(BigInt.asUintN(16, BigInt(value))), this.supervisor);
    this.pointer = (this.pointer & ~this.mask) | offset;
  }

  pop(bits: StackBits): bigint {
    const bytes = bits >> 3;
    const value = this.peek(bits, 0);
    this.release(bytes);
    return value;
  }

  /** Reads `offset` bytes above the top. */
  peek(bits: StackBits, offset: number): bigint {
    const linear = this.linear((this.pointer + BigInt(offset)) & this.mask, bits >> 3);
    if (bits === 64) return this.cpu.linear.readU64(linear, this.supervisor);
    return BigInt(
      bits === 32 ? this.cpu.linear.readU32(linear, this.supervisor) : this.cpu.linear.readU16(linear, this.supervisor),
    );
  }

  /** Faults as a write of the top would. */
  probe(bits: StackBits): void {
    const bytes = bits >> 3;
    this.cpu.linear.probe(this.linear(this.pointer & this.mask, bytes), bytes, 'w', this.supervisor);
  }

  /** Moves the pointer up, or down for a negative number. */
  release(bytes: number): void {
    this.pointer = (this.pointer & ~this.mask) | ((this.pointer + BigInt(bytes)) & this.mask);
  }

  /** Makes the pointer architectural; bits outside the mask keep what RSP had. */
  commit(): void {
    const { cpu } = this;
    const kept = this.mask === MASK_16 ? cpu.gpr[RSP] & ~this.mask & MASK_64 : 0n;
    cpu.gpr[RSP] = kept | (this.pointer & this.mask);
  }
}
