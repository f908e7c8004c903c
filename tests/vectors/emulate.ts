/**
 * Replays sets of vectors on the emulator and prints where it disagrees.
 *
 *     node tests/vectors/emulate.ts [--only PATTERN] [--limit N] FILE...
 */
import { readFileSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { decodeVectors } from './format.ts';
import { EmulatorMachine } from './machine.ts';
import { replay, vectorName } from './replay.ts';

const HELP = `Replays sets of vectors on the emulator.

usage: node tests/vectors/emulate.ts [options] FILE...

  --only PATTERN   regular expression over encoding names
  --except PATTERN encodings to leave out
  --limit N        reports to print in full (default 10); the others by name only
  --regions        compile every case to a region
  --wary           to one that assumes nothing
  --slice N        run at most N instructions at a time
  --help           this text`;

function main(): number {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: {
      only: { type: 'string' },
      except: { type: 'string' },
      limit: { type: 'string', default: '10' },
      regions: { type: 'boolean' },
      wary: { type: 'boolean' },
      slice: { type: 'string' },
      help: { type: 'boolean', short: 'h' },
    },
  });
  if (values.help || positionals.length === 0) {
    console.log(HELP);
    return values.help ? 0 : 2;
  }
  const only = values.only ? new RegExp(values.only) : undefined;
  const except = values.except ? new RegExp(values.except) : undefined;
  const machine = new EmulatorMachine({
    regions: values.regions,
    wary: values.wary,
    ...(values.slice ? { slice: Number(values.slice) } : {}),
  });
  let bad = 0;
  for (const file of positionals) {
    const vectors = decodeVectors(readFileSync(file)).vectors.filter(
      (vector) => (only?.test(vectorName(vector)) ?? true) && !(except?.test(vectorName(vector)) ?? false),
    );
    const start = performance.now();
    const failures = replay(vectors, machine);
    const seconds = (performance.now() - start) / 1000;
    const failed = failures.reduce((sum, failure) => sum + failure.failed, 0);
    bad += failed;
    failures.forEach((failure, i) => {
      if (i < Number(values.limit)) console.log(`${failure.failed} of ${failure.vectors} differ\n${failure.first}\n`);
      else console.log(`${failure.failed} of ${failure.vectors} differ: ${failure.name}`);
    });
    console.log(
      `${file}: ${vectors.length} vectors, ${failed} differ in ${failures.length} encodings, ${seconds.toFixed(1)} s`,
    );
  }
  return bad === 0 ? 0 : 1;
}

if (import.meta.main) process.exitCode = main();
