/**
 * Boots Linux bzImages by the 64-bit or 32-bit boot protocol (Linux Documentation/arch/x86/boot.rst and zero-page.rst).
 * The loader stands in for the BIOS and the real-mode setup code: it fills in the zero page and enters the kernel proper.
 */
import { ByteWriter, readU64, viewOf } from '../bytes.ts';
import {
  BootError,
  type BootPlan,
  checkedPlan,
  commandLineWrite,
  descriptorTable,
  identityPageTables,
  type KernelOptions,
  LOADER_ADDRESS,
  longModeState,
  type MemoryWrite,
  protectedModeState,
} from './boot-plan.ts';
import { BOARD_ADDRESS, isRam, type MemoryRange, placeHigh, placeLow } from './memory-map.ts';

/** Offsets of the setup header's fields, in the file and in the zero page alike (boot.rst, "The Real-Mode Kernel Header"). */
const HEADER = {
  SETUP_SECTS: 0x1f1,
  SYSSIZE: 0x1f4,
  BOOT_FLAG: 0x1fe,
  JUMP_LENGTH: 0x201,
  MAGIC: 0x202,
  VERSION: 0x206,
  TYPE_OF_LOADER: 0x210,
  LOADFLAGS: 0x211,
  CODE32_START: 0x214,
  RAMDISK_IMAGE: 0x218,
  RAMDISK_SIZE: 0x21c,
  CMD_LINE_PTR: 0x228,
  INITRD_ADDR_MAX: 0x22c,
  KERNEL_ALIGNMENT: 0x230,
  RELOCATABLE_KERNEL: 0x234,
  XLOADFLAGS: 0x236,
  CMDLINE_SIZE: 0x238,
  SETUP_DATA: 0x250,
  PREF_ADDRESS: 0x258,
  INIT_SIZE: 0x260,
} as const;

const BOOT_FLAG = 0xaa55;
const HEADER_MAGIC = 0x5372_6448; // "HdrS"
/** Version 2.06 (Linux 2.6.22) brought cmdline_size; 2.10 pref_address and init_size; 2.12 xloadflags. */
const VERSION = { OLDEST: 0x0206, PREFERRED_ADDRESS: 0x020a, EXTENDED_LOADFLAGS: 0x020c } as const;
const LOADED_HIGH = 0x01;
const XLF_KERNEL_64 = 0x01;
/** A boot loader without an assigned number. */
const LOADER_UNDEFINED = 0xff;
const SECTOR = 512;
const DEFAULT_SETUP_SECTS = 4;
const PARAGRAPH = 16;
/** The 64-bit entry point's distance from the start of the protected-mode kernel. */
const ENTRY_64 = 0x200;

/** Zero page fields outside the setup header (zero-page.rst). */
const ZERO_PAGE = { ACPI_RSDP: 0x070, E820_ENTRIES: 0x1e8, HEADER: 0x1f1, E820_TABLE: 0x2d0, LENGTH: 4096 } as const;
const E820_MAX_ENTRIES = 128;
const SETUP_RNG_SEED = 9;
const PAGE = 4096;
/** Space the kernel needs besides its file when an old header does not say: the image unpacks to a few times its size. */
const ASSUMED_EXPANSION = 4;

/** Whether the file has a Linux setup header. */
export function isLinuxKernel(file: Uint8Array): boolean {
  if (file.length < HEADER.INIT_SIZE) return false;
  const view = viewOf(file);
  return view.getUint16(HEADER.BOOT_FLAG, true) === BOOT_FLAG && view.getUint32(HEADER.MAGIC, true) === HEADER_MAGIC;
}

/** The part of the setup header that placement depends on. */
interface SetupHeader {
  readonly version: number;
  readonly protectedModeStart: number;
  readonly alignment: number;
  readonly relocatable: boolean;
  readonly is64Bit: boolean;
  readonly commandLineSize: number;
  readonly initrdLimit: number;
  readonly preferredAddress: number;
  readonly initSize: number;
}

function parseHeader(file: Uint8Array): SetupHeader {
  if (!isLinuxKernel(file)) throw new BootError('kernel is not a Linux bzImage');
  const view = viewOf(file);
  const version = view.getUint16(HEADER.VERSION, true);
  if (version < VERSION.OLDEST) {
    throw new BootError(`kernel speaks boot protocol ${version >> 8}.${version & 0xff}; 2.6 or later is needed`);
  }
  if (!(file[HEADER.LOADFLAGS] & LOADED_HIGH))
    throw new BootError('kernel is a zImage, which loads low; a bzImage is needed');
  const protectedModeStart = ((file[HEADER.SETUP_SECTS] || DEFAULT_SETUP_SECTS) + 1) * SECTOR;
  const protectedModeSize = view.getUint32(HEADER.SYSSIZE, true) * PARAGRAPH;
  // syssize is rounded up to a paragraph, so the file may end a little before it.
  if (file.length <= protectedModeStart || file.length + PARAGRAPH <= protectedModeStart + protectedModeSize) {
    throw new BootError(`kernel is cut short: ${file.length} of ${protectedModeStart + protectedModeSize} bytes`);
  }
  const hasPreferredAddress = version >= VERSION.PREFERRED_ADDRESS;
  const xloadflags = version >= VERSION.EXTENDED_LOADFLAGS ? view.getUint16(HEADER.XLOADFLAGS, true) : 0;
  const alignment = view.getUint32(HEADER.KERNEL_ALIGNMENT, true);
  return {
    version,
    protectedModeStart,
    alignment: Math.max(alignment, PAGE),
    relocatable: file[HEADER.RELOCATABLE_KERNEL] !== 0,
    is64Bit: (xloadflags & XLF_KERNEL_64) !== 0,
    commandLineSize: view.getUint32(HEADER.CMDLINE_SIZE, true),
    initrdLimit: view.getUint32(HEADER.INITRD_ADDR_MAX, true) + 1,
    preferredAddress: hasPreferredAddress ? readU64(view, HEADER.PREF_ADDRESS) : BOARD_ADDRESS.EXTENDED_MEMORY,
    initSize: hasPreferredAddress
      ? view.getUint32(HEADER.INIT_SIZE, true)
      : (file.length - protectedModeStart) * ASSUMED_EXPANSION,
  };
}

