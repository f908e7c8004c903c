/**
 * QEMU's firmware configuration device (QEMU docs/specs/fw_cfg.rst): numbered items and named files that firmware and
 * test programs read byte by byte or by DMA.
 */
import type { GuestMemory } from '../../bus/memory.ts';

/** Item numbers below the files. */
export const FW_CFG_ITEM = {
  SIGNATURE: 0x0000,
  ID: 0x0001,
  UUID: 0x0002,
  RAM_SIZE: 0x0003,
  NOGRAPHIC: 0x0004,
  NB_CPUS: 0x0005,
  NUMA: 0x000d,
  BOOT_MENU: 0x000e,
  MAX_CPUS: 0x000f,
  FILE_DIR: 0x0019,
  FIRST_FILE: 0x0020,
  ARCH_LOCAL: 0x8000,
  IRQ0_OVERRIDE: 0x8002,
} as const;

const SIGNATURE = 'QEMU';
/** Interface revision bits: the byte-wise interface and DMA. */
const ID_TRADITIONAL = 0x1;
const ID_DMA = 0x2;
/** What the DMA address register reads as: "QEMU CFG". */
const DMA_SIGNATURE = { HIGH: 0x5145_4d55, LOW: 0x2043_4647 } as const;

/** FWCfgDmaAccess: control, length and address, all big-endian. */
const DMA_ACCESS = { CONTROL: 0, LENGTH: 4, ADDRESS: 8, SIZE: 16 } as const;
const DMA_CONTROL = { ERROR: 0x01, READ: 0x02, SKIP: 0x04, SELECT: 0x08, WRITE: 0x10 } as const;
/** DMA moves so many bytes at a time. */
const DMA_CHUNK = 0x1_0000;

const FILE_NAME_LENGTH = 56;
const FILE_ENTRY_LENGTH = 64;
const MAX_FILES = 0x4000 - FW_CFG_ITEM.FIRST_FILE;

/** Saved state; items are configuration and not part of it. */
export interface FwCfgState {
  readonly version: 1;
  readonly selector: number;
  readonly offset: number;
  readonly dmaAddressHigh: number;
}

/** What the device is filled with at the start. */
export interface FwCfgConfiguration {
  /** Bytes of RAM below 4 GiB and above. */
  readonly ramBytes: number;
  readonly processors: number;
  /** Named files, for example `etc/e820`. */
  readonly files?: Readonly<Record<string, Uint8Array>>;
}

export class FwCfg {
  readonly #memory: GuestMemory;
  readonly #items = new Map<number, Uint8Array>();
  readonly #files: { name: string; bytes: Uint8Array }[] = [];
  #selector = 0;
  #offset = 0;
  #dmaAddressHigh = 0;

