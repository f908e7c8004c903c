/**
 * The local APIC timer (SDM vol. 3A 11.5.4): one-shot, periodic and TSC-deadline. Counts are worked out from the clock;
 * an event is scheduled only while an expiry would interrupt.
 */
import type { Timer, TimerService } from '../../bus/clock.ts';

/** Timer modes as encoded in the LVT; 3 is reserved. */
export const TIMER_ONE_SHOT = 0;
export const TIMER_PERIODIC = 1;
export const TIMER_TSC_DEADLINE = 2;

const NANOSECONDS_PER_SECOND = 1e9;
/** Periodic expiries closer than this many nanoseconds are delivered together. */
const SHORTEST_PERIOD = 1000;
/** Deadlines further away (in nanoseconds, about 100 days) are looked at again then. */
const FURTHEST_DEADLINE = 2 ** 53;

/** Saved state. Times are nanoseconds since power-on, the deadline is a decimal TSC value. */
export interface LapicTimerState {
  mode: number;
  masked: boolean;
  initialCount: number;
  divideConfiguration: number;
  start: number;
  running: boolean;
  deadline: string;
}

/** What the timer is given. */
export interface LapicTimerOptions {
  time: TimerService;
  name: string;
  /** Length of a tick of the APIC's clock in whole nanoseconds. */
  tick: number;
  /** The processor's time-stamp counter now. */
  tsc: () => bigint;
  /** Its frequency in hertz. */
  tscFrequency: number;
  /** Called at each expiry while the timer is not masked. */
  expired: () => void;
}

export class LapicTimer {
  readonly #options: LapicTimerOptions;
  readonly #time: TimerService;
  readonly #event: Timer;
  #mode = TIMER_ONE_SHOT;
  #masked = true;
  #initialCount = 0;
  #divideConfiguration = 0;
  /** When the count was last loaded. */
  #start = 0;
  /** Whether the count goes down: a count was written, and a one-shot has not reached zero. */
  #running = false;
  /** IA32_TSC_DEADLINE; zero while disarmed. */
  #deadline = 0n;

  constructor(options: LapicTimerOptions) {
    this.#options = options;
    this.#time = options.time;
    this.#event = options.time.timer(options.name, () => this.#expire());
  }

  get initialCount(): number {
    return this.#initialCount;
  }

  get divideConfiguration(): number {
    return this.#divideConfiguration;
  }

  /** IA32_TSC_DEADLINE as read; zero outside TSC-deadline mode. */
  get deadline(): bigint {
    this.settle();
    return this.#deadline;
  }

