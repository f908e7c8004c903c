/** `testudo run`: one machine in the foreground. */
import { closeSync, openSync, readFileSync, writeSync } from 'node:fs';
import { Command, InvalidArgumentError, Option } from 'commander';
import type { Log, LogTopic } from '../bus/log.ts';
import type { ByteStream } from '../bus/streams.ts';
import { CPU_MODEL_NAMES, type CpuModelName, cpuModel } from '../cpu/model.ts';
import { hostEntropy, seededEntropy } from '../host/node/entropy.ts';
import { TerminalConsole } from '../host/node/console.ts';
import { NodeHost } from '../host/node/services.ts';
import { BootError } from '../machine/boot/boot-plan.ts';
import { Machine, type MachineExit } from '../machine/machine.ts';
import { printStatistics } from './statistics.ts';
import { parseSize } from './units.ts';

const LOG_TOPICS = ['unimplemented', 'exception', 'interrupt', 'exit', 'svm', 'device', 'boot', 'guest-error'] as const satisfies readonly LogTopic[];
/** What is always worth a line. */
const DEFAULT_TOPICS: readonly LogTopic[] = ['unimplemented', 'svm'];

interface RunOptions {
  kernel: string;
  initrd?: string;
  append: string;
  memory: number;
  cpu: CpuModelName;
  exposeVirtualizationExtensions: boolean;
  clock: 'virtual' | 'real';
  disk?: string[];
  serial: string[];
  log: LogTopic[];
  stats: boolean;
  reboot: boolean;
  testDevice: boolean;
  rtc?: number;
}

/** Exit codes: as QEMU's isa-debug-exit for the debug port; 0 for power-off. */
const EXIT_RESET = 0;
const EXIT_FAILURE = 1;
const EXIT_INTERRUPTED = 130;

function parseTopics(text: string): LogTopic[] {
  if (text === 'all') return [...LOG_TOPICS];
  return text.split(',').map((topic) => {
    if (!(LOG_TOPICS as readonly string[]).includes(topic)) throw new InvalidArgumentError(`topics are ${LOG_TOPICS.join(', ')}, all.`);
    return topic as LogTopic;
  });
}

function collect(value: string, previous: string[] | undefined): string[] {
  return [...(previous ?? []), value];
}

export function runCommand(): Command {
  return new Command('run')
    .description('Boot a kernel in a virtual machine, with its first serial port on this terminal (Ctrl-A x quits).')
    .requiredOption('--kernel <file>', 'Linux bzImage, PVH ELF or multiboot kernel')
    .option('--initrd <file>', 'initial RAM disk (multiboot: first module)')
    .option('--append <text>', 'kernel command line', '')
    .option('--memory <size>', 'guest memory, such as 512M or 1G', parseSize, 2 ** 30)
    .addOption(new Option('--cpu <model>', 'processor model').choices(CPU_MODEL_NAMES).default('amd'))
    .option('--expose-virtualization-extensions', 'give the guest AMD-V, so that it can be a hypervisor host', false)
    .addOption(new Option('--clock <kind>', 'guest time: host time, or instructions retired (repeatable runs)').choices(['real', 'virtual']).default('real'))
    .option('--disk <file>', 'raw disk image for virtio-blk; append ,readonly to protect it (repeatable)', collect)
    .option('--serial <where>', 'where COM1, then COM2, goes: stdio, file:PATH or none (repeatable)', collect)
    .option('--log <topics>', `log to standard error: ${LOG_TOPICS.join(', ')} or all`, parseTopics, [...DEFAULT_TOPICS])
    .option('--stats', 'print statistics at the end', false)
    .option('--test-device', "attach the registers that processor tests use (QEMU's pc-testdev)", false)
    .option('--no-reboot', 'end instead of restarting when the guest resets')
    .addHelpText('after', '\nExit status: 0 after power-off, (value << 1) | 1 after a write to the debug-exit port 0xf4, 1 on errors, 130 when quit.')
    .action(async (options: RunOptions) => {
      process.exitCode = await run({ ...options, serial: options.serial ?? ['stdio'] });
    });
}

