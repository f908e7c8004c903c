/**
 * `npm start`: builds the guest images and boots a Linux (L1) that boots a Linux (L2) inside itself. On a terminal L1 then
 * gives a shell; elsewhere the machine powers off, and the exit status tells whether all of that worked.
 *
 * Arguments are passed on to `testudo run`; `--once` makes it end as elsewhere, on a terminal too.
 */
import { spawn } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { buildGuests, type Guests, progressPrinter } from '../guests/build.ts';
import { BuildError } from '../guests/errors.ts';
import { LevelOutput, linesOf } from './levels.ts';

const COMMAND = fileURLToPath(new URL('../bin/testudo.js', import.meta.url));
/** What the command says before its messages, and when the machine did not power off but reset. */
const COMMAND_PREFIX = 'testudo: ';
const RESET_MESSAGE = 'ended by a reset: ';
/** Probing for what is not there is normal; the rest is worth a line. */
const LOG_TOPICS = 'guest-error,device,boot,svm';
const ONCE = '--once';
const FORWARDED_SIGNALS = ['SIGTERM', 'SIGHUP'] as const;

/** Arguments for the command. */
export function runArguments(guests: Guests, once: boolean, more: readonly string[]): string[] {
  // After a panic the machine is to end, not to stand still.
  const append = once ? 'console=ttyS0 panic=-1 testudo.demo=once' : 'console=ttyS0 testudo.demo';
  return [
    ...['run', '--kernel', guests.kernel, '--initrd', guests.initrdL1, '--append', append],
    ...['--expose-virtualization-extensions', '--log', LOG_TOPICS],
    ...(once ? ['--no-reboot'] : []),
    ...more,
  ];
}

/** How the machine's run ended. */
export interface Outcome {
  readonly status: number;
  readonly reset: boolean;
  readonly l2Ready: boolean;
}

/** What is wrong with a run that was to boot L2 and power off; `undefined` if nothing is. */
export function failureOf({ status, reset, l2Ready }: Outcome): string | undefined {
  if (status !== 0) return `the machine ended with status ${status}`;
  if (reset) return 'L1 reset the machine instead of powering off';
  if (!l2Ready) return 'L1 powered off without having booted L2';
  return undefined;
}

/** Runs the command; its standard input is this process's. */
async function runMachine(options: readonly string[], output: LevelOutput): Promise<Outcome> {
  const child = spawn(process.execPath, [COMMAND, ...options], { stdio: ['inherit', 'pipe', 'pipe'] });
  // What a keyboard interrupts is the machine; this process waits for it.
  const ignore = () => {};
  process.on('SIGINT', ignore);
  for (const signal of FORWARDED_SIGNALS) process.on(signal, () => child.kill(signal));
  const ended = new Promise<number>((resolve, reject) => {
    child.on('error', reject);
    child.on('close', (status, signal) => resolve(status ?? (signal ? 1 : 0)));
  });
  let reset = false;
  // Byte for byte: L1's programs may send anything.
  child.stdout.setEncoding('latin1').on('data', (text: string) => output.console(text));
  child.stderr.setEncoding('utf8');
  for await (const line of linesOf(child.stderr)) {
    const message = line.startsWith(COMMAND_PREFIX) ? line.slice(COMMAND_PREFIX.length) : line;
    if (message.startsWith(RESET_MESSAGE)) reset = true;
    output.message(message);
  }
  const status = await ended;
  output.end();
  return { status, reset, l2Ready: output.l2Ready };
}

async function main(): Promise<number> {
  const given = process.argv.slice(2);
  const once = given.includes(ONCE) || !process.stdin.isTTY || !process.stdout.isTTY;
  const more = given.filter((argument) => argument !== ONCE);
  const output = new LevelOutput((text) => process.stdout.write(Buffer.from(text, 'latin1')), {
    labels: once,
    colours: process.stdout.isTTY === true && process.env.NO_COLOR === undefined,
  });
  // `npm start | head` ends the machine, as its output is lost.
  process.stdout.on('error', () => process.exit(1));

  const progress = progressPrinter(process.stderr);
  const guests = await buildGuests({ onProgress: (step) => progress({ ...step, step: `L0| ${step.step}` }) });
  progress(undefined);
  output.message(
    `starting L1: Linux ${guests.kernelRelease} with virtualization extensions${once ? '' : '; Ctrl-A x quits'}`,
  );
  const start = performance.now();
  const outcome = await runMachine(runArguments(guests, once, more), output);
  if (!once) return outcome.status;
  const failure = failureOf(outcome);
  const seconds = ((performance.now() - start) / 1000).toFixed(1);
  output.message(failure ?? `L1 has booted L2, both have ended: ${seconds} s`);
  return failure ? 1 : 0;
}

if (import.meta.main) {
  try {
    process.exitCode = await main();
  } catch (error) {
    if (!(error instanceof BuildError)) throw error;
    process.stderr.write(`L0| ${error.message}\n`);
    process.exitCode = 1;
  }
}
