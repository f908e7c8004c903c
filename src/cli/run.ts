/** `testudo run`: one machine in the foreground. */
import { Command, InvalidArgumentError, Option } from 'commander';
import type { LogTopic } from '../bus/log.ts';
import { CPU_MODEL_NAMES, type CpuModelName, cpuModel } from '../cpu/model.ts';
import type { EngineKind } from '../cpu/processor.ts';
import { exitStatus } from '../devices/debug-exit/model.ts';
import { hostEntropy, seededEntropy } from '../host/node/entropy.ts';
import { describeSystemError } from '../host/node/file-errors.ts';
import { NodeHost } from '../host/node/services.ts';
import { LARGEST_DISK_COUNT, SERIAL_PORTS } from '../machine/board.ts';
import { BootError } from '../machine/boot/boot-plan.ts';
import { Machine, type MachineExit } from '../machine/machine.ts';
import { CliError, ENDING_SIGNALS, EXIT } from './errors.ts';
import { DEFAULT_TOPICS, LOG_TOPICS, parseLogTopics, standardErrorLog } from './log.ts';
import { readWholeFile, Resources } from './resources.ts';
import { statisticsLines } from './statistics.ts';
import { parseMemorySize } from './units.ts';

interface RunOptions {
  readonly kernel: string;
  readonly initrd?: string;
  readonly append: string;
  readonly memory: number;
  readonly cpu: CpuModelName;
  readonly exposeVirtualizationExtensions?: true;
  readonly clock: 'virtual' | 'real';
  readonly disk: readonly string[];
  readonly serial?: readonly string[];
  readonly log: readonly LogTopic[];
  readonly stats?: true;
  readonly testDevice?: true;
  readonly engine: EngineKind;
  readonly reboot: boolean;
}

/** 1 January 2024, 00:00:00 UTC: what the clock shows at power-on in runs that must repeat. */
const VIRTUAL_EPOCH = 1_704_067_200;
/** Where the random numbers of such runs begin. */
const VIRTUAL_SEED = 1;
const ENGINES = ['auto', 'interpreter'] as const satisfies readonly EngineKind[];
const DEFAULT_MEMORY = { bytes: 2 ** 30, text: '1G' } as const;

const HELP = `
Log topics:
${Object.entries(LOG_TOPICS)
  .map(([topic, meaning]) => `  ${topic.padEnd(15)} ${meaning}`)
  .join('\n')}

On a terminal, Ctrl-A x quits and Ctrl-A h shows the other keys.

Exit status:
  0                after power-off, and after a reset with --no-reboot
  (value << 1) | 1 after the guest wrote a value to the debug-exit port 0xf4
  1                a file cannot be used, or the machine cannot be made
  2                wrong usage
  130              quit; 129, 143 after SIGHUP, SIGTERM`;

function logTopics(text: string): LogTopic[] {
  const topics = parseLogTopics(text);
  if (!topics) throw new InvalidArgumentError(`Topics are ${Object.keys(LOG_TOPICS).join(', ')}; or all, or none.`);
  return topics;
}

/** Collects the values of an option that may be given again, up to so many times. */
function repeatable(limit: number): (value: string, previous: readonly string[] | undefined) => string[] {
  return (value, previous = []) => {
    if (previous.length === limit) throw new InvalidArgumentError(`There can be at most ${limit}.`);
    return [...previous, value];
  };
}

/** The command; `done` takes the exit status. */
export function runCommand(done: (status: number) => void): Command {
  return new Command('run')
    .description('Boot a kernel in a virtual machine, with its first serial port on this terminal.')
    .requiredOption('--kernel <file>', 'Linux bzImage, PVH ELF or multiboot kernel')
    .option('--initrd <file>', 'initial RAM disk (multiboot: first module)')
    .option('--append <text>', 'kernel command line', '')
    .addOption(
      new Option('--memory <size>', 'guest memory, such as 512M or 1G')
        .argParser(parseMemorySize)
        .default(DEFAULT_MEMORY.bytes, DEFAULT_MEMORY.text),
    )
    .addOption(new Option('--cpu <model>', 'processor model').choices(CPU_MODEL_NAMES).default('amd'))
    .option(
      '--expose-virtualization-extensions',
      'give the guest hardware virtualization, so that it can run virtual machines itself',
    )
    .addOption(
      new Option('--clock <kind>', "guest time: the host's, or by instructions executed, which makes runs repeatable")
        .choices(['real', 'virtual'])
        .default('real'),
    )
    .addOption(
      new Option('--disk <file>', 'raw image of a virtio disk; ",readonly" behind it protects it (repeatable)')
        .argParser(repeatable(LARGEST_DISK_COUNT))
        .default([], 'none'),
    )
    .addOption(
      new Option('--serial <where>', 'where COM1, then COM2... go: stdio, file:PATH or none (repeatable; default: stdio)').argParser(
        repeatable(SERIAL_PORTS),
      ),
    )
    .addOption(
      new Option('--log <topics>', 'what to log to standard error: a list of topics, all or none')
        .argParser(logTopics)
        .default(DEFAULT_TOPICS, DEFAULT_TOPICS.join(',')),
    )
    .option('--stats', 'print statistics at the end')
    .option('--no-reboot', 'end the run when the guest resets the machine')
    .option('--test-device', "attach the registers that processor tests use (QEMU's pc-testdev)")
    .addOption(
      new Option('--engine <kind>', 'how instructions are executed: hot ones compiled, or all interpreted')
        .choices(ENGINES)
        .default('auto'),
    )
    .addHelpText('after', HELP)
    .action(async (options: RunOptions) => done(await run(options)));
}

