import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { HostClock, InstructionClock } from './clocks.ts';

const MILLISECOND = 1_000_000;

describe('time by instructions', () => {
  test('instructions and skipped waits add up', () => {
    let retired = 0;
    const clock = new InstructionClock(() => retired);
    retired = 1000;
    assert.equal(clock.now(), 1000);
    clock.skip(499.5);
    clock.skip(-10);
    retired = 1500;
    assert.equal(clock.now(), 2000);
  });
});

describe('time by the host', () => {
  function bench() {
    const host = { time: 7000 };
    const clock = new HostClock(() => host.time);
    const pass = (time: number) => {
      host.time += time;
      return clock.now();
    };
    return { clock, host, pass };
  }
  test('begins at zero and passes as on the host', () => {
    const { pass } = bench();
    assert.deepEqual([pass(0), pass(100), pass(MILLISECOND)], [0, 100, 100 + MILLISECOND]);
  });
  test('does not pass while the host is elsewhere, but while it waits on purpose', () => {
    const { clock, host, pass } = bench();
    assert.equal(pass(1000 * MILLISECOND), 5 * MILLISECOND);
    host.time += 1000 * MILLISECOND;
    clock.resume();
    assert.equal(clock.now(), 1005 * MILLISECOND);
  });
  test('stands still at a deadline until the timer has had its turn, and catches up then', () => {
    const { clock, pass } = bench();
    let due = 0;
    clock.due = () => due++;
    clock.runUntil(MILLISECOND);
    assert.deepEqual([pass(MILLISECOND / 2), due], [MILLISECOND / 2, 0]);
    assert.deepEqual([pass(3 * MILLISECOND), due], [MILLISECOND, 1]);
    // the next ones are overdue as well
    clock.runUntil(2 * MILLISECOND);
    assert.deepEqual([pass(0), due], [2 * MILLISECOND, 2]);
    clock.runUntil(10 * MILLISECOND);
    assert.deepEqual([pass(0), due], [3.5 * MILLISECOND, 2]);
  });
  test('never goes back', () => {
    const { clock, host } = bench();
    let last = 0;
    for (let i = 0; i < 1000; i++) {
      host.time += (i * 7919) % (3 * MILLISECOND);
      if (i % 7 === 0) clock.resume();
      if (i % 3 === 0) clock.runUntil(last + ((i * 104729) % MILLISECOND) - 1000);
      const now = clock.now();
      assert.ok(now >= last, `${now} after ${last}`);
      last = now;
    }
  });
});
