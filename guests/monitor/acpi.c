#include "acpi.h"

#include "machine.h"

/* Guest-physical place of the tables: in the BIOS area, which the memory map reserves. */
#define TABLES_ADDRESS 0xf0000ul
#define LOCAL_APIC_ADDRESS 0xfee00000
#define IO_APIC_ADDRESS 0xfec00000
/* KVM's interrupt controllers: 16 of the I/O APIC's pins are the ISA lines, and the timer's line 0 is on pin 2. */
#define IO_APIC_ID 0
#define TIMER_LINE 0
#define TIMER_PIN 2

/* ACPI specification 6.4: 5.2.5.3 (RSDP), 5.2.6 (headers), 5.2.8 (XSDT), 5.2.12 (MADT). */
struct __attribute__((packed)) rsdp {
    char signature[8];
    __u8 checksum;
    char oem_id[6];
    __u8 revision;
    __u32 rsdt_address;
    __u32 length;
    __u64 xsdt_address;
    __u8 extended_checksum;
    __u8 reserved[3];
};

struct __attribute__((packed)) table_header {
    char signature[4];
    __u32 length;
    __u8 revision;
    __u8 checksum;
    char oem_id[6];
    char oem_table_id[8];
    __u32 oem_revision;
    char creator_id[4];
    __u32 creator_revision;
};

struct __attribute__((packed)) xsdt {
    struct table_header header;
    __u64 madt_address;
};

struct __attribute__((packed)) madt {
    struct table_header header;
    __u32 local_apic_address;
    __u32 flags;
    struct __attribute__((packed)) {
        __u8 type, length, processor_id, apic_id;
        __u32 flags;
    } local_apic;
    struct __attribute__((packed)) {
        __u8 type, length, id, reserved;
        __u32 address, interrupt_base;
    } io_apic;
    struct __attribute__((packed)) {
        __u8 type, length, bus, source;
        __u32 interrupt;
        __u16 flags;
    } timer_override;
};

#define MADT_PC_AT_COMPATIBLE 1 /* flags: there are 8259s too */
#define MADT_LOCAL_APIC 0
#define MADT_IO_APIC 1
#define MADT_SOURCE_OVERRIDE 2
#define PROCESSOR_ENABLED 1

struct tables {
    struct rsdp rsdp;
    struct xsdt xsdt;
    struct madt madt;
};

#define ADDRESS_OF(member) (TABLES_ADDRESS + __builtin_offsetof(struct tables, member))

/* The byte that makes the sum of all bytes zero. */
static __u8 checksum(const void *table, word length)
{
    __u8 sum = 0;
    for (word i = 0; i < length; i++)
        sum += ((const __u8 *)table)[i];
    return -sum;
}

static void write_header(struct table_header *header, const char *signature, __u32 length, __u8 revision)
{
    memcpy(header->signature, signature, sizeof header->signature);
    memcpy(header->oem_id, "TSTUDO", sizeof header->oem_id);
    memcpy(header->oem_table_id, "TESTUDO ", sizeof header->oem_table_id);
    memcpy(header->creator_id, "TSTD", sizeof header->creator_id);
    header->oem_revision = 1;
    header->creator_revision = 1;
    header->length = length;
    header->revision = revision;
    header->checksum = checksum(header, length); /* last: the table's other contents are in place */
}

__u64 acpi_write_tables(void)
{
    struct tables *tables = (struct tables *)(machine.memory + TABLES_ADDRESS);

    struct madt *madt = &tables->madt;
    madt->local_apic_address = LOCAL_APIC_ADDRESS;
    madt->flags = MADT_PC_AT_COMPATIBLE;
    madt->local_apic.type = MADT_LOCAL_APIC;
    madt->local_apic.length = sizeof madt->local_apic;
    madt->local_apic.flags = PROCESSOR_ENABLED;
    madt->io_apic.type = MADT_IO_APIC;
    madt->io_apic.length = sizeof madt->io_apic;
    madt->io_apic.id = IO_APIC_ID;
    madt->io_apic.address = IO_APIC_ADDRESS;
    madt->timer_override.type = MADT_SOURCE_OVERRIDE;
    madt->timer_override.length = sizeof madt->timer_override;
    madt->timer_override.source = TIMER_LINE;
    madt->timer_override.interrupt = TIMER_PIN;
    write_header(&madt->header, "APIC", sizeof *madt, 5);

    tables->xsdt.madt_address = ADDRESS_OF(madt);
    write_header(&tables->xsdt.header, "XSDT", sizeof tables->xsdt, 1);

    struct rsdp *rsdp = &tables->rsdp;
    memcpy(rsdp->signature, "RSD PTR ", sizeof rsdp->signature);
    memcpy(rsdp->oem_id, "TSTUDO", sizeof rsdp->oem_id);
    rsdp->revision = 2;
    rsdp->length = sizeof *rsdp;
    rsdp->xsdt_address = ADDRESS_OF(xsdt);
    rsdp->checksum = checksum(rsdp, __builtin_offsetof(struct rsdp, length)); /* the fields of revision 0 */
    rsdp->extended_checksum = checksum(rsdp, sizeof *rsdp);
    return ADDRESS_OF(rsdp);
}
