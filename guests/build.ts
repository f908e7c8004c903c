/**
 * Builds the guest images: a stock Debian kernel, an L1 system that is a KVM host and an L2 system that it runs.
 *
 * Everything comes from the distribution's packages and from the sources beside this file, and goes into the cache.
 * A finished build is found again by the hash of its inputs; it then needs neither a network nor a package client.
 */
import { existsSync } from 'node:fs';
import { mkdir, mkdtemp, readdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { basename, join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import { cacheDirectory, cacheKey, createDirectoryAtomically, pruneDirectory, writeFileAtomically } from './cache.ts';
import { BuildError } from './errors.ts';
import { type GuestScripts, makeInitrdL1, makeInitrdL2 } from './images.ts';
import { loadingOrder } from './modules.ts';
import { PackageIndex, type PackageVersion, packageFilePrefix, unpackPackage } from './packages.ts';
import { provideToolchain } from './toolchain.ts';

const SOURCE_DIRECTORY = fileURLToPath(new URL('.', import.meta.url));

/** This package has no files but depends on the current kernel. */
const KERNEL_META_PACKAGE = 'linux-image-cloud-amd64';
const BUSYBOX_PACKAGE = 'busybox-static';
const HEADERS_PACKAGE = 'linux-libc-dev';
/** The modules that L1 loads: KVM for the two vendors, virtio's drivers. What else they need is found in them. */
const MODULES = ['kvm-amd', 'kvm-intel', 'virtio-pci', 'virtio-blk', 'virtio-console', 'virtio-rng'] as const;

const BUILDS_KEPT = 3;
const PACKAGES_KEPT = 8;

const OUTPUT = { kernel: 'bzImage', initrdL1: 'initrd-l1', initrdL2: 'initrd-l2', monitor: 'testudo-kvm' } as const;
const MANIFEST = 'manifest.json';

/** Paths of a finished build. */
export interface Guests {
  directory: string;
  /** Stock Linux kernel (bzImage), unchanged from its package; L1 and L2 boot the same one. */
  kernel: string;
  /** Initial RAM disk of L1: BusyBox, modules for KVM and virtio, the monitor, and L2's kernel and RAM disk. */
  initrdL1: string;
  /** Initial RAM disk of L2. */
  initrdL2: string;
  /** The KVM monitor, a static Linux program. */
  monitor: string;
  /** Kernel release, as `uname -r` prints it. */
  kernelRelease: string;
}

export interface Progress {
  /** What is being done, as a phrase: "downloading the kernel". A new text is a new step. */
  step: string;
  /** 0 to 100 where it is known. */
  percent?: number;
}

export interface BuildOptions {
  onProgress?: (progress: Progress) => void;
  /** Look the packages up again and build anew. */
  force?: boolean;
  /** Cache directory instead of the one that the environment chooses. */
  cache?: string;
}

/** The packages a build is made of; remembered, so that a finished build is found without asking the index. */
interface Selection {
  kernel: PackageVersion;
  busybox: PackageVersion;
  headers: PackageVersion;
}

async function readSources(): Promise<Map<string, string>> {
  const sources = new Map<string, string>();
  for (const entry of await readdir(SOURCE_DIRECTORY, { recursive: true, withFileTypes: true })) {
    if (!entry.isFile() || entry.name.endsWith('.test.ts') || entry.name.startsWith('.')) continue;
    const path = join(entry.parentPath, entry.name);
    sources.set(relative(SOURCE_DIRECTORY, path), await readFile(path, 'utf8'));
  }
  return sources;
}

function guestScripts(sources: ReadonlyMap<string, string>, guest: 'l1' | 'l2'): GuestScripts {
  const prefix = `${guest}/`;
  const own = [...sources].filter(([name]) => name.startsWith(prefix));
  return new Map(own.map(([name, text]) => [name.slice(prefix.length), text]));
}

function versionsOf(selection: Selection): Record<string, string> {
  return Object.fromEntries(Object.values(selection).map(({ name, version }) => [name, version]));
}

/** One build: the directories it works in and the steps, in the order in which they are needed. */
class Builder {
  readonly #cache: string;
  readonly #index: PackageIndex;
  readonly #onProgress: (progress: Progress) => void;

  constructor(cache: string, onProgress: (progress: Progress) => void) {
    this.#cache = cache;
    this.#index = new PackageIndex(join(cache, 'index'));
    this.#onProgress = onProgress;
  }

  #step(step: string): void {
    this.#onProgress({ step });
  }

  #withFreshIndex<T>(work: () => Promise<T>): Promise<T> {
    return this.#index.withFreshIndex(() => this.#step('downloading the package index'), work);
  }

  #packagePath(wanted: PackageVersion): string {
    return join(this.#cache, 'packages', packageFilePrefix(wanted).slice(0, -1));
  }

  /** Where the kernel and its modules are. Only {@link MODULES} are kept: another list means to unpack the package again. */
  #kernelPath(kernel: PackageVersion): string {
    return `${this.#packagePath(kernel)}_${cacheKey(new Map([['modules', MODULES.join()]]), {})}`;
  }

  #unpackedPath(selection: Selection, wanted: PackageVersion): string {
    return wanted === selection.kernel ? this.#kernelPath(wanted) : this.#packagePath(wanted);
  }

  /** Chooses the newest packages and unpacks them. */
  async selectPackages(): Promise<Selection> {
    return this.#withFreshIndex(async () => {
      this.#step('looking up packages');
      const meta = await this.#index.find(KERNEL_META_PACKAGE);
      const kernelName = meta.depends.find((name) => name.startsWith('linux-image-'));
      if (!kernelName) throw new BuildError(`package ${KERNEL_META_PACKAGE} names no kernel`);
      const [kernel, busybox, headers] = await Promise.all(
        [kernelName, BUSYBOX_PACKAGE, HEADERS_PACKAGE].map(async (wanted): Promise<PackageVersion> => {
          const { name, version } = await this.#index.find(wanted);
          return { name, version };
        }),
      );
      const selection = { kernel, busybox, headers };
      await this.#download(selection);
      return selection;
    });
  }

  /** Provides packages that were selected before; they may have been deleted from the cache. */
  providePackages(selection: Selection): Promise<void> {
    return this.#withFreshIndex(() => this.#download(selection));
  }

  async #download(selection: Selection): Promise<void> {
    const missing = Object.values(selection).filter((wanted) => !existsSync(this.#unpackedPath(selection, wanted)));
    if (missing.length === 0) return;
    const step = `downloading ${missing.map(({ name }) => name).join(', ')}`;
    this.#step(step);
    const onPercent = (percent: number) => this.#onProgress({ step, percent });
    await this.#index.download(missing, onPercent, async (fileOf) => {
      for (const wanted of missing) {
        this.#step(`unpacking ${wanted.name}`);
        await createDirectoryAtomically(this.#unpackedPath(selection, wanted), async (target) => {
          const everything = join(target, 'everything');
          await mkdir(everything);
          await unpackPackage(fileOf(wanted), everything);
          if (wanted === selection.kernel) await keepKernel(everything, target);
          else if (wanted === selection.busybox) await keep(everything, 'busybox', target);
          else await rename(join(everything, 'usr'), join(target, 'usr'));
          await rm(everything, { recursive: true });
        });
      }
    });
  }

  /** Compiles the monitor into `output`. */
  async #compileMonitor(sources: ReadonlyMap<string, string>, headers: string, output: string): Promise<void> {
    const onStep = (step: string, percent?: number) => this.#onProgress({ step, percent });
    const toolchain = await provideToolchain(this.#cache, this.#index, onStep);
    this.#step(`compiling the monitor with ${toolchain.name}`);
    const work = await mkdtemp(join(this.#cache, 'compile-'));
    try {
      // The sources that were hashed are the ones that are compiled.
      const files: string[] = [];
      for (const [name, text] of [...sources].filter(([path]) => path.startsWith('monitor/'))) {
        const path = join(work, basename(name));
        await writeFile(path, text);
        if (name.endsWith('.c')) files.push(path);
      }
      await toolchain.build(files.sort(), headers, output, work);
    } finally {
      await rm(work, { recursive: true, force: true });
    }
  }

  /** Makes all files of a build in `target`. */
  async build(target: string, sources: ReadonlyMap<string, string>, selection: Selection): Promise<void> {
    const kernelPackage = this.#kernelPath(selection.kernel);
    const monitorPath = join(target, OUTPUT.monitor);
    await this.#compileMonitor(sources, this.#packagePath(selection.headers), monitorPath);

    this.#step('writing the RAM disks');
    const [kernel, release, busybox, monitor] = await Promise.all([
      readFile(join(kernelPackage, OUTPUT.kernel)),
      readFile(join(kernelPackage, 'release'), 'utf8'),
      readFile(join(this.#packagePath(selection.busybox), 'busybox')),
      readFile(monitorPath),
    ]);
    const modules = new Map<string, Uint8Array>();
    const readModule = async (name: string) => {
      const contents = modules.get(name) ?? (await readFile(join(kernelPackage, `${name}.ko`)));
      modules.set(name, contents);
      return contents;
    };
    const loadingOrders = new Map<string, string[]>();
    for (const name of MODULES) loadingOrders.set(name, await loadingOrder(name, readModule));

    const initrdL2 = makeInitrdL2(busybox, guestScripts(sources, 'l2'));
    const initrdL1 = makeInitrdL1({
      busybox,
      scripts: guestScripts(sources, 'l1'),
      monitor,
      modules,
      loadingOrders,
      kernelL2: kernel,
      initrdL2,
    });
    await writeFile(join(target, OUTPUT.kernel), kernel, { flush: true });
    await writeFile(join(target, OUTPUT.initrdL2), initrdL2, { flush: true });
    await writeFile(join(target, OUTPUT.initrdL1), initrdL1, { flush: true });
    const manifest = { kernelRelease: release, packages: versionsOf(selection) };
    await writeFile(join(target, MANIFEST), `${JSON.stringify(manifest, null, 2)}\n`, { flush: true });
  }

  async prune(): Promise<void> {
    await pruneDirectory(join(this.#cache, 'builds'), BUILDS_KEPT, Date.now());
    await pruneDirectory(join(this.#cache, 'packages'), PACKAGES_KEPT, Date.now());
  }
}

/** Moves the file called `name`, wherever it is under `from`, into `to`. */
async function keep(from: string, name: string, to: string): Promise<void> {
  const entries = await readdir(from, { recursive: true, withFileTypes: true });
  const found = entries.find((entry) => entry.name === name && entry.isFile());
  if (!found) throw new BuildError(`the package has no file ${name}`);
  await rename(join(found.parentPath, name), join(to, name));
}

/** Moves the kernel, the modules of L1 and what those need out of the unpacked kernel package. */
async function keepKernel(from: string, to: string): Promise<void> {
  const entries = await readdir(from, { recursive: true, withFileTypes: true });
  const paths = new Map(entries.filter((entry) => entry.isFile()).map((e) => [e.name, join(e.parentPath, e.name)]));
  const kernel = [...paths.keys()].find((name) => name.startsWith('vmlinuz-'));
  if (!kernel) throw new BuildError('the kernel package has no vmlinuz');
  await rename(paths.get(kernel) as string, join(to, OUTPUT.kernel));
  await writeFile(join(to, 'release'), kernel.slice('vmlinuz-'.length));

  const modulePath = (name: string) => {
    const path = paths.get(`${name}.ko`) ?? paths.get(`${name.replaceAll('-', '_')}.ko`);
    if (!path) throw new BuildError(`the kernel package has no module ${name}.ko`);
    return path;
  };
  const orders = await Promise.all(MODULES.map((name) => loadingOrder(name, (n) => readFile(modulePath(n)))));
  for (const name of new Set(orders.flat())) await rename(modulePath(name), join(to, `${name}.ko`));
}

async function readJson<T>(path: string): Promise<T | undefined> {
  try {
    return JSON.parse(await readFile(path, 'utf8')) as T;
  } catch {
    return undefined; // missing or damaged: made anew
  }
}

/** A finished build, if `directory` is one. */
async function finishedBuild(directory: string): Promise<Guests | undefined> {
  const manifest = await readJson<{ kernelRelease: string }>(join(directory, MANIFEST));
  const path = (name: keyof typeof OUTPUT) => join(directory, OUTPUT[name]);
  if (!manifest || !Object.values(OUTPUT).every((name) => existsSync(join(directory, name)))) return undefined;
  return {
    directory,
    kernel: path('kernel'),
    initrdL1: path('initrdL1'),
    initrdL2: path('initrdL2'),
    monitor: path('monitor'),
    kernelRelease: manifest.kernelRelease,
  };
}

/**
 * Returns the guest images, building them first where the sources have changed or nothing is built yet. A build keeps
 * the package versions it began with until `force` looks for newer ones.
 *
 * @throws BuildError with a one-line message, such as where there is no package client or no network.
 */
export async function buildGuests(options: BuildOptions = {}): Promise<Guests> {
  const cache = options.cache ?? cacheDirectory(process.env);
  const sources = await readSources();
  const selectionPath = join(cache, 'packages.json');
  const buildPath = (selection: Selection) => join(cache, 'builds', cacheKey(sources, versionsOf(selection)));

  let selection = options.force ? undefined : await readJson<Selection>(selectionPath);
  const finished = selection && (await finishedBuild(buildPath(selection)));
  if (finished) return finished;

  await mkdir(cache, { recursive: true }).catch((error: Error) => {
    throw new BuildError(`cannot make the cache directory: ${error.message}`);
  });
  const builder = new Builder(cache, options.onProgress ?? (() => {}));
  if (selection) {
    // The archive may no longer have the old versions: then the newest are as good.
    await builder.providePackages(selection).catch((error) => {
      if (!(error instanceof BuildError)) throw error;
      selection = undefined;
    });
  }
  selection ??= await builder.selectPackages();
  await writeFileAtomically(selectionPath, `${JSON.stringify(selection, null, 2)}\n`);

  const chosen = selection;
  const directory = buildPath(chosen);
  await rm(directory, { recursive: true, force: true });
  await createDirectoryAtomically(directory, (target) => builder.build(target, sources, chosen));
  await builder.prune();
  const guests = await finishedBuild(directory);
  if (!guests) throw new BuildError(`another program changed the cache directory ${cache} during the build`);
  return guests;
}

const USAGE = `usage: node guests/build.ts [--force]
Builds the guest images from Debian packages and prints their paths. Needs the package client (apt-get, dpkg-deb) and a
network the first time; later calls return the finished build. Nothing is installed and no privileges are needed.
  --force   look for newer packages and build anew
  --help    print this
The images go to $TESTUDO_CACHE, else $XDG_CACHE_HOME/testudo, else ~/.cache/testudo.
`;

export interface Arguments {
  help: boolean;
  force: boolean;
}

/** @throws BuildError on anything that is not an option of this command. */
export function parseArguments(args: readonly string[]): Arguments {
  const known = ['--help', '--force'];
  const unknown = args.find((argument) => !known.includes(argument));
  if (unknown !== undefined) throw new BuildError(`unknown argument '${unknown}' (see --help)`);
  return { help: args.includes('--help'), force: args.includes('--force') };
}

/**
 * Shows progress on a stream: a line for each step; on a terminal the line of a step with a percentage is rewritten.
 * Call the returned function with undefined at the end.
 */
export function progressPrinter(stream: {
  write(text: string): unknown;
  isTTY?: boolean;
}): (progress: Progress | undefined) => void {
  let current: string | undefined;
  let lineOpen = false;
  return (progress) => {
    if (progress?.step === current) {
      if (stream.isTTY && progress?.percent !== undefined) stream.write(`\r${progress.step} ${progress.percent} %`);
      return;
    }
    if (lineOpen) stream.write('\n');
    lineOpen = false;
    current = progress?.step;
    if (!progress) return;
    // A terminal's line stays open for the percentage; elsewhere a step is one finished line.
    lineOpen = stream.isTTY === true;
    stream.write(lineOpen ? progress.step : `${progress.step}\n`);
  };
}

async function main(): Promise<void> {
  const print = progressPrinter(process.stderr);
  try {
    const args = parseArguments(process.argv.slice(2));
    if (args.help) {
      process.stdout.write(USAGE);
      return;
    }
    const guests = await buildGuests({ force: args.force, onProgress: print });
    print(undefined);
    process.stdout.write(`${[guests.kernel, guests.initrdL1, guests.initrdL2, guests.monitor].join('\n')}\n`);
  } catch (error) {
    print(undefined);
    const message = error instanceof Error ? error.message : String(error);
    process.stderr.write(`guests: ${message.replaceAll('\n', ' ')}\n`);
    process.exitCode = 1;
  }
}

if (import.meta.main) await main();
