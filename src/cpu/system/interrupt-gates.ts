/** The ways to a handler: interrupt vector table, protected-mode and long-mode IDT (SDM vol. 3A 6.12, 6.14; vol. 3B 20.1.4, 20.3). */
import { RSP, Vector } from '../../isa/stage.ts';
import { CS, DS, ES, FS, GS, SS } from '../context.ts';
import type { Cpu } from '../cpu.ts';
import { fault } from '../fault.ts';
import { readFlags } from '../flags.ts';
import {
  type Descriptor,
  isNullSelector,
  markAccessed,
  requireDescriptor,
  SystemType,
  selectorErrorCode,
  TYPE_32BIT,
} from './descriptors.ts';
import type { DeliveredEvent } from './hooks.ts';
import {
  FLAG,
  isCanonical,
  isVirtual8086,
  join,
  MASK_16,
  MASK_32,
  MASK_64,
  setSystemFlags,
  systemFlags,
} from './registers.ts';
import {
  loadCodeSegment,
  loadFromDescriptor,
  loadNullSegment,
  loadRealSegment,
  refreshSegments,
  requireStackDescriptor,
} from './segments.ts';
import { Stack, type StackBits } from './stack.ts';
import { readInnerStack, readLongModeStack } from './task-state.ts';
import { enterTaskThroughGate } from './tasks.ts';

const IVT_ENTRY_SIZE = 4;
const GATE_SIZE = 8;
const LONG_GATE_SIZE = 16;
/** Error codes that name an IDT entry (SDM vol. 3A 6.13). */
const ERROR_CODE_IDT = 2;
/** Bit of a gate type that makes it a trap gate: IF stays. */
const TRAP_GATE = 1;
/** In long mode the stack is aligned before anything is pushed (SDM vol. 3A 6.14.2). */
const LONG_STACK_ALIGNMENT = 15n;

const idtErrorCode = (vector: number): number => vector * GATE_SIZE + ERROR_CODE_IDT;

const isRequested = (event: DeliveredEvent): boolean => event.kind === 'software' || event.kind === 'softwareException';

function returnAddress(cpu: Cpu, event: DeliveredEvent): bigint {
  return isRequested(event) || event.kind === 'privilegedSoftware' ? cpu.nextRip : cpu.rip;
}

/** The saved image has RF set by every fault but an instruction breakpoint, so that the retry passes one (SDM vol. 3B 18.3.1.1). */
function savedFlags(cpu: Cpu, event: DeliveredEvent): number {
  const flags = readFlags(cpu);
  return event.kind === 'fault' && event.vector !== Vector.DB ? flags | FLAG.RF : flags;
}

function goTo(cpu: Cpu, rip: bigint): void {
  cpu.rip = rip;
  cpu.nextRip = rip;
}

/** Real-address mode: no checks beyond the limits, no error code. */
export function deliverReal(cpu: Cpu, event: DeliveredEvent): void {
  const offset = event.vector * IVT_ENTRY_SIZE;
  if (offset + IVT_ENTRY_SIZE - 1 > cpu.idtrLimit) throw fault(cpu, Vector.GP, 0);
  const entry = cpu.linear.readU32((cpu.idtrBase + BigInt(offset)) & MASK_32, true);
  const stack = Stack.current(cpu);
  stack.push(16, readFlags(cpu));
  stack.push(16, cpu.segments[CS].selector);
  stack.push(16, returnAddress(cpu, event));
  stack.commit();
  setSystemFlags(cpu, systemFlags(cpu) & ~(FLAG.IF | FLAG.TF | FLAG.AC | FLAG.RF));
  loadRealSegment(cpu, CS, entry >>> 16);
  goTo(cpu, BigInt(entry & 0xffff));
  cpu.translation.stateChanged();
}

