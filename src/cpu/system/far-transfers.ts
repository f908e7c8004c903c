/** Far JMP and CALL in every mode, with call gates (SDM vol. 3A 5.8; vol. 2 "JMP", "CALL"; APM vol. 2 4.11, 5.3). */
import { RSP, Vector } from '../../isa/stage.ts';
import { CS, SS } from '../context.ts';
import type { Cpu } from '../cpu.ts';
import { fault } from '../fault.ts';
import { readFlags } from '../flags.ts';
import {
  type Descriptor,
  isNullSelector,
  markAccessed,
  readUpperDescriptor,
  requireDescriptor,
  SELECTOR_RPL,
  SystemType,
  selectorErrorCode,
  TSS_BUSY,
  TYPE_32BIT,
} from './descriptors.ts';
import { hasRealSelectors, isCanonical, isLongMode, join, maskOf } from './registers.ts';
import {
  loadCodeSegment,
  loadFromDescriptor,
  loadNullSegment,
  loadRealSegment,
  requireStackDescriptor,
} from './segments.ts';
import { Stack, type StackBits } from './stack.ts';
import { readInnerStack, readLongModeStack } from './task-state.ts';
import { switchTask } from './tasks.ts';

/** Parameters a call gate copies (SDM vol. 3A figure 5-8). */
const GATE_PARAMETERS = 0x1f;
/** Type field in the last doubleword of a 16-byte gate; must be zero (APM vol. 2 figure 4-23). */
const UPPER_TYPE = 0x1f00;

/** Offsets must lie inside the segment, or be canonical in 64-bit code. */
export function checkCodeOffset(cpu: Cpu, code: Descriptor, offset: bigint): void {
  const allowed = isLongMode(cpu) && code.isLong ? isCanonical(offset) : offset <= BigInt(code.limit);
  if (!allowed) throw fault(cpu, Vector.GP, 0);
}

/** A far transfer where selectors are paragraph numbers. */
export function goToReal(cpu: Cpu, selector: number, offset: bigint): void {
  loadRealSegment(cpu, CS, selector);
  cpu.nextRip = offset;
  cpu.translation.stateChanged();
}

/** #GP(0) unless the offset lies inside the current CS, whose limit a real-mode transfer keeps. */
export function checkRealOffset(cpu: Cpu, offset: bigint): void {
  if (offset > BigInt(cpu.segments[CS].limit)) throw fault(cpu, Vector.GP, 0);
}

/** Checks a code segment reached directly: the privilege level does not change. */
function requireDirectCode(cpu: Cpu, selector: number, code: Descriptor): void {
  const errorCode = selectorErrorCode(selector);
  const allowed = code.isConforming
    ? code.dpl <= cpu.cpl
    : (selector & SELECTOR_RPL) <= cpu.cpl && code.dpl === cpu.cpl;
  if (!allowed) throw fault(cpu, Vector.GP, errorCode);
  if (isLongMode(cpu) && code.isLong && code.isDefault32) throw fault(cpu, Vector.GP, errorCode);
  if (!code.present) throw fault(cpu, Vector.NP, errorCode);
}

interface CallGate {
  readonly bits: StackBits;
  readonly selector: number;
  readonly offset: bigint;
  readonly parameters: number;
  readonly code: Descriptor;
}

/** Gates and TSSs may be used by their DPL and up. */
function checkSystemDescriptor(cpu: Cpu, selector: number, descriptor: Descriptor): void {
  const errorCode = selectorErrorCode(selector);
  if (descriptor.dpl < cpu.cpl || descriptor.dpl < (selector & SELECTOR_RPL)) throw fault(cpu, Vector.GP, errorCode);
  if (!descriptor.present) throw fault(cpu, Vector.NP, errorCode);
}

/** Reads the rest of a call gate and the code segment it leads to. */
function requireCallGate(cpu: Cpu, selector: number, gate: Descriptor): CallGate {
  const errorCode = selectorErrorCode(selector);
  checkSystemDescriptor(cpu, selector, gate);
  const long = isLongMode(cpu);
  const wide = (gate.type & TYPE_32BIT) !== 0;
  let offset = BigInt(wide ? gate.gateOffset : gate.gateOffset & 0xffff);
  if (long) {
    const upper = readUpperDescriptor(cpu, selector);
    if (upper === undefined || (upper.last & UPPER_TYPE) !== 0) throw fault(cpu, Vector.GP, errorCode);
    offset = join(gate.gateOffset, upper.high);
  }
  const target = gate.gateSelector;
  if (isNullSelector(target)) throw fault(cpu, Vector.GP, 0);
  const code = requireDescriptor(cpu, target);
  const fits = code.isCode && code.dpl <= cpu.cpl && (!long || (code.isLong && !code.isDefault32));
  if (!fits) throw fault(cpu, Vector.GP, selectorErrorCode(target));
  if (!code.present) throw fault(cpu, Vector.NP, selectorErrorCode(target));
  const parameters = long ? 0 : gate.high & GATE_PARAMETERS;
  return { bits: long ? 64 : wide ? 32 : 16, selector: target, offset, parameters, code };
}

