/**
 * The board's ACPI tables (ACPI 6.5 chapter 5). They are built as one relocatable blob, so that direct kernel boot can put it
 * at a fixed address and firmware can load it where it likes.
 */
import { BOARD_ADDRESS } from '../boot/memory-map.ts';
import { ByteWriter } from '../bytes.ts';
import { APM, PM, RESET_CONTROL, SCI_IRQ } from './chipset.ts';
import { type DsdtOptions, dsdtTerms } from './dsdt.ts';

/** What the tables have to describe. */
export interface AcpiOptions extends DsdtOptions {
  /** Local APIC identifier of each processor; by default 0, 1, 2... */
  readonly apicIds?: readonly number[];
  /** General capabilities register of the HPET, low half (IA-PC HPET specification section 2.3.4). */
  readonly hpetCapabilities?: number;
}

/** A field of the blob that holds the address of another place in it. */
export interface AcpiPointer {
  readonly offset: number;
  readonly size: 4 | 8;
}

/** A checksum byte and the range whose bytes must sum to zero. */
export interface AcpiChecksum {
  readonly offset: number;
  readonly start: number;
  readonly length: number;
}

/** Tables whose pointers hold offsets within {@link bytes} and whose checksums are zero until they are placed. */
export interface AcpiTables {
  readonly bytes: Uint8Array;
  readonly pointers: readonly AcpiPointer[];
  readonly checksums: readonly AcpiChecksum[];
  readonly xsdtOffset: number;
  /** Offsets by signature. */
  readonly offsets: Readonly<Record<string, number>>;
}

/** System description table header (table 5.4). */
const HEADER = { LENGTH: 4, REVISION: 8, CHECKSUM: 9, SIZE: 36 } as const;
const OEM_ID = 'TESTUD';
const OEM_TABLE_ID = 'TESTUDO ';
const CREATOR_ID = 'TSTD';
const OEM_REVISION = 1;
const TABLE_ALIGNMENT = 16;
const FACS_ALIGNMENT = 64;

/** Collects tables with their pointers and checksums. */
class TableBuilder {
  readonly blob = new ByteWriter();
  readonly pointers: AcpiPointer[] = [];
  readonly checksums: AcpiChecksum[] = [];
  readonly offsets: Record<string, number> = {};

  /**
   * Appends a table; `pointers` are offsets within it and their targets' signatures.
   * @returns its offset
   */
  add(
    signature: string,
    revision: number,
    body: Uint8Array,
    pointers: readonly [number, 4 | 8, string][] = [],
  ): number {
    this.blob.align(TABLE_ALIGNMENT);
    const start = this.blob.length;
    const length = HEADER.SIZE + body.length;
    this.blob
      .text(signature, 4)
      .u32(length)
      .u8(revision)
      .u8(0)
      .text(OEM_ID, 6)
      .text(OEM_TABLE_ID, 8)
      .u32(OEM_REVISION)
      .text(CREATOR_ID, 4)
      .u32(1)
      .append(body);
    for (const [offset, size, target] of pointers) {
      const place = start + offset;
      if (size === 4) this.blob.u32At(place, this.offsets[target]);
      else this.blob.u64At(place, this.offsets[target]);
      this.pointers.push({ offset: place, size });
    }
    this.checksums.push({ offset: start + HEADER.CHECKSUM, start, length });
    this.offsets[signature] = start;
    return start;
  }

  /** The FACS has neither the common header nor a checksum (section 5.2.10). */
  addFacs(): void {
    const LENGTH = 64;
    const VERSION_OFFSET = 32;
    this.blob.align(FACS_ALIGNMENT);
    this.offsets.FACS = this.blob.length;
    const facs = new ByteWriter(LENGTH).u8At(VERSION_OFFSET, 1).u32At(HEADER.LENGTH, LENGTH);
    this.blob.append(facs.bytesAt(0, new ByteWriter().text('FACS').bytes).bytes);
  }
}

