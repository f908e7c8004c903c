import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseLogTopics } from './log.ts';
import { parseMemorySize } from './units.ts';

const MIB = 2 ** 20;

test('sizes of memory', () => {
  const CASES: readonly (readonly [string, number])[] = [
    ['2M', 2 * MIB],
    ['512', 512 * MIB],
    ['512m', 512 * MIB],
    ['1G', 1024 * MIB],
    ['1.5G', 1536 * MIB],
    ['1GiB', 1024 * MIB],
    ['1GB', 1024 * MIB],
    ['4096K', 4 * MIB],
  ];
  for (const [text, bytes] of CASES) assert.equal(parseMemorySize(text), bytes, text);
  for (const text of ['', 'M', '-1M', '1T', '1 G', '0x10', '1M', '0', '2.0001M', '4097K', '1e9', 'NaN']) {
    assert.throws(() => parseMemorySize(text), { code: 'commander.invalidArgument' }, text);
  }
});

test('log topics', () => {
  assert.deepEqual(parseLogTopics('exit,svm'), ['exit', 'svm']);
  assert.deepEqual(parseLogTopics('none'), []);
  assert.ok((parseLogTopics('all') ?? []).includes('interrupt'));
  for (const text of ['', 'exit,', 'frob', 'exit,all', 'toString']) assert.equal(parseLogTopics(text), undefined, text);
});
