import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { SILENT } from '../../bus/log.ts';
import { EventQueue, runUntil, VirtualClock } from '../../bus/scheduler.ts';
import { Hpet } from '../hpet/model.ts';
import { InterruptBus } from '../lapic/interrupt-bus.ts';
import { EXTERNAL_INTERRUPT, Lapic, NO_INTERRUPT } from '../lapic/model.ts';
import { Pic8259 } from '../pic8259/model.ts';
import { Pit8254 } from '../pit8254/model.ts';
import { RtcMc146818 } from '../rtc-mc146818/model.ts';
import { isaInterruptLines, SharedLine } from './isa-wiring.ts';
import { IoApic } from './model.ts';

test('ISA lines drive both controllers, the timer on pin 2', () => {
  const seen: string[] = [];
  const inputs = (name: string) => ({
    input: (index: number) => ({ set: (level: boolean) => void seen.push(`${name}${index}=${level}`) }),
  });
  const lines = isaInterruptLines(inputs('pic'), inputs('apic'));
  lines[0].set(true);
  lines[2].set(true);
  lines[8].set(false);
  assert.deepEqual(seen, ['pic0=true', 'apic2=true', 'pic8=false', 'apic8=false']);
});

test('a shared line is asserted while any source asserts it', () => {
  const seen: boolean[] = [];
  const line = new SharedLine({ set: (level) => seen.push(level) });
  const a = line.source();
  const b = line.source();
  a.set(true);
  a.set(true);
  b.set(true);
  a.set(false);
  b.set(false);
  assert.deepEqual(seen, [true, false]);
});

/** The interrupt hardware of a PC, wired as a board would wire it. */
function board() {
  const clock = new VirtualClock();
  const queue = new EventQueue(clock);
  const bus = new InterruptBus(SILENT);
  const lapic: Lapic = new Lapic({
    initialId: 0,
    bootstrap: true,
    time: queue,
    tsc: () => BigInt(clock.now()),
    tscFrequency: 1e9,
    bus,
    processor: {
      interruptChanged() {},
      nonMaskableInterrupt() {},
      systemManagementInterrupt() {},
      initialize() {},
      startUp() {},
      apicBaseChanged() {},
    },
    acknowledgeExternal: () => pic.acknowledge(),
    log: SILENT,
  });
  const pic = new Pic8259(lapic.lint0);
  const ioApic = new IoApic(bus);
  bus.attachLapic(lapic);
  bus.attachIoApic(ioApic);
  const isa = isaInterruptLines(pic, ioApic);
  const hpet = new Hpet({
    time: queue,
    irq0: isa[0],
    irq8: isa[8],
    pins: Array.from({ length: 24 }, (_, pin) => ioApic.input(pin)),
  });
  const pit = new Pit8254(queue, hpet.pitInput);
  const rtc = new RtcMc146818({ time: queue, irq: hpet.rtcInput, epochSeconds: 0 });
  const route = (pin: number, low: number) => {
    ioApic.writeSelect(0x10 + 2 * pin);
    ioApic.writeWindow(low);
  };
  for (const [chip, vector, cascade] of [
    ['master', 0x30, 4],
    ['slave', 0x38, 2],
  ] as const) {
    pic.write(chip, 0, 0x11);
    pic.write(chip, 1, vector);
    pic.write(chip, 1, cascade);
    pic.write(chip, 1, 1);
    pic.write(chip, 1, 0xff);
  }
  pit.writeControl(0x34);
  pit.writeCounter(0, 4773 & 0xff);
  pit.writeCounter(0, 4773 >> 8);
  return { pic, pit, rtc, hpet, ioApic, lapic, route, until: (time: number) => runUntil(clock, queue, time) };
}

describe('a PC', () => {
  test('ticks through the 8259A and LINT0 in virtual wire mode', () => {
    const { pic, lapic, until } = board();
    pic.write('master', 1, 0xfe);
    until(4_100_000);
    assert.equal(lapic.pending(), EXTERNAL_INTERRUPT);
    assert.equal(lapic.acknowledge(), 0x30);
    assert.equal(lapic.pending(), NO_INTERRUPT);
    pic.write('master', 0, 0x60);
    assert.equal(lapic.pending(), NO_INTERRUPT);
    until(8_100_000);
    assert.equal(lapic.acknowledge(), 0x30);
  });

  test('ticks through pin 2 of the I/O APIC, as Linux checks its timer', () => {
    const { lapic, route, until } = board();
    lapic.writeRegister(0xf0, 0x1ff);
    route(2, 0x30);
    for (let tick = 1; tick <= 5; tick++) {
      until(tick * 4_001_000);
      assert.equal(lapic.acknowledge(), 0x30);
      lapic.writeRegister(0xb0, 0);
      assert.equal(lapic.pending(), NO_INTERRUPT);
    }
  });

  test('the HPET takes the timer and RTC interrupts over and gives them back', () => {
    const { lapic, route, hpet, rtc, until } = board();
    lapic.writeRegister(0xf0, 0x1ff);
    route(2, 0x30);
    route(8, 0x48);
    hpet.write(0x10, 3);
    until(20_000_000);
    assert.equal(lapic.pending(), NO_INTERRUPT, 'the 8254 is cut off');
    hpet.write(0x100, 0x104);
    hpet.write(0x108, 2_500_000);
    until(25_000_000);
    assert.equal(lapic.acknowledge(), 0x30);
    lapic.writeRegister(0xb0, 0);
    rtc.write(0x0b, 0x52);
    until(26_000_000);
    assert.equal(lapic.pending(), NO_INTERRUPT);
    hpet.write(0x10, 0);
    assert.equal(lapic.acknowledge(), 0x48, 'the RTC was asserting IRQ8');
    lapic.writeRegister(0xb0, 0);
    until(40_000_000);
    assert.equal(lapic.acknowledge(), 0x30);
  });
});
