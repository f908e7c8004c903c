/** Collects what a guest sends byte by byte and passes it on in larger pieces. */

/** Bytes that are passed on without waiting for more. */
const LARGEST_BUFFER = 65536;
const FIRST_BUFFER = 1024;

export class BufferedOutput {
  private buffer = Buffer.alloc(FIRST_BUFFER);
  private length = 0;
  private scheduled: NodeJS.Immediate | undefined;
  private readonly write: (bytes: Buffer) => void;

  /** @param write takes a piece; it may keep it */
  constructor(write: (bytes: Buffer) => void) {
    this.write = write;
  }

  /** Takes bytes; they go out when the event loop has its turn, or sooner. */
  send(bytes: Uint8Array): void {
    if (this.length + bytes.length > this.buffer.length) this.grow(this.length + bytes.length);
    this.buffer.set(bytes, this.length);
    this.length += bytes.length;
    if (this.length >= LARGEST_BUFFER) this.flush();
    else this.scheduled ??= setImmediate(() => this.flush());
  }

  /** Passes on what there is, now. */
  flush(): void {
    clearImmediate(this.scheduled);
    this.scheduled = undefined;
    if (this.length === 0) return;
    const piece = Buffer.from(this.buffer.subarray(0, this.length));
    this.length = 0;
    this.write(piece);
  }

  private grow(least: number): void {
    const larger = Buffer.alloc(Math.max(least, 2 * this.buffer.length));
    larger.set(this.buffer.subarray(0, this.length));
    this.buffer = larger;
  }
}
