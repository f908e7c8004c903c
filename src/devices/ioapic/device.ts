/** The I/O APIC in memory space. */
import type { Attachment, IoSpace } from '../../bus/ports.ts';
import type { IoApic } from './model.ts';

/** Default base address; the MADT names it. */
export const IO_APIC_BASE = 0xfec0_0000;
export const IO_APIC_LENGTH = 0x1000;

/** Register offsets; the registers repeat every 256 bytes. */
const IOREGSEL = 0x00;
const IOWIN = 0x10;
const EOI = 0x40;
const OFFSET_MASK = 0xff;

/** Attaches the registers. IOWIN takes 32-bit accesses only. */
export function attachIoApic(space: IoSpace, ioApic: IoApic): Attachment {
  return space.attachMmio(IO_APIC_BASE, IO_APIC_LENGTH, {
    readMmio(offset, size) {
      switch (offset & OFFSET_MASK) {
        case IOREGSEL:
          return ioApic.readSelect();
        case IOWIN:
          return size === 4 ? ioApic.readWindow() : 0;
        default:
          return 0;
      }
    },
    writeMmio(offset, size, value) {
      switch (offset & OFFSET_MASK) {
        case IOREGSEL:
          ioApic.writeSelect(value);
          break;
        case IOWIN:
          if (size === 4) ioApic.writeWindow(value);
          break;
        case EOI:
          ioApic.endOfInterrupt(value & 0xff);
          break;
      }
    },
  });
}
