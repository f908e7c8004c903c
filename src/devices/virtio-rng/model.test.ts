import assert from 'node:assert/strict';
import { test } from 'node:test';
import { TestDriver, virtioBench } from '../virtio/test-driver.ts';
import { virtioRngPci } from './device.ts';

test('fills buffers wherever they are cut, at most 64 KiB for a request', () => {
  const bench = virtioBench();
  const sizes: number[] = [];
  const driver = new TestDriver(
    bench,
    virtioRngPci(bench.wiring, {
      fill: (target) => {
        sizes.push(target.length);
        target.fill(0x5a);
      },
    }),
  );
  driver.start();
  driver.offer(0, [
    { address: 0x10_0000, length: 3, write: true },
    { address: 0x11_0000, length: 0, write: true },
    { address: 0x12_0000, length: 2, write: true },
  ]);
  assert.deepEqual(driver.used(0), [{ head: 0, length: 5 }]);
  assert.deepEqual([...bench.memory.bytes.subarray(0x12_0000, 0x12_0003)], [0x5a, 0x5a, 0]);
  driver.offer(0, [{ address: 0x10_0000, length: 0x8_0000, write: true }]);
  assert.deepEqual(driver.used(0), [{ head: 0, length: 0x1_0000 }]);
  driver.offer(0, [{ address: 0x10_0000, length: 8 }]);
  assert.deepEqual(driver.used(0), [{ head: 0, length: 0 }]);
  assert.deepEqual(sizes, [5, 0x1_0000, 0]);
});
