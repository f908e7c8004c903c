import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import {
  A,
  AC,
  access,
  CR0,
  CR4,
  D,
  type Fault,
  longMode,
  machine,
  NX,
  P,
  pendingOf,
  Tables,
  tlbHit,
  U,
  W,
} from './testing.ts';

/**
 * What each kind of access may do to each kind of page, from the prose of SDM vol. 3A 4.6.1: r read, w write, x fetch.
 * Pages are named by the bits that hold at every level: U user, W writable, N no-execute.
 */
const PAGES = ['---', '--N', '-W-', '-WN', 'U--', 'U-N', 'UW-', 'UWN'] as const;
// biome-ignore format: a table
const EXPECTED: Record<string, { cpl: 0 | 3; ac?: boolean; wp?: boolean; smep?: boolean; smap?: boolean; implicit?: boolean; may: string[] }> = {
  //                                                                  ---   --N   -W-    -WN   U--   U-N   UW-    UWN
  user: { cpl: 3, wp: true, may:                                     ['',   '',   '',    '',   'rx', 'r',  'rwx', 'rw'] },
  'user, CR0.WP clear': { cpl: 3, may:                               ['',   '',   '',    '',   'rx', 'r',  'rwx', 'rw'] },
  'user, SMEP and SMAP': { cpl: 3, wp: true, smep: true, smap: true, may: ['', '', '',   '',   'rx', 'r',  'rwx', 'rw'] },
  supervisor: { cpl: 0, wp: true, may:                               ['rx', 'r',  'rwx', 'rw', 'rx', 'r',  'rwx', 'rw'] },
  'supervisor, CR0.WP clear': { cpl: 0, may:                         ['rwx', 'rw', 'rwx', 'rw', 'rwx', 'rw', 'rwx', 'rw'] },
  'supervisor, SMEP': { cpl: 0, wp: true, smep: true, may:           ['rx', 'r',  'rwx', 'rw', 'r',  'r',  'rw',  'rw'] },
  'supervisor, SMAP': { cpl: 0, wp: true, smap: true, may:           ['rx', 'r',  'rwx', 'rw', 'x',  '',   'x',   ''] },
  'supervisor, SMAP, CR0.WP clear': { cpl: 0, smap: true, may:       ['rwx', 'rw', 'rwx', 'rw', 'x', '',   'x',   ''] },
  'supervisor, SMAP, RFLAGS.AC': { cpl: 0, wp: true, smap: true, ac: true, may: ['rx', 'r', 'rwx', 'rw', 'rx', 'r', 'rwx', 'rw'] },
  'supervisor, SMEP and SMAP': { cpl: 0, wp: true, smep: true, smap: true, may: ['rx', 'r', 'rwx', 'rw', '', '', '', ''] },
  'implicit supervisor in user mode, SMAP': { cpl: 3, wp: true, smap: true, implicit: true, may: ['r', 'r', 'rw', 'rw', '', '', '', ''] },
  'implicit supervisor in user mode, SMAP, RFLAGS.AC': { cpl: 3, wp: true, smap: true, ac: true, implicit: true, may: ['r', 'r', 'rw', 'rw', '', '', '', ''] },
  'implicit supervisor in user mode': { cpl: 3, wp: true, implicit: true, may: ['r', 'r', 'rw', 'rw', 'r', 'r', 'rw', 'rw'] },
};

/** Page-fault error code of a protection violation (SDM vol. 3A 4.7). */
const protectionCode = (kind: string, user: boolean) =>
  1 | (kind === 'w' ? 2 : 0) | (user ? 4 : 0) | (kind === 'x' ? 16 : 0);

