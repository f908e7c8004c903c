/** The keyboard: answers commands and sends scan codes of set 2 (IBM PS/2 Technical Reference, "Keyboards (101- and 102-key)"). */

/** Commands from the system. */
const COMMAND = {
  SET_INDICATORS: 0xed,
  ECHO: 0xee,
  SCAN_CODE_SET: 0xf0,
  READ_ID: 0xf2,
  SET_TYPEMATIC: 0xf3,
  ENABLE: 0xf4,
  DEFAULT_DISABLE: 0xf5,
  SET_DEFAULT: 0xf6,
  /** 0xf7 to 0xfd set key types, which only scan code set 3 has. */
  FIRST_KEY_TYPE: 0xf7,
  LAST_KEY_TYPE: 0xfd,
  RESEND: 0xfe,
  RESET: 0xff,
} as const;

/** Answers. */
const ACKNOWLEDGE = 0xfa;
const RESEND = 0xfe;
const SELF_TEST_PASSED = 0xaa;
const OVERRUN = 0x00;
const IDENTIFIER = [0xab, 0x83] as const;

const DEFAULT_SCAN_CODE_SET = 2;
/** The keyboard buffers 16 key bytes; answers are few and bounded by commands. */
const KEY_BUFFER = 16;
const QUEUE_LIMIT = 64;
/** Prefixes of scan code set 2. */
const RELEASE_PREFIX = 0xf0;

/** Saved state. */
export interface KeyboardState {
  readonly queue: readonly number[];
  readonly scanning: boolean;
  readonly scanCodeSet: number;
  readonly pendingCommand: number;
  readonly lastSent: number;
  readonly releaseSeen: boolean;
  readonly indicators: number;
}

export class Keyboard {
  readonly #ready: () => void;
  #queue: number[] = [];
  #scanning = true;
  #scanCodeSet = DEFAULT_SCAN_CODE_SET;
  #pendingCommand = 0;
  #lastSent = 0;
  /** Translation state of the controller: a release prefix was swallowed. It lives here to be reset with the queue. */
  releaseSeen = false;
  /** Scroll, num and caps lock lights as the guest set them: bits 0, 1, 2. */
  indicators = 0;

  /** `ready` is called when there is something to {@link take}. */
  constructor(ready: () => void) {
    this.#ready = ready;
  }

  reset(): void {
    this.#queue = [];
    this.#pendingCommand = 0;
    this.releaseSeen = false;
    this.indicators = 0;
    this.#defaults(true);
  }

