import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { A, access, CR0, CR4, D, EFER, type Machine, machine, NX, P, Tables, tlbHit, U, W } from './testing.ts';

/** Where the guest's tables and data are in its own view, and how far off the hypervisor put them. */
const GUEST_ROOT = 0x1_0000;
const GUEST_DATA = 0x8_0000;
const SHIFT = 0x40_0000;
const LINEAR = 0xffff_8800_0000_5000n;
const NPF = 0x400n;
/** EXITINFO1: final address, guest table. */
const FINAL = 1n << 32n;
const TABLE = 1n << 33n;

interface Nested extends Machine {
  /** Nested tables, in the hypervisor's view. */
  readonly n: Tables;
  readonly nestedRoot: number;
  /** Address of the nested leaf for a guest page. */
  leaf(guest: number): number;
}

function setUp(options: { paging?: boolean; asid?: number } = {}): Nested {
  const m = machine();
  const n = new Tables(m, 0x10_0000);
  const nestedRoot = n.page();
  for (let guest = 0; guest < 0x20_0000; guest += 4096) n.map(nestedRoot, BigInt(guest), guest + SHIFT, P | W | U);
  // The guest's tables, built where the hypervisor placed them.
  const { dma } = m;
  const guest = (address: number, entry: bigint) => dma.writeU64(SHIFT + address, entry);
  let table = GUEST_ROOT;
  for (let level = 3; level > 0; level--) {
    const index = Number((LINEAR >> BigInt(12 + 9 * level)) & 511n);
    guest(table + 8 * index, BigInt(table + 0x1000) | P | W | U);
    table += 0x1000;
  }
  guest(table + 8 * 5, BigInt(GUEST_DATA) | P | W | U);
  guest(table + 8 * 6, BigInt(GUEST_DATA + 0x1000) | P | U);
  const { cpu } = m;
  cpu.cr0 = CR0.PE | CR0.WP | (options.paging === false ? 0n : CR0.PG);
  cpu.cr4 = CR4.PAE;
  cpu.efer = options.paging === false ? 0n : EFER.LMA | EFER.LME | EFER.NXE;
  cpu.cr3 = BigInt(GUEST_ROOT);
  cpu.guestMode = 1;
  cpu.guestAsid = options.asid ?? 1;
  cpu.nestedPaging = 1;
  cpu.nestedCr3 = BigInt(nestedRoot);
  m.translation.stateChanged();
  return { ...m, n, nestedRoot, leaf: (address) => n.entry(nestedRoot, 3, BigInt(address), 0) };
}

const exit = (info1: bigint, address: number) => ({ exit: NPF, info1, info2: BigInt(address) });
/** Guest-physical address of the guest's entry at a level for LINEAR. */
const guestEntry = (level: number) =>
  GUEST_ROOT + 0x1000 * (3 - level) + 8 * Number((LINEAR >> BigInt(12 + 9 * level)) & 511n);

