/** The command line of `testudo run`: one machine in the foreground. */
import { Command, InvalidArgumentError, Option } from 'commander';
import type { LogTopic } from '../bus/log.ts';
import { CPU_MODEL_NAMES } from '../cpu/model.ts';
import type { EngineKind } from '../cpu/processor.ts';
import { setV8Flags } from '../host/node/v8-flags.ts';
import { DEFAULT_TOPICS, LOG_TOPICS, parseLogTopics } from './log.ts';
import type { RunOptions } from './machine-run.ts';
import { parseMemorySize } from './units.ts';

const ENGINES = ['auto', 'interpreter', 'regions'] as const satisfies readonly EngineKind[];
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

function collect(value: string, previous: readonly string[] | undefined): string[] {
  return [...(previous ?? []), value];
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
        .argParser(collect)
        .default([], 'none'),
    )
    .addOption(
      new Option(
        '--serial <where>',
        'where COM1, then COM2... go: stdio, file:PATH or none (repeatable; default: stdio)',
      ).argParser(collect),
    )
    .option(
      '--virtio-console <where>',
      'attach a virtio console (hvc0 in Linux) to file:PATH, none, or stdio, which then is not COM1',
    )
    .addOption(
      new Option('--log <topics>', 'what to log to standard error: a list of topics, all or none')
        .argParser(logTopics)
        .default(DEFAULT_TOPICS, DEFAULT_TOPICS.join(',')),
    )
    .option('--stats', 'print statistics at the end')
    .option('--profile <file>', 'write where the guest executed most of its instructions')
    .option('--profile-symbols <file>', 'names for the profile of L1: System.map, /proc/kallsyms or a perf map')
    .option('--no-reboot', 'end the run when the guest resets the machine')
    .option('--test-device', "attach the registers that processor tests use (QEMU's pc-testdev)")
    .addOption(
      new Option(
        '--engine <kind>',
        'how instructions are executed: hot ones compiled, all interpreted, or all compiled',
      )
        .choices(ENGINES)
        .default('auto'),
    )
    .option('--no-v8-flags', 'leave the settings of the JavaScript engine as they are')
    .addHelpText('after', HELP)
    .action(async (options: RunOptions) => {
      // loaded only now: wrong usage and help need no machine
      if (options.v8Flags) setV8Flags();
      const { run } = await import('./machine-run.ts');
      done(await run(options));
    });
}
