import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { JUMP_ENTRY } from './jump-cache.ts';
import { access, CR4, D, G, longMode, type Machine, MiB, machine, P, Tables, tlbHit, U, W } from './testing.ts';
import { TLB_ENTRIES, TLB_GENERATIONS } from './tlb.ts';

const DATA = 0x80_0000;
const LINEAR = 0x5000n;
const GLOBAL = 0xffff_8000_0000_6000n;

interface Prepared extends Machine {
  readonly t: Tables;
  readonly root: number;
  /** The leaf that maps LINEAR. */
  readonly leaf: number;
}

function setUp(cr4 = CR4.PGE, options: Parameters<typeof machine>[0] = {}): Prepared {
  const m = machine(options);
  const t = new Tables(m, 0x10_0000);
  const root = t.page();
  const leaf = t.map(root, LINEAR, DATA, P | W | U);
  t.map(root, GLOBAL, DATA + 0x1000, P | W | G);
  longMode(m, root, { cr4 });
  return { ...m, t, root, leaf };
}

/** Another address space that maps LINEAR elsewhere and shares the upper half. */
function secondSpace({ t, root }: Prepared): number {
  const second = t.page();
  t.map(second, LINEAR, DATA + 0x2000, P | W | U);
  t.set(second + 8 * 256, t.get(root + 8 * 256));
  return second;
}

function moveToCr3(m: Machine, value: bigint): void {
  const keep = (value & (1n << 63n)) !== 0n;
  m.cpu.cr3 = value & ~(1n << 63n);
  if (!keep) m.translation.flushAddressSpace(true);
  m.translation.stateChanged();
}

/** Fills both translations; LINEAR's leaf then points elsewhere, so that a stale translation shows. */
function goStale(m: Prepared): void {
  assert.equal(access(m, 'r', LINEAR), undefined);
  assert.equal(access(m, 'r', GLOBAL), undefined);
  m.t.set(m.leaf, BigInt(DATA + 0x3000) | P | W | U);
  m.dma.writeU32(DATA, 1);
  m.dma.writeU32(DATA + 0x3000, 2);
  m.dma.writeU32(DATA + 0x2000, 3);
}

function valueAt(m: Machine, linear = LINEAR): bigint {
  assert.equal(access(m, 'r', linear), undefined);
  return m.cpu.slowValue[0];
}