/** Builds the tables. */
export function buildAcpiTables(options: AcpiOptions): AcpiTables {
  const builder = new TableBuilder();
  builder.addFacs();
  builder.add('DSDT', 2, dsdtTerms(options));
  builder.add('FACP', 3, fixedAcpiDescription(options), [
    [FADT.FIRMWARE_CTRL, 4, 'FACS'],
    [FADT.DSDT, 4, 'DSDT'],
    [FADT.X_DSDT, 8, 'DSDT'],
  ]);
  builder.add(
    'APIC',
    3,
    multipleApicDescription(options.apicIds ?? Array.from({ length: options.processors }, (_, id) => id)),
  );
  builder.add('HPET', 1, highPrecisionEventTimer(options.hpetCapabilities ?? DEFAULT_HPET_CAPABILITIES));
  builder.add('MCFG', 1, enhancedConfigurationSpace());
  builder.add('WAET', 1, emulatedDevices());
  const listed = ['FACP', 'APIC', 'HPET', 'MCFG', 'WAET'];
  const xsdtOffset = builder.add(
    'XSDT',
    1,
    new Uint8Array(8 * listed.length),
    listed.map((signature, index) => [HEADER.SIZE + 8 * index, 8, signature]),
  );
  const { pointers, checksums, offsets } = builder;
  return { bytes: builder.blob.bytes.slice(), pointers, checksums, xsdtOffset, offsets };
}

/** FADT fields by offset from the table's start (table 5.9). */
const FADT = {
  FIRMWARE_CTRL: 36,
  DSDT: 40,
  SCI_INT: 46,
  SMI_CMD: 48,
  ACPI_ENABLE: 52,
  ACPI_DISABLE: 53,
  PM1A_EVT_BLK: 56,
  PM1A_CNT_BLK: 64,
  PM_TMR_BLK: 76,
  GPE0_BLK: 80,
  PM1_EVT_LEN: 88,
  PM1_CNT_LEN: 89,
  PM_TMR_LEN: 91,
  GPE0_BLK_LEN: 92,
  P_LVL2_LAT: 96,
  P_LVL3_LAT: 98,
  CENTURY: 108,
  IAPC_BOOT_ARCH: 109,
  FLAGS: 112,
  RESET_REG: 116,
  RESET_VALUE: 128,
  X_DSDT: 140,
  X_PM1A_EVT_BLK: 148,
  X_PM1A_CNT_BLK: 172,
  X_PM_TMR_BLK: 208,
  X_GPE0_BLK: 220,
  LENGTH: 244,
} as const;

/** Fixed feature flags (table 5.10): WBINVD works, C1 everywhere, no sleep button, reset register, reliable platform clock. */
const FADT_FLAGS = {
  WBINVD: 1 << 0,
  PROC_C1: 1 << 2,
  SLP_BUTTON: 1 << 5,
  RESET_REG_SUP: 1 << 10,
  USE_PLATFORM_CLOCK: 1 << 15,
} as const;
/** IA-PC boot architecture flags (table 5.11). */
const BOOT_ARCH = { LEGACY_DEVICES: 1 << 0, KEYBOARD_CONTROLLER: 1 << 1, VGA_NOT_PRESENT: 1 << 2 } as const;
/** Latencies above 100 and 1000 microseconds mean that C2 and C3 are not supported. */
const NO_C2 = 0xfff;
const NO_C3 = 0xfff;
/** CMOS address of the century. */
const CENTURY_REGISTER = 0x32;

