/*
 * The little of an operating-system interface that the monitor needs: raw Linux system calls, text output and
 * memory routines. The monitor links no C library, so a compiler and the kernel's uapi headers build it.
 */
#ifndef TESTUDO_SYSTEM_H
#define TESTUDO_SYSTEM_H

#include <linux/types.h>

typedef unsigned long word;

#define NULL ((void *)0)
#define STANDARD_INPUT 0
#define STANDARD_OUTPUT 1
#define STANDARD_ERROR 2

/* System calls return the kernel's value: negative is -errno. */
long system_call(long number, long a, long b, long c, long d, long e, long f);
long sys_read(int file, void *buffer, word length);
long sys_pread(int file, void *buffer, word length, word offset);
long sys_write(int file, const void *buffer, word length);
long sys_open(const char *path, int flags);
long sys_close(int file);
long sys_ioctl(int file, word request, const void *argument);
long sys_file_size(int file);
/* Anonymous memory (file < 0) or a shared mapping of `file`; NULL where the kernel refuses. */
void *sys_map(word length, int file);
void sys_advise_huge_pages(void *start, word length);
/* Installs `handler` for a signal. Interrupted system calls return -EINTR. */
void sys_on_signal(int number, void (*handler)(int));
/* Whether a read of `file` would return at once. */
int sys_readable(int file);
void sys_exit(int status) __attribute__((noreturn));

void *memcpy(void *to, const void *from, word length);
void *memset(void *to, int value, word length);
word text_length(const char *text);
int text_equal(const char *a, const char *b);

/* Messages of the monitor itself, on standard error. */
void print(const char *text);
void print_decimal(__u64 value);
void print_hexadecimal(__u64 value);

/* Prints "testudo-kvm: WHAT SUBJECT (errno N: meaning)" and ends with status 1. `subject` may be NULL, `error` 0. */
void fail(const char *what, const char *subject, long error) __attribute__((noreturn));
/* Called by fail() and by every regular end: puts the terminal back. Defined in terminal.c. */
void terminal_restore(void);

int program_main(int count, char **arguments);

#endif
