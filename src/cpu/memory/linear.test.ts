import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { ABORTED } from '../fault.ts';
import { Pending } from '../state.ts';
import { AccessInfo } from './slow-path.ts';
import {
  A,
  AC,
  access,
  CR0,
  CR4,
  D,
  longMode,
  type Machine,
  machine,
  P,
  pendingOf,
  Tables,
  tlbHit,
  U,
  W,
} from './testing.ts';

const DATA = 0x80_0000;
const DEVICE = 0xfee0_0000;
const LINEAR = 0x5000n;
const DS = 3;
const SS = 2;

function setUp(options: Parameters<typeof longMode>[2] = {}) {
  const m = machine();
  const t = new Tables(m, 0x10_0000);
  const root = t.page();
  // Neighbours in linear memory are apart in physical memory.
  t.map(root, LINEAR, DATA, P | W | U);
  t.map(root, LINEAR + 0x1000n, DATA + 0x5000, P | W | U);
  t.map(root, LINEAR + 0x2000n, DATA + 0x7000, P | U);
  t.map(root, 0x9000n, DEVICE, P | W | U);
  t.map(root, LINEAR - 0x1000n, DEVICE + 0x1000, P | W | U);
  longMode(m, root, options);
  return { ...m, t, root };
}
const slow = (m: Machine) => [m.cpu.slowValue[0], m.cpu.slowValue[1]];
const PATTERN = Uint8Array.from({ length: 16 }, (_, i) => 0xf0 - 7 * i);
const numberOf = (bytes: Uint8Array) => bytes.reduceRight((n, b) => (n << 8n) | BigInt(b), 0n);

