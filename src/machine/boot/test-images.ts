/** Small kernel images for the boot loader tests. */
import { ByteWriter } from '../bytes.ts';
import type { BootPlan } from './boot-plan.ts';

/** Options of {@link bzImage}. */
export interface BzImageFields {
  version?: number;
  loadflags?: number;
  relocatable?: boolean;
  alignment?: number;
  xloadflags?: number;
  commandLineSize?: number;
  initrdAddrMax?: number;
  preferredAddress?: number;
  initSize?: number;
}

/** A bzImage of one setup sector and `payload` as its protected-mode kernel. */
export function bzImage(
  fields: BzImageFields = {},
  payload: Uint8Array = new Uint8Array(0x400).fill(0x90),
): Uint8Array {
  const file = new ByteWriter(2 * 512)
    .u8At(0x1f1, 1)
    .u32At(0x1f4, Math.ceil(payload.length / 16))
    .u16At(0x1fe, 0xaa55)
    .u8At(0x201, 0x6a)
    .u32At(0x202, 0x53726448)
    .u16At(0x206, fields.version ?? 0x020f)
    .u8At(0x211, fields.loadflags ?? 0x01)
    .u32At(0x22c, fields.initrdAddrMax ?? 0x7fff_ffff)
    .u32At(0x230, fields.alignment ?? 0x20_0000)
    .u8At(0x234, fields.relocatable === false ? 0 : 1)
    .u16At(0x236, fields.xloadflags ?? 0x3f)
    .u32At(0x238, fields.commandLineSize ?? 2047)
    .u64At(0x258, fields.preferredAddress ?? 0x100_0000)
    .u32At(0x260, fields.initSize ?? 0x10_0000);
  return file.append(payload).bytes.slice();
}

/** One program header and its content. */
export interface ElfPart {
  type: 'load' | 'note';
  bytes: Uint8Array;
  physicalAddress?: number;
  virtualAddress?: number;
  memorySize?: number;
}

/** An ELF executable with the given parts. */
export function elf(
  bits: 32 | 64,
  entry: number,
  parts: readonly ElfPart[],
  machine = bits === 64 ? 62 : 3,
): Uint8Array {
  const headerSize = bits === 64 ? 64 : 52;
  const programHeaderSize = bits === 64 ? 56 : 32;
  const file = new ByteWriter();
  const word = (value: number) => (bits === 64 ? file.u64(value) : file.u32(value));
  file
    .append([0x7f, 0x45, 0x4c, 0x46, bits === 64 ? 2 : 1, 1, 1])
    .zeros(9)
    .u16(2)
    .u16(machine)
    .u32(1);
  word(entry);
  word(headerSize);
  word(0);
  file.u32(0).u16(headerSize).u16(programHeaderSize).u16(parts.length).u16(0).u16(0).u16(0);
  let offset = headerSize + parts.length * programHeaderSize;
  for (const part of parts) {
    const physical = part.physicalAddress ?? 0;
    const virtual = part.virtualAddress ?? physical;
    const memorySize = part.memorySize ?? part.bytes.length;
    file.u32(part.type === 'load' ? 1 : 4);
    if (bits === 64) file.u32(7).u64(offset).u64(virtual).u64(physical).u64(part.bytes.length).u64(memorySize).u64(4);
    else file.u32(offset).u32(virtual).u32(physical).u32(part.bytes.length).u32(memorySize).u32(7).u32(4);
    offset += part.bytes.length;
  }
  for (const part of parts) file.append(part.bytes);
  return file.bytes.slice();
}

/** An ELF note. */
export function note(name: string, type: number, description: Uint8Array): Uint8Array {
  return new ByteWriter()
    .u32(name.length + 1)
    .u32(description.length)
    .u32(type)
    .text(name, name.length + 1)
    .align(4)
    .append(description)
    .align(4)
    .bytes.slice();
}

/** Memory contents of a plan, as a function that reads `length` bytes at an address. */
export function memoryOf(plan: BootPlan): (address: number, length: number) => DataView {
  return (address, length) => {
    const bytes = new Uint8Array(length);
    for (const write of plan.writes) {
      const from = Math.max(address, write.address);
      const to = Math.min(address + length, write.address + write.bytes.length);
      if (from < to) bytes.set(write.bytes.subarray(from - write.address, to - write.address), from - address);
    }
    return new DataView(bytes.buffer);
  };
}

/** The zero-terminated string at an address. */
export function stringAt(plan: BootPlan, address: number): string {
  const view = memoryOf(plan)(address, 4096);
  let text = '';
  for (let index = 0; view.getUint8(index) !== 0; index++) text += String.fromCharCode(view.getUint8(index));
  return text;
}
