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

/** Longest gap between two looks at the clock while the guest runs that counts in full, in nanoseconds. */
const LONGEST_GAP = 5_000_000;

/**
 * Guest time follows the host's clock while the host lets the machine run. When the host did something else for long (other
 * processes, a suspended laptop), the guest's clock stands still: a guest that measures its timers against each other sees a
 * consistent machine.
 */
export class HostClock implements Clock {
  private readonly host: () => number;
  private last: number;
  private guest = 0;
  /** Time beyond the last deadline that the guest has yet to see. */
  private owed = 0;
  private deadline = Infinity;
  /** Called once, from within `now`, when a timer has come while the guest runs. */
  due: () => void = () => {};

  /** @param host nanoseconds of a monotonic clock */
  constructor(host: () => number) {
    this.host = host;
    this.last = host();
  }
  now(): number {
    const host = this.host();
    this.guest += Math.min(host - this.last, LONGEST_GAP);
    this.last = host;
    if (this.guest >= this.deadline) {
      this.owed = Math.min(this.owed + this.guest - this.deadline, LONGEST_GAP);
      this.guest = this.deadline;
      this.deadline = Infinity;
      this.due();
    }
    return Math.floor(this.guest);
  }
  /**
   * The guest is about to run. Its time does not pass `deadline` before the timer there has had its turn: however late that
   * is, a periodic timer ticks as often as the guest's other clocks say.
   */
  runUntil(deadline: number): void {
    const paid = Math.max(0, Math.min(this.owed, deadline - this.guest));
    this.guest += paid;
    this.owed -= paid;
    this.deadline = Math.max(deadline, this.guest);
  }
  /** After the machine idled on purpose: all of that time counts, and nobody waits for what was owed. */
  resume(): void {
    const host = this.host();
    this.guest += host - this.last + this.owed;
    this.owed = 0;
    this.deadline = Infinity;
    this.last = host;
  }
}
