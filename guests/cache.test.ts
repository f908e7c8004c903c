import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { mkdir, mkdtemp, readdir, readFile, rm, utimes, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, test } from 'node:test';
import { cacheDirectory, cacheKey, createDirectoryAtomically, pruneDirectory, writeFileAtomically } from './cache.ts';

describe('cacheDirectory', () => {
  test('TESTUDO_CACHE goes before XDG_CACHE_HOME, that before HOME', () => {
    const all = { TESTUDO_CACHE: '/t', XDG_CACHE_HOME: '/x', HOME: '/h' };
    assert.equal(cacheDirectory(all), '/t');
    assert.equal(cacheDirectory({ ...all, TESTUDO_CACHE: undefined }), '/x/testudo');
    assert.equal(cacheDirectory({ HOME: '/h' }), '/h/.cache/testudo');
  });

  test('an empty variable counts as not set', () => {
    assert.equal(cacheDirectory({ TESTUDO_CACHE: '', XDG_CACHE_HOME: '', HOME: '/h' }), '/h/.cache/testudo');
  });

  test('without any variable there is a clear error', () => {
    assert.throws(() => cacheDirectory({}), /set TESTUDO_CACHE/);
  });
});

describe('cacheKey', () => {
  const sources = new Map([
    ['a.c', 'int a;'],
    ['b.c', 'int b;'],
  ]);
  const versions = { kernel: '6.1', busybox: '1.35' };
  const key = cacheKey(sources, versions);

  test('does not depend on the order of the inputs', () => {
    assert.equal(cacheKey(new Map([...sources].reverse()), { busybox: '1.35', kernel: '6.1' }), key);
  });

  test('changes with every input', () => {
    const others = [
      cacheKey(new Map([...sources, ['a.c', 'int A;']]), versions),
      cacheKey(new Map([...sources, ['c.c', '']]), versions),
      cacheKey(new Map([['a.c', 'int a;']]), versions),
      cacheKey(sources, { ...versions, kernel: '6.2' }),
      cacheKey(sources, { kernel: '6.1' }),
    ];
    assert.equal(new Set([key, ...others]).size, others.length + 1);
  });

  test('a boundary between name and contents cannot move', () => {
    assert.notEqual(cacheKey(new Map([['ab', 'c']]), {}), cacheKey(new Map([['a', 'bc']]), {}));
  });

  test('a version is not a source', () => {
    assert.notEqual(cacheKey(new Map([['a', 'b']]), {}), cacheKey(new Map(), { a: 'b' }));
  });

  test('text and its bytes are the same contents', () => {
    assert.equal(cacheKey(new Map([['a', 'é']]), {}), cacheKey(new Map([['a', new TextEncoder().encode('é')]]), {}));
  });
});

describe('atomic writes', () => {
  let directory: string;
  beforeEach(async () => {
    directory = await mkdtemp(join(tmpdir(), 'testudo-cache-test-'));
  });
  afterEach(() => rm(directory, { recursive: true }));

  test('a file appears whole and leaves nothing beside it', async () => {
    await writeFileAtomically(join(directory, 'sub/file'), 'one');
    await writeFileAtomically(join(directory, 'sub/file'), 'two');
    assert.equal(await readFile(join(directory, 'sub/file'), 'utf8'), 'two');
    assert.deepEqual(await readdir(join(directory, 'sub')), ['file']);
  });

  test('a directory is not there before it is complete', async () => {
    const target = join(directory, 'build');
    await createDirectoryAtomically(target, async (temporary) => {
      await writeFile(join(temporary, 'file'), 'contents');
      assert.equal(existsSync(target), false);
    });
    assert.equal(await readFile(join(target, 'file'), 'utf8'), 'contents');
    assert.deepEqual(await readdir(directory), ['build']);
  });

  test('a failure leaves nothing', async () => {
    const failing = createDirectoryAtomically(join(directory, 'build'), async (temporary) => {
      await writeFile(join(temporary, 'file'), 'half');
      throw new Error('compiler failed');
    });
    await assert.rejects(failing, /compiler failed/);
    assert.deepEqual(await readdir(directory), []);
  });

  test('of two builds at the same time the first stays and both succeed', async () => {
    const target = join(directory, 'build');
    const write = (text: string) => async (temporary: string) => {
      if (text === 'second') await createDirectoryAtomically(target, write('first'));
      await writeFile(join(temporary, 'file'), text);
    };
    await createDirectoryAtomically(target, write('second'));
    assert.equal(await readFile(join(target, 'file'), 'utf8'), 'first');
    assert.deepEqual(await readdir(directory), ['build']);
  });

  test('pruning keeps the newest and removes old unfinished entries', async () => {
    const now = 1_000_000_000_000;
    const day = 24 * 60 * 60 * 1000;
    const ages = { new: 1, newer: 0, old: 2, '.unfinished-1-a': 2 * day, '.unfinished-2-b': day / 2 };
    for (const [name, age] of Object.entries(ages)) {
      await mkdir(join(directory, name));
      await utimes(join(directory, name), (now - age) / 1000, (now - age) / 1000);
    }
    await pruneDirectory(directory, 2, now);
    assert.deepEqual((await readdir(directory)).sort(), ['.unfinished-2-b', 'new', 'newer']);
    await pruneDirectory(join(directory, 'absent'), 1, now);
  });
});
