/** The isa-debug-exit device of QEMU: a write ends the run and hands a value to whoever started it. */
import type { AccessSize, PortDevice } from '../../bus/ports.ts';

/** What a read returns. */
const IDLE = 0;

/** Stateless: there is nothing to save. The callback's value is what the guest wrote, up to 32 bits. */
export class DebugExit implements PortDevice {
  readonly #exit: (value: number) => void;

  constructor(exit: (value: number) => void) {
    this.#exit = exit;
  }

  readPort(): number {
    return IDLE;
  }

  writePort(_port: number, _size: AccessSize, value: number): void {
    this.#exit(value);
  }
}

/** The process exit status that QEMU makes of a value, which test suites expect. */
export function exitStatus(value: number): number {
  return ((value << 1) | 1) & 0xff;
}
