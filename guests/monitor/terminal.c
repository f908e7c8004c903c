#include "terminal.h"

#include <asm/fcntl.h>
#include <asm/ioctls.h>
#include <asm/signal.h>
#include <asm/termbits.h>
#include <asm/unistd.h>
#include "machine.h"
#include "uart.h"

#define ESCAPE_KEY 0x1d /* Ctrl-] */

static struct {
    const char *prefix;
    char buffer[1024];
    word used;
    int inside_line;     /* something of the current line is already out */
    int carriage_return; /* one is held back: before a line feed it is the terminal's business */
    int interactive;
    int raw;
    struct termios saved;
    long saved_flags;
    volatile int quit;
} terminal;

/*
 * Input arrives while the processor runs or sleeps inside KVM_RUN. The signal makes KVM_RUN return, and
 * immediate_exit closes the gap between our last look and the next KVM_RUN.
 */
static void on_input(int number)
{
    (void)number;
    if (machine.run)
        machine.run->immediate_exit = 1;
}

static void on_termination(int number)
{
    terminal.quit = 1;
    on_input(number);
}

void terminal_open(const char *line_prefix)
{
    terminal.prefix = line_prefix;
    sys_on_signal(SIGTERM, on_termination);
    sys_on_signal(SIGINT, on_termination);
    sys_on_signal(SIGHUP, on_termination);
    if (sys_ioctl(STANDARD_INPUT, TCGETS, &terminal.saved) < 0)
        return;
    terminal.interactive = 1;
    struct termios raw = terminal.saved;
    raw.c_iflag &= ~(BRKINT | ICRNL | INLCR | IGNCR | INPCK | ISTRIP | IXON);
    raw.c_lflag &= ~(ECHO | ICANON | ISIG | IEXTEN);
    raw.c_cc[VMIN] = 1;
    raw.c_cc[VTIME] = 0;
    /* Output processing stays on, so that our own messages and the guest's lines look alike. */
    terminal.raw = sys_ioctl(STANDARD_INPUT, TCSETSW, &raw) >= 0;

    sys_on_signal(SIGIO, on_input);
    terminal.saved_flags = system_call(__NR_fcntl, STANDARD_INPUT, F_GETFL, 0, 0, 0, 0);
    system_call(__NR_fcntl, STANDARD_INPUT, F_SETOWN, system_call(__NR_getpid, 0, 0, 0, 0, 0, 0), 0, 0, 0);
    system_call(__NR_fcntl, STANDARD_INPUT, F_SETFL, terminal.saved_flags | FASYNC, 0, 0, 0);
}

void terminal_restore(void)
{
    terminal_flush();
    if (terminal.inside_line)
        sys_write(STANDARD_OUTPUT, "\n", 1);
    terminal.inside_line = 0;
    if (!terminal.raw)
        return;
    terminal.raw = 0;
    system_call(__NR_fcntl, STANDARD_INPUT, F_SETFL, terminal.saved_flags, 0, 0, 0);
    sys_ioctl(STANDARD_INPUT, TCSETSW, &terminal.saved);
}

void terminal_flush(void)
{
    word done = 0;
    while (done < terminal.used) {
        long count = sys_write(STANDARD_OUTPUT, terminal.buffer + done, terminal.used - done);
        if (count <= 0)
            break; /* nobody reads: the guest goes on */
        done += count;
    }
    terminal.used = 0;
}

static void append(char byte)
{
    if (terminal.used == sizeof terminal.buffer)
        terminal_flush();
    terminal.buffer[terminal.used++] = byte;
}

void terminal_write(__u8 byte)
{
    if (byte == '\r' && !terminal.carriage_return) {
        terminal.carriage_return = 1;
        return;
    }
    if (terminal.carriage_return && byte != '\n')
        append('\r');
    terminal.carriage_return = byte == '\r';
    if (byte == '\r')
        return;
    if (!terminal.inside_line)
        for (const char *next = terminal.prefix; *next; next++)
            append(*next);
    append(byte);
    terminal.inside_line = byte != '\n';
    if (byte == '\n')
        terminal_flush();
}

void terminal_pump_input(void)
{
    static int busy;
    if (!terminal.interactive || busy)
        return;
    busy = 1;
    __u8 bytes[64];
    unsigned space;
    while ((space = uart_receive_space()) > 0 && sys_readable(STANDARD_INPUT)) {
        long count = sys_read(STANDARD_INPUT, bytes, space < sizeof bytes ? space : sizeof bytes);
        if (count <= 0) {
            terminal.interactive = 0; /* the terminal is gone */
            break;
        }
        for (long i = 0; i < count; i++) {
            if (bytes[i] == ESCAPE_KEY)
                terminal.quit = 1;
            else
                uart_receive(bytes[i]);
        }
    }
    busy = 0;
}

int terminal_wants_to_quit(void)
{
    return terminal.quit;
}
