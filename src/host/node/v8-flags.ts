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
 * What `compile` compiles to WebAssembly, and what other threads do meanwhile, is optimized at once. V8 14.6 ends the process where that is a
 * call within a module, which it would inline: it looks for feedback that only Liftoff's code gives. Handlers and regions have tail
 * calls only; Node's compiler of types is not like that, so no thread may begin to load TypeScript while guest code is compiled.
 */
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
