/** Configuration space of a PCI function (PCI Local Bus Specification 3.0 chapter 6). */

/** Configuration space of a conventional function. */
export const CONFIG_SPACE_SIZE = 256;

/** Type 0 header fields (figure 6-1). */
export const CONFIG = {
  VENDOR_ID: 0x00,
  DEVICE_ID: 0x02,
  COMMAND: 0x04,
  STATUS: 0x06,
  REVISION_ID: 0x08,
  CLASS_CODE: 0x09,
  CACHE_LINE_SIZE: 0x0c,
  HEADER_TYPE: 0x0e,
  BAR0: 0x10,
  SUBSYSTEM_VENDOR_ID: 0x2c,
  SUBSYSTEM_ID: 0x2e,
  CAPABILITIES_POINTER: 0x34,
  INTERRUPT_LINE: 0x3c,
  INTERRUPT_PIN: 0x3d,
} as const;

/** Command register (table 6-1). */
export const COMMAND = {
  IO_SPACE: 0x0001,
  MEMORY_SPACE: 0x0002,
  BUS_MASTER: 0x0004,
  PARITY_ERROR: 0x0040,
  SERR: 0x0100,
  INTERRUPT_DISABLE: 0x0400,
} as const;
const COMMAND_WRITABLE =
  COMMAND.IO_SPACE |
  COMMAND.MEMORY_SPACE |
  COMMAND.BUS_MASTER |
  COMMAND.PARITY_ERROR |
  COMMAND.SERR |
  COMMAND.INTERRUPT_DISABLE;

/** Status register (table 6-2). */
export const STATUS = { INTERRUPT: 0x0008, CAPABILITIES_LIST: 0x0010 } as const;

/** Header type bit: other functions of this device exist. */
const MULTI_FUNCTION = 0x80;

/** Capability identifiers (appendix H). */
export const CAPABILITY = { MSI: 0x05, VENDOR_SPECIFIC: 0x09, MSI_X: 0x11 } as const;
const FIRST_CAPABILITY = 0x40;
const CAPABILITY_HEADER = 2;

/** Low bits of a base address register (section 6.2.5.1). */
export const BAR = { IO: 0x1, TYPE_64: 0x4, PREFETCHABLE: 0x8, IO_MASK: 0x3, MEMORY_MASK: 0xf } as const;

/** What a function is. */
export interface PciIdentity {
  readonly vendorId: number;
  readonly deviceId: number;
  readonly revision: number;
  /** Base class, subclass and interface in 24 bits (appendix D). */
  readonly classCode: number;
  readonly subsystemVendorId?: number;
  readonly subsystemId?: number;
  /** 0 for none, 1 to 4 for INTA to INTD. */
  readonly interruptPin?: 0 | 1 | 2 | 3 | 4;
}

/** The bytes of a configuration space with, for every bit, whether software may write it. */
export class PciConfigSpace {
  readonly bytes = new Uint8Array(CONFIG_SPACE_SIZE);
  readonly #writable = new Uint8Array(CONFIG_SPACE_SIZE);
  readonly #view = new DataView(this.bytes.buffer);
  readonly #writableView = new DataView(this.#writable.buffer);
  /** Contents after power-on, once the function is complete. */
  #powerOn: Uint8Array | undefined = undefined;
  #nextCapability = FIRST_CAPABILITY;
  #lastPointer: number = CONFIG.CAPABILITIES_POINTER;

  constructor(identity: PciIdentity) {
    const {
      vendorId,
      deviceId,
      revision,
      classCode,
      subsystemVendorId = 0,
      subsystemId = 0,
      interruptPin = 0,
    } = identity;
    this.set16(CONFIG.VENDOR_ID, vendorId);
    this.set16(CONFIG.DEVICE_ID, deviceId);
    this.bytes[CONFIG.REVISION_ID] = revision;
    this.bytes[CONFIG.CLASS_CODE] = classCode & 0xff;
    this.set16(CONFIG.CLASS_CODE + 1, classCode >> 8);
    this.set16(CONFIG.SUBSYSTEM_VENDOR_ID, subsystemVendorId);
    this.set16(CONFIG.SUBSYSTEM_ID, subsystemId);
    this.bytes[CONFIG.INTERRUPT_PIN] = interruptPin;
    this.allowWrites(CONFIG.COMMAND, 2, COMMAND_WRITABLE);
    this.allowWrites(CONFIG.CACHE_LINE_SIZE, 1, 0xff);
    this.allowWrites(CONFIG.INTERRUPT_LINE, 1, 0xff);
  }

  get16(offset: number): number {
    return this.#view.getUint16(offset, true);
  }

  get32(offset: number): number {
    return this.#view.getUint32(offset, true);
  }

  set16(offset: number, value: number): void {
    this.#view.setUint16(offset, value, true);
  }

  set32(offset: number, value: number): void {
    this.#view.setUint32(offset, value, true);
  }

  /** Lets software write the bits of `mask` in a field of 1, 2 or 4 bytes. */
  allowWrites(offset: number, size: 1 | 2 | 4, mask: number): void {
    if (size === 1) this.#writable[offset] = mask;
    else if (size === 2) this.#writableView.setUint16(offset, mask, true);
    else this.#writableView.setUint32(offset, mask >>> 0, true);
  }

  /**
   * Appends a capability; `body` is what follows its identifier and next pointer.
   * @returns the offset of the identifier
   */
  addCapability(id: number, body: Uint8Array): number {
    const offset = this.#nextCapability;
    if (offset + CAPABILITY_HEADER + body.length > CONFIG_SPACE_SIZE)
      throw new RangeError('no room for another PCI capability');
    this.bytes[this.#lastPointer] = offset;
    this.bytes[offset] = id;
    this.bytes.set(body, offset + CAPABILITY_HEADER);
    this.set16(CONFIG.STATUS, this.get16(CONFIG.STATUS) | STATUS.CAPABILITIES_LIST);
    this.#lastPointer = offset + 1;
    this.#nextCapability = (offset + CAPABILITY_HEADER + body.length + 3) & ~3;
    return offset;
  }

  markMultiFunction(): void {
    this.bytes[CONFIG.HEADER_TYPE] |= MULTI_FUNCTION;
    if (this.#powerOn) this.#powerOn[CONFIG.HEADER_TYPE] |= MULTI_FUNCTION;
  }

  /** A software read; past the end all ones. */
  read(offset: number, size: number): number {
    let value = 0;
    for (let index = 0; index < size; index++) value |= (this.bytes[offset + index] ?? 0xff) << (8 * index);
    return value >>> 0;
  }

  /** A software write: read-only bits keep their value. */
  write(offset: number, size: number, value: number): void {
    for (let index = 0; index < size && offset + index < CONFIG_SPACE_SIZE; index++) {
      const mask = this.#writable[offset + index];
      const byte = (value >>> (8 * index)) & 0xff;
      this.bytes[offset + index] = (this.bytes[offset + index] & ~mask) | (byte & mask);
    }
  }

  /** Declares the contents as they are now to be those after power-on. */
  rememberPowerOn(): void {
    this.#powerOn = this.bytes.slice();
  }

  /** Back to the contents after power-on. */
  reset(): void {
    if (this.#powerOn) this.bytes.set(this.#powerOn);
  }
}
