/* A 16550 at COM1 (PC16550D data sheet): transmits at once, receives from the terminal. */
#ifndef TESTUDO_UART_H
#define TESTUDO_UART_H

#include "system.h"

#define UART_BASE 0x3f8
#define UART_PORTS 8

__u8 uart_read(unsigned offset);
void uart_write(unsigned offset, __u8 value);
/* How many more bytes uart_receive() takes. */
unsigned uart_receive_space(void);
/* Puts a byte into the receiver and raises the interrupt if the guest wants it. */
void uart_receive(__u8 byte);

#endif