/** Reads the code segment a gate leads to, and tells the privilege level it runs at. */
function requireHandlerCode(cpu: Cpu, selector: number): { code: Descriptor; cpl: number } {
  const errorCode = selectorErrorCode(selector);
  if (isNullSelector(selector)) throw fault(cpu, Vector.GP, 0);
  const code = requireDescriptor(cpu, selector);
  if (!code.isCode || code.dpl > cpu.cpl) throw fault(cpu, Vector.GP, errorCode);
  if (!code.present) throw fault(cpu, Vector.NP, errorCode);
  const cpl = code.isConforming ? cpu.cpl : code.dpl;
  if (isVirtual8086(cpu) && cpl !== 0) throw fault(cpu, Vector.GP, errorCode);
  return { code, cpl };
}

function enterCode(cpu: Cpu, selector: number, code: Descriptor, cpl: number, gateType: number, rip: bigint): void {
  const masked = FLAG.TF | FLAG.NT | FLAG.RF | FLAG.VM | ((gateType & TRAP_GATE) === 0 ? FLAG.IF : 0);
  setSystemFlags(cpu, systemFlags(cpu) & ~masked);
  loadCodeSegment(cpu, selector, code, cpl);
  goTo(cpu, rip);
}

/** Protected mode: 16-bit and 32-bit gates, task gates; interrupted code may run in virtual-8086 mode. */
export function deliverProtected(cpu: Cpu, event: DeliveredEvent): void {
  const { vector } = event;
  const offset = vector * GATE_SIZE;
  const idtError = idtErrorCode(vector);
  if (offset + GATE_SIZE - 1 > cpu.idtrLimit) throw fault(cpu, Vector.GP, idtError);
  const address = cpu.idtrBase + BigInt(offset);
  const low = cpu.linear.readU32(address & MASK_32, true);
  const high = cpu.linear.readU32((address + 4n) & MASK_32, true);
  // The type field with S above it: a set S bit makes it none of the gates.
  const type = (high >>> 8) & 0x1f;
  const taskGate = type === SystemType.TASK_GATE;
  const wide = (type & TYPE_32BIT) !== 0;
  const known = (type & ~TYPE_32BIT) === SystemType.INTERRUPT_GATE16 || (type & ~TYPE_32BIT) === SystemType.TRAP_GATE16;
  if (!taskGate && !known) throw fault(cpu, Vector.GP, idtError);
  if (isRequested(event) && ((high >>> 13) & 3) < cpu.cpl) throw fault(cpu, Vector.GP, idtError);
  if ((high & 0x8000) === 0) throw fault(cpu, Vector.NP, idtError);

  const selector = low >>> 16;
  if (taskGate) {
    enterTaskThroughGate(cpu, selector, returnAddress(cpu, event), savedFlags(cpu, event), event.errorCode);
    return;
  }
  const { code, cpl } = requireHandlerCode(cpu, selector);
  const entry = BigInt(((low & 0xffff) | (wide ? high & 0xffff_0000 : 0)) >>> 0);
  const bits: StackBits = wide ? 32 : 16;

  let stack: Stack;
  let stackSelector = 0;
  let stackDescriptor: Descriptor | undefined;
  if (cpl < cpu.cpl) {
    const inner = readInnerStack(cpu, cpl);
    stackSelector = inner.selector;
    stackDescriptor = requireStackDescriptor(cpu, stackSelector, cpl, Vector.TS);
    stack = Stack.of(cpu, stackDescriptor, inner.pointer, cpl, selectorErrorCode(stackSelector));
  } else stack = Stack.current(cpu);
  if (entry > BigInt(code.limit)) throw fault(cpu, Vector.GP, 0);
  markAccessed(cpu, selector, code);
  if (stackDescriptor !== undefined) markAccessed(cpu, stackSelector, stackDescriptor);

  const from8086 = isVirtual8086(cpu);
  const visible = (number: number) => cpu.segments[number].selector;
  if (from8086) for (const number of [GS, FS, DS, ES]) stack.push(bits, visible(number));
  if (stackDescriptor !== undefined) {
    stack.push(bits, visible(SS));
    stack.push(bits, cpu.gpr[RSP]);
  }
  stack.push(bits, savedFlags(cpu, event));
  stack.push(bits, visible(CS));
  stack.push(bits, returnAddress(cpu, event));
  if (event.errorCode !== undefined) stack.push(bits, event.errorCode);

  enterCode(cpu, selector, code, cpl, type, entry);
  if (stackDescriptor !== undefined) loadFromDescriptor(cpu, SS, stackSelector, stackDescriptor);
  stack.commit();
  if (from8086) {
    for (const number of [GS, FS, DS, ES]) loadNullSegment(cpu, number, 0);
    refreshSegments(cpu);
  }
}

