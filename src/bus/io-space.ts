/**
 * The 64 KiB I/O space and the memory-mapped regions of one machine: finds the device behind an address, splits
 * accesses that no single device can take, and answers for addresses nobody claims.
 */
import type { Log } from './log.ts';
import type { AccessSize, Attachment, IoSpace, MmioDevice, PortDevice } from './ports.ts';

/** Ports in the I/O address space (SDM vol. 1 19.3). */
const PORT_COUNT = 0x1_0000;
const PORT_MASK = PORT_COUNT - 1;

/** Distinct unclaimed memory addresses that get a log line of their own; a guest that scans memory must not fill ours. */
const MAX_LOGGED_ADDRESSES = 1024;

/** What a bus nobody drives reads as, by access size. */
const ALL_ONES = { 1: 0xff, 2: 0xffff, 4: 0xffff_ffff } as const satisfies Record<AccessSize, number>;

/** A claimed stretch of memory space. */
export interface MmioRegion {
  /** First byte, guest-physical. */
  readonly base: number;
  /** Length in bytes. */
  readonly length: number;
  readonly device: MmioDevice;
}

/** {@link IoSpace} with the side the processor uses. Values are unsigned numbers. */
export class IoSpaceMap implements IoSpace {
  readonly #log: Log;
  /** Per port, 1 + index into `#portDevices`; 0 where nobody listens. */
  readonly #portOwner = new Uint16Array(PORT_COUNT);
  readonly #portDevices: (PortDevice | undefined)[] = [undefined];
  /** Regions by ascending base; they never overlap. */
  readonly #regions: MmioRegion[] = [];
  #lastRegion: MmioRegion | undefined = undefined;
  readonly #loggedPorts = new Set<number>();
  readonly #loggedAddresses = new Set<number>();

  constructor(log: Log) {
    this.#log = log;
  }

