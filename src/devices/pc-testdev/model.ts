/**
 * QEMU's pc-testdev: registers that processor tests use to reach interrupt lines and emulated memory. Not part of any
 * real board.
 */
import type { InterruptLine } from '../../bus/lines.ts';
import type { AccessSize } from '../../bus/ports.ts';

/** Bytes of the scratch register. */
export const SCRATCH_BYTES = 4;
/** Bytes of the scratch memory. */
export const MEMORY_BYTES = 0x1_0000;

/** Saved state. */
export interface PcTestdevState {
  readonly version: 1;
  readonly scratch: Uint8Array;
  readonly memory: Uint8Array;
}

function littleEndian(bytes: Uint8Array, offset: number, size: AccessSize): number {
  let value = 0;
  for (let i = size - 1; i >= 0; i--) value = value * 0x100 + (bytes[offset + i] ?? 0);
  return value;
}

export class PcTestdev {
  readonly #lines: readonly InterruptLine[];
  readonly #scratch = new Uint8Array(SCRATCH_BYTES);
  readonly #memory = new Uint8Array(MEMORY_BYTES);

  /** @param lines interrupt lines the guest may drive, by number */
  constructor(lines: readonly InterruptLine[]) {
    this.#lines = lines;
  }

  get lineCount(): number {
    return this.#lines.length;
  }

  /** The scratch register; bytes beyond its end read as zero. */
  readScratch(offset: number, size: AccessSize): number {
    return littleEndian(this.#scratch, offset, size);
  }

  writeScratch(offset: number, size: AccessSize, value: number): void {
    for (let i = 0; i < size && offset + i < SCRATCH_BYTES; i++) this.#scratch[offset + i] = value >>> (8 * i);
  }

  /** The scratch memory: a device to the processor, so every access is one the bus sees. */
  readMemory(offset: number, size: AccessSize): number {
    return littleEndian(this.#memory, offset, size);
  }

  writeMemory(offset: number, size: AccessSize, value: number): void {
    for (let i = 0; i < size && offset + i < MEMORY_BYTES; i++) this.#memory[offset + i] = value >>> (8 * i);
  }

  /** Drives an interrupt line: any value but zero raises it. */
  setLine(number: number, value: number): void {
    this.#lines[number]?.set(value !== 0);
  }

  reset(): void {
    this.#scratch.fill(0);
    this.#memory.fill(0);
    for (const line of this.#lines) line.set(false);
  }

  save(): PcTestdevState {
    return { version: 1, scratch: this.#scratch.slice(), memory: this.#memory.slice() };
  }

  restore(state: PcTestdevState): void {
    this.#scratch.set(state.scratch.subarray(0, SCRATCH_BYTES));
    this.#memory.set(state.memory.subarray(0, MEMORY_BYTES));
  }
}
