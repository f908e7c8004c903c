/** Task switches (SDM vol. 3A chapter 7). Not in long mode. */
import { Vector } from '../../isa/stage.ts';
import { CS, DS, ES, FS, GS, LDTR, SS, TR } from '../context.ts';
import type { Cpu } from '../cpu.ts';
import { fault } from '../fault.ts';
import { writeFlags } from '../flags.ts';
import { reportDebugCauses } from './debug-registers.ts';
import {
  type Descriptor,
  isNullSelector,
  markAccessed,
  markBusy,
  probeDescriptorWrite,
  readDescriptor,
  requireDescriptor,
  SELECTOR_RPL,
  SystemType,
  selectorErrorCode,
  TSS_BUSY,
  TYPE_32BIT,
} from './descriptors.ts';
import { hooks, type TaskSwitchSource } from './hooks.ts';
import { CR0, cr0, DR6, FLAG, MASK_32 } from './registers.ts';
import {
  loadFromDescriptor,
  loadNullSegment,
  loadRealSegment,
  loadSegmentRaw,
  refreshSegments,
  requireDataDescriptor,
  requireStackDescriptor,
} from './segments.ts';
import { Stack } from './stack.ts';
import { isTss32, TSS16, TSS32, tssAddress } from './task-state.ts';

const SELECTOR_TI = 4;
/** Debug breakpoints a task switch turns off: L0-L3 and LE (SDM vol. 3B 18.2.4). */
const DR7_LOCAL = 0x155n;
const REGISTER_COUNT = 8;

/** What a TSS holds of a task. */
interface TaskImage {
  readonly cr3: number | undefined;
  readonly eip: number;
  readonly eflags: number;
  readonly registers: readonly number[];
  /** ES CS SS DS FS GS. */
  readonly selectors: readonly number[];
  readonly ldt: number;
  readonly debugTrap: boolean;
}

const SEGMENT_ORDER: readonly number[] = [ES, CS, SS, DS, FS, GS];
const SEGMENTS_IN_TSS16 = 4;

function readTask(cpu: Cpu, base: bigint, wide: boolean): TaskImage {
  const address = (offset: number) => (base + BigInt(offset)) & MASK_32;
  const word = (offset: number) => cpu.linear.readU16(address(offset), true);
  const double = (offset: number) => cpu.linear.readU32(address(offset), true);
  const indices = Array.from({ length: REGISTER_COUNT }, (_, i) => i);
  if (wide) {
    return {
      cr3: double(TSS32.CR3),
      eip: double(TSS32.EIP),
      eflags: double(TSS32.EFLAGS),
      registers: indices.map((i) => double(TSS32.REGISTERS + 4 * i)),
      selectors: SEGMENT_ORDER.map((_, i) => word(TSS32.SEGMENTS + 4 * i)),
      ldt: word(TSS32.LDT),
      debugTrap: (word(TSS32.TRAP) & 1) !== 0,
    };
  }
  return {
    cr3: undefined,
    eip: word(TSS16.IP),
    eflags: word(TSS16.FLAGS),
    registers: indices.map((i) => word(TSS16.REGISTERS + 2 * i)),
    selectors: SEGMENT_ORDER.map((_, i) => (i < SEGMENTS_IN_TSS16 ? word(TSS16.SEGMENTS + 2 * i) : 0)),
    ldt: word(TSS16.LDT),
    debugTrap: false,
  };
}

function saveTask(cpu: Cpu, eip: bigint, eflags: number): void {
  const wide = isTss32(cpu);
  const double = (offset: number, value: number) => cpu.linear.writeU32(tssAddress(cpu, offset), value >>> 0, true);
  const word = (offset: number, value: number) => cpu.linear.writeU16(tssAddress(cpu, offset), value & 0xffff, true);
  const register = (i: number) => Number(cpu.gpr[i] & MASK_32);
  if (wide) {
    double(TSS32.EIP, Number(eip & MASK_32));
    double(TSS32.EFLAGS, eflags);
    for (let i = 0; i < REGISTER_COUNT; i++) double(TSS32.REGISTERS + 4 * i, register(i));
    for (const [i, segment] of SEGMENT_ORDER.entries()) word(TSS32.SEGMENTS + 4 * i, cpu.segments[segment].selector);
    return;
  }
  word(TSS16.IP, Number(eip & MASK_32));
  word(TSS16.FLAGS, eflags);
  for (let i = 0; i < REGISTER_COUNT; i++) word(TSS16.REGISTERS + 2 * i, register(i));
  for (let i = 0; i < SEGMENTS_IN_TSS16; i++) word(TSS16.SEGMENTS + 2 * i, cpu.segments[SEGMENT_ORDER[i]].selector);
}

