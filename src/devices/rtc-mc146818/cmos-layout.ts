/** The bytes a PC's firmware and QEMU keep in CMOS RAM, as far as guests read them. */

/** Shutdown status: how the BIOS goes on after a processor reset. */
export const CMOS_SHUTDOWN_STATUS = 0x0f;
/** Equipment byte: bit 1 a coprocessor, bit 2 a mouse. */
export const CMOS_EQUIPMENT = 0x14;
const EQUIPMENT_COPROCESSOR_AND_MOUSE = 0x06;
/** Conventional memory in KiB, 16 bits. */
const CMOS_BASE_MEMORY = 0x15;
/** Memory above 1 MiB in KiB, 16 bits, twice. */
const CMOS_EXTENDED_MEMORY = 0x17;
const CMOS_EXTENDED_MEMORY_ACTUAL = 0x30;
/** Memory above 16 MiB and below 4 GiB in units of 64 KiB, 16 bits. */
const CMOS_MEMORY_ABOVE_16_MIB = 0x34;
/** Memory above 4 GiB in units of 64 KiB, 24 bits. */
const CMOS_MEMORY_ABOVE_4_GIB = 0x5b;
/** Number of processors less one, as SeaBIOS takes it. */
const CMOS_PROCESSORS = 0x5f;

const KIB = 1024;
const MIB = 1024 * KIB;
const CONVENTIONAL_KIB = 640;
const UNIT_64_KIB = 64 * KIB;
const MAX_16_BITS = 0xffff;

/**
 * Writes the memory sizes, the equipment byte and the processor count.
 * `belowFourGib` and `aboveFourGib` are bytes of RAM on either side of 4 GiB.
 */
export function writeCmosConfiguration(
  setByte: (index: number, value: number) => void,
  configuration: { belowFourGib: number; aboveFourGib: number; processors: number },
): void {
  const { belowFourGib, aboveFourGib, processors } = configuration;
  const store = (index: number, bytes: number, value: number) => {
    for (let i = 0; i < bytes; i++) setByte(index + i, Math.floor(value / 256 ** i) & 0xff);
  };
  const clamp = (value: number) => Math.max(0, Math.min(Math.floor(value), MAX_16_BITS));
  const extended = clamp((belowFourGib - MIB) / KIB);
  store(CMOS_BASE_MEMORY, 2, CONVENTIONAL_KIB);
  store(CMOS_EXTENDED_MEMORY, 2, extended);
  store(CMOS_EXTENDED_MEMORY_ACTUAL, 2, extended);
  store(CMOS_MEMORY_ABOVE_16_MIB, 2, clamp((belowFourGib - 16 * MIB) / UNIT_64_KIB));
  store(CMOS_MEMORY_ABOVE_4_GIB, 3, Math.floor(aboveFourGib / UNIT_64_KIB));
  setByte(CMOS_PROCESSORS, (processors - 1) & 0xff);
  setByte(CMOS_EQUIPMENT, EQUIPMENT_COPROCESSOR_AND_MOUSE);
}
