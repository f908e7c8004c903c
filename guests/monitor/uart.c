#include "uart.h"

#include "machine.h"
#include "terminal.h"

#define UART_INTERRUPT 4

/* Register offsets (data sheet, table II). */
enum {
    DATA = 0,                /* RBR and THR; DLL with DLAB */
    INTERRUPT_ENABLE = 1,    /* IER; DLM with DLAB */
    INTERRUPT_IDENTITY = 2,  /* IIR when read, FCR when written */
    LINE_CONTROL = 3,
    MODEM_CONTROL = 4,
    LINE_STATUS = 5,
    MODEM_STATUS = 6,
    SCRATCH = 7,
};

#define IER_RECEIVED_DATA 0x01
#define IER_TRANSMITTER_EMPTY 0x02
#define IER_MASK 0x0f
#define IIR_NONE 0x01
#define IIR_TRANSMITTER_EMPTY 0x02
#define IIR_RECEIVED_DATA 0x04
#define IIR_FIFOS_ENABLED 0xc0
#define FCR_ENABLE 0x01
#define FCR_CLEAR_RECEIVER 0x02
#define LCR_DIVISOR_LATCH 0x80
#define MCR_LOOP 0x10
#define MCR_MASK 0x1f
#define LSR_DATA_READY 0x01
#define LSR_TRANSMITTER_EMPTY 0x60 /* THRE and TEMT */
#define MSR_CONNECTED 0xb0         /* CTS, DSR and DCD: somebody is there */

#define RECEIVE_SIZE 256 /* a power of two */

static struct {
    __u8 interrupt_enable, fifo_control, line_control, modem_control, scratch, divisor[2];
    int transmitter_interrupt; /* pending until IIR is read or a byte is written */
    int line;                  /* level of the interrupt line as KVM knows it */
    __u8 receive[RECEIVE_SIZE];
    unsigned head, tail;
} uart;

static __u8 interrupt_identity(void)
{
    if ((uart.interrupt_enable & IER_RECEIVED_DATA) && uart.head != uart.tail)
        return IIR_RECEIVED_DATA;
    if ((uart.interrupt_enable & IER_TRANSMITTER_EMPTY) && uart.transmitter_interrupt)
        return IIR_TRANSMITTER_EMPTY;
    return IIR_NONE;
}

static void update_interrupt_line(void)
{
    int level = interrupt_identity() != IIR_NONE;
    if (level != uart.line)
        machine_set_interrupt_line(UART_INTERRUPT, uart.line = level);
}

/* In loop-back mode the modem outputs DTR, RTS, OUT1, OUT2 appear as DSR, CTS, RI, DCD. */
static __u8 modem_status(void)
{
    __u8 control = uart.modem_control;
    if (!(control & MCR_LOOP))
        return MSR_CONNECTED;
    return (control & 1) << 5 | (control & 2) << 3 | (control & 4) << 4 | (control & 8) << 4;
}

static __u8 read_received(void)
{
    if (uart.head == uart.tail)
        return 0;
    __u8 byte = uart.receive[uart.tail++ % RECEIVE_SIZE];
    if (uart.head == uart.tail)
        terminal_pump_input(); /* more may have waited for room */
    return byte;
}

__u8 uart_read(unsigned offset)
{
    int divisor = uart.line_control & LCR_DIVISOR_LATCH;
    __u8 value = 0;
    switch (offset) {
    case DATA:
        value = divisor ? uart.divisor[0] : read_received();
        break;
    case INTERRUPT_ENABLE:
        value = divisor ? uart.divisor[1] : uart.interrupt_enable;
        break;
    case INTERRUPT_IDENTITY:
        value = interrupt_identity();
        if (value == IIR_TRANSMITTER_EMPTY)
            uart.transmitter_interrupt = 0;
        if (uart.fifo_control & FCR_ENABLE)
            value |= IIR_FIFOS_ENABLED;
        break;
    case LINE_CONTROL:
        value = uart.line_control;
        break;
    case MODEM_CONTROL:
        value = uart.modem_control;
        break;
    case LINE_STATUS:
        value = LSR_TRANSMITTER_EMPTY | (uart.head != uart.tail ? LSR_DATA_READY : 0);
        break;
    case MODEM_STATUS:
        value = modem_status();
        break;
    case SCRATCH:
        value = uart.scratch;
        break;
    }
    update_interrupt_line();
    return value;
}

void uart_write(unsigned offset, __u8 value)
{
    int divisor = uart.line_control & LCR_DIVISOR_LATCH;
    switch (offset) {
    case DATA:
        if (divisor) {
            uart.divisor[0] = value;
        } else if (uart.modem_control & MCR_LOOP) {
            uart.transmitter_interrupt = 1;
            if (uart_receive_space())
                uart.receive[uart.head++ % RECEIVE_SIZE] = value;
        } else {
            uart.transmitter_interrupt = 1;
            terminal_write(value);
        }
        break;
    case INTERRUPT_ENABLE:
        if (divisor) {
            uart.divisor[1] = value;
            break;
        }
        if (value & ~uart.interrupt_enable & IER_TRANSMITTER_EMPTY)
            uart.transmitter_interrupt = 1; /* enabling it while the transmitter is empty raises it */
        uart.interrupt_enable = value & IER_MASK;
        terminal_flush(); /* drivers touch IER when a burst of output ends */
        break;
    case INTERRUPT_IDENTITY:
        uart.fifo_control = value;
        if (value & FCR_CLEAR_RECEIVER)
            uart.tail = uart.head;
        break;
    case LINE_CONTROL:
        uart.line_control = value;
        break;
    case MODEM_CONTROL:
        uart.modem_control = value & MCR_MASK;
        break;
    case SCRATCH:
        uart.scratch = value;
        break;
    }
    update_interrupt_line();
}

unsigned uart_receive_space(void)
{
    return RECEIVE_SIZE - (uart.head - uart.tail);
}

void uart_receive(__u8 byte)
{
    uart.receive[uart.head++ % RECEIVE_SIZE] = byte;
    update_interrupt_line();
}
