#include "boot.h"

#include <asm/bootparam.h>
#include <asm/fcntl.h>
#include "acpi.h"
#include "machine.h"

/* Guest-physical layout. */
#define BOOT_PARAMETERS_ADDRESS 0x10000ul
#define COMMAND_LINE_ADDRESS 0x20000ul
#define LOW_MEMORY_END 0x9fc00ul /* where a PC keeps its extended BIOS data area */
#define KERNEL_ADDRESS 0x100000ul
#define PAGE_MASK 0xffful

/* The setup header within the file and its own length byte (boot.rst, "Details of Header Fields"). */
#define SETUP_HEADER_OFFSET 0x1f1ul
#define HEADER_LENGTH_OFFSET 0x201
#define HEADER_LENGTH_BASE 0x202
#define SECTOR_SIZE 512ul
#define DEFAULT_SETUP_SECTORS 4
#define HEADER_MAGIC 0x53726448 /* "HdrS" */
#define PROTOCOL_WITH_XLOADFLAGS 0x020c
#define ENTRY_64_OFFSET 0x200
#define LOADER_WITHOUT_ID 0xff
#define VIDEO_MODE_NORMAL 0xffff
#define CAN_USE_HEAP_FLAG 0x80
#define HEAP_END 0xfe00

/* E820 types (ACPI specification, "Address Range Types"). */
#define MEMORY_USABLE 1
#define MEMORY_RESERVED 2

static int open_file(const char *path, word *length)
{
    int file = sys_open(path, O_RDONLY | O_CLOEXEC);
    if (file < 0)
        fail("cannot open", path, file);
    long size = sys_file_size(file);
    if (size < 0)
        fail("cannot measure", path, size);
    *length = size;
    return file;
}

/* Reads straight into guest memory: one copy. */
static void read_file(int file, const char *path, word offset, void *to, word length)
{
    while (length) {
        long done = sys_pread(file, to, length, offset);
        if (done <= 0)
            fail("cannot read", path, done);
        to = (__u8 *)to + done;
        offset += done;
        length -= done;
    }
}

static void fail_too_large(const char *what)
{
    fail(what, "does not fit in the guest's memory; give it more with --memory", 0);
}

void boot_linux(const char *kernel_path, const char *initrd_path, const char *command_line)
{
    __u8 first_sectors[2 * SECTOR_SIZE];
    word kernel_length, initrd_length;
    int kernel = open_file(kernel_path, &kernel_length);
    if (kernel_length < sizeof first_sectors)
        fail("not a Linux bzImage:", kernel_path, 0);
    read_file(kernel, kernel_path, 0, first_sectors, sizeof first_sectors);
    struct setup_header header;
    memcpy(&header, first_sectors + SETUP_HEADER_OFFSET, sizeof header);
    if (header.header != HEADER_MAGIC || header.version < PROTOCOL_WITH_XLOADFLAGS)
        fail("not a Linux bzImage:", kernel_path, 0);
    if (!(header.xloadflags & XLF_KERNEL_64))
        fail("the kernel has no 64-bit entry:", kernel_path, 0);

    word setup_length = ((header.setup_sects ? header.setup_sects : DEFAULT_SETUP_SECTORS) + 1) * SECTOR_SIZE;
    if (setup_length >= kernel_length)
        fail("the file is cut short:", kernel_path, 0);
    word code_length = kernel_length - setup_length;
    /* The kernel unpacks itself at its preferred address and needs init_size bytes there. */
    word unpack_end = header.pref_address + header.init_size;
    word load_end = KERNEL_ADDRESS + code_length;
    word kernel_end = unpack_end > load_end ? unpack_end : load_end;
    if (kernel_end > machine.memory_size)
        fail_too_large("the kernel");

    int initrd = open_file(initrd_path, &initrd_length);
    word initrd_end = machine.memory_size < (word)header.initrd_addr_max + 1 ? machine.memory_size
                                                                             : (word)header.initrd_addr_max + 1;
    if (initrd_length > initrd_end || ((initrd_end - initrd_length) & ~PAGE_MASK) < kernel_end)
        fail_too_large("the initial RAM disk");
    word initrd_address = (initrd_end - initrd_length) & ~PAGE_MASK;
    word command_line_length = text_length(command_line);
    if (command_line_length > header.cmdline_size)
        fail("the kernel command line is too long", NULL, 0);

    read_file(kernel, kernel_path, setup_length, machine.memory + KERNEL_ADDRESS, code_length);
    read_file(initrd, initrd_path, 0, machine.memory + initrd_address, initrd_length);
    memcpy(machine.memory + COMMAND_LINE_ADDRESS, command_line, command_line_length + 1);
    sys_close(kernel);
    sys_close(initrd);

    struct boot_params *parameters = (struct boot_params *)(machine.memory + BOOT_PARAMETERS_ADDRESS);
    word header_length = HEADER_LENGTH_BASE + first_sectors[HEADER_LENGTH_OFFSET] - SETUP_HEADER_OFFSET;
    memcpy(&parameters->hdr, &header, header_length < sizeof header ? header_length : sizeof header);
    parameters->hdr.vid_mode = VIDEO_MODE_NORMAL;
    parameters->hdr.type_of_loader = LOADER_WITHOUT_ID;
    parameters->hdr.loadflags |= CAN_USE_HEAP_FLAG;
    parameters->hdr.heap_end_ptr = HEAP_END;
    parameters->hdr.cmd_line_ptr = COMMAND_LINE_ADDRESS;
    parameters->hdr.ramdisk_image = initrd_address;
    parameters->hdr.ramdisk_size = initrd_length;
    parameters->acpi_rsdp_addr = acpi_write_tables();
    const struct boot_e820_entry map[] = {
        { 0, LOW_MEMORY_END, MEMORY_USABLE },
        { LOW_MEMORY_END, KERNEL_ADDRESS - LOW_MEMORY_END, MEMORY_RESERVED },
        { KERNEL_ADDRESS, machine.memory_size - KERNEL_ADDRESS, MEMORY_USABLE },
    };
    memcpy(parameters->e820_table, map, sizeof map);
    parameters->e820_entries = sizeof map / sizeof map[0];
    machine_enter_64_bit_mode(KERNEL_ADDRESS + ENTRY_64_OFFSET, BOOT_PARAMETERS_ADDRESS);
}
