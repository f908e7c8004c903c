/** Settings of V8 that suit code compiled while it runs. A browser has none of them; everything works without. */
import { setFlagsFromString } from 'node:v8';

/**
 * The work after which a function is compiled once more, by the optimizing compiler. Guests spend their time in many regions
 * for a short while each, and the second compiler works on a thread of its own: forks and pipes in a Linux guest run 1.5
 * times as fast as with V8's 13,000,000.
 */
const FLAGS = ['--wasm-tiering-budget=2000000', '--no-wasm-stack-checks'] as const;

/**
 * Regions have been run often when they are compiled, nearly all of them would be compiled once more soon, and the thread that
 * compiles them has the time: straight away by the optimizing compiler, and the whole module. They look neither at entry nor in
 * loops whether the stack has an end: they call no regions, only leave for them, and a loop lasts no longer than the budget.
 */
const OPTIMIZE = ['--no-liftoff', '--no-wasm-lazy-compilation', '--no-wasm-stack-checks'] as const;
const AS_BEFORE = ['--liftoff', '--wasm-lazy-compilation'] as const;

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
