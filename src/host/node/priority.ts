/** Priorities of threads: whoever compiles for the guest's thread does not take the processor from it. */
import { readdirSync } from 'node:fs';
import { getPriority, setPriority } from 'node:os';

/**
 * What is added to the nice value of the threads that help: a third of the guest's share of a processor where they have to share one. With more,
 * the guest waits for the scheduler while code is compiled that it could do without; with less, nothing would be compiled on a
 * host that has other things to do.
 */
const HELPING = 5;

const NICEST = 19;

/** The process's threads, by number, where the system shows them. */
const THREADS = '/proc/self/task';

/** The nice value of threads that help, to be asked for by the process's first thread; undefined where threads have none of their own. */
export function helpersPriority(): number | undefined {
  return process.platform === 'linux' ? Math.min(getPriority() + HELPING, NICEST) : undefined;
}

/** Where it may not, or threads have no priorities of their own, everything stays as it is: only slower. */
function lower(threads: () => readonly number[]): void {
  const nice = helpersPriority();
  if (nice === undefined) return;
  try {
    for (const thread of threads()) setPriority(thread, nice);
  } catch {}
}

/** Lowers the calling thread, which is not the guest's. */
export function lowerThisThread(): void {
  lower(() => [0]);
}

/** Lowers the threads of V8's own, which are there by now; to be called by the process's first thread, the guest's. */
export function lowerHelpers(): void {
  lower(() =>
    readdirSync(THREADS)
      .map(Number)
      .filter((thread) => thread !== process.pid),
  );
}