/** Long mode: 64-bit gates only, with the interrupt stack table. */
export function deliverLong(cpu: Cpu, event: DeliveredEvent): void {
  const { vector } = event;
  const offset = vector * LONG_GATE_SIZE;
  const idtError = idtErrorCode(vector);
  if (offset + LONG_GATE_SIZE - 1 > cpu.idtrLimit) throw fault(cpu, Vector.GP, idtError);
  const address = (cpu.idtrBase + BigInt(offset)) & MASK_64;
  const low = cpu.linear.readU32(address, true);
  const high = cpu.linear.readU32(address + 4n, true);
  const upper = cpu.linear.readU32(address + 8n, true);
  const type = (high >>> 8) & 0x1f;
  if (type !== SystemType.INTERRUPT_GATE32 && type !== SystemType.TRAP_GATE32) throw fault(cpu, Vector.GP, idtError);
  if (isRequested(event) && ((high >>> 13) & 3) < cpu.cpl) throw fault(cpu, Vector.GP, idtError);
  if ((high & 0x8000) === 0) throw fault(cpu, Vector.NP, idtError);

  const selector = low >>> 16;
  const { code, cpl } = requireHandlerCode(cpu, selector);
  if (!code.isLong || code.isDefault32) throw fault(cpu, Vector.GP, selectorErrorCode(selector));
  const entry = join((low & 0xffff) | (high & 0xffff_0000), upper);
  const ist = high & 7;
  const inward = cpl < cpu.cpl;
  const pointer = ist !== 0 || inward ? readLongModeStack(cpu, cpl, ist) : cpu.gpr[RSP];
  if (!isCanonical(entry)) throw fault(cpu, Vector.GP, 0);
  markAccessed(cpu, selector, code);

  const stack = Stack.flat(cpu, pointer & ~LONG_STACK_ALIGNMENT, cpl);
  stack.push(64, cpu.segments[SS].selector);
  stack.push(64, cpu.gpr[RSP]);
  stack.push(64, savedFlags(cpu, event));
  stack.push(64, cpu.segments[CS].selector);
  stack.push(64, returnAddress(cpu, event));
  if (event.errorCode !== undefined) stack.push(64, event.errorCode);

  enterCode(cpu, selector, code, cpl, type, entry);
  if (inward) loadNullSegment(cpu, SS, cpl);
  stack.commit();
}

/**
 * INT n of an 8086 program sent to its own interrupt table (SDM vol. 3B 20.3.3, methods 5 and 6). With IOPL below 3 the
 * program sees VIF in place of IF.
 */
export function deliverTo8086(cpu: Cpu, vector: number): void {
  const flags = readFlags(cpu);
  const virtualized = (flags & FLAG.IOPL) !== FLAG.IOPL;
  const entry = cpu.linear.readU32(BigInt(vector * IVT_ENTRY_SIZE));
  const shownIf = (flags & FLAG.VIF) !== 0 ? FLAG.IF : 0;
  const stack = Stack.current(cpu);
  stack.push(16, virtualized ? (flags & ~FLAG.IF) | shownIf | FLAG.IOPL : flags);
  stack.push(16, cpu.segments[CS].selector);
  stack.push(16, cpu.nextRip & MASK_16);
  stack.commit();
  setSystemFlags(cpu, systemFlags(cpu) & ~(FLAG.TF | FLAG.NT | FLAG.RF | (virtualized ? FLAG.VIF : FLAG.IF)));
  loadRealSegment(cpu, CS, entry >>> 16);
  cpu.nextRip = BigInt(entry & 0xffff);
  cpu.translation.stateChanged();
}
