import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { parseMachineTime, parseProcessTime, processorSlug } from './host.ts';

describe('processor time', () => {
  test('of the machine: all but idle, waiting and stolen time', () => {
    const stat = 'cpu  100 20 30 5000 600 7 8 900 0 0\ncpu0 1 1 1 1 1 1 1 1 0 0\nintr 5\n';
    assert.equal(parseMachineTime(stat), 1.65);
    assert.equal(parseMachineTime('intr 5\n'), undefined);
  });

  test('of a process: its own and its ended children, whatever its name', () => {
    const stat = '12 (a) b (c) S 1 12 12 0 -1 4194304 100 0 0 0 150 50 25 5 20 0 1 0 12345 1000 10';
    assert.equal(parseProcessTime(stat), 2.3);
    assert.equal(parseProcessTime('12 (x) S 1'), undefined);
  });
});

test('a processor as part of a file name', () => {
  assert.equal(processorSlug('AMD EPYC 7763 64-Core Processor'), 'amd-epyc-7763-64-core');
  assert.equal(processorSlug('Intel(R) Core(TM) i7-8550U CPU @ 1.80GHz'), 'intel-core-i7-8550u');
  assert.equal(processorSlug(''), 'unknown');
});
