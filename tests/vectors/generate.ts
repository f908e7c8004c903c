/**
 * Makes sets of vectors: random cases of every encoding, run on the host's processor.
 *
 *     node tests/vectors/generate.ts --count N --seed S --out FILE [--only PATTERN]
 */
import { readFileSync, writeFileSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { BUILTIN } from './builtin/index.ts';
import type { Case, Mode, ProcessorState, Result } from './case.ts';
import { generateCase } from './cases.ts';
import { resultsEqual } from './compare.ts';
import type { Encoding, EncodingSource } from './encoding.ts';
import type { Vector, VectorSet } from './format.ts';
import { decodeVectors, encodeVectors } from './format.ts';
import { nativeUnavailable, processorName, runNative } from './native.ts';
import { Random } from './random.ts';
import { encodingsOf } from './rows.ts';
import { generateSequence, sequenceable } from './sequences.ts';
import { randomState } from './states.ts';

/** Base states per mode: each costs the file about half a kilobyte. */
const BASES_PER_MODE = 12;
/** Cases generated and run at a time. */
const BATCH = 20_000;

export interface GeneratorOptions {
  source: EncodingSource;
  /** Cases to make, spread evenly over the encodings and their modes. */
  count: number;
  seed: string;
  /** Encodings whose name matches; all by default. */
  only?: RegExp;
  modes?: readonly Mode[];
  /** Instructions per case; more than one gives sequences of instructions that do not depend on set-up registers. */
  length?: number;
  /** Runs each sequence in a loop of up to this many iterations. */
  iterations?: number;
  /** Floating-point values and MXCSR mostly as programs have them. */
  ordinary?: boolean;
  date: string;
  progress?(done: number, total: number): void;
}

/** How many cases were dropped, by reason. */
export type Dropped = Record<string, number>;

interface Planned {
  testCase: Case;
  encodings: Encoding[];
  undefinedFlags: number;
}

/** Endless choice of what to make next, in turn over the encodings. */
function* plan(options: GeneratorOptions, bases: Record<Mode, ProcessorState[]>): Generator<Planned> {
  const random = new Random(`${options.seed}/cases`, options.ordinary);
  const modes = options.modes ?? [64, 32];
  const encodings = [...options.source.encodings()].filter(({ name }) => options.only?.test(name) ?? true);
  const turns = encodings.flatMap((encoding) =>
    encoding.modes.filter((mode) => modes.includes(mode)).map((mode) => ({ encoding, mode })),
  );
  const usable = { 64: sequenceable(encodings, 64), 32: sequenceable(encodings, 32) };
  if (turns.length === 0) throw new Error('no encoding matches');
  for (;;) {
    for (const { encoding, mode } of turns) {
      const base = random.pick(bases[mode]);
      const { length = 1, iterations } = options;
      if (length > 1 || iterations) {
        const turnsOfLoop = iterations ? random.between(2, iterations) : 1;
        yield generateSequence(usable[mode], random, mode, base, { length, iterations: turnsOfLoop });
        continue;
      }
      const { testCase, encoded } = generateCase(encoding, random, mode, base);
      yield { testCase, encodings: [encoding], undefinedFlags: encoding.undefinedFlags(encoded, testCase) };
    }
  }
}

/** Why a result is not kept, or undefined. */
function reasonToDrop(first: Result, second: Result): string | undefined {
  if (first.outcome.kind !== 'stopped' && first.outcome.kind !== 'exception') return first.outcome.kind;
  return resultsEqual(first, second) ? undefined : 'differs from run to run';
}

/** Generates cases and runs each twice, keeping those whose results agree. */
export async function generateVectors(options: GeneratorOptions): Promise<{ set: VectorSet; dropped: Dropped }> {
  const random = new Random(`${options.seed}/bases`, options.ordinary);
  const makeBases = (mode: Mode): ProcessorState[] =>
    Array.from({ length: BASES_PER_MODE }, () => randomState(random, mode));
  const bases = { 64: makeBases(64), 32: makeBases(32) };
  const planned = plan(options, bases);
  const vectors: Vector[] = [];
  const dropped: Dropped = {};
  for (let done = 0; done < options.count; ) {
    const batch = Array.from({ length: Math.min(BATCH, options.count - done) }, () => planned.next().value as Planned);
    const cases = batch.map(({ testCase }) => testCase);
    const first = await runNative(cases);
    const second = await runNative(cases);
    batch.forEach(({ testCase, encodings, undefinedFlags }, i) => {
      const reason = reasonToDrop(first[i], second[i]);
      if (reason) dropped[`${encodings[0].name}: ${reason}`] = (dropped[`${encodings[0].name}: ${reason}`] ?? 0) + 1;
      else {
        const entries = encodings.map(({ name, approximate }) => ({ name, ...(approximate ? { approximate } : {}) }));
        vectors.push({ encodings: entries, testCase, result: first[i], undefinedFlags });
      }
    });
    done += batch.length;
    options.progress?.(done, options.count);
  }
  const { seed, count, only, modes, length, iterations, ordinary } = options;
  const generator = JSON.stringify({ seed, count, only: only?.source, modes, length, iterations, ordinary });
  const header = { processor: processorName(), date: options.date, generator };
  return { set: { header, bases: [...bases[64], ...bases[32]], vectors }, dropped };
}

const HELP = `Makes test vectors by running instructions on this machine's processor.

usage: node tests/vectors/generate.ts --count N --out FILE [options]
       node tests/vectors/generate.ts --show FILE

  --count N        cases to make (default 10000), spread over all encodings
  --seed S         seed of the pseudo-random generator (default 1); the same seed makes the same cases
  --out FILE       where to write the set
  --only PATTERN   regular expression over encoding names such as 'ADD 01 Ev,Gv'
  --mode M         64 or 32 only
  --length N       instructions per case (default 1, at most 4)
  --iterations N   make the instructions the body of a loop of 2 to N iterations
  --ordinary       floating-point values and MXCSR mostly as programs have them
  --source S       builtin (default): the list in builtin/; isa: the rows of src/isa
  --list           list the encodings and exit
  --show FILE      print what a set holds and exit
  --help           this text`;

/** The rows of src/isa, loaded only when asked for. */
async function isaSource(): Promise<EncodingSource> {
  const module = (await import(new URL('../../src/isa/index.ts', import.meta.url).href)) as {
    INSTRUCTIONS?: Iterable<(typeof BUILTIN)[number]>;
  };
  if (!module.INSTRUCTIONS) throw new Error('src/isa/index.ts exports no INSTRUCTIONS');
  return encodingsOf(module.INSTRUCTIONS);
}

function show(file: string): void {
  const bytes = readFileSync(file);
  const { header, vectors } = decodeVectors(bytes);
  const counts = new Map<string, number>();
  for (const {
    result: { outcome },
  } of vectors) {
    const key = outcome.kind === 'exception' ? `exception ${outcome.vector}` : outcome.kind;
    counts.set(key, (counts.get(key) ?? 0) + 1);
  }
  console.log(`${header.processor}, ${header.date}, ${header.generator}`);
  console.log(`${vectors.length} vectors, ${(bytes.length / vectors.length).toFixed(1)} bytes each`);
  for (const [key, count] of counts) console.log(`${String(count).padStart(8)} ${key}`);
}

async function main(): Promise<number> {
  const { values } = parseArgs({
    options: {
      count: { type: 'string', default: '10000' },
      seed: { type: 'string', default: '1' },
      out: { type: 'string' },
      only: { type: 'string' },
      mode: { type: 'string' },
      length: { type: 'string', default: '1' },
      iterations: { type: 'string' },
      ordinary: { type: 'boolean', default: false },
      source: { type: 'string', default: 'builtin' },
      list: { type: 'boolean' },
      show: { type: 'string' },
      help: { type: 'boolean', short: 'h' },
    },
  });
  if (values.help) {
    console.log(HELP);
    return 0;
  }
  if (values.show) {
    show(values.show);
    return 0;
  }
  const source = values.source === 'isa' ? await isaSource() : encodingsOf(BUILTIN);
  if (values.list) {
    for (const { name, modes } of source.encodings()) console.log(`${modes.join(',').padEnd(6)} ${name}`);
    return 0;
  }
  const count = Number(values.count);
  const length = Number(values.length);
  const iterations = values.iterations === undefined ? undefined : Number(values.iterations);
  if (!Number.isInteger(count) || count < 1 || !Number.isInteger(length) || length < 1 || length > 4) {
    console.error('--count must be a positive integer, --length from 1 to 4');
    return 2;
  }
  if (iterations !== undefined && !(Number.isInteger(iterations) && iterations >= 2 && iterations <= 10_000)) {
    console.error('--iterations must be an integer from 2 to 10000');
    return 2;
  }
  if (!values.out) {
    console.error('--out FILE is missing; see --help');
    return 2;
  }
  const unavailable = nativeUnavailable();
  if (unavailable) {
    console.error(unavailable);
    return 1;
  }
  const { set, dropped } = await generateVectors({
    source,
    count,
    seed: values.seed,
    length,
    iterations,
    ordinary: values.ordinary,
    only: values.only ? new RegExp(values.only) : undefined,
    modes: values.mode ? [values.mode === '32' ? 32 : 64] : undefined,
    date: new Date().toISOString().slice(0, 10),
    progress: (done, total) => process.stderr.write(`\r${done}/${total}`),
  });
  process.stderr.write('\n');
  for (const [reason, number] of Object.entries(dropped)) console.error(`dropped ${number}: ${reason}`);
  const file = encodeVectors(set);
  writeFileSync(values.out, file);
  console.error(`${values.out}: ${set.vectors.length} vectors, ${file.length} bytes`);
  return 0;
}

if (import.meta.main) {
  try {
    process.exitCode = await main();
  } catch (error) {
    console.error((error as Error).message);
    process.exitCode = 1;
  }
}
