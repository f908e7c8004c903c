/** MOV, PUSH and POP of segment registers, far pointer loads, ENTER, the FS and GS base instructions. */
import { RBP, Vector } from '../../isa/stage.ts';
import { FS, GS, SS } from '../context.ts';
import type { Cpu } from '../cpu.ts';
import { fault } from '../fault.ts';
import { InterruptShadow } from '../state.ts';
import { CR4, cr4, isCanonical, join, maskOf, readRegister, writeRegister } from './registers.ts';
import { loadSegmentRegister } from './segments.ts';
import { Stack, type StackBits } from './stack.ts';

/**
 * MOV to a segment register: (segment register number, selector). Loading SS holds interrupts and debug traps off for an
 * instruction, so that the stack pointer can be loaded.
 */
export function loadSegment(cpu: Cpu, segment: number, selector: number): void {
  loadSegmentRegister(cpu, segment, selector & 0xffff);
  if (segment === SS) cpu.interruptShadow = InterruptShadow.MOV_SS;
}

export function pushSegment(cpu: Cpu, segment: number, bits: number): void {
  const stack = Stack.current(cpu);
  stack.push(bits as StackBits, cpu.segments[segment].selector);
  stack.commit();
}

export function popSegment(cpu: Cpu, segment: number, bits: number): void {
  const stack = Stack.current(cpu);
  const selector = Number(stack.peek(16, 0));
  stack.release(bits >> 3);
  loadSegment(cpu, segment, selector);
  stack.commit();
}

/** LDS, LES, LFS, LGS, LSS: (segment, general register, operand bits, selector, offset lo, hi). */
export function loadFarPointer(
  cpu: Cpu,
  segment: number,
  register: number,
  bits: number,
  selector: number,
  low: number,
  high: number,
): void {
  loadSegmentRegister(cpu, segment, selector & 0xffff);
  writeRegister(cpu, register, bits, join(low, high) & maskOf(bits));
}

/** ENTER: (bytes to allocate, nesting level 0-31, operand bits). */
export function enter(cpu: Cpu, bytes: number, level: number, bits: number): void {
  const width = bits as StackBits;
  const stack = Stack.current(cpu);
  const { mask } = stack;
  stack.push(width, readRegister(cpu, RBP, bits));
  const frame = stack.pointer & mask;
  if (level > 0) {
    const outer = Stack.current(cpu);
    outer.pointer = cpu.gpr[RBP];
    for (let i = 1; i < level; i++) {
      outer.release(-(bits >> 3));
      stack.push(width, outer.peek(width, 0));
    }
    stack.push(width, frame);
  }
  stack.release(-bytes);
  stack.probe(width);
  stack.commit();
  writeRegister(cpu, RBP, bits, frame);
}

// --- FS and GS bases (SDM vol. 3A 2.5 CR4.FSGSBASE)

function readBase(cpu: Cpu, segment: number, register: number, bits: number): void {
  if ((cr4(cpu) & CR4.FSGSBASE) === 0) throw fault(cpu, Vector.UD);
  writeRegister(cpu, register, bits, cpu.segments[segment].base);
}

function writeBase(cpu: Cpu, segment: number, register: number, bits: number): void {
  if ((cr4(cpu) & CR4.FSGSBASE) === 0) throw fault(cpu, Vector.UD);
  const value = readRegister(cpu, register, bits);
  if (!isCanonical(value)) throw fault(cpu, Vector.GP, 0);
  cpu.segments[segment].base = value;
}

/** (register number, operand bits). */
export const rdfsbase = (cpu: Cpu, register: number, bits: number): void => readBase(cpu, FS, register, bits);
export const rdgsbase = (cpu: Cpu, register: number, bits: number): void => readBase(cpu, GS, register, bits);
export const wrfsbase = (cpu: Cpu, register: number, bits: number): void => writeBase(cpu, FS, register, bits);
export const wrgsbase = (cpu: Cpu, register: number, bits: number): void => writeBase(cpu, GS, register, bits);
