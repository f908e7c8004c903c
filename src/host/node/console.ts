/** The terminal (or pipe) behind a serial port or console: raw mode while the machine runs, an escape key to leave it. */
import type { Readable, Writable } from 'node:stream';
import type { ByteStream } from '../../bus/streams.ts';
import { BufferedOutput } from './buffered-output.ts';

/** Ctrl-A, as other machine monitors have it. */
const ESCAPE = 0x01;
const codes = (keys: string): ReadonlySet<number> => new Set(Array.from(keys, (key) => key.charCodeAt(0)));
const QUIT = codes('xX');
const HELP = codes('hH?');
const HELP_TEXT = '\nCtrl-A x       quit\nCtrl-A Ctrl-A  send Ctrl-A\nCtrl-A h       this help\n';

/** What the console has to say to its owner. */
export interface ConsoleEvents {
  /** The user typed the escape sequence to quit. */
  quit(): void;
  /** Bytes arrived, or the screen has a new size: an idle machine should look. */
  input(): void;
  /** Nobody takes the output any more. */
  outputLost(error: Error): void;
}

/** The ends of a terminal: standard input and output. */
export interface ConsoleStreams {
  readonly input: Readable & { readonly isTTY?: boolean; setRawMode?(raw: boolean): unknown };
  readonly output: Writable & { readonly columns?: number; readonly rows?: number };
}

/**
 * Standard input and output as a guest's stream. Escape keys exist only on a terminal: what comes from a pipe or file
 * passes unchanged, and its end means nothing more than that there is no more input.
 */
export class TerminalConsole implements ByteStream {
  private readonly events: ConsoleEvents;
  private readonly streams: ConsoleStreams;
  private readonly output: BufferedOutput;
  private receive: (bytes: Uint8Array) => void = () => {};
  private resized: (columns: number, rows: number) => void = () => {};
  private escaped = false;
  private opened = false;
  private lost = false;
  private readonly onData = (chunk: Buffer) => this.typed(chunk);
  private readonly onOutputResize = () => {
    this.tellSize();
    this.events.input();
  };
  private readonly onContinue = () => this.setRaw(true);
  private readonly onProcessExit = () => this.setRaw(false);
  private readonly onInputError = () => this.streams.input.pause();
  private readonly onOutputError = (error: Error) => {
    if (this.lost) return;
    this.lost = true;
    this.events.outputLost(error);
  };

  constructor(events: ConsoleEvents, streams: ConsoleStreams = { input: process.stdin, output: process.stdout }) {
    this.events = events;
    this.streams = streams;
    this.output = new BufferedOutput((bytes) => {
      if (!this.lost) this.streams.output.write(bytes);
    });
  }

  /** Takes the terminal: raw mode if it is one. That leaves the ends of lines to the terminal, as before. */
  open(): void {
    if (this.opened) return;
    this.opened = true;
    const { input, output } = this.streams;
    output.on('error', this.onOutputError);
    output.on('resize', this.onOutputResize);
    input.on('error', this.onInputError);
    input.on('data', this.onData);
    this.setRaw(true);
    // After a stop the shell has put the terminal into its own mode; and whatever happens, it must get it back.
    process.on('SIGCONT', this.onContinue);
    process.on('exit', this.onProcessExit);
    input.resume();
  }

  /** Sends what is left and gives the terminal back as it was. Safe to call more than once. */
  close(): void {
    this.flush();
    if (!this.opened) return;
    const { input, output } = this.streams;
    this.setRaw(false);
    this.opened = false;
    process.off('SIGCONT', this.onContinue);
    process.off('exit', this.onProcessExit);
    input.off('data', this.onData);
    output.off('resize', this.onOutputResize);
    input.pause();
    // The error listeners stay: what was written may fail later.
  }

  send(bytes: Uint8Array): void {
    this.output.send(bytes);
  }

  /** Sends what the guest has written so far, so that other output comes after it. */
  flush(): void {
    this.output.flush();
  }

  onReceive(callback: (bytes: Uint8Array) => void): void {
    this.receive = callback;
  }

  onResize(callback: (columns: number, rows: number) => void): void {
    this.resized = callback;
    this.tellSize();
  }

  /** Tells the size of the screen, if the output is one and knows. */
  private tellSize(): void {
    const { columns, rows } = this.streams.output;
    if (columns && rows) this.resized(columns, rows);
  }

  private setRaw(raw: boolean): void {
    if (!this.opened || !this.streams.input.isTTY) return;
    try {
      this.streams.input.setRawMode?.(raw);
    } catch {
      // The terminal is gone, and its mode with it.
    }
  }

  private typed(chunk: Buffer): void {
    const bytes = this.streams.input.isTTY ? this.withoutEscapes(chunk) : Uint8Array.from(chunk);
    if (bytes.length === 0) return;
    this.receive(bytes);
    this.events.input();
  }

  /** Carries out escape sequences; gives what is left for the guest. */
  private withoutEscapes(chunk: Buffer): Uint8Array {
    const bytes: number[] = [];
    for (const byte of chunk) {
      if (!this.escaped) {
        if (byte === ESCAPE) this.escaped = true;
        else bytes.push(byte);
        continue;
      }
      this.escaped = false;
      if (QUIT.has(byte)) this.events.quit();
      else if (HELP.has(byte)) this.send(Buffer.from(HELP_TEXT));
      else if (byte === ESCAPE) bytes.push(byte);
    }
    return Uint8Array.from(bytes);
  }
}
