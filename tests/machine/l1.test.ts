/**
 * L1 without virtualization extensions: Linux's own drivers at work on the virtio devices, where what they did to the
 * host's files is looked at afterwards, and no KVM.
 */
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { FileDisk } from '../../src/host/node/disk.ts';
import { bootLinux, FarEnd, guestsOrReason, type LinuxRun, WITHIN_LIMIT } from './linux.ts';

const SECTOR = 512;
const BLOCK = 4096;
const MIB = 2 ** 20;
const DISK = 4 * MIB;

/** A disk image that keeps what it held whenever the guest asked for durability. */
class FlushedDisk extends FileDisk {
  readonly durable: Buffer[] = [];
  readonly path: string;
  constructor(path: string) {
    super(path, false);
    this.path = path;
  }
  override flush(): void {
    super.flush();
    this.durable.push(readFileSync(this.path));
  }
}

const sha256 = (bytes: Uint8Array) => createHash('sha256').update(bytes).digest('hex');

/** Bytes without a pattern, the same in every run. */
function noise(length: number, seed: string): Buffer {
  const digests = Array.from({ length: length / 32 }, (_, i) => sha256(Buffer.from(`${seed} ${i}`)));
  return Buffer.from(digests.join(''), 'hex');
}

const guests = await guestsOrReason();

