/**
 * Virtio over PCI, version 1 interface only (Virtual I/O Device Version 1.2, section 4.1). The layout is QEMU's: MSI-X in BAR 1,
 * all structures in BAR 4.
 */
import { readDwordRegisters } from '../../bus/io-space.ts';
import type { AccessSize, MmioDevice } from '../../bus/ports.ts';
import { CAPABILITY } from '../pci/config-space.ts';
import { PciFunction, type PciFunctionState } from '../pci/model.ts';
import { type MsixState, MsixTable } from '../pci/msi.ts';
import type { VirtioDevice, VirtioDeviceState } from './model.ts';

/** PCI identity (section 4.1.2.1). */
const VENDOR_ID = 0x1af4;
const FIRST_DEVICE_ID = 0x1040;
const SUBSYSTEM_ID = 0x1100;
const REVISION = 1;

const MSIX_BAR = 1;
const MSIX_BAR_SIZE = 0x1000;
const STRUCTURES_BAR = 4;
const STRUCTURES_BAR_SIZE = 0x4000;
/** Structure types (section 4.1.4) and where they lie in the BAR. */
const STRUCTURES = {
  COMMON: { type: 1, offset: 0x0000, length: 0x1000 },
  ISR: { type: 3, offset: 0x1000, length: 0x1000 },
  DEVICE: { type: 4, offset: 0x2000, length: 0x1000 },
  NOTIFY: { type: 2, offset: 0x3000, length: 0x1000 },
} as const;
const PCI_CFG_TYPE = 5;
/** Every queue has its own notification address. */
const NOTIFY_MULTIPLIER = 4;

/** virtio_pci_cap (section 4.1.4), offsets from the capability's start. */
const CAP = {
  LENGTH_FIELD: 2,
  TYPE: 3,
  BAR: 4,
  OFFSET: 8,
  LENGTH: 12,
  SIZE: 16,
  CFG_DATA: 16,
  EXTENDED_SIZE: 20,
} as const;

/** Common configuration (section 4.1.4.3). Each field is accessed at its own width or in bytes of it. */
const COMMON = {
  DEVICE_FEATURE_SELECT: 0x00,
  DEVICE_FEATURE: 0x04,
  DRIVER_FEATURE_SELECT: 0x08,
  DRIVER_FEATURE: 0x0c,
  CONFIG_MSIX_VECTOR: 0x10,
  NUM_QUEUES: 0x12,
  DEVICE_STATUS: 0x14,
  CONFIG_GENERATION: 0x15,
  QUEUE_SELECT: 0x16,
  QUEUE_SIZE: 0x18,
  QUEUE_MSIX_VECTOR: 0x1a,
  QUEUE_ENABLE: 0x1c,
  QUEUE_NOTIFY_OFF: 0x1e,
  QUEUE_DESC: 0x20,
  QUEUE_DRIVER: 0x28,
  QUEUE_DEVICE: 0x30,
  END: 0x38,
} as const;

/** Means that no vector is assigned (section 4.1.5.1.2). */
const NO_VECTOR = 0xffff;
/** ISR status bits (section 4.1.4.5). */
const ISR = { QUEUE: 1, CONFIG: 2 } as const;

/** Saved state. */
export interface VirtioPciState {
  readonly version: 1;
  readonly pci: PciFunctionState;
  readonly msix: MsixState;
  readonly device: VirtioDeviceState;
  readonly deviceFeatureSelect: number;
  readonly driverFeatureSelect: number;
  readonly queueSelect: number;
  readonly configVector: number;
  readonly queueVectors: readonly number[];
  readonly isr: number;
}

/** A virtio device as a PCI function. */
export class VirtioPci {
  readonly pci: PciFunction;
  readonly device: VirtioDevice;
  readonly #msix: MsixTable;
  readonly #structures: MmioDevice;
  readonly #windowCapability: number;
  #deviceFeatureSelect = 0;
  #driverFeatureSelect = 0;
  #queueSelect = 0;
  #configVector = NO_VECTOR;
  readonly #queueVectors: number[];
  #isr = 0;

