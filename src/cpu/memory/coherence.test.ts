/**
 * A long random mix of accesses, page-table changes, invalidations, address-space switches, code marking and sharing. As
 * long as every change is followed by the invalidation the manual demands, each access must behave as a plain walk over
 * the tables says, whether it hits the TLB or not.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { AC, access, CR0, CR4, EFER, G, type Machine, machine, NX, P, PS, Tables, tlbHit, U, W } from './testing.ts';
import { TLB_ENTRIES } from './tlb.ts';

const ADDRESS = 0xf_ffff_ffff_f000n;
/** Where the hypervisor puts its guests' memory: guest-physical addresses plus this. */
const SHIFT = 0x40_0000;
/** Pages this far apart collide in the TLB. */
const REACH = BigInt(TLB_ENTRIES);
const DATA_PAGES = 24;
const DATA = 0x8_0000;

/** A generator with a fixed sequence (numerical recipes' LCG). */
function randomNumbers(seed: number) {
  let state = seed >>> 0;
  return (below: number) => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return Math.floor((state / 2 ** 32) * below);
  };
}

type Kind = 'r' | 'w' | 'x';
/** The walk as the manual tells it, in BigInt: the address, or undefined where the access is refused. */
function expectedAddress(m: Machine, linear: bigint, kind: Kind): number | undefined {
  const { cpu, dma } = m;
  const guest = cpu.guestMode === 1;
  const nested = guest && cpu.nestedPaging === 1;
  const levels = (root: bigint, address: bigint, read: (at: bigint) => bigint | undefined) => {
    let table = root & ADDRESS;
    let rights = P | W | U;
    let nx = false;
    for (let level = 3n; ; level--) {
      const entry = read(table + 8n * ((address >> (12n + 9n * level)) & 511n));
      if (entry === undefined || !(entry & P)) return undefined;
      rights &= entry;
      nx ||= (entry & NX) !== 0n;
      if (level === 0n || (level < 3n && entry & PS)) {
        const inside = (1n << (12n + 9n * level)) - 1n;
        return {
          page: (entry & ADDRESS & ~inside) | (address & inside),
          user: (rights & U) !== 0n,
          writable: (rights & W) !== 0n,
          nx,
        };
      }
      table = entry & ADDRESS;
    }
  };
  const host = (address: bigint, kind: Kind) => {
    if (!nested) return address;
    const leaf = levels(cpu.nestedCr3, address, (at) => dma.readU64(Number(at)));
    if (leaf === undefined || !leaf.user || (kind === 'w' && !leaf.writable) || (kind === 'x' && leaf.nx))
      return undefined;
    return leaf.page;
  };
  const leaf = levels(cpu.cr3, linear, (at) => {
    const where = host(at, 'w');
    return where === undefined ? undefined : dma.readU64(Number(where));
  });
  if (leaf === undefined) return undefined;
  const user = cpu.cpl === 3;
  const smap = (cpu.cr4 & CR4.SMAP) !== 0n && (cpu.rflags & AC) === 0n;
  if (user && !leaf.user) return undefined;
  if (kind === 'x' ? leaf.nx || (!user && leaf.user && (cpu.cr4 & CR4.SMEP) !== 0n) : !user && leaf.user && smap)
    return undefined;
  if (kind === 'w' && !leaf.writable && (user || (cpu.cr0 & CR0.WP) !== 0n)) return undefined;
  const final = host(leaf.page, kind);
  return final === undefined ? undefined : Number(final);
}

