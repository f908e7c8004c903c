/** Boots kernels by the Multiboot Specification, version 0.6.96 ("multiboot 1"). */
import { ByteWriter, viewOf, zeroTerminated } from '../bytes.ts';
import {
  BootError,
  type BootPlan,
  checkedPlan,
  commandLineWrite,
  descriptorTable,
  type KernelOptions,
  LOADER_ADDRESS,
  type MemoryWrite,
  protectedModeState,
} from './boot-plan.ts';
import { isElf, loadSegments, parseElf, physicalEntry } from './elf.ts';
import { BOARD_ADDRESS, isRam, MEMORY_TYPE, type MemoryRange } from './memory-map.ts';
import { placeModules } from './modules.ts';

/** The header lies, 32-bit aligned, within the first 8192 bytes of the file (section 3.1). */
const SEARCH_LENGTH = 8192;
const HEADER_MAGIC = 0x1bad_b002;
/** Header fields (section 3.1.1); the address fields count only with ADDRESSES set. */
const HEADER = {
  FLAGS: 4,
  CHECKSUM: 8,
  HEADER_ADDR: 12,
  LOAD_ADDR: 16,
  LOAD_END_ADDR: 20,
  BSS_END_ADDR: 24,
  ENTRY_ADDR: 28,
} as const;
const HEADER_LENGTH = 12;
const HEADER_LENGTH_WITH_ADDRESSES = 32;
const HEADER_FLAG = { ADDRESSES: 0x1_0000 } as const;
/** Required features a loader must know: page-aligned modules, memory information, video mode (section 3.1.2). */
const REQUIRED_FEATURES = 0xffff;
const KNOWN_FEATURES = 0x0007;

/** Value of EAX at entry (section 3.2). */
const BOOTLOADER_MAGIC = 0x2bad_b002;

/** Multiboot information (section 3.3). */
const INFO_FLAG = {
  MEMORY: 0x001,
  COMMAND_LINE: 0x004,
  MODULES: 0x008,
  MEMORY_MAP: 0x040,
  LOADER_NAME: 0x200,
} as const;
const INFO = {
  FLAGS: 0,
  MEM_LOWER: 4,
  MEM_UPPER: 8,
  CMDLINE: 16,
  MODS_COUNT: 20,
  MODS_ADDR: 24,
  MMAP_LENGTH: 44,
  MMAP_ADDR: 48,
  BOOT_LOADER_NAME: 64,
  LENGTH: 88,
} as const;
/** A memory map entry's `size` does not count itself. */
const MMAP_ENTRY_SIZE = 20;
const LOADER_NAME = 'Testudo';

/** Offset of the multiboot header, if the file has one. */
export function findMultibootHeader(file: Uint8Array): number | undefined {
  const view = viewOf(file);
  const end = Math.min(file.length, SEARCH_LENGTH) - HEADER_LENGTH;
  for (let offset = 0; offset <= end; offset += 4) {
    if (view.getUint32(offset, true) !== HEADER_MAGIC) continue;
    const flags = view.getUint32(offset + HEADER.FLAGS, true);
    const checksum = view.getUint32(offset + HEADER.CHECKSUM, true);
    if ((HEADER_MAGIC + flags + checksum) % 2 ** 32 === 0) return offset;
  }
  return undefined;
}

interface LoadedKernel {
  readonly writes: readonly MemoryWrite[];
  readonly entry: number;
  readonly end: number;
}

/** Loads by the header's address fields (section 3.1.3), for files that are not ELF. */
function loadByAddresses(file: Uint8Array, header: number, map: readonly MemoryRange[]): LoadedKernel {
  if (header + HEADER_LENGTH_WITH_ADDRESSES > file.length) throw new BootError('multiboot header is cut short');
  const view = viewOf(file);
  const field = (offset: number) => view.getUint32(header + offset, true);
  const loadAddress = field(HEADER.LOAD_ADDR);
  const start = header - (field(HEADER.HEADER_ADDR) - loadAddress);
  if (start < 0 || start > header)
    throw new BootError('multiboot header is not inside the part of the file it says to load');
  const loadEnd = field(HEADER.LOAD_END_ADDR) || loadAddress + (file.length - start);
  const length = loadEnd - loadAddress;
  if (length <= 0) throw new BootError('multiboot load_end_addr lies before load_addr');
  if (start + length > file.length) throw new BootError('multiboot kernel is cut short');
  const end = Math.max(loadEnd, field(HEADER.BSS_END_ADDR));
  if (!isRam(map, loadAddress, end - loadAddress)) {
    throw new BootError(
      `multiboot kernel at 0x${loadAddress.toString(16)} is not in memory; give the machine more memory`,
    );
  }
  const writes = [{ address: loadAddress, bytes: file.subarray(start, start + length) }];
  return { writes, entry: field(HEADER.ENTRY_ADDR), end };
}

