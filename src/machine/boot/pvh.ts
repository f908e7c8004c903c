/**
 * Boots ELF kernels by the PVH protocol: a 32-bit entry point named in a Xen note, and a start info structure
 * (Xen docs/misc/pvh.pandoc and public/arch-x86/hvm/start_info.h).
 */
import { ByteWriter, viewOf } from '../bytes.ts';
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
import { type ElfImage, isElf, loadSegments, parseElf } from './elf.ts';
import { placeModules } from './modules.ts';

/** XEN_ELFNOTE_PHYS32_ENTRY (public/elfnote.h). */
const NOTE_OWNER = 'Xen';
const PHYS32_ENTRY = 18;

const START_INFO_MAGIC = 0x336e_c578;
/** Version 1 added the memory map. */
const START_INFO_VERSION = 1;

function entryPoint(image: ElfImage): number | undefined {
  const note = image.notes.find(({ name, type }) => name === NOTE_OWNER && type === PHYS32_ENTRY);
  return note && note.description.length >= 4 ? viewOf(note.description).getUint32(0, true) : undefined;
}

/** Whether the file is an ELF kernel with a PVH entry point. Damaged files are left to {@link planPvh} to complain about. */
export function isPvhKernel(file: Uint8Array): boolean {
  if (!isElf(file)) return false;
  try {
    return entryPoint(parseElf(file)) !== undefined;
  } catch {
    return false;
  }
}

/**
 * Plans the boot of an ELF kernel with a PVH entry point.
 * @throws BootError if the image is damaged, has no such entry, or does not fit
 */
export function planPvh(file: Uint8Array, options: KernelOptions): BootPlan {
  const image = parseElf(file);
  const entry = entryPoint(image);
  if (entry === undefined) throw new BootError('ELF kernel has no PVH entry note; a Linux kernel needs CONFIG_PVH');
  const loaded = loadSegments(image, options.memoryMap);
  const writes: MemoryWrite[] = [...loaded.writes];
  const modules = placeModules(options.modules ?? [], loaded.end, options.memoryMap);
  writes.push(...modules.writes);

  const lists = new ByteWriter();
  const moduleList = LOADER_ADDRESS.LISTS;
  for (const { address, length, stringAddress } of modules.placed) {
    lists.u64(address).u64(length).u64(stringAddress).u64(0); // struct hvm_modlist_entry
  }
  const memoryMap = LOADER_ADDRESS.LISTS + lists.length;
  for (const { address, length, type } of options.memoryMap) {
    lists.u64(address).u64(length).u32(type).u32(0); // struct hvm_memmap_table_entry
  }
  writes.push({ address: LOADER_ADDRESS.LISTS, bytes: lists.bytes });

  // struct hvm_start_info
  const startInfo = new ByteWriter()
    .u32(START_INFO_MAGIC)
    .u32(START_INFO_VERSION)
    .u32(0) // flags
    .u32(modules.placed.length)
    .u64(modules.placed.length > 0 ? moduleList : 0)
    .u64(LOADER_ADDRESS.COMMAND_LINE)
    .u64(options.rsdpAddress ?? 0)
    .u64(memoryMap)
    .u32(options.memoryMap.length)
    .u32(0);
  writes.push({ address: LOADER_ADDRESS.BOOT_INFORMATION, bytes: startInfo.bytes });
  writes.push(commandLineWrite(options.commandLine));

  const cpu = protectedModeState(entry, { rbx: LOADER_ADDRESS.BOOT_INFORMATION });
  writes.push(descriptorTable(cpu));
  return checkedPlan(writes, cpu, options.memoryMap);
}
