/**
 * The benchmarks' guest: the L1 image of guests/ with programs added, compiled from guest/ beside this file, and Perl
 * from the distribution's packages. The kernel unpacks archives that follow each other, so L1's own is used as it is.
 * The same programs are also there as files, for runs on the host itself.
 */
import { existsSync } from 'node:fs';
import { cp, mkdir, mkdtemp, readdir, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { buildGuests, type Guests, type Progress } from '../guests/build.ts';
import {
  cacheDirectory,
  cacheKey,
  createDirectoryAtomically,
  pruneDirectory,
  writeFileAtomically,
} from '../guests/cache.ts';
import { type CpioEntry, directory, executable, file, writeCpio } from '../guests/cpio.ts';
import { BuildError } from '../guests/errors.ts';
import { PackageIndex, type PackageVersion, packageFilePrefix, unpackPackage } from '../guests/packages.ts';
import { type ProgramKind, provideToolchain, type Toolchain } from '../guests/toolchain.ts';

const GUEST_SOURCES = fileURLToPath(new URL('guest/', import.meta.url));
const MONITOR_SOURCES = fileURLToPath(new URL('../guests/monitor/', import.meta.url));
/** What the image depends on besides the programs' sources. */
const BUILDER_SOURCES = ['image.ts', '../guests/toolchain.ts', '../guests/cpio.ts'];

const BUILDS_KEPT = 2;

/** The programs' sources, from either directory, and what they are compiled for. */
const PROGRAMS: Readonly<Record<string, { kind: ProgramKind; sources: readonly string[] }>> = {
  'bench-int64': { kind: 'general', sources: ['integer.c', 'work.c', 'bench.c', 'system.c'] },
  'bench-int32': { kind: '32-bit', sources: ['integer.c', 'work.c', 'bench.c', 'system-32.c'] },
  'bench-memory': { kind: 'sse', sources: ['memory.c', 'bench.c', 'system.c'] },
  'bench-float': { kind: 'sse', sources: ['float.c', 'bench.c', 'system.c'] },
  'bench-syscalls': { kind: 'general', sources: ['syscalls.c', 'bench.c', 'system.c'] },
  'bench-guest': { kind: 'general', sources: ['guest.c', 'work.c', 'bench.c', 'machine.c', 'system.c'] },
};

const BUSYBOX_PACKAGE = 'busybox-static';
const HEADERS_PACKAGE = 'linux-libc-dev';
const LIBRARIES = 'lib/x86_64-linux-gnu';
const PERL_MODULES = 'usr/lib/x86_64-linux-gnu/perl-base';

/** Perl and what it needs, as path in its package -> path in the guest where that differs. */
const PERL_FILES: Readonly<Record<string, Readonly<Record<string, string>>>> = {
  'perl-base': {
    'usr/bin/perl': '',
    [`${PERL_MODULES}/strict.pm`]: '',
    [`${PERL_MODULES}/integer.pm`]: '',
  },
  libc6: {
    [`${LIBRARIES}/ld-linux-x86-64.so.2`]: 'lib64/ld-linux-x86-64.so.2',
    [`${LIBRARIES}/libc.so.6`]: '',
    [`${LIBRARIES}/libm.so.6`]: '',
  },
  libcrypt1: { [`${LIBRARIES}/libcrypt.so.1`]: '' },
};

const PACKAGES = [BUSYBOX_PACKAGE, HEADERS_PACKAGE, ...Object.keys(PERL_FILES)];

/** Commands of BusyBox that the script `bench` uses. */
const APPLETS = ['cut', 'dd', 'rm', 'sha256sum', 'taskset'];

const EXECUTABLE_MODE = 0o755;

export interface BenchImage {
  /** Linux kernel (bzImage) of L1 and L2. */
  kernel: string;
  /** Initial RAM disk of L1 with the benchmarks. */
  initrd: string;
  /** The benchmarks' files as they are in the guest, in a directory of the host. */
  root: string;
  /** Directory of commands that the guest has from BusyBox. */
  tools: string;
  /** The BusyBox program. */
  busybox: string;
  /** What is in the guest: the kernel's release and the packages' versions. */
  versions: Record<string, string>;
}

type Step = (step: string, percent?: number) => void;
/** Where a package is or will be unpacked. */
type PackagePath = (wanted: PackageVersion) => string;

async function readSources(): Promise<Map<string, string>> {
  const sources = new Map<string, string>();
  for (const from of [MONITOR_SOURCES, GUEST_SOURCES]) {
    for (const name of await readdir(from)) sources.set(name, await readFile(join(from, name), 'utf8'));
  }
  return sources;
}

/** Downloads and unpacks packages that are not in the cache yet. */
async function providePackages(
  index: PackageIndex,
  selection: readonly PackageVersion[],
  pathOf: PackagePath,
  onStep: Step,
): Promise<void> {
  const missing = selection.filter((wanted) => !existsSync(pathOf(wanted)));
  if (missing.length === 0) return;
  const step = `downloading ${missing.map(({ name }) => name).join(', ')}`;
  onStep(step);
  await index.download(
    missing,
    (percent) => onStep(step, percent),
    async (fileOf) => {
      for (const wanted of missing) {
        onStep(`unpacking ${wanted.name}`);
        await createDirectoryAtomically(pathOf(wanted), (target) => unpackPackage(fileOf(wanted), target));
      }
    },
  );
}

async function compilePrograms(
  toolchain: Toolchain,
  sources: ReadonlyMap<string, string>,
  headers: string,
  output: string,
  scratch: string,
): Promise<void> {
  for (const [program, { kind, sources: names }] of Object.entries(PROGRAMS)) {
    const work = await mkdtemp(join(scratch, 'compile-'));
    try {
      for (const [name, text] of sources) if (/\.[ch]$/.test(name)) await writeFile(join(work, name), text);
      const files = names.map((name) => join(work, name));
      await toolchain.build(files, headers, join(output, program), work, kind);
    } finally {
      await rm(work, { recursive: true, force: true });
    }
  }
}

/** The tree under `root` as archive entries, directories first. Files keep whether they can be executed. */
async function treeEntries(root: string, programs: ReadonlySet<string>, prefix = ''): Promise<CpioEntry[]> {
  const entries: CpioEntry[] = [];
  const found = await readdir(join(root, prefix), { withFileTypes: true });
  for (const entry of found.sort((a, b) => (a.name < b.name ? -1 : 1))) {
    const name = prefix === '' ? entry.name : `${prefix}/${entry.name}`;
    if (entry.isDirectory()) entries.push(directory(name), ...(await treeEntries(root, programs, name)));
    else entries.push((programs.has(name) ? executable : file)(name, await readFile(join(root, name))));
  }
  return entries;
}

async function installFile(from: string, to: string): Promise<void> {
  await mkdir(dirname(to), { recursive: true });
  await cp(from, to, { dereference: true });
}

/** Fills `target` with a build: `root/`, `tools/`, `busybox` and `initrd`. */
async function build(
  target: string,
  sources: ReadonlyMap<string, string>,
  guests: Guests,
  toolchain: Toolchain,
  pathOf: (name: string) => string,
  scratch: string,
): Promise<void> {
  const root = join(target, 'root');
  const programs = join(root, 'bin');
  await mkdir(programs, { recursive: true });
  await compilePrograms(toolchain, sources, pathOf(HEADERS_PACKAGE), programs, scratch);
  await writeFile(join(programs, 'bench'), sources.get('bench') as string, { mode: EXECUTABLE_MODE });
  const executables = [...Object.keys(PROGRAMS), 'bench'].map((name) => `bin/${name}`);
  for (const [name, files] of Object.entries(PERL_FILES)) {
    for (const [from, to] of Object.entries(files)) await installFile(join(pathOf(name), from), join(root, to || from));
  }
  await mkdir(join(root, 'lib/bench'), { recursive: true });
  await writeFile(join(root, 'lib/bench/flat.pl'), sources.get('flat.pl') as string);
  executables.push('usr/bin/perl', ...Object.values(PERL_FILES.libc6).filter((path) => path !== ''));

  await installFile(join(pathOf(BUSYBOX_PACKAGE), 'bin/busybox'), join(target, 'busybox'));
  await mkdir(join(target, 'tools'));
  for (const applet of APPLETS) await symlink('../busybox', join(target, 'tools', applet));

  const initrdL1 = await readFile(guests.initrdL1);
  const added = writeCpio(await treeEntries(root, new Set(executables)));
  await writeFile(join(target, 'initrd'), Buffer.concat([initrdL1, added]), { flush: true });
}

async function rememberedSelection(path: string): Promise<PackageVersion[] | undefined> {
  try {
    const selection = JSON.parse(await readFile(path, 'utf8')) as PackageVersion[];
    return PACKAGES.every((name) => selection.some((wanted) => wanted.name === name)) ? selection : undefined;
  } catch {
    return undefined; // missing or damaged: chosen anew
  }
}

/** Chooses the newest packages and unpacks them. */
async function selectPackages(index: PackageIndex, pathOf: PackagePath, onStep: Step): Promise<PackageVersion[]> {
  onStep('looking up packages');
  const found = await Promise.all(PACKAGES.map((name) => index.find(name)));
  const selection = found.map(({ name, version }) => ({ name, version }));
  await providePackages(index, selection, pathOf, onStep);
  return selection;
}

function versionsOf(selection: readonly PackageVersion[]): Record<string, string> {
  return Object.fromEntries(selection.map(({ name, version }) => [name, version]));
}

/**
 * Returns the image, building it first where the sources have changed or nothing is built yet.
 *
 * @throws BuildError with a one-line message, such as where there is no package client or no network.
 */
export async function buildBenchImage(onProgress: (progress: Progress) => void): Promise<BenchImage> {
  const guests = await buildGuests({ onProgress });
  const onStep: Step = (step, percent) => onProgress({ step, percent });
  const cache = cacheDirectory(process.env);
  const own = join(cache, 'bench');
  const packagePath: PackagePath = (wanted) => join(own, 'packages', packageFilePrefix(wanted).slice(0, -1));

  const sources = await readSources();
  const inputs = new Map(sources).set('guests', basename(guests.directory));
  for (const path of BUILDER_SOURCES) inputs.set(path, await readFile(new URL(path, import.meta.url), 'utf8'));
  const buildPath = (selection: readonly PackageVersion[]) =>
    join(own, 'builds', cacheKey(inputs, versionsOf(selection)));

  const selectionPath = join(own, 'packages.json');
  let selection = await rememberedSelection(selectionPath);
  if (!selection || !existsSync(buildPath(selection))) {
    const index = new PackageIndex(join(cache, 'index'));
    const refresh = () => onStep('downloading the package index');
    const remembered = selection;
    // The archive may no longer have the old versions: then the newest are as good.
    const provided = remembered
      ? await index
          .withFreshIndex(refresh, () => providePackages(index, remembered, packagePath, onStep))
          .then(() => remembered)
          .catch((error) => {
            if (!(error instanceof BuildError)) throw error;
            return undefined;
          })
      : undefined;
    const chosen = provided ?? (await index.withFreshIndex(refresh, () => selectPackages(index, packagePath, onStep)));
    await writeFileAtomically(selectionPath, `${JSON.stringify(chosen, null, 2)}\n`);
    selection = chosen;

    const toolchain = await provideToolchain(cache, index, onStep);
    onStep(`compiling the benchmarks with ${toolchain.name}`);
    const pathOf = (name: string) => packagePath(chosen.find((wanted) => wanted.name === name) as PackageVersion);
    await createDirectoryAtomically(buildPath(chosen), (target) =>
      build(target, sources, guests, toolchain, pathOf, own),
    );
    await pruneDirectory(join(own, 'builds'), BUILDS_KEPT, Date.now());
  }
  const path = buildPath(selection);
  return {
    kernel: guests.kernel,
    initrd: join(path, 'initrd'),
    root: join(path, 'root'),
    tools: join(path, 'tools'),
    busybox: join(path, 'busybox'),
    versions: { kernel: guests.kernelRelease, ...versionsOf(selection) },
  };
}
