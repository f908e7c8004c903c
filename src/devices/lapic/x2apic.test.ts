import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { EXTERNAL_INTERRUPT, NO_INTERRUPT } from './model.ts';
import { board, OFFSET } from './test-support.ts';

const APIC_BASE = 0x1b;
const DISABLED = 0xfee0_0000n;
const XAPIC = 0xfee0_0800n;
const X2APIC = 0xfee0_0c00n;

/** MSR of an xAPIC offset. */
const msr = (offset: number) => 0x800 + (offset >> 4);

/** A board whose processors are all in x2APIC mode and software-enabled. */
function x2board(count = 1) {
  const machine = board(count);
  for (const lapic of machine.lapics) {
    assert.equal(lapic.writeMsr(APIC_BASE, X2APIC), true);
    assert.equal(lapic.writeMsr(msr(OFFSET.svr), 0x1ffn), true);
  }
  machine.take();
  return machine;
}

describe('IA32_APIC_BASE', () => {
  test('transitions between disabled, xAPIC and x2APIC', () => {
    const { lapic } = board(1, { bootstrap: false });
    const states = { disabled: DISABLED, xapic: XAPIC, x2apic: X2APIC };
    const legal: Record<string, string[]> = {
      disabled: ['disabled', 'xapic'],
      xapic: ['disabled', 'xapic', 'x2apic'],
      x2apic: ['disabled', 'x2apic'],
    };
    for (const [from, value] of Object.entries(states)) {
      for (const [to, next] of Object.entries(states)) {
        lapic.writeMsr(APIC_BASE, DISABLED);
        if (from !== 'disabled') lapic.writeMsr(APIC_BASE, XAPIC);
        if (from === 'x2apic') lapic.writeMsr(APIC_BASE, X2APIC);
        assert.equal(lapic.readMsr(APIC_BASE), value);
        assert.equal(lapic.writeMsr(APIC_BASE, next), legal[from].includes(to), `${from} to ${to}`);
      }
      assert.equal(lapic.writeMsr(APIC_BASE, 0xfee0_0400n), false, 'EXTD without EN');
    }
  });

  test('reserved bits fault, the BSP flag stays', () => {
    const { lapic } = board();
    assert.equal(lapic.readMsr(APIC_BASE), 0xfee0_0900n);
    for (const bit of [0n, 7n, 9n, 40n, 63n]) assert.equal(lapic.writeMsr(APIC_BASE, XAPIC | (1n << bit)), false);
    assert.equal(lapic.writeMsr(APIC_BASE, 0xd0_0000_0800n), true);
    assert.equal(lapic.readMsr(APIC_BASE), 0xd0_0000_0900n);
    assert.equal(lapic.baseAddress, 0xd0_0000_0000);
    const without = board(1, { x2apic: false });
    assert.equal(without.lapic.writeMsr(APIC_BASE, X2APIC), false);
  });

  test('disabling loses the registers and unmaps the page', () => {
    const { lapic, read, write, enable, bus } = board();
    enable();
    write(OFFSET.icrLow, 0x4_0041);
    assert.equal(lapic.pending(), 0x41);
    lapic.writeMsr(APIC_BASE, DISABLED);
    assert.equal(lapic.pending(), NO_INTERRUPT);
    assert.equal(read(OFFSET.version), 0xffff_ffff);
    bus.write(0xfee00000, 0x4400);
    lapic.writeMsr(APIC_BASE, XAPIC);
    assert.equal(read(OFFSET.svr), 0xff);
    assert.equal(read(OFFSET.irr + 0x20), 0);
  });

  test('the page reads all ones in x2APIC mode', () => {
    const { read, write, lapic } = x2board();
    assert.equal(read(OFFSET.version), 0xffff_ffff);
    write(OFFSET.tpr, 0x20);
    assert.equal(lapic.cr8, 0);
  });
});

