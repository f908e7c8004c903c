/** The time stamp counter's value (SDM vol. 3B 18.17; APM vol. 2 15.30.5). */
import type { Cpu } from '../cpu.ts';
import { hooks } from './hooks.ts';

/** The counter of the hypervisor at hand: IA32_TIME_STAMP_COUNTER outside guest mode. */
export const hostTimeStamp = (cpu: Cpu): bigint => BigInt.asUintN(64, cpu.hostTsc() + cpu.tscOffset);

/** What RDTSC reads. */
export function timeStamp(cpu: Cpu): bigint {
  const value = hostTimeStamp(cpu);
  return cpu.guestMode !== 0 ? hooks.guestTimeStamp(cpu, value) : value;
}
