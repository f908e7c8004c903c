import type { Machine } from '../machine/machine.ts';

const NANOSECONDS_PER_SECOND = 1e9;

/** Prints what a run did, on standard error. */
export function printStatistics(machine: Machine, hostNanoseconds: number): void {
  const { retired } = machine;
  const seconds = hostNanoseconds / NANOSECONDS_PER_SECOND;
  const { statistics } = machine.processor.blocks;
  const lines = [
    `instructions retired  ${retired}`,
    `host time             ${seconds.toFixed(3)} s`,
    `speed                 ${(retired / 1e6 / seconds).toFixed(1)} M instr/s`,
    `guest time            ${(machine.time / NANOSECONDS_PER_SECOND).toFixed(3)} s`,
    `blocks decoded        ${statistics.blocks} (${statistics.records} records), ${statistics.invalidations} page invalidations, ${statistics.flushes} flushes`,
  ];
  process.stderr.write(`${lines.map((line) => `testudo: ${line}`).join('\n')}\n`);
}
