import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { IoSpaceMap } from '../../bus/io-space.ts';
import type { InterruptLine } from '../../bus/lines.ts';
import { SILENT } from '../../bus/log.ts';
import { EventQueue, runUntil, VirtualClock } from '../../bus/scheduler.ts';
import { attachHpet, HPET_BASE } from './device.ts';
import { Hpet } from './model.ts';

function setUp(withMessages = false) {
  const clock = new VirtualClock();
  const queue = new EventQueue(clock);
  const events: string[] = [];
  const line = (name: string): InterruptLine => {
    let level = false;
    return {
      set(next) {
        if (next !== level) events.push(`${name}${next ? '+' : '-'}@${clock.now()}`);
        level = next;
      },
    };
  };
  const messages = { write: (address: number, data: number) => events.push(`msi ${address.toString(16)}=${data}`) };
  const hpet = new Hpet({
    time: queue,
    irq0: line('irq0'),
    irq8: line('irq8'),
    pins: Array.from({ length: 24 }, (_, pin) => line(`pin${pin}`)),
    ...(withMessages ? { messages } : {}),
  });
  const space = new IoSpaceMap(SILENT);
  attachHpet(space, hpet);
  const read = (offset: number) => space.readMmio(HPET_BASE + offset, 4);
  const write = (offset: number, value: number) => space.writeMmio(HPET_BASE + offset, 4, value);
  const until = (time: number) => runUntil(clock, queue, time);
  const take = () => events.splice(0);
  return { clock, queue, hpet, space, read, write, until, take };
}

