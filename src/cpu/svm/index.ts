/** AMD-V instructions (APM vol. 3 chapter 4, vol. 2 chapter 15) as system helpers. */
import type { Intercept } from '../../isa/instruction.ts';
import { Vector } from '../../isa/stage.ts';
import type { Cpu } from '../cpu.ts';
import { fault, guestExit, type InstructionAborted } from '../fault.ts';
import { word } from '../state.ts';
import { interceptInstruction, plugHooks } from '../system/hooks.ts';
import { EFER } from '../system/registers.ts';
import { refreshSegments } from '../system/segments.ts';
import { svmHooks } from './hooks.ts';
import { LOADED_REGISTERS, LOADED_SEGMENTS, VirtualInterrupt } from './vmcb.ts';
import { canonicalHigh, vmrun as enter, pagesOf, vmcbOperand } from './world-switch.ts';

const VINT = word('virtualInterrupt');
const KERNEL_GS_BASE = word('kernelGsBase');
const LOADED = LOADED_REGISTERS.map(([field, offset]) => [word(field), offset] as const);

/** #UD without EFER.SVME, #GP(0) outside CPL 0, then the intercept (APM vol. 3 chapter 4, each instruction's table). */
function guard(cpu: Cpu, intercept: Intercept): void {
  if (!(Number(cpu.efer & 0xffffffffn) & EFER.SVME)) throw fault(cpu, Vector.UD);
  if (cpu.cpl !== 0) throw fault(cpu, Vector.GP, 0);
  interceptInstruction(cpu, intercept);
}

const join = (low: number, high: number): bigint => (BigInt(high >>> 0) << 32n) | BigInt(low >>> 0);

function vmrun(cpu: Cpu, low: number, high: number): void {
  guard(cpu, 'VMRUN');
  enter(cpu, low, high);
}

function vmload(cpu: Cpu, low: number, high: number): void {
  guard(cpu, 'VMLOAD');
  const page = pagesOf(cpu).vmcb.at(vmcbOperand(cpu, low, high));
  for (const [segment, offset] of LOADED_SEGMENTS) page.loadSegment(offset, cpu, segment);
  for (const [index, offset] of LOADED) page.load(offset, cpu, index);
  cpu.u32[KERNEL_GS_BASE + 1] = canonicalHigh(cpu.u32[KERNEL_GS_BASE + 1]);
  refreshSegments(cpu);
}

function vmsave(cpu: Cpu, low: number, high: number): void {
  guard(cpu, 'VMSAVE');
  const page = pagesOf(cpu).vmcb.at(vmcbOperand(cpu, low, high));
  for (const [segment, offset] of LOADED_SEGMENTS) page.saveSegment(offset, cpu, segment);
  for (const [index, offset] of LOADED) page.save(offset, cpu, index);
}

/** STGI and CLGI act on V_GIF where the hypervisor has turned virtual GIF on and does not intercept them. */
function setGif(cpu: Cpu, intercept: 'STGI' | 'CLGI', value: 0 | 1): void {
  guard(cpu, intercept);
  if (cpu.guestMode && cpu.u32[VINT] & VirtualInterrupt.GIF_ENABLE) {
    if (value) cpu.u32[VINT] |= VirtualInterrupt.GIF;
    else cpu.u32[VINT] &= ~VirtualInterrupt.GIF;
    return;
  }
  cpu.gif = value;
}

/** VMMCALL exists for guests only; without the intercept it is undefined. */
function vmmcall(cpu: Cpu): void {
  interceptInstruction(cpu, 'VMMCALL');
  throw fault(cpu, Vector.UD);
}

function invlpga(cpu: Cpu, low: number, high: number, asid: number): void {
  guard(cpu, 'INVLPGA');
  cpu.translation.invalidatePageOf(asid >>> 0, join(low, high));
}

/** The intercept column of an instruction's row fired. */
function intercepted(cpu: Cpu, exitCode: number): InstructionAborted {
  return guestExit(cpu, BigInt(exitCode));
}

export const svmHelpers = {
  vmrun,
  vmload,
  vmsave,
  vmmcall,
  stgi: (cpu: Cpu) => setGif(cpu, 'STGI', 1),
  clgi: (cpu: Cpu) => setGif(cpu, 'CLGI', 0),
  invlpga,
  intercepted,
  /** Not claimed by CPUID. */
  skinit(cpu: Cpu): void {
    throw fault(cpu, Vector.UD);
  },
  /** Intel's instruction: undefined on a processor with AMD-V. */
  vmcall(cpu: Cpu): void {
    throw fault(cpu, Vector.UD);
  },
};

/** Connects the intercepts to the processor's system code. */
export function enableSvm(): void {
  plugHooks(svmHooks);
}
