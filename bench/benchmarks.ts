/** The benchmarks: what each does, how much of it, and what its checksum must be. */

/** What is booted together: one start of a system runs all benchmarks of a group. */
export const GROUPS = ['compute', 'system', 'perl', 'nested'] as const;
export type Group = (typeof GROUPS)[number];

export interface Benchmark {
  /** On the console, in the results and for `--only`. */
  name: string;
  group: Group;
  /** Units of work of a full run, and of one with `--quick`. */
  amount: number;
  quickAmount: number;
  /** What a unit is. */
  unit: string;
  /** Hexadecimal checksum of a full run; not for boots. */
  checksum?: string;
  /** Whether it also runs on the host itself, without a guest. */
  native: boolean;
  /** Whether results are shown for one unit, in microseconds. */
  perUnit: boolean;
}

/** Measured from the start of the system's program to the ready line of L1, in every boot. */
export const L1_BOOT = 'l1-boot';
/** Measured from the start of the monitor in L1 to the ready line of L2. */
export const L2_BOOT = 'l2-boot';

/** Name, amount, amount with `--quick`, unit, checksum. */
type Row = readonly [string, number, number, string, string?];

function rows(group: Group, options: { native?: boolean; perUnit?: boolean }, table: readonly Row[]): Benchmark[] {
  return table.map(([name, amount, quickAmount, unit, checksum]) => ({
    name,
    group,
    amount,
    quickAmount,
    unit,
    checksum,
    native: options.native ?? false,
    perUnit: options.perUnit ?? false,
  }));
}

/** In the order in which they run. What is in a block of memory is 32 MiB. */
export const BENCHMARKS: readonly Benchmark[] = [
  ...rows('compute', {}, [[L1_BOOT, 1, 1, 'boot']]),
  ...rows('compute', { native: true }, [
    ['bench-int64-xorshift', 200e6, 2e6, 'round', '462a067054b429cc'],
    ['bench-int64-sieve', 10, 1, 'pass', '2d286e'],
    ['bench-int32-xorshift', 200e6, 2e6, 'round', '8b36191f'],
    ['bench-int32-sieve', 10, 1, 'pass', '2d286e'],
    ['bench-mem-memcpy', 32, 1, 'block', 'd546f23cc0000000'],
    ['bench-mem-movs', 32, 1, 'block', 'd546f23cc0000000'],
    ['bench-mem-copy64', 32, 1, 'block', 'd546f23cc0000000'],
    ['bench-mem-chase', 20e6, 200e3, 'load', 'ff1f8'],
    ['bench-float', 1e6, 10e3, 'step', '3fd6537640820e6a'],
  ]),
  ...rows('system', { native: true }, [
    ['bench-sys-getppid', 1e6, 10e3, 'call', 'f4240'],
    ['bench-sys-pipe', 50e3, 500, 'round trip', 'c350'],
    ['bench-sys-fork', 2000, 20, 'process', '7d0'],
    ['bench-sys-fault', 65_536, 656, 'page', '10000'],
    ['bench-sha', 64, 1, 'MiB', '3b6a07d0d404fab4'],
  ]),
  ...rows('perl', { native: true }, [['bench-perl', 600, 3, 'round', '5f568610']]),
  ...rows('nested', { perUnit: true }, [
    ['exit-cpuid', 20e3, 200, 'exit', '4e20'],
    ['exit-pio', 20e3, 200, 'exit', '4e20'],
    ['exit-mmio', 20e3, 200, 'exit', '4e20'],
    ['exit-touch4k', 8192, 200, 'page', '2000'],
  ]),
  ...rows('nested', {}, [
    ['l2-int64-xorshift', 200e6, 2e6, 'round', '462a067054b429cc'],
    ['l2-int64-sieve', 10, 1, 'pass', '2d286e'],
    [L2_BOOT, 1, 1, 'boot'],
  ]),
];

/** The amount of work that a run does. */
export function amountOf(benchmark: Benchmark, quick: boolean): number {
  return quick ? benchmark.quickAmount : benchmark.amount;
}

/**
 * The benchmarks whose names contain `pattern`, a regular expression.
 *
 * @throws RangeError where it is none, or no name matches.
 */
export function selectBenchmarks(pattern: string | undefined): Benchmark[] {
  if (pattern === undefined) return [...BENCHMARKS];
  let expression: RegExp;
  try {
    expression = new RegExp(pattern);
  } catch {
    throw new RangeError(`not a regular expression: ${pattern}`);
  }
  const selected = BENCHMARKS.filter(({ name }) => expression.test(name));
  if (selected.length === 0) throw new RangeError(`no benchmark matches '${pattern}'`);
  return selected;
}
