import assert from 'node:assert/strict';
import { test } from 'node:test';
import { TestIoSpace } from '../test-bench.ts';
import { attachDebugExit } from './device.ts';
import { DebugExit, exitStatus } from './model.ts';

test('a write of any width reports its value', () => {
  const values: number[] = [];
  const space = new TestIoSpace();
  attachDebugExit(space, new DebugExit((value) => values.push(value)));
  space.out(0xf4, 0);
  space.out(0xf4, 0x12345, 4);
  assert.equal(space.in(0xf4), 0);
  assert.deepEqual(values, [0, 0x12345]);
  assert.deepEqual([0, 1, 5, 0x80].map(exitStatus), [1, 3, 11, 1]);
});
