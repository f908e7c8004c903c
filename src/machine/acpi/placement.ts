/** Puts ACPI tables into memory: at a fixed place, or by instructions that firmware carries out. */
import type { MemoryWrite } from '../boot/boot-plan.ts';
import { alignUp, ByteWriter, viewOf } from '../bytes.ts';
import { type AcpiTables, applyChecksums, RSDP, rootPointer } from './tables.ts';

/** Tables align to this; the FACS needs it (ACPI 6.5 section 5.2.10). */
const BLOB_ALIGNMENT = 64;

/**
 * Places the root pointer at `base` (a multiple of 16, where operating systems search for it) and the tables behind it.
 * @throws RangeError if they do not fit into `room` bytes
 */
export function placeAcpiTables(
  tables: AcpiTables,
  base: number,
  room: number,
): { rsdpAddress: number; writes: MemoryWrite[] } {
  const tablesAddress = alignUp(base + RSDP.LENGTH, BLOB_ALIGNMENT);
  if (tablesAddress + tables.bytes.length > base + room) {
    throw new RangeError(`ACPI tables of ${tables.bytes.length} bytes do not fit into ${room} bytes`);
  }
  const bytes = tables.bytes.slice();
  const view = viewOf(bytes);
  for (const { offset, size } of tables.pointers) {
    if (size === 4) view.setUint32(offset, view.getUint32(offset, true) + tablesAddress, true);
    else view.setBigUint64(offset, view.getBigUint64(offset, true) + BigInt(tablesAddress), true);
  }
  applyChecksums(bytes, tables.checksums);
  const rsdp = rootPointer(tablesAddress + tables.xsdtOffset);
  applyChecksums(rsdp, RSDP.CHECKSUMS);
  return {
    rsdpAddress: base,
    writes: [
      { address: base, bytes: rsdp },
      { address: tablesAddress, bytes },
    ],
  };
}

/** Names under which SeaBIOS and OVMF look for tables in the firmware configuration device. */
const FILE = { TABLES: 'etc/acpi/tables', RSDP: 'etc/acpi/rsdp', LOADER: 'etc/table-loader' } as const;

/** Commands of the table loader that QEMU's firmware interface defines: records of 128 bytes. */
const COMMAND = { ALLOCATE: 1, ADD_POINTER: 2, ADD_CHECKSUM: 3 } as const;
const COMMAND_LENGTH = 128;
const NAME_LENGTH = 56;
/** Where a file is allocated: anywhere, or where the root pointer is searched for. */
const ZONE = { HIGH: 1, F_SEGMENT: 2 } as const;

/** The files that make firmware load the tables. */
export function acpiFirmwareFiles(tables: AcpiTables): Record<string, Uint8Array> {
  const script = new ByteWriter();
  const command = (code: number, write: (record: ByteWriter) => void) => {
    const record = new ByteWriter().u32(code);
    write(record);
    script.append(record.zeros(COMMAND_LENGTH - record.length).bytes);
  };
  const allocate = (file: string, alignment: number, zone: number) =>
    command(COMMAND.ALLOCATE, (record) => record.text(file, NAME_LENGTH).u32(alignment).u8(zone));
  const addPointer = (destination: string, source: string, offset: number, size: number) =>
    command(COMMAND.ADD_POINTER, (record) =>
      record.text(destination, NAME_LENGTH).text(source, NAME_LENGTH).u32(offset).u8(size),
    );
  const addChecksum = (file: string, { offset, start, length }: { offset: number; start: number; length: number }) =>
    command(COMMAND.ADD_CHECKSUM, (record) => record.text(file, NAME_LENGTH).u32(offset).u32(start).u32(length));

  allocate(FILE.RSDP, 16, ZONE.F_SEGMENT);
  allocate(FILE.TABLES, BLOB_ALIGNMENT, ZONE.HIGH);
  for (const { offset, size } of tables.pointers) addPointer(FILE.TABLES, FILE.TABLES, offset, size);
  for (const checksum of tables.checksums) addChecksum(FILE.TABLES, checksum);
  addPointer(FILE.RSDP, FILE.TABLES, RSDP.XSDT_OFFSET, 8);
  for (const checksum of RSDP.CHECKSUMS) addChecksum(FILE.RSDP, checksum);
  return {
    [FILE.TABLES]: tables.bytes,
    [FILE.RSDP]: rootPointer(tables.xsdtOffset),
    [FILE.LOADER]: script.bytes.slice(),
  };
}
