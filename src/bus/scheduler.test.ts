import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { EventQueue, Oscillator, runUntil, VirtualClock } from './scheduler.ts';

function setUp() {
  const clock = new VirtualClock();
  return { clock, queue: new EventQueue(clock) };
}

describe('EventQueue', () => {
  test('fires by deadline, then by creation', () => {
    const { clock, queue } = setUp();
    const fired: string[] = [];
    const timers = ['a', 'b', 'c', 'd'].map((name) => queue.timer(name, () => fired.push(name)));
    timers[3].arm(5);
    timers[2].arm(10);
    timers[1].arm(10);
    timers[0].arm(10);
    assert.equal(queue.nextDeadline(), 5);
    clock.advanceTo(10);
    assert.equal(queue.runDue(), 4);
    assert.deepEqual(fired, ['d', 'a', 'b', 'c']);
    assert.equal(queue.nextDeadline(), Infinity);
    assert.equal(timers[0].deadline, undefined);
  });

  test('random arming and disarming fires exactly what a sorted list would', () => {
    const { clock, queue } = setUp();
    const fired: number[] = [];
    const expected = new Map<number, number>();
    const timers = Array.from({ length: 40 }, (_, i) => queue.timer(`t${i}`, () => fired.push(i)));
    let seed = 12345;
    const random = (n: number) => {
      seed = (seed * 1103515245 + 12345) % 2147483648;
      return Math.floor((seed / 2147483648) * n);
    };
    for (let step = 0; step < 2000; step++) {
      const i = random(40);
      if (random(3) === 0) {
        timers[i].disarm();
        expected.delete(i);
      } else {
        const deadline = clock.now() + 1 + random(50);
        timers[i].arm(deadline);
        expected.set(i, deadline);
      }
      if (random(4) === 0) {
        clock.advanceTo(clock.now() + random(20));
        fired.length = 0;
        queue.runDue();
        const due = [...expected].filter(([, d]) => d <= clock.now()).sort(([a, d], [b, e]) => d - e || a - b);
        assert.deepEqual(
          fired,
          due.map(([timer]) => timer),
        );
        for (const [timer] of due) expected.delete(timer);
        assert.equal(queue.nextDeadline(), Math.min(Infinity, ...expected.values()));
      }
    }
  });

  test('a timer armed again in the past waits for the next run', () => {
    const { clock, queue } = setUp();
    let count = 0;
    const timer = queue.timer('storm', () => {
      count++;
      timer.arm(0);
    });
    const other = queue.timer('other', () => timer.disarm());
    timer.arm(1);
    clock.advanceTo(100);
    assert.equal(queue.runDue(), 1);
    assert.equal(queue.nextDeadline(), 0);
    assert.equal(queue.runDue(), 1);
    other.arm(50);
    queue.runDue();
    assert.equal(count, 3);
    assert.equal(timer.deadline, undefined, 'disarmed while waiting for the next run');
    assert.equal(queue.nextDeadline(), Infinity);
  });

  test('a callback may arm and disarm others in the same run', () => {
    const { clock, queue } = setUp();
    const fired: string[] = [];
    const late = queue.timer('late', () => fired.push('late'));
    const chained = queue.timer('chained', () => fired.push('chained'));
    const first = queue.timer('first', () => {
      fired.push('first');
      late.disarm();
      chained.arm(15);
    });
    first.arm(10);
    late.arm(20);
    clock.advanceTo(30);
    queue.runDue();
    assert.deepEqual(fired, ['first', 'chained']);
  });

  test('reports a deadline that becomes the earliest', () => {
    const { queue } = setUp();
    const reported: number[] = [];
    queue.onEarlierDeadline = (deadline) => reported.push(deadline);
    const a = queue.timer('a', () => {});
    const b = queue.timer('b', () => {});
    a.arm(100);
    b.arm(200);
    b.arm(50);
    b.disarm();
    assert.deepEqual(reported, [100, 50]);
    a.arm(Number.NaN);
    assert.equal(queue.nextDeadline(), Infinity);
  });

  test('runUntil stops at each deadline', () => {
    const { clock, queue } = setUp();
    const times: number[] = [];
    const timer = queue.timer('periodic', () => {
      times.push(clock.now());
      timer.arm(clock.now() + 30);
    });
    timer.arm(30);
    runUntil(clock, queue, 100);
    assert.deepEqual(times, [30, 60, 90]);
    assert.equal(clock.now(), 100);
    clock.advanceTo(10);
    assert.equal(clock.now(), 100, 'time never goes back');
  });
});

test('an oscillator converts exactly both ways, far into the run', () => {
  for (const hertz of [1_193_182, 32_768, 3_579_545]) {
    const oscillator = new Oscillator(hertz);
    const start = oscillator.ticksAt(9_000_000 * 1e9);
    for (let n = 0; n < 3000; n++) {
      const ticks = start + n * 977;
      const time = oscillator.timeOf(ticks);
      assert.equal(oscillator.ticksAt(time), ticks);
      assert.equal(oscillator.ticksAt(time - 1), ticks - 1);
    }
  }
  assert.equal(new Oscillator(1_193_182).ticksAt(1e9), 1_193_182);
  assert.throws(() => new Oscillator(1e9), RangeError);
});