function stderrLog(topics: readonly LogTopic[]): Log {
  const enabled = new Set(topics);
  return {
    enabled: (topic) => enabled.has(topic),
    write(topic, message) {
      if (enabled.has(topic)) process.stderr.write(`testudo: ${topic}: ${message}\r\n`);
    },
  };
}

function fail(message: string): number {
  process.stderr.write(`testudo: ${message}\n`);
  return EXIT_FAILURE;
}

/** A serial port that writes a file and never receives. */
class FileStream implements ByteStream {
  private readonly file: number;
  constructor(path: string) {
    this.file = openSync(path, 'w');
  }
  send(bytes: Uint8Array): void {
    writeSync(this.file, bytes);
  }
  onReceive(): void {}
  close(): void {
    closeSync(this.file);
  }
}

const NOWHERE: ByteStream = { send() {}, onReceive() {} };

async function run(options: RunOptions): Promise<number> {
  let kernel: Uint8Array;
  let initrd: Uint8Array | undefined;
  try {
    kernel = readFileSync(options.kernel);
    initrd = options.initrd === undefined ? undefined : readFileSync(options.initrd);
  } catch (error) {
    return fail((error as Error).message);
  }
  const host = new NodeHost();
  let machine: Machine | undefined;
  let interrupted = false;
  const quit = () => {
    interrupted = true;
    machine?.stop();
    host.wake();
  };
  let terminal: TerminalConsole | undefined;
  const files: FileStream[] = [];
  const streams: ByteStream[] = [];
  try {
    for (const where of options.serial) {
      if (where === 'stdio') {
        if (terminal) return fail('only one serial port can be on standard input and output');
        terminal = new TerminalConsole({ quit, input: () => host.wake() });
        streams.push(terminal);
      } else if (where.startsWith('file:')) {
        const file = new FileStream(where.slice(5));
        files.push(file);
        streams.push(file);
      } else if (where === 'none') streams.push(NOWHERE);
      else return fail(`--serial ${where}: must be stdio, file:PATH or none`);
    }
    const virtual = options.clock === 'virtual';
    machine = new Machine({
      memoryBytes: options.memory,
      model: cpuModel(options.cpu, { exposeVirtualization: options.exposeVirtualizationExtensions }),
      clock: options.clock,
      serial: streams,
      entropy: virtual ? seededEntropy(1) : hostEntropy,
      log: stderrLog(options.log),
      host,
      epochSeconds: virtual ? VIRTUAL_EPOCH : Math.floor(Date.now() / 1000),
      rebootOnReset: options.reboot,
      testDevice: options.testDevice,
    });
    machine.loadKernel(kernel, {
      commandLine: options.append,
      modules: initrd ? [{ bytes: initrd, commandLine: '' }] : [],
    });
  } catch (error) {
    if (error instanceof BootError || error instanceof RangeError) return fail(error.message);
    throw error;
  }
  const signals = ['SIGTERM', 'SIGINT', 'SIGHUP'] as const;
  for (const signal of signals) process.on(signal, quit);
  terminal?.open();
  const start = host.now();
  let exit: MachineExit;
  try {
    exit = await machine.run();
  } finally {
    terminal?.close();
    for (const file of files) file.close();
    for (const signal of signals) process.off(signal, quit);
  }
  if (options.stats) printStatistics(machine, host.now() - start);
  if (interrupted) return EXIT_INTERRUPTED;
  switch (exit.kind) {
    case 'power-off':
      return 0;
    case 'debug-exit':
      return ((exit.value << 1) | 1) & 0xff;
    case 'reset':
      return EXIT_RESET;
    case 'stopped':
      return EXIT_INTERRUPTED;
  }
}

/** 1 January 2024, 00:00:00 UTC: what the clock shows at power-on in runs that must repeat. */
const VIRTUAL_EPOCH = 1_704_067_200;
