import assert from 'node:assert/strict';
import { readdir, readFile } from 'node:fs/promises';
import { describe, test } from 'node:test';
import { makeInitrdL1, makeInitrdL2 } from './images.ts';

async function scripts(guest: string): Promise<Map<string, string>> {
  const directory = new URL(`${guest}/`, import.meta.url);
  const names = await readdir(directory);
  return new Map(
    await Promise.all(names.map(async (n) => [n, await readFile(new URL(n, directory), 'utf8')] as const)),
  );
}

/** Whether the archive has an entry of that name: names are followed by a zero byte. */
function has(archive: Uint8Array, name: string): boolean {
  return Buffer.from(archive).includes(`${name}\0`);
}

describe('initial RAM disks', () => {
  const busybox = new Uint8Array([1]);

  test('L2 has what its /init uses', async () => {
    const archive = makeInitrdL2(busybox, await scripts('l2'));
    for (const name of ['init', 'bin/busybox', 'bin/sh', 'dev/console', 'etc/profile'])
      assert.ok(has(archive, name), name);
  });

  test('L1 has the monitor, the modules in order, and L2', async () => {
    const archive = makeInitrdL1({
      busybox,
      scripts: await scripts('l1'),
      monitor: new Uint8Array([2]),
      modules: new Map([
        ['kvm', new Uint8Array([3])],
        ['kvm-amd', new Uint8Array([4])],
      ]),
      loadingOrders: new Map([['kvm-amd', ['kvm', 'kvm-amd']]]),
      kernelL2: new Uint8Array([5]),
      initrdL2: new Uint8Array([6]),
    });
    const expected = [
      'bin/l2',
      'bin/load-kvm',
      'bin/load-module',
      'bin/load-virtio',
      'bin/testudo-kvm',
      'lib/modules/kvm.ko',
      'lib/l2/bzImage',
      'lib/l2/initrd',
    ];
    for (const name of expected) assert.ok(has(archive, name), name);
    assert.ok(Buffer.from(archive).includes('kvm\nkvm-amd\n'));
  });

  test('a missing script is an error', () => {
    assert.throws(() => makeInitrdL2(busybox, new Map([['init', '']])), /'profile' is missing/);
  });
});