describe('translations stay until flushed', () => {
  test('a changed entry is not noticed by itself', () => {
    const m = setUp();
    goStale(m);
    assert.equal(valueAt(m), 1n);
    m.translation.stateChanged();
    assert.equal(valueAt(m), 1n);
  });

  test('INVLPG drops the page, and the page only', () => {
    const m = setUp();
    goStale(m);
    m.translation.invalidatePage(0x7000n);
    assert.equal(valueAt(m), 1n);
    m.translation.invalidatePage(LINEAR + 0x123n);
    assert.equal(tlbHit(m, 'r', LINEAR), undefined);
    assert.notEqual(tlbHit(m, 'r', GLOBAL), undefined);
    assert.equal(valueAt(m), 2n);
  });

  test('INVLPG works in every access class, and on global pages', () => {
    const m = setUp();
    goStale(m);
    m.cpu.cpl = 3;
    m.translation.stateChanged();
    assert.equal(valueAt(m), 2n);
    m.t.set(m.leaf, BigInt(DATA + 0x2000) | P | W | U);
    m.cpu.cpl = 0;
    m.translation.stateChanged();
    m.translation.invalidatePage(LINEAR);
    m.translation.invalidatePage(GLOBAL);
    assert.equal(tlbHit(m, 'r', GLOBAL), undefined);
    assert.equal(valueAt(m), 3n);
    m.cpu.cpl = 3;
    m.translation.stateChanged();
    assert.equal(valueAt(m), 3n);
  });

  test('INVLPG on any address of a large page drops all of it', () => {
    for (const [level, base] of [
      [1, 0x4020_0000n],
      [2, 0x8000_0000n],
    ] as const) {
      const m = setUp();
      m.t.map(m.root, base, 0, P | W, level);
      const parts = [0x1000n, 0x2000n, 0x1f_f000n].map((offset) => base + offset);
      for (const part of parts) access(m, 'w', part);
      m.translation.invalidatePage(LINEAR);
      for (const part of parts) assert.notEqual(tlbHit(m, 'w', part), undefined);
      m.translation.invalidatePage(base + 0x9_9000n);
      for (const part of parts) {
        assert.equal(tlbHit(m, 'w', part), undefined);
        assert.equal(tlbHit(m, 'r', part), undefined);
      }
    }
  });

  test('MOV to CR3 drops all but global translations', () => {
    const m = setUp();
    goStale(m);
    moveToCr3(m, BigInt(m.root));
    assert.equal(tlbHit(m, 'r', LINEAR), undefined);
    assert.notEqual(tlbHit(m, 'r', GLOBAL), undefined);
    assert.equal(valueAt(m), 2n);
  });

  test('MOV to CR3 drops the translations of address spaces used before and loaded again', () => {
    const m = setUp();
    const second = secondSpace(m);
    goStale(m);
    moveToCr3(m, BigInt(second));
    assert.equal(valueAt(m), 3n);
    assert.notEqual(tlbHit(m, 'r', GLOBAL), undefined, 'global translations are shared');
    moveToCr3(m, BigInt(m.root));
    assert.equal(valueAt(m), 2n);
  });

  test('also those of another privilege and paging mode', () => {
    const m = setUp();
    m.cpu.cpl = 3;
    m.translation.stateChanged();
    assert.equal(access(m, 'r', LINEAR), undefined);
    m.cpu.cpl = 0;
    m.translation.stateChanged();
    goStale(m);
    const cr0 = m.cpu.cr0;
    m.cpu.cr0 &= ~(1n << 16n);
    m.translation.stateChanged();
    moveToCr3(m, BigInt(m.root));
    m.cpu.cr0 = cr0;
    m.translation.stateChanged();
    assert.equal(valueAt(m), 2n);
    m.cpu.cpl = 3;
    m.translation.stateChanged();
    assert.equal(valueAt(m), 2n);
  });

  test('a CR3 that changes in any other way cannot use stale translations', () => {
    const m = setUp();
    const second = secondSpace(m);
    goStale(m);
    m.cpu.cr3 = BigInt(second);
    m.translation.stateChanged();
    assert.equal(valueAt(m), 3n);
  });

  test('flushAddressSpace(false) drops global translations too', () => {
    const m = setUp();
    goStale(m);
    m.translation.flushAddressSpace(false);
    assert.equal(tlbHit(m, 'r', GLOBAL), undefined);
    assert.equal(valueAt(m), 2n);
  });

  test('permission changes of CR0.WP are seen at once', () => {
    const m = setUp();
    m.t.set(m.leaf, BigInt(DATA) | P | U);
    const cr0 = m.cpu.cr0;
    for (let round = 0; round < 2; round++) {
      m.cpu.cr0 = cr0 & ~(1n << 16n);
      m.translation.stateChanged();
      assert.equal(access(m, 'w', LINEAR), undefined);
      m.cpu.cr0 = cr0;
      m.translation.stateChanged();
      assert.notEqual(access(m, 'w', LINEAR), undefined);
    }
  });

  test('direct-mapped entries of a kind replace each other, those of other kinds stay', () => {
    const m = setUp();
    const alias = LINEAR + 4096n * BigInt(TLB_ENTRIES);
    m.t.map(m.root, alias, DATA + 0x3000, P);
    assert.equal(access(m, 'w', LINEAR), undefined);
    assert.equal(access(m, 'x', LINEAR), undefined);
    assert.equal(access(m, 'r', alias), undefined);
    assert.equal(tlbHit(m, 'r', LINEAR), undefined);
    const place = m.physical.frames[DATA >>> 12] * 4096;
    for (const kind of ['w', 'x'] as const) {
      assert.equal(tlbHit(m, kind, LINEAR), place);
      assert.equal(tlbHit(m, kind, alias), undefined);
    }
    assert.equal(access(m, 'x', alias), undefined);
    assert.equal(tlbHit(m, 'x', LINEAR), undefined);
    assert.equal(tlbHit(m, 'w', LINEAR), place);
  });
});

