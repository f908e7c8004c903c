/**
 * Guest-physical memory as bus masters see it. Addresses are guest-physical bytes as numbers (exact to 2^52).
 * Reads outside memory give all ones; writes there are dropped. Writes invalidate translated code they touch.
 */
export interface GuestMemory {
  read(address: number, length: number): Uint8Array;
  write(address: number, bytes: Uint8Array): void;
  readU8(address: number): number;
  readU16(address: number): number;
  readU32(address: number): number;
  readU64(address: number): bigint;
  writeU8(address: number, value: number): void;
  writeU16(address: number, value: number): void;
  writeU32(address: number, value: number): void;
  writeU64(address: number, value: bigint): void;
}