  /** Current-count register. */
  get currentCount(): number {
    if (!this.#running) return 0;
    const elapsed = Math.floor((this.#time.now() - this.#start) / this.#tickLength());
    if (this.#mode === TIMER_PERIODIC) return this.#initialCount - (elapsed % this.#initialCount);
    return Math.max(this.#initialCount - elapsed, 0);
  }

  /** Follows the mode and mask of the LVT entry. Going to or from TSC-deadline mode disarms the timer. */
  configure(mode: number, masked: boolean): void {
    this.settle();
    this.#catchUp();
    if ((mode === TIMER_TSC_DEADLINE) !== (this.#mode === TIMER_TSC_DEADLINE)) {
      this.#running = false;
      this.#initialCount = 0;
      this.#deadline = 0n;
    }
    this.#mode = mode;
    this.#masked = masked;
    this.#arm();
  }

  /** Writes the initial-count register, which starts the timer; zero stops it. Ignored in TSC-deadline mode. */
  setInitialCount(value: number): void {
    if (this.#mode === TIMER_TSC_DEADLINE) return;
    this.settle();
    this.#initialCount = value;
    this.#start = this.#time.now();
    this.#running = value !== 0;
    this.#arm();
  }

  /** Writes the divide configuration register. A running count goes on at the new speed. */
  setDivideConfiguration(value: number): void {
    this.settle();
    const passed = this.#initialCount - this.currentCount;
    this.#divideConfiguration = value;
    if (this.#running) this.#start = this.#time.now() - passed * this.#tickLength();
    this.#arm();
  }

  /** Writes IA32_TSC_DEADLINE: zero disarms, a value already passed expires at once. Ignored in the other modes. */
  setDeadline(value: bigint): void {
    if (this.#mode !== TIMER_TSC_DEADLINE) return;
    this.settle();
    this.#deadline = value;
    if (value !== 0n && this.#options.tsc() >= value) this.#expire();
    else this.#arm();
  }

  /** To be called when the time-stamp counter jumps. */
  tscChanged(): void {
    if (this.#deadline !== 0n) this.setDeadline(this.#deadline);
  }

  /** Delivers an expiry that is due but has not been run yet. */
  settle(): void {
    const deadline = this.#event.deadline;
    if (deadline !== undefined && deadline <= this.#time.now()) this.#expire();
  }

  reset(): void {
    this.#event.disarm();
    this.#mode = TIMER_ONE_SHOT;
    this.#masked = true;
    this.#initialCount = 0;
    this.#divideConfiguration = 0;
    this.#running = false;
    this.#deadline = 0n;
  }

  save(): LapicTimerState {
    this.settle();
    return {
      mode: this.#mode,
      masked: this.#masked,
      initialCount: this.#initialCount,
      divideConfiguration: this.#divideConfiguration,
      start: this.#start,
      running: this.#running,
      deadline: this.#deadline.toString(),
    };
  }

  /** Takes the saved state. Clock and time-stamp counter must have been restored first. */
  restore(state: LapicTimerState): void {
    this.#mode = state.mode;
    this.#masked = state.masked;
    this.#initialCount = state.initialCount;
    this.#divideConfiguration = state.divideConfiguration;
    this.#start = state.start;
    this.#running = state.running;
    this.#deadline = BigInt(state.deadline);
    this.#arm();
  }

  /** Nanoseconds a count lasts. Bits 3, 1 and 0 of the divide configuration: 0 is by 2, 6 by 128, 7 by 1. */
  #tickLength(): number {
    const code = ((this.#divideConfiguration & 8) >> 1) | (this.#divideConfiguration & 3);
    return this.#options.tick * (1 << ((code + 1) & 7));
  }

  #period(): number {
    return this.#initialCount * this.#tickLength();
  }

  /** Brings the start of the count up to date: whole periods that have passed, or the end of a one-shot. */
  #catchUp(): void {
    if (!this.#running) return;
    const periods = Math.floor((this.#time.now() - this.#start) / this.#period());
    if (periods <= 0) return;
    if (this.#mode === TIMER_PERIODIC) this.#start += periods * this.#period();
    else this.#running = false;
  }

  #arm(): void {
    const now = this.#time.now();
    if (this.#mode === TIMER_TSC_DEADLINE) {
      if (this.#deadline === 0n) {
        this.#event.disarm();
        return;
      }
      const ticks = Number(this.#deadline - this.#options.tsc());
      const wait = Math.ceil((ticks * NANOSECONDS_PER_SECOND) / this.#options.tscFrequency);
      this.#event.arm(Math.min(now + Math.max(wait, 1), FURTHEST_DEADLINE));
      return;
    }
    if (!this.#running || this.#masked) {
      this.#event.disarm();
      return;
    }
    const period = this.#period();
    const next = this.#start + period;
    this.#event.arm(
      this.#mode === TIMER_PERIODIC && period < SHORTEST_PERIOD ? Math.max(next, now + SHORTEST_PERIOD) : next,
    );
  }

  #expire(): void {
    this.#event.disarm();
    if (this.#mode === TIMER_TSC_DEADLINE) {
      if (this.#deadline === 0n) return;
      // Rounding, or a jump of the counter: not yet.
      if (this.#options.tsc() < this.#deadline) {
        this.#arm();
        return;
      }
      this.#deadline = 0n;
    } else {
      this.#catchUp();
      this.#arm();
    }
    if (!this.#masked) this.#options.expired();
  }
}