/** Goes through a system descriptor: call gate, task gate or TSS. */
function throughSystemDescriptor(
  cpu: Cpu,
  selector: number,
  descriptor: Descriptor,
  source: 'call' | 'jump',
  callGate: (gate: CallGate) => void,
): void {
  const { type } = descriptor;
  const errorCode = selectorErrorCode(selector);
  const wideGate = type === SystemType.CALL_GATE32;
  if (!descriptor.isSegment && (wideGate || (type === SystemType.CALL_GATE16 && !isLongMode(cpu)))) {
    callGate(requireCallGate(cpu, selector, descriptor));
    return;
  }
  const isTss = (type & ~(TYPE_32BIT | TSS_BUSY)) === SystemType.TSS16_AVAILABLE;
  const isTask = !descriptor.isSegment && (isTss || type === SystemType.TASK_GATE);
  if (!isTask || isLongMode(cpu)) throw fault(cpu, Vector.GP, errorCode);
  checkSystemDescriptor(cpu, selector, descriptor);
  switchTask(cpu, isTss ? selector : descriptor.gateSelector, source, cpu.nextRip, readFlags(cpu));
}

/** JMP ptr16:16/32, JMP m16:16/32/64. Arguments as in helpers.ts. */
export function farJump(cpu: Cpu, bits: number, selector: number, offsetLow: number, offsetHigh: number): void {
  const offset = join(offsetLow, offsetHigh) & maskOf(bits);
  if (hasRealSelectors(cpu)) {
    checkRealOffset(cpu, offset);
    goToReal(cpu, selector, offset);
    return;
  }
  if (isNullSelector(selector)) throw fault(cpu, Vector.GP, 0);
  const descriptor = requireDescriptor(cpu, selector);
  const enter = (target: number, code: Descriptor, rip: bigint) => {
    checkCodeOffset(cpu, code, rip);
    markAccessed(cpu, target, code);
    loadCodeSegment(cpu, target, code, cpu.cpl);
    cpu.nextRip = rip;
  };
  if (descriptor.isCode) {
    requireDirectCode(cpu, selector, descriptor);
    enter(selector, descriptor, offset);
    return;
  }
  throughSystemDescriptor(cpu, selector, descriptor, 'jump', (gate) => {
    if (!gate.code.isConforming && gate.code.dpl !== cpu.cpl) {
      throw fault(cpu, Vector.GP, selectorErrorCode(gate.selector));
    }
    enter(gate.selector, gate.code, gate.offset);
  });
}

/** Pushes the return address on the current stack and goes to code of the same privilege level. */
function callSameLevel(cpu: Cpu, bits: StackBits, selector: number, code: Descriptor, offset: bigint): void {
  checkCodeOffset(cpu, code, offset);
  markAccessed(cpu, selector, code);
  const stack = Stack.current(cpu);
  stack.push(bits, cpu.segments[CS].selector);
  stack.push(bits, cpu.nextRip);
  loadCodeSegment(cpu, selector, code, cpu.cpl);
  stack.commit();
  cpu.nextRip = offset;
}

/** A call gate to a more privileged level: new stack, old stack pointer, copied parameters, return address. */
function callInward(cpu: Cpu, gate: CallGate): void {
  const cpl = gate.code.dpl;
  const long = gate.bits === 64;
  const returnStack = cpu.segments[SS].selector;
  const old = Stack.current(cpu);
  let stack: Stack;
  let selector = cpl;
  let descriptor: Descriptor | undefined;
  if (long) stack = Stack.flat(cpu, readLongModeStack(cpu, cpl, 0), cpl);
  else {
    const inner = readInnerStack(cpu, cpl);
    selector = inner.selector;
    descriptor = requireStackDescriptor(cpu, selector, cpl, Vector.TS);
    stack = Stack.of(cpu, descriptor, inner.pointer, cpl, selectorErrorCode(selector));
  }
  checkCodeOffset(cpu, gate.code, gate.offset);
  markAccessed(cpu, gate.selector, gate.code);
  if (descriptor !== undefined) markAccessed(cpu, selector, descriptor);

  stack.push(gate.bits, returnStack);
  stack.push(gate.bits, cpu.gpr[RSP]);
  for (let i = gate.parameters - 1; i >= 0; i--) stack.push(gate.bits, old.peek(gate.bits, i * (gate.bits >> 3)));
  stack.push(gate.bits, cpu.segments[CS].selector);
  stack.push(gate.bits, cpu.nextRip);

  loadCodeSegment(cpu, gate.selector, gate.code, cpl);
  if (descriptor === undefined) loadNullSegment(cpu, SS, cpl);
  else loadFromDescriptor(cpu, SS, selector, descriptor);
  stack.commit();
  cpu.nextRip = gate.offset;
}

/** CALL ptr16:16/32, CALL m16:16/32/64. Arguments as in helpers.ts. */
export function farCall(cpu: Cpu, bits: number, selector: number, offsetLow: number, offsetHigh: number): void {
  const offset = join(offsetLow, offsetHigh) & maskOf(bits);
  if (hasRealSelectors(cpu)) {
    checkRealOffset(cpu, offset);
    const stack = Stack.current(cpu);
    stack.push(bits as StackBits, cpu.segments[CS].selector);
    stack.push(bits as StackBits, cpu.nextRip);
    stack.commit();
    goToReal(cpu, selector, offset);
    return;
  }
  if (isNullSelector(selector)) throw fault(cpu, Vector.GP, 0);
  const descriptor = requireDescriptor(cpu, selector);
  if (descriptor.isCode) {
    requireDirectCode(cpu, selector, descriptor);
    callSameLevel(cpu, bits as StackBits, selector, descriptor, offset);
    return;
  }
  throughSystemDescriptor(cpu, selector, descriptor, 'call', (gate) => {
    if (!gate.code.isConforming && gate.code.dpl < cpu.cpl) callInward(cpu, gate);
    else callSameLevel(cpu, gate.bits, gate.selector, gate.code, gate.offset);
  });
}
