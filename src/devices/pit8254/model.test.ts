import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { IoSpaceMap } from '../../bus/io-space.ts';
import { SILENT } from '../../bus/log.ts';
import { EventQueue, Oscillator, runUntil, VirtualClock } from '../../bus/scheduler.ts';
import { attachPit8254 } from './device.ts';
import { PIT_HERTZ, Pit8254 } from './model.ts';

const crystal = new Oscillator(PIT_HERTZ);

function setUp() {
  const clock = new VirtualClock();
  const queue = new EventQueue(clock);
  const edges: number[] = [];
  const levels: boolean[] = [];
  const pit = new Pit8254(queue, {
    set(level) {
      levels.push(level);
      if (level) edges.push(crystal.ticksAt(clock.now()));
    },
  });
  const space = new IoSpaceMap(SILENT);
  attachPit8254(space, pit);
  const out = (port: number, value: number) => space.writePort(port, 1, value);
  const inb = (port: number) => space.readPort(port, 1);
  const toTick = (tick: number) => runUntil(clock, queue, crystal.timeOf(tick));
  /** Latches and reads a counter. */
  const counter = (index: number) => {
    out(0x43, index << 6);
    return inb(0x40 + index) | (inb(0x40 + index) << 8);
  };
  const status = (index: number) => {
    out(0x43, 0xe0 | (2 << index));
    return inb(0x40 + index);
  };
  return { clock, queue, pit, edges, levels, out, inb, toTick, counter, status };
}

describe('8254 modes', () => {
  test('mode 2 ticks every count, drift-free over an hour', () => {
    const { edges, out, toTick } = setUp();
    out(0x43, 0x34);
    out(0x40, 4773 & 0xff);
    out(0x40, 4773 >> 8);
    toTick(3 * 4773);
    assert.deepEqual(edges, [4773, 2 * 4773, 3 * 4773]);
    const periods = Math.floor((3600 * PIT_HERTZ) / 4773);
    toTick(periods * 4773);
    assert.equal(edges.length, periods);
    assert.equal(edges.at(-1), periods * 4773);
  });

  test('mode 2 coalesces ticks the machine slept through and stays on the grid', () => {
    const { clock, queue, edges, out } = setUp();
    out(0x43, 0x34);
    out(0x40, 0xe8);
    out(0x40, 0x03);
    clock.advanceTo(crystal.timeOf(3500));
    queue.runDue();
    assert.equal(edges.length, 1);
    assert.equal(queue.nextDeadline(), crystal.timeOf(4000));
  });

  test('mode 2 counts from N down to 1 and is low for one cycle', () => {
    const { out, toTick, counter, status } = setUp();
    out(0x43, 0x34);
    out(0x40, 5);
    out(0x40, 0);
    const seen: number[] = [];
    const outs: number[] = [];
    for (let tick = 0; tick < 7; tick++) {
      toTick(tick);
      seen.push(counter(0));
      outs.push(status(0) >> 7);
    }
    assert.deepEqual(seen, [5, 4, 3, 2, 1, 5, 4]);
    assert.deepEqual(outs, [1, 1, 1, 1, 0, 1, 1]);
  });

  test('mode 3 is a square wave that counts by two', () => {
    const { edges, out, toTick, counter, status } = setUp();
    out(0x43, 0x36);
    out(0x40, 5);
    out(0x40, 0);
    const seen: number[] = [];
    const outs: number[] = [];
    for (let tick = 0; tick < 6; tick++) {
      toTick(tick);
      seen.push(counter(0));
      outs.push(status(0) >> 7);
    }
    assert.deepEqual(seen, [4, 2, 0, 4, 2, 4]);
    assert.deepEqual(outs, [1, 1, 1, 0, 0, 1]);
    toTick(10);
    assert.deepEqual(edges, [5, 10]);
  });

  test('mode 0 raises OUT at terminal count and goes on counting', () => {
    const { edges, levels, out, toTick, counter } = setUp();
    out(0x43, 0x30);
    out(0x40, 100);
    toTick(1);
    assert.equal(counter(0), 0, 'half a count does not load');
    out(0x40, 0);
    toTick(51);
    assert.equal(counter(0), 50);
    toTick(101);
    assert.deepEqual(edges, [101]);
    toTick(103);
    assert.equal(counter(0), 0xfffe);
    out(0x43, 0x30);
    assert.deepEqual(levels, [true, false], 'a control word takes OUT down');
  });

  test('mode 4 strobes once per count', () => {
    const { edges, out, toTick } = setUp();
    out(0x43, 0x38);
    for (const start of [0, 1000]) {
      toTick(start);
      out(0x40, 0xc8);
      out(0x40, 0x00);
    }
    toTick(5000);
    assert.deepEqual(edges, [201, 1201]);
  });

  test('modes 1 and 5 wait for the gate', () => {
    for (const [mode, atTrigger, atCount, after] of [
      [1, 0, 1, 1],
      [5, 1, 0, 1],
    ]) {
      const { out, inb, toTick } = setUp();
      const out2 = () => (inb(0x61) >> 5) & 1;
      out(0x43, 0xb0 | (mode << 1));
      assert.equal(out2(), 1);
      out(0x42, 10);
      out(0x42, 0);
      toTick(50);
      assert.equal(out2(), 1);
      out(0x61, 1);
      toTick(51);
      assert.equal(out2(), atTrigger);
      out(0x61, 0);
      toTick(60);
      assert.equal(out2(), atCount, `mode ${mode} does not need the gate to stay high`);
      toTick(61);
      assert.equal(out2(), after);
      out(0x61, 1);
      toTick(70);
      assert.equal(out2(), atTrigger, 'retriggered');
    }
  });

  test('a new count in mode 2 waits for the end of the cycle', () => {
    const { edges, out, toTick, counter, status } = setUp();
    out(0x43, 0x34);
    out(0x40, 100);
    out(0x40, 0);
    toTick(130);
    out(0x40, 10);
    out(0x40, 0);
    assert.equal(status(0) & 0x40, 0x40, 'null count');
    assert.equal(counter(0), 70);
    toTick(225);
    assert.deepEqual(edges, [100, 200, 210, 220]);
    assert.equal(status(0) & 0x40, 0);
  });
});

