import type { AccessSize, PortDevice } from '../bus/ports.ts';

/** A device whose registers are one byte wide, as everything on the ISA bus of the original PC is. */
export interface BytePorts {
  readByte(port: number): number;
  writeByte(port: number, value: number): void;
}

/**
 * Presents byte-wide registers as a {@link PortDevice}. Wider accesses become byte accesses at ascending ports,
 * which is how an 8-bit ISA target answers a 16- or 32-bit cycle.
 */
export function bytePorts(registers: BytePorts): PortDevice {
  return {
    readPort(port: number, size: AccessSize): number {
      let value = 0;
      for (let index = 0; index < size; index++) value |= (registers.readByte(port + index) & 0xff) << (8 * index);
      return value >>> 0;
    },
    writePort(port: number, size: AccessSize, value: number): void {
      for (let index = 0; index < size; index++) registers.writeByte(port + index, (value >>> (8 * index)) & 0xff);
    },
  };
}
