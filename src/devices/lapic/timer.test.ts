import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { NO_INTERRUPT } from './model.ts';
import { board, OFFSET } from './test-support.ts';

const PERIODIC = 0x2_0000;
const DEADLINE_MODE = 0x4_0000;
const TSC_DEADLINE = 0x6e0;

describe('one-shot and periodic', () => {
  test('the count goes down at the divided rate', () => {
    const { read, write, enable, until } = board();
    enable();
    write(OFFSET.divide, 0x3);
    write(OFFSET.initial, 0xffff_ffff);
    until(1_000_000);
    assert.equal(read(OFFSET.current), 0xffff_ffff - 1_000_000 / 16);
    for (const [code, divisor] of [
      [0x0, 2],
      [0x1, 4],
      [0x2, 8],
      [0x3, 16],
      [0x8, 32],
      [0x9, 64],
      [0xa, 128],
      [0xb, 1],
    ]) {
      const other = board();
      other.write(OFFSET.divide, code);
      assert.equal(other.read(OFFSET.divide), code);
      other.write(OFFSET.initial, 1_000_000);
      other.until(128_000);
      assert.equal(other.read(OFFSET.current), 1_000_000 - 128_000 / divisor);
    }
  });

  test('a one-shot fires once and stays at zero', () => {
    const { lapic, read, write, enable, until, queue } = board();
    enable();
    write(OFFSET.divide, 0xb);
    write(OFFSET.timer, 0xec);
    write(OFFSET.initial, 1000);
    until(999);
    assert.equal(lapic.pending(), NO_INTERRUPT);
    until(1000);
    assert.equal(lapic.acknowledge(), 0xec);
    write(OFFSET.eoi, 0);
    until(10_000);
    assert.equal(lapic.pending(), NO_INTERRUPT);
    assert.equal(read(OFFSET.current), 0);
    assert.equal(queue.nextDeadline(), Infinity);
  });

  test('periodic ticks do not drift', () => {
    const { lapic, clock, write, enable, until, queue } = board();
    enable();
    write(OFFSET.divide, 0x3);
    until(777);
    write(OFFSET.timer, PERIODIC | 0xec);
    write(OFFSET.initial, 62_500);
    let ticks = 0;
    while (clock.now() < 777 + 1e9) {
      until(queue.nextDeadline());
      ticks++;
      assert.equal(lapic.acknowledge(), 0xec);
      write(OFFSET.eoi, 0);
    }
    assert.equal(ticks, 1000);
    assert.equal(clock.now(), 777 + 1e9);
    clock.advanceTo(clock.now() + 3_300_000);
    queue.runDue();
    assert.equal(queue.nextDeadline(), 777 + 1e9 + 4_000_000, 'missed ticks fall together, the grid stays');
  });

  test('a masked timer counts without scheduling anything', () => {
    const { lapic, read, write, enable, until, queue } = board();
    enable();
    write(OFFSET.divide, 0xb);
    write(OFFSET.timer, PERIODIC | 0x1_00ec);
    write(OFFSET.initial, 1000);
    assert.equal(queue.nextDeadline(), Infinity);
    until(10_300);
    assert.equal(read(OFFSET.current), 700);
    write(OFFSET.timer, PERIODIC | 0xec);
    assert.equal(lapic.pending(), NO_INTERRUPT);
    assert.equal(queue.nextDeadline(), 11_000);
    write(OFFSET.timer, 0x1_00ec);
    until(50_000);
    write(OFFSET.timer, 0xec);
    assert.equal(queue.nextDeadline(), Infinity, 'a one-shot that ended while masked is over');
  });

  test('an expiry the machine has not run yet is not lost to a register write', () => {
    const { lapic, clock, read, write, enable } = board();
    enable();
    write(OFFSET.divide, 0xb);
    write(OFFSET.timer, 0x31);
    write(OFFSET.initial, 1000);
    clock.advanceTo(1500);
    assert.equal(read(OFFSET.irr + 0x10), 0x2_0000);
    lapic.acknowledge();
    write(OFFSET.eoi, 0);
    write(OFFSET.initial, 1000);
    clock.advanceTo(2500);
    write(OFFSET.timer, 0x1_0031);
    assert.equal(lapic.pending(), 0x31);
  });

  test('changing the divider keeps the count, zero stops it', () => {
    const { read, write, until, queue, enable } = board();
    enable();
    write(OFFSET.timer, 0xec);
    write(OFFSET.divide, 0xb);
    write(OFFSET.initial, 10_000);
    until(4000);
    write(OFFSET.divide, 0x3);
    assert.equal(read(OFFSET.current), 6000);
    until(4000 + 1600);
    assert.equal(read(OFFSET.current), 5900);
    assert.equal(queue.nextDeadline(), 4000 + 6000 * 16);
    write(OFFSET.initial, 0);
    assert.equal(read(OFFSET.current), 0);
    assert.equal(queue.nextDeadline(), Infinity);
  });

  test('a period of one tick cannot flood the host', () => {
    const { write, until, queue, enable, clock } = board();
    enable();
    write(OFFSET.divide, 0xb);
    write(OFFSET.timer, PERIODIC | 0xec);
    write(OFFSET.initial, 1);
    let events = 0;
    while (clock.now() < 1_000_000) {
      until(queue.nextDeadline());
      events++;
    }
    assert.equal(events, 1000);
  });
});

