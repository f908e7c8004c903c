import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { virtioRngPci } from '../virtio-rng/device.ts';
import { FEATURE } from './model.ts';
import { TestDriver, virtioBench } from './test-driver.ts';

const NEEDS_RESET = 0x40;
const BUFFER = 0x10_0000;

function rng() {
  const bench = virtioBench();
  let next = 1;
  const entropy = {
    fill(target: Uint8Array) {
      for (let index = 0; index < target.length; index++) target[index] = next++ & 0xff;
    },
  };
  const driver = new TestDriver(bench, virtioRngPci(bench.wiring, entropy));
  return { bench, driver };
}

describe('transport', () => {
  test('is a modern virtio function', () => {
    const { driver } = rng();
    assert.equal(driver.device.pci.read(0, 4), 0x1044_1af4);
    assert.equal(driver.device.pci.read(0x08, 4), 0x00ff_0001);
    assert.equal(driver.device.pci.read(0x2c, 4), 0x1100_1af4);
    assert.equal(driver.read(0x12, 2), 1);
    assert.equal(driver.read(0x18, 2), 8);
  });

  test('negotiates: offered bits accepted, unknown ones and a missing VERSION_1 refused', () => {
    const { driver } = rng();
    driver.write(0x00, 1, 4);
    assert.equal(driver.read(0x04, 4), 1);
    driver.write(0x00, 0, 4);
    assert.equal(driver.read(0x04, 4), 0x3000_0000);
    driver.start(FEATURE.VERSION_1 | FEATURE.EVENT_IDX | FEATURE.INDIRECT_DESC);
    assert.equal(driver.status, 0xf);
    assert.throws(() => driver.start(FEATURE.EVENT_IDX), /features refused/);
    assert.throws(() => driver.start(FEATURE.VERSION_1 | 2n), /features refused/);
    driver.write(0x00, 9, 4);
    assert.equal(driver.read(0x04, 4), 0);
  });

  test('serves a request and interrupts by INTx until the ISR is read', () => {
    const { bench, driver } = rng();
    driver.start();
    driver.offer(0, [{ address: BUFFER, length: 4, write: true }]);
    assert.deepEqual(driver.used(0), [{ head: 0, length: 4 }]);
    assert.deepEqual([...bench.memory.bytes.subarray(BUFFER, BUFFER + 5)], [1, 2, 3, 4, 0]);
    assert.equal(bench.line.level, true);
    assert.equal(driver.readIsr(), 1);
    assert.equal(bench.line.level, false);
    assert.equal(driver.readIsr(), 0);
  });

  test('serves what was offered before DRIVER_OK', () => {
    const { driver } = rng();
    driver.start();
    driver.status = 0;
    driver.status = 3;
    driver.write(0x08, 1, 4);
    driver.write(0x0c, 1, 4);
    driver.status = 0xb;
    driver.setUpQueue(0);
    driver.offer(0, [{ address: BUFFER, length: 1, write: true }]);
    assert.deepEqual(driver.used(0), []);
    driver.status = 0xf;
    assert.deepEqual(driver.used(0), [{ head: 0, length: 1 }]);
  });

  test('does nothing without bus mastering', () => {
    const { driver } = rng();
    driver.start();
    driver.device.pci.write(0x04, 2, 2);
    driver.offer(0, [{ address: BUFFER, length: 1, write: true }]);
    assert.deepEqual(driver.used(0), []);
  });

  test('sends MSI-X messages instead, by the vector of the queue', () => {
    const { bench, driver } = rng();
    driver.start();
    driver.enableMsix(2);
    driver.write(0x16, 0, 2);
    driver.write(0x1a, 1, 2);
    assert.equal(driver.read(0x1a, 2), 1);
    driver.write(0x10, 7, 2);
    assert.equal(driver.read(0x10, 2), 0xffff, 'a vector that does not exist');
    driver.offer(0, [{ address: BUFFER, length: 1, write: true }]);
    assert.deepEqual(bench.messages.messages, [{ address: 0xfee0_0000, data: 0x41 }]);
    assert.equal(bench.line.edges, 0);
    assert.equal(driver.readIsr(), 0);
  });

  test('suppresses interrupts by flag', () => {
    const { bench, driver } = rng();
    driver.start();
    bench.memory.writeU16(driver.parts(0).available, 1);
    driver.offer(0, [{ address: BUFFER, length: 1, write: true }]);
    assert.equal(bench.line.level, false);
  });

  test('suppresses interrupts and notifications by event index', () => {
    const { bench, driver } = rng();
    driver.start(FEATURE.VERSION_1 | FEATURE.EVENT_IDX);
    const { available, used } = driver.parts(0);
    const usedEvent = available + 4 + 2 * 8;
    bench.memory.writeU16(usedEvent, 1); // interrupt after the second
    driver.offer(0, [{ address: BUFFER, length: 1, write: true }]);
    assert.equal(bench.line.level, false);
    assert.equal(bench.memory.readU16(used + 4 + 8 * 8), 1, 'notify at the next buffer');
    driver.offer(0, [{ address: BUFFER, length: 1, write: true }]);
    assert.equal(bench.line.level, true);
  });

  test('indices wrap around', () => {
    const { driver } = rng();
    driver.start();
    for (let round = 0; round < 70_000; round += 7) {
      for (let chain = 0; chain < 7; chain++)
        driver.offer(0, [{ address: BUFFER, length: 1, write: true }], { head: chain, notify: chain === 6 });
      assert.equal(driver.used(0).length, 7);
    }
  });

  test('firmware reaches the structures through configuration space', () => {
    const { driver } = rng();
    const { pci } = driver.device;
    let window = pci.read(0x34, 1);
    while (pci.read(window + 3, 1) !== 5 || pci.read(window, 1) !== 9) window = pci.read(window + 1, 1);
    const access = (offset: number, size: number) => {
      pci.write(window + 4, 1, 4);
      pci.write(window + 8, 4, offset);
      pci.write(window + 12, 4, size);
    };
    access(0x12, 2);
    assert.equal(pci.read(window + 16, 2), 1);
    access(0x14, 1);
    pci.write(window + 16, 1, 3);
    assert.equal(driver.status, 3);
    access(0x5000, 4);
    pci.write(window + 16, 4, 1);
    access(0x14, 3);
    pci.read(window + 16, 4);
  });

  test('a bus reset takes everything back', () => {
    const { bench, driver } = rng();
    const powerOn = JSON.stringify(driver.device.save());
    driver.start();
    driver.enableMsix(2);
    driver.device.pci.write(0x42, 2, 0);
    driver.offer(0, [{ address: BUFFER, length: 1, write: true }]);
    assert.equal(bench.line.level, true);
    bench.bus.reset();
    assert.equal(bench.line.level, false);
    assert.equal(bench.space.regions.length, 0);
    driver.place();
    assert.equal(JSON.stringify(driver.device.save()), powerOn);
  });

  test('a snapshot in mid-flight continues on a fresh device', () => {
    const first = rng();
    first.driver.start(FEATURE.VERSION_1 | FEATURE.EVENT_IDX);
    first.driver.offer(0, [{ address: BUFFER, length: 1, write: true }]);
    first.driver.offer(0, [{ address: BUFFER, length: 2, write: true }], { notify: false });
    const second = rng();
    second.bench.memory.bytes.set(first.bench.memory.bytes);
    second.driver.device.restore(JSON.parse(JSON.stringify(first.driver.device.save())));
    assert.equal(second.bench.line.level, true);
    assert.deepEqual(second.driver.device.save(), first.driver.device.save());
    second.driver.notify(0);
    assert.equal(second.bench.memory.readU16(second.driver.parts(0).used + 2), 2);
  });
});

