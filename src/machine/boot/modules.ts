/** Placement of boot modules, which the multiboot and PVH protocols share. */
import { alignUp, ByteWriter, zeroTerminated } from '../bytes.ts';
import { BootError, type BootModule, type MemoryWrite } from './boot-plan.ts';
import { BOARD_ADDRESS, type MemoryRange, placeLow } from './memory-map.ts';

const PAGE = 4096;

/** A module in memory and its string. */
export interface PlacedModule {
  readonly address: number;
  readonly length: number;
  readonly stringAddress: number;
}

/**
 * Puts modules on page boundaries behind the kernel, in order; their strings come last.
 * @throws BootError if they do not fit below 4 GiB
 */
export function placeModules(
  modules: readonly BootModule[],
  kernelEnd: number,
  memoryMap: readonly MemoryRange[],
): { placed: PlacedModule[]; writes: MemoryWrite[] } {
  if (modules.length === 0) return { placed: [], writes: [] };
  const offsets: number[] = [];
  let size = 0;
  for (const { bytes } of modules) {
    offsets.push(size);
    size = alignUp(size + bytes.length, PAGE);
  }
  const strings = new ByteWriter();
  const stringOffsets = modules.map(({ commandLine }) => {
    const offset = size + strings.length;
    strings.append(zeroTerminated(commandLine));
    return offset;
  });
  const base = placeLow(memoryMap, size + strings.length, PAGE, Math.max(kernelEnd, BOARD_ADDRESS.EXTENDED_MEMORY));
  if (base === undefined) {
    throw new BootError(`modules of ${size} bytes do not fit behind the kernel; give the machine more memory`);
  }
  return {
    placed: modules.map(({ bytes }, index) => ({
      address: base + offsets[index],
      length: bytes.length,
      stringAddress: base + stringOffsets[index],
    })),
    writes: [
      ...modules.map(({ bytes }, index) => ({ address: base + offsets[index], bytes })),
      { address: base + size, bytes: strings.bytes },
    ],
  };
}
