/** Width of a port or MMIO access in bytes. */
export type AccessSize = 1 | 2 | 4;

/** A device's registers in the 64 KiB I/O space. `port` is the absolute port number. Values are unsigned. */
export interface PortDevice {
  readPort(port: number, size: AccessSize): number;
  writePort(port: number, size: AccessSize, value: number): void;
}

/** A device's registers in memory space. `offset` counts from the start of the region. Values are unsigned. */
export interface MmioDevice {
  readMmio(offset: number, size: AccessSize): number;
  writeMmio(offset: number, size: AccessSize, value: number): void;
}

/** Where devices attach themselves. Attaching over an existing range throws (a wiring error, not a guest's doing). */
export interface IoSpace {
  attachPorts(first: number, count: number, device: PortDevice): Attachment;
  attachMmio(base: number, length: number, device: MmioDevice): Attachment;
}

/** Undoes an attachment (PCI BARs move). */
export interface Attachment {
  detach(): void;
}
