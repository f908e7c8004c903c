/**
 * Compiles the monitor for the guests: with the machine's own compiler, or where it has none with one unpacked from
 * packages into the cache. Either way the only headers are the kernel's, from their package, and there is no C library.
 */
import { mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { runCommand, tryCommand } from './command.ts';
import { BuildError } from './errors.ts';

/** Flags for every compiler pass. General registers only: nothing then depends on the guest's FPU state. */
const COMPILER_FLAGS = [
  ...['-std=gnu11', '-O2', '-Wall', '-Wextra', '-ffreestanding', '-nostdinc', '-mgeneral-regs-only'],
  ...['-fno-pic', '-fno-pie', '-fno-stack-protector', '-fcf-protection=none', '-fno-asynchronous-unwind-tables'],
];
const LINKER_FLAGS = ['-static', '--strip-all', '--build-id=none', '-z', 'noexecstack', '-z', 'noseparate-code'];

/** What the packages of a compiler and of the assembler and linker are called. */
export const TOOLCHAIN_PACKAGES = ['cpp', 'binutils'] as const;
/** The programs are started by the machine's own dynamic loader, whose library this must stay. */
export const TOOLCHAIN_PACKAGES_OF_MACHINE: readonly string[] = ['libc6'];

const TARGET = 'x86_64-linux-gnu';

export interface Toolchain {
  /** For messages. */
  name: string;
  /** Compiles C sources into a static program. */
  build(sources: readonly string[], headers: string, output: string, work: string): Promise<void>;
}

function headerFlags(headers: string): string[] {
  return ['-isystem', join(headers, 'usr/include'), '-isystem', join(headers, 'usr/include', TARGET)];
}

/** A toolchain around a compiler driver on this machine. */
function driverToolchain(driver: string): Toolchain {
  const linkerFlags = LINKER_FLAGS.filter((flag) => flag !== '-static').map((flag) => `-Wl,${flag}`);
  return {
    name: driver,
    async build(sources, headers, output, work) {
      const objects: string[] = [];
      for (const source of sources) {
        const object = join(work, `${basename(source, '.c')}.o`);
        const flags = [...COMPILER_FLAGS, ...headerFlags(headers)];
        await runCommand(`compile ${basename(source)}`, driver, [...flags, '-c', source, '-o', object]);
        objects.push(object);
      }
      const link = ['-nostdlib', '-static', '-no-pie', ...linkerFlags, '-o', output, ...objects];
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
export async function findToolchain(): Promise<Toolchain | undefined> {
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
export async function unpackedToolchain(tree: string): Promise<Toolchain> {
  const compiler = await findFile(join(tree, 'usr'), 'cc1');
  const assembler = join(tree, 'usr/bin', `${TARGET}-as`);
  const linker = join(tree, 'usr/bin', `${TARGET}-ld`);
  const libraries = ['usr/lib', 'lib'].map((directory) => join(tree, directory, TARGET)).join(':');
  const options = { environment: { LD_LIBRARY_PATH: libraries } };
  return {
    name: 'the compiler from the packages',
    async build(sources, headers, output, work) {
      const objects: string[] = [];
      for (const source of sources) {
        const assembly = join(work, `${basename(source, '.c')}.s`);
        const object = join(work, `${basename(source, '.c')}.o`);
        const flags = ['-quiet', ...COMPILER_FLAGS, ...headerFlags(headers)];
        await runCommand(`compile ${basename(source)}`, compiler, [...flags, source, '-o', assembly], options);
        await runCommand(`assemble ${basename(source)}`, assembler, ['--64', assembly, '-o', object], options);
        objects.push(object);
      }
      await runCommand(`link ${basename(output)}`, linker, [...LINKER_FLAGS, '-o', output, ...objects], options);
    },
  };
}
