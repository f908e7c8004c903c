/** Makes the machine that `testudo run` asks for, and runs it to its end. */
import { availableParallelism } from 'node:os';
import type { LogTopic } from '../bus/log.ts';
import { type CpuModel, type CpuModelName, cpuModel } from '../cpu/model.ts';
import type { EngineKind } from '../cpu/processor.ts';
import { exitStatus } from '../devices/debug-exit/model.ts';
import { hostEntropy, seededEntropy } from '../host/node/entropy.ts';
import { describeSystemError } from '../host/node/file-errors.ts';
import { MemoryPreparer } from '../host/node/memory-preparer.ts';
import { WorkerCompiler } from '../host/node/region-compiler.ts';
import { NodeHost } from '../host/node/services.ts';
import { LARGEST_DISK_COUNT, SERIAL_PORTS } from '../machine/board.ts';
import { BootError } from '../machine/boot/boot-plan.ts';
import { Machine, type MachineExit } from '../machine/machine.ts';
import { Profile } from '../machine/profile.ts';
import { CliError, ENDING_SIGNALS, EXIT } from './errors.ts';
import { standardErrorLog } from './log.ts';
import { profileReport, SymbolTable } from './profile-report.ts';
import { Resources, readMeanwhile, readWholeFile, writeWholeFile } from './resources.ts';
import { statisticsLines } from './statistics.ts';

/** Options of the command, as they are after parsing. */
export interface RunOptions {
  readonly kernel: string;
  readonly initrd?: string;
  readonly append: string;
  readonly memory: number;
  readonly cpu: CpuModelName;
  readonly exposeVirtualizationExtensions?: true;
  readonly clock: 'virtual' | 'real';
  readonly disk: readonly string[];
  readonly serial?: readonly string[];
  readonly virtioConsole?: string;
  readonly log: readonly LogTopic[];
  readonly stats?: true;
  /** Where the profile goes. */
  readonly profile?: string;
  /** Symbols for it. */
  readonly profileSymbols?: string;
  readonly testDevice?: true;
  readonly engine: EngineKind;
  readonly reboot: boolean;
  /** Whether settings of V8 may be changed. */
  readonly v8Flags: boolean;
}

/** 1 January 2024, 00:00:00 UTC: what the clock shows at power-on in runs that must repeat. */
const VIRTUAL_EPOCH = 1_704_067_200;
/** Where the random numbers of such runs begin. */
const VIRTUAL_SEED = 1;

/** Runs a machine to its end and gives the exit status. */
export async function run(options: RunOptions): Promise<number> {
  const images = Promise.all([
    readMeanwhile('kernel', options.kernel),
    options.initrd === undefined ? undefined : readMeanwhile('initrd', options.initrd),
  ]);
  // whoever waits for them is told; until then other things may fail first
  images.catch(() => {});
  if (options.profileSymbols !== undefined && options.profile === undefined)
    throw new CliError('--profile-symbols needs --profile');
  const symbols = options.profileSymbols === undefined ? undefined : readSymbols(options.profileSymbols);
  const profile = options.profile === undefined ? undefined : new Profile();
  // now, not at the end of a long run, if it cannot be written
  if (options.profile !== undefined) writeWholeFile('profile', options.profile, '');
  const host = new NodeHost();
  let machine: Machine | undefined;
  let preparer: MemoryPreparer | undefined;
  /** Set once the run is to end for a reason outside the guest. */
  let ended: number | undefined;
  const end = (status: number) => {
    ended ??= status;
    machine?.stop();
    host.wake();
  };
  const say = (message: string) => process.stderr.write(`testudo: ${message}\n`);
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
  const model = cpuModel(options.cpu, { exposeVirtualization: options.exposeVirtualizationExtensions });
  // with 'regions' code is compiled at its first run, and the run waits for it
  const regionCompiler =
    options.engine === 'auto' && availableParallelism() > 1
      ? new WorkerCompiler(model.features, options.v8Flags, (reason) =>
          say(`guest code is compiled between its runs from now on: ${reason}`),
        )
      : undefined;
  try {
    const created = makeMachine(options, model, resources, host, profile, regionCompiler);
    machine = created;
    if (created.arena.shared) {
      preparer = new MemoryPreparer(created.arena, () => created.processor.blocks.used);
      preparer.start();
    }
    const [kernel, initrd] = await images;
    loadKernel(machine, kernel, initrd, options.append);
    const exit = await withSignals(end, () => {
      resources.terminal?.open();
      return created.run();
    });
    resources.close();
    if (options.stats) for (const line of statisticsLines(machine)) say(line);
    if (profile) writeWholeFile('profile', options.profile as string, profileReport(profile, symbols));
    if (exit.kind === 'reset') say(`ended by a reset: ${exit.reason}`);
    return ended ?? statusOf(exit);
  } finally {
    resources.close();
    await preparer?.stop();
    await regionCompiler?.close();
  }
}

function readSymbols(path: string): SymbolTable {
  try {
    return SymbolTable.parse(readWholeFile('symbols', path).toString());
  } catch (error) {
    if (error instanceof RangeError) throw new CliError(`symbols ${path} ${error.message}`);
    throw error;
  }
}

function makeMachine(
  options: RunOptions,
  model: CpuModel,
  resources: Resources,
  host: NodeHost,
  profile?: Profile,
  regionCompiler?: WorkerCompiler,
): Machine {
  const virtual = options.clock === 'virtual';
  const { virtioConsole: consoleEnd, disk: images } = options;
  const { serial: ports = [consoleEnd === 'stdio' ? 'none' : 'stdio'] } = options;
  if (ports.length > SERIAL_PORTS)
    throw new CliError(`there are ${ports.length} serial ports, the machine has room for ${SERIAL_PORTS}`);
  if (images.length > LARGEST_DISK_COUNT)
    throw new CliError(`there are ${images.length} disks, the machine has room for ${LARGEST_DISK_COUNT}`);
  const serial = ports.map((where) => resources.stream('--serial', where));
  const virtioConsole = consoleEnd === undefined ? undefined : resources.stream('--virtio-console', consoleEnd);
  const disks = images.map((argument) => resources.disk(argument));
  try {
    return new Machine({
      memoryBytes: options.memory,
      sharedMemory: availableParallelism() > 1,
      model,
      clock: options.clock,
      serial,
      virtioConsole,
      disks,
      entropy: virtual ? seededEntropy(VIRTUAL_SEED) : hostEntropy,
      log: standardErrorLog(options.log, () => resources.terminal?.flush()),
      host,
      epochSeconds: virtual ? VIRTUAL_EPOCH : Math.floor(Date.now() / 1000),
      rebootOnReset: options.reboot,
      testDevice: options.testDevice,
      engine: options.engine,
      regionCompiler,
      profile,
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
