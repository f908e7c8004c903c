/** Addresses that ACPI tables, firmware and devices must agree on. The board follows QEMU's q35 (ICH9 data sheet, Intel 316972). */

/** Power management registers, by their I/O base (ICH9 section 13.8.3, "Power Management I/O Registers"). */
export const PM = {
  BASE: 0x600,
  LENGTH: 0x80,
  EVENT: 0x00,
  EVENT_LENGTH: 4,
  CONTROL: 0x04,
  CONTROL_LENGTH: 2,
  TIMER: 0x08,
  TIMER_LENGTH: 4,
  GPE0: 0x20,
  GPE0_LENGTH: 16,
  SMI: 0x30,
} as const;

/** The system control interrupt. */
export const SCI_IRQ = 9;

/** APM control port and the commands that hand the PM registers to the operating system and take them back. */
export const APM = { CONTROL: 0xb2, STATUS: 0xb3, ACPI_ENABLE: 0x02, ACPI_DISABLE: 0x03 } as const;

/** Reset control register (ICH9 section 13.7.5): system reset, reset CPU, full reset. */
export const RESET_CONTROL = { PORT: 0xcf9, SYSTEM_RESET: 0x02, RESET_CPU: 0x04, FULL_RESET: 0x08 } as const;

/** Value of SLP_TYP for soft-off. */
export const SLEEP_TYPE_S5 = 0;

/** Firmware configuration: selector and data, then the DMA address register. */
export const FW_CFG = { PORT: 0x510, LENGTH: 12 } as const;

/** I/O APIC pins that PIRQA to PIRQH reach (ICH9 section 5.9.2). */
export const PIRQ_FIRST_GSI = 16;

/** Links A to H that a PCI interrupt pin may take. Index 0 is PIRQA. */
export const PIRQ_COUNT = 8;

/** Device number of the LPC bridge on bus 0. */
export const LPC_DEVICE = 31;

/** First PIRQ route control registers of the LPC bridge: A to D, and E to H (ICH9 sections 13.1.16 and 13.1.18). */
export const PIRQ_ROUTE = { A_TO_D: 0x60, E_TO_H: 0x68 } as const;

/**
 * The PIRQ that a device's interrupt pin drives: pins rotate over E to H by device number; device 31 is wired straight
 * to A to D.
 * @param device device number on bus 0
 * @param pin 0 for INTA to 3 for INTD
 */
export function pirqOf(device: number, pin: number): number {
  return device === LPC_DEVICE ? pin : 4 + ((device + pin) % 4);
}