/**
 * Plans the boot of a multiboot kernel, ELF32, ELF64 (entered in 32-bit mode all the same) or flat with address fields.
 * The command line becomes the kernel's name, a space and the arguments, as kernels expect.
 * @throws BootError if the image is damaged, demands something unknown, or does not fit
 */
export function planMultiboot(file: Uint8Array, options: KernelOptions): BootPlan {
  const header = findMultibootHeader(file);
  if (header === undefined) throw new BootError('kernel has no multiboot header');
  const flags = viewOf(file).getUint32(header + HEADER.FLAGS, true);
  const unknown = flags & REQUIRED_FEATURES & ~KNOWN_FEATURES;
  if (unknown) throw new BootError(`multiboot kernel requires unknown features 0x${unknown.toString(16)}`);

  const kernel =
    flags & HEADER_FLAG.ADDRESSES ? loadByAddresses(file, header, options.memoryMap) : loadElf(file, options.memoryMap);
  const modules = placeModules(options.modules ?? [], kernel.end, options.memoryMap);

  const lists = new ByteWriter();
  for (const { address, length, stringAddress } of modules.placed) {
    lists
      .u32(address)
      .u32(address + length)
      .u32(stringAddress)
      .u32(0); // mod_start, mod_end, string, reserved
  }
  const memoryMapOffset = lists.length;
  for (const { address, length, type } of options.memoryMap) {
    lists.u32(MMAP_ENTRY_SIZE).u64(address).u64(length).u32(type);
  }
  const loaderNameOffset = lists.length;
  lists.append(zeroTerminated(LOADER_NAME));

  const information = new ByteWriter(INFO.LENGTH)
    .u32At(
      INFO.FLAGS,
      INFO_FLAG.MEMORY | INFO_FLAG.COMMAND_LINE | INFO_FLAG.MODULES | INFO_FLAG.MEMORY_MAP | INFO_FLAG.LOADER_NAME,
    )
    .u32At(INFO.MEM_LOWER, kibibytesFrom(options.memoryMap, 0))
    .u32At(INFO.MEM_UPPER, kibibytesFrom(options.memoryMap, BOARD_ADDRESS.EXTENDED_MEMORY))
    .u32At(INFO.CMDLINE, LOADER_ADDRESS.COMMAND_LINE)
    .u32At(INFO.MODS_COUNT, modules.placed.length)
    .u32At(INFO.MODS_ADDR, LOADER_ADDRESS.LISTS)
    .u32At(INFO.MMAP_LENGTH, loaderNameOffset - memoryMapOffset)
    .u32At(INFO.MMAP_ADDR, LOADER_ADDRESS.LISTS + memoryMapOffset)
    .u32At(INFO.BOOT_LOADER_NAME, LOADER_ADDRESS.LISTS + loaderNameOffset);

  const commandLine = `${options.kernelName ?? 'kernel'} ${options.commandLine}`.trimEnd();
  const cpu = protectedModeState(kernel.entry, { rax: BOOTLOADER_MAGIC, rbx: LOADER_ADDRESS.BOOT_INFORMATION });
  const writes = [
    ...kernel.writes,
    ...modules.writes,
    { address: LOADER_ADDRESS.LISTS, bytes: lists.bytes },
    { address: LOADER_ADDRESS.BOOT_INFORMATION, bytes: information.bytes },
    commandLineWrite(commandLine),
    descriptorTable(cpu),
  ];
  return checkedPlan(writes, cpu, options.memoryMap);
}

function loadElf(file: Uint8Array, map: readonly MemoryRange[]): LoadedKernel {
  if (!isElf(file)) throw new BootError('multiboot kernel is neither ELF nor does its header give load addresses');
  const image = parseElf(file);
  const entry = physicalEntry(image);
  if (entry >= BOARD_ADDRESS.HIGH_MEMORY) throw new BootError('multiboot kernel has its entry point above 4 GiB');
  return { ...loadSegments(image, map), entry };
}

/** KiB of contiguous RAM from `address`, as mem_lower and mem_upper count it. */
function kibibytesFrom(map: readonly MemoryRange[], address: number): number {
  const range = map.find((candidate) => candidate.address === address && candidate.type === MEMORY_TYPE.RAM);
  return range ? Math.floor(range.length / 1024) : 0;
}
