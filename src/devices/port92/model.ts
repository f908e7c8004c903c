/**
 * System control port A of the PS/2 chipsets (port 0x92): fast A20 gate and fast reset of the processor.
 */

const FAST_RESET = 0x01;
const A20_GATE = 0x02;
/** Bits that merely hold what was written (lights, security lock). */
const WRITABLE = 0xfe;

/** Saved state. */
export interface Port92State {
  version: 1;
  value: number;
}

/** What the port drives. */
export interface Port92Outputs {
  /** A20 is passed on (`true`) or masked to zero. */
  a20(enabled: boolean): void;
  /** A rising edge of the fast reset bit: the processor is to be reset (INIT). */
  reset(): void;
}

export class Port92 {
  readonly #outputs: Port92Outputs;
  /** A20 is open at power-on, as on q35. */
  #value = A20_GATE;

  constructor(outputs: Port92Outputs) {
    this.#outputs = outputs;
  }

  read(): number {
    return this.#value;
  }

  write(value: number): void {
    const before = this.#value;
    this.#value = value & (WRITABLE | FAST_RESET);
    const changed = before ^ this.#value;
    if ((changed & A20_GATE) !== 0) this.#outputs.a20((value & A20_GATE) !== 0);
    if ((changed & value & FAST_RESET) !== 0) this.#outputs.reset();
  }

  /** Another gate (the keyboard controller's) moved A20; the bit shows the state of the line. */
  setA20(enabled: boolean): void {
    this.#value = enabled ? this.#value | A20_GATE : this.#value & ~A20_GATE;
  }

  /** Machine reset: the reset bit falls back, A20 opens. */
  reset(): void {
    this.#value = A20_GATE;
  }

  save(): Port92State {
    return { version: 1, value: this.#value };
  }

  restore(state: Port92State): void {
    this.#value = state.value & 0xff;
  }
}
