import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import {
  A,
  access,
  CR0,
  CR4,
  D,
  EFER,
  G,
  HIGH_RAM_BASE,
  longMode,
  MAXPHYADDR,
  type Machine,
  MiB,
  machine,
  NX,
  P,
  PS,
  Tables,
  tlbHit,
  U,
  W,
} from './testing.ts';

const ROOT = 0x10_0000;
const DATA = 0x80_0000;

/** Reads a 32-bit word that was put at a physical address. */
function readsFrom(m: Machine, linear: bigint, physical: number): void {
  m.dma.writeU32(physical, 0xfeed0001 + (physical & 0xff));
  assert.equal(access(m, 'r', linear), undefined, `read of ${linear.toString(16)}`);
  assert.equal(m.cpu.slowValue[0], BigInt(0xfeed0001 + (physical & 0xff)));
}
const fault = (code: number, address: bigint) => ({ vector: 14, code, address });
const RESERVED_READ = 9;
const CR0_PG = CR0.PE | CR0.PG | CR0.WP;

describe('no paging', () => {
  test('linear addresses are physical ones', () => {
    const m = machine();
    readsFrom(m, 0x12345n, 0x12345);
    assert.equal(access(m, 'w', 0x12345n), undefined);
    assert.equal(tlbHit(m, 'w', 0x12345n), tlbHit(m, 'r', 0x12345n));
    assert.equal(access(m, 'x', 0x12345n), undefined);
    m.cpu.cpl = 3;
    m.translation.stateChanged();
    readsFrom(m, 0x12345n, 0x12345);
  });
});

describe('32-bit paging', () => {
  function setUp(cr4 = 0n) {
    const m = machine();
    m.cpu.cr0 = CR0_PG;
    m.cpu.cr4 = cr4;
    m.cpu.cr3 = BigInt(ROOT) | 0xfffn;
    m.translation.stateChanged();
    const set = (address: number, entry: number) => m.dma.writeU32(address, entry);
    return { m, set };
  }
  const PDE = (linear: number) => ROOT + 4 * (linear >>> 22);
  const PTE = (linear: number) => 0x20_0000 + 4 * ((linear >>> 12) & 1023);

  test('4 KiB pages, with accessed and dirty bits', () => {
    const { m, set } = setUp();
    set(PDE(0xc0123456), 0x20_0000 | 7);
    set(PTE(0xc0123456), DATA | 7);
    readsFrom(m, 0xc0123456n, DATA + 0x456);
    assert.equal(m.dma.readU32(PDE(0xc0123456)), 0x20_0027);
    assert.equal(m.dma.readU32(PTE(0xc0123456)), DATA | 0x27);
    assert.equal(access(m, 'w', 0xc0123456n), undefined);
    assert.equal(m.dma.readU32(PDE(0xc0123456)), 0x20_0027);
    assert.equal(m.dma.readU32(PTE(0xc0123456)), DATA | 0x67);
  });

  test('absent entries at both levels; no NX, no fetch bit', () => {
    const { m, set } = setUp();
    assert.deepEqual(access(m, 'w', 0x40_0000n), fault(2, 0x40_0000n));
    set(PDE(0x40_0000), 0x20_0000 | 3);
    assert.deepEqual(access(m, 'x', 0x40_0123n), fault(0, 0x40_0123n));
    set(PTE(0x40_0000), DATA | 1);
    assert.equal(access(m, 'x', 0x40_0123n), undefined);
    assert.deepEqual(access(m, 'w', 0x40_0123n), fault(3, 0x40_0123n));
  });

  test('4 MiB pages with CR4.PSE only', () => {
    const { m, set } = setUp();
    // Without PSE the entry points to a table whose entry 1 is at offset 4.
    set(PDE(0x80_0000), 0x40_0000 | 0x87);
    set(0x40_0000 + 4, DATA | 7);
    readsFrom(m, 0x80_1010n, DATA + 0x10);
    m.cpu.cr4 = CR4.PSE;
    m.translation.stateChanged();
    readsFrom(m, 0x80_1010n, 0x40_1010);
    assert.equal(access(m, 'w', 0x80_1010n), undefined);
    assert.equal(m.dma.readU32(PDE(0x80_0000)), 0x40_0000 | 0xe7);
  });

  test('PSE-36 reaches beyond 4 GiB; bit 21 is reserved', () => {
    const { m, set } = setUp(CR4.PSE);
    set(PDE(0x40_0000), (1 << 13) | 0x83);
    readsFrom(m, 0x40_3020n, HIGH_RAM_BASE + 0x3020);
    set(PDE(0x80_0000), (1 << 21) | 0x83);
    assert.deepEqual(access(m, 'r', 0x80_0000n), fault(RESERVED_READ, 0x80_0000n));
  });
});

