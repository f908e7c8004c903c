/** What a boot loader decides: bytes to put into memory and the state in which the boot processor starts. */
import { ByteWriter, zeroTerminated } from '../bytes.ts';
import { isRam, type MemoryRange } from './memory-map.ts';

/** A kernel, initrd or firmware image that cannot be booted. The message is one line for the user. */
export class BootError extends Error {
  override readonly name = 'BootError';
}

/** Bytes to copy to a guest-physical address. */
export interface MemoryWrite {
  readonly address: number;
  readonly bytes: Uint8Array;
}

/** One segment register with its hidden part. */
export interface SegmentValue {
  readonly selector: number;
  readonly base: number;
  /** In bytes, after the granularity bit was applied. */
  readonly limit: number;
  /** Descriptor bits 55:52 and 47:40 as bits 11:8 and 7:0 (the VMCB's attribute format, AMD APM vol. 2 section 15.5.1). */
  readonly attributes: number;
}

/** GDTR and IDTR. */
export interface DescriptorTableValue {
  readonly base: number;
  readonly limit: number;
}

// biome-ignore format: in encoding order
export type GeneralRegister =
  | 'rax' | 'rcx' | 'rdx' | 'rbx' | 'rsp' | 'rbp' | 'rsi' | 'rdi'
  | 'r8' | 'r9' | 'r10' | 'r11' | 'r12' | 'r13' | 'r14' | 'r15';

/** The boot processor when the first guest instruction runs. Everything not named is as after reset (SDM vol. 3A 10.1.1). */
export interface BootCpuState {
  readonly mode: 'real' | 'protected32' | 'long64';
  /** General registers that are not zero. */
  readonly registers: Readonly<Partial<Record<GeneralRegister, number>>>;
  readonly rip: number;
  readonly rflags: number;
  readonly segments: Readonly<Record<'es' | 'cs' | 'ss' | 'ds' | 'fs' | 'gs' | 'ldtr' | 'tr', SegmentValue>>;
  readonly gdtr: DescriptorTableValue;
  readonly idtr: DescriptorTableValue;
  readonly cr0: number;
  readonly cr3: number;
  readonly cr4: number;
  readonly efer: number;
}

/** Memory that no write covers is expected to be zero, as it is after power-on: kernels rely on it for their .bss. */
export interface BootPlan {
  readonly writes: readonly MemoryWrite[];
  readonly cpu: BootCpuState;
}

/** A file handed to the kernel besides itself. */
export interface BootModule {
  readonly bytes: Uint8Array;
  /** The module's string: by custom its name, then arguments. */
  readonly commandLine: string;
}

/** What all boot protocols are told. */
export interface KernelOptions {
  readonly commandLine: string;
  readonly memoryMap: readonly MemoryRange[];
  /** Linux: one module, the initrd. Multiboot and PVH: any number. */
  readonly modules?: readonly BootModule[];
  /** Address of the ACPI root pointer; without one the kernel searches or does without. */
  readonly rsdpAddress?: number;
  /** Multiboot kernels take the first word of their command line for their own name. */
  readonly kernelName?: string;
  /** Seed for the kernel's random numbers, if its boot protocol has a place for one. */
  readonly randomSeed?: Uint8Array;
}

/** Where the loader's own structures go: conventional memory, which no kernel is loaded to. */
export const LOADER_ADDRESS = {
  GDT: 0x0500,
  STACK_TOP: 0x7000,
  /** Zero page, start info or multiboot information. */
  BOOT_INFORMATION: 0x7000,
  PAGE_TABLES: 0x9000,
  RANDOM_SEED: 0x1_0000,
  COMMAND_LINE: 0x2_0000,
  /** Memory maps, module lists and their strings. */
  LISTS: 0x4_0000,
  END: 0x9_0000,
} as const;

/**
 * The kernel's command line in its place.
 * @param limit the most bytes the kernel takes, without the terminating zero
 * @throws BootError if it is longer
 */
export function commandLineWrite(text: string, limit: number = Infinity): MemoryWrite {
  const bytes = zeroTerminated(text);
  const room = Math.min(limit, LOADER_ADDRESS.LISTS - LOADER_ADDRESS.COMMAND_LINE - 1);
  if (bytes.length - 1 > room) {
    throw new BootError(`command line of ${bytes.length - 1} bytes is too long for this kernel, which takes ${room}`);
  }
  return { address: LOADER_ADDRESS.COMMAND_LINE, bytes };
}

/** CR0, CR4 and EFER bits (SDM vol. 3A section 2.5, APM vol. 2 section 3.1.7). */
export const CR0 = { PE: 0x1, ET: 0x10, NW: 0x2000_0000, CD: 0x4000_0000, PG: 0x8000_0000 } as const;
const CR4_PAE = 0x20;
const EFER = { LME: 0x100, LMA: 0x400 } as const;

/** RFLAGS bit 1 is always set. */
export const RFLAGS_RESERVED = 0x2;

/** Segment attributes: flat, ring 0, accessed (SDM vol. 3A section 3.4.5.1). */
const ATTRIBUTES = { CODE32: 0xc9b, CODE64: 0xa9b, DATA: 0xc93, BUSY_TSS: 0x08b, LDT: 0x082 } as const;
const FLAT_LIMIT = 0xffff_ffff;
const TSS_LIMIT = 0x67;

