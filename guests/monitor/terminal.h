/* The user's side of the guest's console: standard output, and standard input where that is a terminal. */
#ifndef TESTUDO_TERMINAL_H
#define TESTUDO_TERMINAL_H

#include "system.h"

/* Starts every output line with `line_prefix` (may be empty) and takes the terminal, if there is one. */
void terminal_open(const char *line_prefix);
/* One byte from the guest. Collected; shown by terminal_flush(), at a line's end and when the buffer is full. */
void terminal_write(__u8 byte);
void terminal_flush(void);
/* Moves what the user typed into the UART. */
void terminal_pump_input(void);
/* Whether the user pressed Ctrl-] or a signal asked the monitor to end. */
int terminal_wants_to_quit(void);

#endif
