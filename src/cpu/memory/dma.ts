import type { GuestMemory } from '../../bus/memory.ts';
import type { PhysicalSpace } from './physical.ts';

/** Guest-physical memory for bus masters: RAM and ROM only. Reads elsewhere give all ones, writes elsewhere are dropped. */
export class DmaMemory implements GuestMemory {
  private readonly space: PhysicalSpace;
  private readonly small = new Uint8Array(8);
  private readonly smallView = new DataView(this.small.buffer);
  private readonly views = [1, 2, 4, 8].map((size) => this.small.subarray(0, size));

  constructor(space: PhysicalSpace) {
    this.space = space;
  }

  read(address: number, length: number): Uint8Array {
    const bytes = new Uint8Array(length);
    this.space.copyOut(address, bytes);
    return bytes;
  }
  write(address: number, bytes: Uint8Array): void {
    this.space.copyIn(address, bytes);
  }
  readU8(address: number): number {
    this.space.copyOut(address, this.views[0]);
    return this.small[0];
  }
  readU16(address: number): number {
    this.space.copyOut(address, this.views[1]);
    return this.smallView.getUint16(0, true);
  }
  readU32(address: number): number {
    this.space.copyOut(address, this.views[2]);
    return this.smallView.getUint32(0, true);
  }
  readU64(address: number): bigint {
    this.space.copyOut(address, this.views[3]);
    return this.smallView.getBigUint64(0, true);
  }
  writeU8(address: number, value: number): void {
    this.small[0] = value;
    this.space.copyIn(address, this.views[0]);
  }
  writeU16(address: number, value: number): void {
    this.smallView.setUint16(0, value, true);
    this.space.copyIn(address, this.views[1]);
  }
  writeU32(address: number, value: number): void {
    this.smallView.setUint32(0, value, true);
    this.space.copyIn(address, this.views[2]);
  }
  writeU64(address: number, value: bigint): void {
    this.smallView.setBigUint64(0, value, true);
    this.space.copyIn(address, this.views[3]);
  }
}
