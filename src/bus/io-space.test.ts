import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { bytePorts, IoSpaceMap, readDwordRegisters } from './io-space.ts';
import type { Log } from './log.ts';
import type { MmioDevice, PortDevice } from './ports.ts';

function recordingLog(): Log & { lines: string[] } {
  const lines: string[] = [];
  return { lines, enabled: () => true, write: (_topic, message) => lines.push(message) };
}

/** Registers each access and reads its own bytes as `first`, `first + 1`, ... */
function recorder(first: number) {
  const accesses: string[] = [];
  const read = (at: number, size: number) => {
    accesses.push(`r${size}@${at.toString(16)}`);
    let value = 0;
    for (let i = size - 1; i >= 0; i--) value = value * 256 + ((first + at + i) & 0xff);
    return value;
  };
  const write = (at: number, size: number, value: number) => {
    accesses.push(`w${size}@${at.toString(16)}=${value.toString(16)}`);
  };
  return { accesses, readPort: read, readMmio: read, writePort: write, writeMmio: write } satisfies PortDevice &
    MmioDevice & { accesses: string[] };
}

describe('ports', () => {
  test('reach their device at their own size', () => {
    const space = new IoSpaceMap(recordingLog());
    const device = recorder(0);
    space.attachPorts(0x40, 4, device);
    assert.equal(space.readPort(0x40, 4), 0x43424140);
    space.writePort(0x42, 2, 0x12345);
    assert.deepEqual(device.accesses, ['r4@40', 'w2@42=2345']);
  });

  test('unclaimed ports read all ones and log one line each', () => {
    const log = recordingLog();
    const space = new IoSpaceMap(log);
    assert.equal(space.readPort(0x80, 1), 0xff);
    assert.equal(space.readPort(0x80, 2), 0xffff);
    assert.equal(space.readPort(0xffff, 4), 0xffff_ffff);
    space.writePort(0x80, 1, 3);
    assert.equal(log.lines.length, 2);
    assert.match(log.lines[0], /0x80/);
  });

  test('an access that straddles devices is split into bytes', () => {
    const space = new IoSpaceMap(recordingLog());
    const a = recorder(0);
    const b = recorder(0);
    space.attachPorts(0x60, 1, a);
    space.attachPorts(0x61, 1, b);
    assert.equal(space.readPort(0x60, 4), 0xffff_6160);
    space.writePort(0x60, 2, 0xbbaa);
    assert.deepEqual(a.accesses, ['r1@60', 'w1@60=aa']);
    assert.deepEqual(b.accesses, ['r1@61', 'w1@61=bb']);
    const wrap = recorder(0);
    space.attachPorts(0xffff, 1, wrap);
    assert.equal(space.readPort(0xffff, 2), 0xffff);
    assert.deepEqual(wrap.accesses, ['r1@ffff']);
  });

  test('overlapping attachments throw, detaching frees the range', () => {
    const space = new IoSpaceMap(recordingLog());
    const attachment = space.attachPorts(0x3f8, 8, recorder(0));
    assert.throws(() => space.attachPorts(0x3ff, 1, recorder(0)), /already belongs/);
    attachment.detach();
    const second = recorder(0);
    space.attachPorts(0x3f8, 8, second);
    attachment.detach();
    space.readPort(0x3f8, 1);
    assert.equal(second.accesses.length, 1, 'detaching twice does not detach the successor');
    assert.throws(() => space.attachPorts(0xffff, 2, recorder(0)), RangeError);
  });

  test('bytePorts turns a word into two bytes', () => {
    const writes: string[] = [];
    const device = bytePorts(
      (port) => port & 0xff,
      (port, value) => writes.push(`${port.toString(16)}=${value.toString(16)}`),
    );
    device.writePort(0x70, 2, 0x5a0f);
    assert.deepEqual(writes, ['70=f', '71=5a']);
    assert.equal(device.readPort(0xfc, 4), 0xfffefdfc);
  });
});

describe('memory regions', () => {
  test('are found among many, by offset', () => {
    const space = new IoSpaceMap(recordingLog());
    const devices = Array.from({ length: 20 }, (_, i) => {
      const device = recorder(0);
      space.attachMmio(0xe000_0000 + i * 0x3000, 0x1000, device);
      return device;
    });
    for (let i = 19; i >= 0; i--) space.readMmio(0xe000_0000 + i * 0x3000 + 8, 4);
    for (const device of devices) assert.deepEqual(device.accesses, ['r4@8']);
    assert.equal(space.findMmio(0xe000_1000), undefined);
    assert.equal(space.overlapsMmio(0xe000_0fff, 2), true);
    assert.equal(space.overlapsMmio(0xe000_1000, 0x2000), false);
    assert.equal(space.overlapsMmio(0xe000_1000, 0x2001), true);
  });

  test('eight bytes are two accesses, low half first', () => {
    const space = new IoSpaceMap(recordingLog());
    const device = recorder(0);
    space.attachMmio(0x1_0000_0000, 0x100, device);
    assert.equal(space.readMmio64(0x1_0000_0000), 0x0706050403020100n);
    space.writeMmio64(0x1_0000_0010, 0x1122334455667788n);
    assert.deepEqual(device.accesses, ['r4@0', 'r4@4', 'w4@10=55667788', 'w4@14=11223344']);
  });

  test('an access over the end of a region is split into bytes', () => {
    const log = recordingLog();
    const space = new IoSpaceMap(log);
    const device = recorder(0);
    space.attachMmio(0x1000, 0x10, device);
    assert.equal(space.readMmio(0x100e, 4), 0xffff_0f0e);
    space.writeMmio(0x0fff, 2, 0xaabb);
    assert.deepEqual(device.accesses, ['r1@e', 'r1@f', 'w1@0=aa']);
    assert.equal(log.lines.length, 3);
  });

  test('unclaimed addresses read all ones; the log stays bounded', () => {
    const log = recordingLog();
    const space = new IoSpaceMap(log);
    for (let i = 0; i < 3000; i++) assert.equal(space.readMmio(0xf000_0000 + i * 4, 4), 0xffff_ffff);
    space.readMmio(0xf000_0000, 4);
    assert.equal(log.lines.length, 1024);
    assert.match(log.lines[1023], /not logged/);
  });

  test('overlap throws; a moved region leaves nothing behind', () => {
    const space = new IoSpaceMap(recordingLog());
    const device = recorder(0);
    const attachment = space.attachMmio(0x2000, 0x1000, device);
    assert.throws(() => space.attachMmio(0x1000, 0x1001, device), /overlaps/);
    assert.throws(() => space.attachMmio(0x2fff, 1, device), /overlaps/);
    space.readMmio(0x2000, 1);
    attachment.detach();
    assert.equal(space.readMmio(0x2000, 1), 0xff);
  });
});

test('dword registers give up their bytes at any offset and size', () => {
  const read = (offset: number) => (offset === 0 ? 0x44332211 : 0x88776655);
  assert.equal(readDwordRegisters(read, 1, 1), 0x22);
  assert.equal(readDwordRegisters(read, 2, 2), 0x4433);
  assert.equal(readDwordRegisters(read, 3, 4), 0x77665544);
  assert.equal(readDwordRegisters(read, 4, 4), 0x88776655);
});