/** The Linux boot protocol fixes the code and data selectors (Documentation/arch/x86/boot.rst); others accept any. */
const SELECTOR = { CODE: 0x10, DATA: 0x18, TSS: 0x20 } as const;
const GDT_LIMIT = 0x2f;

function segment(selector: number, limit: number, attributes: number): SegmentValue {
  return { selector, base: 0, limit, attributes };
}

/** Registers of a processor in flat 32-bit protected mode without paging. */
export function protectedModeState(rip: number, registers: BootCpuState['registers']): BootCpuState {
  return {
    mode: 'protected32',
    registers: { rsp: LOADER_ADDRESS.STACK_TOP, ...registers },
    rip,
    rflags: RFLAGS_RESERVED,
    segments: flatSegments(ATTRIBUTES.CODE32),
    gdtr: { base: LOADER_ADDRESS.GDT, limit: GDT_LIMIT },
    idtr: { base: 0, limit: 0 },
    cr0: CR0.PE | CR0.ET,
    cr3: 0,
    cr4: 0,
    efer: 0,
  };
}

/** Registers of a processor in 64-bit mode on the page tables of {@link identityPageTables}. */
export function longModeState(rip: number, registers: BootCpuState['registers']): BootCpuState {
  return {
    ...protectedModeState(rip, registers),
    mode: 'long64',
    segments: flatSegments(ATTRIBUTES.CODE64),
    cr0: (CR0.PE | CR0.ET | CR0.PG) >>> 0,
    cr3: LOADER_ADDRESS.PAGE_TABLES,
    cr4: CR4_PAE,
    efer: EFER.LME | EFER.LMA,
  };
}

function flatSegments(codeAttributes: number): BootCpuState['segments'] {
  const data = segment(SELECTOR.DATA, FLAT_LIMIT, ATTRIBUTES.DATA);
  return {
    es: data,
    cs: segment(SELECTOR.CODE, FLAT_LIMIT, codeAttributes),
    ss: data,
    ds: data,
    fs: data,
    gs: data,
    ldtr: segment(0, 0xffff, ATTRIBUTES.LDT),
    tr: segment(SELECTOR.TSS, TSS_LIMIT, ATTRIBUTES.BUSY_TSS),
  };
}

/** The GDT that the segment registers of `cpu` were loaded from. */
export function descriptorTable(cpu: BootCpuState): MemoryWrite {
  const table = new ByteWriter(GDT_LIMIT + 1);
  for (const value of [cpu.segments.cs, cpu.segments.ds, cpu.segments.tr]) {
    const granular = (value.attributes & 0x800) !== 0;
    const limit = granular ? Math.floor(value.limit / 4096) : value.limit;
    // Segment descriptor (SDM vol. 3A figure 3-8); all bases are zero.
    table.u16At(value.selector, limit & 0xffff);
    table.u8At(value.selector + 5, value.attributes & 0xff);
    table.u8At(value.selector + 6, ((value.attributes >> 4) & 0xf0) | ((limit >> 16) & 0xf));
  }
  return { address: cpu.gdtr.base, bytes: table.bytes };
}

const PAGE_SIZE = 4096;
const LARGE_PAGE_SIZE = 0x20_0000;
const ENTRIES_PER_TABLE = 512;
const GIGABYTES_MAPPED = 4;
/** Present, writable; and page size in a directory entry (SDM vol. 3A tables 4-15 to 4-18). */
const TABLE_ENTRY = 0x3;
const LARGE_PAGE_ENTRY = 0x83;

/** Four-level tables that map the first 4 GiB to themselves with 2 MiB pages. */
export function identityPageTables(): MemoryWrite {
  const base = LOADER_ADDRESS.PAGE_TABLES;
  const pointers = PAGE_SIZE;
  const directories = 2 * PAGE_SIZE;
  const tables = new ByteWriter((2 + GIGABYTES_MAPPED) * PAGE_SIZE);
  tables.u64At(0, base + pointers + TABLE_ENTRY);
  for (let gigabyte = 0; gigabyte < GIGABYTES_MAPPED; gigabyte++) {
    const directory = directories + gigabyte * PAGE_SIZE;
    tables.u64At(pointers + gigabyte * 8, base + directory + TABLE_ENTRY);
    for (let entry = 0; entry < ENTRIES_PER_TABLE; entry++) {
      const address = (gigabyte * ENTRIES_PER_TABLE + entry) * LARGE_PAGE_SIZE;
      tables.u64At(directory + entry * 8, address + LARGE_PAGE_ENTRY);
    }
  }
  return { address: base, bytes: tables.bytes };
}

/**
 * Checks a finished plan: every write lands in RAM and none overlaps another.
 * @throws BootError naming the first write that does not fit
 */
export function checkedPlan(
  writes: readonly MemoryWrite[],
  cpu: BootCpuState,
  memoryMap: readonly MemoryRange[],
): BootPlan {
  const sorted = writes.filter((write) => write.bytes.length > 0).sort((a, b) => a.address - b.address);
  let end = 0;
  for (const { address, bytes } of sorted) {
    if (!isRam(memoryMap, address, bytes.length)) {
      throw new BootError(`${describe(address, bytes.length)} is not in memory; give the machine more memory`);
    }
    if (address < end) throw new BootError(`${describe(address, bytes.length)} overlaps another part of the image`);
    end = address + bytes.length;
  }
  return { writes: sorted, cpu };
}

function describe(address: number, length: number): string {
  return `image part at 0x${address.toString(16)} (${length} bytes)`;
}
