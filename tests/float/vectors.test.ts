/** Every floating-point instruction against results recorded from a real processor: values, flags, register stack, memory. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { SSE_SUITE } from './sse-suite.ts';
import { type Row, type Suite, sameBytes } from './suite.ts';
import { CASES_PER_ROW, changes, generatorFor, readVectors, unpack } from './vectors.ts';
import { X87_SUITE } from './x87-suite.ts';

const vectors = readVectors();

function check<R extends Row>(suite: Suite<R>, row: R): void {
  const encoded = vectors[suite.name]?.[row.name];
  assert.ok(encoded, `no vectors for ${row.name}: run record-vectors.ts on an x86-64 host`);
  const recorded = unpack(encoded);
  const size = recorded.length / CASES_PER_ROW;
  const generator = generatorFor(row.name);
  for (let i = 0; i < CASES_PER_ROW; i++) {
    const before = suite.record(generator, row);
    const after = suite.execute(row, before);
    const ours = suite.result(after, row);
    const theirs = changes(suite.result(before, row), recorded.slice(i * size, (i + 1) * size));
    const agree = sameBytes(ours, theirs) || (row.approximate === true && suite.nearlyEqual(ours, theirs));
    assert.ok(
      agree,
      `${row.name} case ${i}\n before ${suite.describe(before, row)}\n after  ${suite.describe(after, row)}\n` +
        ` ours     ${Buffer.from(ours).toString('hex')}\n recorded ${Buffer.from(theirs).toString('hex')}`,
    );
  }
}

function checkAll<R extends Row>(suite: Suite<R>): void {
  describe(`${suite.name} instructions agree with a processor`, () => {
    for (const row of suite.rows) test(row.name, () => check(suite, row));
  });
}

checkAll(SSE_SUITE);
checkAll(X87_SUITE);
