/** Reads ELF executables (System V ABI, gABI 4.1, chapters 4 and 5). */
import { readU64, viewOf } from '../bytes.ts';
import { BootError, type MemoryWrite } from './boot-plan.ts';
import { isRam, type MemoryRange } from './memory-map.ts';

const ELF_MAGIC = 0x464c_457f; // "\x7fELF"
const ELFCLASS32 = 1;
const ELFCLASS64 = 2;
const ELFDATA2LSB = 1;
export const EM_386 = 3;
export const EM_X86_64 = 62;
const PT_LOAD = 1;
const PT_NOTE = 4;
const MAX_PROGRAM_HEADERS = 256;

/** Field offsets that differ between the two classes (Elf32_Ehdr/Elf64_Ehdr, Elf32_Phdr/Elf64_Phdr). */
// biome-ignore format: one row for each class
const LAYOUT = {
  32: { entry: 24, phoff: 28, phentsize: 42, phnum: 44, headerSize: 52,
        type: 0, offset: 4, vaddr: 8, paddr: 12, filesz: 16, memsz: 20, programHeaderSize: 32 },
  64: { entry: 24, phoff: 32, phentsize: 54, phnum: 56, headerSize: 64,
        type: 0, offset: 8, vaddr: 16, paddr: 24, filesz: 32, memsz: 40, programHeaderSize: 56 },
} as const;

/** A PT_LOAD segment. */
export interface ElfSegment {
  readonly bytes: Uint8Array;
  readonly virtualAddress: number;
  readonly physicalAddress: number;
  /** At least `bytes.length`; the rest is zero. */
  readonly memorySize: number;
}

/** An entry of a PT_NOTE segment. */
export interface ElfNote {
  readonly name: string;
  readonly type: number;
  readonly description: Uint8Array;
}

export interface ElfImage {
  readonly bits: 32 | 64;
  /** As in the header: a virtual address. */
  readonly entry: number;
  readonly segments: readonly ElfSegment[];
  readonly notes: readonly ElfNote[];
}

/** Whether the file begins like an ELF file. */
export function isElf(file: Uint8Array): boolean {
  return file.length >= 20 && viewOf(file).getUint32(0, true) === ELF_MAGIC;
}

/**
 * Reads the headers of an x86 executable.
 * @throws BootError if the file is not one, or is cut short
 */
export function parseElf(file: Uint8Array): ElfImage {
  if (!isElf(file)) throw new BootError('kernel is not an ELF file');
  const view = viewOf(file);
  const elfClass = file[4];
  if (elfClass !== ELFCLASS32 && elfClass !== ELFCLASS64)
    throw new BootError(`ELF class ${elfClass} is neither 32 nor 64 bits`);
  if (file[5] !== ELFDATA2LSB) throw new BootError('ELF kernel is not little-endian');
  const machine = view.getUint16(18, true);
  if (machine !== EM_386 && machine !== EM_X86_64)
    throw new BootError(`ELF kernel is for machine ${machine}, not for x86`);
  const bits = elfClass === ELFCLASS64 ? 64 : 32;
  const layout = LAYOUT[bits];
  const word = (offset: number) => (bits === 64 ? readU64(view, offset) : view.getUint32(offset, true));
  if (file.length < layout.headerSize) throw new BootError('ELF kernel is cut short in its header');

  const count = view.getUint16(layout.phnum, true);
  const entrySize = view.getUint16(layout.phentsize, true);
  const start = word(layout.phoff);
  if (count === 0 || count > MAX_PROGRAM_HEADERS) throw new BootError(`ELF kernel has ${count} program headers`);
  if (entrySize < layout.programHeaderSize)
    throw new BootError(`ELF program headers of ${entrySize} bytes are too small`);
  if (start + count * entrySize > file.length) throw new BootError('ELF kernel is cut short in its program headers');

  const segments: ElfSegment[] = [];
  const notes: ElfNote[] = [];
  for (let index = 0; index < count; index++) {
    const header = start + index * entrySize;
    const type = view.getUint32(header + layout.type, true);
    if (type !== PT_LOAD && type !== PT_NOTE) continue;
    const offset = word(header + layout.offset);
    const fileSize = word(header + layout.filesz);
    const memorySize = word(header + layout.memsz);
    if (offset + fileSize > file.length) throw new BootError(`ELF kernel is cut short in segment ${index}`);
    const bytes = file.subarray(offset, offset + fileSize);
    if (type === PT_NOTE) notes.push(...parseNotes(bytes));
    else if (memorySize > 0) {
      if (memorySize < fileSize) throw new BootError(`ELF segment ${index} is larger in the file than in memory`);
      segments.push({
        bytes,
        virtualAddress: word(header + layout.vaddr),
        physicalAddress: word(header + layout.paddr),
        memorySize,
      });
    }
  }
  if (segments.length === 0) throw new BootError('ELF kernel has nothing to load');
  return { bits, entry: word(layout.entry), segments, notes };
}

const NOTE_HEADER = 12;
const NOTE_ALIGNMENT = 4;

function parseNotes(bytes: Uint8Array): ElfNote[] {
  const view = viewOf(bytes);
  const padded = (length: number) => Math.ceil(length / NOTE_ALIGNMENT) * NOTE_ALIGNMENT;
  const notes: ElfNote[] = [];
  for (let offset = 0; offset + NOTE_HEADER <= bytes.length; ) {
    const nameLength = view.getUint32(offset, true);
    const descriptionLength = view.getUint32(offset + 4, true);
    const nameStart = offset + NOTE_HEADER;
    const descriptionStart = nameStart + padded(nameLength);
    if (descriptionStart + descriptionLength > bytes.length) break; // ends the list, as readers of notes do
    const name = String.fromCharCode(
      ...bytes.subarray(nameStart, nameStart + Math.max(0, Math.min(nameLength, 64) - 1)),
    );
    notes.push({
      name,
      type: view.getUint32(offset + 8, true),
      description: bytes.subarray(descriptionStart, descriptionStart + descriptionLength),
    });
    offset = descriptionStart + padded(descriptionLength);
  }
  return notes;
}

/** The entry point's physical address: kernels are linked for virtual addresses they have yet to map. */
export function physicalEntry(image: ElfImage): number {
  const { entry } = image;
  const home = image.segments.find((s) => entry >= s.virtualAddress && entry < s.virtualAddress + s.memorySize);
  return home ? entry - home.virtualAddress + home.physicalAddress : entry;
}

/**
 * The writes that load all segments at their physical addresses, and the first address after them.
 * @throws BootError if a segment, with its zero-filled tail, is not in RAM
 */
export function loadSegments(
  image: ElfImage,
  memoryMap: readonly MemoryRange[],
): { writes: MemoryWrite[]; end: number } {
  let end = 0;
  for (const { physicalAddress, memorySize } of image.segments) {
    if (!isRam(memoryMap, physicalAddress, memorySize)) {
      const place = `0x${physicalAddress.toString(16)} (${memorySize} bytes)`;
      throw new BootError(`ELF segment at ${place} is not in memory; give the machine more memory`);
    }
    end = Math.max(end, physicalAddress + memorySize);
  }
  return { writes: image.segments.map(({ bytes, physicalAddress }) => ({ address: physicalAddress, bytes })), end };
}