  constructor(memory: GuestMemory, configuration: FwCfgConfiguration) {
    this.#memory = memory;
    const { ramBytes, processors, files } = configuration;
    this.#items.set(
      FW_CFG_ITEM.SIGNATURE,
      Uint8Array.from(SIGNATURE, (letter) => letter.charCodeAt(0)),
    );
    this.#items.set(FW_CFG_ITEM.ID, littleEndian(ID_TRADITIONAL | ID_DMA, 4));
    this.#items.set(FW_CFG_ITEM.UUID, new Uint8Array(16));
    this.#items.set(FW_CFG_ITEM.RAM_SIZE, littleEndian(ramBytes, 8));
    this.#items.set(FW_CFG_ITEM.NOGRAPHIC, littleEndian(1, 2));
    this.#items.set(FW_CFG_ITEM.NB_CPUS, littleEndian(processors, 2));
    this.#items.set(FW_CFG_ITEM.MAX_CPUS, littleEndian(processors, 2));
    this.#items.set(FW_CFG_ITEM.BOOT_MENU, littleEndian(0, 2));
    this.#items.set(FW_CFG_ITEM.NUMA, new Uint8Array(8));
    this.#items.set(FW_CFG_ITEM.IRQ0_OVERRIDE, littleEndian(1, 1));
    this.#updateDirectory();
    for (const [name, bytes] of Object.entries(files ?? {})) this.addFile(name, bytes);
  }

  /**
   * Adds a file.
   * @throws RangeError if the name is too long or taken (a wiring error)
   */
  addFile(name: string, bytes: Uint8Array): void {
    if (name.length >= FILE_NAME_LENGTH) throw new RangeError(`fw_cfg file name '${name}' is too long`);
    if (this.#files.some((file) => file.name === name)) throw new RangeError(`fw_cfg file '${name}' exists already`);
    if (this.#files.length >= MAX_FILES) throw new RangeError('too many fw_cfg files');
    this.#files.push({ name, bytes });
    this.#items.set(FW_CFG_ITEM.FIRST_FILE + this.#files.length - 1, bytes);
    this.#updateDirectory();
  }

  reset(): void {
    this.#selector = 0;
    this.#offset = 0;
    this.#dmaAddressHigh = 0;
  }

  /** Selects an item and goes to its start. */
  select(selector: number): void {
    this.#selector = selector & 0xffff;
    this.#offset = 0;
  }

  /** The next byte of the selected item; zero past its end or if there is none. */
  readData(): number {
    const item = this.#items.get(this.#selector);
    return item && this.#offset < item.length ? item[this.#offset++] : 0;
  }

  /** Half of the DMA address register: 0 is the high one. Values as the device sees them, big-endian. */
  readDmaAddress(half: 0 | 1): number {
    return half === 0 ? DMA_SIGNATURE.HIGH : DMA_SIGNATURE.LOW;
  }

  /** Writing the low half starts the transfer that the structure in guest memory describes. */
  writeDmaAddress(half: 0 | 1, value: number): void {
    if (half === 0) {
      this.#dmaAddressHigh = value;
      return;
    }
    const address = this.#dmaAddressHigh * 2 ** 32 + value;
    this.#dmaAddressHigh = 0;
    this.#transfer(address);
  }

  save(): FwCfgState {
    return { version: 1, selector: this.#selector, offset: this.#offset, dmaAddressHigh: this.#dmaAddressHigh };
  }

  restore(state: FwCfgState): void {
    this.#selector = state.selector;
    this.#offset = state.offset;
    this.#dmaAddressHigh = state.dmaAddressHigh;
  }

  #transfer(access: number): void {
    const structure = this.#memory.read(access, DMA_ACCESS.SIZE);
    const view = new DataView(structure.buffer, structure.byteOffset, structure.length);
    const control = view.getUint32(DMA_ACCESS.CONTROL, false);
    const length = view.getUint32(DMA_ACCESS.LENGTH, false);
    const address = Number(view.getBigUint64(DMA_ACCESS.ADDRESS, false));
    let result = 0;
    if (control & DMA_CONTROL.SELECT) this.select(control >>> 16);
    if (control & DMA_CONTROL.READ) this.#readTo(address, length);
    else if (control & DMA_CONTROL.WRITE)
      result = DMA_CONTROL.ERROR; // no item is writable
    else if (control & DMA_CONTROL.SKIP) this.#offset += length; // reading on from past the end gives zeros
    const answer = new DataView(new ArrayBuffer(4));
    answer.setUint32(0, result, false);
    this.#memory.write(access + DMA_ACCESS.CONTROL, new Uint8Array(answer.buffer));
  }

  /** Past the item's end zeros are written, as the byte-wise interface reads them. */
  #readTo(address: number, length: number): void {
    const item = this.#items.get(this.#selector) ?? new Uint8Array(0);
    const available = item.subarray(this.#offset, this.#offset + length);
    this.#memory.write(address, available);
    this.#offset += available.length;
    const zeros = new Uint8Array(Math.min(DMA_CHUNK, length - available.length));
    for (let done = available.length; done < length; done += zeros.length) {
      this.#memory.write(address + done, zeros.subarray(0, length - done));
    }
  }

  #updateDirectory(): void {
    const directory = new Uint8Array(4 + this.#files.length * FILE_ENTRY_LENGTH);
    const view = new DataView(directory.buffer);
    view.setUint32(0, this.#files.length, false);
    this.#files.forEach(({ name, bytes }, index) => {
      const entry = 4 + index * FILE_ENTRY_LENGTH;
      view.setUint32(entry, bytes.length, false);
      view.setUint16(entry + 4, FW_CFG_ITEM.FIRST_FILE + index, false);
      for (let letter = 0; letter < name.length; letter++) view.setUint8(entry + 8 + letter, name.charCodeAt(letter));
    });
    this.#items.set(FW_CFG_ITEM.FILE_DIR, directory);
  }
}

function littleEndian(value: number, length: number): Uint8Array {
  return Uint8Array.from({ length }, (_, index) => Math.floor(value / 256 ** index) & 0xff);
}
