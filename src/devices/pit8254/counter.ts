/**
 * One counter of an Intel 8254. Nothing counts in the background: the counting element and OUT are functions of the
 * clock cycles since the count was loaded. The one cycle between writing a count and loading it is left out, as in QEMU.
 */

/** Counter modes (8254 data sheet, "Mode Definitions"). */
export const MODE_TERMINAL_COUNT = 0;
export const MODE_ONE_SHOT = 1;
export const MODE_RATE_GENERATOR = 2;
export const MODE_SQUARE_WAVE = 3;
export const MODE_SOFTWARE_STROBE = 4;
export const MODE_HARDWARE_STROBE = 5;
type Mode = 0 | 1 | 2 | 3 | 4 | 5;

/** Read/write selections of a control word. */
const CONTROL_ACCESS_SHIFT = 4;
const ACCESS_LOW = 1;
const ACCESS_HIGH = 2;
const ACCESS_LOW_HIGH = 3;
type Access = 1 | 2 | 3;

/** Status byte of the read-back command. */
const STATUS_OUT = 0x80;
const STATUS_NULL_COUNT = 0x40;
const STATUS_ACCESS_SHIFT = 4;
const STATUS_MODE_SHIFT = 1;

const BINARY_MODULUS = 0x1_0000;
const BCD_MODULUS = 10_000;

/** Saved registers of one counter. Ticks are cycles of the 1.193182 MHz clock since power-on. */
export interface PitCounterState {
  mode: Mode;
  access: Access;
  bcd: boolean;
  gate: boolean;
  count: number;
  pendingCount: number | null;
  loadTick: number | null;
  startTick: number;
  stoppedAt: number | null;
  running: boolean;
  writeLatch: number | null;
  readHighNext: boolean;
  latchedCount: number | null;
  latchedStatus: number | null;
}

export class PitCounter {
  #mode: Mode = MODE_SQUARE_WAVE;
  #access: Access = ACCESS_LOW_HIGH;
  #bcd = false;
  #gate: boolean;
  /** Initial count in effect, 1 to 65536 (10000 in BCD). */
  #count = BINARY_MODULUS;
  /** A count written but not loaded yet (null count): waits for the end of the cycle or for a trigger. */
  #pendingCount: number | null = null;
  /** Tick at which `#pendingCount` is loaded; `Infinity` where only a trigger loads it. */
  #loadTick = Infinity;
  /** Tick at which the counting element held `#count`. */
  #startTick = 0;
  /** Cycles counted when the gate stopped the counter, or null while it counts. */
  #stoppedAt: number | null = null;
  /** Whether a count has been loaded (in modes 1 and 5: by a trigger) since the control word. */
  #running = false;
  #writeLatch: number | null = null;
  #readHighNext = false;
  #latchedCount: number | null = null;
  #latchedStatus: number | null = null;

  /** `gate` is the level of the GATE input at power-on. */
  constructor(gate: boolean) {
    this.#gate = gate;
  }

  /**
   * Power-on. The data sheet leaves the state undefined; this is what firmware leaves on a PC, and QEMU on q35: a
   * square wave of 65536 cycles.
   */
  reset(gate: boolean, tick: number): void {
    this.#gate = gate;
    this.writeControl((ACCESS_LOW_HIGH << CONTROL_ACCESS_SHIFT) | (MODE_SQUARE_WAVE << 1), tick);
    this.#load(BINARY_MODULUS, tick);
  }

  get mode(): Mode {
    return this.#mode;
  }

  get gate(): boolean {
    return this.#gate;
  }

  /** Takes a control word for this counter (not a latch command). */
  writeControl(value: number, tick: number): void {
    this.#count = this.#countingElement(tick) || this.#modulus();
    const mode = (value >> 1) & 7;
    // X10 and X11 select modes 2 and 3.
    this.#mode = (mode > MODE_HARDWARE_STROBE ? mode - 4 : mode) as Mode;
    this.#access = ((value >> CONTROL_ACCESS_SHIFT) & 3) as Access;
    this.#bcd = (value & 1) !== 0;
    this.#pendingCount = null;
    this.#running = false;
    this.#stoppedAt = null;
    this.#startTick = tick;
    this.#writeLatch = null;
    this.#readHighNext = false;
    this.#latchedCount = null;
    this.#latchedStatus = null;
  }

  /** Writes a byte of the count. Returns whether a whole count has arrived. */
  write(value: number, tick: number): boolean {
    switch (this.#access) {
      case ACCESS_LOW:
        this.#setCount(value, tick);
        return true;
      case ACCESS_HIGH:
        this.#setCount(value << 8, tick);
        return true;
      case ACCESS_LOW_HIGH: {
        if (this.#writeLatch === null) {
          this.#writeLatch = value;
          return false;
        }
        const low = this.#writeLatch;
        this.#writeLatch = null;
        this.#setCount((value << 8) | low, tick);
        return true;
      }
    }
  }

