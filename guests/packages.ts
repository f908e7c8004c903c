/**
 * Debian packages as sources of files: found and downloaded by the distribution's own client, unpacked into the cache,
 * never installed. Nothing outside the cache changes and no privileges are needed.
 */
import { mkdir, mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { firstErrorLine, runCommand, STATUS_DESCRIPTOR, tryCommand } from './command.ts';
import { BuildError } from './errors.ts';

/** The guests are PCs whatever the host is. */
const ARCHITECTURE = 'amd64';

export interface PackageVersion {
  name: string;
  version: string;
}

export interface PackageRecord extends PackageVersion {
  /** Names in the Depends field, without versions; of alternatives the first. */
  depends: string[];
}

/** The index lacks a package or names a version that the archive no longer has: a newer index may help. */
class IndexError extends BuildError {}

/** Reads the first record of what `apt-cache show` prints; undefined where there is none. */
export function parsePackageRecord(text: string): PackageRecord | undefined {
  const record = text.split('\n\n', 1)[0];
  const field = (name: string) => new RegExp(`^${name}: (.*)$`, 'm').exec(record)?.[1];
  const name = field('Package');
  const version = field('Version');
  if (name === undefined || version === undefined) return undefined;
  const depends = (field('Depends') ?? '')
    .split(',')
    .map((entry) => entry.trim().split(/[\s:(|]/, 1)[0])
    .filter((dependency) => dependency !== '');
  return { name, version, depends };
}

/** Reads the packages that `apt-get --simulate install` would install. */
export function parseSimulatedInstall(text: string): PackageVersion[] {
  return [...text.matchAll(/^Inst (\S+) \((\S+) /gm)].map(([, name, version]) => ({
    name: name.replace(/:.*/, ''),
    version,
  }));
}

/** Percentage in a line of apt's status interface ("dlstatus:item:percent:text"); undefined in other lines. */
export function parseDownloadStatus(line: string): number | undefined {
  const match = /^dlstatus:\d+:([\d.]+):/.exec(line);
  return match ? Math.floor(Number(match[1])) : undefined;
}

/** How a package's file name starts; the architecture follows. A colon in the version is escaped. */
export function packageFilePrefix({ name, version }: PackageVersion): string {
  return `${name}_${version.replaceAll(':', '%3a')}_`;
}

/**
 * The distribution's package index: at first the machine's own; where that is missing or out of date, one that is
 * downloaded into the cache.
 */
export class PackageIndex {
  readonly #directory: string;
  #options: string[];
  #refreshed = false;

  /** @param directory in the cache, for the index and for downloads */
  constructor(directory: string) {
    this.#directory = directory;
    // Without this, root's downloads run as another user, who cannot write into the cache.
    this.#options = process.getuid?.() === 0 ? ['-o', 'APT::Sandbox::User=root'] : [];
    if (process.arch !== 'x64') {
      this.#options.push('-o', `APT::Architecture=${ARCHITECTURE}`, '-o', `APT::Architectures::=${ARCHITECTURE}`);
    }
  }

  /**
   * Runs `work`; where that fails for want of packages, brings the index up to date and runs it once more.
   *
   * @param onRefresh called before the index is downloaded
   */
  async withFreshIndex<T>(onRefresh: () => void, work: () => Promise<T>): Promise<T> {
    try {
      return await work();
    } catch (error) {
      if (!(error instanceof IndexError) || this.#refreshed) throw error;
      onRefresh();
      const problem = await this.#refresh();
      if (problem === undefined) return work();
      // Parts of the index may have arrived; if they do not help, the first error is the one to tell.
      return work().catch((second) => {
        if (!(second instanceof IndexError)) throw second;
        throw new BuildError(`${error.message}; nor can the package index be brought up to date: ${problem}`);
      });
    }
  }

  /** Downloads the index into the cache; returns what went wrong, if anything. */
  async #refresh(): Promise<string | undefined> {
    this.#refreshed = true;
    const lists = join(this.#directory, 'lists');
    const cache = join(this.#directory, 'cache');
    await mkdir(join(lists, 'partial'), { recursive: true });
    await mkdir(cache, { recursive: true });
    this.#options.push('-o', `Dir::State::lists=${lists}`, '-o', `Dir::Cache=${cache}`);
    const result = await tryCommand('apt-get', [...this.#options, 'update']);
    return /^[EW]: /m.test(result.errors) || result.status !== 0 ? firstErrorLine(result) : undefined;
  }

  /**
   * The newest version of a package.
   *
   * @throws BuildError where the index has no such package.
   */
  async find(name: string): Promise<PackageRecord> {
    const result = await tryCommand('apt-cache', [...this.#options, 'show', '--no-all-versions', name]);
    const record = result.status === 0 ? parsePackageRecord(result.output) : undefined;
    if (!record) throw new IndexError(`the package index of this machine has no ${name} (Debian 12 has it)`);
    return record;
  }

  /** `names` and everything they need, as if nothing were installed. */
  async closure(names: readonly string[]): Promise<PackageVersion[]> {
    await mkdir(this.#directory, { recursive: true });
    const nothingInstalled = join(this.#directory, 'no-packages-installed');
    await writeFile(nothingInstalled, '');
    const result = await tryCommand('apt-get', [
      ...this.#options,
      ...['-o', `Dir::State::status=${nothingInstalled}`, '--simulate', '--no-install-recommends', 'install'],
      ...names,
    ]);
    if (result.status !== 0) {
      throw new IndexError(`cannot find what ${names.join(' and ')} need: ${firstErrorLine(result)}`);
    }
    return parseSimulatedInstall(result.output);
  }

  /**
   * Downloads packages, checked by the client against the signed index, and hands their files to `use`; they are
   * deleted afterwards.
   *
   * @param onPercent 0 to 100 while downloading
   */
  async download(
    packages: readonly PackageVersion[],
    onPercent: (percent: number) => void,
    use: (fileOf: (wanted: PackageVersion) => string) => Promise<void>,
  ): Promise<void> {
    await mkdir(this.#directory, { recursive: true });
    const directory = await mkdtemp(join(this.#directory, 'download-'));
    try {
      const wanted = packages.map(({ name, version }) => `${name}=${version}`);
      const status = ['-o', `APT::Status-Fd=${STATUS_DESCRIPTOR}`];
      const result = await tryCommand('apt-get', [...this.#options, ...status, 'download', ...wanted], {
        directory,
        onStatusLine: (line) => {
          const percent = parseDownloadStatus(line);
          if (percent !== undefined) onPercent(percent);
        },
      });
      if (result.status !== 0) {
        const what = packages.length > 1 ? `${packages[0].name} and others` : packages[0].name;
        throw new IndexError(`cannot download ${what}: ${firstErrorLine(result)}`);
      }
      const files = await readdir(directory);
      await use((wantedPackage) => {
        const file = files.find((name) => name.startsWith(packageFilePrefix(wantedPackage)));
        if (!file) throw new BuildError(`cannot download ${wantedPackage.name}: the package client brought no file`);
        return join(directory, file);
      });
    } finally {
      await rm(directory, { recursive: true, force: true });
    }
  }
}

/** Unpacks the files of a package into `directory`, which must exist. */
export async function unpackPackage(file: string, directory: string): Promise<void> {
  const name = file.replace(/.*\//, '').replace(/_.*/, '');
  await runCommand(`unpack ${name}`, 'dpkg-deb', ['-x', file, directory]);
}