  attachPorts(first: number, count: number, device: PortDevice): Attachment {
    if (!Number.isInteger(first) || first < 0 || count < 1 || first + count > PORT_COUNT) {
      throw new RangeError(`ports ${hex(first)}+${count} are not in the I/O space`);
    }
    for (let port = first; port < first + count; port++) {
      if (this.#portOwner[port] !== 0) throw new Error(`port ${hex(port)} already belongs to a device`);
    }
    // Detached slots are used again, so that moving a BAR back and forth leaks nothing.
    let owner = this.#portDevices.indexOf(undefined, 1);
    if (owner === -1) owner = this.#portDevices.length;
    this.#portDevices[owner] = device;
    this.#portOwner.fill(owner, first, first + count);
    let attached = true;
    return {
      detach: () => {
        if (!attached) return;
        attached = false;
        this.#portOwner.fill(0, first, first + count);
        this.#portDevices[owner] = undefined;
      },
    };
  }

  attachMmio(base: number, length: number, device: MmioDevice): Attachment {
    if (!Number.isSafeInteger(base) || base < 0 || length < 1 || !Number.isSafeInteger(base + length)) {
      throw new RangeError(`memory region ${hex(base)}+${hex(length)} is not a guest-physical range`);
    }
    const index = this.#firstRegionAbove(base);
    const below = this.#regions[index - 1];
    const above = this.#regions[index];
    const clash =
      below !== undefined && below.base + below.length > base
        ? below
        : above !== undefined && above.base < base + length
          ? above
          : undefined;
    if (clash !== undefined) {
      throw new Error(`memory region ${hex(base)}+${hex(length)} overlaps ${hex(clash.base)}+${hex(clash.length)}`);
    }
    const region: MmioRegion = { base, length, device };
    this.#regions.splice(index, 0, region);
    return {
      detach: () => {
        const at = this.#regions.indexOf(region);
        if (at !== -1) this.#regions.splice(at, 1);
        if (this.#lastRegion === region) this.#lastRegion = undefined;
      },
    };
  }

  /** The region that holds the byte at `address`, if a device claims it. */
  findMmio(address: number): MmioRegion | undefined {
    const last = this.#lastRegion;
    if (last !== undefined && address >= last.base && address < last.base + last.length) return last;
    const region = this.#regions[this.#firstRegionAbove(address) - 1];
    if (region === undefined || address >= region.base + region.length) return undefined;
    this.#lastRegion = region;
    return region;
  }

  /** Whether any byte of `address`..`address + length - 1` belongs to a device. */
  overlapsMmio(address: number, length: number): boolean {
    const index = this.#firstRegionAbove(address);
    const below = this.#regions[index - 1];
    const above = this.#regions[index];
    return (
      (below !== undefined && below.base + below.length > address) ||
      (above !== undefined && above.base < address + length)
    );
  }

  readPort(port: number, size: AccessSize): number {
    const owner = this.#portOwner[port];
    if (owner !== 0 && (size === 1 || this.#portOwner[port + size - 1] === owner)) {
      return (this.#portDevices[owner] as PortDevice).readPort(port, size) >>> 0;
    }
    if (size === 1 || this.#portsUnclaimed(port, size)) {
      this.#logPort('read of', port);
      return ALL_ONES[size];
    }
    let value = 0;
    for (let i = 0; i < size; i++) value |= (this.readPort((port + i) & PORT_MASK, 1) & 0xff) << (8 * i);
    return value >>> 0;
  }

  writePort(port: number, size: AccessSize, value: number): void {
    const owner = this.#portOwner[port];
    if (owner !== 0 && (size === 1 || this.#portOwner[port + size - 1] === owner)) {
      (this.#portDevices[owner] as PortDevice).writePort(port, size, (value & ALL_ONES[size]) >>> 0);
      return;
    }
    if (size === 1 || this.#portsUnclaimed(port, size)) {
      this.#logPort('write to', port);
      return;
    }
    for (let i = 0; i < size; i++) this.writePort((port + i) & PORT_MASK, 1, (value >>> (8 * i)) & 0xff);
  }

  readMmio(address: number, size: AccessSize): number {
    const region = this.findMmio(address);
    if (region !== undefined && address + size <= region.base + region.length) {
      return region.device.readMmio(address - region.base, size) >>> 0;
    }
    if (size === 1 || !this.overlapsMmio(address, size)) {
      this.#logAddress('read of', address);
      return ALL_ONES[size];
    }
    let value = 0;
    for (let i = 0; i < size; i++) value |= (this.readMmio(address + i, 1) & 0xff) << (8 * i);
    return value >>> 0;
  }

  writeMmio(address: number, size: AccessSize, value: number): void {
    const region = this.findMmio(address);
    if (region !== undefined && address + size <= region.base + region.length) {
      region.device.writeMmio(address - region.base, size, (value & ALL_ONES[size]) >>> 0);
      return;
    }
    if (size === 1 || !this.overlapsMmio(address, size)) {
      this.#logAddress('write to', address);
      return;
    }
    for (let i = 0; i < size; i++) this.writeMmio(address + i, 1, (value >>> (8 * i)) & 0xff);
  }

  /** An 8-byte read, as two 4-byte ones, the lower address first. */
  readMmio64(address: number): bigint {
    const low = this.readMmio(address, 4);
    return BigInt(low) | (BigInt(this.readMmio(address + 4, 4)) << 32n);
  }

  /** An 8-byte write, as two 4-byte ones, the lower address first. */
  writeMmio64(address: number, value: bigint): void {
    this.writeMmio(address, 4, Number(value & 0xffff_ffffn));
    this.writeMmio(address + 4, 4, Number((value >> 32n) & 0xffff_ffffn));
  }

  /** Index of the first region whose base lies above `address`. */
  #firstRegionAbove(address: number): number {
    let low = 0;
    let high = this.#regions.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (this.#regions[middle].base <= address) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  #portsUnclaimed(port: number, size: AccessSize): boolean {
    for (let i = 0; i < size; i++) if (this.#portOwner[(port + i) & PORT_MASK] !== 0) return false;
    return true;
  }

  #logPort(what: string, port: number): void {
    if (!this.#log.enabled('unimplemented') || this.#loggedPorts.has(port)) return;
    this.#loggedPorts.add(port);
    this.#log.write('unimplemented', `${what} port ${hex(port)}: no device there`);
  }

  #logAddress(what: string, address: number): void {
    const logged = this.#loggedAddresses;
    if (!this.#log.enabled('unimplemented') || logged.size >= MAX_LOGGED_ADDRESSES || logged.has(address)) return;
    logged.add(address);
    const last = logged.size === MAX_LOGGED_ADDRESSES ? '; further addresses are not logged' : '';
    this.#log.write('unimplemented', `${what} address ${hex(address)}: no device or memory there${last}`);
  }
}

/** Byte-wide registers behind ports: wider accesses become byte accesses to consecutive ports, as on the ISA bus. */
export function bytePorts(read: (port: number) => number, write: (port: number, value: number) => void): PortDevice {
  return {
    readPort(port, size) {
      let value = read(port);
      for (let i = 1; i < size; i++) value |= read(port + i) << (8 * i);
      return value >>> 0;
    },
    writePort(port, size, value) {
      write(port, value & 0xff);
      for (let i = 1; i < size; i++) write(port + i, (value >>> (8 * i)) & 0xff);
    },
  };
}

/**
 * Reads bytes out of 32-bit registers at dword offsets: a narrower access sees its bytes of the register, an unaligned
 * one the bytes of both.
 */
export function readDwordRegisters(read: (offset: number) => number, offset: number, size: AccessSize): number {
  const within = offset & 3;
  const low = read(offset - within) >>> (8 * within);
  if (within + size <= 4) return (low & ALL_ONES[size]) >>> 0;
  const high = read(offset - within + 4) << (8 * (4 - within));
  return ((low | high) & ALL_ONES[size]) >>> 0;
}

function hex(value: number): string {
  return `0x${value.toString(16)}`;
}
