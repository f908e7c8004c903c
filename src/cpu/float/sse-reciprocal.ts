/**
 * RCPSS, RCPPS, RSQRTSS, RSQRTPS: approximations of relative error below 1.5 * 2^-12, of which the architecture fixes only
 * that bound (SDM vol. 2B). Here they are as exact as binary32 allows. No exceptions, no MXCSR; denormals count as zeros.
 */
import { decode32 } from './encoding.ts';
import { DENORMAL, INDEFINITE, infinity, QUIET_NAN, quiet, ZERO } from './number.ts';
import { write32 } from './sse.ts';

/** memory[destination] = approximation of a function of memory[source]. */
export type Approximation32 = (memory: DataView, destination: number, source: number) => void;

const MINIMUM_NORMAL = 2 ** -126;
const SIGN = 0x8000_0000;

/** RCPSS: 1 / x; tiny results are flushed to zero. */
export const reciprocal32: Approximation32 = (memory, destination, source) => {
  const a = decode32(memory.getUint32(source, true));
  if (a.kind >= QUIET_NAN) return write32(memory, destination, quiet(a));
  if (a.kind === ZERO || a.kind === DENORMAL) return write32(memory, destination, infinity(a.negative));
  const result = 1 / memory.getFloat32(source, true);
  if (Math.abs(result) > MINIMUM_NORMAL) memory.setFloat32(destination, result, true);
  else memory.setUint32(destination, a.negative ? SIGN : 0, true);
};

/** RSQRTSS: 1 / sqrt(x); the indefinite for negative numbers. */
export const reciprocalSquareRoot32: Approximation32 = (memory, destination, source) => {
  const a = decode32(memory.getUint32(source, true));
  if (a.kind >= QUIET_NAN) return write32(memory, destination, quiet(a));
  if (a.kind === ZERO || a.kind === DENORMAL) return write32(memory, destination, infinity(a.negative));
  if (a.negative) return write32(memory, destination, INDEFINITE);
  memory.setFloat32(destination, 1 / Math.sqrt(memory.getFloat32(source, true)), true);
};
