/** Far RET and IRET in every mode (SDM vol. 2 "RET", "IRET"; vol. 3A 5.8.6, 6.12.1, 7.4; vol. 3B 20.2.3). */
import { RSP, Vector } from '../../isa/stage.ts';
import { DS, ES, FS, GS, SS } from '../context.ts';
import type { Cpu } from '../cpu.ts';
import { fault } from '../fault.ts';
import { changeFlags, readFlags, writeFlags } from '../flags.ts';
import {
  type Descriptor,
  isNullSelector,
  markAccessed,
  requireDescriptor,
  SELECTOR_RPL,
  selectorErrorCode,
} from './descriptors.ts';
import { checkCodeOffset, checkRealOffset, goToReal } from './far-transfers.ts';
import { hooks } from './hooks.ts';
import { iretLongShortcut } from './long-mode-shortcuts.ts';
import {
  CR4,
  cr4,
  FLAG,
  hasRealSelectors,
  ioPrivilegeLevel,
  is64BitMode,
  isLongMode,
  isVirtual8086,
  MASK_16,
  MASK_32,
  MASK_64,
  systemFlags,
} from './registers.ts';
import {
  clearInaccessibleSegments,
  loadCodeSegment,
  loadFromDescriptor,
  loadNullSegment,
  loadRealSegment,
  refreshSegments,
  requireStackDescriptor,
} from './segments.ts';
import { Stack, type StackBits } from './stack.ts';
import { returnFromTask } from './tasks.ts';

/** Flags every IRET and POPF may change; 32-bit forms change RF, AC and ID too. */
const RETURN_FLAGS_16 = FLAG.CF | FLAG.PF | FLAG.AF | FLAG.ZF | FLAG.SF | FLAG.TF | FLAG.DF | FLAG.OF | FLAG.NT;
const RETURN_FLAGS_32 = RETURN_FLAGS_16 | FLAG.RF | FLAG.AC | FLAG.ID;

/** Checks the code segment of a return address: never inward. */
function requireReturnCode(cpu: Cpu, selector: number): Descriptor {
  const errorCode = selectorErrorCode(selector);
  if (isNullSelector(selector)) throw fault(cpu, Vector.GP, 0);
  const rpl = selector & SELECTOR_RPL;
  const code = requireDescriptor(cpu, selector);
  const privilegeFits = code.isConforming ? code.dpl <= rpl : code.dpl === rpl;
  const bothSizes = isLongMode(cpu) && code.isLong && code.isDefault32;
  if (rpl < cpu.cpl || !code.isCode || !privilegeFits || bothSizes) throw fault(cpu, Vector.GP, errorCode);
  if (!code.present) throw fault(cpu, Vector.NP, errorCode);
  return code;
}

/** Checks the stack segment of a return; `undefined` for a null selector where 64-bit code may have one. */
function requireReturnStack(cpu: Cpu, selector: number, code: Descriptor, cpl: number): Descriptor | undefined {
  if (isNullSelector(selector) && isLongMode(cpu) && code.isLong && cpl !== 3) return undefined;
  return requireStackDescriptor(cpu, selector, cpl);
}

/** Enters the code and stack of a return that popped a stack pointer. */
function returnWithStack(
  cpu: Cpu,
  codeSelector: number,
  code: Descriptor,
  stackSelector: number,
  stack: Descriptor | undefined,
  pointer: bigint,
): void {
  const cpl = codeSelector & SELECTOR_RPL;
  const outward = cpl > cpu.cpl;
  loadCodeSegment(cpu, codeSelector, code, cpl);
  if (stack === undefined) loadNullSegment(cpu, SS, stackSelector);
  else loadFromDescriptor(cpu, SS, stackSelector, stack);
  const mask = cpu.stackMask === MASK_16 ? MASK_16 : MASK_64;
  cpu.gpr[RSP] = (cpu.gpr[RSP] & ~mask & MASK_64) | (pointer & mask);
  if (outward) clearInaccessibleSegments(cpu);
}

/** RETF, with the bytes of parameters to release. */
export function farReturn(cpu: Cpu, bits: number, bytes: number): void {
  const width = bits as StackBits;
  const stack = Stack.current(cpu);
  const offset = stack.pop(width);
  const selector = Number(stack.pop(width) & MASK_16);
  if (hasRealSelectors(cpu)) {
    checkRealOffset(cpu, offset);
    stack.release(bytes);
    stack.commit();
    goToReal(cpu, selector, offset);
    return;
  }
  const code = requireReturnCode(cpu, selector);
  const cpl = selector & SELECTOR_RPL;
  if (cpl === cpu.cpl) {
    checkCodeOffset(cpu, code, offset);
    markAccessed(cpu, selector, code);
    stack.release(bytes);
    stack.commit();
    loadCodeSegment(cpu, selector, code, cpl);
    cpu.nextRip = offset;
    return;
  }
  stack.release(bytes);
  const pointer = stack.pop(width);
  const stackSelector = Number(stack.pop(width) & MASK_16);
  const stackDescriptor = requireReturnStack(cpu, stackSelector, code, cpl);
  checkCodeOffset(cpu, code, offset);
  markAccessed(cpu, selector, code);
  if (stackDescriptor !== undefined) markAccessed(cpu, stackSelector, stackDescriptor);
  returnWithStack(cpu, selector, code, stackSelector, stackDescriptor, pointer);
  const mask = cpu.stackMask;
  cpu.gpr[RSP] = (cpu.gpr[RSP] & ~mask & MASK_64) | ((cpu.gpr[RSP] + BigInt(bytes)) & mask);
  cpu.nextRip = offset;
}

