/** A small board for the tests: local APICs on one bus with a clock that is moved by hand. */
import { IoSpaceMap } from '../../bus/io-space.ts';
import { SILENT } from '../../bus/log.ts';
import { EventQueue, runUntil, VirtualClock } from '../../bus/scheduler.ts';
import { lapicPage } from './device.ts';
import { InterruptBus } from './interrupt-bus.ts';
import { Lapic, type LapicOptions } from './model.ts';

/** Where the register page is attached. */
export const BASE = 0xfee0_0000;

/** xAPIC offsets by name. */
export const OFFSET = {
  id: 0x20,
  version: 0x30,
  tpr: 0x80,
  ppr: 0xa0,
  eoi: 0xb0,
  ldr: 0xd0,
  dfr: 0xe0,
  svr: 0xf0,
  isr: 0x100,
  tmr: 0x180,
  irr: 0x200,
  esr: 0x280,
  icrLow: 0x300,
  icrHigh: 0x310,
  timer: 0x320,
  performance: 0x340,
  lint0: 0x350,
  lint1: 0x360,
  error: 0x370,
  initial: 0x380,
  current: 0x390,
  divide: 0x3e0,
} as const;

/** A machine of `count` processors. The time-stamp counter runs at 2 GHz plus `tscOffset`. */
export function board(count = 1, options: Partial<LapicOptions> = {}) {
  const clock = new VirtualClock();
  const queue = new EventQueue(clock);
  const bus = new InterruptBus(SILENT);
  const events: string[] = [];
  const tsc = { offset: 0n };
  const lapics = Array.from({ length: count }, (_, id) => {
    const lapic = new Lapic({
      initialId: id,
      bootstrap: id === 0,
      time: queue,
      tsc: () => BigInt(clock.now()) * 2n + tsc.offset,
      tscFrequency: 2_000_000_000,
      bus,
      processor: {
        interruptChanged: () => events.push(`${id}: changed`),
        nonMaskableInterrupt: () => events.push(`${id}: nmi`),
        systemManagementInterrupt: () => events.push(`${id}: smi`),
        initialize: () => events.push(`${id}: init`),
        startUp: (vector) => events.push(`${id}: startup ${vector.toString(16)}`),
        apicBaseChanged: () => events.push(`${id}: base`),
      },
      acknowledgeExternal: () => 0x77,
      log: SILENT,
      ...options,
    });
    bus.attachLapic(lapic);
    return lapic;
  });
  let current = 0;
  const space = new IoSpaceMap(SILENT);
  space.attachMmio(
    BASE,
    0x1000,
    lapicPage(() => lapics[current]),
  );
  const read = (offset: number, id = 0) => {
    current = id;
    return space.readMmio(BASE + offset, 4);
  };
  const write = (offset: number, value: number, id = 0) => {
    current = id;
    space.writeMmio(BASE + offset, 4, value);
  };
  /** Software-enables every APIC with spurious vector FFH. */
  const enable = () => {
    for (let id = 0; id < count; id++) write(OFFSET.svr, 0x1ff, id);
  };
  return {
    clock,
    queue,
    bus,
    lapics,
    lapic: lapics[0],
    space,
    tsc,
    read,
    write,
    enable,
    until: (time: number) => runUntil(clock, queue, time),
    take: () => events.splice(0).filter((event) => !event.endsWith('changed')),
    changes: () => events.splice(0).filter((event) => event.endsWith('changed')).length,
  };
}
