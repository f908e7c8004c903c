/** The benchmarks: what each does, how much of it, and what its checksum must be. */

/** What is booted together: one start of a system runs all benchmarks of a group. */
export type Group = 'compute' | 'system' | 'perl' | 'nested';

export interface Benchmark {
  /** On the console, in the results and for `--only`. */
  name: string;
  group: Group;
  /** What one unit of `amount` is. */
  unit: string;
  /** Units of a full run and of one with `--quick`. */
  amount: number;
  quickAmount: number;
  /** Checksum of a full run, if it does not depend on the software in the guest. */
  checksum?: string;
  /** Also runs on the host itself, without a guest. */
  native: boolean;
  /** Results are given for one unit, in microseconds. */
  perUnit?: true;
}

/** Measured from the start of the system's program to the ready line of L1, in every boot. */
export const L1_BOOT = 'l1-boot';
/** Measured from the start of the monitor in L1 to the ready line of L2. */
export const L2_BOOT = 'l2-boot';

/** The guests' ready lines (guests/l1/init, guests/l2/init) and the end of everything. */
export const L1_READY = /TESTUDO-L1-READY/;
export const L2_READY = /TESTUDO-L2-READY/;
export const ALL_DONE = /TESTUDO-DONE rc=(\d+)/;

const MILLION = 1_000_000;

export const BENCHMARKS: readonly Benchmark[] = [
  // Its group does not matter: every boot is a measurement.
  { name: L1_BOOT, group: 'compute', unit: 'boot', amount: 1, quickAmount: 1, native: false },
  {
    name: 'bench-int64-xorshift',
    group: 'compute',
    unit: 'round',
    amount: 200 * MILLION,
    quickAmount: 2 * MILLION,
    checksum: '462a067054b429cc',
    native: true,
  },
  {
    name: 'bench-int64-sieve',
    group: 'compute',
    unit: 'pass',
    amount: 10,
    quickAmount: 1,
    checksum: '2d286e',
    native: true,
  },
  {
    name: 'bench-int32-xorshift',
    group: 'compute',
    unit: 'round',
    amount: 200 * MILLION,
    quickAmount: 2 * MILLION,
    checksum: '8b36191f',
    native: true,
  },
  {
    name: 'bench-int32-sieve',
    group: 'compute',
    unit: 'pass',
    amount: 10,
    quickAmount: 1,
    checksum: '2d286e',
    native: true,
  },
  // Blocks of 32 MiB: 1 GiB in all.
  {
    name: 'bench-mem-memcpy',
    group: 'compute',
    unit: 'block',
    amount: 32,
    quickAmount: 1,
    checksum: 'd546f23cc0000000',
    native: true,
  },
  {
    name: 'bench-mem-movs',
    group: 'compute',
    unit: 'block',
    amount: 32,
    quickAmount: 1,
    checksum: 'd546f23cc0000000',
    native: true,
  },
  {
    name: 'bench-mem-copy64',
    group: 'compute',
    unit: 'block',
    amount: 32,
    quickAmount: 1,
    checksum: 'd546f23cc0000000',
    native: true,
  },
  {
    name: 'bench-mem-chase',
    group: 'compute',
    unit: 'load',
    amount: 20 * MILLION,
    quickAmount: MILLION / 5,
    checksum: 'ff1f8',
    native: true,
  },
  {
    name: 'bench-float',
    group: 'compute',
    unit: 'step',
    amount: MILLION,
    quickAmount: MILLION / 100,
    checksum: '3fd6537640820e6a',
    native: true,
  },
  {
    name: 'bench-sys-getppid',
    group: 'system',
    unit: 'call',
    amount: MILLION,
    quickAmount: 10_000,
    checksum: 'f4240',
    native: true,
  },
  {
    name: 'bench-sys-pipe',
    group: 'system',
    unit: 'round trip',
    amount: 50_000,
    quickAmount: 500,
    checksum: 'c350',
    native: true,
  },
  {
    name: 'bench-sys-fork',
    group: 'system',
    unit: 'process',
    amount: 2000,
    quickAmount: 20,
    checksum: '7d0',
    native: true,
  },
  {
    name: 'bench-sys-fault',
    group: 'system',
    unit: 'page',
    amount: 65_536,
    quickAmount: 655,
    checksum: '10000',
    native: true,
  },
  {
    name: 'bench-sha',
    group: 'system',
    unit: 'MiB',
    amount: 64,
    quickAmount: 1,
    checksum: '3b6a07d0d404fab4',
    native: true,
  },
  { name: 'bench-perl', group: 'perl', unit: 'round', amount: 600, quickAmount: 3, native: true },
  {
    name: 'exit-cpuid',
    group: 'nested',
    unit: 'exit',
    amount: 20_000,
    quickAmount: 200,
    checksum: '4e20',
    native: false,
    perUnit: true,
  },
  {
    name: 'exit-pio',
    group: 'nested',
    unit: 'exit',
    amount: 20_000,
    quickAmount: 200,
    checksum: '4e20',
    native: false,
    perUnit: true,
  },
  {
    name: 'exit-mmio',
    group: 'nested',
    unit: 'exit',
    amount: 20_000,
    quickAmount: 200,
    checksum: '4e20',
    native: false,
    perUnit: true,
  },
  {
    name: 'exit-touch4k',
    group: 'nested',
    unit: 'page',
    amount: 8192,
    quickAmount: 200,
    checksum: '2000',
    native: false,
    perUnit: true,
  },
  {
    name: 'l2-int64-xorshift',
    group: 'nested',
    unit: 'round',
    amount: 200 * MILLION,
    quickAmount: 2 * MILLION,
    checksum: '462a067054b429cc',
    native: false,
  },
  {
    name: 'l2-int64-sieve',
    group: 'nested',
    unit: 'pass',
    amount: 10,
    quickAmount: 1,
    checksum: '2d286e',
    native: false,
  },
  { name: L2_BOOT, group: 'nested', unit: 'boot', amount: 1, quickAmount: 1, native: false },
];

export const GROUPS: readonly Group[] = ['compute', 'system', 'perl', 'nested'];
