import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { IoApic } from '../ioapic/model.ts';
import { EXTERNAL_INTERRUPT, NO_INTERRUPT } from './model.ts';
import { BASE, board, OFFSET } from './test-support.ts';

/** Requests a fixed interrupt by a self IPI. */
const FIXED_SELF = 0x4_0000;

describe('acceptance and priority', () => {
  test('reset state as Linux finds it', () => {
    const { read, write, lapic } = board();
    assert.equal(read(OFFSET.version), 0x5_0014);
    assert.equal(read(OFFSET.svr), 0xff);
    assert.equal(read(OFFSET.dfr), 0xffff_ffff);
    assert.equal(read(OFFSET.timer), 0x1_0000);
    assert.equal(read(OFFSET.lint0), 0x700, 'virtual wire mode on the bootstrap processor');
    assert.equal(read(OFFSET.icrLow), 0);
    assert.equal(lapic.pending(), NO_INTERRUPT);
    assert.equal(lapic.acknowledge(), 0xff, 'the spurious vector');
    write(OFFSET.version, 0);
    assert.equal(read(OFFSET.version), 0x5_0014);
    assert.equal(board(2).read(OFFSET.id, 1), 0x0100_0000);
    assert.equal(board(2).read(OFFSET.lint0, 1), 0x1_0000);
  });

  test('an interrupt goes from IRR to ISR to EOI', () => {
    const { lapic, read, write, enable, changes } = board();
    enable();
    write(OFFSET.icrLow, FIXED_SELF | 0x41);
    assert.equal(lapic.pending(), 0x41);
    assert.equal(read(OFFSET.irr + 0x20), 2);
    assert.equal(lapic.acknowledge(), 0x41);
    assert.equal(lapic.pending(), NO_INTERRUPT);
    assert.equal(read(OFFSET.isr + 0x20), 2);
    assert.equal(read(OFFSET.ppr), 0x40);
    assert.equal(changes(), 2);
    write(OFFSET.icrLow, FIXED_SELF | 0x4f);
    assert.equal(lapic.pending(), NO_INTERRUPT, 'the same priority class waits');
    write(OFFSET.icrLow, FIXED_SELF | 0x50);
    assert.equal(lapic.pending(), 0x50);
    lapic.acknowledge();
    write(OFFSET.eoi, 0);
    assert.equal(lapic.pending(), NO_INTERRUPT);
    write(OFFSET.eoi, 0);
    assert.equal(lapic.pending(), 0x4f);
    lapic.acknowledge();
    write(OFFSET.eoi, 0);
    write(OFFSET.eoi, 0);
    assert.equal(read(OFFSET.ppr), 0);
  });

  test('TPR and CR8 hold interrupts back', () => {
    const { lapic, read, write, enable } = board();
    enable();
    lapic.cr8 = 5;
    assert.equal(read(OFFSET.tpr), 0x50);
    write(OFFSET.icrLow, FIXED_SELF | 0x5f);
    assert.equal(lapic.pending(), NO_INTERRUPT);
    write(OFFSET.tpr, 0x4f);
    assert.equal(lapic.cr8, 4);
    assert.equal(read(OFFSET.ppr), 0x4f);
    assert.equal(lapic.pending(), 0x5f);
    lapic.cr8 = 0xf;
    assert.equal(lapic.pending(), NO_INTERRUPT);
  });

  test('software disable masks the local vector table and refuses fixed interrupts', () => {
    const { lapic, bus, read, write, enable, take } = board();
    enable();
    write(OFFSET.timer, 0x30);
    write(OFFSET.svr, 0xff);
    assert.equal(read(OFFSET.timer), 0x1_0030);
    write(OFFSET.timer, 0x31);
    assert.equal(read(OFFSET.timer), 0x1_0031);
    bus.write(BASE, 0x4040);
    assert.equal(lapic.pending(), NO_INTERRUPT);
    bus.write(BASE, 0x4400);
    assert.deepEqual(take(), ['0: nmi']);
  });

  test('errors: Linux verifies ESR, illegal vectors and registers', () => {
    const { lapic, read, write, enable } = board();
    enable();
    write(OFFSET.error, 0xfe);
    write(OFFSET.esr, 0);
    assert.equal(read(OFFSET.esr), 0);
    write(OFFSET.icrLow, FIXED_SELF | 0x05);
    assert.equal(lapic.pending(), 0xfe);
    assert.equal(read(OFFSET.esr), 0, 'shown after the next write');
    lapic.acknowledge();
    read(0x400);
    write(OFFSET.esr, 0);
    assert.equal(read(OFFSET.esr), 0xa0);
    write(OFFSET.esr, 0);
    assert.equal(read(OFFSET.esr), 0);
    write(OFFSET.error, 0x03);
    read(0x400);
    write(OFFSET.esr, 0);
    assert.equal(read(OFFSET.esr), 0xc0, 'an illegal vector in the error entry itself');
  });

  test('register accesses of other widths and alignments', () => {
    const { space, read, write } = board();
    assert.equal(space.readMmio(BASE + OFFSET.version, 1), 0x14);
    assert.equal(space.readMmio(BASE + OFFSET.version + 2, 2), 0x0005);
    assert.equal(space.readMmio(BASE + OFFSET.version + 4, 4), 0);
    space.writeMmio(BASE + OFFSET.tpr, 1, 0x20);
    write(OFFSET.tpr + 4, 0x20);
    assert.equal(read(OFFSET.tpr), 0);
  });
});

