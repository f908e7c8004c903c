#ifndef TESTUDO_ACPI_H
#define TESTUDO_ACPI_H

#include <linux/types.h>

/*
 * Writes the ACPI tables that tell the guest of its local APIC and I/O APIC, and nothing else: without them Linux keeps
 * to the 8259s and the 8254, whose every timer event costs several VM exits instead of one. There is no FADT and so no
 * further ACPI hardware. Returns the guest-physical address of the RSDP.
 */
__u64 acpi_write_tables(void);

#endif
