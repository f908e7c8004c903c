/**
 * Guest time: a clock the machine moves, the queue of timers that hang on it, and exact conversion between nanoseconds
 * and the ticks of an oscillator.
 */
import type { Clock, Timer, TimerService } from './clock.ts';

const NANOSECONDS_PER_SECOND = 1_000_000_000;

/**
 * A clock that stands still until it is moved. The machine moves it with the instructions it retires, tests move it by
 * hand, and an idle machine moves it straight to {@link EventQueue.nextDeadline}.
 */
export class VirtualClock implements Clock {
  #now: number;

  /** Starts at `start` nanoseconds since power-on. */
  constructor(start = 0) {
    this.#now = start;
  }

  now(): number {
    return this.#now;
  }

  /** Moves to `time`, in nanoseconds since power-on, rounded down. Going back is ignored: guest time never decreases. */
  advanceTo(time: number): void {
    const whole = Math.floor(time);
    if (whole > this.#now) this.#now = whole;
  }

  /** Sets the time unconditionally, for restoring a snapshot before its devices are restored. */
  reset(time: number): void {
    this.#now = Math.floor(time);
  }
}

/** Position of a timer that is not in the heap. */
const NOT_QUEUED = -1;

class QueuedTimer implements Timer {
  readonly name: string;
  readonly expired: () => void;
  /** Order of creation; decides between equal deadlines. */
  readonly order: number;
  readonly #queue: EventQueue;
  /** Deadline while armed; `undefined` otherwise. */
  deadline: number | undefined = undefined;
  /** Index in the heap, or {@link NOT_QUEUED}. An armed timer outside the heap waits for the end of the current run. */
  position = NOT_QUEUED;
  /** Number of the last {@link EventQueue.runDue} that ran the callback. */
  lastRun = 0;

  constructor(queue: EventQueue, name: string, expired: () => void, order: number) {
    this.#queue = queue;
    this.name = name;
    this.expired = expired;
    this.order = order;
  }

  arm(deadline: number): void {
    this.#queue.schedule(this, deadline);
  }

  disarm(): void {
    this.#queue.cancel(this);
  }
}

/** Whether `a` fires before `b`: the earlier deadline, then the timer created first. */
function firesBefore(a: QueuedTimer, b: QueuedTimer): boolean {
  const first = a.deadline as number;
  const second = b.deadline as number;
  return first < second || (first === second && a.order < b.order);
}

/**
 * Timers in a binary heap, ordered by deadline and then by creation, so that the same guest run always fires the same
 * callbacks in the same order.
 *
 * Nothing fires by itself: whoever moves the clock calls {@link runDue}. A callback runs at most once per `runDue`, so
 * a timer that re-arms itself in the past cannot keep the host busy; it fires again in the next `runDue`.
 */
export class EventQueue implements TimerService {
  /**
   * Called when the earliest deadline moves to an earlier time than before, so that the machine can shorten the
   * instruction budget it is running on.
   */
  onEarlierDeadline: ((deadline: number) => void) | undefined = undefined;

  readonly #clock: Clock;
  readonly #heap: QueuedTimer[] = [];
  /** Timers that fired in the current run and armed themselves again for a time already past. */
  readonly #deferred: QueuedTimer[] = [];
  #created = 0;
  #runs = 0;
  #running = false;
  #limit = 0;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  now(): number {
    return this.#clock.now();
  }

