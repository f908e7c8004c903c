/** Errors that the user can act on, and the exit statuses of the command. */
import { CommanderError } from 'commander';

/** Exit statuses besides those that a guest chooses through the debug-exit port. */
export const EXIT = {
  SUCCESS: 0,
  /** A file that cannot be used, or a machine that cannot be made or run. */
  FAILURE: 1,
  /** Wrong usage of the command. */
  USAGE: 2,
  /** The user quit: as after an interrupt by the keyboard. */
  QUIT: 130,
} as const;

/** Signals that end a run, with the statuses that shells give to processes they end. */
export const ENDING_SIGNALS = { SIGHUP: 129, SIGINT: EXIT.QUIT, SIGTERM: 143 } as const;

/** An error with a one-line message. */
export class CliError extends Error {
  override readonly name = 'CliError';
}

/** Writes one line about an error, or where the fault is ours all there is to know, and chooses the exit status. */
export function reportError(error: unknown): number {
  if (error instanceof CommanderError) return error.exitCode === 0 ? EXIT.SUCCESS : EXIT.USAGE; // has been printed
  if (error instanceof CliError) process.stderr.write(`testudo: ${error.message}\n`);
  else process.stderr.write(`testudo: internal error: ${(error as Error)?.stack ?? error}\n`);
  return EXIT.FAILURE;
}
