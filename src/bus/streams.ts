/** A host byte stream behind a serial port or console: what the guest sends and what it is sent. */
export interface ByteStream {
  /** Takes bytes the guest wrote. Never blocks. */
  send(bytes: Uint8Array): void;
  /** Called by the owner of the device once, to receive host input. */
  onReceive(callback: (bytes: Uint8Array) => void): void;
  /** Where the far end is a screen: called likewise, to learn its size in characters, at first and whenever it changes. */
  onResize?(callback: (columns: number, rows: number) => void): void;
}

/** Random bytes from the host, or from a seed in a deterministic run. */
export interface EntropySource {
  fill(target: Uint8Array): void;
}

/** A block store of whole 512-byte sectors. Rejected promises become I/O errors for the guest. */
export interface BlockStore {
  /** Capacity in 512-byte sectors. */
  readonly sectors: number;
  readonly readOnly: boolean;
  read(sector: number, target: Uint8Array): void;
  write(sector: number, source: Uint8Array): void;
  flush(): void;
}
