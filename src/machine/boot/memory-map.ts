/**
 * The physical memory map of the board and how boot loaders describe it (ACPI 6.5 section 15, "System Address Map
 * Interfaces", known as E820 after the BIOS call).
 */
import { alignDown, alignUp } from '../bytes.ts';

/** Address range types (ACPI 6.5 table 15.4). */
export const MEMORY_TYPE = { RAM: 1, RESERVED: 2, ACPI_RECLAIM: 3, ACPI_NVS: 4, UNUSABLE: 5 } as const;

export type MemoryType = (typeof MEMORY_TYPE)[keyof typeof MEMORY_TYPE];

/** Addresses and lengths in bytes. */
export interface MemoryRange {
  readonly address: number;
  readonly length: number;
  readonly type: MemoryType;
}

const KIB = 1024;
const MIB = 1024 * KIB;
const GIB = 1024 * MIB;

/** Places with fixed addresses on the board; they are those of QEMU's q35. */
export const BOARD_ADDRESS = {
  /** Extended BIOS data area: the last KiB of conventional memory. */
  EBDA: 0x9_fc00,
  VIDEO_MEMORY: 0xa_0000,
  /** Where direct kernel boot keeps the ACPI tables: firmware's place, scanned for the RSDP (ACPI 6.5 section 5.2.5.1). */
  FIRMWARE_TABLES: 0xe_0000,
  EXTENDED_MEMORY: 0x10_0000,
  /** Where RAM ends below 4 GiB when there is less than this much of it... */
  LOW_MEMORY_LIMIT: 0xb000_0000,
  /** ...and when there is more, so that what moves above 4 GiB is a round amount. */
  SPLIT_LOW_MEMORY: 0x8000_0000,
  /** PCI Express enhanced configuration space: 256 buses of 1 MiB. */
  ECAM: 0xb000_0000,
  ECAM_LENGTH: 256 * MIB,
  PCI_WINDOW: 0xc000_0000,
  IO_APIC: 0xfec0_0000,
  HPET: 0xfed0_0000,
  /** Chipset registers (root complex base address). */
  ROOT_COMPLEX: 0xfed1_c000,
  ROOT_COMPLEX_LENGTH: 0x4000,
  LOCAL_APIC: 0xfee0_0000,
  FIRMWARE_ROM: 0xfffc_0000,
  FIRMWARE_ROM_LENGTH: 256 * KIB,
  HIGH_MEMORY: 4 * GIB,
} as const;

/** How `ramBytes` of memory is spread below and above 4 GiB. */
export function splitMemory(ramBytes: number): { low: number; high: number } {
  if (ramBytes <= BOARD_ADDRESS.LOW_MEMORY_LIMIT) return { low: ramBytes, high: 0 };
  return { low: BOARD_ADDRESS.SPLIT_LOW_MEMORY, high: ramBytes - BOARD_ADDRESS.SPLIT_LOW_MEMORY };
}

/** The address map of a machine with `ramBytes` of memory (at least 2 MiB), sorted by address. */
export function boardMemoryMap(ramBytes: number): MemoryRange[] {
  const { low, high } = splitMemory(ramBytes);
  const range = (address: number, end: number, type: MemoryType): MemoryRange => ({
    address,
    length: end - address,
    type,
  });
  const map = [
    range(0, BOARD_ADDRESS.EBDA, MEMORY_TYPE.RAM),
    range(BOARD_ADDRESS.EBDA, BOARD_ADDRESS.VIDEO_MEMORY, MEMORY_TYPE.RESERVED),
    range(BOARD_ADDRESS.FIRMWARE_TABLES, BOARD_ADDRESS.EXTENDED_MEMORY, MEMORY_TYPE.RESERVED),
    range(BOARD_ADDRESS.EXTENDED_MEMORY, low, MEMORY_TYPE.RAM),
    range(BOARD_ADDRESS.ECAM, BOARD_ADDRESS.ECAM + BOARD_ADDRESS.ECAM_LENGTH, MEMORY_TYPE.RESERVED),
    range(
      BOARD_ADDRESS.ROOT_COMPLEX,
      BOARD_ADDRESS.ROOT_COMPLEX + BOARD_ADDRESS.ROOT_COMPLEX_LENGTH,
      MEMORY_TYPE.RESERVED,
    ),
    range(
      BOARD_ADDRESS.FIRMWARE_ROM,
      BOARD_ADDRESS.FIRMWARE_ROM + BOARD_ADDRESS.FIRMWARE_ROM_LENGTH,
      MEMORY_TYPE.RESERVED,
    ),
  ];
  if (high > 0) map.push(range(BOARD_ADDRESS.HIGH_MEMORY, BOARD_ADDRESS.HIGH_MEMORY + high, MEMORY_TYPE.RAM));
  return map;
}

/** Whether `length` bytes at `address` are all RAM (adjacent RAM ranges are expected to be merged). */
export function isRam(map: readonly MemoryRange[], address: number, length: number): boolean {
  return map.some(
    (range) =>
      range.type === MEMORY_TYPE.RAM && address >= range.address && address + length <= range.address + range.length,
  );
}

/** The highest aligned address with `length` bytes of RAM at or above `floor` and below `limit`, if there is one. */
export function placeHigh(
  map: readonly MemoryRange[],
  length: number,
  alignment: number,
  floor: number,
  limit: number,
): number | undefined {
  let best: number | undefined;
  for (const range of map) {
    if (range.type !== MEMORY_TYPE.RAM) continue;
    const address = alignDown(Math.min(range.address + range.length, limit) - length, alignment);
    if (address >= Math.max(range.address, floor) && address > (best ?? -1)) best = address;
  }
  return best;
}

/** The lowest aligned address with `length` bytes of RAM at or above `floor` and below 4 GiB, if there is one. */
export function placeLow(
  map: readonly MemoryRange[],
  length: number,
  alignment: number,
  floor: number,
): number | undefined {
  let best: number | undefined;
  for (const range of map) {
    if (range.type !== MEMORY_TYPE.RAM) continue;
    const address = alignUp(Math.max(range.address, floor), alignment);
    const end = Math.min(range.address + range.length, BOARD_ADDRESS.HIGH_MEMORY);
    if (address + length <= end && address < (best ?? Infinity)) best = address;
  }
  return best;
}