describe('a driver that breaks the rules gets DEVICE_NEEDS_RESET and one log line', () => {
  const cases: [string, (driver: TestDriver) => void, RegExp][] = [
    [
      'a chain that loops',
      (driver) => driver.describe(driver.parts(0).descriptors, 0, { address: BUFFER, length: 1, write: true }, 0),
      /loops/,
    ],
    [
      'a next index outside the table',
      (driver) => driver.describe(driver.parts(0).descriptors, 0, { address: BUFFER, length: 1, write: true }, 99),
      /descriptor 99/,
    ],
    [
      'readable after writable',
      (driver) => {
        const { descriptors } = driver.parts(0);
        driver.describe(descriptors, 0, { address: BUFFER, length: 1, write: true }, 1);
        driver.describe(descriptors, 1, { address: BUFFER, length: 1 });
      },
      /readable buffer after/,
    ],
    [
      'an indirect table of odd length',
      (driver) => driver.describe(driver.parts(0).descriptors, 0, { address: BUFFER, length: 17, indirect: true }),
      /indirect table/,
    ],
    [
      'nested indirect tables',
      (driver) => {
        driver.describe(driver.parts(0).descriptors, 0, { address: BUFFER, length: 16, indirect: true });
        driver.describe(BUFFER, 0, { address: BUFFER, length: 16, indirect: true });
      },
      /inside an indirect/,
    ],
    [
      'an impossible address',
      (driver) => {
        driver.describe(driver.parts(0).descriptors, 0, { address: 0, length: 16 });
        driver.bench.memory.writeU64(driver.parts(0).descriptors, 0xffff_ffff_ffff_f000n);
      },
      /not guest-physical/,
    ],
    [
      'too many bytes',
      (driver) => {
        const { descriptors } = driver.parts(0);
        driver.describe(descriptors, 0, { address: BUFFER, length: 0xffff_ffff, write: true });
      },
      /more than/,
    ],
  ];
  for (const [name, damage, message] of cases) {
    test(name, () => {
      const { bench, driver } = rng();
      driver.start();
      damage(driver);
      driver.makeAvailable(0, 0);
      driver.notify(0);
      assert.equal(driver.status & NEEDS_RESET, NEEDS_RESET);
      assert.equal(bench.log.lines.length, 1);
      assert.match(bench.log.lines[0].message, message);
      assert.equal(driver.readIsr() & 2, 2);
      driver.notify(0);
      assert.equal(bench.log.lines.length, 1, 'stays quiet until it is reset');
      driver.start();
      driver.offer(0, [{ address: BUFFER, length: 1, write: true }]);
      assert.equal(driver.used(0).length, 1);
    });
  }

  test('an available index too far ahead', () => {
    const { bench, driver } = rng();
    driver.start();
    bench.memory.writeU16(driver.parts(0).available + 2, 9);
    driver.notify(0);
    assert.match(bench.log.lines[0].message, /9 entries ahead/);
  });

  test('a queue size that is not a power of two', () => {
    const { bench, driver } = rng();
    driver.status = 3;
    driver.queueSize = 6;
    driver.setUpQueue(0);
    assert.match(bench.log.lines[0].message, /queue size 6/);
    assert.equal(driver.status & NEEDS_RESET, NEEDS_RESET);
  });
});

test('no combination of register and memory contents makes the device throw', () => {
  const { bench, driver } = rng();
  let state = 4242;
  const random = (limit: number) => {
    state = (Math.imul(state, 1103515245) + 12345) >>> 0;
    return Math.floor((state / 2 ** 32) * limit);
  };
  const SIZES = [1, 2, 4] as const;
  for (let round = 0; round < 3000; round++) {
    if (round % 50 === 0) {
      driver.place();
      driver.start();
    }
    if (round % 7 === 0) driver.device.pci.write(random(256), SIZES[random(3)], random(2 ** 32));
    if (round % 11 === 0) bench.time.advance(1);
    const { descriptors, available } = driver.parts(0);
    for (let damage = 0; damage < 4; damage++) {
      bench.memory.writeU16(descriptors + 2 * random(64), random(0x1_0000));
      bench.memory.writeU16(available + 2 * random(12), random(12));
    }
    driver.notify(random(3));
    const offset = random(0x40);
    if (random(2)) driver.write(offset, random(2 ** 32), SIZES[random(3)]);
    else driver.read(offset, SIZES[random(3)]);
    bench.log.lines.length = 0;
  }
});
