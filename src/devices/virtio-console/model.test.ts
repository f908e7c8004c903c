import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { TestStream } from '../test-bench.ts';
import { FEATURE } from '../virtio/model.ts';
import { TestDriver, virtioBench } from '../virtio/test-driver.ts';
import { virtioConsolePci } from './device.ts';
import { CONSOLE_FEATURE } from './model.ts';

const BUFFER = 0x10_0000;

function bench() {
  const parts = virtioBench();
  const stream = new TestStream();
  return { ...parts, stream, driver: new TestDriver(parts, virtioConsolePci(parts.wiring, stream)) };
}

describe('output', () => {
  test('passes bytes on in order', () => {
    const { driver, memory, stream } = bench();
    driver.start();
    memory.write(BUFFER, new TextEncoder().encode('hello world'));
    driver.offer(1, [
      { address: BUFFER, length: 6 },
      { address: BUFFER + 6, length: 5 },
    ]);
    assert.equal(stream.text, 'hello world');
    assert.deepEqual(driver.used(1), [{ head: 0, length: 0 }]);
  });

  test('emergency writes need no queue', () => {
    const { driver, stream } = bench();
    driver.writeConfig(8, 0x21, 4);
    assert.equal(stream.text, '!');
  });
});

describe('input', () => {
  test('waits for buffers and fills them one after the other', () => {
    const { driver, memory, stream, line } = bench();
    stream.type('before the driver');
    driver.start();
    driver.offer(0, [{ address: BUFFER, length: 6, write: true }], { head: 0 });
    driver.offer(0, [{ address: BUFFER + 0x100, length: 64, write: true }], { head: 1 });
    assert.deepEqual(driver.used(0), [
      { head: 0, length: 6 },
      { head: 1, length: 11 },
    ]);
    assert.equal(new TextDecoder().decode(memory.read(BUFFER + 0x100, 11)), ' the driver');
    assert.equal(line.level, true);
    driver.offer(0, [{ address: BUFFER, length: 6, write: true }], { head: 2 });
    assert.deepEqual(driver.used(0), []);
    stream.type('x');
    assert.deepEqual(driver.used(0), [{ head: 2, length: 1 }]);
  });
});

test('a driver that starts is told to look at the terminal size', () => {
  const { driver, line } = bench();
  driver.start(FEATURE.VERSION_1 | CONSOLE_FEATURE.SIZE);
  assert.equal(line.level, true);
  assert.equal(driver.readIsr(), 2);
  driver.status = 0xf; // once more: nothing starts
  assert.equal(line.level, false);
});

test('the terminal size is configuration, and changes interrupt', () => {
  const { driver, stream, line } = bench();
  driver.start(FEATURE.VERSION_1 | CONSOLE_FEATURE.SIZE);
  assert.deepEqual([driver.readConfig(0, 2), driver.readConfig(2, 2), driver.readConfig(4, 4)], [80, 25, 1]);
  assert.equal(driver.readIsr(), 2);
  const generation = driver.read(0x15, 1);
  stream.resize(132, 50);
  assert.equal(line.level, true);
  assert.equal(driver.readIsr(), 2);
  assert.deepEqual([driver.readConfig(0, 4), driver.read(0x15, 1)], [(50 << 16) | 132, generation + 1]);
  assert.equal(driver.readConfig(100, 4), 0);
});

test('a snapshot keeps input that waits', () => {
  const first = bench();
  first.stream.type('later');
  first.stream.resize(100, 40);
  const second = bench();
  second.driver.device.restore(JSON.parse(JSON.stringify(first.driver.device.save())));
  second.driver.start();
  second.driver.offer(0, [{ address: BUFFER, length: 16, write: true }]);
  assert.deepEqual(second.driver.used(0), [{ head: 0, length: 5 }]);
  assert.equal(second.driver.readConfig(0, 2), 100);
});
