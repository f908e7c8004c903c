/** The terminal (or pipe) behind a serial port: raw mode while the machine runs, an escape key to leave it. */
import type { ByteStream } from '../../bus/streams.ts';

/** Ctrl-A, as other machine monitors have it. */
export const ESCAPE = 0x01;
const QUIT = new Set([0x78, 0x58]); // x X
const HELP = new Set([0x68, 0x48, 0x3f]); // h H ?
const HELP_TEXT = '\r\nCtrl-A x  quit\r\nCtrl-A Ctrl-A  send Ctrl-A\r\nCtrl-A h  this help\r\n';

export interface ConsoleEvents {
  /** The user typed the escape sequence to quit. */
  quit(): void;
  /** Bytes arrived: an idle machine should look. */
  input(): void;
}

/** Standard input and output as a serial port's stream. */
export class TerminalConsole implements ByteStream {
  private receive: (bytes: Uint8Array) => void = () => {};
  private escaped = false;
  private raw = false;
  private readonly events: ConsoleEvents;
  private readonly onData = (chunk: Buffer) => this.typed(chunk);
  private pending: Buffer[] = [];
  private flushing = false;

  constructor(events: ConsoleEvents) {
    this.events = events;
  }

  /** Takes the terminal: raw mode if it is one. */
  open(): void {
    const { stdin } = process;
    if (stdin.isTTY) {
      stdin.setRawMode(true);
      this.raw = true;
    }
    stdin.on('data', this.onData);
    stdin.resume();
  }

  /** Gives the terminal back as it was. Safe to call more than once. */
  close(): void {
    const { stdin } = process;
    this.flush();
    stdin.off('data', this.onData);
    if (this.raw) stdin.setRawMode(false);
    this.raw = false;
    stdin.pause();
  }

  send(bytes: Uint8Array): void {
    this.pending.push(Buffer.from(bytes));
    if (this.flushing) return;
    this.flushing = true;
    setImmediate(() => this.flush());
  }

  private flush(): void {
    this.flushing = false;
    if (this.pending.length === 0) return;
    process.stdout.write(Buffer.concat(this.pending));
    this.pending = [];
  }

  onReceive(callback: (bytes: Uint8Array) => void): void {
    this.receive = callback;
  }

  private typed(chunk: Buffer): void {
    if (!process.stdin.isTTY) {
      this.receive(chunk);
      this.events.input();
      return;
    }
    const bytes: number[] = [];
    for (const byte of chunk) {
      if (!this.escaped) {
        if (byte === ESCAPE) this.escaped = true;
        else bytes.push(byte);
        continue;
      }
      this.escaped = false;
      if (QUIT.has(byte)) this.events.quit();
      else if (HELP.has(byte)) process.stdout.write(HELP_TEXT);
      else if (byte === ESCAPE) bytes.push(byte);
    }
    if (bytes.length === 0) return;
    this.receive(Uint8Array.from(bytes));
    this.events.input();
  }
}