function run(seed: number, steps: number): void {
  const m = machine({ banks: 6 });
  const { cpu, dma, translation, physical, arena } = m;
  const random = randomNumbers(seed);
  const pick = <T>(items: readonly T[]): T => items[random(items.length)];

  // Three address spaces of the host and three of a guest, each in its own memory; linear pages collide in the TLB.
  const linears = [0n, 1n, 2n, 5n, REACH, REACH + 1n, 2n * REACH].flatMap((n) => [
    0x40_0000n + n * 4096n,
    0xffff_8000_0000_0000n + n * 4096n,
  ]);
  const hostTables = new Tables(m, 0x10_0000);
  const hostRoots = [0, 1, 2].map(() => hostTables.page());
  const guestMachine = { ...m, dma: shifted(m) } as Machine;
  const guestTables = new Tables(guestMachine, 0x1_0000);
  const guestRoots = [0, 1, 2].map(() => guestTables.page());
  const nestedTables = new Tables(m, 0x20_0000);
  const nestedRoot = nestedTables.page();
  for (let page = 0; page < 0x10_0000; page += 4096)
    nestedTables.map(nestedRoot, BigInt(page), page + SHIFT, P | W | U);

  const flags = (usual: bigint) =>
    pick([usual | W, usual | W, usual | W, usual, P | W, P | W | U, 0n]) | (random(8) === 0 ? NX : 0n);
  const globalFlags = new Map<bigint, bigint>();
  const leafFor = (linear: bigint) => {
    // The upper half is global and the same everywhere, as operating systems keep it.
    if (linear >> 63n) return globalFlags.get(linear) ?? 0n;
    return BigInt(DATA + random(DATA_PAGES) * 4096) | flags(P | U);
  };
  const changeGlobal = (linear: bigint) =>
    globalFlags.set(linear, BigInt(DATA + random(DATA_PAGES) * 4096) | flags(P) | G);
  const put = (tables: Tables, root: number, linear: bigint, entry: bigint) =>
    tables.set(tables.entry(root, 3, linear, 0), entry);
  for (const linear of linears) if (linear >> 63n) changeGlobal(linear);
  for (const linear of linears) {
    for (const root of hostRoots) put(hostTables, root, linear, leafFor(linear));
    for (const root of guestRoots) put(guestTables, root, linear, leafFor(linear));
  }

  cpu.cr0 = CR0.PE | CR0.PG | CR0.WP;
  cpu.efer = EFER.LMA | EFER.LME | EFER.NXE;
  cpu.cr4 = CR4.PAE | CR4.PGE | CR4.SMAP | CR4.SMEP;
  cpu.nestedCr3 = BigInt(nestedRoot);
  cpu.guestAsid = 1;
  cpu.nestedPaging = 1;
  let hostRoot = 0;
  let guestRoot = 0;
  const switchWorld = (guest: boolean) => {
    cpu.guestMode = guest ? 1 : 0;
    cpu.cr3 = BigInt(guest ? guestRoots[guestRoot] : hostRoots[hostRoot]);
    translation.stateChanged();
  };
  switchWorld(false);

  let hits = 0;
  let refused = 0;
  let codeWrites = 0;
  const marked = new Set<number>();
  physical.codeWritten = (page) => {
    codeWrites++;
    marked.delete(page);
    physical.clearCode(page);
  };
  const shared: { frame: number; word: number }[] = [];

  for (let step = 0; step < steps; step++) {
    const guest = cpu.guestMode === 1;
    switch (random(100)) {
      case 0:
        switchWorld(!guest);
        break;
      case 1: {
        const root = random(3);
        if (guest) guestRoot = root;
        else hostRoot = root;
        cpu.cr3 = BigInt(guest ? guestRoots[root] : hostRoots[root]);
        translation.flushAddressSpace(true);
        translation.stateChanged();
        break;
      }
      case 2:
        cpu.cpl = pick([0, 3]);
        cpu.rflags = pick([2n, AC | 2n]);
        translation.stateChanged();
        break;
      case 3:
        cpu.cr0 ^= CR0.WP;
        translation.stateChanged();
        break;
      case 4: {
        // A change in the current tables, then INVLPG.
        const linear = pick(linears);
        const [tables, roots, root] = guest
          ? ([guestTables, guestRoots, guestRoots[guestRoot]] as const)
          : ([hostTables, hostRoots, hostRoots[hostRoot]] as const);
        if (linear >> 63n) {
          changeGlobal(linear);
          for (const one of hostRoots) put(hostTables, one, linear, leafFor(linear));
          for (const one of guestRoots) put(guestTables, one, linear, leafFor(linear));
          translation.invalidatePageOf(guest ? 0 : 1, linear);
        } else {
          put(tables, root, linear, leafFor(linear));
        }
        assert.ok(roots.includes(root));
        translation.invalidatePage(linear);
        break;
      }
      case 5: {
        // A change in tables that are not loaded needs no invalidation until they are.
        const linear = pick(linears.filter((l) => !(l >> 63n)));
        const other = random(3);
        if (guest && other !== guestRoot) put(guestTables, guestRoots[other], linear, leafFor(linear));
        if (!guest && other !== hostRoot) put(hostTables, hostRoots[other], linear, leafFor(linear));
        break;
      }
      case 6: {
        // The hypervisor changes a nested entry and flushes the ASID.
        const page = BigInt(DATA + random(DATA_PAGES) * 4096);
        put(
          nestedTables,
          nestedRoot,
          page,
          BigInt(DATA + SHIFT + random(DATA_PAGES) * 4096) |
            pick([P | U, P | W | U, P | W | U, P | W | U, P | W, 0n]) |
            (random(6) === 0 ? NX : 0n),
        );
        translation.flushAsid(1);
        break;
      }
      case 7: {
        const page = ((random(2) ? SHIFT : 0) + DATA) / 4096 + random(DATA_PAGES);
        marked.add(page);
        physical.markCode(page, random(2) * 128, 1 + random(64));
        break;
      }
      case 8: {
        const page = ((random(2) ? SHIFT : 0) + DATA) / 4096 + random(DATA_PAGES);
        if (shared.length < 100) {
          const frame = physical.shareFrame(page);
          if (frame !== 0) shared.push({ frame, word: arena.u32[frame * 1024] });
        }
        break;
      }
      case 9:
        physical.clearDirty();
        break;
      default: {
        // Mostly what the privilege level has reason to touch.
        const own = linears.filter((l) => (l >> 63n === 0n) === (cpu.cpl === 3));
        const linear = pick(random(5) === 0 ? linears : own);
        const kind = pick(['r', 'r', 'w', 'w', 'x'] as const);
        const expected = expectedAddress(m, linear, kind);
        const hit = tlbHit(m, kind, linear);
        const context = `seed ${seed} step ${step}: ${kind} of ${linear.toString(16)} cpl ${cpu.cpl} guest ${cpu.guestMode}`;
        if (hit !== undefined) {
          hits++;
          assert.ok(expected !== undefined, `${context}: the TLB allows what the tables refuse`);
          const page = expected / 4096;
          assert.equal(hit, physical.frames[page] * 4096, `${context}: wrong frame`);
          if (kind === 'w') {
            assert.ok(!marked.has(page), `${context}: fast write to a page with code`);
            assert.ok(physical.flags[page] & 8, `${context}: fast write to a clean page`);
            assert.ok(arena.referencesOf(physical.frames[page]) === 1, `${context}: fast write to a shared frame`);
          }
        }
        const outcome = access(m, kind, linear, 4, 3, BigInt(step));
        assert.equal(outcome === undefined, expected !== undefined, context);
        if (expected === undefined) refused++;
        else if (kind === 'w') assert.equal(dma.readU32(expected), step, context);
        else if (kind === 'r') assert.equal(cpu.slowValue[0], BigInt(dma.readU32(expected)), context);
        else assert.equal(m.linear.guestPage(), expected / 4096, context);
      }
    }
  }
  for (const { frame, word } of shared) assert.equal(arena.u32[frame * 1024], word, 'a shared frame was written');
  assert.ok(
    hits > steps / 8 && refused > steps / 8 && codeWrites > 10 && shared.length > 5,
    `too little happened: ${hits} ${refused} ${codeWrites}`,
  );
}

/** The guest's view of memory for building its tables. */
function shifted({ dma }: Machine): Machine['dma'] {
  return {
    write: (address: number, bytes: Uint8Array) => dma.write(address + SHIFT, bytes),
    readU64: (address: number) => dma.readU64(address + SHIFT),
    writeU64: (address: number, value: bigint) => dma.writeU64(address + SHIFT, value),
  } as Machine['dma'];
}

for (const seed of [1, 2, 3]) test(`TLB and tables agree (seed ${seed})`, () => run(seed, 12000));
