import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { MmioDevice } from '../../bus/ports.ts';
import { RecordingLine, RecordingLog, RecordingMessages, TestIoSpace } from '../test-bench.ts';
import { attachPciConfigPorts, enhancedConfigurationSpace, PciConfigPorts } from './device.ts';
import {
  enableEcam,
  enablePowerManagement,
  lpcBridge,
  memoryControllerHub,
  PirqRouter,
  routePirq,
} from './host-bridge.ts';
import { type BarOptions, PciBus, PciFunction } from './model.ts';
import { MsiCapability, MsixTable } from './msi.ts';

const registers: MmioDevice = { readMmio: (offset) => 0xab00 + offset, writeMmio() {} };

function board(bars: readonly BarOptions[] = []) {
  const space = new TestIoSpace();
  const messages = new RecordingMessages();
  const log = new RecordingLog();
  const ioApic = Array.from({ length: 8 }, () => new RecordingLine());
  const isa = Array.from({ length: 16 }, () => new RecordingLine());
  const router = new PirqRouter({ ioApic, isa }, (device, pin) => 4 + ((device + pin) % 4));
  const bus = new PciBus({
    space,
    messages,
    log,
    interrupts: router,
    decodesMemory: (address) => address >= 0x8000_0000,
  });
  const member = new PciFunction(
    { vendorId: 0x1234, deviceId: 0x5678, revision: 3, classCode: 0x01_0802, interruptPin: 1 },
    bars,
  );
  bus.add(5, 0, member);
  attachPciConfigPorts(space, new PciConfigPorts(bus));
  const address = (offset: number, device = 5, fn = 0) => 0x8000_0000 + device * 0x800 + fn * 0x100 + (offset & 0xfc);
  const read = (offset: number, size: 1 | 2 | 4 = 4) => {
    space.out(0xcf8, address(offset), 4);
    return space.in(0xcfc + (offset & 3), size);
  };
  const write = (offset: number, value: number, size: 1 | 2 | 4 = 4) => {
    space.out(0xcf8, address(offset), 4);
    space.out(0xcfc + (offset & 3), value, size);
  };
  return { space, messages, log, ioApic, isa, router, bus, member, read, write };
}

describe('configuration access', () => {
  test('mechanism #1 reads identity at all widths, and all ones where nobody is', () => {
    const { read, space } = board();
    assert.equal(read(0), 0x5678_1234);
    assert.equal(read(2, 2), 0x5678);
    assert.equal(read(0x0b, 1), 0x01);
    assert.equal(read(0x08), 0x0108_0203);
    space.out(0xcf8, 0x8000_0000 + 6 * 0x800, 4);
    assert.equal(space.in(0xcfc, 4), 0xffff_ffff);
    space.out(0xcf8, 0x8001_0000 + 5 * 0x800, 4); // bus 1
    assert.equal(space.in(0xcfc, 4), 0xffff_ffff);
    space.out(0xcf8, 5 * 0x800, 4); // not enabled
    assert.equal(space.in(0xcfc, 4), 0xffff_ffff);
  });

  test('only 32-bit accesses reach CONFIG_ADDRESS; others go to the register inside', () => {
    const { bus } = board();
    const seen: string[] = [];
    const inner = {
      readPort: () => 0x42,
      writePort: (port: number, _size: number, value: number) => void seen.push(`${port.toString(16)}=${value}`),
    };
    const ports = new PciConfigPorts(bus, inner);
    ports.writePort(0xcf8, 4, 0x8000_2803);
    ports.writePort(0xcf9, 1, 6);
    assert.equal(ports.readPort(0xcf8, 4), 0x8000_2800);
    assert.equal(ports.readPort(0xcf9, 1), 0x42);
    assert.deepEqual(seen, ['cf9=6']);
  });

  test('the enhanced mechanism reaches the same registers', () => {
    const { bus, read } = board();
    const ecam = enhancedConfigurationSpace(bus);
    assert.equal(ecam.readMmio(5 << 15, 4), 0x5678_1234);
    ecam.writeMmio((5 << 15) + 0x3c, 1, 11);
    assert.equal(read(0x3c, 1), 11);
    assert.equal(ecam.readMmio((5 << 15) + 0x100, 4), 0xffff_ffff);
    assert.equal(ecam.readMmio(0x0fff_fffc, 4), 0xffff_ffff);
  });

  test('read-only fields stay', () => {
    const { read, write } = board();
    for (let offset = 0; offset < 256; offset += 4) write(offset, 0xffff_ffff);
    assert.equal(read(0), 0x5678_1234);
    assert.equal(read(0x04), 0x0000_0547);
    assert.equal(read(0x3c), 0x0000_01ff);
  });
});