test('at power-on counter 0 is the 18.2 Hz square wave firmware expects', () => {
  const { edges, toTick, counter } = setUp();
  toTick(3);
  assert.equal(counter(0), 0xfffa);
  toTick(2 * 65536);
  assert.deepEqual(edges, [65536, 2 * 65536]);
});

describe('8254 reading', () => {
  test('BCD', () => {
    const { edges, out, toTick, counter, status } = setUp();
    out(0x43, 0x35);
    out(0x40, 0x00);
    out(0x40, 0x10);
    toTick(1);
    assert.equal(counter(0), 0x0999);
    assert.equal(status(0) & 0x3f, 0x35);
    toTick(1000);
    assert.deepEqual(edges, [1000]);
    out(0x43, 0x31);
    out(0x40, 0x01);
    out(0x40, 0x00);
    toTick(1002);
    assert.equal(counter(0), 0x9999);
  });

  test('a latched count holds until read; the status comes first', () => {
    const { out, inb, toTick } = setUp();
    out(0x43, 0xb4);
    out(0x42, 0x00);
    out(0x42, 0x10);
    out(0x61, 1);
    toTick(0x10);
    out(0x43, 0xc8);
    toTick(0x20);
    out(0x43, 0x80);
    assert.equal(inb(0x42), 0xb4);
    assert.equal(inb(0x42), 0xf0);
    toTick(0x30);
    assert.equal(inb(0x42), 0x0f);
    assert.equal(inb(0x42), 0xd0);
    assert.equal(inb(0x42), 0x0f);
  });

  test('read-back latches several counters at once', () => {
    const { out, inb, toTick } = setUp();
    for (const [control, port] of [
      [0x14, 0x40],
      [0x54, 0x41],
    ]) {
      out(0x43, control);
      out(port, 200);
    }
    toTick(10);
    out(0x43, 0xd6);
    toTick(20);
    assert.deepEqual([inb(0x40), inb(0x41)], [190, 190]);
    assert.deepEqual([inb(0x40), inb(0x41)], [180, 180]);
  });

  test('low byte and high byte only', () => {
    const { out, inb, toTick } = setUp();
    out(0x43, 0x24);
    out(0x40, 0x02);
    toTick(1);
    assert.equal(inb(0x40), 0x01);
    assert.equal(inb(0x40), 0x01);
  });
});