/** Where the protected-mode kernel goes, and the end of the memory it works in before it reads the memory map. */
function placeKernel(
  header: SetupHeader,
  imageSize: number,
  map: readonly MemoryRange[],
): { address: number; end: number } {
  const size = Math.max(header.initSize, imageSize);
  if (isRam(map, header.preferredAddress, size)) {
    // A kernel that cannot be relocated is loaded at 1 MiB and moves itself to its preferred address.
    const address = header.relocatable ? header.preferredAddress : BOARD_ADDRESS.EXTENDED_MEMORY;
    return { address, end: Math.max(header.preferredAddress + size, address + imageSize) };
  }
  const address = header.relocatable ? placeLow(map, size, header.alignment, BOARD_ADDRESS.EXTENDED_MEMORY) : undefined;
  if (address === undefined) {
    const megabytes = Math.ceil((header.preferredAddress + size) / 0x10_0000);
    throw new BootError(`kernel needs ${megabytes} MiB of memory to start; give the machine more memory`);
  }
  return { address, end: address + size };
}

/**
 * Plans the boot of a bzImage.
 * @param file the whole kernel file
 * @throws BootError if the image is damaged or unsuitable, or the machine too small for it and its initrd
 */
export function planLinux(file: Uint8Array, options: KernelOptions): BootPlan {
  const header = parseHeader(file);
  const image = file.subarray(header.protectedModeStart);
  const kernel = placeKernel(header, image.length, options.memoryMap);
  const writes: MemoryWrite[] = [{ address: kernel.address, bytes: image }];

  const zeroPage = new ByteWriter(ZERO_PAGE.LENGTH);
  const headerEnd = HEADER.MAGIC + file[HEADER.JUMP_LENGTH];
  zeroPage.bytesAt(ZERO_PAGE.HEADER, file.subarray(ZERO_PAGE.HEADER, Math.min(headerEnd, ZERO_PAGE.E820_TABLE)));
  zeroPage.u8At(HEADER.TYPE_OF_LOADER, LOADER_UNDEFINED);
  zeroPage.u32At(HEADER.CODE32_START, kernel.address);
  zeroPage.u64At(ZERO_PAGE.ACPI_RSDP, options.rsdpAddress ?? 0);
  writeE820(zeroPage, options.memoryMap);

  writes.push(commandLineWrite(options.commandLine, header.commandLineSize));
  zeroPage.u32At(HEADER.CMD_LINE_PTR, LOADER_ADDRESS.COMMAND_LINE);

  const [initrd, ...others] = options.modules ?? [];
  if (others.length > 0) throw new BootError(`Linux takes one initrd, not ${others.length + 1} modules`);
  if (initrd && initrd.bytes.length > 0) {
    const address = placeHigh(options.memoryMap, initrd.bytes.length, PAGE, kernel.end, header.initrdLimit);
    if (address === undefined) {
      throw new BootError(
        `initrd of ${initrd.bytes.length} bytes does not fit beside the kernel; give the machine more memory`,
      );
    }
    writes.push({ address, bytes: initrd.bytes });
    zeroPage.u32At(HEADER.RAMDISK_IMAGE, address);
    zeroPage.u32At(HEADER.RAMDISK_SIZE, initrd.bytes.length);
  }

  if (options.randomSeed && options.randomSeed.length > 0) {
    // struct setup_data: next, type, len, data (boot.rst, "setup_data"); kernels that do not know the type skip it.
    const seed = new ByteWriter().u64(0).u32(SETUP_RNG_SEED).u32(options.randomSeed.length).append(options.randomSeed);
    writes.push({ address: LOADER_ADDRESS.RANDOM_SEED, bytes: seed.bytes });
    zeroPage.u64At(HEADER.SETUP_DATA, LOADER_ADDRESS.RANDOM_SEED);
  }

  writes.push({ address: LOADER_ADDRESS.BOOT_INFORMATION, bytes: zeroPage.bytes });
  const registers = { rsi: LOADER_ADDRESS.BOOT_INFORMATION };
  const cpu = header.is64Bit
    ? longModeState(kernel.address + ENTRY_64, registers)
    : protectedModeState(kernel.address, registers);
  if (header.is64Bit) writes.push(identityPageTables());
  writes.push(descriptorTable(cpu));
  return checkedPlan(writes, cpu, options.memoryMap);
}

function writeE820(zeroPage: ByteWriter, map: readonly MemoryRange[]): void {
  if (map.length > E820_MAX_ENTRIES)
    throw new BootError(`memory map of ${map.length} ranges exceeds ${E820_MAX_ENTRIES}`);
  zeroPage.u8At(ZERO_PAGE.E820_ENTRIES, map.length);
  const entries = new ByteWriter();
  for (const { address, length, type } of map) entries.u64(address).u64(length).u32(type);
  zeroPage.bytesAt(ZERO_PAGE.E820_TABLE, entries.bytes);
}