describe('HPET', () => {
  test('capabilities as on q35, byte-wise too', () => {
    const { space, read } = setUp();
    assert.equal(read(0), 0x8086a201);
    assert.equal(read(4), 10_000_000);
    assert.equal(read(0x100), 0x30);
    assert.equal(read(0x124), 0xff0104);
    assert.equal(space.readMmio(HPET_BASE + 1, 1), 0xa2);
    assert.equal(read(0x160), 0, 'no fourth timer');
    assert.equal(setUp(true).read(0x100), 0x8030);
  });

  test('the counter runs while enabled and can be set while halted', () => {
    const { space, read, write, until } = setUp();
    until(1000);
    assert.equal(read(0xf0), 0);
    write(0x10, 1);
    until(2005);
    assert.equal(read(0xf0), 100);
    write(0x10, 0);
    until(5000);
    assert.equal(read(0xf0), 100);
    space.writeMmio64(HPET_BASE + 0xf0, 0x1_ffff_fffen);
    write(0x10, 1);
    until(5030);
    assert.equal(space.readMmio64(HPET_BASE + 0xf0), 0x2_0000_0001n);
  });

  test('Linux: periodic legacy replacement tick, drift-free', () => {
    const { read, write, until, take } = setUp();
    write(0x10, 1);
    until(123_456);
    write(0x10, 3);
    // hpet_clkevt_set_state_periodic: value set, comparator, period.
    write(0x100, 0x4 | 0x8 | 0x40 | 0x100);
    write(0x108, read(0xf0) + 400_000);
    write(0x108, 400_000);
    const first = 12_345 + 400_000;
    until(first * 10 + 3 + 10 * 4_000_000 * 1000);
    const rises = take().filter((event) => event.startsWith('irq0+'));
    assert.equal(rises[0], `irq0+@${first * 10}`);
    assert.equal(rises.length, 10_001);
    assert.equal(rises[10_000], `irq0+@${first * 10 + 10_000 * 4_000_000}`);
    assert.equal(read(0x100) & 0x40, 0);
  });

  test('matches missed in one leap fall together and the grid stays', () => {
    const { clock, queue, write, take } = setUp();
    write(0x10, 3);
    write(0x100, 0x14c);
    write(0x108, 1000);
    write(0x108, 1000);
    clock.advanceTo(55_000);
    queue.runDue();
    assert.equal(take().length, 2);
    assert.equal(queue.nextDeadline(), 60_000);
  });

  test('a 32-bit one-shot fires once; legacy timer 1 is IRQ8', () => {
    const { read, write, until, take } = setUp();
    write(0x10, 3);
    write(0x120, 0x104);
    write(0x128, 5000);
    until(1_000_000);
    assert.deepEqual(take(), ['irq8+@50000', 'irq8-@50000']);
    write(0x128, read(0xf0) + 10);
    until(2_000_000);
    assert.deepEqual(take(), ['irq8+@1000100', 'irq8-@1000100']);
  });

  test('a 32-bit one-shot behind the counter interrupts at the wrap and at the match', () => {
    const { write, until, take } = setUp();
    write(0xf0, 0xffff_ff00);
    write(0x10, 3);
    write(0x100, 0x104);
    write(0x108, 0x80);
    until(100_000);
    assert.deepEqual(take(), ['irq0+@2560', 'irq0-@2560', 'irq0+@3840', 'irq0-@3840']);
  });

  test('a 64-bit comparator already passed matches when its high half arrives', () => {
    const { space, write, until, take } = setUp();
    space.writeMmio64(HPET_BASE + 0xf0, 0x1_ffff_0000n);
    write(0x10, 3);
    write(0x100, 0x4);
    until(1000);
    space.writeMmio64(HPET_BASE + 0x108, 0x2_0000_0010n);
    assert.deepEqual(take(), []);
    until(0x10010 * 10);
    assert.deepEqual(take(), ['irq0+@655520', 'irq0-@655520']);
    space.writeMmio64(HPET_BASE + 0x108, 5n);
    assert.equal(take().length, 2);
    until(10_000_000);
    assert.deepEqual(take(), []);
  });

  test('level interrupts hold their line until the status bit is cleared', () => {
    const { read, write, until, take } = setUp();
    write(0x10, 1);
    write(0x140, 0x6 | (20 << 9));
    write(0x148, 100);
    write(0x14c, 0);
    until(5000);
    assert.deepEqual(take(), ['pin20+@1000']);
    assert.equal(read(0x20), 4);
    write(0x20, 1);
    assert.deepEqual(take(), []);
    write(0x20, 4);
    assert.deepEqual(take(), ['pin20-@5000']);
    assert.equal(read(0x20), 0);
  });

  test('a disabled comparator still sets its status', () => {
    const { read, write, until, take } = setUp();
    write(0x10, 1);
    write(0x140, 0x2 | (16 << 9));
    write(0x148, 100);
    write(0x14c, 0);
    until(2000);
    assert.equal(read(0x20), 4);
    assert.deepEqual(take(), []);
    write(0x140, 0x6 | (16 << 9));
    assert.deepEqual(take(), ['pin16+@2000']);
    write(0x10, 0);
    assert.deepEqual(take(), ['pin16-@2000']);
  });

  test('routes the I/O APIC does not offer are refused', () => {
    const { read, write } = setUp();
    write(0x100, 16 << 9);
    write(0x100, 5 << 9);
    assert.equal((read(0x100) >> 9) & 0x1f, 16);
  });

  test('FSB delivery', () => {
    const { write, until, take } = setUp(true);
    write(0x10, 1);
    write(0x150, 0x31);
    write(0x154, 0xfee00000);
    write(0x140, 0x4004);
    write(0x148, 10);
    write(0x14c, 0);
    until(1000);
    assert.deepEqual(take(), ['msi fee00000=49']);
  });

  test('legacy replacement takes IRQ0 and IRQ8 from the 8254 and the RTC', () => {
    const { hpet, write, take } = setUp();
    hpet.pitInput.set(true);
    hpet.rtcInput.set(true);
    write(0x10, 2);
    hpet.pitInput.set(false);
    hpet.pitInput.set(true);
    assert.deepEqual(take(), ['irq0+@0', 'irq8+@0', 'irq0-@0', 'irq8-@0']);
    hpet.pitInput.set(false);
    write(0x10, 0);
    assert.deepEqual(take(), ['irq8+@0']);
  });

  test('a period of one tick neither hangs nor floods', () => {
    const { write, until, take } = setUp();
    write(0x10, 3);
    write(0x100, 0x14c);
    write(0x108, 1);
    write(0x108, 1);
    until(1_000_000);
    const edges = take().length;
    assert.ok(edges >= 198 && edges <= 202, `${edges} edges`);
    write(0x108, 0);
    until(2_000_000);
    assert.ok(take().length <= 4, 'no period, no ticks');
  });

  test('save and restore continue counter, comparators and held lines', () => {
    const { clock, queue, hpet, write, until } = setUp();
    write(0x10, 1);
    write(0x140, 0x6 | (20 << 9));
    write(0x148, 100);
    write(0x14c, 0);
    write(0x100, 0x4c | (2 << 9));
    write(0x108, 3000);
    write(0x108, 7000);
    until(50_001);
    const state = JSON.parse(JSON.stringify(hpet.save()));
    const clock2 = new VirtualClock(clock.now());
    const queue2 = new EventQueue(clock2);
    const events: string[] = [];
    const silent: InterruptLine = { set() {} };
    const copy = new Hpet({
      time: queue2,
      irq0: silent,
      irq8: silent,
      pins: Array.from({ length: 24 }, (_, pin) => ({
        set: (level: boolean) => events.push(`${pin}${level ? '+' : '-'}`),
      })),
    });
    copy.restore(state);
    assert.deepEqual(copy.save(), state);
    assert.equal(queue2.nextDeadline(), queue.nextDeadline());
    copy.write(0x20, 4);
    assert.deepEqual(events, ['20-']);
  });
});
