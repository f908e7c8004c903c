import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { IoSpaceMap } from '../../bus/io-space.ts';
import { SILENT } from '../../bus/log.ts';
import { attachIoApic, IO_APIC_BASE } from './device.ts';
import { IoApic } from './model.ts';

function setUp() {
  const sent: string[] = [];
  const ioApic = new IoApic({
    write: (address, data) => sent.push(`${address.toString(16)}:${data.toString(16)}`),
  });
  const space = new IoSpaceMap(SILENT);
  attachIoApic(space, ioApic);
  const read = (register: number) => {
    space.writeMmio(IO_APIC_BASE, 4, register);
    return space.readMmio(IO_APIC_BASE + 0x10, 4);
  };
  const write = (register: number, value: number) => {
    space.writeMmio(IO_APIC_BASE, 4, register);
    space.writeMmio(IO_APIC_BASE + 0x10, 4, value);
  };
  const route = (pin: number, low: number, destination = 0) => {
    write(0x11 + 2 * pin, destination << 24);
    write(0x10 + 2 * pin, low);
  };
  const eoi = (vector: number) => space.writeMmio(IO_APIC_BASE + 0x40, 4, vector);
  const take = () => sent.splice(0);
  return { ioApic, read, write, route, eoi, take };
}

describe('I/O APIC', () => {
  test('identifies itself as on q35, entries start masked', () => {
    const { read, write } = setUp();
    assert.equal(read(1), 0x0017_0020);
    assert.equal(read(0), 0);
    write(0, 0xff00_0000);
    assert.equal(read(0), 0x0f00_0000);
    for (let pin = 0; pin < 24; pin++) assert.equal(read(0x10 + 2 * pin), 0x1_0000);
    assert.equal(read(0x40), 0);
  });

  test('an edge is one message; masked edges are lost', () => {
    const { ioApic, route, take } = setUp();
    const line = ioApic.input(4);
    line.set(true);
    line.set(false);
    route(4, 0x0931, 3);
    assert.deepEqual(take(), []);
    line.set(true);
    line.set(true);
    assert.deepEqual(take(), ['fee03004:4131']);
    line.set(false);
    line.set(true);
    assert.equal(take().length, 1);
  });

  test('a level waits for EOI and comes again while asserted', () => {
    const { ioApic, route, read, eoi, take } = setUp();
    const line = ioApic.input(16);
    route(16, 0xa041);
    line.set(true);
    assert.deepEqual(take(), ['fee00000:c041']);
    assert.equal(read(0x30), 0xe041, 'remote IRR');
    line.set(false);
    line.set(true);
    assert.deepEqual(take(), []);
    eoi(0x42);
    assert.deepEqual(take(), []);
    ioApic.endOfInterrupt(0x41);
    assert.equal(take().length, 1);
    line.set(false);
    eoi(0x41);
    assert.deepEqual(take(), []);
    assert.equal(read(0x30), 0xa041);
  });

  test('a masked level is delivered when unmasked; switching to edge clears remote IRR', () => {
    const { ioApic, route, read, write, take } = setUp();
    route(20, 0x1_8050);
    ioApic.input(20).set(true);
    assert.deepEqual(take(), []);
    write(0x38, 0x8050);
    assert.equal(take().length, 1);
    write(0x38, 0x1_0050);
    assert.equal(read(0x38), 0x1_0050);
    write(0x38, 0x8050);
    assert.equal(take().length, 1);
    write(0x38, 0xd050);
    assert.equal(read(0x38), 0xc050, 'delivery status cannot be written');
  });

  test('two pins with one vector are both released', () => {
    const { ioApic, route, eoi, read } = setUp();
    for (const pin of [17, 18]) {
      route(pin, 0x8060);
      ioApic.input(pin).set(true);
      ioApic.input(pin).set(false);
    }
    eoi(0x60);
    assert.deepEqual([read(0x32), read(0x34)], [0x8060, 0x8060]);
  });

  test('a level ExtINT or NMI entry does not wait for an EOI that never comes', () => {
    const { ioApic, route, read, take } = setUp();
    route(0, 0x8700);
    ioApic.input(0).set(true);
    assert.deepEqual(take(), ['fee00000:c700']);
    assert.equal(read(0x10), 0x8700);
  });

  test('narrow accesses to the window are refused', () => {
    const { ioApic } = setUp();
    const space = new IoSpaceMap(SILENT);
    attachIoApic(space, ioApic);
    space.writeMmio(IO_APIC_BASE, 1, 0x10);
    space.writeMmio(IO_APIC_BASE + 0x10, 1, 0);
    assert.equal(space.readMmio(IO_APIC_BASE + 0x10, 4), 0x1_0000);
    assert.equal(space.readMmio(IO_APIC_BASE + 0x10, 2), 0);
  });

  test('save and restore', () => {
    const { ioApic, route, write } = setUp();
    route(16, 0x8041, 0xff);
    write(0, 0x0200_0000);
    ioApic.input(16).set(true);
    const sent: string[] = [];
    const copy = new IoApic({ write: (address) => sent.push(address.toString(16)) });
    copy.restore(JSON.parse(JSON.stringify(ioApic.save())));
    assert.deepEqual(copy.save(), ioApic.save());
    assert.deepEqual(sent, []);
    copy.endOfInterrupt(0x41);
    assert.deepEqual(sent, ['feeff000']);
  });
});