describe('PAE paging', () => {
  function setUp(efer = EFER.NXE, cr3Offset = 0x40) {
    const m = machine();
    const t = new Tables(m, 0x20_0000);
    m.cpu.cr0 = CR0_PG;
    m.cpu.cr4 = CR4.PAE;
    m.cpu.efer = efer;
    m.cpu.cr3 = BigInt(ROOT + cr3Offset);
    m.translation.stateChanged();
    const pdpte = (linear: bigint) => ROOT + cr3Offset + 8 * Number(linear >> 30n);
    const directory = t.page();
    t.set(pdpte(0xc0000000n), BigInt(directory) | P);
    return { m, t, pdpte, directory };
  }
  const LINEAR = 0xc0a03000n;
  const map = (t: Tables, directory: number, flags: bigint) => t.map(directory, LINEAR, DATA, flags, 0, 1);

  test('4 KiB and 2 MiB pages through a table that is only 32-byte aligned', () => {
    const { m, t, directory, pdpte } = setUp();
    map(t, directory, P | W);
    readsFrom(m, LINEAR + 8n, DATA + 8);
    t.map(directory, 0xc0c00000n, 0x60_0000, P | W, 1, 1);
    readsFrom(m, 0xc0c12344n, 0x61_2344);
    assert.equal(t.get(pdpte(LINEAR)), BigInt(directory) | P, 'PDPTEs have no accessed bit');
  });

  test('reserved bits', () => {
    const { m, t, directory, pdpte } = setUp();
    const leaf = map(t, directory, P);
    const good = t.get(leaf);
    for (const bit of [MAXPHYADDR, 51, 52, 62]) {
      t.set(leaf, good | (1n << BigInt(bit)));
      assert.deepEqual(access(m, 'r', LINEAR), fault(RESERVED_READ, LINEAR), `bit ${bit}`);
    }
    t.set(leaf, good | NX);
    assert.equal(access(m, 'r', LINEAR), undefined);
    assert.deepEqual(access(m, 'x', LINEAR), fault(17, LINEAR));
    m.translation.flushAll();
    for (const bit of [1, 2, 5, 8, 63]) {
      t.set(pdpte(LINEAR), BigInt(directory) | P | (1n << BigInt(bit)));
      assert.deepEqual(access(m, 'r', LINEAR), fault(RESERVED_READ, LINEAR), `PDPTE bit ${bit}`);
    }
    t.set(pdpte(LINEAR), 0n);
    assert.deepEqual(access(m, 'r', LINEAR), fault(0, LINEAR));
  });

  test('NX is reserved without EFER.NXE', () => {
    const { m, t, directory } = setUp(0n);
    map(t, directory, P | NX);
    assert.deepEqual(access(m, 'x', LINEAR), fault(RESERVED_READ, LINEAR));
  });

  test('linear addresses are not held to canonical form', () => {
    const { m, t, directory } = setUp();
    t.map(directory, 0xfffff000n, DATA, P, 0, 1);
    readsFrom(m, 0xfffffff0n, DATA + 0xff0);
  });
});