describe('L1 without virtualization extensions', { skip: typeof guests === 'string' && guests }, () => {
  const directory = mkdtempSync(join(tmpdir(), 'testudo-virtio-'));
  after(() => rmSync(directory, { recursive: true }));
  const contents = noise(DISK, 'disk');
  const protectedContents = noise(MIB, 'protected disk');
  const screen = new FarEnd({ 'who is there?': 'the host\n' });
  let disk: FlushedDisk;
  let run: LinuxRun;

  before(async () => {
    const image = join(directory, 'disk');
    const protectedImage = join(directory, 'protected');
    writeFileSync(image, contents);
    writeFileSync(protectedImage, protectedContents);
    disk = new FlushedDisk(image);
    const protectedDisk = new FileDisk(protectedImage, true);
    run = await bootLinux({
      guests,
      disks: [disk, protectedDisk],
      virtioConsole: screen,
      steps: {
        drivers: 'for device in /sys/bus/virtio/devices/*; do basename $(readlink $device/driver); done',
        sizes: 'cat /sys/block/vda/size /sys/block/vdb/size',
        read: 'for disk in /dev/vda /dev/vdb; do sha256sum <$disk; done',
        // Past the page cache: requests of many segments, and one for the last sector.
        'direct read': `
          dd if=/dev/vda bs=1M iflag=direct of=/tmp/all 2>/dev/null && sha256sum </tmp/all
          dd if=/dev/vda bs=${SECTOR} skip=${DISK / SECTOR - 1} iflag=direct of=/tmp/last 2>/dev/null && sha256sum </tmp/last`,
        write: `
          yes Testudo | dd of=/dev/vda bs=${BLOCK} seek=3 count=2 iflag=fullblock conv=notrunc,fsync 2>/dev/null
          echo status $?`,
        'write to a protected disk': '{ echo x >/dev/vdb; } 2>&1; cat /sys/block/vdb/ro',
        'bind again': `
          for device in /sys/bus/virtio/drivers/virtio_blk/virtio*; do
            basename $device >/tmp/name
            cat /tmp/name >/sys/bus/virtio/drivers/virtio_blk/unbind
            cat /tmp/name >/sys/bus/virtio/drivers/virtio_blk/bind
          done
          sha256sum </dev/vdb`,
        random: `
          cat /sys/class/misc/hw_random/rng_current
          dd if=/dev/hwrng bs=64 count=64 of=/tmp/random 2>/dev/null
          wc -c </tmp/random
          sort -u /tmp/random | gzip | wc -c`,
        console: `
          exec 3<>/dev/hvc0
          stty -F /dev/hvc0 size
          echo 'who is there?' >&3
          read -r name <&3
          echo "hello, $name" >&3
          echo "it is $name"`,
        interrupts: `awk '/PCI-MSI.*virtio/ { print $NF, $2 }' /proc/interrupts`,
        'kernel log': `dmesg -r | grep -c '^<[5-7]>'; dmesg -r | grep '^<[0-4]>'`,
        'virtualization extensions': 'grep -c -w -E "svm|npt|vmx" /proc/cpuinfo; load-kvm; echo status $?',
        'KVM all the same':
          'dmesg -n 1; load-module kvm-amd 2>&1; ls /dev/kvm 2>&1; dmesg | tail -n 1 | cut -d" " -f 2-',
      },
    });
    disk.close();
    protectedDisk.close();
  }, WITHIN_LIMIT);

  test('it runs to its end', () => {
    assert.equal(run.exit, 'power-off', run.console);
  });
  test('every device finds its driver', () => {
    assert.deepEqual(run.lines('drivers'), ['virtio_rng', 'virtio_console', 'virtio_blk', 'virtio_blk']);
    assert.deepEqual(run.lines('sizes'), [`${DISK / SECTOR}`, `${MIB / SECTOR}`]);
  });
  test('reads give what the image holds', () => {
    assert.deepEqual(run.lines('read'), [`${sha256(contents)}  -`, `${sha256(protectedContents)}  -`]);
    const last = contents.subarray(-SECTOR);
    assert.deepEqual(run.lines('direct read'), [`${sha256(contents)}  -`, `${sha256(last)}  -`]);
  });
  test('writes go into the image, there and nowhere else', () => {
    assert.deepEqual(run.lines('write'), ['status 0']);
    const expected = Buffer.from(contents);
    expected.write('Testudo\n'.repeat(BLOCK), 3 * BLOCK, 2 * BLOCK, 'latin1');
    assert.equal(sha256(readFileSync(disk.path)), sha256(expected));
    assert.ok(disk.durable.some((image) => image.equals(expected)));
  });
  test('a protected image stays as it is', () => {
    assert.deepEqual(run.lines('write to a protected disk'), ['sh: write error: Operation not permitted', '1']);
    assert.deepEqual(run.lines('bind again'), [`${sha256(protectedContents)}  -`]);
  });
  test('random numbers look so', () => {
    const [source, length, compressed] = run.lines('random');
    assert.deepEqual([source, length], ['virtio_rng.0', `${BLOCK}`]);
    assert.ok(Number(compressed) > BLOCK, `${compressed} bytes after compression`);
  });
  test('the console speaks and listens', () => {
    assert.deepEqual(run.lines('console'), ['25 80', 'it is the host']);
    assert.equal(screen.text, 'who is there?\nthe host\nhello, the host\n');
  });
  test('every queue has its own interrupt', () => {
    const counts = run.lines('interrupts').map((line) => line.split(' '));
    const used = counts.filter(([, count]) => Number(count) > 0).map(([name]) => name);
    assert.equal(counts.length, 9);
    for (const name of ['virtio0-input', 'virtio1-input', 'virtio1-output', 'virtio2-req.0', 'virtio3-req.0'])
      assert.ok(used.includes(name), `${name}: ${used}`);
  });
  test('there is no KVM', () => {
    const [flags, refusal, status] = run.lines('virtualization extensions');
    assert.deepEqual([flags, status], ['0', 'status 1']);
    assert.match(refusal, /neither AMD-V \(svm\) nor Intel VT-x/);
    const [insmod, device, message] = run.lines('KVM all the same');
    assert.match(insmod, /Operation not supported/);
    assert.match(device, /No such file or directory/);
    assert.match(message, /no hardware support for 'kvm_amd'/);
  });
  test('the kernel has nothing to complain of, nor has the machine', () => {
    const [lines, ...warnings] = run.lines('kernel log');
    assert.ok(Number(lines) > 100);
    assert.deepEqual(warnings, []);
    assert.deepEqual(
      run.log.filter((line) => !line.startsWith('unimplemented: ')),
      [],
    );
  });
});