/** Reads the descriptor of the task to go to. */
function requireTss(cpu: Cpu, selector: number, source: TaskSwitchSource): Descriptor {
  const errorCode = selectorErrorCode(selector);
  const vector = source === 'iret' ? Vector.TS : Vector.GP;
  if (isNullSelector(selector) || (selector & SELECTOR_TI) !== 0) throw fault(cpu, vector, errorCode);
  const descriptor = requireDescriptor(cpu, selector, vector);
  const wanted = source === 'iret' ? SystemType.TSS16_BUSY : SystemType.TSS16_AVAILABLE;
  if (descriptor.isSegment || (descriptor.type & ~TYPE_32BIT) !== wanted) throw fault(cpu, vector, errorCode);
  if (!descriptor.present) throw fault(cpu, Vector.NP, errorCode);
  const size = (descriptor.type & TYPE_32BIT) !== 0 ? TSS32.SIZE : TSS16.SIZE;
  if (descriptor.limit < size - 1) throw fault(cpu, Vector.TS, errorCode);
  return descriptor;
}

function loadTaskLdt(cpu: Cpu, selector: number): void {
  loadSegmentRaw(cpu, LDTR, selector, 0n, 0, 0);
  if (isNullSelector(selector)) return;
  const errorCode = selectorErrorCode(selector);
  const descriptor = (selector & SELECTOR_TI) === 0 ? readDescriptor(cpu, selector) : undefined;
  const usable = descriptor?.present && !descriptor.isSegment && descriptor.type === SystemType.LDT;
  if (descriptor === undefined || !usable) throw fault(cpu, Vector.TS, errorCode);
  loadFromDescriptor(cpu, LDTR, selector, descriptor, descriptor.attributes);
}

function loadTaskCode(cpu: Cpu, selector: number): void {
  const errorCode = selectorErrorCode(selector);
  if (isNullSelector(selector)) throw fault(cpu, Vector.TS, 0);
  const code = requireDescriptor(cpu, selector, Vector.TS);
  const privilegeFits = code.isConforming ? code.dpl <= cpu.cpl : code.dpl === cpu.cpl;
  if (!code.isCode || !privilegeFits) throw fault(cpu, Vector.TS, errorCode);
  if (!code.present) throw fault(cpu, Vector.NP, errorCode);
  loadFromDescriptor(cpu, CS, selector, code, markAccessed(cpu, selector, code));
}

/** Loads the segment registers of the new task; its faults belong to that task. */
function loadTaskSegments(cpu: Cpu, image: TaskImage): void {
  if ((image.eflags & FLAG.VM) !== 0) {
    loadTaskLdt(cpu, image.ldt);
    for (const [i, segment] of SEGMENT_ORDER.entries()) loadRealSegment(cpu, segment, image.selectors[i]);
    return;
  }
  for (const [i, segment] of SEGMENT_ORDER.entries()) loadNullSegment(cpu, segment, image.selectors[i]);
  loadTaskLdt(cpu, image.ldt);
  loadTaskCode(cpu, image.selectors[SEGMENT_ORDER.indexOf(CS)]);
  const stackSelector = image.selectors[SEGMENT_ORDER.indexOf(SS)];
  const stack = requireStackDescriptor(cpu, stackSelector, cpu.cpl, Vector.TS);
  loadFromDescriptor(cpu, SS, stackSelector, stack, markAccessed(cpu, stackSelector, stack));
  for (const segment of [DS, ES, FS, GS]) {
    const selector = image.selectors[SEGMENT_ORDER.indexOf(segment)];
    const data = requireDataDescriptor(cpu, selector, Vector.TS);
    if (data !== undefined) loadFromDescriptor(cpu, segment, selector, data, markAccessed(cpu, selector, data));
  }
}

