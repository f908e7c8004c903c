import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import {
  checksumProblem,
  formatNumber,
  formatTable,
  geometricMean,
  median,
  resultRows,
  type Samples,
  spread,
} from './statistics.ts';

describe('statistics', () => {
  test('median: the middle one, whatever the order; of an even number the mean of two', () => {
    assert.equal(median([3]), 3);
    assert.equal(median([10, 1, 2]), 2);
    assert.equal(median([4, 1, 3, 100]), 3.5);
    assert.throws(() => median([]), RangeError);
  });

  test('median sorts as numbers and leaves its argument alone', () => {
    const values = [10, 9, 100];
    assert.equal(median(values), 10);
    assert.deepEqual(values, [10, 9, 100]);
  });

  test('spread: range over median', () => {
    assert.equal(spread([2]), 0);
    assert.equal(spread([1, 2, 4]), 1.5);
    assert.equal(spread([0, 0]), 0);
  });

  test('geometric mean', () => {
    assert.ok(Math.abs(geometricMean([0.5, 2, 8]) - 2) < 1e-12);
    assert.throws(() => geometricMean([]), RangeError);
  });
});

describe('result rows', () => {
  const samples = new Map<string, Samples>([
    [
      'a',
      new Map([
        ['qemu', [4, 2, 3]],
        ['testudo', [1, 2, 1.5]],
        ['native', [1]],
      ]),
    ],
    [
      'b',
      new Map([
        ['qemu', []],
        ['testudo', [1]],
      ]),
    ],
    [
      'c',
      new Map([
        ['qemu', [1]],
        ['testudo', []],
      ]),
    ],
  ]);

  test('a ratio above 1: faster than the reference', () => {
    const [row] = resultRows(samples, 'qemu', ['testudo']);
    assert.deepEqual(
      [...row.medians],
      [
        ['qemu', 3],
        ['testudo', 1.5],
        ['native', 1],
      ],
    );
    assert.deepEqual([...row.ratios], [['testudo', 2]]);
  });

  test('no ratio where one of the two is missing', () => {
    const [, b, c] = resultRows(samples, 'qemu', ['testudo']);
    assert.deepEqual([...b.medians], [['testudo', 1]]);
    assert.deepEqual([...b.ratios], []);
    assert.deepEqual([...c.ratios], []);
  });
});

describe('checksums', () => {
  const seen = (...entries: [string, string[]][]) => new Map(entries.map(([system, sums]) => [system, new Set(sums)]));

  test('alike and as expected: no problem', () => {
    assert.equal(checksumProblem(seen(['qemu', ['1f']], ['testudo', ['1f']]), '1f'), undefined);
    assert.equal(checksumProblem(seen(['qemu', ['1f']], ['testudo', ['1f']]), undefined), undefined);
    assert.equal(checksumProblem(seen(), '1f'), undefined);
  });

  test('alike but wrong', () => {
    assert.match(checksumProblem(seen(['qemu', ['1f']]), '2f') ?? '', /qemu 1f; must be 2f/);
  });

  test('only what is wrong is named where the right one is known', () => {
    const problem = checksumProblem(seen(['qemu', ['1f']], ['testudo', ['1f', '3']]), '1f');
    assert.equal(problem, 'testudo 1f and 3; must be 1f');
  });

  test('different, and none is known to be right', () => {
    assert.equal(checksumProblem(seen(['qemu', ['1f']], ['testudo', ['2f']]), undefined), 'qemu 1f, testudo 2f');
    assert.equal(checksumProblem(seen(['testudo', ['1', '2']]), undefined), 'testudo 1 and 2');
  });
});

describe('text', () => {
  test('three significant digits', () => {
    assert.equal(formatNumber(0), '0');
    assert.equal(formatNumber(0.01234), '0.0123');
    assert.equal(formatNumber(1), '1.00');
    assert.equal(formatNumber(12.345), '12.3');
    assert.equal(formatNumber(1234.5), '1235');
    assert.equal(formatNumber(0.0000001), '0.000000');
  });

  test('columns: first to the left, others to the right; short rows', () => {
    assert.equal(
      formatTable([['name', 'a', 'b'], ['x', '1.5', '10'], ['long name']]),
      'name         a   b\nx          1.5  10\nlong name\n',
    );
    assert.equal(formatTable([]), '\n');
  });
});
