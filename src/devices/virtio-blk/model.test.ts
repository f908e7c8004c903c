import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { BlockStore } from '../../bus/streams.ts';
import { FEATURE, WORK_BUDGET } from '../virtio/model.ts';
import { type Buffer, TestDriver, virtioBench } from '../virtio/test-driver.ts';
import { virtioBlockPci } from './device.ts';
import { BLOCK_FEATURE, REQUEST, REQUEST_STATUS } from './model.ts';

const HEADER = 0x10_0000;
const STATUS = 0x10_0100;
const DATA = 0x11_0000;

class ArrayStore implements BlockStore {
  readonly bytes: Uint8Array;
  readonly sectors: number;
  readonly readOnly: boolean;
  flushes = 0;
  broken = false;

  constructor(sectors: number, readOnly = false) {
    this.sectors = sectors;
    this.readOnly = readOnly;
    this.bytes = new Uint8Array(sectors * 512);
  }

  read(sector: number, target: Uint8Array): void {
    if (this.broken) throw new Error('the disk is gone');
    target.set(this.bytes.subarray(sector * 512, sector * 512 + target.length));
  }

  write(sector: number, source: Uint8Array): void {
    this.bytes.set(source, sector * 512);
  }

  flush(): void {
    this.flushes++;
  }
}

function bench(store = new ArrayStore(64)) {
  const parts = virtioBench();
  const driver = new TestDriver(parts, virtioBlockPci(parts.wiring, store, 'disk-0'));
  driver.start();
  const { memory } = parts;
  /** Runs one request; returns its status byte. */
  const request = (type: number, sector: number, data: readonly Buffer[]) => {
    memory.writeU32(HEADER, type);
    memory.writeU32(HEADER + 4, 0);
    memory.writeU64(HEADER + 8, BigInt(sector));
    memory.writeU8(STATUS, 0xee);
    driver.offer(0, [{ address: HEADER, length: 16 }, ...data, { address: STATUS, length: 1, write: true }]);
    return memory.readU8(STATUS);
  };
  return { ...parts, store, driver, request };
}

test('describes itself', () => {
  const { driver } = bench();
  assert.equal(driver.device.pci.read(0, 4), 0x1042_1af4);
  assert.deepEqual([driver.readConfig(0, 4), driver.readConfig(12, 4), driver.readConfig(20, 4)], [64, 254, 512]);
  const readOnly = bench(new ArrayStore(8, true));
  readOnly.driver.write(0, 0, 4);
  assert.equal(readOnly.driver.read(4, 4) & Number(BLOCK_FEATURE.READ_ONLY), Number(BLOCK_FEATURE.READ_ONLY));
});