describe('base address registers', () => {
  const bars: BarOptions[] = [
    { index: 0, kind: 'io', size: 0x20, registers },
    { index: 1, kind: 'memory32', size: 0x1000, registers },
    { index: 4, kind: 'memory64', size: 0x4000, prefetchable: true, registers },
  ];

  test('answer the sizing protocol', () => {
    const { read, write } = board(bars);
    for (const offset of [0x10, 0x14, 0x18, 0x20, 0x24]) write(offset, 0xffff_ffff);
    assert.equal(read(0x10), 0xffff_ffe1);
    assert.equal(read(0x14), 0xffff_f000);
    assert.equal(read(0x18), 0);
    assert.equal(read(0x20), 0xffff_c00c);
    assert.equal(read(0x24), 0xffff_ffff);
  });

  test('attach and detach with the command register and move with writes', () => {
    const { write, space, member } = board(bars);
    write(0x10, 0xc000);
    write(0x14, 0xfe00_0000);
    write(0x20, 0x0000_4000);
    write(0x24, 0x0000_0008);
    assert.equal(space.regions.length, 0);
    write(0x04, 0x3, 2);
    assert.equal(space.in(0xc004, 2), 0xab04);
    assert.equal(space.load(0xfe00_0010), 0xab10);
    assert.equal(space.load(0x8_0000_4008), 0xab08);
    assert.equal(member.barAddress(4), 0x8_0000_4000);
    write(0x14, 0xfe10_0000);
    assert.equal(space.load(0xfe00_0010), 0xffff_ffff);
    assert.equal(space.load(0xfe10_0010), 0xab10);
    write(0x04, 0x1, 2);
    assert.equal(space.regions.length, 0);
    assert.equal(space.in(0xc004, 2), 0xab04);
    member.reset();
    assert.equal(space.in(0xc004, 2), 0xffff);
  });

  test('never decode at zero, past the end, or over RAM', () => {
    const { write, space } = board(bars);
    write(0x04, 0x3, 2);
    for (const value of [0, 0xffff_ffff, 0x1000_0000]) {
      write(0x14, value);
      write(0x10, value);
      assert.equal(space.regions.length, 0);
    }
    write(0x20, 0xffff_ffff);
    write(0x24, 0xffff_ffff);
    assert.equal(space.regions.length, 0);
  });

  test("a BAR in another device's way waits until there is room", () => {
    const { bus, write, space, log } = board(bars);
    const other = new PciFunction({ vendorId: 1, deviceId: 2, revision: 0, classCode: 0 }, [
      { index: 0, kind: 'memory32', size: 0x1000, registers: { readMmio: () => 0x77, writeMmio() {} } },
    ]);
    bus.add(6, 0, other);
    other.write(0x04, 2, 2);
    other.write(0x10, 4, 0xfe00_0000);
    write(0x04, 0x2, 2);
    write(0x14, 0xfe00_0000);
    assert.equal(space.load(0xfe00_0000), 0x77);
    assert.equal(log.lines[0].topic, 'guest-error');
    other.write(0x10, 4, 0xfe20_0000);
    assert.equal(space.load(0xfe00_0000), 0xab00);
    assert.equal(space.load(0xfe20_0000), 0x77);
  });

  test('a snapshot restores the attachments', () => {
    const first = board(bars);
    first.write(0x14, 0xfe00_0000);
    first.write(0x04, 0x407, 2);
    const second = board(bars);
    second.member.restore(JSON.parse(JSON.stringify(first.member.save())));
    assert.equal(second.space.load(0xfe00_0000), 0xab00);
    assert.deepEqual(second.member.save(), first.member.save());
  });
});

