/* The part of system.h that a 32-bit program needs: Linux system calls by interrupt 0x80, and the start. */
#include "system.h"

#include <asm/unistd.h>

/* The kernel enters a program with argc at the top of the stack and argv above it (System V ABI, i386). */
__asm__(".globl _start\n"
        "_start:\n"
        "  xor %ebp, %ebp\n"
        "  mov (%esp), %eax\n"
        "  lea 4(%esp), %ecx\n"
        "  and $-16, %esp\n"
        "  sub $8, %esp\n"
        "  push %ecx\n"
        "  push %eax\n"
        "  call program_main\n"
        "  push %eax\n"
        "  call sys_exit\n");

static long system_call_3(long number, long a, long b, long c)
{
    long result;
    __asm__ volatile("int $0x80" : "=a"(result) : "a"(number), "b"(a), "c"(b), "d"(c) : "memory");
    return result;
}

long sys_write(int file, const void *buffer, word length)
{
    return system_call_3(__NR_write, file, (long)buffer, length);
}

void sys_exit(int status)
{
    for (;;)
        system_call_3(__NR_exit_group, status, 0, 0);
}

void *memset(void *to, int value, word length)
{
    void *result = to;
    __asm__ volatile("rep stosb" : "+D"(to), "+c"(length) : "a"(value) : "memory");
    return result;
}

int text_equal(const char *a, const char *b)
{
    while (*a && *a == *b)
        a++, b++;
    return *a == *b;
}