/**
 * Switches tasks. Faults before the switch leave the old task as it was; from then on they are raised in the new task,
 * with RIP at its next instruction.
 *
 * @param eip where the old task goes on
 * @param eflags what the old task's image gets
 * @param errorCode pushed on the new task's stack (exceptions through a task gate)
 */
export function switchTask(
  cpu: Cpu,
  selector: number,
  source: TaskSwitchSource,
  eip: bigint,
  eflags: number,
  errorCode?: number,
): void {
  const descriptor = requireTss(cpu, selector, source);
  if (cpu.guestMode !== 0) hooks.taskSwitch(cpu, selector, source, errorCode);
  const wide = (descriptor.type & TYPE_32BIT) !== 0;
  const base = BigInt(descriptor.base);
  const nested = source === 'call' || source === 'gate';
  const old = cpu.segments[TR];
  const oldSelector = old.selector;

  // Everything that can fault in the old task.
  cpu.linear.probe(old.base & MASK_32, isTss32(cpu) ? TSS32.SIZE : TSS16.SIZE, 'w', true);
  if (nested) cpu.linear.probe(base, TSS16.SIZE, 'w', true);
  probeDescriptorWrite(cpu, selector);
  probeDescriptorWrite(cpu, oldSelector);
  const image = readTask(cpu, base, wide);

  saveTask(cpu, eip, source === 'iret' ? eflags & ~FLAG.NT : eflags);
  if (!nested) markBusy(cpu, oldSelector, false);
  if (nested) cpu.linear.writeU16(base, oldSelector, true);
  if (source !== 'iret') markBusy(cpu, selector, true);

  const attributes = descriptor.attributes | TSS_BUSY;
  loadSegmentRaw(cpu, TR, selector & ~SELECTOR_RPL, base, descriptor.limit, attributes);
  cpu.cr0 |= BigInt(CR0.TS);
  cpu.dr7 &= ~DR7_LOCAL;
  if (image.cr3 !== undefined && (cr0(cpu) & CR0.PG) !== 0) {
    cpu.cr3 = BigInt(image.cr3);
    cpu.translation.flushAddressSpace(true);
  }
  writeFlags(cpu, nested ? image.eflags | FLAG.NT : image.eflags);
  for (const [i, value] of image.registers.entries()) cpu.gpr[i] = BigInt(value);
  cpu.rip = BigInt(image.eip);
  cpu.nextRip = cpu.rip;
  const codeSelector = image.selectors[SEGMENT_ORDER.indexOf(CS)];
  cpu.cpl = (image.eflags & FLAG.VM) !== 0 ? 3 : codeSelector & SELECTOR_RPL;
  cpu.translation.stateChanged();

  try {
    loadTaskSegments(cpu, image);
  } finally {
    refreshSegments(cpu);
    cpu.translation.stateChanged();
  }
  if (errorCode !== undefined) {
    const stack = Stack.current(cpu);
    stack.push(wide ? 32 : 16, errorCode);
    stack.commit();
  }
  if (image.eip > cpu.segments[CS].limit) throw fault(cpu, Vector.GP, 0);
  if (image.debugTrap) {
    reportDebugCauses(cpu, DR6.BT);
    throw fault(cpu, Vector.DB);
  }
}

/** An exception or interrupt through a task gate of the IDT. */
export function enterTaskThroughGate(
  cpu: Cpu,
  selector: number,
  eip: bigint,
  eflags: number,
  errorCode: number | undefined,
): void {
  switchTask(cpu, selector, 'gate', eip, eflags, errorCode);
}

/** IRET with NT set: back to the task that called or was interrupted. */
export function returnFromTask(cpu: Cpu, eflags: number): void {
  const link = cpu.linear.readU16(tssAddress(cpu, TSS32.LINK), true);
  switchTask(cpu, link, 'iret', cpu.nextRip, eflags);
}