/** Runs a machine to its end and gives the exit status. */
async function run(options: RunOptions): Promise<number> {
  const kernel = readWholeFile('kernel', options.kernel);
  const initrd = options.initrd === undefined ? undefined : readWholeFile('initrd', options.initrd);
  const host = new NodeHost();
  let machine: Machine | undefined;
  /** Set once the run is to end for a reason outside the guest. */
  let ended: number | undefined;
  const end = (status: number) => {
    ended ??= status;
    machine?.stop();
    host.wake();
  };
  const say = (message: string) => process.stderr.write(`testudo: ${message}${resources.terminal?.isRaw ? '\r\n' : '\n'}`);
  const resources = new Resources({
    quit: () => end(EXIT.QUIT),
    input: () => host.wake(),
    outputLost(error) {
      say(`cannot write to standard output any more: ${describeSystemError(error)}`);
      end(EXIT.FAILURE);
    },
    fileFailed(message) {
      say(message);
      end(EXIT.FAILURE);
    },
  });
  try {
    const created = makeMachine(options, resources, host);
    machine = created;
    loadKernel(machine, kernel, initrd, options.append);
    const exit = await withSignals(end, () => {
      resources.terminal?.open();
      return created.run();
    });
    resources.close();
    if (options.stats) for (const line of statisticsLines(machine)) say(line);
    if (exit.kind === 'reset') say(`ended by a reset: ${exit.reason}`);
    return ended ?? statusOf(exit);
  } finally {
    resources.close();
  }
}

function makeMachine(options: RunOptions, resources: Resources, host: NodeHost): Machine {
  const virtual = options.clock === 'virtual';
  const serial = (options.serial ?? ['stdio']).map((where) => resources.serial(where));
  const disks = options.disk.map((argument) => resources.disk(argument));
  try {
    return new Machine({
      memoryBytes: options.memory,
      model: cpuModel(options.cpu, { exposeVirtualization: options.exposeVirtualizationExtensions }),
      clock: options.clock,
      serial,
      disks,
      entropy: virtual ? seededEntropy(VIRTUAL_SEED) : hostEntropy,
      log: standardErrorLog(
        options.log,
        () => resources.terminal?.isRaw ?? false,
        () => resources.terminal?.flush(),
      ),
      host,
      epochSeconds: virtual ? VIRTUAL_EPOCH : Math.floor(Date.now() / 1000),
      rebootOnReset: options.reboot,
      testDevice: options.testDevice,
      engine: options.engine,
    });
  } catch (error) {
    if (error instanceof RangeError) throw new CliError(error.message);
    throw error;
  }
}

function loadKernel(machine: Machine, kernel: Uint8Array, initrd: Uint8Array | undefined, commandLine: string): void {
  try {
    machine.loadKernel(kernel, { commandLine, modules: initrd ? [{ bytes: initrd, commandLine: '' }] : [] });
  } catch (error) {
    if (error instanceof BootError) throw new CliError(error.message);
    throw error;
  }
}

/** Does something while the signals that would end the process end the run instead. */
async function withSignals<T>(end: (status: number) => void, action: () => Promise<T>): Promise<T> {
  const handlers = Object.entries(ENDING_SIGNALS).map(([signal, status]) => ({ signal, handler: () => end(status) }));
  for (const { signal, handler } of handlers) process.on(signal, handler);
  try {
    return await action();
  } finally {
    for (const { signal, handler } of handlers) process.off(signal, handler);
  }
}

function statusOf(exit: MachineExit): number {
  switch (exit.kind) {
    case 'power-off':
    case 'reset':
      return EXIT.SUCCESS;
    case 'debug-exit':
      return exitStatus(exit.value);
    case 'stopped':
      return EXIT.QUIT;
  }
}