describe('slow path', () => {
  for (const bytes of [1, 2, 4, 8, 16]) {
    test(`${bytes} bytes at every distance from a page boundary`, () => {
      const m = setUp();
      for (let offset = 0x1000 - bytes - 1; offset <= 0x1001; offset++) {
        const value = PATTERN.subarray(0, bytes);
        const first = Math.max(0, Math.min(bytes, 0x1000 - offset));
        const around = (n: number) => [
          ...m.dma.read(DATA + offset - 1, 1 + first),
          ...m.dma.read(DATA + 0x5000 + Math.max(0, offset - 0x1000), n - first),
        ];
        m.dma.write(DATA, new Uint8Array(0x1000));
        m.dma.write(DATA + 0x5000, new Uint8Array(0x1000));
        m.cpu.slowValue[0] = numberOf(PATTERN.subarray(0, 8));
        m.cpu.slowValue[1] = numberOf(PATTERN.subarray(8, 16));
        const linear = Number(LINEAR) + offset;
        assert.equal(m.linear.slowStore(linear, 0, bytes | (DS << 8)), 0);
        if (offset < 0x1000)
          assert.deepEqual(around(bytes + 1), [0, ...value, 0], `stored at offset ${offset.toString(16)}`);
        m.cpu.slowValue.fill(0xaaaa_aaaa_aaaa_aaaan);
        assert.equal(m.linear.slowLoad(linear, 0, bytes | (DS << 8)), 0);
        const expected = [numberOf(value.subarray(0, 8)), numberOf(value.subarray(8))];
        assert.deepEqual(
          bytes === 16 ? slow(m) : [m.cpu.slowValue[0], expected[1]],
          expected,
          `loaded at offset ${offset.toString(16)}`,
        );
      }
    });
  }

  test('a crossing store writes nothing unless both pages allow it', () => {
    const m = setUp();
    const linear = LINEAR + 0x1ffcn;
    assert.deepEqual(access(m, 'w', linear, 8, DS, 0xffff_ffff_ffff_ffffn), {
      vector: 14,
      code: 3,
      address: LINEAR + 0x2000n,
    });
    assert.equal(m.dma.readU32(DATA + 0x5ffc), 0);
    assert.deepEqual(access(m, 'r', LINEAR + 0x2ffcn, 8), { vector: 14, code: 0, address: LINEAR + 0x3000n });
    assert.equal(access(m, 'r', linear, 8), undefined);
  });

  test('a crossing access enters both pages', () => {
    const m = setUp();
    access(m, 'w', LINEAR + 0xffen, 4);
    assert.notEqual(tlbHit(m, 'w', LINEAR), undefined);
    assert.notEqual(tlbHit(m, 'w', LINEAR + 0x1000n), undefined);
  });

  test('read-modify-write needs write permission and sets the dirty bit', () => {
    const m = setUp();
    const load = (linear: bigint) => m.linear.slowLoad(Number(linear), 0, 4 | (DS << 8) | AccessInfo.READ_MODIFY_WRITE);
    assert.equal(load(LINEAR + 0x2000n), 1);
    assert.deepEqual(pendingOf(m.cpu), { vector: 14, code: 3, address: LINEAR + 0x2000n });
    m.dma.writeU32(DATA, 0x12345678);
    assert.equal(load(LINEAR), 0);
    assert.equal(m.cpu.slowValue[0], 0x12345678n);
    assert.equal(m.t.get(m.t.entry(m.root, 3, LINEAR, 0)) & (A | D), A | D);
    assert.notEqual(tlbHit(m, 'w', LINEAR), undefined);
  });

  test('non-canonical addresses raise #GP(0), or #SS(0) through SS', () => {
    const m = setUp();
    for (const linear of [0x8000_0000_0000n, 0xffff_7fff_ffff_ffffn, 1n << 63n]) {
      assert.equal((access(m, 'r', linear) as { vector: number }).vector, 13);
      assert.deepEqual(access(m, 'w', linear, 8, SS) as { vector: number; code: number }, {
        vector: 12,
        code: 0,
        address: 0n,
      });
      assert.equal((access(m, 'x', linear) as { vector: number }).vector, 13);
    }
    m.t.map(m.root, 0x7fff_ffff_f000n, DATA, P | W);
    assert.equal(
      (access(m, 'r', 0x7fff_ffff_fffcn, 8) as { vector: number }).vector,
      13,
      'the second page of a crossing access',
    );
    assert.equal(access(m, 'r', 0x7fff_ffff_fff8n, 8), undefined);
  });

  test('outside 64-bit mode an access wraps at 4 GiB', () => {
    const m = machine();
    m.dma.writeU32(0, 0x44332211);
    assert.equal(access(m, 'r', 0xffff_fffen, 4), undefined);
    assert.equal(m.cpu.slowValue[0] >> 16n, 0x2211n);
  });

  test('device memory is never entered in the TLB and accesses are split and aligned', () => {
    const m = setUp();
    assert.equal(access(m, 'w', 0x9010n, 8, DS, 0x8877665544332211n), undefined);
    assert.equal(access(m, 'r', 0x9013n, 4), undefined);
    assert.equal(
      m.cpu.slowValue[0],
      0x13n | ((0x1414n << 8n) & 0xffff00n) | (0x16n << 24n) | 0n,
      'bytes of three reads',
    );
    assert.deepEqual(
      m.bus.log.map(({ kind, address, size, value }) => [kind, address - DEVICE, size, kind === 'w' ? value : 0]),
      [
        ['w', 0x10, 4, 0x44332211],
        ['w', 0x14, 4, 0x88776655],
        ['r', 0x13, 1, 0],
        ['r', 0x14, 2, 0],
        ['r', 0x16, 1, 0],
      ],
    );
    for (const kind of ['r', 'w', 'x'] as const) assert.equal(tlbHit(m, kind, 0x9010n), undefined);
    m.bus.log.length = 0;
    assert.equal(access(m, 'r', 0x9000n, 16), undefined);
    assert.deepEqual(
      m.bus.log.map((a) => [a.address - DEVICE, a.size]),
      [
        [0, 4],
        [4, 4],
        [8, 4],
        [12, 4],
      ],
    );
  });

  test('an access may lie half in a device', () => {
    const m = setUp();
    access(m, 'w', LINEAR - 2n, 4, DS, 0x44332211n);
    assert.deepEqual(
      m.bus.log.map((a) => [a.address - DEVICE, a.value]),
      [
        [0x1ffe, 0x11],
        [0x1fff, 0x22],
      ],
    );
    assert.equal(m.dma.readU16(DATA), 0x4433);
  });

  test('stores to ROM vanish, loads do not', () => {
    const m = setUp();
    m.physical.addRom(0x2000_0000, Uint8Array.of(1, 2, 3, 4));
    m.t.map(m.root, 0x7_0000n, 0x2000_0000, P | W);
    assert.equal(access(m, 'w', 0x7_0000n, 4, DS, 0n), undefined);
    assert.equal(access(m, 'r', 0x7_0000n), undefined);
    assert.equal(m.cpu.slowValue[0], 0x04030201n);
    assert.equal(tlbHit(m, 'w', 0x7_0000n), undefined);
    assert.notEqual(tlbHit(m, 'r', 0x7_0000n), undefined);
    assert.equal(m.linear.slowLoad(0x7_0000, 0, 4 | AccessInfo.READ_MODIFY_WRITE), 0);
    assert.equal(m.cpu.slowValue[0], 0x04030201n);
    assert.equal(access(m, 'x', 0x7_0000n), undefined);
  });

  test('fetching from a device gives ones and no way to read or write there', () => {
    const m = setUp();
    const at = m.linear.translateExecute(0x9123, 0);
    assert.deepEqual([m.arena.bytes[at], m.arena.bytes[at + 15]], [0xff, 0xff]);
    assert.equal(tlbHit(m, 'r', 0x9123n), undefined);
    assert.equal(tlbHit(m, 'w', 0x9123n), undefined);
  });
});