describe('LINT pins', () => {
  test('the 8259A interrupts through LINT0 until it is masked', () => {
    const { lapic, write, enable } = board();
    lapic.lint0.set(true);
    assert.equal(lapic.pending(), EXTERNAL_INTERRUPT, 'before any software enabled the APIC');
    assert.equal(lapic.acknowledge(), 0x77);
    enable();
    write(OFFSET.lint0, 0x1_0700);
    assert.equal(lapic.pending(), NO_INTERRUPT);
    write(OFFSET.lint0, 0x700);
    write(OFFSET.tpr, 0xff);
    assert.equal(lapic.pending(), EXTERNAL_INTERRUPT, 'TPR does not hold ExtINT back');
    lapic.lint0.set(false);
    assert.equal(lapic.pending(), NO_INTERRUPT);
  });

  test('with the APIC disabled the pins are INTR and NMI', () => {
    const { lapic, take } = board(1, { bootstrap: false });
    lapic.lint0.set(true);
    assert.equal(lapic.pending(), NO_INTERRUPT);
    assert.equal(lapic.writeMsr(0x1b, 0xfee00000n), true);
    assert.equal(lapic.pending(), EXTERNAL_INTERRUPT);
    lapic.lint1.set(true);
    assert.deepEqual(take(), ['0: base', '0: nmi']);
  });

  test('NMI, fixed edge and fixed level', () => {
    const { lapic, read, write, enable, take } = board();
    enable();
    write(OFFSET.lint1, 0x400);
    lapic.lint1.set(true);
    lapic.lint1.set(true);
    assert.deepEqual(take(), ['0: nmi']);
    write(OFFSET.lint0, 0x8040);
    lapic.lint0.set(true);
    assert.equal(read(OFFSET.lint0), 0xc040);
    assert.equal(lapic.acknowledge(), 0x40);
    assert.equal(lapic.pending(), NO_INTERRUPT);
    write(OFFSET.eoi, 0);
    assert.equal(lapic.acknowledge(), 0x40, 'still asserted');
    lapic.lint0.set(false);
    write(OFFSET.eoi, 0);
    assert.equal(lapic.pending(), NO_INTERRUPT);
    assert.equal(read(OFFSET.lint0), 0x8040);
    write(OFFSET.lint0, 0x45);
    lapic.lint0.set(true);
    assert.equal(lapic.acknowledge(), 0x45);
    write(OFFSET.eoi, 0);
    assert.equal(lapic.pending(), NO_INTERRUPT);
  });
});

