/** Raw disk images in files. */
import { closeSync, fstatSync, fsyncSync, openSync, readSync, writeSync } from 'node:fs';
import type { BlockStore } from '../../bus/streams.ts';

const SECTOR = 512;

/** A disk image that cannot be used. The message is one line for the user. */
export class DiskError extends Error {
  override readonly name = 'DiskError';
}

/**
 * A file of whole sectors. Reads and writes go straight to the file; `flush` makes them durable. Errors are thrown to the
 * device, which reports them to the guest.
 */
export class FileDisk implements BlockStore {
  readonly sectors: number;
  readonly readOnly: boolean;
  private readonly file: number;

  /**
   * @throws the operating system's error if the file cannot be opened
   * @throws DiskError if it is not a disk image
   */
  constructor(path: string, readOnly: boolean) {
    this.file = openSync(path, readOnly ? 'r' : 'r+');
    this.readOnly = readOnly;
    const status = fstatSync(this.file);
    const { size } = status;
    if (!status.isFile() || size === 0 || size % SECTOR !== 0) {
      closeSync(this.file);
      throw new DiskError(
        status.isFile() ? `its size of ${size} bytes is not a multiple of ${SECTOR} bytes` : 'it is not a regular file',
      );
    }
    this.sectors = size / SECTOR;
  }

  read(sector: number, target: Uint8Array): void {
    for (let done = 0; done < target.length; ) {
      const count = readSync(this.file, target, done, target.length - done, sector * SECTOR + done);
      if (count === 0) throw new Error('the image file has become shorter');
      done += count;
    }
  }

  write(sector: number, source: Uint8Array): void {
    for (let done = 0; done < source.length; ) {
      done += writeSync(this.file, source, done, source.length - done, sector * SECTOR + done);
    }
  }

  flush(): void {
    fsyncSync(this.file);
  }

  /** Makes everything durable and closes the file. */
  close(): void {
    if (!this.readOnly) fsyncSync(this.file);
    closeSync(this.file);
  }
}
