import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, describe, test } from 'node:test';
import { BufferedOutput } from './buffered-output.ts';
import { FileDisk } from './disk.ts';
import { seededEntropy } from './entropy.ts';
import { describeSystemError } from './file-errors.ts';
import { FileStream } from './file-stream.ts';

const directory = mkdtempSync(join(tmpdir(), 'testudo-files-'));
after(() => rmSync(directory, { recursive: true }));

function file(name: string, contents: Uint8Array): string {
  const path = join(directory, name);
  writeFileSync(path, contents);
  return path;
}

describe('disk images', () => {
  const SECTOR = 512;
  const numbered = (sectors: number) => Uint8Array.from({ length: sectors * SECTOR }, (_, i) => Math.floor(i / SECTOR));

  test('sectors are where they belong, and stay there', () => {
    const path = file('disk', numbered(8));
    const disk = new FileDisk(path, false);
    assert.equal(disk.sectors, 8);
    const two = new Uint8Array(2 * SECTOR);
    disk.read(3, two);
    assert.deepEqual([two[0], two[SECTOR]], [3, 4]);
    disk.write(6, two.fill(0x5a));
    disk.flush();
    disk.close();
    const contents = readFileSync(path);
    assert.deepEqual(
      [5, 6, 7].map((sector) => contents[sector * SECTOR]),
      [5, 0x5a, 0x5a],
    );
    assert.equal(contents.length, 8 * SECTOR);
  });
  test('a protected image is opened for reading only', () => {
    const disk = new FileDisk(file('protected', numbered(1)), true);
    assert.equal(disk.readOnly, true);
    assert.throws(() => disk.write(0, new Uint8Array(SECTOR)));
    disk.close();
  });
  test('files that are no images are refused', () => {
    assert.throws(() => new FileDisk(file('odd', new Uint8Array(100)), false), /100 bytes is not a multiple of 512/);
    assert.throws(() => new FileDisk(file('empty', new Uint8Array(0)), false), /0 bytes/);
    assert.throws(() => new FileDisk('/dev/null', false), /not a regular file/);
  });
  test('a file that becomes shorter gives errors, not zeros', () => {
    const path = file('shrinking', numbered(2));
    const disk = new FileDisk(path, false);
    truncateSync(path, SECTOR);
    assert.throws(() => disk.read(1, new Uint8Array(SECTOR)), /shorter/);
    disk.close();
  });
});

describe('serial output in files', () => {
  test('everything is written by the time the file is closed', () => {
    const path = file('serial', Buffer.from('old contents'));
    const stream = new FileStream(path, assert.fail);
    for (let i = 0; i < 100_000; i++) stream.send(Uint8Array.of(0x61 + (i % 26)));
    stream.close();
    const text = readFileSync(path, 'latin1');
    assert.equal(text.length, 100_000);
    assert.ok(text.startsWith('abcdefghijklmnopqrstuvwxyzabc'));
  });
  test('a full disk is reported once', { skip: process.platform !== 'linux' }, () => {
    const errors: string[] = [];
    const stream = new FileStream('/dev/full', (error) => errors.push(describeSystemError(error)));
    for (let i = 0; i < 3; i++) stream.send(new Uint8Array(70_000));
    stream.close();
    assert.deepEqual(errors, ['no space left on device']);
  });
});

test('buffered output keeps the order, whatever the sizes', () => {
  const pieces: number[] = [];
  const output = new BufferedOutput((bytes) => pieces.push(...bytes));
  let next = 0;
  for (const size of [1, 2000, 5, 70_000, 3]) output.send(Uint8Array.from({ length: size }, () => next++));
  output.flush();
  assert.deepEqual(
    Uint8Array.from(pieces),
    Uint8Array.from({ length: next }, (_, i) => i),
  );
});

test('seeded random numbers repeat', () => {
  const bytes = (seed: number) => {
    const target = new Uint8Array(64);
    seededEntropy(seed).fill(target);
    return target;
  };
  assert.deepEqual(bytes(1), bytes(1));
  assert.notDeepEqual(bytes(1), bytes(2));
});

test('system errors are described in words', () => {
  let error: unknown;
  try {
    readFileSync('/nowhere/at/all');
  } catch (caught) {
    error = caught;
  }
  assert.equal(describeSystemError(error), 'no such file or directory');
  assert.equal(describeSystemError(new Error('something else')), 'something else');
});
