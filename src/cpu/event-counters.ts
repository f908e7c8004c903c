/** Counts of the events that interrupt a program's flow, for statistics. They are no part of the processor's state. */

const VECTORS = 256;

export class EventCounters {
  /** Exceptions delivered, by vector; those that a hypervisor inside intercepted count as exits instead. */
  readonly exceptions = new Float64Array(VECTORS);
  /** Maskable interrupts delivered, by vector, and NMIs (vector 2). */
  readonly interrupts = new Float64Array(VECTORS);
  /** INT n, by vector. */
  readonly software = new Float64Array(VECTORS);
  /** #VMEXITs by exit code. */
  readonly exits = new Map<number, number>();

  exit(code: number): void {
    this.exits.set(code, (this.exits.get(code) ?? 0) + 1);
  }
}
