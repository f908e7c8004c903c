import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { ByteWriter } from '../bytes.ts';
import { BootError, type BootPlan, type KernelOptions } from './boot-plan.ts';
import { planFirmware } from './firmware.ts';
import { planKernel } from './load-kernel.ts';
import { boardMemoryMap } from './memory-map.ts';
import { planMultiboot } from './multiboot.ts';
import { planPvh } from './pvh.ts';
import { bzImage, elf, memoryOf, note, stringAt } from './test-images.ts';

const MIB = 0x10_0000;
const options: KernelOptions = { commandLine: 'one two', memoryMap: boardMemoryMap(64 * MIB), kernelName: 'test.flat' };

function header(flags: number, addresses: number[] = []): Uint8Array {
  const writer = new ByteWriter()
    .u32(0x1bad_b002)
    .u32(flags)
    .u32(-(0x1bad_b002 + flags) >>> 0);
  for (const address of addresses) writer.u32(address);
  return writer.append(new Uint8Array(64).fill(0xcc)).bytes.slice();
}

const code = header(0);
const modules = [
  { bytes: Uint8Array.of(1, 2, 3), commandLine: 'env' },
  { bytes: new Uint8Array(5000).fill(9), commandLine: 'second arg' },
];

function information(plan: BootPlan): DataView {
  return memoryOf(plan)(plan.cpu.registers.rbx!, 88);
}

describe('multiboot', () => {
  test('ELF32: loads by physical address and enters flat protected mode', () => {
    const plan = planMultiboot(
      elf(32, 0x40_0040, [{ type: 'load', bytes: code, physicalAddress: 0x40_0000 }]),
      options,
    );
    assert.equal(plan.cpu.mode, 'protected32');
    assert.equal(plan.cpu.rip, 0x40_0040);
    assert.equal(plan.cpu.registers.rax, 0x2bad_b002);
    assert.equal(memoryOf(plan)(0x40_0000, 4).getUint32(0, true), 0x1bad_b002);
  });

  test('ELF64 linked high: the entry is translated to a physical address', () => {
    const high = 0xffff_8000; // as a 64-bit number it stays exact
    const file = elf(64, high + 0x40, [
      { type: 'load', bytes: code, physicalAddress: 0x20_0000, virtualAddress: high },
    ]);
    assert.equal(planMultiboot(file, options).cpu.rip, 0x20_0040);
  });

  test('address fields: loads the named part of a flat file', () => {
    const flat = new Uint8Array(0x200);
    flat.set(header(0x1_0000, [0x10_0100, 0x10_0000, 0x10_0180, 0x10_1000, 0x10_0140]), 0x110);
    const plan = planMultiboot(flat, options);
    assert.equal(plan.cpu.rip, 0x10_0140);
    assert.equal(memoryOf(plan)(0x10_0100, 4).getUint32(0, true), 0x1bad_b002);
    const kernel = plan.writes.find(({ address }) => address === 0x10_0000)!;
    assert.equal(kernel.bytes.length, 0x180);
  });

  test('describes memory, modules and the command line', () => {
    const file = elf(32, 0x40_0000, [{ type: 'load', bytes: code, physicalAddress: 0x40_0000, memorySize: 0x1800 }]);
    const plan = planMultiboot(file, { ...options, modules });
    const info = information(plan);
    const read = memoryOf(plan);
    assert.equal(info.getUint32(0, true), 0x24d);
    assert.equal(info.getUint32(4, true), 639);
    assert.equal(info.getUint32(8, true), 63 * 1024);
    assert.equal(stringAt(plan, info.getUint32(16, true)), 'test.flat one two');
    assert.equal(info.getUint32(20, true), 2);
    const list = read(info.getUint32(24, true), 32);
    assert.equal(list.getUint32(0, true), 0x40_2000); // behind .bss, on a page
    assert.equal(list.getUint32(4, true), 0x40_2003);
    assert.equal(stringAt(plan, list.getUint32(8, true)), 'env');
    assert.equal(list.getUint32(16, true), 0x40_3000);
    assert.equal(stringAt(plan, list.getUint32(24, true)), 'second arg');
    assert.equal(read(0x40_3000 + 4999, 1).getUint8(0), 9);
    assert.equal(info.getUint32(44, true), 24 * options.memoryMap.length);
    const map = read(info.getUint32(48, true), 24);
    assert.deepEqual([map.getUint32(0, true), map.getBigUint64(12, true), map.getUint32(20, true)], [20, 0x9_fc00n, 1]);
  });

  test('refuses what it cannot load', () => {
    const load = (bytes: Uint8Array, address: number) =>
      elf(32, address, [{ type: 'load', bytes, physicalAddress: address }]);
    assert.throws(() => planMultiboot(new Uint8Array(100), options), /no multiboot header/);
    assert.throws(() => planMultiboot(load(header(0x10), MIB), options), /unknown features 0x10/);
    assert.throws(() => planMultiboot(load(code, 0x4000_0000), options), /not in memory/);
    assert.throws(() => planMultiboot(load(code, 0x7000), options), /overlaps/);
    assert.throws(() => planMultiboot(header(0), options), /neither ELF nor/);
    assert.throws(() => planMultiboot(header(0x1_0000, [MIB, 2 * MIB]), options), /not inside the part/);
    const large = [{ bytes: new Uint8Array(63 * MIB), commandLine: '' }];
    assert.throws(
      () => planMultiboot(load(code, 4 * MIB), { ...options, modules: large }),
      /modules of \d+ bytes do not fit/,
    );
  });
});

