/** Access to PCI configuration space: mechanism #1 in I/O space, and the enhanced mechanism in memory. */
import type { AccessSize, IoSpace, MmioDevice, PortDevice } from '../../bus/ports.ts';
import type { PciBus } from './model.ts';

/** CONFIG_ADDRESS and CONFIG_DATA (PCI 3.0 section 3.2.2.3.2). */
const CONFIG_ADDRESS_PORT = 0xcf8;
const CONFIG_DATA_PORT = 0xcfc;
const CONFIG_PORTS = 8;
/** Enable in bit 31; bus, device and function in 23:8; dword in 7:2. */
const ENABLE = 0x8000_0000;
const ADDRESS_WRITABLE = 0x80ff_fffc;

/** Saved state. */
export interface PciConfigPortsState {
  readonly version: 1;
  readonly address: number;
}

/** Configuration mechanism #1. */
export class PciConfigPorts implements PortDevice {
  readonly #bus: PciBus;
  readonly #inner: PortDevice | undefined;
  #address = 0;

  /** `inner` takes accesses to 0xcf8..0xcfb that are not 32 bits wide: the reset control register lies there. */
  constructor(bus: PciBus, inner?: PortDevice) {
    this.#bus = bus;
    this.#inner = inner;
  }

  readPort(port: number, size: AccessSize): number {
    if (port >= CONFIG_DATA_PORT) {
      return this.#address & ENABLE
        ? this.#bus.readConfig(this.#routingId, this.#offset(port), size)
        : 2 ** (8 * size) - 1;
    }
    if (port === CONFIG_ADDRESS_PORT && size === 4) return this.#address;
    return this.#inner?.readPort(port, size) ?? 2 ** (8 * size) - 1;
  }

  writePort(port: number, size: AccessSize, value: number): void {
    if (port >= CONFIG_DATA_PORT) {
      if (this.#address & ENABLE) this.#bus.writeConfig(this.#routingId, this.#offset(port), size, value);
    } else if (port === CONFIG_ADDRESS_PORT && size === 4) this.#address = (value & ADDRESS_WRITABLE) >>> 0;
    else this.#inner?.writePort(port, size, value);
  }

  reset(): void {
    this.#address = 0;
  }

  save(): PciConfigPortsState {
    return { version: 1, address: this.#address };
  }

  restore(state: PciConfigPortsState): void {
    this.#address = state.address;
  }

  get #routingId(): number {
    return (this.#address >>> 8) & 0xffff;
  }

  #offset(port: number): number {
    return (this.#address & 0xfc) + port - CONFIG_DATA_PORT;
  }
}

/** Attaches ports 0xcf8 to 0xcff. */
export function attachPciConfigPorts(space: IoSpace, ports: PciConfigPorts): void {
  space.attachPorts(CONFIG_ADDRESS_PORT, CONFIG_PORTS, ports);
}

/** Enhanced configuration access (PCI Express 5.0 section 7.2.2): 4 KiB per function, by routing identifier. */
export function enhancedConfigurationSpace(bus: PciBus): MmioDevice {
  const OFFSET_BITS = 12;
  const OFFSET_MASK = 0xfff;
  return {
    readMmio: (offset, size) => bus.readConfig(offset >>> OFFSET_BITS, offset & OFFSET_MASK, size),
    writeMmio: (offset, size, value) => bus.writeConfig(offset >>> OFFSET_BITS, offset & OFFSET_MASK, size, value),
  };
}
