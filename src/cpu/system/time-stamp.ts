/** The time stamp counter's value (SDM vol. 3B 18.17; APM vol. 2 15.30.5). */
import { interceptBit } from '../../isa/intercepts.ts';
import type { Cpu } from '../cpu.ts';
import { Pending, word } from '../state.ts';
import { hooks } from './hooks.ts';
import { CR0, CR4, cr0, cr4 } from './registers.ts';

const OFFSET = word('tscOffset');
const SCRATCH = word('scratch');
const TWO_32 = 2 ** 32;
const INTERCEPTS = [interceptBit('RDTSC'), interceptBit('RDTSCP')];

/** The counter of the hypervisor at hand: IA32_TIME_STAMP_COUNTER outside guest mode. */
export const hostTimeStamp = (cpu: Cpu): bigint => BigInt.asUintN(64, cpu.hostTsc() + cpu.tscOffset);

/** What RDTSC reads. */
export function timeStamp(cpu: Cpu): bigint {
  const value = hostTimeStamp(cpu);
  return cpu.guestMode !== 0 ? hooks.guestTimeStamp(cpu, value) : value;
}

/** Leaves what RDTSC reads in scratch[0]; 1 where the interpreter has to do it, for faults and intercepts. */
export function plainTimeStamp(cpu: Cpu): number {
  if (timeStampDisabled(cpu) || mayBeIntercepted(cpu)) {
    cpu.pending = Pending.INTERPRET;
    return 1;
  }
  const ticks = cpu.guestMode === 0 ? cpu.hostTicks() : -1;
  if (ticks < 0) cpu.scratch[0] = timeStamp(cpu);
  else {
    // kernels read it at every system call: no BigInt
    const { u32 } = cpu;
    const low = (ticks % TWO_32) + u32[OFFSET];
    u32[SCRATCH] = low;
    u32[SCRATCH + 1] = Math.floor(ticks / TWO_32) + u32[OFFSET + 1] + (low >= TWO_32 ? 1 : 0);
  }
  return 0;
}

function mayBeIntercepted({ guestMode, intercepts }: Cpu): boolean {
  return guestMode !== 0 && INTERCEPTS.some(({ word, bit }) => (intercepts[word] >>> bit) & 1);
}

/** Whether RDTSC is reserved for the operating system now. */
export function timeStampDisabled(cpu: Cpu): boolean {
  return cpu.cpl !== 0 && (cr4(cpu) & CR4.TSD) !== 0 && (cr0(cpu) & CR0.PE) !== 0;
}
