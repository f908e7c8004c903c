/** Replays stored vectors on a machine and sums up where it disagrees with the processor. */
import type { VectorMachine } from './case.ts';
import type { CompareOptions } from './compare.ts';
import { compareResult, mismatchText } from './compare.ts';
import type { Vector } from './format.ts';

/** Disagreements of one encoding (or sequence). */
export interface Failure {
  name: string;
  vectors: number;
  failed: number;
  /** Report of the first mismatch. */
  first: string;
}

/** Name of what a vector executes. */
export function vectorName(vector: Vector): string {
  return vector.encodings.map(({ name }) => name).join('; ');
}

/** Runs every vector; encodings with at least one mismatch, the worst first. */
export function replay(vectors: Iterable<Vector>, machine: VectorMachine, options: CompareOptions = {}): Failure[] {
  const totals = new Map<string, Failure>();
  for (const vector of vectors) {
    const name = vectorName(vector);
    const total = totals.get(name) ?? { name, vectors: 0, failed: 0, first: '' };
    totals.set(name, total);
    total.vectors++;
    const differences = compareResult(vector, machine.run(vector.testCase), options);
    if (differences.length === 0) continue;
    if (total.failed++ === 0) total.first = mismatchText(vector, differences, options);
  }
  return [...totals.values()]
    .filter(({ failed }) => failed > 0)
    .sort((a, b) => b.failed / b.vectors - a.failed / a.vectors);
}

/**
 * Failures against a list of known ones (encoding name to reason). Empty when all is as listed; a listed encoding that
 * no
 * longer fails is reported too, so that the list cannot go stale.
 */
export function unexpected(failures: readonly Failure[], known: Readonly<Record<string, string>>): string[] {
  const failing = new Set(failures.map(({ name }) => name));
  return [
    ...failures
      .filter(({ name }) => !(name in known))
      .map(({ failed, vectors, first }) => `${failed} of ${vectors} vectors differ\n${first}`),
    ...Object.keys(known)
      .filter((name) => !failing.has(name))
      .map((name) => `${name} is listed as failing but does not: remove it from the list`),
  ];
}
