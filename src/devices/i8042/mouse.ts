/**
 * The mouse on the auxiliary port: three buttons and, after the knock of Microsoft's IntelliMouse, a wheel (IBM PS/2
 * Technical Reference, "Mouse"). Sampling takes no time here: a movement is reported as soon as there is room for it.
 */

/** Commands from the system. */
const COMMAND = {
  SCALING_1_TO_1: 0xe6,
  SCALING_2_TO_1: 0xe7,
  SET_RESOLUTION: 0xe8,
  STATUS_REQUEST: 0xe9,
  SET_STREAM_MODE: 0xea,
  READ_DATA: 0xeb,
  RESET_WRAP_MODE: 0xec,
  SET_WRAP_MODE: 0xee,
  SET_REMOTE_MODE: 0xf0,
  READ_DEVICE_TYPE: 0xf2,
  SET_SAMPLING_RATE: 0xf3,
  ENABLE: 0xf4,
  DISABLE: 0xf5,
  SET_DEFAULT: 0xf6,
  RESEND: 0xfe,
  RESET: 0xff,
} as const;
/** No parameter is as large as the first command. */
const FIRST_COMMAND = COMMAND.SCALING_1_TO_1;

/** Answers. */
const ACKNOWLEDGE = 0xfa;
const RESEND = 0xfe;
const SELF_TEST_PASSED = 0xaa;

/** Device types. */
const STANDARD_MOUSE = 0x00;
const INTELLIMOUSE = 0x03;
/** These sampling rates, one after the other, turn on the wheel. */
const INTELLIMOUSE_KNOCK = [200, 100, 80] as const;

/** Reports per second. */
const SAMPLING_RATES: readonly number[] = [10, 20, 40, 60, 80, 100, 200];
const DEFAULT_SAMPLING_RATE = 100;
/** Counts per millimetre as a power of two. */
const LARGEST_RESOLUTION = 3;
const DEFAULT_RESOLUTION = 2;

/** First byte of the answer to a status request; its three low bits are the buttons. */
const STATUS = { SCALING_2_TO_1: 0x10, ENABLED: 0x20, REMOTE: 0x40 } as const;
/** First byte of a report; its three low bits are the buttons, in the other order. */
const REPORT = { ALWAYS: 0x08, X_NEGATIVE: 0x10, Y_NEGATIVE: 0x20 } as const;

/** Buttons of {@link Mouse.move}. */
export const BUTTON = { LEFT: 0x1, RIGHT: 0x2, MIDDLE: 0x4 } as const;
const ALL_BUTTONS = BUTTON.LEFT | BUTTON.RIGHT | BUTTON.MIDDLE;

/** Largest count of a report: doubled by scaling it fits the nine bits. */
const LARGEST_COUNT = 127;
/** Wheel counts have four bits. */
const LARGEST_WHEEL_COUNT = 7;
/** What was not reported yet is kept up to so many counts. */
const COUNTER_LIMIT = 0x7fff;
/** Scaling 2:1 by the count; larger counts are doubled. */
const SCALED = [0, 1, 1, 3, 6, 9] as const;
/** Reports wait in a buffer of 16 bytes; an answer replaces what is in it. */
const BUFFER = 16;

/** Saved state. */
export interface MouseState {
  readonly queue: readonly number[];
  readonly lastAnswer: readonly number[];
  readonly pendingCommand: number;
  readonly mode: MouseMode;
  readonly enabled: boolean;
  readonly doubled: boolean;
  readonly resolution: number;
  readonly samplingRate: number;
  readonly recentRates: readonly number[];
  readonly deviceType: number;
  readonly x: number;
  readonly y: number;
  readonly wheel: number;
  readonly buttons: number;
  readonly reportedButtons: number;
}

/** Without `remote` it is stream mode. In wrap mode the mouse echoes until it goes back to the mode before. */
export interface MouseMode {
  readonly remote: boolean;
  readonly wrap: boolean;
}

const clamp = (value: number, limit: number) => Math.max(-limit, Math.min(limit, value));
/** Adds to a counter; what is no number counts as no movement. */
const count = (counter: number, delta: number) => clamp(counter + (Math.trunc(delta) || 0), COUNTER_LIMIT);

export class Mouse {
  readonly #ready: () => void;
  #queue: number[] = [];
  /** The answer or report that a request to resend is for. */
  #lastAnswer: number[] = [];
  /** Command that waits for its parameter, or 0. */
  #pendingCommand = 0;
  #mode: MouseMode = { remote: false, wrap: false };
  /** Whether stream mode reports. */
  #enabled = false;
  /** Scaling is 2:1. */
  #doubled = false;
  #resolution: number = DEFAULT_RESOLUTION;
  #samplingRate: number = DEFAULT_SAMPLING_RATE;
  #recentRates: number[] = [];
  #deviceType: number = STANDARD_MOUSE;
  /** Movement not reported yet. */
  #x = 0;
  #y = 0;
  #wheel = 0;
  #buttons = 0;
  #reportedButtons = 0;

