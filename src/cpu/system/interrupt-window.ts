/** Makes the run loop look around when an instruction may have opened the way for an interrupt. */
import type { Cpu } from '../cpu.ts';
import { word } from '../state.ts';
import { FLAG, systemFlags } from './registers.ts';

const BUDGET = word('budget');

/** Ends the current slice of instructions after this one. */
export function endSlice(cpu: Cpu): void {
  cpu.u32[BUDGET] = 0;
}

/** Ends the slice if interrupts are enabled and one may be waiting. Call after IF, VIF, GIF, TPR or NMI blocking changed. */
export function noticeInterrupts(cpu: Cpu): void {
  if (cpu.guestMode !== 0) {
    endSlice(cpu);
    return;
  }
  const { apic } = cpu;
  const waiting = (systemFlags(cpu) & FLAG.IF) !== 0 && (apic.pending() >= 0 || apic.externalPending());
  if (waiting || apic.nmiPending || (systemFlags(cpu) & FLAG.TF) !== 0) endSlice(cpu);
}