describe('TSC deadline', () => {
  test('fires when the counter reaches the deadline and reads zero afterwards', () => {
    const { lapic, clock, write, enable, until, queue } = board();
    enable();
    assert.equal(lapic.writeMsr(TSC_DEADLINE, 5000n), true);
    assert.equal(lapic.readMsr(TSC_DEADLINE), 0n, 'ignored outside TSC-deadline mode');
    write(OFFSET.timer, DEADLINE_MODE | 0xec);
    clock.advanceTo(1000);
    lapic.writeMsr(TSC_DEADLINE, 10_001n);
    assert.equal(lapic.readMsr(TSC_DEADLINE), 10_001n);
    assert.equal(queue.nextDeadline(), 5001);
    until(5000);
    assert.equal(lapic.pending(), NO_INTERRUPT);
    until(5001);
    assert.equal(lapic.acknowledge(), 0xec);
    assert.equal(lapic.readMsr(TSC_DEADLINE), 0n);
    write(OFFSET.eoi, 0);
    lapic.writeMsr(TSC_DEADLINE, 1n);
    assert.equal(lapic.pending(), 0xec, 'a deadline already passed');
  });

  test('zero disarms; changing the mode disarms; the count registers are dead', () => {
    const { lapic, read, write, enable, queue } = board();
    enable();
    write(OFFSET.timer, DEADLINE_MODE | 0xec);
    lapic.writeMsr(TSC_DEADLINE, 10_000n);
    lapic.writeMsr(TSC_DEADLINE, 0n);
    assert.equal(queue.nextDeadline(), Infinity);
    write(OFFSET.initial, 1000);
    assert.deepEqual([read(OFFSET.initial), read(OFFSET.current)], [0, 0]);
    lapic.writeMsr(TSC_DEADLINE, 10_000n);
    write(OFFSET.timer, 0xec);
    assert.equal(queue.nextDeadline(), Infinity);
    assert.equal(lapic.readMsr(TSC_DEADLINE), 0n);
  });

  test('a masked deadline passes silently', () => {
    const { lapic, write, enable, until } = board();
    enable();
    write(OFFSET.timer, DEADLINE_MODE | 0x1_00ec);
    lapic.writeMsr(TSC_DEADLINE, 100n);
    until(1000);
    assert.equal(lapic.pending(), NO_INTERRUPT);
    assert.equal(lapic.readMsr(TSC_DEADLINE), 0n);
  });

  test('a jump of the counter moves the event', () => {
    const { lapic, write, enable, until, queue, tsc } = board();
    enable();
    write(OFFSET.timer, DEADLINE_MODE | 0xec);
    lapic.writeMsr(TSC_DEADLINE, 20_000n);
    assert.equal(queue.nextDeadline(), 10_000);
    tsc.offset = -10_000n;
    until(10_000);
    assert.equal(lapic.pending(), NO_INTERRUPT);
    assert.equal(queue.nextDeadline(), 15_000);
    tsc.offset = 0n;
    lapic.tscChanged();
    assert.equal(lapic.pending(), 0xec);
  });

  test('an endless deadline is harmless', () => {
    const { lapic, write, enable, until } = board();
    enable();
    write(OFFSET.timer, DEADLINE_MODE | 0xec);
    lapic.writeMsr(TSC_DEADLINE, 0xffff_ffff_ffff_ffffn);
    until(1e12);
    assert.equal(lapic.pending(), NO_INTERRUPT);
    assert.equal(lapic.readMsr(TSC_DEADLINE), 0xffff_ffff_ffff_ffffn);
  });

  test('where CPUID lacks it, the MSR is absent and the mode is refused', () => {
    const { lapic, read, write, enable } = board(1, { tscDeadline: false });
    enable();
    assert.equal(lapic.readMsr(TSC_DEADLINE), undefined);
    assert.equal(lapic.writeMsr(TSC_DEADLINE, 1n), false);
    write(OFFSET.timer, DEADLINE_MODE | 0xec);
    assert.equal(read(OFFSET.timer), 0xec);
  });
});
