/* The I/O ports that KVM leaves to us: the UART, the CMOS clock and the ways a PC is reset. */
#ifndef TESTUDO_PORTS_H
#define TESTUDO_PORTS_H

#include "system.h"

enum port_result { PORT_DONE, PORT_RESET, PORT_SHUTDOWN };

/* Carries out the port access described by `data` (size bytes, repeated count times); absent ports read all ones. */
enum port_result ports_access(unsigned port, int write, unsigned size, unsigned count, __u8 *data);
/* The value that the guest wrote to the shutdown port. */
int ports_shutdown_status(void);

#endif
