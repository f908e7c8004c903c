import assert from 'node:assert/strict';
import { test } from 'node:test';
import { RecordingLine, TestIoSpace } from '../test-bench.ts';
import { attachPcTestdev } from './device.ts';
import { PcTestdev } from './model.ts';

function attached() {
  const lines = Array.from({ length: 16 }, () => new RecordingLine());
  const device = new PcTestdev(lines);
  const space = new TestIoSpace();
  attachPcTestdev(space, device);
  return { lines, device, space };
}

test('the scratch register takes accesses of any width', () => {
  const { space } = attached();
  space.out(0xe0, 0x89abcdef, 4);
  assert.equal(space.in(0xe0, 4), 0x89abcdef);
  assert.equal(space.in(0xe1, 1), 0xcd);
  space.out(0xe2, 0x1234, 2);
  assert.equal(space.in(0xe0, 4), 0x1234cdef);
});

test('the memory holds what is written', () => {
  const { space } = attached();
  space.store(0xff00_fffc, 0xfedcba98, 4);
  assert.equal(space.load(0xff00_fffe, 2), 0xfedc);
  space.store(0xff00_ffff, 0x11, 1);
  assert.equal(space.load(0xff00_fffc, 4), 0x11dcba98);
});

test('a port drives its interrupt line', () => {
  const { lines, space } = attached();
  space.out(0x200b, 1, 4);
  assert.equal(lines[11].level, true);
  space.out(0x200b, 0, 4);
  assert.deepEqual([lines[11].level, lines[11].edges, lines[12].edges], [false, 1, 0]);
});

test('reset clears, restore brings back', () => {
  const { lines, device, space } = attached();
  space.out(0xe0, 0x55);
  space.store(0xff00_0010, 7);
  const state = device.save();
  space.out(0x2003, 1);
  device.reset();
  assert.deepEqual([space.in(0xe0), space.load(0xff00_0010), lines[3].level], [0, 0, false]);
  device.restore(state);
  assert.deepEqual([space.in(0xe0), space.load(0xff00_0010)], [0x55, 7]);
});