function fixedAcpiDescription(options: AcpiOptions): Uint8Array {
  const table = new ByteWriter(FADT.LENGTH);
  table.u16At(FADT.SCI_INT, SCI_IRQ).u32At(FADT.SMI_CMD, APM.CONTROL);
  table.u8At(FADT.ACPI_ENABLE, APM.ACPI_ENABLE).u8At(FADT.ACPI_DISABLE, APM.ACPI_DISABLE);
  table.u32At(FADT.PM1A_EVT_BLK, PM.BASE + PM.EVENT).u8At(FADT.PM1_EVT_LEN, PM.EVENT_LENGTH);
  table.u32At(FADT.PM1A_CNT_BLK, PM.BASE + PM.CONTROL).u8At(FADT.PM1_CNT_LEN, PM.CONTROL_LENGTH);
  table.u32At(FADT.PM_TMR_BLK, PM.BASE + PM.TIMER).u8At(FADT.PM_TMR_LEN, PM.TIMER_LENGTH);
  table.u32At(FADT.GPE0_BLK, PM.BASE + PM.GPE0).u8At(FADT.GPE0_BLK_LEN, PM.GPE0_LENGTH);
  table.u16At(FADT.P_LVL2_LAT, NO_C2).u16At(FADT.P_LVL3_LAT, NO_C3).u8At(FADT.CENTURY, CENTURY_REGISTER);
  table.u16At(
    FADT.IAPC_BOOT_ARCH,
    BOOT_ARCH.LEGACY_DEVICES |
      (options.keyboardController ? BOOT_ARCH.KEYBOARD_CONTROLLER : 0) |
      (options.vga ? 0 : BOOT_ARCH.VGA_NOT_PRESENT),
  );
  const { WBINVD, PROC_C1, SLP_BUTTON, RESET_REG_SUP, USE_PLATFORM_CLOCK } = FADT_FLAGS;
  table.u32At(FADT.FLAGS, WBINVD | PROC_C1 | SLP_BUTTON | RESET_REG_SUP | USE_PLATFORM_CLOCK);
  table.bytesAt(FADT.RESET_REG, ioRegister(RESET_CONTROL.PORT, 1));
  table.u8At(FADT.RESET_VALUE, RESET_CONTROL.SYSTEM_RESET | RESET_CONTROL.RESET_CPU | RESET_CONTROL.FULL_RESET);
  table.bytesAt(FADT.X_PM1A_EVT_BLK, ioRegister(PM.BASE + PM.EVENT, PM.EVENT_LENGTH));
  table.bytesAt(FADT.X_PM1A_CNT_BLK, ioRegister(PM.BASE + PM.CONTROL, PM.CONTROL_LENGTH));
  table.bytesAt(FADT.X_PM_TMR_BLK, ioRegister(PM.BASE + PM.TIMER, PM.TIMER_LENGTH));
  table.bytesAt(FADT.X_GPE0_BLK, ioRegister(PM.BASE + PM.GPE0, PM.GPE0_LENGTH));
  return table.bytes.subarray(HEADER.SIZE);
}

/** Generic address structure for a register in I/O space (table 5.1); the access size is left to the operating system. */
function ioRegister(port: number, bytes: number): Uint8Array {
  const SYSTEM_IO = 1;
  const ANY_ACCESS = 0;
  return new ByteWriter()
    .u8(SYSTEM_IO)
    .u8(bytes * 8)
    .u8(0)
    .u8(ANY_ACCESS)
    .u64(port).bytes;
}

/** Interrupt controller structures (section 5.2.12). */
const MADT = {
  PCAT_COMPAT: 1,
  LOCAL_APIC: 0,
  IO_APIC: 1,
  SOURCE_OVERRIDE: 2,
  LOCAL_APIC_NMI: 4,
  LOCAL_X2APIC: 9,
  LOCAL_X2APIC_NMI: 10,
  ENABLED: 1,
} as const;
/** MPS INTI flags (table 5.26): as the bus has it; or active high and level-triggered. */
const INTI = { BUS_DEFAULT: 0, ACTIVE_HIGH_LEVEL: 0x0d } as const;
const FIRST_X2APIC_ID = 255;
const NMI_LINT = 1;