describe('nested paging', () => {
  test('translates twice and enters the product in the TLB', () => {
    const m = setUp();
    m.dma.writeU32(SHIFT + GUEST_DATA + 0x10, 0xabcd);
    assert.equal(access(m, 'r', LINEAR + 0x10n), undefined);
    assert.equal(m.cpu.slowValue[0], 0xabcdn);
    assert.equal(tlbHit(m, 'r', LINEAR + 0x10n), m.physical.frames[(SHIFT + GUEST_DATA) >> 12] * 4096 + 0x10);
  });

  test('a guest without paging goes through the nested tables alone', () => {
    const m = setUp({ paging: false });
    m.dma.writeU32(SHIFT + 0x1234, 0x77);
    assert.equal(access(m, 'r', 0x1234n), undefined);
    assert.equal(m.cpu.slowValue[0], 0x77n);
    m.n.set(m.leaf(0x5000), 0n);
    assert.deepEqual(access(m, 'w', 0x5123n), exit(FINAL | 6n, 0x5123));
  });

  test("guest faults are the guest's own", () => {
    const m = setUp();
    assert.deepEqual(access(m, 'w', LINEAR + 0x1000n), { vector: 14, code: 3, address: LINEAR + 0x1000n });
    assert.deepEqual(access(m, 'r', LINEAR + 0x3000n), { vector: 14, code: 0, address: LINEAR + 0x3000n });
  });

  test('final address: absent, read-only, not executable, supervisor, reserved', () => {
    const cases: [string, (entry: bigint) => bigint, 'r' | 'w' | 'x', bigint][] = [
      ['absent, read', (e) => e & ~P, 'r', 4n],
      ['absent, write', (e) => e & ~P, 'w', 6n],
      ['absent, fetch', (e) => e & ~P, 'x', 20n],
      ['read-only', (e) => e & ~W, 'w', 7n],
      ['no-execute', (e) => e | NX, 'x', 21n],
      ['supervisor', (e) => e & ~U, 'r', 5n],
      ['reserved', (e) => e | (1n << 51n), 'r', 13n],
    ];
    for (const [name, change, kind, code] of cases) {
      const m = setUp();
      m.n.set(m.leaf(GUEST_DATA), change(m.n.get(m.leaf(GUEST_DATA))));
      assert.deepEqual(access(m, kind, LINEAR + 0x123n), exit(FINAL | code, GUEST_DATA + 0x123), name);
    }
  });

  test('nested rights bound what the TLB entry allows', () => {
    const m = setUp();
    m.n.set(m.leaf(GUEST_DATA), (m.n.get(m.leaf(GUEST_DATA)) & ~W) | NX);
    m.dma.writeU64(SHIFT + guestEntry(0), m.dma.readU64(SHIFT + guestEntry(0)) | D);
    m.dma.writeU8(SHIFT + GUEST_DATA, 0);
    assert.equal(access(m, 'r', LINEAR), undefined);
    assert.equal(tlbHit(m, 'w', LINEAR), undefined);
    assert.deepEqual(access(m, 'w', LINEAR), exit(FINAL | 7n, GUEST_DATA));
    assert.deepEqual(access(m, 'x', LINEAR), exit(FINAL | 21n, GUEST_DATA));
  });

  test('guest tables are accessed as user writes, at every level', () => {
    for (let level = 0; level < 4; level++) {
      for (const [name, change, code] of [
        ['absent', (e: bigint) => e & ~P, 6n],
        ['read-only', (e: bigint) => e & ~W, 7n],
      ] as const) {
        const m = setUp();
        const at = m.leaf(guestEntry(level));
        m.n.set(at, change(m.n.get(at)));
        assert.deepEqual(access(m, 'x', LINEAR), exit(TABLE | code, guestEntry(level)), `${name} at level ${level}`);
      }
    }
  });

  test('an NPT fault is repaired by making the entry present, without a flush', () => {
    const m = setUp();
    const at = m.leaf(GUEST_DATA);
    const entry = m.n.get(at);
    m.n.set(at, 0n);
    assert.notEqual(access(m, 'r', LINEAR), undefined);
    m.n.set(at, entry & ~W);
    assert.equal(access(m, 'r', LINEAR), undefined);
    assert.notEqual(access(m, 'w', LINEAR), undefined);
    m.n.set(at, entry);
    assert.equal(access(m, 'w', LINEAR), undefined);
  });

  test('accessed and dirty bits on both sides', () => {
    const m = setUp();
    const bits = (address: number) => m.n.get(address) & (A | D);
    assert.equal(access(m, 'r', LINEAR), undefined);
    for (let level = 0; level < 4; level++) {
      assert.equal(bits(SHIFT + guestEntry(level)), A, `guest level ${level}`);
      assert.equal(bits(m.leaf(guestEntry(level))), A | D, `nested leaf of guest level ${level}`);
    }
    assert.equal(bits(m.leaf(GUEST_DATA)), A);
    assert.equal(tlbHit(m, 'w', LINEAR), undefined);
    assert.equal(access(m, 'w', LINEAR), undefined);
    assert.equal(bits(SHIFT + guestEntry(0)), A | D);
    assert.equal(bits(m.leaf(GUEST_DATA)), A | D);
    assert.notEqual(tlbHit(m, 'w', LINEAR), undefined);
  });

  test('a nested page that is clean takes no fast write tag', () => {
    const m = setUp();
    m.dma.writeU64(SHIFT + guestEntry(0), m.dma.readU64(SHIFT + guestEntry(0)) | D);
    m.dma.writeU8(SHIFT + GUEST_DATA, 0);
    assert.equal(access(m, 'r', LINEAR), undefined);
    assert.equal(tlbHit(m, 'w', LINEAR), undefined);
    assert.equal(access(m, 'w', LINEAR), undefined);
    assert.equal(m.n.get(m.leaf(GUEST_DATA)) & D, D);
  });

  test('large nested pages', () => {
    const m = setUp();
    for (const [level, guest, linearPage] of [
      [1, 0x60_0000, 7],
      [2, 0x4000_0000, 8],
    ] as const) {
      m.n.map(m.nestedRoot, BigInt(guest), level === 1 ? 0x80_0000 : 0, P | W | U, level);
      m.dma.writeU64(SHIFT + guestEntry(0) + 8 * (linearPage - 5), BigInt(guest + 0x3000) | P | W);
      const target = (level === 1 ? 0x80_0000 : 0) + 0x3000;
      m.dma.writeU32(target + 4, 0x1000 + level);
      assert.equal(access(m, 'r', LINEAR + BigInt(linearPage - 5) * 0x1000n + 4n), undefined);
      assert.equal(m.cpu.slowValue[0], BigInt(0x1000 + level));
    }
  });

  test('nested translations stay until their ASID is flushed, whatever the guest flushes', () => {
    const m = setUp();
    m.dma.writeU32(SHIFT + GUEST_DATA, 1);
    m.dma.writeU32(SHIFT + GUEST_DATA + 0x2000, 2);
    assert.equal(access(m, 'r', LINEAR), undefined);
    m.n.set(m.leaf(GUEST_DATA), BigInt(SHIFT + GUEST_DATA + 0x2000) | P | W | U);
    m.translation.flushAddressSpace(true);
    access(m, 'r', LINEAR);
    assert.equal(m.cpu.slowValue[0], 1n);
    m.translation.flushAsid(2);
    access(m, 'r', LINEAR);
    assert.equal(m.cpu.slowValue[0], 1n);
    m.translation.flushAsid(1);
    access(m, 'r', LINEAR);
    assert.equal(m.cpu.slowValue[0], 2n);
  });

  test('another nested CR3 or ASID sees other memory', () => {
    const m = setUp();
    const other = m.n.page();
    for (let guest = 0; guest < 0x20_0000; guest += 4096) m.n.map(other, BigInt(guest), guest + SHIFT, P | W | U);
    m.n.set(m.n.entry(other, 3, BigInt(GUEST_DATA), 0), BigInt(SHIFT + GUEST_DATA + 0x2000) | P | W | U);
    m.dma.writeU32(SHIFT + GUEST_DATA, 1);
    m.dma.writeU32(SHIFT + GUEST_DATA + 0x2000, 2);
    const readUnder = (asid: number, root: number) => {
      m.cpu.guestAsid = asid;
      m.cpu.nestedCr3 = BigInt(root);
      m.translation.stateChanged();
      access(m, 'r', LINEAR);
      return m.cpu.slowValue[0];
    };
    assert.equal(readUnder(1, m.nestedRoot), 1n);
    assert.equal(readUnder(2, other), 2n);
    assert.equal(readUnder(1, m.nestedRoot), 1n);
    assert.equal(readUnder(1, other), 2n);
    assert.equal(readUnder(1, m.nestedRoot), 1n);
  });

  test('leaving the guest leaves its translations, and coming back finds them', () => {
    const m = setUp();
    access(m, 'r', LINEAR);
    const hit = tlbHit(m, 'r', LINEAR);
    m.cpu.guestMode = 0;
    m.translation.stateChanged();
    assert.equal(tlbHit(m, 'r', LINEAR), undefined);
    m.cpu.guestMode = 1;
    m.translation.stateChanged();
    assert.equal(tlbHit(m, 'r', LINEAR), hit);
  });

  test('a PAE host maps 32-bit guest-physical addresses', () => {
    const m = setUp({ paging: false });
    const directory = m.n.page();
    const pdpt = m.n.page();
    m.n.set(pdpt + 0x20, BigInt(directory) | P);
    m.n.map(directory, 0x5000n, 0x30_0000, P | W | U, 0, 1);
    m.dma.writeU32(0x30_0000, 99);
    m.cpu.nestedCr3 = BigInt(pdpt + 0x20);
    m.cpu.nestedPagingMode = Number(CR4.PAE);
    m.translation.stateChanged();
    assert.equal(access(m, 'r', 0x5000n), undefined);
    assert.equal(m.cpu.slowValue[0], 99n);
    // No NX: bit 63 is reserved, and fetches do not show.
    assert.deepEqual(access(m, 'x', 0x6000n), exit(FINAL | 4n, 0x6000));
    // With SMEP in the host they do.
    m.cpu.nestedPagingMode = Number(CR4.PAE | CR4.SMEP);
    m.translation.stateChanged();
    assert.deepEqual(access(m, 'x', 0x6000n), exit(FINAL | 20n, 0x6000));
  });

  test('a host with 32-bit paging', () => {
    const m = setUp({ paging: false });
    const directory = m.n.page();
    m.dma.writeU32(directory, 0x40_0087);
    m.dma.writeU32(0x40_5000, 55);
    m.cpu.nestedCr3 = BigInt(directory);
    m.cpu.nestedPagingMode = Number(CR4.PSE);
    m.translation.stateChanged();
    assert.equal(access(m, 'r', 0x5000n), undefined);
    assert.equal(m.cpu.slowValue[0], 55n);
  });

  test("without nested paging a guest's tables are the hypervisor's own memory", () => {
    const m = setUp();
    const t = new Tables(m, 0x60_0000);
    const root = t.page();
    t.map(root, LINEAR, 0x70_0000, P);
    m.dma.writeU32(0x70_0000, 5);
    m.cpu.nestedPaging = 0;
    m.cpu.cr3 = BigInt(root);
    m.translation.stateChanged();
    assert.equal(access(m, 'r', LINEAR), undefined);
    assert.equal(m.cpu.slowValue[0], 5n);
    assert.deepEqual(access(m, 'w', LINEAR), { vector: 14, code: 3, address: LINEAR });
  });
});