describe('process-context identifiers', () => {
  const pcids = () => {
    const m = setUp(CR4.PGE | CR4.PCIDE);
    const second = secondSpace(m);
    return {
      m,
      first: (pcid = 1n, keep = true) => moveToCr3(m, BigInt(m.root) | pcid | (keep ? 1n << 63n : 0n)),
      second: () => moveToCr3(m, BigInt(second) | 2n | (1n << 63n)),
    };
  };

  test('CR3 bit 63 keeps what the PCID had', () => {
    const { m, first, second } = pcids();
    first();
    goStale(m);
    second();
    assert.equal(valueAt(m), 3n);
    first();
    assert.equal(valueAt(m), 1n);
    first(1n, false);
    assert.equal(valueAt(m), 2n);
  });

  test('MOV to CR3 drops its own PCID only', () => {
    const { m, first, second } = pcids();
    first();
    goStale(m);
    moveToCr3(m, BigInt(m.root) | 3n);
    second();
    first();
    assert.equal(valueAt(m), 1n);
  });

  test('INVPCID', () => {
    const outcome = (type: number, pcid: number, linear = LINEAR) => {
      const { m, first, second } = pcids();
      first();
      goStale(m);
      second();
      m.translation.invalidatePcid(type, pcid, linear);
      first();
      return [tlbHit(m, 'r', LINEAR) === undefined, tlbHit(m, 'r', GLOBAL) === undefined];
    };
    assert.deepEqual(outcome(0, 1), [true, false]);
    assert.deepEqual(outcome(0, 1, 0x7000n), [false, false]);
    assert.deepEqual(outcome(1, 1), [true, false]);
    assert.deepEqual(outcome(1, 2), [false, false]);
    assert.deepEqual(outcome(2, 0), [true, true]);
    assert.deepEqual(outcome(3, 0), [true, false]);
  });
});

describe('address space identifiers', () => {
  const enter = (m: Machine, asid: number) => {
    m.cpu.guestMode = asid === 0 ? 0 : 1;
    m.cpu.guestAsid = asid;
    m.translation.stateChanged();
  };

  test('keep host and guests apart, and are flushed one by one', () => {
    const m = setUp();
    goStale(m);
    enter(m, 1);
    assert.equal(valueAt(m), 2n);
    m.t.set(m.leaf, BigInt(DATA + 0x2000) | P | W | U);
    enter(m, 2);
    assert.equal(valueAt(m), 3n);
    enter(m, 0);
    assert.equal(valueAt(m), 1n);
    enter(m, 1);
    assert.equal(valueAt(m), 2n);
    m.translation.flushAsid(2);
    assert.equal(valueAt(m), 2n);
    m.translation.flushAsid(1);
    assert.equal(valueAt(m), 3n);
    enter(m, 0);
    assert.equal(valueAt(m), 1n);
    m.translation.flushAll();
    assert.equal(valueAt(m), 3n);
  });

  test("a guest's flushes leave the host's translations, global ones included", () => {
    const m = setUp();
    goStale(m);
    enter(m, 1);
    m.translation.flushAddressSpace(false);
    m.translation.invalidatePage(LINEAR);
    m.translation.invalidatePcid(2, 0, 0n);
    enter(m, 0);
    assert.equal(valueAt(m), 1n);
    assert.notEqual(tlbHit(m, 'r', GLOBAL), undefined);
  });

  test('INVLPGA names the ASID', () => {
    const m = setUp();
    enter(m, 1);
    goStale(m);
    enter(m, 0);
    m.translation.invalidatePageOf(0, LINEAR);
    enter(m, 1);
    assert.equal(valueAt(m), 1n);
    enter(m, 0);
    m.translation.invalidatePageOf(1, LINEAR);
    enter(m, 1);
    assert.equal(valueAt(m), 2n);
  });

  test('more address spaces than banks: the least recently used go, nothing mixes', () => {
    const m = setUp(CR4.PGE, { banks: 3 });
    goStale(m);
    for (let asid = 1; asid < 40; asid++) {
      enter(m, asid);
      assert.equal(tlbHit(m, 'r', LINEAR), undefined, `ASID ${asid} starts empty`);
      assert.equal(valueAt(m), 2n);
      assert.equal(m.linear.readU32(GLOBAL, true), 0);
    }
    enter(m, 39);
    assert.notEqual(tlbHit(m, 'r', LINEAR), undefined, 'the latest is still there');
    m.t.set(m.leaf, BigInt(DATA + 0x2000) | P | W | U);
    enter(m, 0);
    assert.equal(valueAt(m), 3n, 'the first is gone');
    enter(m, 38);
    assert.equal(valueAt(m), 2n);
  });
});

