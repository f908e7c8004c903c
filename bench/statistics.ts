/** From measurements to a table: medians, ratios, checks and text. */

/** Measured seconds of one benchmark, by system, in the order of the rounds. */
export type Samples = ReadonlyMap<string, readonly number[]>;

/**
 * The middle value, or the mean of the two middle ones.
 *
 * @throws RangeError where there is no value.
 */
export function median(values: readonly number[]): number {
  if (values.length === 0) throw new RangeError('no values');
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 === 1 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
}

/** How far the values are apart: the range as a fraction of the median. */
export function spread(values: readonly number[]): number {
  const middle = median(values);
  return middle === 0 ? 0 : (Math.max(...values) - Math.min(...values)) / middle;
}

/** The number whose logarithm is the mean of the values' logarithms. */
export function geometricMean(values: readonly number[]): number {
  if (values.length === 0) throw new RangeError('no values');
  return Math.exp(values.reduce((sum, value) => sum + Math.log(value), 0) / values.length);
}

export interface ResultRow {
  name: string;
  /** Median seconds by system; a system that has no measurement is missing. */
  medians: Map<string, number>;
  /** By system: how many times faster than the reference; only where both were measured. */
  ratios: Map<string, number>;
}

/**
 * Medians and ratios of each benchmark.
 *
 * @param reference the system with which `compared` ones are compared
 */
export function resultRows(
  samples: ReadonlyMap<string, Samples>,
  reference: string,
  compared: readonly string[],
): ResultRow[] {
  return [...samples].map(([name, bySystem]) => {
    const medians = new Map<string, number>();
    for (const [system, values] of bySystem) if (values.length > 0) medians.set(system, median(values));
    const ratios = new Map<string, number>();
    const base = medians.get(reference);
    for (const system of compared) {
      const own = medians.get(system);
      if (base !== undefined && own !== undefined && own > 0) ratios.set(system, base / own);
    }
    return { name, medians, ratios };
  });
}

/** Checksums of one benchmark that are not all alike, or not what they must be; undefined where all is well. */
export function checksumProblem(
  checksums: ReadonlyMap<string, ReadonlySet<string>>,
  expected: string | undefined,
): string | undefined {
  const seen = new Set([...checksums.values()].flatMap((values) => [...values]));
  if (expected !== undefined && seen.size > 0) {
    const wrong = [...checksums].filter(([, values]) => [...values].some((value) => value !== expected));
    if (wrong.length === 0) return undefined;
    return `${wrong.map(([system, values]) => `${system} ${[...values].join(' and ')}`).join(', ')}; must be ${expected}`;
  }
  if (seen.size <= 1) return undefined;
  return [...checksums].map(([system, values]) => `${system} ${[...values].join(' and ')}`).join(', ');
}

/** Three significant digits, without an exponent. */
export function formatNumber(value: number): string {
  if (value === 0) return '0';
  const digits = Math.max(0, 2 - Math.floor(Math.log10(Math.abs(value))));
  return value.toFixed(Math.min(digits, 6));
}

/** Cells in columns: the first to the left, the others to the right. */
export function formatTable(rows: readonly (readonly string[])[]): string {
  const columns = Math.max(0, ...rows.map((row) => row.length));
  const widths = Array.from({ length: columns }, (_, i) => Math.max(...rows.map((row) => (row[i] ?? '').length)));
  const line = (row: readonly string[]) =>
    widths.map((width, i) => (i === 0 ? (row[i] ?? '').padEnd(width) : (row[i] ?? '').padStart(width))).join('  ');
  return `${rows.map((row) => line(row).trimEnd()).join('\n')}\n`;
}
