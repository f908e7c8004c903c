/**
 * `npm run bench`: runs the same guest programs in Testudo, in QEMU's TCG and on the host, and compares their speed.
 *
 * All times are the host's, between markers on the guest's console. The systems take turns: in each round, for each
 * group of benchmarks, one after the other.
 */
import { existsSync } from 'node:fs';
import { mkdir, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { progressPrinter } from '../guests/build.ts';
import { BuildError } from '../guests/errors.ts';
import { amountOf, type Benchmark, GROUPS, L1_BOOT, selectBenchmarks } from './benchmarks.ts';
import { DISTURBANCE_LIMIT, describeHost, processorSlug } from './host.ts';
import { buildBenchImage } from './image.ts';
import { Results } from './results.ts';
import { killSessions, runSession } from './session.ts';
import { formatNumber } from './statistics.ts';
import {
  canRunNatively,
  findEngines,
  findQemu,
  NATIVE,
  nativeSystem,
  QEMU,
  qemuSystem,
  type System,
  TESTUDO_PREFIX,
  testudoSystem,
  testudoVersion,
} from './systems.ts';

const RESULTS_DIRECTORY = fileURLToPath(new URL('results/', import.meta.url));
const DEFAULT_ROUNDS = 3;
const DEFAULT_TIMEOUT_SECONDS = 1800;
/** The engine that users get, where there is a choice. */
const DEFAULT_ENGINE = 'auto';
const EXIT_INTERRUPTED = 130;

const USAGE = `usage: node bench/bench.ts [OPTION]...
Runs benchmarks in Testudo, in QEMU (TCG, where installed) and on the host itself (where it is Linux on x86-64); prints a
table of medians, with ratios to QEMU: above 1, Testudo is faster. Needs the guests' builder (npm run guests).
  --rounds N        how often everything is repeated (default ${DEFAULT_ROUNDS})
  --only PATTERN    benchmarks whose names match a regular expression
  --quick           little work: shows that everything runs, not how fast
  --engines LIST    Testudo's engines to compare, separated by commas (default ${DEFAULT_ENGINE})
  --no-qemu         without QEMU
  --no-native       without the host itself
  --no-testudo      without Testudo
  --timeout SECONDS for one start of a system (default ${DEFAULT_TIMEOUT_SECONDS})
  --json FILE       where the results go; by default those of full runs go to bench/results/
  --console         show the guests' consoles
  --help            print this
Close other programs: where they took more than ${DISTURBANCE_LIMIT * 100} % of a processor, a warning says so.
Exit status: 0, or 1 where anything failed or a checksum was wrong.
`;

/** A mistake in the command line. */
class UsageError extends Error {}

interface Options {
  rounds: number;
  only: string | undefined;
  quick: boolean;
  engines: string[] | undefined;
  qemu: boolean;
  native: boolean;
  testudo: boolean;
  timeout: number;
  json: string | undefined;
  console: boolean;
  help: boolean;
}

function positiveInteger(option: string, text: string): number {
  if (!/^[1-9]\d{0,6}$/.test(text)) throw new UsageError(`${option} must be a positive number, not '${text}'`);
  return Number(text);
}

/** @throws UsageError on anything that is not an option of this command. */
export function parseOptions(args: readonly string[]): Options {
  const read = () =>
    parseArgs({
      args: [...args],
      allowNegative: true,
      options: {
        rounds: { type: 'string', default: `${DEFAULT_ROUNDS}` },
        only: { type: 'string' },
        quick: { type: 'boolean', default: false },
        engines: { type: 'string' },
        qemu: { type: 'boolean', default: true },
        native: { type: 'boolean', default: true },
        testudo: { type: 'boolean', default: true },
        timeout: { type: 'string', default: `${DEFAULT_TIMEOUT_SECONDS}` },
        json: { type: 'string' },
        console: { type: 'boolean', default: false },
        help: { type: 'boolean', default: false },
      },
    }).values;
  let values: ReturnType<typeof read>;
  try {
    values = read();
  } catch (error) {
    throw new UsageError(`${(error as Error).message.split('. ')[0]} (see --help)`);
  }
  const engines = values.engines?.split(',').filter((engine) => engine !== '');
  if (engines?.length === 0) throw new UsageError('--engines needs at least one engine');
  return {
    ...values,
    only: values.only,
    json: values.json,
    engines,
    rounds: positiveInteger('--rounds', values.rounds),
    timeout: positiveInteger('--timeout', values.timeout),
  };
}

/**
 * Chooses what to pass to Testudo's `--engine`: one entry for each system; undefined for none.
 *
 * @param available what `--engine` takes; undefined where Testudo has no such option and only interprets
 */
export function chooseEngines(
  wanted: readonly string[] | undefined,
  available: readonly string[] | undefined,
): (string | undefined)[] {
  if (!available) {
    const other = wanted?.find((engine) => engine !== 'interpreter');
    if (other !== undefined) throw new UsageError(`this Testudo has no engine '${other}'`);
    return [undefined];
  }
  if (!wanted) return available.length === 0 || available.includes(DEFAULT_ENGINE) ? [DEFAULT_ENGINE] : [available[0]];
  const unknown = available.length > 0 ? wanted.find((engine) => !available.includes(engine)) : undefined;
  if (unknown !== undefined) throw new UsageError(`no engine '${unknown}'; there are ${available.join(', ')}`);
  return [...new Set(wanted)];
}

/** What one start of a system runs, and in which group. */
function workOf(benchmarks: readonly Benchmark[], system: System, group: string): Benchmark[] {
  return benchmarks.filter((benchmark) => benchmark.group === group && (system.isGuest || benchmark.native));
}

async function runAll(
  benchmarks: readonly Benchmark[],
  systems: readonly System[],
  options: Options,
): Promise<Results> {
  const names = systems.map(({ name }) => name);
  const results = new Results(benchmarks, names, options.quick);
  const print = (text: string) => process.stderr.write(`${text}\n`);
  for (let round = 1; round <= options.rounds; round++) {
    for (const group of GROUPS) {
      for (const system of systems) {
        const work = workOf(benchmarks, system, group);
        if (work.length === 0) continue;
        const items = work.filter(({ name }) => name !== L1_BOOT);
        const command = system.command(items.map((item) => `${item.name}:${amountOf(item, options.quick)}`));
        const place = `${round}/${options.rounds} ${system.name}`;
        const showLine = process.stderr.isTTY && !options.console;
        const result = await runSession(command, options.timeout, {
          began: (name) => showLine && process.stderr.write(`${place} ${name} ...\r`),
          measured: ({ name, seconds, checksum }) =>
            print(`${place} ${name} ${formatNumber(seconds)} s ${checksum ?? ''}`),
          line: options.console ? (text) => print(`  | ${text}`) : undefined,
        });
        const expected = work.map(({ name }) => name);
        results.addSession(round, group, system.name, expected, result);
        if (result.problem !== undefined) print(`${place} ${group}: ${result.problem}`);
        if (result.others !== undefined && result.others > DISTURBANCE_LIMIT * result.seconds) {
          const share = ((100 * result.others) / result.seconds).toFixed(0);
          print(
            `warning: other programs took ${share} % of a processor during the last ${formatNumber(result.seconds)} s`,
          );
        }
      }
    }
  }
  return results;
}

/** A name in the results directory that is not taken yet. */
function resultsPath(date: Date, processor: string): string {
  const stem = `${date.toISOString().slice(0, 10)}-${processorSlug(processor)}`;
  for (let number = 1; ; number++) {
    const path = join(RESULTS_DIRECTORY, `${stem}${number === 1 ? '' : `-${number}`}.json`);
    if (!existsSync(path)) return path;
  }
}

async function bench(options: Options): Promise<number> {
  const benchmarks = selectBenchmarks(options.only);
  const engines = options.testudo ? chooseEngines(options.engines, await findEngines()) : [];
  const progress = progressPrinter(process.stderr);
  const image = await buildBenchImage(progress).finally(() => progress(undefined));

  const qemu = options.qemu ? await findQemu() : undefined;
  if (options.qemu && qemu === undefined) process.stderr.write('QEMU is not installed: no ratios\n');
  const version = await testudoVersion();
  const systems: System[] = [];
  if (options.native && canRunNatively()) systems.push(nativeSystem(image));
  if (qemu !== undefined) systems.push(qemuSystem(image, qemu));
  for (const engine of engines) systems.push(testudoSystem(image, engine, version));
  if (systems.length === 0) throw new UsageError('nothing is left to run');

  const date = new Date();
  const host = describeHost();
  const results = await runAll(benchmarks, systems, options);
  const names = systems.map(({ name }) => name);
  const compared = names.filter((name) => name.startsWith(TESTUDO_PREFIX));
  const reference = qemu === undefined ? NATIVE : QEMU;
  process.stdout.write(`\n${results.table(names, reference, compared)}`);
  const problems = results.problems();
  for (const problem of problems) process.stdout.write(`PROBLEM ${problem}\n`);

  const complete = options.only === undefined && !options.quick;
  const path = options.json ?? (complete ? resultsPath(date, host.processor) : undefined);
  if (path !== undefined) {
    const versions = {
      testudo: version,
      node: process.versions.node,
      ...(qemu === undefined ? {} : { qemu }),
      ...image.versions,
    };
    const run = { date: date.toISOString(), host, versions, rounds: options.rounds, quick: options.quick };
    await mkdir(dirname(path), { recursive: true });
    await writeFile(path, `${JSON.stringify(results.toJSON(run, reference, compared), null, 2)}\n`);
    process.stdout.write(`results: ${path}\n`);
  }
  return problems.length === 0 ? 0 : 1;
}

async function main(): Promise<number> {
  try {
    const options = parseOptions(process.argv.slice(2));
    if (options.help) {
      process.stdout.write(USAGE);
      return 0;
    }
    return await bench(options);
  } catch (error) {
    if (!(error instanceof UsageError || error instanceof BuildError || error instanceof RangeError)) throw error;
    process.stderr.write(`bench: ${error.message.replaceAll('\n', ' ')}\n`);
    return 1;
  }
}

if (import.meta.main) {
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
    process.on(signal, () => {
      killSessions();
      process.exit(EXIT_INTERRUPTED);
    });
  }
  process.exitCode = await main();
}
