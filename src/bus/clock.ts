/**
 * Guest time. Every device derives its counters from one injected {@link Clock}; nothing reads the host's time.
 *
 * Times are whole nanoseconds since power-on, as JavaScript numbers (exact up to 2^53 ns, about 104 days).
 */
export interface Clock {
  /** Nanoseconds since power-on; never decreases. */
  now(): number;
}

/** A callback that runs when guest time reaches its deadline. */
export interface Timer {
  /** Arms (or re-arms) the timer; a deadline in the past fires at the next opportunity. */
  arm(deadline: number): void;
  /** Disarms; harmless when not armed. */
  disarm(): void;
  /** Deadline in nanoseconds, or `undefined` while disarmed. */
  readonly deadline: number | undefined;
}

/** A clock on which devices may schedule work. */
export interface TimerService extends Clock {
  /** Creates a disarmed timer. `name` shows up in logs and orders timers with equal deadlines by creation. */
  timer(name: string, expired: () => void): Timer;
}
