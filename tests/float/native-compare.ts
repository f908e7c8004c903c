/**
 * Compares the floating-point instructions with the host's processor, in bulk (x86-64 with gcc only).
 * Usage: native-compare.ts [cases per instruction] [instruction name prefix] [seed] [--strict]
 * With --strict, transcendental results that differ in the last place count too.
 */
import { parseArgs } from 'node:util';
import { NativeProcessor } from './native.ts';
import { Generator } from './operands.ts';
import { SSE_SUITE } from './sse-suite.ts';
import { type Row, type Suite, sameBytes } from './suite.ts';
import { X87_SUITE } from './x87-suite.ts';

const DEFAULT_CASES = 1000;
const DEFAULT_SEED = 1985;
/** Differences shown in full, per instruction. */
const SHOWN = 2;

const { values, positionals } = parseArgs({
  options: { strict: { type: 'boolean', default: false } },
  allowPositionals: true,
});
const [cases = DEFAULT_CASES, prefix = '', seed = DEFAULT_SEED] = positionals;
const native = new NativeProcessor();
const generator = new Generator(Number(seed));
const totals = { compared: 0, near: 0, different: 0 };

function compare<R extends Row>(suite: Suite<R>, row: R): void {
  const records = Array.from({ length: Number(cases) }, () => suite.record(generator, row));
  const [results] = native.run([{ code: row.code, records }]);
  let different = 0;
  records.forEach((before, index) => {
    totals.compared++;
    const after = suite.execute(row, before);
    const ours = suite.result(after, row);
    const theirs = suite.result(results[index], row);
    if (sameBytes(ours, theirs)) return;
    if (row.approximate && !values.strict && suite.nearlyEqual(ours, theirs)) {
      totals.near++;
      return;
    }
    if (different++ >= SHOWN) return;
    console.log(`${row.name}\n  before ${suite.describe(before, row)}`);
    console.log(`  native ${suite.describe(results[index], row)}\n  ours   ${suite.describe(after, row)}`);
  });
  if (different > 0) console.log(`${row.name}: ${different} of ${records.length} differ`);
  totals.different += different;
}

for (const row of SSE_SUITE.rows) if (row.name.startsWith(prefix)) compare(SSE_SUITE, row);
for (const row of X87_SUITE.rows) if (row.name.startsWith(prefix)) compare(X87_SUITE, row);
native.close();
console.log(
  `${totals.compared} compared, ${totals.different} differences, ${totals.near} approximate results in the last place`,
);
process.exitCode = totals.different === 0 ? 0 : 1;