describe('port 0x61', () => {
  test('Linux calibrates its TSC against OUT2: pit_calibrate_tsc', () => {
    const { clock, out, inb } = setUp();
    const latch = Math.floor(PIT_HERTZ / (1000 / 10));
    out(0x61, (inb(0x61) & ~2) | 1);
    out(0x43, 0xb0);
    out(0x42, latch & 0xff);
    out(0x42, latch >> 8);
    const start = clock.now();
    let reads = 0;
    while ((inb(0x61) & 0x20) === 0) {
      clock.advanceTo(clock.now() + 1000);
      reads++;
    }
    assert.ok(Math.abs(clock.now() - start - 10e6) < 2000);
    assert.ok(reads > 1000);
  });

  test('Linux quick calibration sees the high byte count down: quick_pit_calibrate', () => {
    const { clock, out, inb } = setUp();
    out(0x61, 1);
    out(0x43, 0xb0);
    out(0x42, 0xff);
    out(0x42, 0xff);
    for (let expected = 0xff; expected >= 0x80; expected--) {
      let seen = 0;
      for (;;) {
        inb(0x42);
        if (inb(0x42) !== expected) break;
        clock.advanceTo(clock.now() + 2000);
        seen++;
      }
      assert.ok(seen > 100, `high byte ${expected} seen ${seen} times`);
    }
  });

  test('the gate pauses modes 0 and 4 and reloads modes 2 and 3', () => {
    const { out, toTick, counter } = setUp();
    out(0x61, 1);
    out(0x43, 0xb0);
    out(0x42, 100);
    out(0x42, 0);
    toTick(10);
    out(0x61, 0);
    toTick(50);
    assert.equal(counter(2), 90);
    out(0x61, 1);
    toTick(60);
    assert.equal(counter(2), 80);
    out(0x43, 0xb4);
    out(0x42, 100);
    out(0x42, 0);
    toTick(70);
    assert.equal(counter(2), 90);
    out(0x61, 0);
    toTick(80);
    out(0x61, 1);
    toTick(85);
    assert.equal(counter(2), 95);
  });

  test('the refresh bit toggles with time and the enables read back', () => {
    const { out, inb, toTick } = setUp();
    out(0x61, 0x0f);
    assert.equal(inb(0x61) & 0xcf, 0x0f);
    const first = inb(0x61) & 0x10;
    toTick(18);
    assert.notEqual(inb(0x61) & 0x10, first);
    toTick(36);
    assert.equal(inb(0x61) & 0x10, first);
  });

  test('the speaker plays counter 2', () => {
    const { pit, out } = setUp();
    out(0x43, 0xb6);
    out(0x42, 0xa9);
    out(0x42, 0x04);
    assert.equal(pit.speakerHertz(), 0);
    out(0x61, 3);
    assert.ok(Math.abs(pit.speakerHertz() - 1000) < 1);
  });
});

test('save and restore continue the same waveform', () => {
  const { clock, queue, pit, edges, out, toTick } = setUp();
  out(0x43, 0x34);
  out(0x40, 100);
  out(0x40, 0);
  toTick(150);
  const state = JSON.parse(JSON.stringify(pit.save()));
  const clock2 = new VirtualClock(clock.now());
  const queue2 = new EventQueue(clock2);
  const edges2: number[] = [];
  const copy = new Pit8254(queue2, { set: (level) => level && edges2.push(crystal.ticksAt(clock2.now())) });
  copy.restore(state);
  assert.deepEqual(copy.save(), state);
  runUntil(clock, queue, crystal.timeOf(420));
  runUntil(clock2, queue2, crystal.timeOf(420));
  assert.deepEqual(edges2, edges.slice(1));
});