describe('INTx', () => {
  test('reaches its PIRQ, shows in the status register, obeys the disable bit', () => {
    const { member, ioApic, read, write } = board();
    member.setInterrupt(true);
    assert.equal(ioApic[5].level, true);
    assert.equal(read(0x06, 2) & 8, 8);
    write(0x04, 0x400, 2);
    assert.equal(ioApic[5].level, false);
    assert.equal(read(0x06, 2) & 8, 8);
    write(0x04, 0, 2);
    assert.equal(ioApic[5].level, true);
    member.setInterrupt(false);
    assert.equal(ioApic[5].level, false);
  });

  test('functions share a PIRQ, and the route register picks the ISA interrupt', () => {
    const { member, ioApic, isa, router, bus } = board();
    const lpc = lpcBridge({ pmBaseMoved() {}, routesChanged: () => router.update() });
    bus.add(31, 0, lpc);
    router.connect(lpc);
    const other = new PciFunction({ vendorId: 1, deviceId: 2, revision: 0, classCode: 0, interruptPin: 1 });
    bus.add(9, 0, other);
    for (let pirq = 0; pirq < 8; pirq++) routePirq(lpc, pirq, undefined);
    member.setInterrupt(true);
    other.setInterrupt(true);
    assert.equal(
      isa.some((line) => line.level),
      false,
    );
    routePirq(lpc, 5, 11);
    assert.equal(isa[11].level, true);
    member.setInterrupt(false);
    assert.deepEqual([ioApic[5].level, isa[11].level], [true, true]);
    routePirq(lpc, 5, 10);
    assert.deepEqual([isa[10].level, isa[11].level], [true, false]);
    other.setInterrupt(false);
    assert.deepEqual([ioApic[5].level, isa[10].level], [false, false]);
  });
});

describe('message signalled interrupts', () => {
  test('MSI: address, data and vector number; masked vectors wait', () => {
    const { member, messages, read, write } = board();
    const msi = new MsiCapability(member, 4);
    assert.equal(read(0x34, 1), 0x40);
    assert.equal(read(0x40), 0x0184_0005);
    msi.send(0);
    write(0x44, 0xfee0_1000);
    write(0x4c, 0x40);
    write(0x42, 0x0011, 2); // two vectors granted
    msi.send(1);
    assert.deepEqual(messages.messages, [], 'no bus master yet');
    write(0x04, 4, 2);
    msi.send(1);
    msi.send(2);
    write(0x50, 2);
    msi.send(1);
    assert.equal(read(0x54), 2);
    write(0x50, 0);
    assert.deepEqual(
      messages.messages,
      [0x41, 0x40, 0x41].map((data) => ({ address: 0xfee0_1000, data })),
    );
  });

  test('MSI-X: table entries, vector and function masks, pending bits', () => {
    const table = new MsixTable(3, 0x1000);
    const space = new TestIoSpace();
    const messages = new RecordingMessages();
    const bus = new PciBus({ space, messages, log: new RecordingLog(), interrupts: { set() {} } });
    const member = new PciFunction({ vendorId: 1, deviceId: 2, revision: 0, classCode: 0 }, [
      { index: 1, kind: 'memory32', size: 0x1000, registers: table },
    ]);
    table.connect(member, 1);
    bus.add(1, 0, member);
    assert.equal(member.read(0x40, 4), 0x0002_0011);
    assert.equal(member.read(0x44, 4), 1);
    assert.equal(member.read(0x48, 4), 0x801);
    member.write(0x14, 4, 0xfe00_0000);
    member.write(0x04, 2, 6);
    space.store(0xfe00_0010, 0xfee0_0000);
    space.store(0xfe00_0018, 0x31);
    table.send(1);
    assert.deepEqual(messages.messages, [], 'not enabled');
    member.write(0x42, 2, 0x8000);
    table.send(1);
    assert.equal(space.load(0xfe00_0800), 2, 'masked after reset');
    space.store(0xfe00_001c, 0);
    assert.deepEqual(messages.messages, [{ address: 0xfee0_0000, data: 0x31 }]);
    assert.equal(space.load(0xfe00_0800), 0);
    member.write(0x42, 2, 0xc000);
    table.send(1);
    table.send(9);
    assert.equal(messages.messages.length, 1);
    const state = JSON.parse(JSON.stringify(table.save()));
    member.write(0x42, 2, 0x8000);
    assert.equal(messages.messages.length, 2);
    table.restore(state);
    assert.equal(space.load(0xfe00_0800), 2);
    assert.equal(space.load(0xfe00_0018, 2), 0x31);
  });
});