describe('access rights', () => {
  for (const [name, { cpl, ac, wp, smep, smap, implicit, may }] of Object.entries(EXPECTED)) {
    test(name, () => {
      const m = machine();
      const t = new Tables(m, 0x10_0000);
      const root = t.page();
      // A page of each kind for each level that withholds the rights; the other levels give all.
      const linearOf = (page: number, level: number) =>
        (BigInt(level + 1) << 39n) | (BigInt(level + 1) << 30n) | (BigInt(page + 1) << 21n) | 0x5000n;
      for (let level = 0; level < 4; level++) {
        PAGES.forEach((page, i) => {
          const linear = linearOf(i, level);
          // Upper tables must not be shared between kinds where the upper level decides.
          const own = level >= 2 ? (BigInt(16 * (level + 1) + i) << 39n) | (linear & 0x7f_ffff_ffffn) : linear;
          t.map(root, own, 0x20_0000 + i * 4096, P | U | W);
          const at = t.entry(root, 3, own, level);
          let flags = t.get(at);
          if (page[0] === '-') flags &= ~U;
          if (page[1] === '-') flags &= ~W;
          if (page[2] === 'N') flags |= NX;
          t.set(at, flags);
        });
      }
      longMode(m, root, { cr0: wp ? CR0.WP : 0n, cr4: (smep ? CR4.SMEP : 0n) | (smap ? CR4.SMAP : 0n) });
      m.cpu.cpl = cpl;
      m.cpu.rflags = ac ? AC | 2n : 2n;
      m.translation.stateChanged();
      for (let level = 0; level < 4; level++) {
        PAGES.forEach((page, i) => {
          const base = linearOf(i, level);
          const linear = level >= 2 ? (BigInt(16 * (level + 1) + i) << 39n) | (base & 0x7f_ffff_ffffn) : base;
          for (const kind of implicit ? (['r', 'w'] as const) : (['r', 'w', 'x'] as const)) {
            const outcome = implicit && kind !== 'x' ? implicitAccess(m, kind, linear) : access(m, kind, linear);
            const text = `${kind} of ${page} withheld at level ${level}`;
            if (may[i].includes(kind)) {
              assert.equal(outcome, undefined, text);
              if (!implicit) assert.notEqual(tlbHit(m, kind, linear), undefined, `${text}: entered in the TLB`);
            } else {
              assert.deepEqual(
                outcome,
                { vector: 14, code: protectionCode(kind, cpl === 3 && !implicit), address: linear } satisfies Fault,
                text,
              );
              assert.equal(tlbHit(m, kind, linear), undefined, `${text}: not in the TLB`);
            }
          }
          for (const kind of ['r', 'w', 'x'] as const) {
            if (!implicit && !may[i].includes(kind))
              assert.equal(tlbHit(m, kind, linear), undefined, `${kind} of ${page} after all accesses`);
          }
        });
      }
    });
  }

  test('rights of one access class do not leak into another', () => {
    const m = machine();
    const t = new Tables(m, 0x10_0000);
    const root = t.page();
    t.map(root, 0x5000n, 0x20_0000, P | W);
    t.map(root, 0x6000n, 0x20_1000, P | W | U);
    longMode(m, root, { cr4: CR4.SMAP });
    const as = (cpl: number, ac: boolean) => {
      m.cpu.cpl = cpl;
      m.cpu.rflags = ac ? AC | 2n : 2n;
      m.translation.stateChanged();
    };
    for (let round = 0; round < 2; round++) {
      as(0, false);
      assert.equal(access(m, 'r', 0x5000n), undefined);
      assert.equal((access(m, 'r', 0x6000n) as Fault).code, 1);
      as(0, true);
      assert.equal(access(m, 'r', 0x6000n), undefined);
      as(3, false);
      assert.equal((access(m, 'r', 0x5000n) as Fault).code, 5);
      assert.equal(access(m, 'w', 0x6000n), undefined);
    }
  });

  test('the instruction-fetch bit of the error code needs NX or SMEP', () => {
    for (const [efer, cr4, code] of [
      [0n, 0n, 4],
      [1n << 11n, 0n, 20],
      [0n, CR4.SMEP, 20],
    ] as const) {
      const m = machine();
      const root = new Tables(m, 0x10_0000).page();
      longMode(m, root, { efer, cr4 });
      m.cpu.cpl = 3;
      m.translation.stateChanged();
      assert.deepEqual(access(m, 'x', 0x1234n), { vector: 14, code, address: 0x1234n });
    }
  });

  test('a clean page takes no fast write tag before its dirty bit is set', () => {
    const m = machine();
    const t = new Tables(m, 0x10_0000);
    const root = t.page();
    const leaf = t.map(root, 0x5000n, 0x20_0000, P | W);
    longMode(m, root);
    assert.equal(access(m, 'r', 0x5000n), undefined);
    assert.equal(tlbHit(m, 'w', 0x5000n), undefined);
    assert.equal(t.get(leaf) & (A | D), A);
    assert.equal(access(m, 'w', 0x5000n), undefined);
    assert.equal(t.get(leaf) & (A | D), A | D);
    assert.notEqual(tlbHit(m, 'w', 0x5000n), undefined);
  });
});

function implicitAccess(m: ReturnType<typeof machine>, kind: 'r' | 'w', linear: bigint) {
  try {
    if (kind === 'r') m.linear.readU32(linear, true);
    else m.linear.writeU32(linear, 0, true);
  } catch {
    return pendingOf(m.cpu);
  }
  return undefined;
}