describe('alignment checking', () => {
  const aligned = () => {
    const m = setUp({ cr0: CR0.WP | CR0.AM });
    m.cpu.cpl = 3;
    m.cpu.rflags = AC | 2n;
    m.translation.stateChanged();
    return m;
  };

  test('raises #AC(0) for unaligned accesses and keeps everything on the slow path', () => {
    const m = aligned();
    assert.equal(access(m, 'w', LINEAR + 4n, 4), undefined);
    assert.equal(tlbHit(m, 'w', LINEAR), undefined);
    assert.equal(tlbHit(m, 'r', LINEAR), undefined);
    assert.equal((access(m, 'r', LINEAR + 2n, 4) as { vector: number }).vector, 17);
    assert.equal((access(m, 'w', LINEAR + 4n, 8) as { vector: number }).vector, 17);
    assert.equal(access(m, 'r', LINEAR + 3n, 1), undefined);
    assert.equal(access(m, 'w', LINEAR + 8n, 8), undefined);
    assert.equal(tlbHit(m, 'w', LINEAR), undefined);
    assert.equal(access(m, 'x', LINEAR + 1n), undefined);
  });

  test('needs CR0.AM, RFLAGS.AC and privilege level 3', () => {
    for (const [am, ac, cpl] of [
      [false, true, 3],
      [true, false, 3],
      [true, true, 0],
    ] as const) {
      const m = aligned();
      if (!am) m.cpu.cr0 &= ~CR0.AM;
      if (!ac) m.cpu.rflags = 2n;
      m.cpu.cpl = cpl;
      m.translation.stateChanged();
      assert.equal(access(m, 'r', LINEAR + 1n), undefined);
      assert.notEqual(tlbHit(m, 'r', LINEAR), undefined);
    }
  });
});

describe('data breakpoints', () => {
  /** Breakpoint 2, enabled locally. */
  const watch = (m: Machine, address: bigint, readWrite: number, length: number) => {
    m.cpu.dr[2] = address;
    m.cpu.dr7 = 0x400n | (1n << 4n) | (BigInt(readWrite | (length << 2)) << 24n);
    m.translation.stateChanged();
  };
  const hits = (m: Machine, kind: 'r' | 'w', linear: bigint, bytes: number) => {
    m.cpu.dr6Pending = 0;
    assert.equal(access(m, kind, linear, bytes), undefined);
    return m.cpu.dr6Pending;
  };

  test('report writes, or reads and writes, that overlap', () => {
    const m = setUp();
    access(m, 'w', LINEAR);
    watch(m, LINEAR + 8n, 1, 3);
    assert.equal(tlbHit(m, 'w', LINEAR), undefined, 'setting one drops translations');
    assert.equal(hits(m, 'w', LINEAR + 8n, 1), 4);
    assert.equal(hits(m, 'w', LINEAR + 11n, 1), 4);
    assert.equal(hits(m, 'w', LINEAR + 4n, 4), 0);
    assert.equal(hits(m, 'w', LINEAR + 12n, 4), 0);
    assert.equal(hits(m, 'w', LINEAR + 5n, 4), 4);
    assert.equal(hits(m, 'r', LINEAR + 8n, 4), 0);
    assert.equal(tlbHit(m, 'r', LINEAR), undefined);
    assert.equal(tlbHit(m, 'w', LINEAR), undefined);
    assert.equal(hits(m, 'w', LINEAR + 0x1000n, 4), 0);
    assert.notEqual(tlbHit(m, 'w', LINEAR + 0x1000n), undefined, 'other pages are as fast as ever');
    watch(m, LINEAR + 0xff8n, 3, 2);
    assert.equal(hits(m, 'r', LINEAR + 0xfffn, 4), 4);
    assert.equal(hits(m, 'r', LINEAR + 0x1000n, 4), 0);
    watch(m, LINEAR + 0xff8n, 0, 0);
    assert.equal(hits(m, 'w', LINEAR + 0xff8n, 4), 0);
    assert.notEqual(tlbHit(m, 'w', LINEAR), undefined, 'execution breakpoints slow nothing');
  });

  test('a faulting access is no hit', () => {
    const m = setUp();
    watch(m, LINEAR + 0x2000n, 3, 3);
    assert.notEqual(access(m, 'w', LINEAR + 0x2000n), undefined);
    assert.equal(m.cpu.dr6Pending, 0);
  });
});

