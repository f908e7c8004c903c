/**
 * Access to the host's processor through native-runner.c: single instructions run on complete register states.
 * Needs gcc and an x86-64 host; only the bulk comparison and the recording of test vectors use it.
 */
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/** Layout of a record, as in native-runner.c. */
export const RECORD_SIZE = 672;
export const MEMORY_OFFSET = 512;
export const MEMORY_SIZE = 128;
export const RAX_OFFSET = 640;
export const RFLAGS_OFFSET = 648;
export const TRAPPED_OFFSET = 656;
const HEADER_SIZE = 32;

/** FXSAVE image fields (SDM vol. 1 table 10-2). */
export const FCW_OFFSET = 0;
export const FSW_OFFSET = 2;
export const FTW_OFFSET = 4;
export const MXCSR_OFFSET = 24;
export const ST_OFFSET = 32;
export const XMM_OFFSET = 160;

/** Instruction bytes and the states to run it on. */
export interface Batch {
  readonly code: readonly number[];
  readonly records: DataView[];
}

/** A record with default control words and empty registers. */
export function newRecord(): DataView {
  const record = new DataView(new ArrayBuffer(RECORD_SIZE));
  record.setUint16(FCW_OFFSET, 0x37f, true);
  record.setUint32(MXCSR_OFFSET, 0x1f80, true);
  record.setBigUint64(RFLAGS_OFFSET, 2n, true);
  return record;
}

/** Compiles the runner once and runs batches with it. */
export class NativeProcessor {
  readonly #directory = mkdtempSync(join(tmpdir(), 'native-float-'));
  readonly #program: string;

  constructor() {
    this.#program = join(this.#directory, 'native-runner');
    const source = join(import.meta.dirname, 'native-runner.c');
    const compiled = spawnSync('gcc', ['-O1', '-o', this.#program, source], { encoding: 'utf8' });
    if (compiled.status !== 0) throw new Error(`gcc failed: ${compiled.stderr}`);
  }

  /** The records after the batches ran, in the same arrangement. */
  run(batches: readonly Batch[]): DataView[][] {
    const parts: Uint8Array[] = [];
    for (const { code, records } of batches) {
      const header = new DataView(new ArrayBuffer(HEADER_SIZE));
      header.setUint32(0, code.length, true);
      header.setUint32(4, records.length, true);
      for (const [index, byte] of code.entries()) header.setUint8(8 + index, byte);
      parts.push(new Uint8Array(header.buffer));
      for (const record of records) parts.push(new Uint8Array(record.buffer, record.byteOffset, RECORD_SIZE));
    }
    const ran = spawnSync(this.#program, { input: Buffer.concat(parts), maxBuffer: 2 ** 31 - 1 });
    if (ran.status !== 0) throw new Error(`native runner failed: status ${ran.status}, signal ${ran.signal}`);
    let offset = 0;
    return batches.map(({ records }) =>
      records.map(() => {
        const result = new DataView(ran.stdout.buffer, ran.stdout.byteOffset + offset, RECORD_SIZE);
        offset += RECORD_SIZE;
        return result;
      }),
    );
  }

  close(): void {
    rmSync(this.#directory, { recursive: true });
  }
}
