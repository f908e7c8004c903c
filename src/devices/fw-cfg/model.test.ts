import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { ArrayMemory, TestIoSpace } from '../test-bench.ts';
import { attachFwCfg } from './device.ts';
import { FW_CFG_ITEM, FwCfg } from './model.ts';

function board() {
  const memory = new ArrayMemory(0x2_0000);
  const fwCfg = new FwCfg(memory, {
    ramBytes: 5 * 2 ** 30,
    processors: 3,
    files: { 'etc/e820': Uint8Array.of(1, 2, 3), bootorder: Uint8Array.of(9) },
  });
  const space = new TestIoSpace();
  attachFwCfg(space, fwCfg);
  const read = (item: number, length: number) => {
    space.out(0x510, item, 2);
    return Array.from({ length }, () => space.in(0x511));
  };
  /** One DMA access as firmware makes it; returns the control field afterwards. */
  const dma = (control: number, length: number, address: number) => {
    const access = new DataView(memory.bytes.buffer, 0x1000, 16);
    access.setUint32(0, control, false);
    access.setUint32(4, length, false);
    access.setBigUint64(8, BigInt(address), false);
    space.out(0x514, 0, 4);
    space.out(0x518, 0x0010_0000, 4); // 0x1000 in big-endian order
    return access.getUint32(0, false);
  };
  return { memory, fwCfg, space, read, dma };
}

test('byte-wise: signature, interface, memory and processors', () => {
  const { read } = board();
  assert.equal(String.fromCharCode(...read(FW_CFG_ITEM.SIGNATURE, 4)), 'QEMU');
  assert.deepEqual(read(FW_CFG_ITEM.ID, 4), [3, 0, 0, 0]);
  assert.deepEqual(read(FW_CFG_ITEM.RAM_SIZE, 8), [0, 0, 0, 0x40, 1, 0, 0, 0]);
  assert.deepEqual(read(FW_CFG_ITEM.NB_CPUS, 2), [3, 0]);
  assert.deepEqual(read(0x7777, 2), [0, 0]);
  assert.deepEqual(read(FW_CFG_ITEM.NB_CPUS, 4), [3, 0, 0, 0]);
});

test('the directory lists files by big-endian size and selector', () => {
  const { read } = board();
  const directory = read(FW_CFG_ITEM.FILE_DIR, 4 + 2 * 64);
  assert.deepEqual(directory.slice(0, 12), [0, 0, 0, 2, 0, 0, 0, 3, 0, 0x20, 0, 0]);
  assert.equal(String.fromCharCode(...directory.slice(12, 20)), 'etc/e820');
  assert.deepEqual(directory.slice(68, 76), [0, 0, 0, 1, 0, 0x21, 0, 0]);
  assert.deepEqual(read(0x20, 4), [1, 2, 3, 0]);
});

describe('DMA', () => {
  test('announces itself', () => {
    const { space } = board();
    const bytes = [0x514, 0x515, 0x516, 0x517, 0x518, 0x519, 0x51a, 0x51b].map((port) => space.in(port));
    assert.equal(String.fromCharCode(...bytes), 'QEMU CFG');
    assert.equal(space.in(0x514, 4), 0x554d_4551);
  });

  test('selects, skips and reads', () => {
    const { dma, memory } = board();
    memory.bytes.fill(0xee, 0x2000, 0x2010);
    assert.equal(dma(0x0020_0000 | 0x08 | 0x02, 5, 0x2000), 0);
    assert.deepEqual([...memory.bytes.subarray(0x2000, 0x2006)], [1, 2, 3, 0, 0, 0xee]);
    assert.equal(dma(0x0020_0000 | 0x08 | 0x04, 1, 0), 0);
    assert.equal(dma(0x02, 2, 0x2000), 0);
    assert.deepEqual([...memory.bytes.subarray(0x2000, 0x2002)], [2, 3]);
  });

  test('refuses writes and survives nonsense', () => {
    const { dma, space } = board();
    assert.equal(dma(0x0020_0000 | 0x08 | 0x10, 3, 0x2000), 1);
    assert.equal(dma(0x02, 0x1000_0000, 0x1_0000_0000), 0);
    space.out(0x514, 0xffff_ffff, 4);
    space.out(0x518, 0xffff_ffff, 4);
  });
});

test('a snapshot keeps the position', () => {
  const first = board();
  first.read(0x20, 1);
  const second = board();
  second.fwCfg.restore(JSON.parse(JSON.stringify(first.fwCfg.save())));
  assert.equal(second.space.in(0x511), 2);
});

test('wiring errors are refused', () => {
  const { fwCfg } = board();
  assert.throws(() => fwCfg.addFile('x'.repeat(56), new Uint8Array(1)), RangeError);
  assert.throws(() => fwCfg.addFile('bootorder', new Uint8Array(1)), RangeError);
});
