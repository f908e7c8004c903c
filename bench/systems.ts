/** What is compared: Testudo with its engines, QEMU's TCG, and the host itself. */
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { tryCommand } from '../guests/command.ts';
import type { BenchImage } from './image.ts';

const REPOSITORY = fileURLToPath(new URL('..', import.meta.url));
const TESTUDO = fileURLToPath(new URL('../bin/testudo.js', import.meta.url));
const QEMU_PROGRAM = 'qemu-system-x86_64';
const GUEST_MEBIBYTES = 1024;

/** Names of systems in tables and results; Testudo's carries the engine: "testudo-auto". */
export const QEMU = 'qemu';
export const NATIVE = 'native';
export const TESTUDO_PREFIX = 'testudo';

export interface Command {
  program: string;
  args: string[];
  environment: Record<string, string>;
}

export interface System {
  name: string;
  /** A guest or the host itself: not every benchmark runs on that. */
  isGuest: boolean;
  /** Version of the program; the host has none. */
  version?: string;
  /** The command that does `work`, a list of BENCHMARK:AMOUNT. */
  command(work: readonly string[]): Command;
}

/** The kernel writes nothing that could come between the markers. */
function kernelParameters(work: readonly string[]): string {
  return `console=ttyS0 quiet loglevel=1 panic=-1 testudo.run="bench ${work.join(' ')}"`;
}

/** @param engine value of `--engine`; undefined: the flag is not given */
export function testudoSystem(image: BenchImage, engine: string | undefined, version: string): System {
  const engineFlags = engine === undefined ? [] : ['--engine', engine];
  return {
    name: engine === undefined ? TESTUDO_PREFIX : `${TESTUDO_PREFIX}-${engine}`,
    isGuest: true,
    version,
    command: (work) => ({
      program: process.execPath,
      args: [
        ...[TESTUDO, 'run', ...engineFlags, '--cpu', 'amd', '--expose-virtualization-extensions'],
        ...['--memory', `${GUEST_MEBIBYTES}M`, '--clock', 'real', '--no-reboot'],
        ...['--kernel', image.kernel, '--initrd', image.initrd, '--append', kernelParameters(work)],
      ],
      environment: {},
    }),
  };
}

/** QEMU's translator on one thread, as Testudo has one. */
export function qemuSystem(image: BenchImage, version: string): System {
  return {
    name: QEMU,
    isGuest: true,
    version,
    command: (work) => ({
      program: QEMU_PROGRAM,
      args: [
        ...['-accel', 'tcg,thread=single', '-cpu', 'max', '-smp', '1', '-m', `${GUEST_MEBIBYTES}`],
        ...['-display', 'none', '-serial', 'stdio', '-monitor', 'none', '-nic', 'none', '-no-reboot'],
        ...['-kernel', image.kernel, '-initrd', image.initrd, '-append', kernelParameters(work)],
      ],
      environment: {},
    }),
  };
}

/** The guest's programs on the host, on one processor: the guests have one. */
export function nativeSystem(image: BenchImage): System {
  // taskset takes a mask; where that processor is not to be had, any will do.
  const script = `taskset -p 1 $$ >/dev/null 2>&1; "$0" sh ${image.root}/bin/bench "$@"; echo "TESTUDO-DONE rc=$?"`;
  return {
    name: NATIVE,
    isGuest: false,
    command: (work) => ({
      program: image.busybox,
      args: ['sh', '-c', script, image.busybox, ...work],
      environment: { BENCH_ROOT: image.root, PATH: `${image.root}/bin:${image.tools}` },
    }),
  };
}

/** Where the guest's programs can run without a guest. */
export function canRunNatively(): boolean {
  return process.platform === 'linux' && process.arch === 'x64';
}

/** The first line of QEMU's version; undefined where it is not installed. */
export async function findQemu(): Promise<string | undefined> {
  const result = await tryCommand(QEMU_PROGRAM, ['--version']).catch(() => undefined);
  return result?.status === 0 ? result.output.split('\n', 1)[0].replace(/^QEMU emulator version /, '') : undefined;
}

/** Testudo's version, and the revision where this is a checkout. */
export async function testudoVersion(): Promise<string> {
  const { version } = JSON.parse(readFileSync(`${REPOSITORY}package.json`, 'utf8')) as { version: string };
  const describe = ['-C', REPOSITORY, 'describe', '--always', '--dirty', '--exclude', '*'];
  const revision = await tryCommand('git', describe).catch(() => undefined);
  return revision?.status === 0 ? `${version} (${revision.output.trim()})` : version;
}

/** The values that `--engine` of `testudo run` takes, read from its help; undefined where there is no such option. */
export function parseEngineChoices(help: string): string[] | undefined {
  const option = /--engine <[^>]*>(.*?)(?:\s--\w|$)/.exec(help.replace(/\s+/g, ' '));
  if (!option) return undefined;
  const choices = /\(choices: ([^()]*?)(?:, default: [^()]*)?\)/.exec(option[1]);
  return choices ? [...choices[1].matchAll(/"([^"]+)"/g)].map((match) => match[1]) : [];
}

export async function findEngines(): Promise<string[] | undefined> {
  const { output } = await tryCommand(process.execPath, [TESTUDO, 'run', '--help']);
  return parseEngineChoices(output);
}
