/** The machine's clocks: guest time from instructions retired, or from the host's clock. */
import type { Clock } from '../bus/clock.ts';

/** Guest time is a constant per instruction, plus what idling skipped. The same inputs give the same run. */
export class InstructionClock implements Clock {
  private readonly retired: () => number;
  private skipped = 0;

  constructor(retired: () => number) {
    this.retired = retired;
  }
  now(): number {
    return this.skipped + this.retired() * NANOSECONDS_PER_INSTRUCTION;
  }
  /** Moves on without executing anything. */
  skip(nanoseconds: number): void {
    this.skipped += Math.max(0, Math.ceil(nanoseconds));
  }
}

/** Virtual nanoseconds per instruction. */
export const NANOSECONDS_PER_INSTRUCTION = 1;

/**
 * The fastest that a real clock runs while it is behind, in nanoseconds per instruction: some sixty million instructions a
 * second. Code that runs for the first time is slower than that; see {@link HostClock}.
 */
const FASTEST_PACE = 16;
/** Most time that a real clock may be behind the host's, in nanoseconds. Beyond it the guest's time passes at any pace. */
const MOST_OWED = 1_000_000_000;
/** Largest step while the guest runs, in nanoseconds. */
const LONGEST_STEP = 5_000_000;

/**
 * Guest time follows the host's clock. Where the guest makes little headway, since its code has to be translated first, time
 * stays behind and catches up when code runs at speed or the guest idles: between the programming of a timer and its interrupt
 * there are always enough instructions for what a kernel expects to be long done by then. When the host did something else
 * for long (other processes, a suspended laptop), the guest's clock stands still: a guest that measures its timers against
 * each other sees a consistent machine.
 */
export class HostClock implements Clock {
  private readonly host: () => number;
  private readonly retired: () => number;
  private last: number;
  private lastRetired = 0;
  private guest = 0;
  /** Time that has passed on the host and is yet to pass for the guest. */
  private owed = 0;
  private deadline = Infinity;
  /** Called once, from within `now`, when a timer has come while the guest runs. */
  due: () => void = () => {};

  /**
   * @param host nanoseconds of a monotonic clock
   * @param retired instructions that the guest has completed
   */
  constructor(host: () => number, retired: () => number) {
    this.host = host;
    this.retired = retired;
    this.last = host();
  }
  now(): number {
    const host = this.host();
    const retired = this.retired();
    const owed = this.owed + Math.min(host - this.last, MOST_OWED);
    const pace = (retired - this.lastRetired) * FASTEST_PACE;
    this.last = host;
    this.lastRetired = retired;
    let step = Math.min(owed, Math.max(pace, Math.min(owed - MOST_OWED, LONGEST_STEP)));
    if (this.guest + step >= this.deadline) {
      step = this.deadline - this.guest;
      this.deadline = Infinity;
      this.due();
    }
    this.guest += step;
    this.owed = Math.min(owed - step, MOST_OWED);
    return Math.floor(this.guest);
  }
  /**
   * The guest is about to run. Its time does not pass `deadline` before the timer there has had its turn: however late that
   * is, a periodic timer ticks as often as the guest's other clocks say.
   */
  runUntil(deadline: number): void {
    this.deadline = Math.max(deadline, this.guest);
  }
  /** About how many instructions the guest will complete while its time passes, at `speed` instructions per nanosecond. */
  instructionsFor(nanoseconds: number, speed: number): number {
    return nanoseconds * (this.owed > 0 ? Math.min(speed, 1 / FASTEST_PACE) : speed);
  }
  /** The guest is about to wait: owed time passes at once, up to the end of the wait. Gives what is left of the wait. */
  idle(wait: number): number {
    const paid = Math.max(0, Math.min(this.owed, wait));
    this.guest += paid;
    this.owed -= paid;
    this.deadline = Infinity;
    return wait - paid;
  }
  /** After the machine idled on purpose: all of that time counts. */
  resume(): void {
    const host = this.host();
    this.guest += host - this.last;
    this.deadline = Infinity;
    this.last = host;
  }
}
