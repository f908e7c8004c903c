import { randomFillSync } from 'node:crypto';
import type { EntropySource } from '../../bus/streams.ts';

/** The host's random numbers. */
export const hostEntropy: EntropySource = {
  fill(target) {
    randomFillSync(target);
  },
};

/** The same bytes for the same seed (splitmix32): for runs that must repeat. */
export function seededEntropy(seed: number): EntropySource {
  let state = seed >>> 0;
  return {
    fill(target) {
      for (let i = 0; i < target.length; i++) {
        state = (state + 0x9e3779b9) >>> 0;
        let z = state;
        z = Math.imul(z ^ (z >>> 16), 0x21f0aaad);
        z = Math.imul(z ^ (z >>> 15), 0x735a2d97);
        target[i] = (z ^ (z >>> 15)) & 0xff;
      }
    },
  };
}
