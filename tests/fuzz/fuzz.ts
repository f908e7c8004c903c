/**
 * Runs random programs in the interpreter stage and in the region stage side by side, and stops where they differ.
 *
 *     npm run fuzz -- [--instructions N] [--seed S]
 */
import { parseArgs } from 'node:util';
import { FuzzMachine } from './machine.ts';
import { report } from './report.ts';
import { compare } from './run.ts';

/** Instructions of each program. */
export const PROGRAM_INSTRUCTIONS = 8000;

/** Ways to force regions: everything at once, or only where control has been, in batches, and once more with what is called. */
export const STAGES = [
  { engine: 'regions', limits: { heat: 1, secondHeat: 2, batch: 1 } },
  { engine: 'auto', limits: { heat: 1, secondHeat: 2, batch: 1 } },
  { engine: 'auto', limits: { heat: 2, secondHeat: 3, batch: 6, patience: 300 } },
  // little room: everything is dropped again and again
  { engine: 'regions', limits: { heat: 1, secondHeat: 2, batch: 1, regions: 12, codeBytes: 256 * 1024 } },
] as const;

const HELP = `Compares the interpreter stage and the region stage on random programs.

usage: npm run fuzz -- [options]

  --instructions N  instructions to run, at least one program of ${PROGRAM_INSTRUCTIONS} (default 1000000)
  --seed S          number of the first program (default 1); each number is one program
  --failures N      how many differences to show before giving up (default 1)
  --help            this text`;

function main(): number {
  const { values } = parseArgs({
    options: {
      instructions: { type: 'string', default: '1000000' },
      seed: { type: 'string', default: '1' },
      failures: { type: 'string', default: '1' },
      help: { type: 'boolean', short: 'h' },
    },
  });
  if (values.help) {
    console.log(HELP);
    return 0;
  }
  const [instructions, first, most] = [values.instructions, values.seed, values.failures].map(Number);
  if (![instructions, first, most].every((n) => Number.isInteger(n) && n >= 0)) {
    console.error('--instructions, --seed and --failures take numbers');
    return 2;
  }
  const interpreter = new FuzzMachine('interpreter');
  const regions = STAGES.map(({ engine, limits }) => new FuzzMachine(engine, limits));
  let done = 0;
  let failures = 0;
  let faults = 0;
  let seed = first;
  do {
    const second = regions[seed % regions.length];
    const result = compare(seed, interpreter, second, PROGRAM_INSTRUCTIONS);
    done += result.instructions;
    faults += result.faults;
    seed++;
    if (result.divergence) {
      console.log(report(result.divergence, interpreter, second));
      if (++failures >= most) break;
    }
    if (seed % 50 === 0)
      process.stderr.write(`\r${seed - first} programs, ${done} instructions, ${failures} failures `);
  } while (done < instructions);
  const compiled = regions.reduce((sum, { processor }) => sum + (processor.regions?.statistics.regions ?? 0), 0);
  console.error(
    `\r${seed - first} programs, ${done} instructions in either stage, ${faults} exceptions, ${compiled} regions: ${failures} failures`,
  );
  return failures > 0 ? 1 : 0;
}

if (import.meta.main) process.exitCode = main();