/** Flags an IRET or POPF may change in protected mode, given the privilege level it runs at. */
export function changeableFlags(cpu: Cpu, bits: number, cpl: number): number {
  let mask = bits === 16 ? RETURN_FLAGS_16 : RETURN_FLAGS_32;
  if (cpl <= ioPrivilegeLevel(cpu)) mask |= FLAG.IF;
  if (cpl === 0) mask |= FLAG.IOPL;
  return mask;
}

/** Real-address mode changes everything but VM, VIF and VIP. */
export function changeableRealFlags(bits: number): number {
  return (bits === 16 ? RETURN_FLAGS_16 : RETURN_FLAGS_32) | FLAG.IF | FLAG.IOPL;
}

/** Changes RFLAGS by IRET or POPF and what depends on it. */
export function applyFlags(cpu: Cpu, value: number, mask: number): void {
  const before = systemFlags(cpu);
  changeFlags(cpu, value, mask);
  if (((before ^ systemFlags(cpu)) & (FLAG.AC | FLAG.TF | FLAG.RF)) !== 0) cpu.translation.stateChanged();
}

/**
 * 16-bit flags of a virtual-8086 task without I/O privilege under CR4.VME: VIF stands for IF
 * (SDM vol. 3B 20.3.3.4). #GP(0) for what such a task may not do.
 */
export function applyVirtualFlags(cpu: Cpu, value: number): void {
  const wantsInterrupts = (value & FLAG.IF) !== 0;
  if ((value & FLAG.TF) !== 0 || (wantsInterrupts && (systemFlags(cpu) & FLAG.VIP) !== 0)) {
    throw fault(cpu, Vector.GP, 0);
  }
  applyFlags(cpu, (value & ~FLAG.VIF) | (wantsInterrupts ? FLAG.VIF : 0), RETURN_FLAGS_16 | FLAG.VIF);
}

function iretReal(cpu: Cpu, bits: StackBits): void {
  const virtual = isVirtual8086(cpu);
  const privileged = ioPrivilegeLevel(cpu) === 3;
  if (virtual && !privileged && ((cr4(cpu) & CR4.VME) === 0 || bits !== 16)) throw fault(cpu, Vector.GP, 0);
  const stack = Stack.current(cpu);
  const offset = stack.pop(bits);
  const selector = Number(stack.pop(bits) & MASK_16);
  const flags = Number(stack.pop(bits));
  checkRealOffset(cpu, offset);
  if (!virtual) applyFlags(cpu, flags, changeableRealFlags(bits));
  else if (privileged) applyFlags(cpu, flags, changeableRealFlags(bits) & ~FLAG.IOPL);
  else applyVirtualFlags(cpu, flags);
  stack.commit();
  goToReal(cpu, selector, offset);
}

/** IRETD from privilege level 0 into virtual-8086 mode. */
function iretToVirtual8086(cpu: Cpu, stack: Stack, offset: bigint, selector: number, flags: number): void {
  const pointer = stack.pop(32);
  const stackSelector = Number(stack.pop(32) & MASK_16);
  const data = [ES, DS, FS, GS].map((number) => [number, Number(stack.pop(32) & MASK_16)] as const);
  writeFlags(cpu, flags);
  cpu.cpl = 3;
  loadRealSegment(cpu, SS, stackSelector);
  for (const [number, value] of data) loadRealSegment(cpu, number, value);
  cpu.gpr[RSP] = pointer;
  goToReal(cpu, selector, offset & MASK_16);
  refreshSegments(cpu);
}

function iretProtected(cpu: Cpu, bits: StackBits): void {
  if ((systemFlags(cpu) & FLAG.NT) !== 0) {
    if (isLongMode(cpu)) throw fault(cpu, Vector.GP, 0);
    returnFromTask(cpu, readFlags(cpu));
    return;
  }
  const stack = Stack.current(cpu);
  const offset = stack.pop(bits);
  const selector = Number(stack.pop(bits) & MASK_16);
  const flags = Number(stack.pop(bits) & MASK_32);
  if (bits === 32 && (flags & FLAG.VM) !== 0 && cpu.cpl === 0 && !isLongMode(cpu)) {
    iretToVirtual8086(cpu, stack, offset, selector, flags);
    return;
  }
  const code = requireReturnCode(cpu, selector);
  const cpl = selector & SELECTOR_RPL;
  let mask = changeableFlags(cpu, bits, cpu.cpl);
  if (cpu.cpl === 0 && bits !== 16) mask |= FLAG.VIF | FLAG.VIP;
  if (cpl > cpu.cpl || is64BitMode(cpu)) {
    const pointer = stack.pop(bits);
    const stackSelector = Number(stack.pop(bits) & MASK_16);
    const stackDescriptor = requireReturnStack(cpu, stackSelector, code, cpl);
    checkCodeOffset(cpu, code, offset);
    markAccessed(cpu, selector, code);
    if (stackDescriptor !== undefined) markAccessed(cpu, stackSelector, stackDescriptor);
    returnWithStack(cpu, selector, code, stackSelector, stackDescriptor, pointer);
  } else {
    checkCodeOffset(cpu, code, offset);
    markAccessed(cpu, selector, code);
    stack.commit();
    loadCodeSegment(cpu, selector, code, cpl);
  }
  cpu.nextRip = offset;
  applyFlags(cpu, flags, mask);
}

/** IRET, IRETD, IRETQ. */
export function iret(cpu: Cpu, bits: number): void {
  if (hasRealSelectors(cpu)) iretReal(cpu, bits as StackBits);
  else if (bits !== 64 || !iretLongShortcut(cpu)) iretProtected(cpu, bits as StackBits);
  cpu.nmiBlocked = 0;
  if (cpu.guestMode !== 0) hooks.interruptReturned(cpu);
}