describe('q35 functions', () => {
  test('PCIEXBAR places the enhanced configuration space', () => {
    const moves: (number | undefined)[] = [];
    const hub = memoryControllerHub({ ecamMoved: (base) => moves.push(base) });
    enableEcam(hub, 0xb000_0000);
    assert.equal(moves.at(-1), 0xb000_0000);
    hub.write(0x60, 4, 0xb000_0000);
    assert.equal(moves.at(-1), undefined);
    hub.write(0x60, 4, 0xb000_0007); // reserved length
    assert.equal(moves.at(-1), undefined);
  });

  test('PMBASE and its enable bit place the power management registers', () => {
    const moves: (number | undefined)[] = [];
    const lpc = lpcBridge({ pmBaseMoved: (base) => moves.push(base), routesChanged() {} });
    assert.equal(lpc.read(0x40, 4), 1);
    enablePowerManagement(lpc, 0x600);
    assert.equal(moves.at(-1), 0x600);
    assert.equal(lpc.read(0x40, 4), 0x601);
    lpc.write(0x44, 1, 0);
    assert.equal(moves.at(-1), undefined);
  });

  test("a place that is taken is the guest's mistake, not ours", () => {
    const { bus, space, log } = board();
    const hub = memoryControllerHub({
      ecamMoved: (base, length) => void (base && space.attachMmio(base, length, enhancedConfigurationSpace(bus))),
    });
    bus.add(0, 0, hub);
    space.attachMmio(0xbfff_f000, 0x1000, registers);
    enableEcam(hub, 0xb000_0000);
    assert.match(log.lines[0].message, /00:00.0 cannot move the enhanced configuration space/);
  });

  test('reset goes back to power-on contents', () => {
    const { bus } = board();
    const lpc = lpcBridge({ pmBaseMoved() {}, routesChanged() {} });
    bus.add(31, 0, lpc);
    routePirq(lpc, 2, 11);
    enablePowerManagement(lpc, 0x600);
    lpc.reset();
    assert.deepEqual([lpc.read(0x40, 4), lpc.read(0x60, 4), lpc.read(0x68, 4)], [1, 0x8080_8080, 0x8080_8080]);
  });

  test('attribute registers are reported', () => {
    let attributes = new Uint8Array(0);
    const hub = memoryControllerHub({
      ecamMoved() {},
      attributesChanged: (registers) => (attributes = registers.slice()),
    });
    hub.write(0x91, 1, 0xff);
    assert.deepEqual([...attributes], [0, 0x33, 0, 0, 0, 0, 0]);
  });
});

test('several functions of a device mark it as such', () => {
  const { bus, read } = board();
  assert.equal(read(0x0e, 1), 0);
  bus.add(5, 2, new PciFunction({ vendorId: 1, deviceId: 2, revision: 0, classCode: 0 }));
  assert.equal(read(0x0e, 1), 0x80);
  assert.throws(
    () => bus.add(5, 0, new PciFunction({ vendorId: 1, deviceId: 2, revision: 0, classCode: 0 })),
    RangeError,
  );
});
