import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { IoSpaceMap } from '../../bus/io-space.ts';
import { SILENT } from '../../bus/log.ts';
import { attachPic8259 } from './device.ts';
import { Pic8259 } from './model.ts';

/** A pair set up as Linux does: vectors 0x30 and 0x38, everything masked. */
function setUp(icw4 = 0x01) {
  const intr: boolean[] = [];
  const pic = new Pic8259({ set: (level) => intr.push(level) });
  const space = new IoSpaceMap(SILENT);
  attachPic8259(space, pic);
  const out = (port: number, value: number) => space.writePort(port, 1, value);
  const inb = (port: number) => space.readPort(port, 1);
  out(0x21, 0xff);
  out(0x20, 0x11);
  out(0x21, 0x30);
  out(0x21, 0x04);
  out(0x21, icw4);
  out(0xa0, 0x11);
  out(0xa1, 0x38);
  out(0xa1, 0x02);
  out(0xa1, 0x01);
  out(0x21, 0xff);
  out(0xa1, 0xff);
  const pulse = (irq: number) => {
    pic.input(irq).set(true);
    pic.input(irq).set(false);
  };
  return { pic, intr, out, inb, pulse };
}

describe('8259A pair', () => {
  test('initialization and the Linux probe of the mask register', () => {
    const { inb, out } = setUp();
    assert.equal(inb(0x21), 0xff);
    out(0x21, 0xfb);
    assert.equal(inb(0x21), 0xfb);
    assert.equal(inb(0xa1), 0xff);
  });

  test('an edge is delivered once, EOI lets the next one in', () => {
    const { pic, intr, out, pulse } = setUp();
    out(0x21, 0xfe);
    pulse(0);
    assert.deepEqual(intr, [true]);
    assert.equal(pic.acknowledge(), 0x30);
    assert.deepEqual(intr, [true, false]);
    pulse(0);
    assert.equal(pic.requesting, false, 'the same level is in service');
    out(0x20, 0x60);
    assert.equal(pic.requesting, true);
    assert.equal(pic.acknowledge(), 0x30);
    out(0x20, 0x20);
    assert.equal(pic.requesting, false);
  });

  test('a held edge line does not interrupt twice', () => {
    const { pic, out } = setUp();
    out(0x21, 0xfe);
    pic.input(0).set(true);
    pic.input(0).set(true);
    pic.acknowledge();
    out(0x20, 0x20);
    assert.equal(pic.requesting, false);
  });

  test('masked requests stay in IRR and are delivered when unmasked', () => {
    const { pic, out, inb, pulse } = setUp();
    pulse(3);
    assert.equal(pic.requesting, false);
    out(0x20, 0x0a);
    assert.equal(inb(0x20), 0x08, 'IRR');
    out(0x21, 0xf7);
    assert.equal(pic.acknowledge(), 0x33);
    out(0x20, 0x0b);
    assert.equal(inb(0x20), 0x08, 'ISR');
    out(0x20, 0x0a);
    assert.equal(inb(0x20), 0x00);
  });

  test('higher priorities nest, lower ones wait', () => {
    const { pic, out, pulse } = setUp();
    out(0x21, 0x00);
    pulse(4);
    assert.equal(pic.acknowledge(), 0x34);
    pulse(6);
    assert.equal(pic.requesting, false);
    pulse(1);
    assert.equal(pic.acknowledge(), 0x31);
    out(0x20, 0x20);
    assert.equal(pic.requesting, false, 'IRQ4 still in service');
    out(0x20, 0x20);
    assert.equal(pic.acknowledge(), 0x36);
  });

  test('the slave interrupts through IRQ2 and needs both EOIs', () => {
    const { pic, out, pulse } = setUp();
    out(0x21, 0xfb);
    out(0xa1, 0xfe);
    pulse(8);
    assert.equal(pic.acknowledge(), 0x38);
    pulse(8);
    out(0xa0, 0x60);
    assert.equal(pic.requesting, false, 'the master still serves the cascade');
    out(0x20, 0x62);
    assert.equal(pic.acknowledge(), 0x38);
  });

  test('level-triggered lines follow the ELCR', () => {
    const { pic, out, inb } = setUp();
    out(0x4d0, 0xff);
    out(0x4d1, 0xff);
    assert.equal(inb(0x4d0), 0xf8);
    assert.equal(inb(0x4d1), 0xde);
    out(0x21, 0x00);
    out(0xa1, 0x00);
    const line = pic.input(11);
    line.set(true);
    assert.equal(pic.acknowledge(), 0x3b);
    out(0xa0, 0x20);
    out(0x20, 0x20);
    assert.equal(pic.requesting, true, 'still asserted');
    line.set(false);
    assert.equal(pic.requesting, false);
  });

  test('an acknowledge without a request is a spurious IRQ7', () => {
    const { pic, inb, out } = setUp();
    out(0x21, 0x00);
    assert.equal(pic.acknowledge(), 0x37);
    out(0x20, 0x0b);
    assert.equal(inb(0x20), 0, 'a spurious interrupt is not in service');
  });

  test('a slave request that is masked again is withdrawn from the master', () => {
    const { pic, out } = setUp();
    out(0x4d1, 0x04);
    out(0x21, 0x00);
    out(0xa1, 0x00);
    pic.input(10).set(true);
    assert.equal(pic.requesting, true);
    out(0xa1, 0xff);
    assert.equal(pic.requesting, false);
    out(0xa1, 0x00);
    assert.equal(pic.acknowledge(), 0x3a);
  });

  test('an automatic EOI in the slave does not lose the second request', () => {
    const { pic, out, pulse } = setUp();
    out(0xa0, 0x11);
    out(0xa1, 0x38);
    out(0xa1, 0x02);
    out(0xa1, 0x03);
    out(0x21, 0x00);
    pulse(9);
    pulse(10);
    assert.equal(pic.acknowledge(), 0x39);
    out(0x20, 0x20);
    assert.equal(pic.acknowledge(), 0x3a);
    out(0x20, 0x20);
    assert.equal(pic.requesting, false);
  });

  test('automatic EOI, with and without rotation', () => {
    const { pic, out, pulse, inb } = setUp(0x03);
    out(0x21, 0x00);
    pulse(0);
    pic.acknowledge();
    out(0x20, 0x0b);
    assert.equal(inb(0x20), 0);
    out(0x20, 0x80);
    pulse(3);
    pic.acknowledge();
    pulse(3);
    pulse(5);
    assert.equal(pic.acknowledge(), 0x35, 'IRQ3 went to the lowest priority');
  });

  test('rotation commands', () => {
    const { pic, out, pulse } = setUp();
    out(0x21, 0x00);
    out(0x20, 0xc4);
    pulse(4);
    pulse(5);
    assert.equal(pic.acknowledge(), 0x35, 'set priority: IRQ4 is lowest');
    out(0x20, 0xa0);
    pulse(6);
    assert.equal(pic.acknowledge(), 0x36, 'rotate on non-specific EOI: IRQ5 is lowest');
    out(0x20, 0xe6);
    assert.equal(pic.acknowledge(), 0x34, 'rotate on specific EOI');
  });

  test('special mask mode lets lower priorities in', () => {
    const { pic, out, pulse } = setUp();
    out(0x21, 0x00);
    pulse(1);
    assert.equal(pic.acknowledge(), 0x31);
    pulse(5);
    assert.equal(pic.requesting, false);
    out(0x20, 0x68);
    out(0x21, 0x02);
    assert.equal(pic.acknowledge(), 0x35);
  });

  test('special fully nested mode lets the slave nest in the master', () => {
    const { pic, out, pulse } = setUp(0x11);
    out(0x21, 0x00);
    out(0xa1, 0x00);
    pulse(12);
    assert.equal(pic.acknowledge(), 0x3c);
    pulse(9);
    assert.equal(pic.requesting, true);
    assert.equal(pic.acknowledge(), 0x39);
  });

  test('poll mode acknowledges without INTA', () => {
    const { pic, out, inb, pulse } = setUp();
    out(0x21, 0x00);
    pulse(6);
    out(0x20, 0x0c);
    assert.equal(inb(0x20), 0x86);
    out(0x20, 0x0c);
    assert.equal(inb(0x20), 0x00);
    assert.equal(pic.requesting, false);
  });

  test('save and restore keep requests and the state of initialization', () => {
    const { pic, out, pulse } = setUp();
    out(0x21, 0x00);
    pulse(5);
    out(0xa0, 0x11);
    const copy = new Pic8259({ set: () => assert.fail('restoring must not drive INTR') });
    copy.restore(JSON.parse(JSON.stringify(pic.save())));
    assert.deepEqual(copy.save(), pic.save());
    assert.equal(copy.requesting, true);
    const silent = new Pic8259({ set() {} });
    silent.restore(pic.save());
    silent.write('slave', 1, 0x70);
    silent.write('slave', 1, 0x02);
    silent.write('slave', 1, 0x01);
    silent.write('slave', 1, 0xa5);
    assert.equal(silent.read('slave', 1), 0xa5);
    assert.equal(silent.acknowledge(), 0x35);
  });
});
