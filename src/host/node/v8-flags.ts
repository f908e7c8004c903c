/** Settings of V8 that suit code compiled while it runs. A browser has none of them; everything works without. */
import { setFlagsFromString } from 'node:v8';

const FLAGS = [
  // The work after which a function is compiled once more, by the optimizing compiler. Guests spend their time in many
  // functions for a short while each, and the second compiler works on threads of its own: forks and pipes in a Linux guest
  // run 1.5 times as fast as with V8's 13,000,000.
  '--wasm-tiering-budget=2000000',
  // Handlers and regions call no others, they only leave for them, and a loop lasts no longer than the budget: neither need
  // ask whether the stack has an end.
  '--no-wasm-stack-checks',
] as const;

/**
 * Regions have been run often when they are compiled, nearly all of them would be compiled once more soon, and the thread that
 * compiles them has the time: straight away by the optimizing compiler, and the whole module.
 */
const OPTIMIZE = ['--no-liftoff', '--no-wasm-lazy-compilation'] as const;
const AS_BEFORE = ['--liftoff', '--wasm-lazy-compilation'] as const;

/**
 * Values of a word that threads share: whoever compiles to WebAssembly while another might be `optimized` has to hold it. V8 14.6 ends the
 * process where it compiles calls within a module without Liftoff: it would inline them, and looks for feedback that there is not.
 */
const LOCK = { FREE: 0, HELD: 1 } as const;
/** Milliseconds after which whoever holds it will not give it back any more. */
const LONGEST_HELD = 10_000;

/** Does something while holding the lock. */
export function holding<T>(lock: Int32Array<SharedArrayBuffer>, action: () => T): T {
  while (Atomics.compareExchange(lock, 0, LOCK.FREE, LOCK.HELD) !== LOCK.FREE)
    if (Atomics.wait(lock, 0, LOCK.HELD, LONGEST_HELD) === 'timed-out') break;
  try {
    return action();
  } finally {
    Atomics.store(lock, 0, LOCK.FREE);
    Atomics.notify(lock, 0);
  }
}

/** What `compile` compiles to WebAssembly, and what other threads do meanwhile, is optimized at once. */
export function optimized<T>(compile: () => T): T {
  for (const flag of OPTIMIZE) setFlagsFromString(flag);
  try {
    return compile();
  } finally {
    for (const flag of AS_BEFORE) setFlagsFromString(flag);
  }
}

/** Sets them; to be called before anything is compiled to WebAssembly. */
export function setV8Flags(): void {
  for (const flag of FLAGS) setFlagsFromString(flag);
}
