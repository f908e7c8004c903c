import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { BootError, type BootPlan, type KernelOptions } from './boot-plan.ts';
import { isLinuxKernel, planLinux } from './linux.ts';
import { boardMemoryMap } from './memory-map.ts';
import { bzImage, memoryOf, stringAt } from './test-images.ts';

const MIB = 0x10_0000;

function options(overrides: Partial<KernelOptions> = {}): KernelOptions {
  return { commandLine: 'console=ttyS0', memoryMap: boardMemoryMap(128 * MIB), ...overrides };
}

function zeroPage(plan: BootPlan): DataView {
  return memoryOf(plan)(plan.cpu.registers.rsi!, 4096);
}

describe('64-bit protocol', () => {
  test('loads at the preferred address and enters 0x200 further, in long mode', () => {
    const payload = Uint8Array.from({ length: 0x400 }, (_, index) => index & 0xff);
    const plan = planLinux(bzImage({}, payload), options());
    assert.equal(plan.cpu.mode, 'long64');
    assert.equal(plan.cpu.rip, 0x100_0200);
    assert.equal(memoryOf(plan)(0x100_0155, 1).getUint8(0), 0x55);
    assert.equal(plan.cpu.cr0, 0x8000_0011);
    assert.equal(plan.cpu.cr4, 0x20);
    assert.equal(plan.cpu.efer, 0x500);
    assert.deepEqual(plan.cpu.segments.cs, { selector: 0x10, base: 0, limit: 0xffff_ffff, attributes: 0xa9b });
    assert.equal(plan.cpu.segments.ss.selector, 0x18);
  });

  test('the GDT in memory agrees with the segment registers', () => {
    const plan = planLinux(bzImage(), options());
    const gdt = memoryOf(plan)(plan.cpu.gdtr.base, plan.cpu.gdtr.limit + 1);
    assert.equal(gdt.getBigUint64(0x00, true), 0n);
    assert.equal(gdt.getBigUint64(0x10, true), 0x00af_9b00_0000_ffffn);
    assert.equal(gdt.getBigUint64(0x18, true), 0x00cf_9300_0000_ffffn);
    assert.equal(gdt.getBigUint64(0x20, true), 0x0000_8b00_0000_0067n);
  });

  test('the page tables map the first 4 GiB to themselves', () => {
    const plan = planLinux(bzImage(), options());
    const read = memoryOf(plan);
    const entry = (table: number, index: number) => Number(read(table + index * 8, 8).getBigUint64(0, true));
    for (const address of [0, 0x100_0200, 0x7fff_ffff, 0xfee0_0000, 0xffff_ffff]) {
      const level4 = entry(plan.cpu.cr3, 0);
      const level3 = entry(level4 - 3, Math.floor(address / 2 ** 30));
      const level2 = entry(level3 - 3, Math.floor(address / 2 ** 21) % 512);
      assert.equal(level4 % 4096, 3);
      assert.equal(level3 % 4096, 3);
      assert.equal(level2, address - (address % 2 ** 21) + 0x83);
    }
  });

  test('fills in the zero page', () => {
    const plan = planLinux(bzImage(), options({ rsdpAddress: 0xe_0000 }));
    const page = zeroPage(plan);
    assert.equal(page.getUint32(0x202, true), 0x53726448);
    assert.equal(page.getUint8(0x210), 0xff);
    assert.equal(page.getUint32(0x214, true), 0x100_0000);
    assert.equal(page.getBigUint64(0x70, true), 0xe_0000n);
    assert.equal(stringAt(plan, page.getUint32(0x228, true)), 'console=ttyS0');
    assert.equal(page.getUint8(0x1e8), 7);
    const entry = (index: number) => {
      const offset = 0x2d0 + index * 20;
      return [page.getBigUint64(offset, true), page.getBigUint64(offset + 8, true), page.getUint32(offset + 16, true)];
    };
    assert.deepEqual(entry(0), [0n, 0x9_fc00n, 1]);
    assert.deepEqual(entry(3), [0x10_0000n, BigInt(127 * MIB), 1]);
  });

  test('puts the initrd as high as allowed, on a page', () => {
    const initrd = new Uint8Array(5000).fill(7);
    const plan = planLinux(bzImage(), options({ modules: [{ bytes: initrd, commandLine: '' }] }));
    const page = zeroPage(plan);
    assert.equal(page.getUint32(0x218, true), 128 * MIB - 0x2000);
    assert.equal(page.getUint32(0x21c, true), 5000);
    assert.equal(memoryOf(plan)(128 * MIB - 0x2000 + 4999, 1).getUint8(0), 7);
    const limited = planLinux(
      bzImage({ initrdAddrMax: 0x37f_ffff }),
      options({ modules: [{ bytes: initrd, commandLine: '' }] }),
    );
    assert.equal(zeroPage(limited).getUint32(0x218, true), 0x380_0000 - 0x2000);
  });

  test('hands over a random seed', () => {
    const plan = planLinux(bzImage(), options({ randomSeed: Uint8Array.of(1, 2, 3, 4) }));
    const seed = memoryOf(plan)(Number(zeroPage(plan).getBigUint64(0x250, true)), 20);
    assert.deepEqual([seed.getUint32(8, true), seed.getUint32(12, true), seed.getUint32(16, true)], [9, 4, 0x04030201]);
  });

  test('splits large memories around the hole below 4 GiB', () => {
    const map = boardMemoryMap(4096 * MIB);
    assert.deepEqual(map.at(-1), { address: 2 ** 32, length: 2048 * MIB, type: 1 });
    assert.deepEqual(map[3], { address: MIB, length: 2047 * MIB, type: 1 });
    assert.equal(boardMemoryMap(0xb000_0000).at(-1)!.address < 2 ** 32, true);
  });
});

