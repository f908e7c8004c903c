/** Elements of string instructions in the arena: copies and fills as the manual's one-after-the-other would do them. */
import type { Cpu } from '../cpu.ts';
import { arenaOf } from './plain-memory.ts';

export type ElementBytes = 1 | 2 | 4 | 8;

/** Copies inside the arena exactly as element after element would, overlaps included. */
export function copyElements(
  cpu: Cpu,
  from: number,
  to: number,
  count: number,
  bytes: ElementBytes,
  backward: boolean,
): void {
  const length = count * bytes;
  const lowest = backward ? length - bytes : 0;
  const source = from - lowest;
  const target = to - lowest;
  // The source would be overwritten ahead of the copy.
  const propagates = backward
    ? target < source && source < target + length
    : source < target && target < source + length;
  if (!propagates) {
    cpu.bytes.copyWithin(target, source, source + length);
    return;
  }
  const { view } = arenaOf(cpu);
  const step = backward ? -bytes : bytes;
  for (let i = 0; i < count; i++) {
    const a = from + i * step;
    const b = to + i * step;
    if (bytes === 1) view.setUint8(b, view.getUint8(a));
    else if (bytes === 2) view.setUint16(b, view.getUint16(a, true), true);
    else if (bytes === 4) view.setUint32(b, view.getUint32(a, true), true);
    else {
      const low = view.getUint32(a, true);
      const high = view.getUint32(a + 4, true);
      view.setUint32(b, low, true);
      view.setUint32(b + 4, high, true);
    }
  }
}

/** Fills with copies of the element at `start`, by doubling. */
export function replicate(memory: Uint8Array, start: number, bytes: number, length: number): void {
  for (let filled = bytes; filled < length; filled *= 2) {
    memory.copyWithin(start + filled, start, start + Math.min(filled, length - filled));
  }
}

/** The element at an arena address. */
export function elementAt(view: DataView, address: number, bytes: ElementBytes): number | bigint {
  if (bytes === 1) return view.getUint8(address);
  if (bytes === 2) return view.getUint16(address, true);
  return bytes === 4 ? view.getUint32(address, true) : view.getBigUint64(address, true);
}