describe('code and its page', () => {
  test('marking code revokes fast writes in every bank and address space', () => {
    const m = setUp();
    const alias = 0x9000n;
    m.t.map(m.root, alias, DATA, P | W | U);
    const writable = () => {
      const hits: boolean[] = [];
      for (const [cpl, linear] of [
        [0, LINEAR],
        [0, alias],
        [3, LINEAR],
        [3, alias],
      ] as const) {
        m.cpu.cpl = cpl;
        m.translation.stateChanged();
        hits.push(tlbHit(m, 'w', linear) !== undefined);
        assert.equal(access(m, 'w', linear, 4, 3, 0n), undefined);
      }
      return hits;
    };
    writable();
    assert.deepEqual(writable(), [true, true, true, true]);
    m.physical.markCode(DATA >>> 12, 0x800, 16);
    assert.deepEqual(writable(), [false, false, false, false]);
    assert.deepEqual(writable(), [false, false, false, false], 'and not given back while the code is there');
    m.physical.clearCode(DATA >>> 12);
    writable();
    assert.deepEqual(writable(), [true, true, true, true]);
  });

  test('a page that became fast by its first store is revoked too', () => {
    const m = setUp();
    m.t.set(m.leaf, m.t.get(m.leaf) | D);
    access(m, 'r', LINEAR);
    assert.equal(tlbHit(m, 'w', LINEAR), undefined, 'the page is not dirty yet');
    access(m, 'w', LINEAR);
    assert.notEqual(tlbHit(m, 'w', LINEAR), undefined);
    m.physical.markCode(DATA >>> 12, 0, 1);
    assert.equal(tlbHit(m, 'w', LINEAR), undefined);
  });

  test('slow stores to a code page are seen where they touch code', () => {
    const m = setUp();
    const writes: number[][] = [];
    m.physical.codeWritten = (...args) => writes.push(args);
    m.physical.markCode(DATA >>> 12, 0x800, 16);
    access(m, 'w', LINEAR + 0x100n, 8);
    assert.deepEqual(writes, []);
    access(m, 'w', LINEAR + 0x7fcn, 8, 3, 0x1122334455667788n);
    assert.deepEqual(writes, [[DATA >>> 12, 0x7fc, 8]]);
    assert.equal(m.dma.readU64(DATA + 0x7fc), 0x1122334455667788n);
    m.linear.writeBytes(LINEAR + 0x800n, new Uint8Array(3));
    assert.deepEqual(writes[1], [DATA >>> 12, 0x800, 3]);
    m.t.map(m.root, LINEAR - 0x1000n, DATA + 0x1000, P | W);
    m.physical.markCode((DATA >>> 12) + 1, 0xff0, 16);
    m.physical.markCode(DATA >>> 12, 0, 1);
    access(m, 'w', LINEAR - 2n, 8);
    assert.deepEqual(writes.slice(2), [
      [(DATA >>> 12) + 1, 0xffe, 2],
      [DATA >>> 12, 0, 6],
    ]);
  });

  test('the execute tag carries the decode mode and the code table', () => {
    let mode = 5;
    const m = setUp(0n, { computeMode: () => mode });
    assert.equal(access(m, 'x', LINEAR + 0x10n), undefined);
    assert.equal(tlbHit(m, 'x', LINEAR + 0x10n), m.physical.frames[DATA >>> 12] * 4096 + 0x10);
    assert.equal(m.linear.codeTable(0x5010), (DATA >>> 12) * 16 + 5);
    assert.equal(m.linear.guestPage(), DATA >>> 12);
    mode = 6;
    m.translation.stateChanged();
    assert.equal(tlbHit(m, 'x', LINEAR), undefined);
    assert.equal(access(m, 'x', LINEAR), undefined);
    assert.equal(m.linear.codeTable(0x5010), (DATA >>> 12) * 16 + 6);
    assert.equal(access(m, 'w', LINEAR), undefined);
    assert.notEqual(tlbHit(m, 'x', LINEAR), undefined, 'a data access leaves the execute tag');
    m.translation.banks.dropExecute(DATA >>> 12);
    assert.equal(tlbHit(m, 'x', LINEAR), undefined);
    assert.notEqual(tlbHit(m, 'w', LINEAR), undefined);
    access(m, 'x', LINEAR);
    m.translation.banks.dropAllExecute();
    assert.equal(tlbHit(m, 'x', LINEAR), undefined);
  });
});

