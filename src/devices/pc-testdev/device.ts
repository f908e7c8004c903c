/** The test device in I/O and memory space, where QEMU has it. */
import type { IoSpace } from '../../bus/ports.ts';
import { MEMORY_BYTES, type PcTestdev, SCRATCH_BYTES } from './model.ts';

const SCRATCH_PORT = 0xe0;
/** A write names a guest page whose host mapping QEMU drops. Here guest pages have no mapping that could be dropped. */
const FLUSH_PORT = 0xe4;
const FLUSH_PORTS = 4;
const LINE_PORT = 0x2000;
const MEMORY_BASE = 0xff00_0000;

/** Attaches ports 0xe0 to 0xe7, one port from 0x2000 on for each interrupt line, and memory at 0xff000000. */
export function attachPcTestdev(space: IoSpace, device: PcTestdev): void {
  space.attachPorts(SCRATCH_PORT, SCRATCH_BYTES, {
    readPort: (port, size) => device.readScratch(port - SCRATCH_PORT, size),
    writePort: (port, size, value) => device.writeScratch(port - SCRATCH_PORT, size, value),
  });
  space.attachPorts(FLUSH_PORT, FLUSH_PORTS, { readPort: () => 0, writePort() {} });
  space.attachPorts(LINE_PORT, device.lineCount, {
    readPort: () => 0,
    writePort: (port, _size, value) => device.setLine(port - LINE_PORT, value),
  });
  space.attachMmio(MEMORY_BASE, MEMORY_BYTES, {
    readMmio: (offset, size) => device.readMemory(offset, size),
    writeMmio: (offset, size, value) => device.writeMemory(offset, size, value),
  });
}
