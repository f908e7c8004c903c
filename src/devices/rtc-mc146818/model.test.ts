import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { IoSpaceMap } from '../../bus/io-space.ts';
import { SILENT } from '../../bus/log.ts';
import { EventQueue, runUntil, VirtualClock } from '../../bus/scheduler.ts';
import { fromCalendar, toCalendar } from './calendar.ts';
import { writeCmosConfiguration } from './cmos-layout.ts';
import { attachRtcMc146818 } from './device.ts';
import { RtcMc146818 } from './model.ts';

const SECOND = 1e9;
/** 2026-11-23 08:01:58 UTC, a Monday. */
const EPOCH = Date.UTC(2026, 10, 23, 8, 1, 58) / 1000;

function setUp(epochSeconds = EPOCH) {
  const clock = new VirtualClock();
  const queue = new EventQueue(clock);
  const levels: [boolean, number][] = [];
  const masks: boolean[] = [];
  const rtc = new RtcMc146818({
    time: queue,
    irq: { set: (level) => levels.push([level, clock.now()]) },
    epochSeconds,
    nmiMask: (masked) => masks.push(masked),
  });
  const space = new IoSpaceMap(SILENT);
  attachRtcMc146818(space, rtc);
  const read = (index: number) => {
    space.writePort(0x70, 1, index);
    return space.readPort(0x71, 1);
  };
  const write = (index: number, value: number) => space.writePort(0x70, 2, (value << 8) | index);
  const until = (time: number) => runUntil(clock, queue, time);
  const rises = () => levels.filter(([level]) => level).map(([, time]) => time);
  return { clock, queue, rtc, levels, masks, read, write, until, rises };
}

test('the calendar agrees with the standard library over four centuries', () => {
  for (let day = -30_000; day < 140_000; day += 13) {
    const seconds = day * 86_400 + 45_296;
    const date = new Date(seconds * 1000);
    const time = toCalendar(seconds);
    assert.deepEqual(
      [time.year, time.month, time.day, time.hour, time.minute, time.second, time.weekday],
      [
        date.getUTCFullYear(),
        date.getUTCMonth() + 1,
        date.getUTCDate(),
        date.getUTCHours(),
        date.getUTCMinutes(),
        date.getUTCSeconds(),
        date.getUTCDay(),
      ],
    );
    assert.equal(fromCalendar(time), seconds);
  }
});

describe('time of day', () => {
  test('reads in BCD, 24 hours, with century, and advances', () => {
    const { read, until } = setUp();
    const time = () => [0x32, 9, 8, 7, 6, 4, 2, 0].map((index) => read(index).toString(16));
    assert.deepEqual(time(), ['20', '26', '11', '23', '2', '8', '1', '58']);
    until(SECOND - 1);
    assert.equal(read(0), 0x58);
    until(2 * SECOND);
    assert.deepEqual([read(2), read(0)], [0x02, 0x00]);
    assert.equal(read(0x37), 0x20, 'the PS/2 century byte');
  });

  test('binary and 12-hour formats', () => {
    const { read, write, until } = setUp();
    write(0x0b, 0x06);
    assert.deepEqual([read(9), read(0)], [26, 58]);
    write(0x0b, 0x00);
    assert.equal(read(4), 0x08);
    until(4 * 3600 * SECOND);
    assert.equal(read(4), 0x92, 'noon is 12 PM');
    until(16 * 3600 * SECOND);
    assert.equal(read(4), 0x12, 'midnight is 12 AM');
    until(17 * 3600 * SECOND);
    write(0x0b, 0x02);
    assert.equal(read(4), 0x01);
  });

  test('SET freezes the registers, the phase of the second stays: mc146818_set_time', () => {
    const { read, write, until } = setUp();
    until(0.25 * SECOND);
    write(0x0b, read(0x0b) | 0x80);
    until(5 * SECOND);
    assert.equal(read(0), 0x58);
    for (const [index, value] of [
      [0x32, 0x19],
      [9, 0x99],
      [8, 0x12],
      [7, 0x31],
      [4, 0x23],
      [2, 0x59],
      [0, 0x59],
    ]) {
      write(index, value);
    }
    until(5.25 * SECOND);
    write(0x0b, read(0x0b) & 0x7f);
    assert.equal(read(0), 0x59);
    until(6 * SECOND);
    assert.deepEqual([0x32, 9, 8, 7, 6, 4, 2, 0].map(read), [0x20, 0x00, 0x01, 0x01, 0x07, 0, 0, 0]);
  });

  test('the first update after a divider reset comes half a second later', () => {
    const { read, write, until } = setUp();
    until(0.8 * SECOND);
    write(0x0a, 0x76);
    until(3 * SECOND);
    assert.equal(read(0), 0x58);
    write(0x0a, 0x26);
    until(3.5 * SECOND - 1);
    assert.equal(read(0), 0x58);
    until(3.5 * SECOND);
    assert.equal(read(0), 0x59);
  });

  test('a register written without SET takes effect at once', () => {
    const { read, write, until } = setUp();
    write(4, 0x17);
    until(2 * SECOND);
    assert.deepEqual([read(4), read(2), read(0)], [0x17, 0x02, 0x00]);
  });

  test('UIP announces the update 244 us ahead', () => {
    const { read, write, until } = setUp();
    until(SECOND - 244_001);
    assert.equal(read(0x0a), 0x26);
    until(SECOND - 244_000);
    assert.equal(read(0x0a), 0xa6);
    write(0x0a, 0xa6);
    until(SECOND);
    assert.equal(read(0x0a), 0x26);
    write(0x0b, 0x82);
    until(2 * SECOND - 1);
    assert.equal(read(0x0a), 0x26);
  });
});

