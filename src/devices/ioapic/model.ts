/**
 * Intel 82093AA I/O APIC with the EOI register of version 0x20, as in the ICH9.
 *
 * Interrupts leave as messages in the MSI format, which is what the redirection entry holds in another arrangement.
 * The polarity bit is stored and otherwise ignored, as in QEMU and KVM: a line here is asserted or not, whatever
 * voltage the board would give it.
 */
import type { InterruptLine, MessageSink } from '../../bus/lines.ts';

/** Inputs of the ICH9's I/O APIC. */
export const IO_APIC_PINS = 24;
export const IO_APIC_VERSION = 0x20;

/** Indirect registers (82093AA data sheet, table 2). */
const REGISTER_ID = 0x00;
const REGISTER_VERSION = 0x01;
const REGISTER_ARBITRATION = 0x02;
const REGISTER_REDIRECTION = 0x10;
const ID_SHIFT = 24;
const ID_MASK = 0x0f00_0000;
const VERSION_LAST_ENTRY_SHIFT = 16;

/** Low half of a redirection entry (section 3.2.4). */
const VECTOR = 0xff;
const DELIVERY_MODE = 0x700;
const DELIVERY_FIXED = 0x000;
const DELIVERY_LOWEST_PRIORITY = 0x100;
const DESTINATION_LOGICAL = 0x800;
const REMOTE_IRR = 0x4000;
const TRIGGER_LEVEL = 0x8000;
const MASKED = 0x1_0000;
/** All but delivery status and remote IRR. */
const WRITABLE = 0x1_afff;
/** High half: destination field. */
const DESTINATION_MASK = 0xff00_0000;
const DESTINATION_SHIFT = 24;

/** Message address and data formats (SDM vol. 3A 11.11). */
const MESSAGE_ADDRESS = 0xfee0_0000;
const MESSAGE_DESTINATION_SHIFT = 12;
const MESSAGE_LOGICAL = 0x4;
const MESSAGE_ASSERT = 0x4000;
const MESSAGE_LEVEL = 0x8000;

/** Saved state. */
export interface IoApicState {
  version: 1;
  id: number;
  select: number;
  /** Input levels, a bit per pin. */
  lines: number;
  redirection: { low: number; high: number }[];
}

export class IoApic {
  readonly #messages: MessageSink;
  readonly #low = new Uint32Array(IO_APIC_PINS);
  readonly #high = new Uint32Array(IO_APIC_PINS);
  #lines = 0;
  #id = 0;
  #select = 0;

  /** `messages` is the way to the local APICs. */
  constructor(messages: MessageSink) {
    this.#messages = messages;
    this.reset();
  }

  /** Back to power-on: every entry masked. Input levels stay as their drivers left them. */
  reset(): void {
    this.#low.fill(MASKED);
    this.#high.fill(0);
    this.#id = 0;
    this.#select = 0;
  }