  /** @param classCode PCI class of the device type */
  constructor(device: VirtioDevice, classCode: number) {
    this.device = device;
    this.#queueVectors = device.queues.map(() => NO_VECTOR);
    this.#msix = new MsixTable(device.queues.length + 1, MSIX_BAR_SIZE);
    this.#structures = {
      readMmio: (offset, size) => this.#read(offset, size),
      writeMmio: (offset, size, value) => this.#write(offset, size, value),
    };
    this.pci = new PciFunction(
      {
        vendorId: VENDOR_ID,
        deviceId: FIRST_DEVICE_ID + device.backend.deviceType,
        revision: REVISION,
        classCode,
        subsystemVendorId: VENDOR_ID,
        subsystemId: SUBSYSTEM_ID,
        interruptPin: 1,
      },
      [
        { index: MSIX_BAR, kind: 'memory32', size: MSIX_BAR_SIZE, registers: this.#msix },
        {
          index: STRUCTURES_BAR,
          kind: 'memory64',
          prefetchable: true,
          size: STRUCTURES_BAR_SIZE,
          registers: this.#structures,
        },
      ],
    );
    this.#msix.connect(this.pci, MSIX_BAR);
    const { COMMON: common, ISR: isr, DEVICE: deviceConfig, NOTIFY: notify } = STRUCTURES;
    for (const { type, offset, length } of [common, isr, deviceConfig]) this.#addCapability(type, offset, length);
    const notifyCapability = this.#addCapability(notify.type, notify.offset, notify.length, CAP.EXTENDED_SIZE);
    this.pci.config.set32(notifyCapability + CAP.SIZE, NOTIFY_MULTIPLIER);
    this.#windowCapability = this.#addWindow();
    this.pci.whenReset(() => {
      device.reset();
      this.#resetTransport();
      this.#msix.reset();
    });
    device.connect({
      queueInterrupt: (queue) => this.#interrupt(this.#queueVectors[queue], ISR.QUEUE),
      configInterrupt: () => this.#interrupt(this.#configVector, ISR.CONFIG),
      canAccessMemory: () => this.pci.isBusMaster,
    });
  }

  save(): VirtioPciState {
    return {
      version: 1,
      pci: this.pci.save(),
      msix: this.#msix.save(),
      device: this.device.save(),
      deviceFeatureSelect: this.#deviceFeatureSelect,
      driverFeatureSelect: this.#driverFeatureSelect,
      queueSelect: this.#queueSelect,
      configVector: this.#configVector,
      queueVectors: [...this.#queueVectors],
      isr: this.#isr,
    };
  }

  restore(state: VirtioPciState): void {
    this.#msix.restore(state.msix);
    this.pci.restore(state.pci);
    this.device.restore(state.device);
    this.#deviceFeatureSelect = state.deviceFeatureSelect;
    this.#driverFeatureSelect = state.driverFeatureSelect;
    this.#queueSelect = state.queueSelect;
    this.#configVector = state.configVector;
    state.queueVectors.forEach((vector, queue) => {
      this.#queueVectors[queue] = vector;
    });
    this.#isr = state.isr;
  }

  #resetTransport(): void {
    this.#deviceFeatureSelect = 0;
    this.#driverFeatureSelect = 0;
    this.#queueSelect = 0;
    this.#configVector = NO_VECTOR;
    this.#queueVectors.fill(NO_VECTOR);
    this.#isr = 0;
    this.pci.setInterrupt(false);
  }

