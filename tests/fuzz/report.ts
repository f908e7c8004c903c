/** What is said about a divergence: where it begins, what differs, and what was executed on the way. */
import { CS } from '../../src/cpu/context.ts';
import { Decoder } from '../../src/cpu/decode/decoder.ts';
import { disassemble } from '../../src/cpu/decode/disassembler.ts';
import { cpuModel } from '../../src/cpu/model.ts';
import { Activity, Pending } from '../../src/cpu/state.ts';
import { codeSegmentBits } from '../../src/cpu/system/registers.ts';
import { INSTRUCTION_TABLE } from '../../src/isa/index.ts';
import type { FuzzMachine } from './machine.ts';
import { type Divergence, perform, type Step } from './run.ts';

/** Instructions shown. */
const SHOWN = 40;
const LONGEST = 15;

const decoder = new Decoder(INSTRUCTION_TABLE, cpuModel('amd').features);

/** Address and text of the instruction a machine is about to execute. */
function nextInstruction({ processor: { cpu, linear } }: FuzzMachine): string {
  const bits = codeSegmentBits(cpu);
  const at = bits === 64 ? cpu.rip : (cpu.rip + cpu.segments[CS].base) & 0xffff_ffffn;
  const bytes = new Uint8Array(LONGEST);
  let length = 0;
  for (; length < LONGEST; length++) {
    const address = at + BigInt(length);
    const host = linear.translateExecute(Number(address & 0xffff_ffffn) | 0, Number(address >> 32n) | 0);
    if (host === 0) {
      cpu.pending = Pending.NONE;
      break;
    }
    bytes[length] = cpu.bytes[host];
  }
  const place = `${at.toString(16).padStart(8, '0')}:`;
  if (decoder.decode(bytes, 0, length, bits, false) !== 'ok') return `${place} ${Buffer.from(bytes).toString('hex')}`;
  const { out } = decoder;
  const hex = Buffer.from(bytes.subarray(0, out.length)).toString('hex');
  return `${place} ${hex.padEnd(24)} ${disassemble(out, { address: cpu.rip, codeBits: bits })}`;
}

/** The same steps, the last one cut short. */
const shortened = (steps: readonly Step[], instructions: number): Step[] => [
  ...steps.slice(0, -1),
  { instructions, events: [] },
];

function differ(first: FuzzMachine, second: FuzzMachine, { program }: Divergence, steps: readonly Step[]): boolean {
  for (const machine of [first, second]) {
    machine.load(program);
    for (const step of steps) perform(machine, step);
  }
  return !first.equals(second);
}

/** The fewest instructions of the last step after which the machines differ, if shorter steps behave the same. */
function shortest(first: FuzzMachine, second: FuzzMachine, divergence: Divergence): number {
  let low = 0;
  let high = divergence.steps.at(-1)?.instructions ?? 0;
  while (low + 1 < high) {
    const middle = (low + high) >> 1;
    if (differ(first, second, divergence, shortened(divergence.steps, middle))) high = middle;
    else low = middle;
  }
  return high;
}

/** Text for people; reruns the program. */
export function report(divergence: Divergence, first: FuzzMachine, second: FuzzMachine): string {
  const { program, steps, differences, places } = divergence;
  const last = shortest(first, second, divergence);
  first.load(program);
  for (const step of steps.slice(0, -1)) perform(first, step);
  const lines: string[] = [];
  for (let n = 0; n < last && first.activity === Activity.RUNNING; n++) {
    const at = first.retired;
    lines.push(`${String(at).padStart(8)} ${nextInstruction(first)}`);
    first.run(1);
  }
  const events = steps
    .slice(-3)
    .map((step) => `run ${step.instructions} ${step.events.map(({ kind }) => kind).join(' ')}`.trim());
  return [
    `seed ${program.seed}, ${program.flavour.name}: step ${steps.length} (... ${events.join('; ')}), interpreter at ${places[0]}, regions at ${places[1]}`,
    ...differences.map((line) => `  ${line}`),
    `after ${last} instructions of the step; the last of them:`,
    ...lines.slice(-SHOWN),
    `replay: npm run fuzz -- --seed ${program.seed} --instructions 1`,
  ].join('\n');
}
