/** {@link LinearMemory}: linear memory for helpers, on top of the slow path. */
import { CS } from '../context.ts';
import type { LinearMemory } from '../cpu.ts';
import { ABORTED } from '../fault.ts';
import { PAGE_SIZE } from './arena.ts';
import { READ, WRITE } from './paging.ts';
import { ELSEWHERE, FAULT, SlowPath } from './slow-path.ts';

/** One processor's way to linear memory. */
export class LinearAccess extends SlowPath implements LinearMemory {
  /** Where 64-bit addresses are taken apart. */
  private readonly split64 = new BigUint64Array(1);
  private readonly split32 = new Int32Array(this.split64.buffer);

  /** Loads at a 64-bit address into `value`, or throws. */
  private loadAt(linear: bigint, bytes: number, system: boolean): void {
    this.begin(system);
    this.split64[0] = linear;
    if (this.load(this.split32[0], this.translation.space.longMode ? this.split32[1] : 0, bytes, READ, CS) !== 0)
      throw ABORTED;
  }
  private storeAt(linear: bigint, bytes: number, system: boolean): void {
    this.begin(system);
    this.split64[0] = linear;
    if (this.store(this.split32[0], this.translation.space.longMode ? this.split32[1] : 0, bytes, CS) !== 0)
      throw ABORTED;
  }

  readU8(linear: bigint, system = false): number {
    this.loadAt(linear, 1, system);
    return this.value32[0];
  }
  readU16(linear: bigint, system = false): number {
    this.loadAt(linear, 2, system);
    return this.value32[0];
  }
  readU32(linear: bigint, system = false): number {
    this.loadAt(linear, 4, system);
    return this.value32[0];
  }
  readU64(linear: bigint, system = false): bigint {
    this.loadAt(linear, 8, system);
    return this.cpu.slowValue[0];
  }
  writeU8(linear: bigint, value: number, system = false): void {
    this.value32[0] = value;
    this.storeAt(linear, 1, system);
  }
  writeU16(linear: bigint, value: number, system = false): void {
    this.value32[0] = value;
    this.storeAt(linear, 2, system);
  }
  writeU32(linear: bigint, value: number, system = false): void {
    this.value32[0] = value;
    this.storeAt(linear, 4, system);
  }
  writeU64(linear: bigint, value: bigint, system = false): void {
    this.cpu.slowValue[0] = value;
    this.storeAt(linear, 8, system);
  }

  readBytes(linear: bigint, length: number, system = false): Uint8Array {
    const result = new Uint8Array(length);
    this.begin(system);
    this.transfer(linear, result, READ);
    return result;
  }

  writeBytes(linear: bigint, bytes: Uint8Array, system = false): void {
    // Both pages are checked before the first byte changes.
    this.probe(linear, bytes.length, 'w', system);
    this.transfer(linear, bytes, WRITE);
  }

  /** Moves bytes page by page. */
  private transfer(linear: bigint, data: Uint8Array, access: number): void {
    let { lo, hi } = this.splitAddress(linear);
    for (let done = 0; done < data.length; ) {
      const offset = lo & 0xfff;
      const count = Math.min(PAGE_SIZE - offset, data.length - done);
      const address = this.locate(lo, hi, access, CS);
      if (address === FAULT) throw ABORTED;
      if (address === ELSEWHERE) {
        for (let i = 0; i < count; i++) {
          if (access === READ) data[done + i] = this.physical.readWithinPage(this.page, offset + i, 1);
          else this.physical.writeWithinPage(this.page, offset + i, 1, data[done + i]);
        }
      } else if (access === READ) {
        data.set(this.bytes.subarray(address, address + count), done);
      } else {
        this.bytes.set(data.subarray(done, done + count), address);
        if (this.holdsCode) this.physical.noteWrite(this.page, offset, count);
      }
      if (this.translation.breakpoints.active) this.translation.breakpoints.accessed(lo, hi, count, access === WRITE);
      done += count;
      hi = offset + count === PAGE_SIZE ? this.nextPageHigh(lo, hi) : hi;
      lo = (lo + count) | 0;
    }
  }

  probe(linear: bigint, length: number, access: 'r' | 'w', system = false): void {
    this.begin(system);
    let { lo, hi } = this.splitAddress(linear);
    for (let left = length; left > 0; ) {
      const count = Math.min(PAGE_SIZE - (lo & 0xfff), left);
      if (this.locate(lo, hi, access === 'w' ? WRITE : READ, CS) === FAULT) throw ABORTED;
      left -= count;
      hi = (lo & 0xfff) + count === PAGE_SIZE ? this.nextPageHigh(lo, hi) : hi;
      lo = (lo + count) | 0;
    }
  }

  private splitAddress(linear: bigint): { lo: number; hi: number } {
    this.split64[0] = linear;
    return { lo: this.split32[0], hi: this.translation.space.longMode ? this.split32[1] : 0 };
  }
}
