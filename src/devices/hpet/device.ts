/** The HPET in memory space. */
import { readDwordRegisters } from '../../bus/io-space.ts';
import type { Attachment, IoSpace } from '../../bus/ports.ts';
import type { Hpet } from './model.ts';

/** Where the ACPI HPET table and the chipset put the registers. */
export const HPET_BASE = 0xfed0_0000;
export const HPET_LENGTH = 0x400;

/** Attaches the register block. Reads may be narrower than a register; writes narrower than 32 bits are dropped. */
export function attachHpet(space: IoSpace, hpet: Hpet): Attachment {
  return space.attachMmio(HPET_BASE, HPET_LENGTH, {
    readMmio: (offset, size) => readDwordRegisters((register) => hpet.read(register), offset, size),
    writeMmio: (offset, size, value) => {
      if (size === 4 && (offset & 3) === 0) hpet.write(offset, value);
    },
  });
}
