import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { PageFlag } from './physical.ts';
import { GiB, HIGH_RAM, HIGH_RAM_BASE, LOW_RAM, MiB, machine } from './testing.ts';

const DEVICE = 0xfee00000;
const ROM = 0x2000_0000;

describe('guest-physical space', () => {
  test('untouched RAM reads as zeros and takes no frame until written', () => {
    const { dma, physical, arena } = machine();
    assert.equal(dma.readU64(0x5000), 0n);
    assert.equal(physical.readU32(0x5000), 0);
    assert.equal(arena.framesInUse, 0);
    dma.writeU8(0x5000, 1);
    assert.equal(arena.framesInUse, 1);
    assert.equal(physical.readU32(0x5000), 1);
  });

  test('numbers of every width round-trip, little-endian, across pages and above 4 GiB', () => {
    const { dma, physical } = machine();
    for (const base of [0x1ffd, HIGH_RAM_BASE + 0x1ffd, LOW_RAM - 8]) {
      physical.writeU64(base, 0x8877665544332211n);
      assert.equal(dma.readU64(base), 0x8877665544332211n);
      assert.equal(physical.readU64(base), 0x8877665544332211n);
      assert.equal(physical.readU8(base), 0x11);
      assert.equal(physical.readU16(base + 2), 0x4433);
      assert.equal(physical.readU32(base + 1), 0x55443322);
      assert.equal(dma.readU16(base + 2), 0x4433);
      assert.equal(dma.readU32(base + 1), 0x55443322);
      physical.writeU8(base, 0xff);
      physical.writeU16(base + 1, 0xeedd);
      physical.writeU32(base + 3, 0xccbbaa99);
      assert.deepEqual([...dma.read(base, 8)], [0xff, 0xdd, 0xee, 0x99, 0xaa, 0xbb, 0xcc, 0x88]);
      dma.writeU32(base, 0x01020304);
      dma.writeU16(base + 4, 0x0506);
      assert.deepEqual([...dma.read(base, 6)], [4, 3, 2, 1, 6, 5]);
    }
  });

  test('a bus master sees ones outside memory and its writes there are dropped', () => {
    const { dma, bus, arena } = machine();
    assert.equal(dma.readU32(LOW_RAM - 2), 0xffff0000);
    assert.equal(dma.readU64(HIGH_RAM_BASE + HIGH_RAM), 0xffff_ffff_ffff_ffffn);
    dma.write(LOW_RAM - 1, Uint8Array.of(1, 2, 3));
    assert.equal(dma.readU8(LOW_RAM - 1), 1);
    dma.write(2 ** 60, Uint8Array.of(1));
    assert.deepEqual([...dma.read(2 ** 60, 2)], [0xff, 0xff]);
    assert.equal(bus.log.length, 0);
    assert.equal(arena.framesInUse, 1);
  });

  test('the processor reaches devices, in aligned accesses of at most 4 bytes', () => {
    const { physical, bus } = machine();
    physical.readU64(DEVICE);
    physical.writeU16(DEVICE + 1, 0xabcd);
    physical.writeU32(DEVICE + 0xffe, 0x11223344);
    assert.deepEqual(
      bus.log.map(({ kind, address, size }) => [kind, address, size]),
      [
        ['r', DEVICE, 4],
        ['r', DEVICE + 4, 4],
        ['w', DEVICE + 1, 1],
        ['w', DEVICE + 2, 1],
        ['w', DEVICE + 0xffe, 2],
        ['w', DEVICE + 0x1000, 2],
      ],
    );
    assert.deepEqual(
      bus.log.slice(2).map((a) => a.value),
      [0xcd, 0xab, 0x3344, 0x1122],
    );
    assert.equal(physical.readU32(DEVICE + 0x10), Number(BigInt.asUintN(32, BigInt(DEVICE + 0x10) * 0x01010101n)));
  });

  test('ROM keeps its contents', () => {
    const { physical, dma } = machine();
    physical.addRom(ROM, Uint8Array.of(1, 2, 3));
    physical.writeU8(ROM, 9);
    dma.writeU8(ROM + 1, 9);
    assert.deepEqual([...dma.read(ROM, 4)], [1, 2, 3, 0]);
    assert.equal(physical.hostPage(ROM), 0);
    physical.setWritable(ROM, 4096, true);
    physical.writeU8(ROM, 9);
    assert.equal(dma.readU8(ROM), 9);
  });

  test('wiring errors are reported when the machine is put together', () => {
    const { physical } = machine();
    assert.throws(() => physical.addRam(0x1000, 0x1000), /already/);
    assert.throws(() => physical.addRam(0x2000_0800, 0x1000), /whole pages/);
    assert.throws(() => physical.addRam(HIGH_RAM_BASE + HIGH_RAM, 0x1000), /limit/);
    assert.throws(() => physical.addRam(GiB, 2 * MiB), /left of/);
  });

  test('removed and discarded memory gives its frames back', () => {
    const { physical, dma, arena } = machine();
    dma.writeU8(0x3000, 1);
    dma.writeU8(0x4000, 1);
    physical.discard(0x3000, 0x1000);
    assert.equal(dma.readU8(0x3000), 0);
    assert.equal(arena.framesInUse, 1);
    physical.remove(0x4000, 0x1000);
    assert.equal(dma.readU8(0x4000), 0xff);
    assert.equal(arena.framesInUse, 0);
    physical.addRam(0x4000, 0x1000);
    assert.equal(dma.readU8(0x4000), 0);
  });

  test('hostPage gives writable memory and nothing else', () => {
    const { physical, arena, dma } = machine();
    const host = physical.hostPage(HIGH_RAM_BASE + 0x123);
    arena.bytes[host + 5] = 7;
    assert.equal(dma.readU8(HIGH_RAM_BASE + 5), 7);
    assert.ok(physical.flags[HIGH_RAM_BASE / 4096] & PageFlag.DIRTY);
    assert.equal(physical.hostPage(DEVICE), 0);
    assert.equal(physical.hostPage(2 ** 51), 0);
  });

  test('writes to granules with code are reported with what they touched, others are not', () => {
    const { physical, dma } = machine();
    const writes: number[][] = [];
    physical.codeWritten = (...args) => writes.push(args);
    physical.markCode(2, 0x100, 0x81);
    physical.writeU32(0x20fc, 0);
    physical.writeU8(0x2200, 0);
    assert.deepEqual(writes, []);
    physical.writeU8(0x2100, 0);
    physical.writeU32(0x21ff, 0);
    dma.write(0x1ff0, new Uint8Array(0x200));
    dma.writeU8(0x2180, 0);
    physical.setWordBits(2, 0x1fc >> 2, 1);
    assert.deepEqual(writes, [
      [2, 0x100, 1],
      [2, 0x1ff, 4],
      [2, 0, 0x1f0],
      [2, 0x180, 1],
      [2, 0x1fc, 4],
    ]);
    physical.clearCode(2);
    dma.writeU8(0x2180, 0);
    assert.equal(writes.length, 5);
    physical.markCode(2, 0xfff, 1);
    physical.writeU8(0x2f80, 0);
    assert.deepEqual(writes[5], [2, 0xf80, 1]);
    physical.hostPage(0x2000);
    assert.deepEqual(writes[6], [2, 0, 4096]);
  });

  test('the last granule and a whole page are covered', () => {
    const { physical } = machine();
    physical.markCode(3, 0, 4096);
    assert.equal(physical.granules[3], 0xffffffff);
    physical.clearCode(3);
    physical.markCode(3, 4095, 1);
    assert.equal(physical.granules[3], 0x80000000);
  });

  test('dirty flags tell what was written since they were cleared', () => {
    const { physical, dma } = machine();
    const dirty = (page: number) => (physical.flags[page] & PageFlag.DIRTY) !== 0;
    dma.writeU8(0x1000, 1);
    dma.readU8(0x2000);
    assert.deepEqual([dirty(1), dirty(2)], [true, false]);
    physical.clearDirty();
    assert.equal(dirty(1), false);
    physical.writeU8(0x1000, 1);
    assert.equal(dirty(1), true);
  });

  test('a shared frame is copied by the first write', () => {
    const { physical, dma, arena } = machine();
    dma.writeU32(0x1000, 0x1234);
    const kept = physical.shareFrame(1);
    dma.writeU8(0x1000, 0xff);
    assert.equal(dma.readU32(0x1000), 0x12ff);
    assert.equal(arena.u32[kept * 1024], 0x1234);
    assert.equal(arena.referencesOf(kept), 1);
    const now = physical.frames[1];
    dma.writeU8(0x1000, 0xfe);
    assert.equal(physical.frames[1], now, 'the second write copies nothing');
    physical.adoptFrame(1, kept);
    assert.equal(dma.readU32(0x1000), 0x1234);
    assert.equal(arena.framesInUse, 1);
  });
});