  /** Sends the bytes of a key press or release in scan code set 2; dropped while scanning is off. */
  sendKey(bytes: readonly number[]): void {
    if (!this.#scanning) return;
    if (this.#queue.length + bytes.length > KEY_BUFFER) this.#queue.push(OVERRUN);
    else this.#queue.push(...bytes);
    if (this.#queue.length > KEY_BUFFER) this.#queue.length = KEY_BUFFER;
    this.#ready();
  }

  /** Takes the next byte for the controller. */
  take(): number | undefined {
    const value = this.#queue.shift();
    if (value !== undefined) this.#lastSent = value;
    return value;
  }

  /** A byte from the system. */
  command(value: number): void {
    const pending = this.#pendingCommand;
    this.#pendingCommand = 0;
    if (pending !== 0 && value < COMMAND.SET_INDICATORS) this.#parameter(pending, value);
    else this.#execute(value);
    if (this.#queue.length > QUEUE_LIMIT) this.#queue.length = QUEUE_LIMIT;
    this.#ready();
  }

  save(): KeyboardState {
    return {
      queue: [...this.#queue],
      scanning: this.#scanning,
      scanCodeSet: this.#scanCodeSet,
      pendingCommand: this.#pendingCommand,
      lastSent: this.#lastSent,
      releaseSeen: this.releaseSeen,
      indicators: this.indicators,
    };
  }

  restore(state: KeyboardState): void {
    this.#queue = [...state.queue];
    this.#scanning = state.scanning;
    this.#scanCodeSet = state.scanCodeSet;
    this.#pendingCommand = state.pendingCommand;
    this.#lastSent = state.lastSent;
    this.releaseSeen = state.releaseSeen;
    this.indicators = state.indicators;
  }

  #defaults(scanning: boolean): void {
    this.#scanning = scanning;
    this.#scanCodeSet = DEFAULT_SCAN_CODE_SET;
  }

  #parameter(command: number, value: number): void {
    this.#queue.push(ACKNOWLEDGE);
    if (command === COMMAND.SET_INDICATORS) this.indicators = value & 0x7;
    else if (command === COMMAND.SCAN_CODE_SET) {
      if (value === 0) this.#queue.push(this.#scanCodeSet);
      else if (value <= 3) this.#scanCodeSet = value;
    }
  }

  #execute(value: number): void {
    switch (value) {
      case COMMAND.SET_INDICATORS:
      case COMMAND.SCAN_CODE_SET:
      case COMMAND.SET_TYPEMATIC:
        this.#pendingCommand = value;
        this.#queue.push(ACKNOWLEDGE);
        break;
      case COMMAND.ECHO:
        this.#queue.push(COMMAND.ECHO);
        break;
      case COMMAND.READ_ID:
        this.#queue.push(ACKNOWLEDGE, ...IDENTIFIER);
        break;
      case COMMAND.ENABLE:
        this.#scanning = true;
        this.#queue = [ACKNOWLEDGE];
        break;
      case COMMAND.DEFAULT_DISABLE:
      case COMMAND.SET_DEFAULT:
        this.#defaults(value === COMMAND.SET_DEFAULT);
        this.#queue = [ACKNOWLEDGE];
        break;
      case COMMAND.RESEND:
        this.#queue.unshift(this.#lastSent);
        break;
      case COMMAND.RESET:
        this.reset();
        this.#queue.push(ACKNOWLEDGE, SELF_TEST_PASSED);
        break;
      default:
        this.#queue.push(value >= COMMAND.FIRST_KEY_TYPE && value <= COMMAND.LAST_KEY_TYPE ? ACKNOWLEDGE : RESEND);
        break;
    }
  }
}

/** Scan code set 1 codes by set 2 code, as the controller's ROM translates them; higher codes pass unchanged. */
// biome-ignore format: sixteen codes to a row
const SET_2_TO_SET_1 = [
  0xff, 0x43, 0x41, 0x3f, 0x3d, 0x3b, 0x3c, 0x58, 0x64, 0x44, 0x42, 0x40, 0x3e, 0x0f, 0x29, 0x59,
  0x65, 0x38, 0x2a, 0x70, 0x1d, 0x10, 0x02, 0x5a, 0x66, 0x71, 0x2c, 0x1f, 0x1e, 0x11, 0x03, 0x5b,
  0x67, 0x2e, 0x2d, 0x20, 0x12, 0x05, 0x04, 0x5c, 0x68, 0x39, 0x2f, 0x21, 0x14, 0x13, 0x06, 0x5d,
  0x69, 0x31, 0x30, 0x23, 0x22, 0x15, 0x07, 0x5e, 0x6a, 0x72, 0x32, 0x24, 0x16, 0x08, 0x09, 0x5f,
  0x6b, 0x33, 0x25, 0x17, 0x18, 0x0b, 0x0a, 0x60, 0x6c, 0x34, 0x35, 0x26, 0x27, 0x19, 0x0c, 0x61,
  0x6d, 0x73, 0x28, 0x74, 0x1a, 0x0d, 0x62, 0x6e, 0x3a, 0x36, 0x1c, 0x1b, 0x75, 0x2b, 0x63, 0x76,
  0x55, 0x56, 0x77, 0x78, 0x79, 0x7a, 0x0e, 0x7b, 0x7c, 0x4f, 0x7d, 0x4b, 0x47, 0x7e, 0x7f, 0x6f,
  0x52, 0x53, 0x50, 0x4c, 0x4d, 0x48, 0x01, 0x45, 0x57, 0x4e, 0x51, 0x4a, 0x37, 0x49, 0x46, 0x54,
  0x80, 0x81, 0x82, 0x41, 0x54,
] as const;

/** Top bit of a set 1 code: the key was released. */
const RELEASED = 0x80;

/** Translates one byte on its way to the system; `undefined` swallows it. */
export function translateScanCode(value: number, state: { releaseSeen: boolean }): number | undefined {
  if (value === RELEASE_PREFIX) {
    state.releaseSeen = true;
    return undefined;
  }
  const released = state.releaseSeen ? RELEASED : 0;
  state.releaseSeen = false;
  return (value < SET_2_TO_SET_1.length ? SET_2_TO_SET_1[value] : value) | released;
}