  /** `ready` is called when there is something to {@link take}. */
  constructor(ready: () => void) {
    this.#ready = ready;
  }

  reset(): void {
    this.#queue = [];
    this.#lastAnswer = [];
    this.#pendingCommand = 0;
    this.#recentRates = [];
    this.#deviceType = STANDARD_MOUSE;
    this.#mode = { remote: false, wrap: false };
    this.#defaults();
  }

  /**
   * Moves the mouse by counts: `dx` to the right, `dy` away from the user, `dz` turns the wheel towards the user.
   * `buttons` has the bits of {@link BUTTON} that are now held down. In stream mode movement is lost while reports are
   * disabled.
   */
  move(dx: number, dy: number, dz: number, buttons: number): void {
    this.#buttons = buttons & ALL_BUTTONS;
    if (!this.#mode.remote && !this.#enabled) return;
    this.#x = count(this.#x, dx);
    this.#y = count(this.#y, dy);
    if (this.#deviceType === INTELLIMOUSE) this.#wheel = count(this.#wheel, dz);
    this.#stream();
    this.#ready();
  }

  /** Takes the next byte for the controller. */
  take(): number | undefined {
    const value = this.#queue.shift();
    if (value !== undefined) this.#stream();
    return value;
  }

  /** A byte from the system. It ends what the mouse was sending. */
  command(value: number): void {
    const echoed = this.#mode.wrap && value !== COMMAND.RESET && value !== COMMAND.RESET_WRAP_MODE;
    const pending = this.#pendingCommand;
    if (echoed) this.#answer(value);
    else if (pending !== 0 && value < FIRST_COMMAND) this.#parameter(pending, value);
    else {
      this.#pendingCommand = 0;
      this.#execute(value);
    }
    this.#ready();
  }

  save(): MouseState {
    return {
      queue: [...this.#queue],
      lastAnswer: [...this.#lastAnswer],
      pendingCommand: this.#pendingCommand,
      mode: { ...this.#mode },
      enabled: this.#enabled,
      doubled: this.#doubled,
      resolution: this.#resolution,
      samplingRate: this.#samplingRate,
      recentRates: [...this.#recentRates],
      deviceType: this.#deviceType,
      x: this.#x,
      y: this.#y,
      wheel: this.#wheel,
      buttons: this.#buttons,
      reportedButtons: this.#reportedButtons,
    };
  }

  restore(state: MouseState): void {
    this.#queue = [...state.queue];
    this.#lastAnswer = [...state.lastAnswer];
    this.#pendingCommand = state.pendingCommand;
    this.#mode = { ...state.mode };
    this.#enabled = state.enabled;
    this.#doubled = state.doubled;
    this.#resolution = state.resolution;
    this.#samplingRate = state.samplingRate;
    this.#recentRates = [...state.recentRates];
    this.#deviceType = state.deviceType;
    this.#x = state.x;
    this.#y = state.y;
    this.#wheel = state.wheel;
    this.#buttons = state.buttons;
    this.#reportedButtons = state.reportedButtons;
  }

  /** What "set default" sets: the device type and the buttons stay. */
  #defaults(): void {
    this.#mode = { remote: false, wrap: false };
    this.#enabled = false;
    this.#doubled = false;
    this.#resolution = DEFAULT_RESOLUTION;
    this.#samplingRate = DEFAULT_SAMPLING_RATE;
    this.#clearCounters();
  }

  #clearCounters(): void {
    this.#x = 0;
    this.#y = 0;
    this.#wheel = 0;
    this.#reportedButtons = this.#buttons;
  }

  #answer(...bytes: number[]): void {
    this.#queue = bytes;
    this.#lastAnswer = [...bytes];
  }

  /** An invalid parameter is asked for again. */
  #parameter(command: number, value: number): void {
    if (command === COMMAND.SET_RESOLUTION && value <= LARGEST_RESOLUTION) this.#resolution = value;
    else if (command === COMMAND.SET_SAMPLING_RATE && SAMPLING_RATES.includes(value)) this.#setSamplingRate(value);
    else {
      this.#answer(RESEND);
      return;
    }
    this.#pendingCommand = 0;
    this.#answer(ACKNOWLEDGE);
  }

  #setSamplingRate(rate: number): void {
    this.#samplingRate = rate;
    this.#recentRates = [...this.#recentRates, rate].slice(-INTELLIMOUSE_KNOCK.length);
    if (INTELLIMOUSE_KNOCK.every((expected, index) => this.#recentRates[index] === expected)) {
      this.#deviceType = INTELLIMOUSE;
    }
  }

  #execute(value: number): void {
    switch (value) {
      case COMMAND.SCALING_1_TO_1:
      case COMMAND.SCALING_2_TO_1:
        this.#doubled = value === COMMAND.SCALING_2_TO_1;
        this.#answer(ACKNOWLEDGE);
        break;
      case COMMAND.SET_RESOLUTION:
      case COMMAND.SET_SAMPLING_RATE:
        this.#pendingCommand = value;
        this.#answer(ACKNOWLEDGE);
        break;
      case COMMAND.STATUS_REQUEST:
        this.#answer(ACKNOWLEDGE, this.#status(), this.#resolution, this.#samplingRate);
        break;
      case COMMAND.SET_STREAM_MODE:
      case COMMAND.SET_REMOTE_MODE:
        this.#mode = { remote: value === COMMAND.SET_REMOTE_MODE, wrap: false };
        this.#clearCounters();
        this.#answer(ACKNOWLEDGE);
        break;
      case COMMAND.SET_WRAP_MODE:
      case COMMAND.RESET_WRAP_MODE:
        this.#mode = { ...this.#mode, wrap: value === COMMAND.SET_WRAP_MODE };
        this.#clearCounters();
        this.#answer(ACKNOWLEDGE);
        break;
      case COMMAND.READ_DATA:
        this.#answer(ACKNOWLEDGE, ...this.#report(false));
        break;
      case COMMAND.READ_DEVICE_TYPE:
        this.#answer(ACKNOWLEDGE, this.#deviceType);
        break;
      case COMMAND.ENABLE:
      case COMMAND.DISABLE:
        this.#enabled = value === COMMAND.ENABLE;
        this.#clearCounters();
        this.#answer(ACKNOWLEDGE);
        break;
      case COMMAND.SET_DEFAULT:
        this.#defaults();
        this.#answer(ACKNOWLEDGE);
        break;
      case COMMAND.RESEND:
        this.#queue = [...this.#lastAnswer];
        break;
      case COMMAND.RESET:
        this.reset();
        this.#answer(ACKNOWLEDGE, SELF_TEST_PASSED, this.#deviceType);
        break;
      default:
        this.#answer(RESEND);
        break;
    }
  }

  #status(): number {
    const held = (button: number, bit: number) => (this.#buttons & button ? bit : 0);
    return (
      (this.#mode.remote ? STATUS.REMOTE : 0) |
      (this.#enabled ? STATUS.ENABLED : 0) |
      (this.#doubled ? STATUS.SCALING_2_TO_1 : 0) |
      held(BUTTON.LEFT, 0x4) |
      held(BUTTON.MIDDLE, 0x2) |
      held(BUTTON.RIGHT, 0x1)
    );
  }

  /** Puts reports into the buffer, if there is news and room. */
  #stream(): void {
    if (!this.#enabled || this.#mode.remote || this.#mode.wrap || this.#pendingCommand !== 0) return;
    const length = this.#deviceType === INTELLIMOUSE ? 4 : 3;
    while (this.#news() && this.#queue.length + length <= BUFFER) {
      this.#lastAnswer = this.#report(this.#doubled);
      this.#queue.push(...this.#lastAnswer);
    }
  }

  #news(): boolean {
    return this.#x !== 0 || this.#y !== 0 || this.#wheel !== 0 || this.#buttons !== this.#reportedButtons;
  }

  /** Takes from the counters what fits one report. */
  #report(doubled: boolean): number[] {
    const x = clamp(this.#x, LARGEST_COUNT);
    const y = clamp(this.#y, LARGEST_COUNT);
    const wheel = clamp(this.#wheel, LARGEST_WHEEL_COUNT);
    this.#x -= x;
    this.#y -= y;
    this.#wheel -= wheel;
    this.#reportedButtons = this.#buttons;
    const signs = (x < 0 ? REPORT.X_NEGATIVE : 0) | (y < 0 ? REPORT.Y_NEGATIVE : 0);
    const scale = (value: number) => (doubled ? scaleTwoToOne(value) : value) & 0xff;
    const bytes = [REPORT.ALWAYS | signs | this.#buttons, scale(x), scale(y)];
    if (this.#deviceType === INTELLIMOUSE) bytes.push(wheel & 0xff);
    return bytes;
  }
}

function scaleTwoToOne(value: number): number {
  const magnitude = Math.abs(value);
  return Math.sign(value) * (magnitude < SCALED.length ? SCALED[magnitude] : 2 * magnitude);
}