describe('interprocessor interrupts', () => {
  test('Linux wakes a processor: INIT, INIT de-assert, start-up', () => {
    const { write, take } = board(2);
    write(OFFSET.icrHigh, 0x0100_0000);
    write(OFFSET.icrLow, 0xc500);
    write(OFFSET.icrHigh, 0x0100_0000);
    write(OFFSET.icrLow, 0x8500);
    write(OFFSET.icrLow, 0x69a);
    write(OFFSET.icrLow, 0x69a);
    assert.deepEqual(take(), ['1: init', '1: startup 9a', '1: startup 9a']);
  });

  test('shorthands and broadcast', () => {
    const { lapics, write, enable, take } = board(3);
    enable();
    write(OFFSET.icrLow, 0xc_0400, 1);
    assert.deepEqual(take(), ['0: nmi', '2: nmi']);
    write(OFFSET.icrLow, 0x8_0040, 1);
    assert.deepEqual(
      lapics.map((lapic) => lapic.pending()),
      [0x40, 0x40, 0x40],
    );
    write(OFFSET.icrHigh, 0xff00_0000);
    write(OFFSET.icrLow, 0x50);
    assert.deepEqual(
      lapics.map((lapic) => lapic.pending()),
      [0x50, 0x50, 0x50],
    );
    write(OFFSET.icrHigh, 0x0700_0000);
    write(OFFSET.icrLow, 0x60);
    assert.deepEqual(
      lapics.map((lapic) => lapic.pending()),
      [0x50, 0x50, 0x50],
      'nobody there',
    );
  });

  test('logical destinations, flat and cluster', () => {
    const { lapics, write, enable } = board(3);
    enable();
    for (const [id, bit] of [1, 2, 4].entries()) write(OFFSET.ldr, bit << 24, id);
    write(OFFSET.icrHigh, 0x0600_0000);
    write(OFFSET.icrLow, 0x840);
    assert.deepEqual(
      lapics.map((lapic) => lapic.pending()),
      [NO_INTERRUPT, 0x40, 0x40],
    );
    [0x11, 0x12, 0x21].forEach((logical, id) => {
      write(OFFSET.ldr, logical << 24, id);
      write(OFFSET.dfr, 0, id);
    });
    write(OFFSET.icrHigh, 0x1300_0000);
    write(OFFSET.icrLow, 0x850);
    assert.deepEqual(
      lapics.map((lapic) => lapic.pending()),
      [0x50, 0x50, 0x40],
    );
  });

  test('lowest priority picks the least busy processor that takes interrupts', () => {
    const { lapics, bus, write, enable } = board(3);
    enable();
    for (const [id, bit] of [1, 2, 4].entries()) write(OFFSET.ldr, bit << 24, id);
    write(OFFSET.tpr, 0x20, 0);
    write(OFFSET.svr, 0xff, 2);
    bus.write(0xfee0_7004, 0x4141);
    assert.deepEqual(
      lapics.map((lapic) => lapic.pending()),
      [NO_INTERRUPT, 0x41, NO_INTERRUPT],
    );
    lapics[1].acknowledge();
    bus.write(0xfee0_700c, 0x4042);
    assert.deepEqual(
      lapics.map((lapic) => lapic.pending()),
      [0x42, NO_INTERRUPT, NO_INTERRUPT],
    );
  });

  test('reserved delivery modes and foreign addresses are dropped', () => {
    const { lapic, bus, write, enable, take } = board();
    enable();
    write(OFFSET.icrLow, FIXED_SELF | 0x0340);
    write(OFFSET.icrLow, FIXED_SELF | 0x0740);
    bus.write(0xfee00000, 0x0340);
    bus.write(0xfed00000, 0x0040);
    bus.write(0x1_fee0_0000, 0x0040);
    assert.equal(lapic.pending(), NO_INTERRUPT);
    assert.deepEqual(take(), []);
    bus.write(0xfee00000, 0x0700);
    assert.equal(lapic.pending(), EXTERNAL_INTERRUPT);
    assert.equal(lapic.acknowledge(), 0x77);
    assert.equal(lapic.pending(), NO_INTERRUPT);
  });
});

