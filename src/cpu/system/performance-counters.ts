/**
 * The four legacy performance counters every AMD processor has (APM vol. 2 13.2). They count cycles, at the rate of the
 * time stamp counter; other events never happen, and no counter raises an interrupt when it overflows.
 */
import type { Cpu } from '../cpu.ts';
import { hostTimeStamp } from './time-stamp.ts';

export const PERFORMANCE_COUNTERS = 4;
const COUNTER_BITS = 48;
/** PerfEvtSel: event in bits 35:32 and 7:0, unit mask 15:8, interrupt enable 20, enable 22. */
const EVENT = 0xf_0000_00ffn;
const ENABLE = 1n << 22n;
const INTERRUPT = 1n << 20n;
const EVENT_CYCLES_NOT_HALTED = 0x76n;
/** Everything but the reserved bits 19, 63:42 and 39:36. */
const SELECT_WRITABLE = 0x0000_030f_fff7_ffffn;

const counting = (cpu: Cpu, index: number): boolean => {
  const select = cpu.perfEventSelect[index];
  return (select & ENABLE) !== 0n && (select & EVENT) === EVENT_CYCLES_NOT_HALTED;
};

/** A counter's value, or `undefined` if there is none of that number. */
export function readPerformanceCounter(cpu: Cpu, index: number): bigint | undefined {
  if (index >= PERFORMANCE_COUNTERS || cpu.model.vendor !== 'amd') return undefined;
  const stored = cpu.perfCounter[index];
  return BigInt.asUintN(COUNTER_BITS, counting(cpu, index) ? stored + hostTimeStamp(cpu) : stored);
}

export function writePerformanceCounter(cpu: Cpu, index: number, value: bigint): void {
  cpu.perfCounter[index] = BigInt.asUintN(COUNTER_BITS, counting(cpu, index) ? value - hostTimeStamp(cpu) : value);
}

/** Processors whose guest has been told what the counters lack. */
const reported = new WeakSet<Cpu>();

/** Sets an event select register; false for reserved bits. */
export function writeEventSelect(cpu: Cpu, index: number, value: bigint): boolean {
  if ((value & ~SELECT_WRITABLE) !== 0n) return false;
  const counter = readPerformanceCounter(cpu, index) ?? 0n;
  cpu.perfEventSelect[index] = value;
  writePerformanceCounter(cpu, index, counter);
  const unsupported = (value & ENABLE) !== 0n && ((value & INTERRUPT) !== 0n || !counting(cpu, index));
  if (unsupported && !reported.has(cpu) && cpu.log.enabled('unimplemented')) {
    reported.add(cpu);
    cpu.log.write(
      'unimplemented',
      `performance counter ${index}: event select ${value.toString(16)}h counts cycles only, without interrupt`,
    );
  }
  return true;
}
