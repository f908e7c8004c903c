import assert from 'node:assert/strict';
import { test } from 'node:test';
import { TestIoSpace } from '../test-bench.ts';
import { attachResetControl } from './device.ts';
import { ResetControl } from './model.ts';

test('RST_CPU resets the processor or the system', () => {
  const resets: string[] = [];
  const control = new ResetControl((kind) => resets.push(kind));
  const space = new TestIoSpace();
  attachResetControl(space, control);
  space.out(0xcf9, 0x02);
  assert.deepEqual(resets, []);
  assert.equal(space.in(0xcf9), 0x02);
  space.out(0xcf9, 0x06);
  space.out(0xcf9, 0x04);
  space.out(0xcf9, 0x0e);
  assert.deepEqual(resets, ['system', 'processor', 'system']);
  const copy = new ResetControl(() => assert.fail());
  copy.restore(control.save());
  assert.equal(copy.read(), 0x0a);
  copy.reset();
  assert.equal(copy.read(), 0);
});
