/** The results of all rounds: collected, as a table, and as the file that is kept. */
import type { Benchmark } from './benchmarks.ts';
import type { HostDescription } from './host.ts';
import type { Measurement } from './markers.ts';
import type { SessionResult } from './session.ts';
import {
  checksumProblem,
  formatNumber,
  formatTable,
  geometricMean,
  type ResultRow,
  resultRows,
  spread,
} from './statistics.ts';

/** Version of the file's format. */
const FORMAT = 1;

export interface RunDescription {
  date: string;
  host: HostDescription;
  versions: Record<string, string>;
  rounds: number;
  quick: boolean;
}

export interface SessionRecord {
  round: number;
  group: string;
  system: string;
  seconds: number;
  /** Seconds of processor time that other programs took. */
  others?: number;
  problem?: string;
}

const MICROSECONDS = 1e6;

/** Everything that was measured in a run. */
export class Results {
  readonly sessions: SessionRecord[] = [];
  readonly #benchmarks: readonly Benchmark[];
  readonly #quick: boolean;
  /** By benchmark, then by system. */
  readonly #samples = new Map<string, Map<string, number[]>>();
  readonly #checksums = new Map<string, Map<string, Set<string>>>();

  constructor(benchmarks: readonly Benchmark[], systems: readonly string[], quick: boolean) {
    this.#benchmarks = benchmarks;
    this.#quick = quick;
    for (const { name } of benchmarks) {
      this.#samples.set(name, new Map(systems.map((system) => [system, []])));
      this.#checksums.set(name, new Map());
    }
  }

  #amount(benchmark: Benchmark): number {
    return this.#quick ? benchmark.quickAmount : benchmark.amount;
  }

  /**
   * Takes in what one run of a system gave; measurements of benchmarks that were not selected are left out.
   *
   * @param expected names of the benchmarks that it was to run
   */
  addSession(round: number, group: string, system: string, expected: readonly string[], result: SessionResult): void {
    const { seconds, others } = result;
    const missing = expected.filter((name) => !result.measurements.some((measurement) => measurement.name === name));
    const incomplete = missing.length > 0 ? `no measurement of ${missing.join(', ')}` : undefined;
    const problem = [result.problem, incomplete].filter((text) => text !== undefined).join('; ') || undefined;
    this.sessions.push({ round, group, system, seconds, others, problem });
    for (const measurement of result.measurements) this.#add(system, measurement);
  }

  #add(system: string, { name, seconds, checksum }: Measurement): void {
    const samples = this.#samples.get(name)?.get(system);
    if (!samples) return;
    samples.push(seconds);
    if (checksum === undefined) return;
    const checksums = this.#checksums.get(name) as Map<string, Set<string>>;
    checksums.set(system, (checksums.get(system) ?? new Set()).add(checksum));
  }

  /** One line for each thing that is wrong. */
  problems(): string[] {
    const problems: string[] = [];
    for (const { round, group, system, problem } of this.sessions) {
      if (problem !== undefined) problems.push(`round ${round}, ${group}, ${system}: ${problem}`);
    }
    for (const benchmark of this.#benchmarks) {
      const checksums = this.#checksums.get(benchmark.name) as Map<string, Set<string>>;
      const problem = checksumProblem(checksums, this.#quick ? undefined : benchmark.checksum);
      if (problem !== undefined) problems.push(`${benchmark.name}: wrong checksum: ${problem}`);
    }
    return problems;
  }

  /** Medians, ratios. @param reference what the systems `compared` are compared with */
  rows(reference: string, compared: readonly string[]): ResultRow[] {
    return resultRows(this.#samples, reference, compared);
  }

  /** The table that is shown: seconds, or microseconds for one unit, and how many times faster than the reference. */
  table(systems: readonly string[], reference: string, compared: readonly string[]): string {
    const rows = this.rows(reference, compared);
    const withRatios = compared.filter((system) => rows.some(({ ratios }) => ratios.has(system)));
    const lines = [['benchmark', '', ...systems, ...withRatios.map((system) => `${system}/${reference}`)]];
    for (const { name, medians, ratios } of rows) {
      const benchmark = this.#benchmarks.find((candidate) => candidate.name === name) as Benchmark;
      const scale = benchmark.perUnit ? MICROSECONDS / this.#amount(benchmark) : 1;
      const times = systems.map((system) => {
        const time = medians.get(system);
        return time === undefined ? '-' : formatNumber(time * scale);
      });
      const faster = withRatios.map((system) => {
        const ratio = ratios.get(system);
        return ratio === undefined ? '-' : formatNumber(ratio);
      });
      lines.push([name, benchmark.perUnit ? `us/${benchmark.unit}` : 's', ...times, ...faster]);
    }
    const means = withRatios.map((system) => {
      const ratios = rows.flatMap(({ ratios: bySystem }) => bySystem.get(system) ?? []);
      return formatNumber(geometricMean(ratios));
    });
    if (means.length > 0) lines.push(['geometric mean', '', ...systems.map(() => ''), ...means]);
    return formatTable(lines);
  }

  /** What is written to the results file. Holds nothing that tells whose machine it was. */
  toJSON(run: RunDescription, reference: string, compared: readonly string[]): object {
    const benchmarks = this.rows(reference, compared).map(({ name, medians, ratios }) => {
      const benchmark = this.#benchmarks.find((candidate) => candidate.name === name) as Benchmark;
      const samples = this.#samples.get(name) as Map<string, number[]>;
      const checksums = this.#checksums.get(name) as Map<string, Set<string>>;
      const measured = [...samples].filter(([, values]) => values.length > 0);
      return {
        name,
        amount: this.#amount(benchmark),
        unit: benchmark.unit,
        checksums: [...new Set([...checksums.values()].flatMap((values) => [...values]))],
        seconds: Object.fromEntries(measured.map(([system, values]) => [system, values.map(rounded)])),
        median: Object.fromEntries([...medians].map(([system, value]) => [system, rounded(value)])),
        spread: Object.fromEntries(measured.map(([system, values]) => [system, rounded(spread(values))])),
        ratio: Object.fromEntries([...ratios].map(([system, value]) => [system, rounded(value)])),
      };
    });
    const sessions = this.sessions.map(({ seconds, others, ...rest }) => ({
      ...rest,
      seconds: rounded(seconds),
      others: others === undefined ? undefined : rounded(others),
    }));
    return { format: FORMAT, ...run, reference, benchmarks, sessions, problems: this.problems() };
  }
}

/** Microseconds are more than the console's markers can tell. */
function rounded(value: number): number {
  return Math.round(value * 1e6) / 1e6;
}