  /** Reads a byte: the latched status, else the latched count, else the counting element. */
  read(tick: number): number {
    if (this.#latchedStatus !== null) {
      const status = this.#latchedStatus;
      this.#latchedStatus = null;
      return status;
    }
    const count = this.#latchedCount ?? this.value(tick);
    switch (this.#access) {
      case ACCESS_LOW:
        this.#latchedCount = null;
        return count & 0xff;
      case ACCESS_HIGH:
        this.#latchedCount = null;
        return count >> 8;
      case ACCESS_LOW_HIGH: {
        const high = this.#readHighNext;
        this.#readHighNext = !high;
        if (high) this.#latchedCount = null;
        return high ? count >> 8 : count & 0xff;
      }
    }
  }

  /** Counter latch command. A latch that has not been read stays. */
  latchCount(tick: number): void {
    this.#latchedCount ??= this.value(tick);
  }

  /** Status part of the read-back command. */
  latchStatus(tick: number): void {
    if (this.#latchedStatus !== null) return;
    const out = this.out(tick);
    const nullCount = this.#pendingCount !== null || !this.#running;
    this.#latchedStatus =
      (out ? STATUS_OUT : 0) |
      (nullCount ? STATUS_NULL_COUNT : 0) |
      (this.#access << STATUS_ACCESS_SHIFT) |
      (this.#mode << STATUS_MODE_SHIFT) |
      (this.#bcd ? 1 : 0);
  }

  /** Drives the GATE input. */
  setGate(level: boolean, tick: number): void {
    if (level === this.#gate) return;
    this.#loadAtEndOfCycle(tick);
    const elapsed = this.#elapsed(tick);
    this.#gate = level;
    switch (this.#mode) {
      case MODE_TERMINAL_COUNT:
      case MODE_SOFTWARE_STROBE:
        if (level) this.#resume(tick);
        else this.#stoppedAt = elapsed;
        break;
      case MODE_RATE_GENERATOR:
      case MODE_SQUARE_WAVE:
        if (level) this.#trigger(tick);
        else this.#stoppedAt = elapsed;
        break;
      case MODE_ONE_SHOT:
      case MODE_HARDWARE_STROBE:
        if (level) this.#trigger(tick);
        break;
    }
  }

  /** The counting element as 16 bits, in BCD where so programmed. */
  value(tick: number): number {
    const value = this.#countingElement(tick) % this.#modulus();
    return this.#bcd ? toBcd(value) : value;
  }

  /** The OUT pin. */
  out(tick: number): boolean {
    this.#loadAtEndOfCycle(tick);
    const count = this.#count;
    const elapsed = this.#elapsed(tick);
    switch (this.#mode) {
      case MODE_TERMINAL_COUNT:
        return this.#running && elapsed >= count;
      case MODE_ONE_SHOT:
        return !this.#running || elapsed >= count;
      case MODE_RATE_GENERATOR:
        // Low for the cycle in which the counting element is 1; high whenever GATE is low.
        return !this.#running || !this.#gate || elapsed % count !== count - 1;
      case MODE_SQUARE_WAVE:
        return !this.#running || !this.#gate || elapsed % count < (count + 1) >> 1;
      case MODE_SOFTWARE_STROBE:
      case MODE_HARDWARE_STROBE:
        return !this.#running || elapsed !== count;
    }
  }

  /** First tick after `tick` at which OUT rises by itself, or `undefined`. */
  nextRise(tick: number): number | undefined {
    this.#loadAtEndOfCycle(tick);
    if (!this.#running || this.#stoppedAt !== null) return undefined;
    const elapsed = tick - this.#startTick;
    const count = this.#count;
    switch (this.#mode) {
      case MODE_TERMINAL_COUNT:
      case MODE_ONE_SHOT:
        return elapsed < count ? this.#startTick + count : undefined;
      case MODE_RATE_GENERATOR:
      case MODE_SQUARE_WAVE:
        return tick + count - (elapsed % count);
      case MODE_SOFTWARE_STROBE:
      case MODE_HARDWARE_STROBE:
        return elapsed <= count ? this.#startTick + count + 1 : undefined;
    }
  }

  /** Frequency of the square wave on OUT for an input clock of `hertz`; 0 in other modes and while not counting. */
  toneHertz(hertz: number): number {
    return this.#mode === MODE_SQUARE_WAVE && this.#running ? hertz / this.#count : 0;
  }

  save(): PitCounterState {
    return {
      mode: this.#mode,
      access: this.#access,
      bcd: this.#bcd,
      gate: this.#gate,
      count: this.#count,
      pendingCount: this.#pendingCount,
      loadTick: this.#loadTick === Infinity ? null : this.#loadTick,
      startTick: this.#startTick,
      stoppedAt: this.#stoppedAt,
      running: this.#running,
      writeLatch: this.#writeLatch,
      readHighNext: this.#readHighNext,
      latchedCount: this.#latchedCount,
      latchedStatus: this.#latchedStatus,
    };
  }

  restore(state: PitCounterState): void {
    this.#mode = state.mode;
    this.#access = state.access;
    this.#bcd = state.bcd;
    this.#gate = state.gate;
    this.#count = state.count;
    this.#pendingCount = state.pendingCount;
    this.#loadTick = state.loadTick ?? Infinity;
    this.#startTick = state.startTick;
    this.#stoppedAt = state.stoppedAt;
    this.#running = state.running;
    this.#writeLatch = state.writeLatch;
    this.#readHighNext = state.readHighNext;
    this.#latchedCount = state.latchedCount;
    this.#latchedStatus = state.latchedStatus;
  }

  #modulus(): number {
    return this.#bcd ? BCD_MODULUS : BINARY_MODULUS;
  }

  /** Clock cycles counted since the count was loaded. */
  #elapsed(tick: number): number {
    return this.#stoppedAt ?? tick - this.#startTick;
  }

  /** The counting element as a number from 0 to the modulus. */
  #countingElement(tick: number): number {
    this.#loadAtEndOfCycle(tick);
    const count = this.#count;
    if (!this.#running) return count;
    const elapsed = this.#elapsed(tick);
    switch (this.#mode) {
      case MODE_RATE_GENERATOR:
        return count - (elapsed % count);
      case MODE_SQUARE_WAVE: {
        // Both halves count down by two from an even number; an odd count makes the high half a cycle longer.
        const phase = elapsed % count;
        const high = (count + 1) >> 1;
        const even = count - (count & 1);
        return Math.max(even - 2 * (phase < high ? phase : phase - high), 0);
      }
      default: {
        // Past zero the counter wraps and goes on counting.
        const modulus = this.#modulus();
        const value = (count - elapsed) % modulus;
        return value < 0 ? value + modulus : value;
      }
    }
  }

  #setCount(written: number, tick: number): void {
    const value = this.#bcd ? fromBcd(written) : written;
    const count = value === 0 ? this.#modulus() : value;
    switch (this.#mode) {
      case MODE_TERMINAL_COUNT:
      case MODE_SOFTWARE_STROBE:
        this.#load(count, tick);
        break;
      case MODE_RATE_GENERATOR:
      case MODE_SQUARE_WAVE:
        this.#loadAtEndOfCycle(tick);
        if (this.#running) {
          this.#pendingCount = count;
          this.#loadTick = this.#endOfCycle(tick);
        } else {
          this.#load(count, tick);
        }
        break;
      case MODE_ONE_SHOT:
      case MODE_HARDWARE_STROBE:
        this.#pendingCount = count;
        this.#loadTick = Infinity;
        break;
    }
  }

  #load(count: number, tick: number): void {
    this.#count = count;
    this.#pendingCount = null;
    this.#running = true;
    this.#startTick = tick;
    this.#stoppedAt = this.#gate || this.#mode === MODE_ONE_SHOT || this.#mode === MODE_HARDWARE_STROBE ? null : 0;
  }

  /** A rising edge of GATE in the modes that reload on it. Without a count since the control word it means nothing. */
  #trigger(tick: number): void {
    if (this.#pendingCount !== null || this.#running) this.#load(this.#pendingCount ?? this.#count, tick);
  }

  #resume(tick: number): void {
    if (this.#stoppedAt === null) return;
    this.#startTick = tick - this.#stoppedAt;
    this.#stoppedAt = null;
  }

  /** Modes 2 and 3 take a new count when the cycle it was written in ends. */
  #loadAtEndOfCycle(tick: number): void {
    if (this.#pendingCount === null || !this.#running || this.#stoppedAt !== null) return;
    if (tick >= this.#loadTick) this.#load(this.#pendingCount, this.#loadTick);
  }

  #endOfCycle(tick: number): number {
    return tick + this.#count - ((tick - this.#startTick) % this.#count);
  }
}

function toBcd(value: number): number {
  return (
    (Math.floor(value / 1000) << 12) |
    (Math.floor((value / 100) % 10) << 8) |
    (Math.floor((value / 10) % 10) << 4) |
    (value % 10)
  );
}

/** Digits above 9 count as they weigh; the hardware's answer is undefined. */
function fromBcd(value: number): number {
  return (value >> 12) * 1000 + ((value >> 8) & 15) * 100 + ((value >> 4) & 15) * 10 + (value & 15);
}