describe('4-level paging', () => {
  function setUp(options: Parameters<typeof longMode>[2] = {}, vendor: 'amd' | 'intel' = 'amd') {
    const m = machine({ vendor });
    const t = new Tables(m, ROOT);
    const root = t.page();
    longMode(m, root, options);
    return { m, t, root };
  }

  test('4 KiB, 2 MiB and 1 GiB pages in both halves', () => {
    const { m, t, root } = setUp();
    t.map(root, 0x7fff_ffff_e000n, DATA, P);
    readsFrom(m, 0x7fff_ffff_e010n, DATA + 0x10);
    t.map(root, 0xffff_8000_0020_0000n, 0x60_0000, P, 1);
    readsFrom(m, 0xffff_8000_0032_1004n, 0x72_1004);
    t.map(root, 0xffff_ffff_c000_0000n, 0, P, 2);
    readsFrom(m, 0xffff_ffff_c012_3450n, 0x12_3450);
    t.map(root, 0xffff_ff00_0000_0000n, HIGH_RAM_BASE, P, 2);
    readsFrom(m, 0xffff_ff00_0012_3450n, HIGH_RAM_BASE + 0x12_3450);
  });

  test('absent at every level', () => {
    for (let level = 0; level < 4; level++) {
      const { m, t, root } = setUp();
      t.map(root, 0x1234_5000n, DATA, P | W | U);
      const at = t.entry(root, 3, 0x1234_5000n, level);
      t.set(at, t.get(at) & ~P);
      m.cpu.cpl = 3;
      m.translation.stateChanged();
      assert.deepEqual(access(m, 'r', 0x1234_5678n), fault(4, 0x1234_5678n));
      assert.deepEqual(access(m, 'w', 0x1234_5678n), fault(6, 0x1234_5678n));
      assert.deepEqual(access(m, 'x', 0x1234_5678n), fault(20, 0x1234_5678n));
    }
  });

  test('accessed bits at all levels, dirty in the leaf', () => {
    const { m, t, root } = setUp();
    const linear = 0x1234_5000n;
    t.map(root, linear, DATA, P | W);
    const bits = () => [3, 2, 1, 0].map((level) => t.get(t.entry(root, 3, linear, level)) & (A | D));
    assert.equal(access(m, 'r', linear), undefined);
    assert.deepEqual(bits(), [A, A, A, A]);
    assert.equal(access(m, 'w', linear), undefined);
    assert.deepEqual(bits(), [A, A, A, A | D]);
  });

  test('a faulting access sets no bit in the leaf', () => {
    const { m, t, root } = setUp();
    const leaf = t.map(root, 0x5000n, DATA, P);
    assert.deepEqual(access(m, 'w', 0x5000n), fault(3, 0x5000n));
    assert.equal(t.get(leaf) & (A | D), 0n);
  });

  test('reserved bits at every level', () => {
    const linear = 0x1234_5000n;
    for (let level = 0; level < 4; level++) {
      for (const bit of [MAXPHYADDR, 51]) {
        const { m, t, root } = setUp();
        t.map(root, linear, DATA, P | W);
        const at = t.entry(root, 3, linear, level);
        t.set(at, t.get(at) | (1n << BigInt(bit)));
        assert.deepEqual(access(m, 'w', linear), fault(11, linear), `level ${level} bit ${bit}`);
      }
    }
    const { m, t, root } = setUp();
    t.map(root, linear, DATA, P | W);
    const top = t.entry(root, 3, linear, 3);
    t.set(top, P | W | PS);
    assert.deepEqual(access(m, 'r', linear), fault(RESERVED_READ, linear), 'PS in a PML4E');
  });

  test('G in an entry that leads to a table: reserved in a PML4E of an AMD processor', () => {
    const linear = 0x1234_5000n;
    for (const vendor of ['amd', 'intel'] as const) {
      for (let level = 1; level < 4; level++) {
        const { m, t, root } = setUp({}, vendor);
        t.map(root, linear, DATA, P | W);
        const at = t.entry(root, 3, linear, level);
        t.set(at, t.get(at) | G);
        const expected = vendor === 'amd' && level === 3 ? fault(RESERVED_READ, linear) : undefined;
        assert.deepEqual(access(m, 'r', linear), expected, `${vendor}, level ${level}`);
      }
    }
  });

  test('address bits inside large pages are reserved, PAT and ignored bits are not', () => {
    for (const [level, bit, reserved] of [
      [1, 13, true],
      [1, 20, true],
      [1, 12, false],
      [2, 13, true],
      [2, 29, true],
      [2, 12, false],
      [1, 52, false],
      [1, 62, false],
    ] as const) {
      const { m, t, root } = setUp();
      t.map(root, 0x4000_0000n, 0, P | (1n << BigInt(bit)), level);
      const expected = reserved ? fault(RESERVED_READ, 0x4000_0040n) : undefined;
      assert.deepEqual(access(m, 'r', 0x4000_0040n), expected, `level ${level} bit ${bit}`);
      if (!reserved) assert.equal(tlbHit(m, 'r', 0x4000_0040n), m.physical.frames[0] * 4096 + 0x40);
    }
  });

  test('NX without EFER.NXE is reserved', () => {
    const { m, t, root } = setUp({ efer: 0n });
    t.map(root, 0x5000n, DATA, P | NX);
    assert.deepEqual(access(m, 'r', 0x5000n), fault(RESERVED_READ, 0x5000n));
  });

  test('paging structures in device memory or absent RAM do no harm', () => {
    const { m, t, root } = setUp();
    t.set(root, 0xfee0_0000n | P | W);
    assert.notEqual(access(m, 'r', 0x5000n), undefined);
    t.set(root, BigInt(12 * MiB) | P | W);
    const frames = m.arena.framesInUse;
    assert.deepEqual(access(m, 'r', 0x5000n), fault(0, 0x5000n));
    assert.equal(m.arena.framesInUse, frames, 'an absent page is not taken for a walk');
    m.cpu.cr3 = 0xff_ffff_f000n;
    m.translation.stateChanged();
    assert.notEqual(access(m, 'r', 0x5000n), undefined);
  });

  test('bits set in a table that holds code are reported', () => {
    const { m, t, root } = setUp();
    const leaf = t.map(root, 0x5000n, DATA, P | W);
    const writes: number[][] = [];
    m.physical.codeWritten = (...args) => writes.push(args);
    m.physical.markCode(leaf >>> 12, leaf & 0xfff, 8);
    access(m, 'w', 0x5000n);
    assert.deepEqual(writes, [[leaf >>> 12, leaf & 0xfff, 4]]);
  });

  test('five levels', () => {
    const { m, t, root } = setUp({ cr4: CR4.LA57 });
    const linear = 0x12_3456_789a_b000n;
    t.map(root, linear, DATA, P, 0, 4);
    readsFrom(m, linear + 0x44n, DATA + 0x44);
    assert.deepEqual(access(m, 'r', linear | (1n << 56n)), { vector: 13, code: 0, address: 0n }, 'not canonical');
  });

  test('global translations are known as such only with CR4.PGE', () => {
    for (const [cr4, survives] of [
      [CR4.PGE, true],
      [0n, false],
    ] as const) {
      const { m, t, root } = setUp({ cr4 });
      t.map(root, 0x5000n, DATA, P | G);
      access(m, 'r', 0x5000n);
      m.translation.flushAddressSpace(true);
      assert.equal(tlbHit(m, 'r', 0x5000n) !== undefined, survives);
    }
  });
});
