import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { characterDevice, directory, executable, file, symlink, writeCpio } from './cpio.ts';

interface ParsedEntry {
  name: string;
  mode: number;
  links: number;
  uid: number;
  gid: number;
  mtime: number;
  inode: number;
  rdev: [number, number];
  data: string;
}

/** A reader written from the format's description alone, stricter than the kernel's. */
function readCpio(archive: Uint8Array): ParsedEntry[] {
  const bytes = Buffer.from(archive);
  const entries: ParsedEntry[] = [];
  for (let offset = 0; ; ) {
    assert.equal(offset % 4, 0);
    assert.equal(bytes.toString('latin1', offset, offset + 6), '070701');
    const fields = Array.from({ length: 13 }, (_, i) => {
      const digits = bytes.toString('latin1', offset + 6 + 8 * i, offset + 14 + 8 * i);
      assert.match(digits, /^[0-9a-f]{8}$/);
      return Number.parseInt(digits, 16);
    });
    const [inode, mode, uid, gid, links, mtime, size, , , rmajor, rminor, nameSize, check] = fields;
    assert.equal(check, 0);
    assert.equal(bytes[offset + 110 + nameSize - 1], 0);
    const name = bytes.toString('utf8', offset + 110, offset + 110 + nameSize - 1);
    const dataStart = (offset + 110 + nameSize + 3) & ~3;
    const data = bytes.toString('latin1', dataStart, dataStart + size);
    offset = (dataStart + size + 3) & ~3;
    if (name === 'TRAILER!!!') {
      assert.equal(offset, bytes.length);
      return entries;
    }
    entries.push({ name, mode, links, uid, gid, mtime, inode, rdev: [rmajor, rminor], data });
  }
}

describe('writeCpio', () => {
  test('an empty archive is only the trailer', () => {
    const text = Buffer.from(writeCpio([])).toString('latin1');
    const zeros = '0'.repeat(8);
    const header = `070701${zeros.repeat(4)}00000001${zeros.repeat(6)}0000000b${zeros}`;
    assert.equal(text, `${header}TRAILER!!!\0\0\0\0`);
  });

  test('every kind of entry comes back as it went in', () => {
    const entries = readCpio(
      writeCpio([
        directory('bin'),
        executable('bin/tool', new Uint8Array([1, 2, 3])),
        file('note', 'hello'),
        symlink('bin/sh', 'tool'),
        directory('dev'),
        characterDevice('dev/console', 5, 1),
      ]),
    );
    const summary = entries.map(({ name, mode, links, rdev, data }) => [name, mode.toString(8), links, rdev, data]);
    assert.deepEqual(summary, [
      ['bin', '40755', 2, [0, 0], ''],
      ['bin/tool', '100755', 1, [0, 0], '\x01\x02\x03'],
      ['note', '100644', 1, [0, 0], 'hello'],
      ['bin/sh', '120777', 1, [0, 0], 'tool'],
      ['dev', '40755', 2, [0, 0], ''],
      ['dev/console', '20600', 1, [5, 1], ''],
    ]);
    for (const { uid, gid, mtime } of entries) assert.deepEqual([uid, gid, mtime], [0, 0, 0]);
    assert.equal(new Set(entries.map(({ inode }) => inode)).size, entries.length);
  });

  test('names and contents of all lengths keep the alignment', () => {
    for (let length = 1; length <= 9; length++) {
      const [entry, next] = readCpio(writeCpio([file('n'.repeat(length), 'd'.repeat(length)), file('z', 'after')]));
      assert.deepEqual([entry.name.length, entry.data.length, next.data], [length, length, 'after']);
    }
  });

  test('names are counted in bytes, not characters', () => {
    assert.equal(readCpio(writeCpio([file('é€', 'x')]))[0].name, 'é€');
  });

  test('equal entries give equal bytes', () => {
    const make = () => writeCpio([directory('a'), file('a/b', 'c')]);
    assert.deepEqual(make(), make());
  });

  test('names that the kernel would lose or misplace are refused', () => {
    for (const name of ['', '/bin', 'bin/', 'a//b', './a', 'a/../b', 'TRAILER!!!']) {
      assert.throws(() => writeCpio([directory('a'), file(name, '')]), RangeError, name);
    }
    assert.throws(() => writeCpio([file('a/b', '')]), /before its directory/);
    assert.throws(() => writeCpio([file('a', ''), file('a', '')]), /two cpio entries/);
  });
});
