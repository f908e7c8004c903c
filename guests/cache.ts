/** The directory of built images, outside the source tree, and writing into it so that a crash leaves no half file. */
import { createHash, randomBytes } from 'node:crypto';
import { existsSync } from 'node:fs';
import { mkdir, readdir, rename, rm, stat, writeFile } from 'node:fs/promises';
import { dirname, join, resolve } from 'node:path';
import { BuildError } from './errors.ts';

/** Names of unfinished things start with this; a later build removes those that are old. */
const TEMPORARY_PREFIX = '.unfinished-';
const TEMPORARY_MAX_AGE_MS = 24 * 60 * 60 * 1000;

/**
 * `$TESTUDO_CACHE`, else `$XDG_CACHE_HOME/testudo`, else `~/.cache/testudo`.
 *
 * @throws BuildError where none of the variables says where.
 */
export function cacheDirectory(environment: Readonly<Record<string, string | undefined>>): string {
  if (environment.TESTUDO_CACHE) return resolve(environment.TESTUDO_CACHE);
  if (environment.XDG_CACHE_HOME) return join(resolve(environment.XDG_CACHE_HOME), 'testudo');
  if (environment.HOME) return join(resolve(environment.HOME), '.cache', 'testudo');
  throw new BuildError('cannot choose a cache directory: set TESTUDO_CACHE (neither HOME nor XDG_CACHE_HOME is set)');
}

/**
 * Key of a build: equal exactly when all inputs are. The order of `sources` and `versions` does not matter.
 *
 * @param sources path relative to the source directory -> contents
 * @param versions package name -> version
 */
export function cacheKey(
  sources: ReadonlyMap<string, Uint8Array | string>,
  versions: Readonly<Record<string, string>>,
): string {
  const hash = createHash('sha256');
  const add = (kind: string, name: string, value: Uint8Array | string) => {
    // Lengths in front, so that no two different lists give the same byte stream.
    hash.update(`${kind} ${Buffer.byteLength(name)} ${Buffer.byteLength(value)}\n${name}`).update(value);
  };
  const byName = ([a]: [string, unknown], [b]: [string, unknown]) => (a < b ? -1 : 1);
  for (const [name, contents] of [...sources].sort(byName)) add('source', name, contents);
  for (const [name, version] of Object.entries(versions).sort(byName)) add('version', name, version);
  return hash.digest('hex').slice(0, 24);
}

function temporaryName(target: string): string {
  return join(dirname(target), `${TEMPORARY_PREFIX}${process.pid}-${randomBytes(6).toString('hex')}`);
}

/** Writes a file under a temporary name and renames it: a reader sees the old file or the whole new one. */
export async function writeFileAtomically(path: string, data: Uint8Array | string): Promise<void> {
  await mkdir(dirname(path), { recursive: true });
  const temporary = temporaryName(path);
  try {
    await writeFile(temporary, data, { flush: true });
    await rename(temporary, path);
  } finally {
    await rm(temporary, { force: true });
  }
}

/**
 * Makes directory `path` by letting `fill` work in a temporary one and renaming that. Where two processes do so at the
 * same time, the first one's result stays and both succeed.
 */
export async function createDirectoryAtomically(
  path: string,
  fill: (temporary: string) => Promise<void>,
): Promise<void> {
  const temporary = temporaryName(path);
  await mkdir(temporary, { recursive: true });
  try {
    await fill(temporary);
    await rename(temporary, path).catch((error: NodeJS.ErrnoException) => {
      const lostRace = error.code === 'ENOTEMPTY' || error.code === 'EEXIST';
      if (!lostRace || !existsSync(path)) throw error;
    });
  } finally {
    await rm(temporary, { recursive: true, force: true });
  }
}

/** Removes what crashed builds left in `parent`, and all but the `keep` newest of its finished entries. */
export async function pruneDirectory(parent: string, keep: number, now: number): Promise<void> {
  const entries = await readdir(parent).catch(() => []);
  const finished: { path: string; time: number }[] = [];
  for (const name of entries) {
    const path = join(parent, name);
    const time = (await stat(path).catch(() => undefined))?.mtimeMs;
    if (time === undefined) continue; // somebody else removed it
    if (!name.startsWith(TEMPORARY_PREFIX)) finished.push({ path, time });
    else if (now - time > TEMPORARY_MAX_AGE_MS) await rm(path, { recursive: true, force: true });
  }
  finished.sort((a, b) => b.time - a.time);
  for (const { path } of finished.slice(keep)) await rm(path, { recursive: true, force: true });
}