  #addCapability(type: number, offset: number, length: number, size: number = CAP.SIZE): number {
    const at = this.pci.config.addCapability(CAPABILITY.VENDOR_SPECIFIC, new Uint8Array(size - CAP.LENGTH_FIELD));
    const { config } = this.pci;
    config.bytes[at + CAP.LENGTH_FIELD] = size;
    config.bytes[at + CAP.TYPE] = type;
    config.bytes[at + CAP.BAR] = STRUCTURES_BAR;
    config.set32(at + CAP.OFFSET, offset);
    config.set32(at + CAP.LENGTH, length);
    return at;
  }

  /** The window through which firmware reaches BARs it has not mapped (section 4.1.4.9). */
  #addWindow(): number {
    const at = this.#addCapability(PCI_CFG_TYPE, 0, 0, CAP.EXTENDED_SIZE);
    const { config } = this.pci;
    config.bytes[at + CAP.BAR] = 0;
    config.allowWrites(at + CAP.BAR, 1, 0xff);
    config.allowWrites(at + CAP.OFFSET, 4, 0xffff_ffff);
    config.allowWrites(at + CAP.LENGTH, 4, 0xffff_ffff);
    config.allowWrites(at + CAP.CFG_DATA, 4, 0xffff_ffff);
    this.pci.interceptWindow({
      first: at + CAP.CFG_DATA,
      length: 4,
      read: () => {
        const access = this.#windowAccess();
        if (access) config.set32(at + CAP.CFG_DATA, access.registers.readMmio(access.offset, access.size));
      },
      written: () => {
        const access = this.#windowAccess();
        if (!access) return;
        const mask = 2 ** (8 * access.size) - 1;
        access.registers.writeMmio(access.offset, access.size, (config.get32(at + CAP.CFG_DATA) & mask) >>> 0);
      },
    });
    return at;
  }

  /** Where the window points, if that is a place inside a BAR. */
  #windowAccess(): { registers: MmioDevice; offset: number; size: AccessSize } | undefined {
    const { config } = this.pci;
    const size = config.get32(this.#windowCapability + CAP.LENGTH);
    const offset = config.get32(this.#windowCapability + CAP.OFFSET);
    const bar = this.pci.barRegisters(config.bytes[this.#windowCapability + CAP.BAR]);
    if ((size !== 1 && size !== 2 && size !== 4) || !bar || offset % size !== 0 || offset + size > bar.size)
      return undefined;
    return { registers: bar.registers, offset, size };
  }

  #interrupt(vector: number, cause: number): void {
    if (this.#msix.enabled) {
      if (vector !== NO_VECTOR) this.#msix.send(vector);
      return;
    }
    this.#isr |= cause;
    this.pci.setInterrupt(true);
  }

  #read(offset: number, size: AccessSize): number {
    const { COMMON: common, ISR: isr, DEVICE: deviceConfig } = STRUCTURES;
    if (offset < common.offset + common.length)
      return readDwordRegisters((at) => this.#readCommonDword(at), offset, size);
    if (offset < isr.offset + isr.length) return offset === isr.offset ? this.#readIsr() : 0;
    if (offset < deviceConfig.offset + deviceConfig.length) {
      const { config } = this.device.backend;
      let value = 0;
      for (let index = 0; index < size; index++)
        value |= (config[offset - deviceConfig.offset + index] ?? 0) << (8 * index);
      return value >>> 0;
    }
    return 0;
  }

  #write(offset: number, size: AccessSize, value: number): void {
    const { COMMON: common, ISR: isr, DEVICE: deviceConfig, NOTIFY: notify } = STRUCTURES;
    if (offset < common.offset + common.length) this.#writeCommon(offset, size, value);
    else if (offset < isr.offset + isr.length)
      return; // read only
    else if (offset < deviceConfig.offset + deviceConfig.length) {
      const bytes = Uint8Array.from({ length: size }, (_, index) => (value >>> (8 * index)) & 0xff);
      this.device.backend.writeConfig?.(offset - deviceConfig.offset, bytes);
    } else this.device.notify(Math.floor((offset - notify.offset) / NOTIFY_MULTIPLIER));
  }

  /** Reading clears the register and withdraws the interrupt. */
  #readIsr(): number {
    const value = this.#isr;
    this.#isr = 0;
    this.pci.setInterrupt(false);
    return value;
  }

  #readCommonDword(offset: number): number {
    const { device } = this;
    const queue = device.queues[this.#queueSelect];
    const half = (value: bigint | undefined, high: boolean) =>
      Number(((value ?? 0n) >> (high ? 32n : 0n)) & 0xffff_ffffn);
    switch (offset) {
      case COMMON.DEVICE_FEATURE_SELECT:
        return this.#deviceFeatureSelect;
      case COMMON.DEVICE_FEATURE:
        return featureWord(device.deviceFeatures, this.#deviceFeatureSelect);
      case COMMON.DRIVER_FEATURE_SELECT:
        return this.#driverFeatureSelect;
      case COMMON.DRIVER_FEATURE:
        return featureWord(device.driverFeatures, this.#driverFeatureSelect);
      case COMMON.CONFIG_MSIX_VECTOR:
        return (this.#configVector | (device.queues.length << 16)) >>> 0;
      case COMMON.DEVICE_STATUS:
        return (device.status | (device.configGeneration << 8) | (this.#queueSelect << 16)) >>> 0;
      case COMMON.QUEUE_SIZE:
        return ((queue?.size ?? 0) | ((this.#queueVectors[this.#queueSelect] ?? NO_VECTOR) << 16)) >>> 0;
      case COMMON.QUEUE_ENABLE:
        return ((queue?.ready ? 1 : 0) | (queue ? this.#queueSelect << 16 : 0)) >>> 0;
      case COMMON.QUEUE_DESC:
      case COMMON.QUEUE_DESC + 4:
        return half(queue?.descriptors, offset !== COMMON.QUEUE_DESC);
      case COMMON.QUEUE_DRIVER:
      case COMMON.QUEUE_DRIVER + 4:
        return half(queue?.available, offset !== COMMON.QUEUE_DRIVER);
      case COMMON.QUEUE_DEVICE:
      case COMMON.QUEUE_DEVICE + 4:
        return half(queue?.used, offset !== COMMON.QUEUE_DEVICE);
      default:
        return 0;
    }
  }

  /** Drivers write each field at its width (section 4.1.3.1); anything else is ignored. */
  #writeCommon(offset: number, size: AccessSize, value: number): void {
    const { device } = this;
    switch (offset) {
      case COMMON.DEVICE_FEATURE_SELECT:
        if (size === 4) this.#deviceFeatureSelect = value;
        return;
      case COMMON.DRIVER_FEATURE_SELECT:
        if (size === 4) this.#driverFeatureSelect = value;
        return;
      case COMMON.DRIVER_FEATURE:
        if (size === 4 && this.#driverFeatureSelect < 2) {
          const shift = BigInt(32 * this.#driverFeatureSelect);
          device.driverFeatures = (device.driverFeatures & ~(0xffff_ffffn << shift)) | (BigInt(value) << shift);
        }
        return;
      case COMMON.CONFIG_MSIX_VECTOR:
        if (size === 2) this.#configVector = this.#acceptedVector(value);
        return;
      case COMMON.DEVICE_STATUS:
        if (size !== 1) return;
        device.writeStatus(value);
        if (value === 0) this.#resetTransport();
        return;
      case COMMON.QUEUE_SELECT:
        if (size === 2) this.#queueSelect = value;
        return;
      default:
        this.#writeQueue(offset, size, value);
    }
  }

  #writeQueue(offset: number, size: AccessSize, value: number): void {
    const queue = this.device.queues[this.#queueSelect];
    if (!queue) return;
    if (offset === COMMON.QUEUE_MSIX_VECTOR && size === 2) {
      this.#queueVectors[this.#queueSelect] = this.#acceptedVector(value);
      return;
    }
    if (queue.ready) return; // the rest is fixed once the queue runs
    const word = (old: bigint, high: boolean) =>
      high ? (old & 0xffff_ffffn) | (BigInt(value) << 32n) : (old & (0xffff_ffffn << 32n)) | BigInt(value);
    switch (offset) {
      case COMMON.QUEUE_SIZE:
        if (size === 2) queue.size = value;
        return;
      case COMMON.QUEUE_ENABLE:
        if (size === 2 && value === 1) this.device.enableQueue(this.#queueSelect);
        return;
      case COMMON.QUEUE_DESC:
      case COMMON.QUEUE_DESC + 4:
        if (size === 4) queue.descriptors = word(queue.descriptors, offset !== COMMON.QUEUE_DESC);
        return;
      case COMMON.QUEUE_DRIVER:
      case COMMON.QUEUE_DRIVER + 4:
        if (size === 4) queue.available = word(queue.available, offset !== COMMON.QUEUE_DRIVER);
        return;
      case COMMON.QUEUE_DEVICE:
      case COMMON.QUEUE_DEVICE + 4:
        if (size === 4) queue.used = word(queue.used, offset !== COMMON.QUEUE_DEVICE);
        return;
    }
  }

  /** A vector that does not exist is refused by reading back as none (section 4.1.5.1.2.1). */
  #acceptedVector(vector: number): number {
    return vector < this.#msix.vectors ? vector : NO_VECTOR;
  }
}

/** 32 feature bits; there are none above bit 63. */
function featureWord(features: bigint, select: number): number {
  return select < 2 ? Number((features >> BigInt(32 * select)) & 0xffff_ffffn) : 0;
}