describe('x2APIC registers', () => {
  test('are absent in xAPIC mode', () => {
    const { lapic } = board();
    assert.equal(lapic.readMsr(0x802), undefined);
    assert.equal(lapic.writeMsr(0x808, 0n), false);
  });

  test('identifiers', () => {
    const { lapics } = x2board(18);
    assert.equal(lapics[17].readMsr(0x802), 17n);
    assert.equal(lapics[17].readMsr(0x80d), 0x1_0002n);
    assert.equal(lapics[0].readMsr(0x803), 0x5_0014n);
  });

  test('#GP rules', () => {
    const { lapic } = x2board();
    const reads = (index: number) => lapic.readMsr(index) !== undefined;
    const writes = (index: number, value = 0n) => lapic.writeMsr(index, value);
    for (const index of [0x802, 0x803, 0x80a, 0x80d, 0x810, 0x81f, 0x827, 0x839]) {
      assert.equal(reads(index) && !writes(index), true, `${index.toString(16)} is read-only`);
    }
    for (const index of [0x80b, 0x83f]) {
      assert.equal(!reads(index) && writes(index, index === 0x83f ? 0x40n : 0n), true, 'write-only');
    }
    for (const index of [0x800, 0x809, 0x80c, 0x80e, 0x831, 0x82f, 0x83a, 0x840, 0x8ff]) {
      assert.equal(reads(index) || writes(index), false, `${index.toString(16)} does not exist`);
    }
    assert.equal(writes(0x80b, 1n), false, 'EOI takes zero only');
    assert.equal(writes(0x828, 1n), false, 'ESR takes zero only');
    assert.equal(writes(0x828, 0n), true);
    assert.equal(writes(0x808, 0x100n), false);
    assert.equal(writes(0x808, 1n << 32n), false);
    assert.equal(writes(0x80f, 0x1000_01ffn), false);
    assert.equal(writes(0x80f, 0x11ffn), false, 'suppression is not offered');
    assert.equal(writes(0x830, 0x2000n), false);
    assert.equal(writes(0x830, 0x10_0000n), false);
    assert.equal(writes(0x832, 0x6_00ecn), false, 'reserved timer mode');
    assert.equal(writes(0x832, 0x4_00ecn), true);
    assert.equal(writes(0x838, 0xffff_ffffn), true);
    assert.equal(writes(0x83e, 0x4n), false);
    assert.equal(writes(0x83f, 0x100n), false);
  });

  test('self IPI, EOI, ICR as one register', () => {
    const { lapic, lapics, take } = x2board(2);
    lapic.writeMsr(0x83f, 0x41n);
    assert.equal(lapic.acknowledge(), 0x41);
    lapic.writeMsr(0x80b, 0n);
    assert.equal(lapic.readMsr(0x80a), 0n);
    lapic.writeMsr(0x830, 0x0000_0001_0000_0055n);
    assert.equal(lapic.readMsr(0x830), 0x0000_0001_0000_0055n);
    assert.equal(lapics[1].acknowledge(), 0x55);
    lapic.writeMsr(0x830, 0xffff_ffff_0000_0400n);
    assert.deepEqual(take(), ['0: nmi', '1: nmi']);
  });

  test('logical destinations by cluster', () => {
    const { lapics, lapic, bus } = x2board(18);
    lapic.writeMsr(0x830, 0x0001_0003_0000_0850n);
    const hit = lapics.flatMap((each, id) => (each.pending() === 0x50 ? [id] : []));
    assert.deepEqual(hit, [16, 17]);
    bus.write(0xfee0_5004, 0x4060);
    assert.deepEqual(
      lapics.flatMap((each, id) => (each.pending() === 0x60 ? [id] : [])),
      [0, 2],
      'an 8-bit logical destination means the first cluster',
    );
    bus.write(0xfeef_f000, 0x4070);
    assert.equal(
      lapics.every((each) => each.pending() === 0x70),
      true,
    );
    bus.write(0xfee1_1000, 0x4080);
    assert.equal(lapics[17].pending(), 0x80);
  });

  test('the 8259A still interrupts through LINT0', () => {
    const { lapic } = x2board();
    lapic.writeMsr(0x835, 0x700n);
    lapic.lint0.set(true);
    assert.equal(lapic.pending(), EXTERNAL_INTERRUPT);
    assert.equal(lapic.readMsr(0x835), 0x700n);
  });
});
