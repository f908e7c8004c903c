/** Writes vectors.json from the host's processor (x86-64 with gcc only). Needed when rows or operands change. */
import { writeFileSync } from 'node:fs';
import { NativeProcessor } from './native.ts';
import { SSE_SUITE } from './sse-suite.ts';
import type { Row, Suite } from './suite.ts';
import { CASES_PER_ROW, changes, generatorFor, pack, VECTORS_FILE, type Vectors } from './vectors.ts';
import { X87_SUITE } from './x87-suite.ts';

const native = new NativeProcessor();
const vectors: Vectors = {};

function record<R extends Row>(suite: Suite<R>): void {
  const batches = suite.rows.map((row) => {
    const generator = generatorFor(row.name);
    return { code: row.code, records: Array.from({ length: CASES_PER_ROW }, () => suite.record(generator, row)) };
  });
  const results = native.run(batches);
  vectors[suite.name] = Object.fromEntries(
    suite.rows.map((row, index) => [
      row.name,
      pack(
        results[index].map((state, at) =>
          changes(suite.result(batches[index].records[at], row), suite.result(state, row)),
        ),
      ),
    ]),
  );
}

record(SSE_SUITE);
record(X87_SUITE);
native.close();
writeFileSync(VECTORS_FILE, `${JSON.stringify(vectors, null, 1)}\n`);
