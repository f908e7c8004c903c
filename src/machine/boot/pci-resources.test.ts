import assert from 'node:assert/strict';
import { test } from 'node:test';
import { lpcBridge } from '../../devices/pci/host-bridge.ts';
import { type BarOptions, PciBus, PciFunction } from '../../devices/pci/model.ts';
import { RecordingLog, RecordingMessages, TestIoSpace } from '../../devices/test-bench.ts';
import { assignPciResources, decodesPciMemory } from './pci-resources.ts';

const registers = { readMmio: () => 0, writeMmio() {} };

test('BARs get distinct aligned places, interrupts a line', () => {
  const space = new TestIoSpace();
  const bus = new PciBus({
    space,
    messages: new RecordingMessages(),
    log: new RecordingLog(),
    interrupts: { set() {} },
  });
  const lpc = lpcBridge({ pmBaseMoved() {}, routesChanged() {} });
  bus.add(31, 0, lpc);
  const bars: BarOptions[] = [
    { index: 0, kind: 'io', size: 0x40, registers },
    { index: 1, kind: 'memory32', size: 0x1000, registers },
    { index: 4, kind: 'memory64', size: 0x4000, prefetchable: true, registers },
  ];
  const members = [3, 4].map((device) => {
    const member = new PciFunction({ vendorId: 1, deviceId: device, revision: 0, classCode: 0, interruptPin: 1 }, bars);
    bus.add(device, 0, member);
    return member;
  });
  assignPciResources(bus, lpc);
  assert.deepEqual(
    members.map((member) => [0, 1, 4].map((bar) => member.barAddress(bar))),
    [
      [0xc000, 0xc000_8000, 0xc000_0000],
      [0xc040, 0xc000_9000, 0xc000_4000],
    ],
  );
  assert.deepEqual(
    members.map((member) => member.read(0x3c, 2)),
    [0x010b, 0x010a],
  );
  assert.equal(lpc.read(0x68, 4), 0x0b0b_0a0a);
});

test('PCI memory begins where RAM ends', () => {
  const GIB = 2 ** 30;
  assert.equal(decodesPciMemory(GIB, 0x3fff_f000, 0x1000), false);
  assert.equal(decodesPciMemory(GIB, 0x4000_0000, 0x1000), true);
  assert.equal(decodesPciMemory(GIB, 4 * GIB, 0x1000), true);
  assert.equal(decodesPciMemory(4 * GIB, 4 * GIB, 0x1000), false);
  assert.equal(decodesPciMemory(4 * GIB, 6 * GIB, 0x1000), true);
});