describe('linear memory for helpers', () => {
  test('numbers of every width, across pages', () => {
    const m = setUp();
    for (const at of [LINEAR, LINEAR + 0xffdn]) {
      m.linear.writeU64(at, 0x8877665544332211n);
      assert.equal(m.linear.readU64(at), 0x8877665544332211n);
      assert.equal(m.linear.readU32(at + 1n), 0x55443322);
      assert.equal(m.linear.readU16(at + 2n), 0x4433);
      assert.equal(m.linear.readU8(at + 7n), 0x88);
      m.linear.writeU32(at, 0xfffefdfc);
      m.linear.writeU16(at + 4n, 0xfbfa);
      m.linear.writeU8(at + 6n, 0xf9);
      assert.deepEqual([...m.linear.readBytes(at, 8)], [0xfc, 0xfd, 0xfe, 0xff, 0xfa, 0xfb, 0xf9, 0x88]);
      m.linear.writeBytes(at, PATTERN);
      assert.deepEqual(m.linear.readBytes(at, 16), PATTERN);
    }
    assert.deepEqual([...m.dma.read(DATA + 0x5000, 2)], [...PATTERN.subarray(3, 5)]);
  });

  test('throw ABORTED with the fault described, and write nothing then', () => {
    const m = setUp();
    assert.throws(
      () => m.linear.writeBytes(LINEAR + 0x1ff8n, PATTERN),
      (e) => e === ABORTED,
    );
    assert.deepEqual(pendingOf(m.cpu), { vector: 14, code: 3, address: LINEAR + 0x2000n });
    assert.equal(m.dma.readU64(DATA + 0x5ff8), 0n);
    assert.throws(
      () => m.linear.readU8(0n),
      (e) => e === ABORTED,
    );
    assert.throws(
      () => m.linear.readU8(1n << 60n),
      (e) => e === ABORTED,
    );
    assert.equal(m.cpu.faultVector, 13);
    m.cpu.pending = Pending.NONE;
  });

  test('probe faults like the access and touches every page', () => {
    const m = setUp();
    m.linear.probe(LINEAR + 0xff0n, 0x20, 'w');
    for (const linear of [LINEAR, LINEAR + 0x1000n]) assert.equal(m.t.get(m.t.entry(m.root, 3, linear, 0)) & D, D);
    assert.throws(
      () => m.linear.probe(LINEAR + 0xff0n, 0x1011, 'w'),
      (e) => e === ABORTED,
    );
    m.linear.probe(LINEAR + 0xff0n, 0x1011, 'r');
    m.linear.probe(0n, 0, 'w');
  });

  test('system accesses have supervisor rights whatever the privilege level', () => {
    const m = setUp({ cr4: CR4.SMAP });
    m.t.map(m.root, 0xa000n, DATA + 0x1000, P | W);
    m.cpu.cpl = 3;
    m.translation.stateChanged();
    assert.throws(
      () => m.linear.readU32(0xa000n),
      (e) => e === ABORTED,
    );
    m.linear.writeU32(0xa000n, 5, true);
    assert.equal(m.linear.readU32(0xa000n, true), 5);
    assert.throws(
      () => m.linear.readU32(0xa000n),
      (e) => e === ABORTED,
    );
    assert.equal(tlbHit(m, 'r', 0xa000n), undefined);
    m.linear.readU32(LINEAR);
    assert.throws(
      () => m.linear.readU32(LINEAR, true),
      (e) => e === ABORTED,
      'SMAP',
    );
  });

  test('addresses have 32 bits outside long mode', () => {
    const m = machine();
    m.linear.writeU32(0x1_0000_2000n, 77);
    assert.equal(m.dma.readU32(0x2000), 77);
  });

  test('reach devices byte by byte', () => {
    const m = setUp();
    m.linear.writeBytes(0x9000n, Uint8Array.of(1, 2));
    assert.deepEqual(
      m.bus.log.map((a) => [a.address - DEVICE, a.size, a.value]),
      [
        [0, 1, 1],
        [1, 1, 2],
      ],
    );
    assert.deepEqual([...m.linear.readBytes(0x9041n, 2)], [0x41, 0x42]);
  });
});