describe('placement', () => {
  test('a relocatable kernel that does not fit at its preferred address goes lower', () => {
    const plan = planLinux(bzImage({ preferredAddress: 0x1000_0000 }), options());
    assert.equal(plan.cpu.rip, 0x20_0200);
  });

  test('a kernel that cannot move is loaded at 1 MiB', () => {
    const plan = planLinux(bzImage({ relocatable: false }), options());
    assert.equal(plan.cpu.rip, 0x10_0200);
  });

  test('a machine too small is refused in one line', () => {
    const tooSmall = { memoryMap: boardMemoryMap(8 * MIB) };
    assert.throws(() => planLinux(bzImage({ relocatable: false }), options(tooSmall)), /kernel needs 17 MiB of memory/);
    assert.throws(() => planLinux(bzImage({ initSize: 64 * MIB }), options(tooSmall)), BootError);
    const initrd = [{ bytes: new Uint8Array(127 * MIB), commandLine: '' }];
    assert.throws(() => planLinux(bzImage(), options({ modules: initrd })), /initrd of \d+ bytes does not fit/);
  });
});

test('32-bit protocol for kernels without a 64-bit entry', () => {
  const plan = planLinux(bzImage({ xloadflags: 0 }), options());
  assert.equal(plan.cpu.mode, 'protected32');
  assert.equal(plan.cpu.rip, 0x100_0000);
  assert.equal(plan.cpu.cr0, 0x11);
  assert.equal(plan.cpu.registers.rsi, 0x7000);
  assert.deepEqual(plan.cpu.segments.cs, { selector: 0x10, base: 0, limit: 0xffff_ffff, attributes: 0xc9b });
});

describe('damaged images give one clear line', () => {
  const cases: [string, Uint8Array, RegExp][] = [
    ['no header', new Uint8Array(4096), /not a Linux bzImage/],
    ['short file', new Uint8Array(3), /not a Linux bzImage/],
    ['old protocol', bzImage({ version: 0x0204 }), /boot protocol 2\.4/],
    ['zImage', bzImage({ loadflags: 0 }), /zImage/],
    ['truncated', bzImage({}, new Uint8Array(0x1000)).subarray(0, 0x1000), /cut short: 4096 of 5120/],
  ];
  for (const [name, image, message] of cases) {
    test(name, () => assert.throws(() => planLinux(image, options()), { name: 'BootError', message }));
  }

  test('command line too long', () => {
    const long = 'x'.repeat(256);
    assert.throws(
      () => planLinux(bzImage({ commandLineSize: 255 }), options({ commandLine: long })),
      /256 bytes is too long/,
    );
  });

  test('any corruption is either booted or refused with a BootError', () => {
    const original = bzImage();
    let state = 12345;
    const random = (limit: number) => {
      state = (state * 1103515245 + 12345) % 2 ** 31;
      return state % limit;
    };
    for (let round = 0; round < 3000; round++) {
      const image = original.slice(0, random(10) === 0 ? random(original.length) : original.length);
      for (let flip = 0; flip < 3; flip++) image[0x1f1 + random(0x7f)] = random(256);
      try {
        planLinux(image, options({ modules: [{ bytes: new Uint8Array(10), commandLine: '' }] }));
      } catch (error) {
        assert.ok(error instanceof BootError, String(error));
        assert.ok(!error.message.includes('\n'));
      }
    }
  });

  test('recognises only what has the header', () => {
    assert.equal(isLinuxKernel(bzImage()), true);
    assert.equal(isLinuxKernel(new Uint8Array(0)), false);
  });
});
