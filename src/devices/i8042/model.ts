/**
 * Intel 8042 keyboard controller as programmed for the PS/2 (IBM PS/2 Hardware Interface Technical Reference, "Keyboard and
 * Auxiliary Device Controller") without an auxiliary port, and the keyboard behind it.
 */
import type { InterruptLine } from '../../bus/lines.ts';
import { Keyboard, type KeyboardState, translateScanCode } from './keyboard.ts';

/** Status register. */
export const STATUS = {
  OUTPUT_FULL: 0x01,
  SYSTEM_FLAG: 0x04,
  COMMAND: 0x08,
  NOT_INHIBITED: 0x10,
  AUXILIARY_FULL: 0x20,
  TIMEOUT: 0x40,
} as const;

/** Controller command byte. */
export const MODE = {
  KEYBOARD_INTERRUPT: 0x01,
  SYSTEM_FLAG: 0x04,
  DISABLE_KEYBOARD: 0x10,
  DISABLE_AUXILIARY: 0x20,
  TRANSLATE: 0x40,
} as const;

/** Commands written to port 0x64. */
export const COMMAND = {
  READ_RAM: 0x20,
  WRITE_RAM: 0x60,
  DISABLE_AUXILIARY: 0xa7,
  ENABLE_AUXILIARY: 0xa8,
  TEST_AUXILIARY: 0xa9,
  SELF_TEST: 0xaa,
  TEST_KEYBOARD: 0xab,
  DISABLE_KEYBOARD: 0xad,
  ENABLE_KEYBOARD: 0xae,
  READ_INPUT_PORT: 0xc0,
  READ_OUTPUT_PORT: 0xd0,
  WRITE_OUTPUT_PORT: 0xd1,
  WRITE_KEYBOARD_BUFFER: 0xd2,
  WRITE_AUXILIARY_BUFFER: 0xd3,
  WRITE_AUXILIARY: 0xd4,
  DISABLE_A20: 0xdd,
  ENABLE_A20: 0xdf,
  PULSE_OUTPUT: 0xf0,
} as const;

const RAM_SIZE = 32;
const SELF_TEST_PASSED = 0x55;
const INTERFACE_OK = 0x00;
/** "Clock line stuck low": there is nothing on the auxiliary connector, nor a connector. */
const INTERFACE_ABSENT = 0x01;
const RESEND = 0xfe;
/** Keyboard not locked, colour display. */
const INPUT_PORT = 0x80;
/** Output port: bit 0 low resets the processor, bit 1 opens A20, bits 4 and up mirror the buffers' state. */
const OUTPUT_PORT = { NO_RESET: 0x01, A20: 0x02, KEYBOARD_FULL: 0x10, IDLE: 0xcc } as const;

/** What the output port drives. */
export interface I8042Outputs {
  a20(enabled: boolean): void;
  /** Resets the processor. */
  reset(): void;
}

/** A byte on its way to port 0x60, with the status bits it brings. */
interface OutputByte {
  readonly value: number;
  readonly status: number;
}

/** Saved state. */
export interface I8042State {
  readonly version: 1;
  readonly ram: readonly number[];
  readonly status: number;
  readonly output: number;
  readonly responses: readonly OutputByte[];
  readonly pendingCommand: number;
  readonly a20: boolean;
  readonly keyboard: KeyboardState;
}

