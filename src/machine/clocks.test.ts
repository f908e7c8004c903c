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
    const host = { time: 7000, retired: 0 };
    const clock = new HostClock(
      () => host.time,
      () => host.retired,
    );
    /** Host time passes in which the guest completes instructions: by default as many as it takes to keep pace. */
    const pass = (time: number, instructions = time / 16) => {
      host.time += time;
      host.retired += instructions;
      return clock.now();
    };
    return { clock, host, pass };
  }
  test('begins at zero and passes as on the host', () => {
    const { pass } = bench();
    assert.deepEqual([pass(0), pass(100), pass(MILLISECOND)], [0, 100, 100 + MILLISECOND]);
    assert.equal(pass(MILLISECOND, 50 * MILLISECOND), 100 + 2 * MILLISECOND);
  });
  test('stays behind while the guest makes no headway, and catches up when it does', () => {
    const { pass } = bench();
    assert.equal(pass(4 * MILLISECOND, 100), 1600);
    assert.equal(pass(MILLISECOND, MILLISECOND / 8), 1600 + 2 * MILLISECOND);
    assert.equal(pass(MILLISECOND, MILLISECOND), 6 * MILLISECOND);
  });
  test('is never behind by more than a second', () => {
    const { pass } = bench();
    let time = 0;
    for (let i = 0; i < 1500; i++) time = pass(MILLISECOND, 0);
    assert.equal(time, 500 * MILLISECOND);
  });
  test('what it is behind passes at once when the guest waits, but not beyond the wait', () => {
    const { clock, pass } = bench();
    pass(4 * MILLISECOND, 0);
    assert.equal(clock.idle(3 * MILLISECOND), 0);
    assert.equal(clock.now(), 3 * MILLISECOND);
    assert.equal(clock.idle(3 * MILLISECOND), 2 * MILLISECOND);
    assert.equal(clock.now(), 4 * MILLISECOND);
    assert.equal(clock.idle(Infinity), Infinity);
  });
  test('does not pass while the host is elsewhere, but while it waits on purpose', () => {
    const { clock, host, pass } = bench();
    assert.equal(pass(10_000 * MILLISECOND, 0), 0);
    assert.equal(clock.idle(3000 * MILLISECOND), 2000 * MILLISECOND);
    host.time += 2000 * MILLISECOND;
    clock.resume();
    assert.equal(clock.now(), 3000 * MILLISECOND);
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
    assert.deepEqual([pass(0, MILLISECOND), due], [2 * MILLISECOND, 2]);
    clock.runUntil(10 * MILLISECOND);
    assert.deepEqual([pass(0, MILLISECOND), due], [3.5 * MILLISECOND, 2]);
  });
  test('tells how many instructions a time takes', () => {
    const { clock, pass } = bench();
    assert.equal(clock.instructionsFor(1000, 0.5), 500);
    pass(1000, 0);
    assert.equal(clock.instructionsFor(1000, 0.5), 62.5);
    assert.equal(clock.instructionsFor(1000, 0.02), 20);
  });
  test('never goes back', () => {
    const { clock, host } = bench();
    let last = 0;
    for (let i = 0; i < 1000; i++) {
      host.time += (i * 7919) % (3 * MILLISECOND);
      host.retired += (i * 7907) % (MILLISECOND / 2);
      if (i % 7 === 0) clock.resume();
      if (i % 11 === 0) clock.idle((i * 7) % MILLISECOND);
      if (i % 3 === 0) clock.runUntil(last + ((i * 104729) % MILLISECOND) - 1000);
      const now = clock.now();
      assert.ok(now >= last, `${now} after ${last}`);
      last = now;
    }
  });
});