describe('with an I/O APIC', () => {
  test('level interrupts wait for the EOI broadcast; edges do not broadcast', () => {
    const { lapic, bus, read, write, enable } = board();
    const ioApic = new IoApic(bus);
    bus.attachIoApic(ioApic);
    enable();
    const route = (pin: number, low: number) => {
      ioApic.writeSelect(0x10 + 2 * pin);
      ioApic.writeWindow(low);
    };
    route(16, 0x8041);
    route(4, 0x0031);
    const line = ioApic.input(16);
    line.set(true);
    assert.equal(lapic.acknowledge(), 0x41);
    assert.equal(read(OFFSET.tmr + 0x20), 2);
    write(OFFSET.eoi, 0);
    assert.equal(lapic.pending(), 0x41);
    lapic.acknowledge();
    line.set(false);
    write(OFFSET.eoi, 0);
    assert.equal(lapic.pending(), NO_INTERRUPT);
    ioApic.input(4).set(true);
    assert.equal(lapic.acknowledge(), 0x31);
    write(OFFSET.eoi, 0);
    assert.equal(lapic.pending(), NO_INTERRUPT);
  });

  test('EOI broadcasts can be suppressed where offered', () => {
    const { lapic, bus, read, write } = board(1, { eoiBroadcastSuppression: true });
    const ioApic = new IoApic(bus);
    bus.attachIoApic(ioApic);
    assert.equal(read(OFFSET.version), 0x0105_0014);
    write(OFFSET.svr, 0x11ff);
    ioApic.writeSelect(0x30);
    ioApic.writeWindow(0x8041);
    ioApic.input(16).set(true);
    lapic.acknowledge();
    write(OFFSET.eoi, 0);
    assert.equal(lapic.pending(), NO_INTERRUPT);
    ioApic.endOfInterrupt(0x41);
    assert.equal(lapic.pending(), 0x41);
  });
});

test('save and restore', () => {
  const { clock, queue, lapic, write, enable, until } = board();
  enable();
  write(OFFSET.icrLow, FIXED_SELF | 0x41);
  lapic.acknowledge();
  write(OFFSET.icrLow, FIXED_SELF | 0x91);
  write(OFFSET.timer, 0x2_00ec);
  write(OFFSET.initial, 1000);
  until(2500);
  lapic.lint0.set(true);
  const state = JSON.parse(JSON.stringify(lapic.save()));
  const other = board();
  other.clock.reset(clock.now());
  other.lapic.restore(state);
  assert.deepEqual(other.lapic.save(), state);
  assert.equal(other.lapic.pending(), 0xec);
  assert.equal(other.changes(), 1);
  assert.equal(other.queue.nextDeadline(), queue.nextDeadline());
  assert.equal(other.read(OFFSET.current), 750);
  assert.equal(other.lapic.acknowledge(), 0xec);
  other.write(OFFSET.eoi, 0);
  assert.equal(other.lapic.acknowledge(), 0x91);
});

test('INIT keeps the APIC base and ID, power-on does not', () => {
  const { lapic, read, write, enable } = board();
  enable();
  write(OFFSET.id, 0x0500_0000);
  lapic.writeMsr(0x1b, 0xfee0_0d00n);
  lapic.reset('init');
  assert.equal(lapic.x2apicMode, true);
  lapic.reset('power-on');
  assert.equal(lapic.readMsr(0x1b), 0xfee0_0900n);
  assert.equal(read(OFFSET.id), 0);
  assert.equal(read(OFFSET.svr), 0xff);
});
