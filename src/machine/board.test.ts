import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { EventQueue, VirtualClock } from '../bus/scheduler.ts';
import type { BlockStore } from '../bus/streams.ts';
import { ArrayMemory, RecordingLog, TestStream } from '../devices/test-bench.ts';
import { Board, type BoardOptions } from './board.ts';

const APIC_BASE_MSR = 0x1b;
const CONFIG_ADDRESS = 0xcf8;
const CONFIG_DATA = 0xcfc;

const disk = (readOnly: boolean): BlockStore => ({ sectors: 8, readOnly, read() {}, write() {}, flush() {} });

const text = (log: RecordingLog) => log.lines.map(({ message }) => message).join('\n');

function bench(options: Partial<BoardOptions> = {}) {
  const events: string[] = [];
  const log = new RecordingLog();
  const board = new Board({
    time: new EventQueue(new VirtualClock()),
    log,
    memory: new ArrayMemory(0x1000),
    ramBytes: 2 ** 30,
    serial: [],
    disks: [disk(false), disk(true)],
    virtioConsole: new TestStream(),
    entropy: { fill() {} },
    epochSeconds: 0,
    tsc: () => 0n,
    tscFrequency: 2e9,
    physicalAddressBits: 40,
    events: {
      powerOff: () => events.push('power-off'),
      reset: () => events.push('reset'),
      debugExit: (value) => events.push(`exit ${value}`),
      interruptChanged() {},
      initialize: () => events.push('initialize'),
      startUp() {},
    },
    ...options,
  });
  const config = (device: number, register: number): number => {
    board.space.writePort(CONFIG_ADDRESS, 4, (0x8000_0000 | (device << 11) | register) >>> 0);
    return board.space.readPort(CONFIG_DATA, 4);
  };
  return { board, events, log, config };
}

describe('PCI', () => {
  test('the entropy device, the console and the disks are where they belong, ready for use', () => {
    const { config } = bench();
    const ids = Array.from({ length: 32 }, (_, device) => config(device, 0));
    const present = Object.entries(ids).filter(([, id]) => id !== 0xffff_ffff);
    assert.deepEqual(
      present.map(([device, id]) => [Number(device), id.toString(16)]),
      [
        [0, '29c08086'],
        [2, '10441af4'],
        [3, '10431af4'],
        [4, '10421af4'],
        [5, '10421af4'],
        [31, '29188086'],
      ],
    );
    const bars = [2, 3, 4, 5].map((device) => config(device, 0x10 + 4 * 4) & ~0xf);
    assert.equal(new Set(bars).size, 4);
    for (const bar of bars) assert.ok(bar >>> 0 >= 0xc000_0000);
    // interrupt lines 10 and 11, which are level-triggered
    for (const device of [2, 3, 4, 5]) assert.match(String(config(device, 0x3c) & 0xff), /^1[01]$/);
  });
  test('there is no console unless asked for', () => {
    assert.equal(bench({ virtioConsole: undefined }).config(3, 0), 0xffff_ffff);
  });
  test('configuration space is in memory as well', () => {
    const { board } = bench();
    assert.equal(board.space.readMmio(0xb000_0000 + (4 << 15), 4), 0x1042_1af4);
  });
  test('a reset brings everything back to its place', () => {
    const { board, config } = bench();
    const before = config(3, 0x20);
    board.space.writePort(CONFIG_DATA, 4, 0);
    assert.notEqual(config(3, 0x20), before);
    board.reset();
    assert.equal(config(3, 0x20), before);
    assert.equal(board.space.readMmio(0xb000_0000, 4), 0x29c0_8086);
  });
  test('the interrupts of PCI are level-triggered', () => {
    const { board } = bench();
    assert.equal(board.space.readPort(0x4d0, 2), 0x0c00);
  });
});

describe('reset and power', () => {
  test('by the reset control register: the processor, or everything', () => {
    const { board, events } = bench();
    board.space.writePort(0xcf9, 1, 0x04);
    board.space.writePort(0xcf9, 1, 0x06);
    assert.deepEqual(events, ['initialize', 'reset']);
  });
  test('by the keyboard controller and port 92h: the processor', () => {
    const { board, events } = bench();
    board.space.writePort(0x64, 1, 0xfe);
    board.space.writePort(0x92, 1, 0x03);
    assert.deepEqual(events, ['initialize', 'initialize']);
  });
  test('the debug-exit port and ACPI', () => {
    const { board, events } = bench();
    board.space.writePort(0xf4, 4, 7);
    board.space.writePort(0x604, 2, 0x2000);
    assert.deepEqual(events, ['exit 7', 'power-off']);
  });
});

test('the two gates of A20 show each other; closing is logged', () => {
  const { board, log } = bench();
  const { space } = board;
  const outputPort = () => {
    space.writePort(0x64, 1, 0xd0);
    return space.readPort(0x60, 1);
  };
  assert.equal(outputPort() & 2, 2);
  space.writePort(0x92, 1, 0);
  assert.equal(outputPort() & 2, 0);
  assert.match(text(log), /A20/);
  space.writePort(0x64, 1, 0xdf);
  assert.equal(space.readPort(0x92, 1) & 2, 2);
});

describe('the local APIC moves', () => {
  const ID_VERSION = 0x30;
  const at = (base: number) => BigInt(base | 0x900);
  test('to where the guest wants it', () => {
    const { board } = bench();
    const version = board.space.readMmio(0xfee0_0000 + ID_VERSION, 4);
    board.lapic.writeMsr(APIC_BASE_MSR, BigInt(0xfed4_0900));
    assert.equal(board.space.readMmio(0xfed4_0000 + ID_VERSION, 4), version);
    assert.equal(board.space.readMmio(0xfee0_0000 + ID_VERSION, 4), 0xffff_ffff);
    board.reset();
    assert.equal(board.space.readMmio(0xfee0_0000 + ID_VERSION, 4), version);
  });
  test("not over another device, which is the guest's mistake", () => {
    const { board, log } = bench();
    assert.equal(board.lapic.writeMsr(APIC_BASE_MSR, BigInt(0xfec0_0900)), true);
    assert.match(text(log), /local APIC hidden/);
    assert.notEqual(board.space.readMmio(0xfec0_0010, 4), 0xffff_ffff);
    board.lapic.writeMsr(APIC_BASE_MSR, BigInt(0xfee0_0900));
    assert.notEqual(board.space.readMmio(0xfee0_0000 + ID_VERSION, 4), 0xffff_ffff);
  });
  test('over memory, where it cannot be seen', () => {
    const { board, log } = bench();
    board.lapic.writeMsr(APIC_BASE_MSR, at(0x10_0000));
    assert.match(text(log), /hidden by memory/);
  });
});