function multipleApicDescription(apicIds: readonly number[]): Uint8Array {
  const table = new ByteWriter().u32(BOARD_ADDRESS.LOCAL_APIC).u32(MADT.PCAT_COMPAT);
  apicIds.forEach((id, uid) => {
    if (id < FIRST_X2APIC_ID) table.u8(MADT.LOCAL_APIC).u8(8).u8(uid).u8(id).u32(MADT.ENABLED);
    else table.u8(MADT.LOCAL_X2APIC).u8(16).u16(0).u32(id).u32(MADT.ENABLED).u32(uid);
  });
  table.u8(MADT.IO_APIC).u8(12).u8(0).u8(0).u32(BOARD_ADDRESS.IO_APIC).u32(0);
  const override = (irq: number, gsi: number, flags: number) =>
    table.u8(MADT.SOURCE_OVERRIDE).u8(10).u8(0).u8(irq).u32(gsi).u16(flags);
  override(0, 2, INTI.BUS_DEFAULT); // the 8254 is wired to pin 2, where the 8259 output would be
  override(SCI_IRQ, SCI_IRQ, INTI.ACTIVE_HIGH_LEVEL);
  const ALL_PROCESSORS = 0xff;
  table.u8(MADT.LOCAL_APIC_NMI).u8(6).u8(ALL_PROCESSORS).u16(INTI.BUS_DEFAULT).u8(NMI_LINT);
  if (apicIds.some((id) => id >= FIRST_X2APIC_ID)) {
    table.u8(MADT.LOCAL_X2APIC_NMI).u8(12).u16(INTI.BUS_DEFAULT).u32(0xffff_ffff).u8(NMI_LINT).zeros(3);
  }
  return table.bytes;
}

/** Intel, three 64-bit comparators, legacy replacement, revision 1. */
const DEFAULT_HPET_CAPABILITIES = 0x8086_a201;

/** IA-PC HPET specification section 3.2.4. */
function highPrecisionEventTimer(capabilities: number): Uint8Array {
  const SYSTEM_MEMORY = 0;
  const table = new ByteWriter().u32(capabilities);
  table.u8(SYSTEM_MEMORY).u8(0).u8(0).u8(0).u64(BOARD_ADDRESS.HPET);
  return table.u8(0).u16(0).u8(0).bytes; // number, minimum tick, page protection
}

/** PCI Firmware Specification 3.2 table 4-2. */
function enhancedConfigurationSpace(): Uint8Array {
  return new ByteWriter(8).u64(BOARD_ADDRESS.ECAM).u16(0).u8(0).u8(0xff).u32(0).bytes;
}

/** Windows ACPI Emulated Devices Table: the PM timer need be read only once. */
function emulatedDevices(): Uint8Array {
  const PM_TIMER_GOOD = 0x2;
  return new ByteWriter().u32(PM_TIMER_GOOD).bytes;
}

/** Root system description pointer, ACPI 2.0 and later (table 5.3), with zero checksums. */
export function rootPointer(xsdtAddress: number): Uint8Array {
  return new ByteWriter()
    .text('RSD PTR ')
    .u8(0)
    .text(OEM_ID, 6)
    .u8(2)
    .u32(0) // no RSDT
    .u32(RSDP.LENGTH)
    .u64(xsdtAddress)
    .u8(0)
    .zeros(3).bytes;
}

/** The root pointer's two checksums and the offset of its one pointer. */
export const RSDP = {
  LENGTH: 36,
  XSDT_OFFSET: 24,
  CHECKSUMS: [
    { offset: 8, start: 0, length: 20 },
    { offset: 32, start: 0, length: 36 },
  ],
} as const;

/** Fills in checksums. */
export function applyChecksums(bytes: Uint8Array, checksums: readonly AcpiChecksum[]): void {
  for (const { offset, start, length } of checksums) {
    bytes[offset] = 0;
    let sum = 0;
    for (const byte of bytes.subarray(start, start + length)) sum += byte;
    bytes[offset] = -sum & 0xff;
  }
}
