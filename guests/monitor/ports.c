#include "ports.h"

#include "uart.h"

#define CMOS_INDEX 0x70
#define CMOS_DATA 0x71
#define CMOS_INDEX_MASK 0x7f
#define KEYBOARD_COMMAND 0x64
#define KEYBOARD_PULSE_RESET 0xfe
#define RESET_CONTROL 0xcf9 /* only as a byte: a wider access to 0xcf8 is PCI's configuration address */
#define RESET_CONTROL_RESET 0x04
/* The address of QEMU's isa-debug-exit device, which test programs know. */
#define SHUTDOWN 0xf4

static __u8 cmos_index;
static int shutdown_status;

/*
 * A clock that stands still (MC146818A data sheet, BCD, 24 hours; 1 January 2024). What matters is that an update is
 * never in progress: with all ones there, Linux waits for seconds.
 */
static __u8 cmos_read(void)
{
    switch (cmos_index) {
    case 0x06: return 0x02; /* day of the week: Monday */
    case 0x07: return 0x01; /* day of the month */
    case 0x08: return 0x01; /* month */
    case 0x09: return 0x24; /* year */
    case 0x0a: return 0x26; /* register A: 32,768 Hz, no update in progress */
    case 0x0b: return 0x02; /* register B: 24 hours */
    case 0x0d: return 0x80; /* register D: contents valid */
    case 0x32: return 0x20; /* century */
    default: return 0;
    }
}

static enum port_result write_byte(unsigned port, __u8 value, unsigned access_size)
{
    if (port - UART_BASE < UART_PORTS)
        uart_write(port - UART_BASE, value);
    else if (port == CMOS_INDEX)
        cmos_index = value & CMOS_INDEX_MASK;
    else if (port == KEYBOARD_COMMAND && value == KEYBOARD_PULSE_RESET)
        return PORT_RESET;
    else if (port == RESET_CONTROL && access_size == 1 && (value & RESET_CONTROL_RESET))
        return PORT_RESET;
    else if (port == SHUTDOWN) {
        shutdown_status = value;
        return PORT_SHUTDOWN;
    }
    return PORT_DONE;
}

static __u8 read_byte(unsigned port)
{
    if (port - UART_BASE < UART_PORTS)
        return uart_read(port - UART_BASE);
    return port == CMOS_DATA ? cmos_read() : 0xff;
}

enum port_result ports_access(unsigned port, int write, unsigned size, unsigned count, __u8 *data)
{
    for (; count; count--, data += size) {
        /* All devices here are eight bits wide; the bus splits wider accesses. */
        for (unsigned i = 0; i < size; i++) {
            if (!write) {
                data[i] = read_byte(port + i);
                continue;
            }
            enum port_result result = write_byte(port + i, data[i], size);
            if (result != PORT_DONE)
                return result;
        }
    }
    return PORT_DONE;
}

int ports_shutdown_status(void)
{
    return shutdown_status;
}
