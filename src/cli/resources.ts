/** Files and streams that a run uses: opened before the machine starts, closed whatever happens. */
import { closeSync, fstatSync, openSync, read, readFileSync, realpathSync, writeFileSync } from 'node:fs';
import { promisify } from 'node:util';
import type { BlockStore, ByteStream } from '../bus/streams.ts';
import { type ConsoleEvents, TerminalConsole } from '../host/node/console.ts';
import { DiskError, FileDisk } from '../host/node/disk.ts';
import { describeSystemError } from '../host/node/file-errors.ts';
import { FileStream } from '../host/node/file-stream.ts';
import { CliError } from './errors.ts';

const READ_ONLY_SUFFIX = ',readonly';
const FILE_PREFIX = 'file:';

const readPart = promisify(read);

/** What a port or console is connected to that goes nowhere. */
const NOWHERE: ByteStream = { send() {}, onReceive() {} };

/** Reads a file whole. @throws CliError naming it by `what` */
export function readWholeFile(what: string, path: string): Uint8Array {
  try {
    return readFileSync(path);
  } catch (error) {
    throw new CliError(`cannot read ${what} '${path}': ${describeSystemError(error)}`);
  }
}

/** The same on another thread, while this one does something else. */
export async function readMeanwhile(what: string, path: string): Promise<Uint8Array> {
  let file: number | undefined;
  try {
    file = openSync(path, 'r');
    const status = fstatSync(file);
    if (!status.isFile()) return readFileSync(file);
    const bytes = Buffer.allocUnsafeSlow(status.size);
    let length = 0;
    // as much as possible at once: this thread has no time to ask for more
    for (let count = 1; count > 0 && length < bytes.length; length += count)
      count = (await readPart(file, bytes, length, bytes.length - length, length)).bytesRead;
    return bytes.subarray(0, length);
  } catch (error) {
    throw new CliError(`cannot read ${what} '${path}': ${describeSystemError(error)}`);
  } finally {
    if (file !== undefined) closeSync(file);
  }
}

/** Writes a file whole. @throws CliError naming it by `what` */
export function writeWholeFile(what: string, path: string, text: string): void {
  try {
    writeFileSync(path, text);
  } catch (error) {
    throw new CliError(`cannot write ${what} '${path}': ${describeSystemError(error)}`);
  }
}

/** Whom the streams tell of what happens outside. */
export interface ResourceEvents extends ConsoleEvents {
  /** The file of a serial port or console cannot be written any more. */
  fileFailed(message: string): void;
}

/** What a run has open. */
export class Resources {
  /** The terminal, if a serial port or console is connected to it. */
  terminal: TerminalConsole | undefined;
  private readonly events: ResourceEvents;
  private readonly closers: (() => void)[] = [];
  private readonly diskPaths = new Set<string>();

  constructor(events: ResourceEvents) {
    this.events = events;
  }

  /** The far end of a serial port or console: `stdio`, `file:PATH` or `none`. */
  stream(option: string, where: string): ByteStream {
    if (where === 'none') return NOWHERE;
    if (where === 'stdio') {
      if (this.terminal) throw new CliError(`${option} stdio: standard input and output are in use already`);
      const terminal = new TerminalConsole(this.events);
      this.terminal = terminal;
      this.closers.push(() => terminal.close());
      return terminal;
    }
    if (!where.startsWith(FILE_PREFIX)) throw new CliError(`${option} ${where}: must be stdio, file:PATH or none`);
    return this.file(where.slice(FILE_PREFIX.length));
  }

  private file(path: string): ByteStream {
    try {
      const stream = new FileStream(path, (error) =>
        this.events.fileFailed(`cannot write '${path}' any more: ${describeSystemError(error)}`),
      );
      this.closers.push(() => stream.close());
      return stream;
    } catch (error) {
      throw new CliError(`cannot write '${path}': ${describeSystemError(error)}`);
    }
  }

  /** A disk image: a path, with `,readonly` behind it to protect the file. */
  disk(argument: string): BlockStore {
    const readOnly = argument.endsWith(READ_ONLY_SUFFIX);
    const path = readOnly ? argument.slice(0, -READ_ONLY_SUFFIX.length) : argument;
    try {
      const disk = new FileDisk(path, readOnly);
      this.closers.push(() => disk.close());
      const name = realpathSync(path);
      if (this.diskPaths.has(name)) throw new DiskError('it is used for another disk already');
      this.diskPaths.add(name);
      return disk;
    } catch (error) {
      const reason = error instanceof DiskError ? error.message : describeSystemError(error);
      throw new CliError(`cannot use disk image '${path}': ${reason}`);
    }
  }

  /** Closes everything; failures do not keep the rest open. */
  close(): void {
    for (const close of this.closers.splice(0)) {
      try {
        close();
      } catch (error) {
        this.events.fileFailed(describeSystemError(error));
      }
    }
  }
}
