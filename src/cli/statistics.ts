/** What `--stats` prints. */
import { exitCodeName } from '../cpu/svm/exit-names.ts';
import { Vector } from '../isa/stage.ts';
import type { Machine } from '../machine/machine.ts';

const NANOSECONDS_PER_SECOND = 1e9;
const MILLION = 1e6;
const LABEL_WIDTH = 22;

const seconds = (nanoseconds: number) => `${(nanoseconds / NANOSECONDS_PER_SECOND).toFixed(3)} s`;
const total = (counts: Iterable<number>) => [...counts].reduce((sum, count) => sum + count, 0);

/** A total and what it is made of, most frequent first. */
function breakdown(counts: readonly (readonly [name: string, count: number])[]): string {
  const occurring = counts.filter(([, count]) => count > 0).sort(([, a], [, b]) => b - a);
  const sum = total(occurring.map(([, count]) => count));
  return occurring.length === 0 ? '0' : `${sum} (${occurring.map(([name, count]) => `${name} ${count}`).join(', ')})`;
}

const EXCEPTION_NAMES = new Map<number, string>(Object.entries(Vector).map(([name, vector]) => [vector, `#${name}`]));
const vectorNumber = (vector: number) => `0x${vector.toString(16).padStart(2, '0')}`;
const exceptionName = (vector: number) => EXCEPTION_NAMES.get(vector) ?? vectorNumber(vector);

function byVector(counts: Float64Array, name: (vector: number) => string): string {
  return breakdown(Array.from(counts, (count, vector) => [name(vector), count] as const));
}

/** Lines that sum a run up. The last one, with a virtual clock, is the same for runs that did the same. */
export function statisticsLines(machine: Machine): string[] {
  const { retired, processor, busyNanoseconds } = machine;
  const { counters } = processor.cpu;
  const { statistics: blocks } = processor.blocks;
  const regions = processor.regions?.statistics;
  const exits = [...counters.exits].map(([code, count]) => [exitCodeName(code), count] as const);
  const rows: [string, string][] = [
    ['instructions retired', `${retired}`],
    ['host time, busy', seconds(busyNanoseconds)],
    ['speed', `${(retired / MILLION / (busyNanoseconds / NANOSECONDS_PER_SECOND)).toFixed(1)} M instr/s`],
    ['guest time', seconds(machine.time)],
    ['exceptions', byVector(counters.exceptions, exceptionName)],
    ['interrupts', byVector(counters.interrupts, vectorNumber)],
    ['INT n', byVector(counters.software, vectorNumber)],
    ['#VMEXITs', breakdown(exits)],
    ['TLB fills', `${processor.translation.banks.fills}`],
    [
      'blocks',
      `${blocks.blocks} (${blocks.records} records), ${blocks.invalidations} page invalidations, ${blocks.flushes} flushes`,
    ],
  ];
  if (regions) {
    const { regions: count, modules, instructions, bytes, milliseconds } = regions;
    rows.push([
      'regions',
      `${count} in ${modules} modules (${instructions} instructions, ${bytes} bytes), compiled in ${seconds(milliseconds * MILLION)}`,
    ]);
  }
  if (machine.isRepeatable) rows.push(['memory hash', machine.snapshotHash()]);
  return rows.map(([label, value]) => `${label.padEnd(LABEL_WIDTH)}${value}`);
}
