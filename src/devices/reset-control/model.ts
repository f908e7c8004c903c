/** Reset control register of the ICH9 at port 0xcf9 (data sheet 316972 section 13.7.5). */

/** Register bits. */
export const RST_CNT = { SYS_RST: 0x02, RST_CPU: 0x04, FULL_RST: 0x08 } as const;
/** Bits that keep what is written. */
const STORED = RST_CNT.SYS_RST | RST_CNT.FULL_RST;

/** Saved state. */
export interface ResetControlState {
  readonly version: 1;
  readonly value: number;
}

/** How far a reset reaches: the processors alone (INIT), or the whole board. */
export type ResetKind = 'processor' | 'system';

export class ResetControl {
  readonly #requestReset: (kind: ResetKind) => void;
  #value = 0;

  constructor(requestReset: (kind: ResetKind) => void) {
    this.#requestReset = requestReset;
  }

  read(): number {
    return this.#value;
  }

  /** A write with RST_CPU set resets; SYS_RST says what. */
  write(value: number): void {
    this.#value = value & STORED;
    if (value & RST_CNT.RST_CPU) this.#requestReset(value & RST_CNT.SYS_RST ? 'system' : 'processor');
  }

  reset(): void {
    this.#value = 0;
  }

  save(): ResetControlState {
    return { version: 1, value: this.#value };
  }

  restore(state: ResetControlState): void {
    this.#value = state.value & STORED;
  }
}