describe('generations of a bank, which entries of the jump cache are good for', () => {
  /** Those of the present bank, for the lower and the upper half of the linear addresses. */
  const generations = (m: Machine) =>
    [0, 4].map((half) => m.arena.view.getInt32(m.cpu.tlb + TLB_GENERATIONS + half, true));
  const LOCAL = 0xffff_8000_0000_7000n;

  test('a move to CR3 ends those of the lower half', () => {
    const m = setUp();
    access(m, 'x', LINEAR);
    access(m, 'x', GLOBAL);
    const before = generations(m);
    moveToCr3(m, m.cpu.cr3);
    const after = generations(m);
    assert.notEqual(after[0], before[0]);
    assert.equal(after[1], before[1]);
    m.translation.flushAll();
    assert.notEqual(generations(m)[1], before[1]);
  });

  test('and of the upper half if there is code that is not global', () => {
    const m = setUp();
    m.t.map(m.root, LOCAL, DATA, P | W);
    access(m, 'x', GLOBAL);
    access(m, 'x', LOCAL);
    const before = generations(m);
    moveToCr3(m, m.cpu.cr3);
    assert.notEqual(generations(m)[1], before[1]);
  });

  test('INVLPG ends those of the half where code was entered on that page, others not', () => {
    const m = setUp();
    access(m, 'x', LINEAR);
    access(m, 'r', LINEAR + 0x1000n);
    access(m, 'x', GLOBAL);
    const before = generations(m);
    m.translation.invalidatePage(LINEAR + 0x1000n);
    m.translation.invalidatePage(GLOBAL + 0x1000n);
    assert.deepEqual(generations(m), before);
    m.translation.invalidatePage(LINEAR);
    assert.notEqual(generations(m)[0], before[0]);
    assert.equal(generations(m)[1], before[1]);
    m.translation.invalidatePage(GLOBAL);
    assert.notEqual(generations(m)[1], before[1]);
  });

  test('PCIDs and SMAP have the one of global code in common, users have another', () => {
    const m = setUp(CR4.PGE | CR4.PCIDE | CR4.SMAP);
    const ofSpace = (pcid: number, cpl = 0, alignmentCheck = false): number => {
      m.cpu.cpl = cpl;
      m.cpu.rflags = alignmentCheck ? 0x4_0002n : 2n;
      moveToCr3(m, BigInt(m.root + pcid) | (1n << 63n));
      return generations(m)[1];
    };
    const kernel = ofSpace(1);
    assert.deepEqual([ofSpace(2), ofSpace(1, 0, true), ofSpace(2, 0, true)], [kernel, kernel, kernel]);
    assert.notEqual(ofSpace(1, 3), kernel);
    // code was entered in one; INVLPG comes in another, which has not entered any
    ofSpace(1);
    access(m, 'x', GLOBAL);
    ofSpace(3);
    m.translation.invalidatePage(GLOBAL);
    const renewed = [ofSpace(1), ofSpace(2), ofSpace(3)];
    assert.notEqual(renewed[0], kernel);
    assert.deepEqual(renewed, [renewed[0], renewed[0], renewed[0]]);
  });

  test('INVLPG next to code of a large page that only a bank knew which others have pushed out', () => {
    const m = setUp(CR4.PGE | CR4.PCIDE, { banks: 2 });
    const large = 0xffff_8000_4000_0000n;
    m.t.map(m.root, large, 4 * MiB, P | W | G, 1);
    for (const pcid of [1, 2, 3]) {
      moveToCr3(m, BigInt(m.root + pcid) | (1n << 63n));
      if (pcid === 1) access(m, 'x', large);
    }
    const before = generations(m);
    m.translation.invalidatePage(large + 0x5000n);
    assert.equal(generations(m)[0], before[0]);
    assert.notEqual(generations(m)[1], before[1]);
  });

  test('code that is not global ends the community until the next flush', () => {
    const m = setUp(CR4.PGE | CR4.PCIDE);
    m.t.map(m.root, LOCAL, DATA, P | W);
    const shared = generations(m)[1];
    access(m, 'x', LOCAL);
    assert.notEqual(generations(m)[1], shared);
    moveToCr3(m, BigInt(m.root + 1));
    assert.equal(generations(m)[1], shared);
    moveToCr3(m, BigInt(m.root));
    assert.equal(generations(m)[1], shared);
  });

  test('no entry survives when all have been used', () => {
    const m = setUp();
    access(m, 'x', LINEAR);
    const { jumps } = m.translation.banks;
    m.arena.u32[(jumps.address + JUMP_ENTRY.key) >> 2] = 0x1005;
    const seen = generations(m);
    let wraps = 0;
    jumps.onWrap = () => wraps++;
    for (let i = 0; i < 2 ** 20; i++) jumps.generation();
    assert.equal(wraps, 1);
    assert.equal(m.arena.u32[(jumps.address + JUMP_ENTRY.key) >> 2], 0);
    assert.notDeepEqual(generations(m), seen);
  });
});