  /** Interrupt input INTIN`pin`. */
  input(pin: number): InterruptLine {
    if (!Number.isInteger(pin) || pin < 0 || pin >= IO_APIC_PINS)
      throw new RangeError(`the I/O APIC has no pin ${pin}`);
    return { set: (level) => this.#setLine(pin, level) };
  }

  /** Reads IOREGSEL. */
  readSelect(): number {
    return this.#select;
  }

  /** Writes IOREGSEL. */
  writeSelect(value: number): void {
    this.#select = value & 0xff;
  }

  /** Reads the selected register through IOWIN. */
  readWindow(): number {
    switch (this.#select) {
      case REGISTER_ID:
      case REGISTER_ARBITRATION:
        return this.#id;
      case REGISTER_VERSION:
        return IO_APIC_VERSION | ((IO_APIC_PINS - 1) << VERSION_LAST_ENTRY_SHIFT);
      default: {
        const pin = (this.#select - REGISTER_REDIRECTION) >> 1;
        if (pin < 0 || pin >= IO_APIC_PINS) return 0;
        return (this.#select & 1) !== 0 ? this.#high[pin] : this.#low[pin];
      }
    }
  }

  /** Writes the selected register through IOWIN. */
  writeWindow(value: number): void {
    if (this.#select === REGISTER_ID) {
      this.#id = value & ID_MASK;
      return;
    }
    const pin = (this.#select - REGISTER_REDIRECTION) >> 1;
    if (pin < 0 || pin >= IO_APIC_PINS) return;
    if ((this.#select & 1) !== 0) {
      this.#high[pin] = value & DESTINATION_MASK;
      return;
    }
    let entry = (value & WRITABLE) | (this.#low[pin] & REMOTE_IRR);
    // Remote IRR has no meaning for edges; guests switch an entry to edge and back to clear it.
    if ((entry & TRIGGER_LEVEL) === 0) entry &= ~REMOTE_IRR;
    this.#low[pin] = entry;
    this.#serviceLevel(pin);
  }

  /** The EOI message of a local APIC, or a write to the EOI register: releases level entries with this vector. */
  endOfInterrupt(vector: number): void {
    for (let pin = 0; pin < IO_APIC_PINS; pin++) {
      const entry = this.#low[pin];
      if ((entry & REMOTE_IRR) === 0 || (entry & VECTOR) !== (vector & VECTOR)) continue;
      this.#low[pin] = entry & ~REMOTE_IRR;
      this.#serviceLevel(pin);
    }
  }

  /** Redirection entries for the debugger. */
  entries(): { pin: number; entry: bigint; line: boolean }[] {
    return Array.from(this.#low, (low, pin) => ({
      pin,
      entry: (BigInt(this.#high[pin]) << 32n) | BigInt(low),
      line: (this.#lines & (1 << pin)) !== 0,
    }));
  }

  save(): IoApicState {
    return {
      version: 1,
      id: this.#id >>> ID_SHIFT,
      select: this.#select,
      lines: this.#lines,
      redirection: Array.from(this.#low, (low, pin) => ({ low, high: this.#high[pin] })),
    };
  }

  /** Takes the saved registers without sending anything. */
  restore(state: IoApicState): void {
    this.#id = (state.id << ID_SHIFT) & ID_MASK;
    this.#select = state.select & 0xff;
    this.#lines = state.lines;
    state.redirection.forEach(({ low, high }, pin) => {
      this.#low[pin] = low;
      this.#high[pin] = high;
    });
  }

  #setLine(pin: number, level: boolean): void {
    const bit = 1 << pin;
    if (level === ((this.#lines & bit) !== 0)) return;
    this.#lines ^= bit;
    if (!level) return;
    const entry = this.#low[pin];
    if ((entry & TRIGGER_LEVEL) !== 0) this.#serviceLevel(pin);
    // An edge on a masked input is lost (section 3.2.4, interrupt mask).
    else if ((entry & MASKED) === 0) this.#send(pin);
  }

  /** Sends a level interrupt that is asserted, unmasked and not already waiting for its EOI. */
  #serviceLevel(pin: number): void {
    const entry = this.#low[pin];
    if ((this.#lines & (1 << pin)) === 0) return;
    if ((entry & (TRIGGER_LEVEL | MASKED | REMOTE_IRR)) !== TRIGGER_LEVEL) return;
    // Only fixed and lowest priority interrupts are ever answered by an EOI.
    const mode = entry & DELIVERY_MODE;
    if (mode === DELIVERY_FIXED || mode === DELIVERY_LOWEST_PRIORITY) this.#low[pin] = entry | REMOTE_IRR;
    this.#send(pin);
  }

  #send(pin: number): void {
    const entry = this.#low[pin];
    const destination = this.#high[pin] >>> DESTINATION_SHIFT;
    const logical = (entry & DESTINATION_LOGICAL) !== 0 ? MESSAGE_LOGICAL : 0;
    const level = (entry & TRIGGER_LEVEL) !== 0 ? MESSAGE_LEVEL : 0;
    this.#messages.write(
      MESSAGE_ADDRESS + (destination << MESSAGE_DESTINATION_SHIFT) + logical,
      (entry & (VECTOR | DELIVERY_MODE)) | MESSAGE_ASSERT | level,
    );
  }
}