  timer(name: string, expired: () => void): Timer {
    return new QueuedTimer(this, name, expired, this.#created++);
  }

  /** Earliest deadline in nanoseconds; `Infinity` when nothing is armed. */
  nextDeadline(): number {
    return this.#heap.length === 0 ? Infinity : (this.#heap[0].deadline as number);
  }

  /** Runs the callbacks of every timer whose deadline has come. Returns how many ran. */
  runDue(): number {
    if (this.#running) return 0;
    const heap = this.#heap;
    this.#limit = this.#clock.now();
    if (heap.length === 0 || (heap[0].deadline as number) > this.#limit) return 0;
    this.#running = true;
    const run = ++this.#runs;
    let fired = 0;
    try {
      while (heap.length > 0 && (heap[0].deadline as number) <= this.#limit) {
        const timer = heap[0];
        this.#remove(timer);
        timer.deadline = undefined;
        timer.lastRun = run;
        fired++;
        timer.expired();
      }
    } finally {
      this.#running = false;
      for (const timer of this.#deferred.splice(0)) if (timer.deadline !== undefined) this.#insert(timer);
    }
    return fired;
  }

  /** Names and deadlines of the armed timers in firing order, for the debugger. */
  armed(): { name: string; deadline: number }[] {
    return [...this.#heap, ...this.#deferred]
      .sort((a, b) => (firesBefore(a, b) ? -1 : 1))
      .map((timer) => ({ name: timer.name, deadline: timer.deadline as number }));
  }

  /** Arms `timer`; used by the timers themselves. A deadline that is not a number counts as never. */
  schedule(timer: QueuedTimer, deadline: number): void {
    this.cancel(timer);
    if (!(deadline < Infinity)) return;
    timer.deadline = deadline;
    if (this.#running && timer.lastRun === this.#runs && deadline <= this.#limit) {
      this.#deferred.push(timer);
      return;
    }
    const before = this.nextDeadline();
    this.#insert(timer);
    if (deadline < before) this.onEarlierDeadline?.(deadline);
  }

  /** Disarms `timer`; used by the timers themselves. */
  cancel(timer: QueuedTimer): void {
    if (timer.deadline === undefined) return;
    if (timer.position === NOT_QUEUED) this.#deferred.splice(this.#deferred.indexOf(timer), 1);
    else this.#remove(timer);
    timer.deadline = undefined;
  }

  #insert(timer: QueuedTimer): void {
    this.#heap.push(timer);
    this.#siftUp(timer, this.#heap.length - 1);
  }

  #remove(timer: QueuedTimer): void {
    const hole = timer.position;
    const last = this.#heap.pop() as QueuedTimer;
    timer.position = NOT_QUEUED;
    if (last === timer) return;
    const parent = hole > 0 ? this.#heap[(hole - 1) >> 1] : undefined;
    if (parent !== undefined && firesBefore(last, parent)) this.#siftUp(last, hole);
    else this.#siftDown(last, hole);
  }

  #siftUp(timer: QueuedTimer, start: number): void {
    const heap = this.#heap;
    let position = start;
    while (position > 0) {
      const parent = heap[(position - 1) >> 1];
      if (!firesBefore(timer, parent)) break;
      heap[position] = parent;
      parent.position = position;
      position = (position - 1) >> 1;
    }
    heap[position] = timer;
    timer.position = position;
  }

  #siftDown(timer: QueuedTimer, start: number): void {
    const heap = this.#heap;
    let position = start;
    for (;;) {
      let child = 2 * position + 1;
      if (child >= heap.length) break;
      if (child + 1 < heap.length && firesBefore(heap[child + 1], heap[child])) child++;
      if (!firesBefore(heap[child], timer)) break;
      heap[position] = heap[child];
      heap[position].position = position;
      position = child;
    }
    heap[position] = timer;
    timer.position = position;
  }
}

/** Moves `clock` to `time` by way of every deadline on the road, firing each timer at its own deadline. */
export function runUntil(clock: VirtualClock, queue: EventQueue, time: number): void {
  for (;;) {
    const deadline = queue.nextDeadline();
    if (deadline > time) break;
    clock.advanceTo(deadline);
    queue.runDue();
  }
  clock.advanceTo(time);
}

/**
 * A crystal counted since power-on. Both directions are exact for all times a {@link Clock} can show, so counters
 * derived from it never drift. The frequency is at most a few megahertz: its product with 10^9 must stay below 2^53.
 */
export class Oscillator {
  readonly hertz: number;

  constructor(hertz: number) {
    if (!Number.isInteger(hertz) || hertz <= 0 || !Number.isSafeInteger(hertz * NANOSECONDS_PER_SECOND)) {
      throw new RangeError(`an oscillator of ${hertz} Hz cannot be counted exactly`);
    }
    this.hertz = hertz;
  }

  /** Whole ticks that have passed at `time` nanoseconds. */
  ticksAt(time: number): number {
    const seconds = Math.floor(time / NANOSECONDS_PER_SECOND);
    const rest = time - seconds * NANOSECONDS_PER_SECOND;
    return seconds * this.hertz + Math.floor((rest * this.hertz) / NANOSECONDS_PER_SECOND);
  }

  /** First nanosecond at which `ticks` ticks have passed: `ticksAt(timeOf(n)) === n`. */
  timeOf(ticks: number): number {
    const seconds = Math.floor(ticks / this.hertz);
    const rest = ticks - seconds * this.hertz;
    return seconds * NANOSECONDS_PER_SECOND + Math.ceil((rest * NANOSECONDS_PER_SECOND) / this.hertz);
  }
}