export class I8042 {
  readonly #interrupt: InterruptLine;
  readonly #outputs: I8042Outputs;
  readonly keyboard = new Keyboard(() => this.#fillOutput());
  /** Byte 0 is the controller command byte. */
  readonly #ram = new Uint8Array(RAM_SIZE);
  #status = 0;
  #output = 0;
  #responses: OutputByte[] = [];
  /** Command that waits for its parameter at port 0x60, or 0. */
  #pendingCommand = 0;
  #a20 = true;

  /** `interrupt` is IRQ 1. */
  constructor(interrupt: InterruptLine, outputs: I8042Outputs) {
    this.#interrupt = interrupt;
    this.#outputs = outputs;
    this.reset();
  }

  reset(): void {
    this.#ram.fill(0);
    this.#ram[0] = MODE.KEYBOARD_INTERRUPT | MODE.DISABLE_AUXILIARY;
    this.#status = STATUS.COMMAND | STATUS.NOT_INHIBITED;
    this.#responses = [];
    this.#pendingCommand = 0;
    this.#a20 = true;
    this.keyboard.reset();
    this.#update();
  }

  readStatus(): number {
    return this.#status;
  }

  readData(): number {
    this.#status &= ~(STATUS.OUTPUT_FULL | STATUS.AUXILIARY_FULL | STATUS.TIMEOUT);
    this.#update(); // the request falls, so that the next byte makes an edge
    const value = this.#output;
    this.#fillOutput();
    return value;
  }

  writeCommand(command: number): void {
    this.#status |= STATUS.COMMAND;
    this.#pendingCommand = 0;
    if (command >= COMMAND.READ_RAM && command < COMMAND.READ_RAM + RAM_SIZE) {
      this.#respond(this.#ram[command - COMMAND.READ_RAM]);
    } else if (command >= COMMAND.WRITE_RAM && command < COMMAND.WRITE_RAM + RAM_SIZE) {
      this.#pendingCommand = command;
    } else if (command >= COMMAND.PULSE_OUTPUT) {
      if (!(command & OUTPUT_PORT.NO_RESET)) this.#outputs.reset(); // pulses the lines whose bits are zero
    } else this.#execute(command);
  }

  writeData(value: number): void {
    this.#status &= ~STATUS.COMMAND;
    const command = this.#pendingCommand;
    this.#pendingCommand = 0;
    if (command >= COMMAND.WRITE_RAM && command < COMMAND.WRITE_RAM + RAM_SIZE) {
      this.#ram[command - COMMAND.WRITE_RAM] = value;
      if (command === COMMAND.WRITE_RAM) this.#modeChanged();
      return;
    }
    switch (command) {
      case COMMAND.WRITE_OUTPUT_PORT:
        this.#setA20((value & OUTPUT_PORT.A20) !== 0);
        if (!(value & OUTPUT_PORT.NO_RESET)) this.#outputs.reset();
        break;
      case COMMAND.WRITE_KEYBOARD_BUFFER:
        this.#respond(value);
        break;
      case COMMAND.WRITE_AUXILIARY_BUFFER:
        // A controller without an auxiliary port does not mark the byte, which is how drivers tell.
        this.#respond(value);
        break;
      case COMMAND.WRITE_AUXILIARY:
        this.#respond(RESEND, STATUS.AUXILIARY_FULL | STATUS.TIMEOUT);
        break;
      default:
        this.#ram[0] &= ~MODE.DISABLE_KEYBOARD; // writing to the keyboard enables its clock
        this.keyboard.command(value);
        break;
    }
  }

  /** Another gate (port 0x92) moved A20; the output port shows the state of the line. */
  setA20(enabled: boolean): void {
    this.#a20 = enabled;
  }

  save(): I8042State {
    return {
      version: 1,
      ram: [...this.#ram],
      status: this.#status,
      output: this.#output,
      responses: this.#responses.map((response) => ({ ...response })),
      pendingCommand: this.#pendingCommand,
      a20: this.#a20,
      keyboard: this.keyboard.save(),
    };
  }

  restore(state: I8042State): void {
    this.#ram.set(state.ram);
    this.#status = state.status;
    this.#output = state.output;
    this.#responses = state.responses.map((response) => ({ ...response }));
    this.#pendingCommand = state.pendingCommand;
    this.#a20 = state.a20;
    this.keyboard.restore(state.keyboard);
    this.#update();
  }

  #execute(command: number): void {
    switch (command) {
      case COMMAND.SELF_TEST:
        this.#ram[0] |= MODE.SYSTEM_FLAG;
        this.#modeChanged();
        this.#respond(SELF_TEST_PASSED);
        break;
      case COMMAND.TEST_KEYBOARD:
        this.#respond(INTERFACE_OK);
        break;
      case COMMAND.TEST_AUXILIARY:
        this.#respond(INTERFACE_ABSENT);
        break;
      case COMMAND.DISABLE_KEYBOARD:
        this.#ram[0] |= MODE.DISABLE_KEYBOARD;
        break;
      case COMMAND.ENABLE_KEYBOARD:
        this.#ram[0] &= ~MODE.DISABLE_KEYBOARD;
        this.#fillOutput();
        break;
      case COMMAND.READ_INPUT_PORT:
        this.#respond(INPUT_PORT);
        break;
      case COMMAND.READ_OUTPUT_PORT:
        this.#respond(
          OUTPUT_PORT.IDLE |
            OUTPUT_PORT.NO_RESET |
            (this.#a20 ? OUTPUT_PORT.A20 : 0) |
            (this.#status & STATUS.OUTPUT_FULL ? OUTPUT_PORT.KEYBOARD_FULL : 0),
        );
        break;
      case COMMAND.WRITE_OUTPUT_PORT:
      case COMMAND.WRITE_KEYBOARD_BUFFER:
      case COMMAND.WRITE_AUXILIARY_BUFFER:
      case COMMAND.WRITE_AUXILIARY:
        this.#pendingCommand = command;
        break;
      case COMMAND.ENABLE_A20:
      case COMMAND.DISABLE_A20:
        this.#setA20(command === COMMAND.ENABLE_A20);
        break;
      default: // auxiliary enable and disable have nothing to act on; unknown commands are ignored as by the chip
        break;
    }
  }

  #setA20(enabled: boolean): void {
    if (enabled === this.#a20) return;
    this.#a20 = enabled;
    this.#outputs.a20(enabled);
  }

  #modeChanged(): void {
    const systemFlag = this.#ram[0] & MODE.SYSTEM_FLAG ? STATUS.SYSTEM_FLAG : 0;
    this.#status = (this.#status & ~STATUS.SYSTEM_FLAG) | systemFlag;
    this.#fillOutput();
    this.#update();
  }

  /** A byte from the controller itself goes out before anything the keyboard has to say. */
  #respond(value: number, status = 0): void {
    if (this.#responses.length >= RAM_SIZE) return; // a guest that never reads loses the answers, as with the one-byte buffer
    this.#responses.push({ value, status });
    this.#fillOutput();
  }

  #fillOutput(): void {
    if (this.#status & STATUS.OUTPUT_FULL) return;
    const response = this.#responses.shift();
    if (response) {
      this.#output = response.value;
      this.#status |= STATUS.OUTPUT_FULL | response.status;
    } else if (!(this.#ram[0] & MODE.DISABLE_KEYBOARD)) {
      const translate = (this.#ram[0] & MODE.TRANSLATE) !== 0;
      const value = this.keyboard.take();
      if (value === undefined) return;
      // The prefix of a release is swallowed by translation and sets the top bit of the code that follows.
      const translated = translate ? translateScanCode(value, this.keyboard) : value;
      if (translated === undefined) {
        this.#fillOutput();
        return;
      }
      this.#output = translated;
      this.#status |= STATUS.OUTPUT_FULL;
    }
    this.#update();
  }

  #update(): void {
    const full = (this.#status & (STATUS.OUTPUT_FULL | STATUS.AUXILIARY_FULL)) === STATUS.OUTPUT_FULL;
    this.#interrupt.set(full && (this.#ram[0] & MODE.KEYBOARD_INTERRUPT) !== 0);
  }
}
