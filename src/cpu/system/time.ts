/** The time stamp counter and random numbers (SDM vol. 3B 18.17; vol. 1 7.3.17). */
import { RCX, Vector } from '../../isa/stage.ts';
import type { Cpu } from '../cpu.ts';
import { fault } from '../fault.ts';
import { setArithmeticFlags } from '../flags.ts';
import { interceptInstruction } from './hooks.ts';
import { readPerformanceCounter } from './performance-counters.ts';
import { CR0, CR4, cr0, cr4, FLAG, low32, MASK_32, setEdxEax, setLow32, writeRegister } from './registers.ts';
import { timeStamp, timeStampDisabled } from './time-stamp.ts';

function checkTimeStampDisable(cpu: Cpu): void {
  if (timeStampDisabled(cpu)) throw fault(cpu, Vector.GP, 0);
}

export function rdtsc(cpu: Cpu): void {
  checkTimeStampDisable(cpu);
  interceptInstruction(cpu, 'RDTSC');
  setEdxEax(cpu, timeStamp(cpu));
}

export function rdtscp(cpu: Cpu): void {
  checkTimeStampDisable(cpu);
  interceptInstruction(cpu, 'RDTSCP');
  setEdxEax(cpu, timeStamp(cpu));
  setLow32(cpu, RCX, Number(cpu.tscAux & MASK_32));
}

export function rdpid(cpu: Cpu, register: number): void {
  cpu.gpr[register] = cpu.tscAux & MASK_32;
}

export function rdpmc(cpu: Cpu): void {
  if ((cr4(cpu) & CR4.PCE) === 0 && cpu.cpl !== 0 && (cr0(cpu) & CR0.PE) !== 0) throw fault(cpu, Vector.GP, 0);
  interceptInstruction(cpu, 'RDPMC');
  const value = readPerformanceCounter(cpu, low32(cpu, RCX));
  if (value === undefined) throw fault(cpu, Vector.GP, 0);
  setEdxEax(cpu, value);
}

const randomBytes = new Uint8Array(8);
const randomView = new DataView(randomBytes.buffer);

/** RDRAND and RDSEED: CF set, for there is always a number, the other arithmetic flags cleared. */
export function rdrand(cpu: Cpu, bits: number, register: number): void {
  cpu.entropy.fill(randomBytes);
  writeRegister(cpu, register, bits, BigInt.asUintN(bits, randomView.getBigUint64(0, true)));
  setArithmeticFlags(cpu, FLAG.CF);
}
export const rdseed = rdrand;
