/** A stream whose output goes into a file. */
import { closeSync, openSync, writeSync } from 'node:fs';
import type { ByteStream } from '../../bus/streams.ts';
import { BufferedOutput } from './buffered-output.ts';

/** Writes a file anew and never receives anything. */
export class FileStream implements ByteStream {
  private readonly file: number;
  private readonly failed: (error: Error) => void;
  private readonly output = new BufferedOutput((bytes) => this.write(bytes));
  private broken = false;

  /**
   * Opens the file, emptying it.
   * @param failed called once when writing fails; what is sent from then on is lost
   * @throws the operating system's error if the file cannot be opened
   */
  constructor(path: string, failed: (error: Error) => void) {
    this.file = openSync(path, 'w');
    this.failed = failed;
  }

  send(bytes: Uint8Array): void {
    this.output.send(bytes);
  }

  onReceive(): void {}

  /** Writes what is left and closes the file. */
  close(): void {
    this.output.flush();
    closeSync(this.file);
  }

  private write(bytes: Buffer): void {
    if (this.broken) return;
    try {
      for (let done = 0; done < bytes.length; ) done += writeSync(this.file, bytes, done);
    } catch (error) {
      this.broken = true;
      this.failed(error as Error);
    }
  }
}
