/** The firmware configuration device in I/O space. */
import type { AccessSize, IoSpace, PortDevice } from '../../bus/ports.ts';
import type { FwCfg } from './model.ts';

const SELECTOR_PORT = 0x510;
const DATA_PORT = 0x511;
const DMA_PORT = 0x514;

/** Attaches selector and data at 0x510 and the DMA address register at 0x514. */
export function attachFwCfg(space: IoSpace, fwCfg: FwCfg): void {
  const registers: PortDevice = {
    readPort(port: number, size: AccessSize): number {
      if (port !== DATA_PORT) return 0;
      let value = 0;
      for (let index = 0; index < size; index++) value |= fwCfg.readData() << (8 * index);
      return value >>> 0;
    },
    writePort(port: number, size: AccessSize, value: number): void {
      // The selector is little-endian and 16 bits wide; the data register has been read-only for long.
      if (port === SELECTOR_PORT && size === 2) fwCfg.select(value);
    },
  };
  space.attachPorts(SELECTOR_PORT, 2, registers);

  const dma: PortDevice = {
    readPort(port: number, size: AccessSize): number {
      const offset = port - DMA_PORT;
      const half = swap32(fwCfg.readDmaAddress(offset < 4 ? 0 : 1));
      return size === 4 ? half : (half >>> (8 * (offset & 3))) & (2 ** (8 * size) - 1);
    },
    writePort(port: number, size: AccessSize, value: number): void {
      const offset = port - DMA_PORT;
      if (size === 4 && (offset & 3) === 0) fwCfg.writeDmaAddress(offset === 0 ? 0 : 1, swap32(value));
    },
  };
  space.attachPorts(DMA_PORT, 8, dma);
}

/** The register is big-endian on a little-endian bus. */
function swap32(value: number): number {
  return (((value & 0xff) << 24) | ((value & 0xff00) << 8) | ((value >>> 8) & 0xff00) | (value >>> 24)) >>> 0;
}
