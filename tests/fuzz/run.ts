/** Runs a program in two machines side by side, by a script of slices and events that its seed decides. */
import { Activity } from '../../src/cpu/state.ts';
import { Random } from '../vectors/random.ts';
import { PAGE, SYSTEM, VECTOR } from './flavours.ts';
import type { FuzzEvent, FuzzMachine } from './machine.ts';
import { type FuzzProgram, generateProgram } from './program.ts';

/** Instructions of each program, about. */
export const PROGRAM_INSTRUCTIONS = 8000;

/** Ways to force regions: everything at once, or only where control has been, in batches, and once more with what is called. */
export const STAGES = [
  { engine: 'regions', limits: { heat: 1, joining: 0, secondHeat: 2, batch: 1 }, elsewhere: false },
  { engine: 'auto', limits: { heat: 1, joining: 0, secondHeat: 2, batch: 1 }, elsewhere: false },
  { engine: 'auto', limits: { heat: 2, joining: 0, secondHeat: 3, batch: 6, patience: 300 }, elsewhere: false },
  {
    engine: 'auto',
    limits: { heat: 1, joining: 0, secondHeat: 2, batch: 8, patience: 0, pollInterval: 20 },
    elsewhere: true,
  },
  // little room: everything is dropped again and again
  {
    engine: 'regions',
    limits: { heat: 1, joining: 0, secondHeat: 2, batch: 1, regions: 12, codeBytes: 256 * 1024 },
    elsewhere: false,
  },
] as const;

/** One stretch of a run. */
export interface Step {
  readonly instructions: number;
  /** What comes behind it. */
  readonly events: readonly FuzzEvent[];
}

/** How slices are cut: regions need room, and boundaries need stops. */
const RHYTHMS = ['long', 'long', 'mixed', 'mixed', 'sweep', 'single'] as const;

/** Endless steps for a program. */
export function* script(program: FuzzProgram): Generator<Step> {
  const random = new Random(`script ${program.seed}`);
  const rhythm = random.pick(RHYTHMS);
  const busy = random.pick([0, 10, 40]);
  const warmUp = random.below(3000);
  yield { instructions: warmUp + 1, events: [] };
  for (let n = 1; ; n++) {
    let instructions: number;
    switch (rhythm) {
      case 'long':
        instructions = random.between(200, 3000);
        break;
      case 'mixed':
        instructions = random.oneIn(3) ? random.between(1, 8) : random.between(1, 400);
        break;
      case 'sweep':
        instructions = n % 300;
        break;
      case 'single':
        instructions = random.oneIn(6) ? random.between(50, 300) : 1;
        break;
    }
    const always = rhythm === 'sweep';
    yield { instructions, events: always || random.below(100) < busy ? [event(random, program)] : [] };
  }
}

function event(random: Random, { slots, world }: FuzzProgram): FuzzEvent {
  /** Bytes that reach into the next page, which lies elsewhere, are left out. */
  const write = (area: 'data' | 'code', offset: number, bytes: Uint8Array): FuzzEvent => ({
    kind: 'write',
    physical: world.frame(area, Math.floor(offset / PAGE)) + (offset % PAGE),
    bytes: bytes.subarray(0, PAGE - (offset % PAGE)),
  });
  const choice = random.below(20);
  if (choice === 0) return { kind: 'nmi' };
  if (choice < 3 && slots.length > 0) {
    const { offset, alternatives } = random.pick(slots);
    return write('code', offset, random.pick(alternatives));
  }
  if (choice === 3) return write('data', random.below(2 * PAGE), random.bytes(8));
  return { kind: 'interrupt', vector: choice < 8 ? VECTOR.PATCH : 0x40 + random.below(0x40) };
}

/** Where two machines parted. */
export interface Divergence {
  readonly program: FuzzProgram;
  /** Steps done before, and the one in which they parted. */
  readonly steps: readonly Step[];
  readonly differences: readonly string[];
  /** Where each of them ended up. */
  readonly places: readonly [string, string];
}

export interface RunResult {
  readonly instructions: number;
  readonly faults: number;
  readonly stops: number;
  readonly divergence?: Divergence;
}

/** Does a step; a processor that has halted gets an NMI if nothing else wakes it. */
export function perform(machine: FuzzMachine, { instructions, events }: Step): void {
  machine.run(instructions);
  for (const one of events) machine.apply(one);
  if (machine.activity !== Activity.HALTED) return;
  machine.wake();
  if (machine.activity !== Activity.HALTED) return;
  machine.apply({ kind: 'nmi' });
  machine.wake();
}

/** Runs the program of a seed for about so many instructions in both. */
export function compare(seed: number, first: FuzzMachine, second: FuzzMachine, instructions: number): RunResult {
  const program = generateProgram(seed);
  first.load(program);
  second.load(program);
  const steps: Step[] = [];
  for (const step of script(program)) {
    steps.push(step);
    const before = first.retired;
    perform(first, step);
    perform(second, step);
    if (!first.equals(second)) {
      const differences = first.differences(second);
      const divergence = { program, steps, differences, places: [first.place, second.place] as const };
      return { instructions: first.retired, faults: faults(first, program), stops: steps.length, divergence };
    }
    const stuck = first.activity !== Activity.RUNNING || first.retired === before;
    if (stuck || first.retired >= instructions) break;
  }
  return { instructions: first.retired, faults: faults(first, program), stops: steps.length };
}

/** Exceptions the handlers have counted. */
function faults({ memory }: FuzzMachine, { world, flavour }: FuzzProgram): number {
  const view = new DataView(memory.buffer, memory.byteOffset + world.system + SYSTEM.COUNTS);
  let sum = 0;
  for (let vector = 0; vector < 32; vector++)
    sum += flavour.levels === 0 ? view.getUint16(2 * vector, true) : view.getUint32(4 * vector, true);
  return sum;
}