describe('interrupts', () => {
  test('periodic at 1024 Hz: one per read of C, on the grid of the crystal', () => {
    const { rtc, read, write, until, rises, clock } = setUp();
    write(0x0a, 0x26);
    write(0x0b, 0x42);
    const tick = SECOND / 1024;
    until(10 * tick);
    assert.deepEqual(rises(), [Math.ceil(tick)], 'asserted until C is read');
    assert.equal(read(0x0c), 0xc0);
    for (let n = 11; n <= 1024; n++) {
      until(Math.ceil(n * tick));
      assert.equal(rtc.read(0x0c) & 0xc0, 0xc0);
    }
    assert.equal(clock.now(), SECOND);
    assert.equal(rises().length, 1015);
    assert.equal(rises().at(-1), SECOND);
  });

  test('flags are set without their enables and polled through C', () => {
    const { read, until, levels } = setUp();
    assert.equal(read(0x0c), 0);
    until(SECOND);
    assert.equal(read(0x0c), 0x50);
    assert.equal(read(0x0c), 0);
    assert.deepEqual(levels, []);
  });

  test('update-ended interrupt', () => {
    const { read, write, until, rises } = setUp();
    write(0x0a, 0x20);
    write(0x0b, 0x12);
    until(1.5 * SECOND);
    assert.equal(read(0x0c), 0x90);
    until(2.5 * SECOND);
    assert.equal(read(0x0c), 0x90);
    assert.deepEqual(rises(), [SECOND, 2 * SECOND]);
    write(0x0b, 0x92);
    assert.equal(read(0x0b), 0x82, 'SET clears UIE');
  });

  test('alarm at a time of day', () => {
    const { read, write, until, rises, queue } = setUp();
    write(0x0a, 0x20);
    write(1, 0x30);
    write(3, 0x15);
    write(5, 0x09);
    write(0x0b, 0x22);
    const due = (3600 + 13 * 60 + 32) * SECOND;
    assert.equal(queue.nextDeadline(), due);
    until(due);
    assert.deepEqual(rises(), [due]);
    assert.equal(read(0x0c) & 0xa0, 0xa0);
    assert.equal(queue.nextDeadline(), due + 86_400 * SECOND);
  });

  test('alarm with wildcards, in 12-hour binary', () => {
    const { write, read, until, rises } = setUp();
    write(0x0a, 0x20);
    write(0x0b, 0x24);
    write(1, 0);
    write(3, 0xc0);
    write(5, 0xff);
    until(2 * SECOND);
    read(0x0c);
    until(62 * SECOND);
    assert.deepEqual(rises(), [2 * SECOND, 62 * SECOND]);
    read(0x0c);
    write(5, 0x81);
    write(3, 0);
    until((5 * 3600 - 118 + 2) * SECOND);
    assert.equal(rises().at(-1), (13 * 3600 - (8 * 3600 + 118)) * SECOND, 'one o clock in the afternoon');
  });

  test('an impossible alarm never comes', () => {
    const { write, queue } = setUp();
    write(0x0a, 0x20);
    write(1, 0x7f);
    write(0x0b, 0x22);
    assert.equal(queue.nextDeadline(), Infinity);
  });

  test('enabling an interrupt whose flag is set requests it at once', () => {
    const { write, until, rises } = setUp();
    until(SECOND);
    write(0x0b, 0x12);
    assert.deepEqual(rises(), [SECOND]);
  });
});

describe('CMOS RAM', () => {
  test('keeps bytes, masks NMI through bit 7 of the index', () => {
    const { rtc, read, write, masks } = setUp();
    write(0x40 | 0x80, 0x5a);
    assert.equal(rtc.nmiMasked, true);
    assert.equal(read(0x40), 0x5a);
    assert.deepEqual(masks, [true, false]);
    assert.equal(read(0x0d), 0x80);
    write(0x0d, 0);
    assert.equal(read(0x0d), 0x80);
  });

  test('holds the memory sizes', () => {
    const { rtc, read } = setUp();
    writeCmosConfiguration((index, value) => rtc.setRam(index, value), {
      belowFourGib: 0x8000_0000,
      aboveFourGib: 0x1_4000_0000,
      processors: 2,
    });
    const word = (index: number) => read(index) | (read(index + 1) << 8);
    assert.deepEqual([word(0x15), word(0x17), word(0x30), word(0x34)], [640, 0xffff, 0xffff, 0x7f00]);
    assert.deepEqual([word(0x5b), read(0x5d), read(0x5f)], [0x4000, 1, 1]);
    assert.throws(() => rtc.setRam(0x0b, 0), RangeError);
  });
});

test('save and restore continue the clock and its interrupts', () => {
  const { clock, queue, rtc, write, until } = setUp();
  write(0x0b, 0x52);
  until(0.7 * SECOND);
  rtc.read(0x0c);
  const state = JSON.parse(JSON.stringify(rtc.save()));
  const clock2 = new VirtualClock(clock.now());
  const queue2 = new EventQueue(clock2);
  const copy = new RtcMc146818({ time: queue2, irq: { set() {} }, epochSeconds: 0 });
  copy.restore(state);
  assert.deepEqual(copy.save(), state);
  assert.equal(queue2.nextDeadline(), queue.nextDeadline());
  runUntil(clock2, queue2, 1.2 * SECOND);
  assert.equal(copy.read(0), 0x59);
});
