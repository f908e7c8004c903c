/** The local APIC's registers in memory space. */
import { readDwordRegisters } from '../../bus/io-space.ts';
import type { MmioDevice } from '../../bus/ports.ts';
import type { Lapic } from './model.ts';

/** Length of the register page. */
export const LAPIC_LENGTH = 0x1000;

/** Registers are 32 bits wide and stand 16 bytes apart; the rest of each 16 bytes is reserved. */
const STRIDE_MASK = 0xf;

/**
 * The register page of the processor that makes the access, as each processor sees its own: `current` names its local
 * APIC. Attach it at the APIC base (0xfee00000) and move it when the base moves, or let each processor look its own
 * base up first.
 *
 * Registers take aligned 32-bit accesses (SDM vol. 3A 11.4.1); narrower reads give their bytes, other writes are
 * dropped. In x2APIC mode, and while disabled, the page reads all ones.
 */
export function lapicPage(current: () => Lapic): MmioDevice {
  return {
    readMmio(offset, size) {
      const lapic = current();
      if (!lapic.memoryMapped) return 0xffff_ffff >>> (32 - 8 * size);
      const read = (at: number) => ((at & STRIDE_MASK) === 0 ? lapic.readRegister(at) : 0);
      return readDwordRegisters(read, offset, size);
    },
    writeMmio(offset, size, value) {
      const lapic = current();
      if (lapic.memoryMapped && size === 4 && (offset & STRIDE_MASK) === 0) lapic.writeRegister(offset, value);
    },
  };
}
