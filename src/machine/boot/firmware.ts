/** Starts the processor at the reset vector, in a firmware image below 4 GiB (SDM vol. 3A section 10.1.4). */
import {
  type BootCpuState,
  BootError,
  CR0,
  type MemoryWrite,
  RFLAGS_RESERVED,
  type SegmentValue,
} from './boot-plan.ts';
import { BOARD_ADDRESS } from './memory-map.ts';

const KIB = 1024;
const ROM_GRANULE = 64 * KIB;
const LARGEST_ROM = 16 * 1024 * KIB;
/** The tail of the image also appears below 1 MiB, where real-mode code runs. */
const LEGACY_WINDOW = 128 * KIB;
/** Real-mode code and data segments after reset: 64 KiB, present, accessed (SDM vol. 3A table 10-1). */
const RESET_LIMIT = 0xffff;
const RESET_ATTRIBUTES = { CODE: 0x09b, DATA: 0x093, LDT: 0x082, TSS: 0x08b } as const;
const RESET_CS = { selector: 0xf000, base: 0xffff_0000 } as const;
const RESET_IP = 0xfff0;

/** Where a firmware image appears: read-only memory right below 4 GiB and a copy of its tail below 1 MiB. */
export interface FirmwarePlan {
  readonly rom: MemoryWrite;
  readonly legacyWindow: MemoryWrite;
  readonly cpu: BootCpuState;
}

/** The processor after reset. */
export function resetState(): BootCpuState {
  const data: SegmentValue = { selector: 0, base: 0, limit: RESET_LIMIT, attributes: RESET_ATTRIBUTES.DATA };
  return {
    mode: 'real',
    registers: {},
    rip: RESET_IP,
    rflags: RFLAGS_RESERVED,
    segments: {
      es: data,
      cs: { ...RESET_CS, limit: RESET_LIMIT, attributes: RESET_ATTRIBUTES.CODE },
      ss: data,
      ds: data,
      fs: data,
      gs: data,
      ldtr: { ...data, attributes: RESET_ATTRIBUTES.LDT },
      tr: { ...data, attributes: RESET_ATTRIBUTES.TSS },
    },
    gdtr: { base: 0, limit: RESET_LIMIT },
    idtr: { base: 0, limit: RESET_LIMIT },
    cr0: CR0.CD | CR0.NW | CR0.ET,
    cr3: 0,
    cr4: 0,
    efer: 0,
  };
}

/**
 * Plans a start from firmware.
 * @throws BootError unless the image is a multiple of 64 KiB, at most 16 MiB
 */
export function planFirmware(image: Uint8Array): FirmwarePlan {
  if (image.length === 0 || image.length % ROM_GRANULE !== 0 || image.length > LARGEST_ROM) {
    throw new BootError(`firmware image of ${image.length} bytes is not a multiple of 64 KiB up to 16 MiB`);
  }
  const tail = image.subarray(Math.max(0, image.length - LEGACY_WINDOW));
  return {
    rom: { address: BOARD_ADDRESS.HIGH_MEMORY - image.length, bytes: image },
    legacyWindow: { address: BOARD_ADDRESS.EXTENDED_MEMORY - tail.length, bytes: tail },
    cpu: resetState(),
  };
}
