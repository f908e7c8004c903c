/**
 * Compiles programs for the guests: with the machine's own compiler, or where it has none with one unpacked from
 * packages into the cache. Either way the only headers are the kernel's, from their package, and there is no C library.
 */
import { existsSync } from 'node:fs';
import { mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { createDirectoryAtomically } from './cache.ts';
import { runCommand, tryCommand } from './command.ts';
import { BuildError } from './errors.ts';
import { type PackageIndex, unpackPackage } from './packages.ts';

/** Flags for every compiler pass. */
const COMPILER_FLAGS = [
  ...['-std=gnu11', '-O2', '-Wall', '-Wextra', '-ffreestanding', '-nostdinc'],
  ...['-fno-pic', '-fno-pie', '-fno-stack-protector', '-fcf-protection=none', '-fno-asynchronous-unwind-tables'],
];

/**
 * What a program is compiled for: 64-bit mode with `general` registers only, so that nothing depends on the guest's
 * FPU state; the same with `sse` for floating point, each operation rounded by itself; `32-bit` with general registers.
 */
export type ProgramKind = 'general' | 'sse' | '32-bit';

const KIND_FLAGS: Readonly<Record<ProgramKind, { compiler: string[]; assembler: string; linker: string }>> = {
  general: { compiler: ['-mgeneral-regs-only'], assembler: '--64', linker: 'elf_x86_64' },
  sse: {
    compiler: ['-march=x86-64', '-ffp-contract=off', '-fno-math-errno', '-fno-tree-vectorize'],
    assembler: '--64',
    linker: 'elf_x86_64',
  },
  '32-bit': { compiler: ['-m32', '-march=i686', '-mgeneral-regs-only'], assembler: '--32', linker: 'elf_i386' },
};
const LINKER_FLAGS = ['-static', '--strip-all', '--build-id=none', '-z', 'noexecstack', '-z', 'noseparate-code'];

/** What the packages of a compiler and of the assembler and linker are called. */
const TOOLCHAIN_PACKAGES = ['cpp', 'binutils'] as const;
/** The programs are started by the machine's own dynamic loader, whose library this must stay. */
const TOOLCHAIN_PACKAGES_OF_MACHINE: readonly string[] = ['libc6'];

const TARGET = 'x86_64-linux-gnu';

export interface Toolchain {
  /** For messages. */
  name: string;
  /** Compiles C sources into a static program of a kind, by default `general`. */
  build(sources: readonly string[], headers: string, output: string, work: string, kind?: ProgramKind): Promise<void>;
}

function headerFlags(headers: string): string[] {
  return ['-isystem', join(headers, 'usr/include'), '-isystem', join(headers, 'usr/include', TARGET)];
}

/** A toolchain around a compiler driver on this machine. */
function driverToolchain(driver: string): Toolchain {
  const linkerFlags = LINKER_FLAGS.filter((flag) => flag !== '-static').map((flag) => `-Wl,${flag}`);
  return {
    name: driver,
    async build(sources, headers, output, work, kind = 'general') {
      const objects: string[] = [];
      for (const source of sources) {
        const object = join(work, `${basename(source, '.c')}.o`);
        const flags = [...COMPILER_FLAGS, ...KIND_FLAGS[kind].compiler, ...headerFlags(headers)];
        await runCommand(`compile ${basename(source)}`, driver, [...flags, '-c', source, '-o', object]);
        objects.push(object);
      }
      const mode = `-Wl,-m,${KIND_FLAGS[kind].linker}`;
      const link = ['-nostdlib', '-static', '-no-pie', mode, ...linkerFlags, '-o', output, ...objects];
      await runCommand(`link ${basename(output)}`, driver, link);
    },
  };
}

async function works(toolchain: Toolchain): Promise<boolean> {
  const work = await mkdtemp(join(tmpdir(), 'testudo-compiler-'));
  try {
    const source = join(work, 'probe.c');
    await writeFile(source, 'void _start(void) { for (;;) ; }\n');
    await toolchain.build([source], work, join(work, 'probe'), work);
    return true;
  } catch (error) {
    if (error instanceof BuildError) return false;
    throw error;
  } finally {
    await rm(work, { recursive: true, force: true });
  }
}

/** The machine's own compiler for x86-64, if it has one that works. */
async function findToolchain(): Promise<Toolchain | undefined> {
  for (const driver of [`${TARGET}-gcc`, 'gcc']) {
    const machine = await tryCommand(driver, ['-dumpmachine']).catch(() => undefined);
    if (machine?.status !== 0 || !machine.output.startsWith('x86_64-')) continue;
    const toolchain = driverToolchain(driver);
    if (await works(toolchain)) return toolchain;
  }
  return undefined;
}

async function findFile(directory: string, name: string): Promise<string> {
  for (const entry of await readdir(directory, { recursive: true, withFileTypes: true })) {
    if (entry.name === name && !entry.isDirectory()) return join(entry.parentPath, name);
  }
  throw new BuildError(`the compiler's packages have no ${name}`);
}

/** A toolchain from the packages TOOLCHAIN_PACKAGES and what they need, unpacked into `tree`. */
async function unpackedToolchain(tree: string): Promise<Toolchain> {
  const cc1 = await findFile(join(tree, 'usr'), 'cc1');
  const assembler = join(tree, 'usr/bin', `${TARGET}-as`);
  const linker = join(tree, 'usr/bin', `${TARGET}-ld`);
  const libraries = ['usr/lib', 'lib'].map((directory) => join(tree, directory, TARGET)).join(':');
  const options = { environment: { LD_LIBRARY_PATH: libraries } };
  return {
    name: 'the compiler from the packages',
    async build(sources, headers, output, work, kind = 'general') {
      const { compiler, assembler: mode, linker: emulation } = KIND_FLAGS[kind];
      const objects: string[] = [];
      for (const source of sources) {
        const assembly = join(work, `${basename(source, '.c')}.s`);
        const object = join(work, `${basename(source, '.c')}.o`);
        const flags = ['-quiet', ...COMPILER_FLAGS, ...compiler, ...headerFlags(headers)];
        await runCommand(`compile ${basename(source)}`, cc1, [...flags, source, '-o', assembly], options);
        await runCommand(`assemble ${basename(source)}`, assembler, [mode, assembly, '-o', object], options);
        objects.push(object);
      }
      await runCommand(
        `link ${basename(output)}`,
        linker,
        ['-m', emulation, ...LINKER_FLAGS, '-o', output, ...objects],
        options,
      );
    },
  };
}

async function downloadToolchain(
  tree: string,
  index: PackageIndex,
  onStep: (step: string, percent?: number) => void,
): Promise<void> {
  const needed = await index.closure(TOOLCHAIN_PACKAGES);
  const packages = needed.filter(({ name }) => !TOOLCHAIN_PACKAGES_OF_MACHINE.includes(name));
  const step = 'downloading a compiler';
  onStep(step);
  await index.download(
    packages,
    (percent) => onStep(step, percent),
    (fileOf) => {
      onStep('unpacking the compiler');
      return createDirectoryAtomically(tree, async (target) => {
        for (const wanted of packages) await unpackPackage(fileOf(wanted), target);
      });
    },
  );
}

/**
 * A compiler for x86-64: this machine's, or one from packages.
 *
 * @param cache the cache directory; the packages' compiler is kept in it
 * @param onStep called with each step, as a phrase, and its percentage where that is known
 * @throws BuildError where there is none to be had.
 */
export async function provideToolchain(
  cache: string,
  index: PackageIndex,
  onStep: (step: string, percent?: number) => void,
): Promise<Toolchain> {
  onStep('looking for a compiler');
  const own = await findToolchain();
  if (own) return own;
  if (process.arch !== 'x64') {
    throw new BuildError('no compiler for x86-64 on this machine: install the package gcc-x86-64-linux-gnu');
  }
  const tree = join(cache, 'toolchain');
  if (!existsSync(tree)) {
    const onRefresh = () => onStep('downloading the package index');
    await index.withFreshIndex(onRefresh, () => downloadToolchain(tree, index, onStep));
  }
  return unpackedToolchain(tree);
}
