/** Running other programs, with errors that fit in one line. */
import { spawn } from 'node:child_process';
import { BuildError } from './errors.ts';

export interface CommandOptions {
  /** Directory to run in. */
  directory?: string;
  /** Added to the environment. */
  environment?: Record<string, string>;
  /** Called for each line that the program writes to file descriptor 3. */
  onStatusLine?: (line: string) => void;
}

export interface CommandResult {
  status: number;
  output: string;
  errors: string;
}

/** File descriptor on which a program reports its progress. */
export const STATUS_DESCRIPTOR = 3;

/**
 * Runs a program to its end and returns its status and output, whatever they are.
 *
 * @throws BuildError where it cannot be started.
 */
export function tryCommand(
  program: string,
  args: readonly string[],
  options: CommandOptions = {},
): Promise<CommandResult> {
  return new Promise((done, failed) => {
    const child = spawn(program, args, {
      cwd: options.directory,
      env: { ...process.env, LC_ALL: 'C', ...options.environment },
      stdio: ['ignore', 'pipe', 'pipe', options.onStatusLine ? 'pipe' : 'ignore'],
    });
    let output = '';
    let errors = '';
    child.stdout?.setEncoding('utf8').on('data', (text: string) => {
      output += text;
    });
    child.stderr?.setEncoding('utf8').on('data', (text: string) => {
      errors += text;
    });
    let rest = '';
    child.stdio[STATUS_DESCRIPTOR]?.on('data', (chunk: Buffer) => {
      const lines = (rest + chunk.toString('utf8')).split('\n');
      rest = lines.pop() ?? '';
      for (const line of lines) options.onStatusLine?.(line);
    });
    child.on('error', (error: NodeJS.ErrnoException) => {
      const reason =
        error.code === 'ENOENT' ? 'it is not on this machine (the guests are built on Debian 12)' : error.message;
      failed(new BuildError(`cannot run ${program}: ${reason}`));
    });
    child.on('close', (code) => done({ status: code ?? 1, output, errors }));
  });
}

/** The line of a program's error output that says most: the first that is marked as an error, else the first. */
export function firstErrorLine(result: CommandResult): string {
  const lines = result.errors.split('\n').map((line) => line.trim());
  const marked = lines.find((line) => /^E:|\berror\b/i.test(line));
  return (marked ?? lines.find((line) => line !== '') ?? `exit status ${result.status}`).replace(/^[EW]:\s*/, '');
}

/**
 * Runs a program and returns its output.
 *
 * @param purpose what for, as in "cannot PURPOSE: ..."
 * @throws BuildError where it cannot be started or its exit status is not 0.
 */
export async function runCommand(
  purpose: string,
  program: string,
  args: readonly string[],
  options: CommandOptions = {},
): Promise<string> {
  const result = await tryCommand(program, args, options);
  if (result.status !== 0) throw new BuildError(`cannot ${purpose}: ${firstErrorLine(result)}`);
  return result.output;
}
