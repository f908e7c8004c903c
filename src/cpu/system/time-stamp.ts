/** The time stamp counter's value (SDM vol. 3B 18.17; APM vol. 2 15.30.5). */
import type { Cpu } from '../cpu.ts';
import { Pending } from '../state.ts';
import { hooks } from './hooks.ts';
import { CR0, CR4, cr0, cr4 } from './registers.ts';

/** The counter of the hypervisor at hand: IA32_TIME_STAMP_COUNTER outside guest mode. */
export const hostTimeStamp = (cpu: Cpu): bigint => BigInt.asUintN(64, cpu.hostTsc() + cpu.tscOffset);

/** What RDTSC reads. */
export function timeStamp(cpu: Cpu): bigint {
  const value = hostTimeStamp(cpu);
  return cpu.guestMode !== 0 ? hooks.guestTimeStamp(cpu, value) : value;
}

/** Leaves what RDTSC reads in scratch[0]; 1 where the interpreter has to do it, for faults and intercepts. */
export function plainTimeStamp(cpu: Cpu): number {
  if (cpu.guestMode !== 0 || timeStampDisabled(cpu)) {
    cpu.pending = Pending.INTERPRET;
    return 1;
  }
  cpu.scratch[0] = hostTimeStamp(cpu);
  return 0;
}

/** Whether RDTSC is reserved for the operating system now. */
export function timeStampDisabled(cpu: Cpu): boolean {
  return cpu.cpl !== 0 && (cr4(cpu) & CR4.TSD) !== 0 && (cr0(cpu) & CR0.PE) !== 0;
}