describe('requests', () => {
  test('write then read back, with buffers cut anywhere', () => {
    const { request, memory, store, driver } = bench();
    for (let index = 0; index < 1024; index++) memory.writeU8(DATA + index, index * 7);
    assert.equal(
      request(REQUEST.OUT, 5, [
        { address: DATA, length: 100 },
        { address: DATA + 100, length: 924 },
      ]),
      REQUEST_STATUS.OK,
    );
    assert.deepEqual(store.bytes.subarray(5 * 512, 7 * 512), memory.bytes.subarray(DATA, DATA + 1024));
    assert.deepEqual(driver.used(0), [{ head: 0, length: 1 }]);
    const back = [
      { address: DATA + 0x1000, length: 1, write: true },
      { address: DATA + 0x1001, length: 1023, write: true },
    ];
    assert.equal(request(REQUEST.IN, 5, back), REQUEST_STATUS.OK);
    assert.deepEqual(memory.bytes.subarray(DATA + 0x1000, DATA + 0x1400), memory.bytes.subarray(DATA, DATA + 0x400));
    assert.deepEqual(driver.used(0), [{ head: 0, length: 1025 }]);
  });

  test('flush, identification, zeroes, unknown types', () => {
    const { request, memory, store } = bench();
    assert.equal(request(REQUEST.FLUSH, 0, []), REQUEST_STATUS.OK);
    assert.equal(store.flushes, 1);
    assert.equal(request(REQUEST.GET_ID, 0, [{ address: DATA, length: 20, write: true }]), REQUEST_STATUS.OK);
    assert.equal(new TextDecoder().decode(memory.read(DATA, 7)), 'disk-0\0');
    store.bytes.fill(1);
    memory.writeU64(DATA, 2n);
    memory.writeU32(DATA + 8, 3);
    assert.equal(request(REQUEST.WRITE_ZEROES, 0, [{ address: DATA, length: 16 }]), REQUEST_STATUS.OK);
    assert.deepEqual(
      [store.bytes[1023], store.bytes[1024], store.bytes[5 * 512 - 1], store.bytes[5 * 512]],
      [1, 0, 0, 1],
    );
    assert.equal(request(99, 0, []), REQUEST_STATUS.UNSUPPORTED);
  });

  test('fail outside the disk, in parts of sectors, and on a read-only disk', () => {
    const { request, log } = bench();
    assert.equal(request(REQUEST.IN, 64, [{ address: DATA, length: 512, write: true }]), REQUEST_STATUS.IO_ERROR);
    assert.equal(request(REQUEST.IN, 2 ** 53, [{ address: DATA, length: 512, write: true }]), REQUEST_STATUS.IO_ERROR);
    assert.equal(request(REQUEST.OUT, 63, [{ address: DATA, length: 1024 }]), REQUEST_STATUS.IO_ERROR);
    assert.equal(request(REQUEST.IN, 0, [{ address: DATA, length: 100, write: true }]), REQUEST_STATUS.IO_ERROR);
    assert.equal(
      bench(new ArrayStore(8, true)).request(REQUEST.OUT, 0, [{ address: DATA, length: 512 }]),
      REQUEST_STATUS.IO_ERROR,
    );
    assert.equal(log.lines.length, 0);
  });

  test('a failing store is an I/O error for the guest and a log line for the user', () => {
    const { request, store, log } = bench();
    store.broken = true;
    assert.equal(request(REQUEST.IN, 3, [{ address: DATA, length: 512, write: true }]), REQUEST_STATUS.IO_ERROR);
    assert.match(log.lines[0].message, /sector 3 failed: the disk is gone/);
  });

  test('header and status may share buffers with the data', () => {
    const { driver, memory } = bench();
    memory.writeU32(HEADER, REQUEST.IN);
    memory.writeU64(HEADER + 8, 0n);
    driver.offer(0, [
      { address: HEADER, length: 16 },
      { address: DATA, length: 513, write: true },
    ]);
    assert.equal(memory.readU8(DATA + 512), REQUEST_STATUS.OK);
    assert.deepEqual(driver.used(0), [{ head: 0, length: 513 }]);
  });

  test('a request without room for a status stops the device', () => {
    const { driver, log } = bench();
    driver.offer(0, [{ address: HEADER, length: 16 }]);
    assert.equal(driver.status & 0x40, 0x40);
    assert.match(log.lines[0].message, /status byte/);
  });
});

test('an indirect chain works as a direct one', () => {
  const { driver, memory, store } = bench();
  driver.start(FEATURE.VERSION_1 | FEATURE.INDIRECT_DESC);
  store.bytes.fill(0x42, 512, 1024);
  memory.writeU32(HEADER, REQUEST.IN);
  memory.writeU64(HEADER + 8, 1n);
  const table = 0x12_0000;
  driver.describe(table, 0, { address: HEADER, length: 16 }, 2);
  driver.describe(table, 2, { address: DATA, length: 512, write: true }, 1);
  driver.describe(table, 1, { address: STATUS, length: 1, write: true });
  driver.offer(0, [{ address: table, length: 48, indirect: true }]);
  assert.deepEqual(driver.used(0), [{ head: 0, length: 513 }]);
  assert.equal(memory.readU8(DATA + 511), 0x42);
});

test('work beyond the budget is left for later', () => {
  const store = new ArrayStore(WORK_BUDGET / 512);
  const { driver, memory, time } = bench(store);
  memory.writeU32(HEADER, REQUEST.IN);
  memory.writeU64(HEADER + 8, 0n);
  // The data buffer runs past the end of memory: what lies there is dropped, but it counts as work.
  const { descriptors } = driver.parts(0);
  driver.describe(descriptors, 0, { address: HEADER, length: 16 }, 1);
  driver.describe(descriptors, 1, { address: DATA, length: WORK_BUDGET, write: true }, 2);
  driver.describe(descriptors, 2, { address: STATUS, length: 1, write: true });
  for (let request = 0; request < 3; request++) driver.makeAvailable(0, 0);
  driver.notify(0);
  assert.equal(driver.used(0).length, 1);
  driver.notify(0);
  assert.equal(driver.used(0).length, 0);
  const saved = JSON.parse(JSON.stringify(driver.device.save()));
  assert.deepEqual(saved.device.backlog, [0]);
  time.advance(1);
  assert.equal(driver.used(0).length, 2);
});
