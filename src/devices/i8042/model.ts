/**
 * Intel 8042 keyboard controller as programmed for the PS/2 (IBM PS/2 Hardware Interface Technical Reference, "Keyboard and
 * Auxiliary Device Controller"), and behind it the keyboard and, on the auxiliary port, the mouse.
 */
import type { InterruptLine } from '../../bus/lines.ts';
import { Keyboard, type KeyboardState, translateScanCode } from './keyboard.ts';
import { Mouse, type MouseState } from './mouse.ts';

/** Status register. */
export const STATUS = {
  OUTPUT_FULL: 0x01,
  SYSTEM_FLAG: 0x04,
  COMMAND: 0x08,
  NOT_INHIBITED: 0x10,
  /** With {@link STATUS.OUTPUT_FULL}: the byte is from the auxiliary port. */
  AUXILIARY_FULL: 0x20,
} as const;

/** Controller command byte. */
export const MODE = {
  KEYBOARD_INTERRUPT: 0x01,
  AUXILIARY_INTERRUPT: 0x02,
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
/** Keyboard not locked, colour display. */
const INPUT_PORT = 0x80;
/** Output port: bit 0 low resets the processor, bit 1 opens A20, bits 4 and 5 mirror the output buffer's state. */
const OUTPUT_PORT = { NO_RESET: 0x01, A20: 0x02, KEYBOARD_FULL: 0x10, AUXILIARY_FULL: 0x20, IDLE: 0xcc } as const;

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
  /** 2 added the mouse. */
  readonly version: 2;
  readonly ram: readonly number[];
  readonly status: number;
  readonly output: number;
  readonly responses: readonly OutputByte[];
  readonly pendingCommand: number;
  readonly a20: boolean;
  readonly keyboard: KeyboardState;
  readonly mouse: MouseState;
}

export class I8042 {
  readonly #keyboardInterrupt: InterruptLine;
  readonly #auxiliaryInterrupt: InterruptLine;
  readonly #outputs: I8042Outputs;
  readonly keyboard = new Keyboard(() => this.#fillOutput());
  readonly mouse = new Mouse(() => this.#fillOutput());
  /** Byte 0 is the controller command byte. */
  readonly #ram = new Uint8Array(RAM_SIZE);
  #status = 0;
  #output = 0;
  #responses: OutputByte[] = [];
  /** Command that waits for its parameter at port 0x60, or 0. */
  #pendingCommand = 0;
  #a20 = true;

  /** The interrupts of keyboard and auxiliary port are IRQ 1 and IRQ 12. */
  constructor(keyboardInterrupt: InterruptLine, auxiliaryInterrupt: InterruptLine, outputs: I8042Outputs) {
    this.#keyboardInterrupt = keyboardInterrupt;
    this.#auxiliaryInterrupt = auxiliaryInterrupt;
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
    this.mouse.reset();
    this.#update();
  }

  readStatus(): number {
    return this.#status;
  }

  readData(): number {
    this.#status &= ~(STATUS.OUTPUT_FULL | STATUS.AUXILIARY_FULL);
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
        this.#respond(value, STATUS.AUXILIARY_FULL);
        break;
      case COMMAND.WRITE_AUXILIARY:
        this.#ram[0] &= ~MODE.DISABLE_AUXILIARY; // writing to the mouse enables its clock
        this.mouse.command(value);
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
      version: 2,
      ram: [...this.#ram],
      status: this.#status,
      output: this.#output,
      responses: this.#responses.map((response) => ({ ...response })),
      pendingCommand: this.#pendingCommand,
      a20: this.#a20,
      keyboard: this.keyboard.save(),
      mouse: this.mouse.save(),
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
    this.mouse.restore(state.mouse);
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
      case COMMAND.TEST_AUXILIARY:
        this.#respond(INTERFACE_OK);
        break;
      case COMMAND.DISABLE_AUXILIARY:
        this.#ram[0] |= MODE.DISABLE_AUXILIARY;
        break;
      case COMMAND.ENABLE_AUXILIARY:
        this.#ram[0] &= ~MODE.DISABLE_AUXILIARY;
        this.#fillOutput();
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
        this.#respond(OUTPUT_PORT.IDLE | OUTPUT_PORT.NO_RESET | (this.#a20 ? OUTPUT_PORT.A20 : 0) | this.#outputFull());
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
      default: // unknown commands are ignored as by the chip
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

  /** A byte from the controller itself goes out before anything keyboard and mouse have to say. */
  #respond(value: number, status = 0): void {
    if (this.#responses.length >= RAM_SIZE) return; // a guest that never reads loses the answers, as with the one-byte buffer
    this.#responses.push({ value, status });
    this.#fillOutput();
  }

  #fillOutput(): void {
    if (this.#status & STATUS.OUTPUT_FULL) return;
    const next = this.#responses.shift() ?? this.#takeKeyboard() ?? this.#takeMouse();
    if (next === undefined) return;
    this.#output = next.value;
    this.#status |= STATUS.OUTPUT_FULL | next.status;
    this.#update();
  }

  #takeKeyboard(): OutputByte | undefined {
    if (this.#ram[0] & MODE.DISABLE_KEYBOARD) return undefined;
    const translate = (this.#ram[0] & MODE.TRANSLATE) !== 0;
    for (;;) {
      const value = this.keyboard.take();
      if (value === undefined) return undefined;
      // The prefix of a release is swallowed by translation and sets the top bit of the code that follows.
      const translated = translate ? translateScanCode(value, this.keyboard) : value;
      if (translated !== undefined) return { value: translated, status: 0 };
    }
  }

  #takeMouse(): OutputByte | undefined {
    if (this.#ram[0] & MODE.DISABLE_AUXILIARY) return undefined;
    const value = this.mouse.take();
    return value === undefined ? undefined : { value, status: STATUS.AUXILIARY_FULL };
  }

  /** The bit of the output port that tells whose byte is in the output buffer; 0 when it is empty. */
  #outputFull(): number {
    if (!(this.#status & STATUS.OUTPUT_FULL)) return 0;
    return this.#status & STATUS.AUXILIARY_FULL ? OUTPUT_PORT.AUXILIARY_FULL : OUTPUT_PORT.KEYBOARD_FULL;
  }

  #update(): void {
    const full = this.#outputFull();
    const mode = this.#ram[0];
    this.#keyboardInterrupt.set(full === OUTPUT_PORT.KEYBOARD_FULL && (mode & MODE.KEYBOARD_INTERRUPT) !== 0);
    this.#auxiliaryInterrupt.set(full === OUTPUT_PORT.AUXILIARY_FULL && (mode & MODE.AUXILIARY_INTERRUPT) !== 0);
  }
}