describe('PVH', () => {
  const entryNote = note('Xen', 18, Uint8Array.of(0x40, 0x00, 0x20, 0x00));
  const parts = [
    { type: 'note' as const, bytes: new Uint8Array([...note('GNU', 1, Uint8Array.of(1)), ...entryNote]) },
    {
      type: 'load' as const,
      bytes: new Uint8Array(256).fill(0x90),
      physicalAddress: 0x20_0000,
      virtualAddress: 0x8000_0000,
    },
  ];

  test('enters at the note with the start info in EBX', () => {
    const plan = planPvh(elf(64, 0x8000_0000, parts), { ...options, modules, rsdpAddress: 0xe_0000 });
    assert.equal(plan.cpu.rip, 0x20_0040);
    assert.equal(plan.cpu.cr0 & 1, 1);
    assert.equal(plan.cpu.segments.tr.limit, 0x67);
    const read = memoryOf(plan);
    const info = read(plan.cpu.registers.rbx!, 56);
    const u64 = (offset: number) => Number(info.getBigUint64(offset, true));
    assert.equal(info.getUint32(0, true), 0x336e_c578);
    assert.equal(info.getUint32(4, true), 1);
    assert.equal(info.getUint32(12, true), 2);
    assert.equal(stringAt(plan, u64(24)), 'one two');
    assert.equal(u64(32), 0xe_0000);
    assert.equal(info.getUint32(48, true), options.memoryMap.length);
    const module = read(u64(16) + 32, 32);
    assert.equal(Number(module.getBigUint64(8, true)), 5000);
    assert.equal(stringAt(plan, Number(module.getBigUint64(16, true))), 'second arg');
    const range = read(u64(40) + 24 * 3, 24);
    assert.deepEqual([range.getBigUint64(0, true), range.getUint32(16, true)], [BigInt(MIB), 1]);
  });

  test('refuses kernels without the note and damaged ones', () => {
    assert.throws(() => planPvh(elf(64, 0, [parts[1]]), options), /no PVH entry note/);
    assert.throws(() => planPvh(elf(64, 0, parts).subarray(0, 200), options), /cut short/);
    assert.throws(() => planPvh(elf(64, 0, parts, 183), options), /machine 183/);
  });

  test('any corruption is either booted or refused with a BootError', () => {
    const original = elf(64, 0x8000_0000, parts);
    let state = 777;
    const random = (limit: number) => {
      state = (state * 1103515245 + 12345) % 2 ** 31;
      return state % limit;
    };
    for (let round = 0; round < 3000; round++) {
      const image = original.slice();
      for (let flip = 0; flip < 2; flip++) image[random(240)] = random(256);
      try {
        planPvh(image, options);
      } catch (error) {
        assert.ok(error instanceof BootError, String(error));
      }
    }
  });
});

test('the protocol is found from the file', () => {
  const pvh = elf(64, 0, [
    { type: 'note', bytes: note('Xen', 18, Uint8Array.of(0, 0, 0x20, 0)) },
    { type: 'load', bytes: new Uint8Array(8), physicalAddress: 0x20_0000 },
  ]);
  assert.equal(planKernel(bzImage(), options).protocol, 'Linux');
  assert.equal(
    planKernel(elf(32, MIB, [{ type: 'load', bytes: code, physicalAddress: MIB }]), options).protocol,
    'multiboot',
  );
  assert.equal(planKernel(pvh, options).protocol, 'PVH');
  assert.throws(() => planKernel(new TextEncoder().encode('#!/bin/sh'), options), BootError);
  assert.throws(() => planKernel(new Uint8Array(0), options), BootError);
});

test('firmware starts at the reset vector', () => {
  const plan = planFirmware(new Uint8Array(256 * 1024));
  assert.equal(plan.rom.address, 0xfffc_0000);
  assert.equal(plan.legacyWindow.address, 0xe_0000);
  assert.equal(plan.cpu.segments.cs.base + plan.cpu.rip, 0xffff_fff0);
  assert.throws(() => planFirmware(new Uint8Array(1000)), BootError);
});
