import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { describe, test } from 'node:test';
import type { Case, Mode, Result } from './case.ts';
import { decodeVectors } from './format.ts';
import { nativeUnavailable, processorName, runNative } from './native.ts';
import { replay } from './replay.ts';

const DIRECTORY = new URL('sets/', import.meta.url);
const SETS = readdirSync(DIRECTORY).filter((name) => name.endsWith('.vectors'));
/** Every how manieth vector is run again. */
const SAMPLE = 10;

describe('stored sets', () => {
  for (const name of SETS) {
    const { header, vectors } = decodeVectors(readFileSync(new URL(name, DIRECTORY)));
    const unavailable = nativeUnavailable();
    const skip = unavailable ?? (processorName() === header.processor ? false : `made on ${header.processor}`);

    const { modes = [64, 32] } = JSON.parse(header.generator) as { modes?: Mode[] };
    test(`${name} holds vectors of mode ${modes.join(' and ')}`, () => {
      assert.ok(vectors.length > 1000);
      assert.deepEqual(new Set(vectors.map(({ testCase }) => testCase.mode)), new Set(modes));
    });

    test(`${name} is what this processor does`, { skip }, async () => {
      const sample = vectors.filter((_, i) => i % SAMPLE === 0);
      const cases = sample.map(({ testCase }) => testCase);
      const results = await runNative(cases);
      const byCase = new Map<Case, Result>(cases.map((testCase, i) => [testCase, results[i]]));
      const failures = replay(sample, { run: (testCase) => byCase.get(testCase) as Result }, { x87Pointers: true });
      assert.deepEqual(failures, []);
    });
  }
});
