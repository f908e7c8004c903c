import assert from 'node:assert/strict';
import { test } from 'node:test';
import { IoSpaceMap } from '../../bus/io-space.ts';
import { SILENT } from '../../bus/log.ts';
import { attachPort92 } from './device.ts';
import { Port92 } from './model.ts';

test('port 0x92 gates A20 and resets on a rising edge', () => {
  const events: string[] = [];
  const port92 = new Port92({ a20: (enabled) => events.push(`a20 ${enabled}`), reset: () => events.push('reset') });
  const space = new IoSpaceMap(SILENT);
  attachPort92(space, port92);
  assert.equal(space.readPort(0x92, 1), 0x02);
  space.writePort(0x92, 1, 0x02);
  assert.deepEqual(events, []);
  space.writePort(0x92, 1, 0x00);
  space.writePort(0x92, 1, 0x03);
  space.writePort(0x92, 1, 0x03);
  assert.deepEqual(events, ['a20 false', 'a20 true', 'reset']);
  port92.setA20(false);
  assert.equal(space.readPort(0x92, 1), 0x01);
  const copy = new Port92({ a20: () => assert.fail(), reset: () => assert.fail() });
  copy.restore(port92.save());
  assert.equal(copy.read(), 0x01);
  copy.reset();
  assert.equal(copy.read(), 0x02);
});
