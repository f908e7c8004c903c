/**
 * Runs random programs in the interpreter stage and in the region stage side by side, and stops where they differ.
 *
 *     npm run fuzz -- [--instructions N] [--seed S]
 */
import { parseArgs } from 'node:util';
import { FuzzMachine } from './machine.ts';
import { report } from './report.ts';
import { compare, PROGRAM_INSTRUCTIONS, STAGES } from './run.ts';

/** How often progress is told where nobody watches. */
const PROGRAMS_PER_LINE = 50;

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
  const regions = STAGES.map(({ engine, limits, elsewhere }) => new FuzzMachine(engine, limits, elsewhere));
  let done = 0;
  let failures = 0;
  let faults = 0;
  let seed = first;
  do {
    // told beforehand: whoever hangs leaves the seed
    if (process.stderr.isTTY || seed % PROGRAMS_PER_LINE === 0)
      process.stderr.write(`\rseed ${seed}, ${done} instructions `);
    const second = regions[seed % regions.length];
    const result = compare(seed, interpreter, second, PROGRAM_INSTRUCTIONS);
    done += result.instructions;
    faults += result.faults;
    seed++;
    if (result.divergence) {
      console.log(`\n${report(result.divergence, interpreter, second)}`);
      failures++;
    }
  } while (done < instructions && failures < most);
  const compiled = regions.reduce((sum, { processor }) => sum + (processor.regions?.statistics.regions ?? 0), 0);
  console.error(
    `\r${seed - first} programs, ${done} instructions in either stage, ${faults} exceptions, ${compiled} regions: ${failures} failures`,
  );
  return failures > 0 ? 1 : 0;
}

if (import.meta.main) process.exitCode = main();