describe('what happens to frames reaches the TLB', () => {
  test('the first write to a shared page copies it, and readers follow', () => {
    const m = setUp();
    m.dma.writeU32(DATA, 7);
    access(m, 'w', LINEAR, 4, 3, 8n);
    const kept = m.physical.shareFrame(DATA >>> 12);
    assert.equal(tlbHit(m, 'w', LINEAR), undefined);
    m.cpu.cpl = 3;
    m.translation.stateChanged();
    assert.equal(valueAt(m), 8n);
    const shared = tlbHit(m, 'r', LINEAR);
    m.cpu.cpl = 0;
    m.translation.stateChanged();
    assert.equal(access(m, 'w', LINEAR, 4, 3, 9n), undefined);
    assert.equal(m.arena.u32[kept * 1024], 8);
    assert.equal(valueAt(m), 9n);
    m.cpu.cpl = 3;
    m.translation.stateChanged();
    assert.equal(valueAt(m), 9n);
    assert.notEqual(tlbHit(m, 'r', LINEAR), shared);
  });

  test('the same at the top of the address space', () => {
    const m = setUp();
    const top = 0xffff_ffff_ffff_f000n;
    m.t.map(m.root, top, DATA, P | W);
    access(m, 'w', top, 4, 3, 1n);
    const kept = m.physical.shareFrame(DATA >>> 12);
    access(m, 'r', top);
    assert.equal(access(m, 'w', top, 4, 3, 2n), undefined);
    assert.notEqual(tlbHit(m, 'w', top), kept * 4096);
    assert.equal(valueAt(m, top), 2n);
    assert.equal(m.arena.u32[kept * 1024], 1);
  });

  test('cleared dirty flags come back with the next write', () => {
    const m = setUp();
    access(m, 'w', LINEAR);
    m.physical.clearDirty();
    assert.equal(tlbHit(m, 'w', LINEAR), undefined);
    access(m, 'r', LINEAR);
    assert.equal(m.physical.flags[DATA >>> 12] & 8, 0);
    access(m, 'w', LINEAR);
    assert.equal(m.physical.flags[DATA >>> 12] & 8, 8);
    assert.notEqual(tlbHit(m, 'w', LINEAR), undefined);
  });

  test('write protection and discarding take effect at once', () => {
    const m = setUp();
    access(m, 'w', LINEAR, 4, 3, 5n);
    m.physical.setWritable(DATA, 4096, false);
    assert.equal(access(m, 'w', LINEAR, 4, 3, 6n), undefined);
    assert.equal(valueAt(m), 5n);
    assert.equal(tlbHit(m, 'w', LINEAR), undefined);
    m.physical.setWritable(DATA, 4096, true);
    assert.equal(access(m, 'w', LINEAR, 4, 3, 6n), undefined);
    assert.equal(valueAt(m), 6n);
    m.physical.discard(DATA, 4096);
    assert.equal(tlbHit(m, 'r', LINEAR), undefined);
    assert.equal(valueAt(m), 0n);
  });

  test('a page takes a frame with the first access that needs its address', () => {
    const m = setUp();
    m.t.map(m.root, 0x7000n, 12 * MiB, P | W);
    const before = m.arena.framesInUse;
    access(m, 'r', 0x7000n);
    assert.equal(m.arena.framesInUse, before + 1);
  });
});
