#include "system.h"

#include <asm/errno.h>
#include <asm/poll.h>
#include <asm/signal.h>
#include <asm/unistd.h>
#include <linux/mman.h>

/* The kernel enters a program with argc at the top of the stack and argv above it (System V ABI, AMD64, 3.4.1). */
__asm__(".globl _start\n"
        "_start:\n"
        "  xor %ebp, %ebp\n"
        "  mov (%rsp), %edi\n"
        "  lea 8(%rsp), %rsi\n"
        "  and $-16, %rsp\n"
        "  call program_main\n"
        "  mov %eax, %edi\n"
        "  call sys_exit\n"
        /* The return path of a signal handler; the kernel requires user space to provide it (SA_RESTORER). */
        ".globl signal_return\n"
        "signal_return:\n"
        "  mov $15, %eax\n" /* __NR_rt_sigreturn */
        "  syscall\n");

_Static_assert(__NR_rt_sigreturn == 15, "signal_return uses this number");

void signal_return(void);

/* Not defined by the kernel's headers for user space. */
#define SA_RESTORER_FLAG 0x04000000
#define SIGNAL_SET_BYTES 8
#define SEEK_TO_END 2

long system_call(long number, long a, long b, long c, long d, long e, long f)
{
    register long r10 __asm__("r10") = d;
    register long r8 __asm__("r8") = e;
    register long r9 __asm__("r9") = f;
    long result;
    __asm__ volatile("syscall"
                     : "=a"(result)
                     : "a"(number), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8), "r"(r9)
                     : "rcx", "r11", "memory");
    return result;
}

long sys_read(int file, void *buffer, word length)
{
    return system_call(__NR_read, file, (long)buffer, length, 0, 0, 0);
}

long sys_pread(int file, void *buffer, word length, word offset)
{
    return system_call(__NR_pread64, file, (long)buffer, length, offset, 0, 0);
}

long sys_write(int file, const void *buffer, word length)
{
    return system_call(__NR_write, file, (long)buffer, length, 0, 0, 0);
}

long sys_open(const char *path, int flags)
{
    return system_call(__NR_open, (long)path, flags, 0, 0, 0, 0);
}

long sys_close(int file)
{
    return system_call(__NR_close, file, 0, 0, 0, 0, 0);
}

long sys_ioctl(int file, word request, const void *argument)
{
    return system_call(__NR_ioctl, file, request, (long)argument, 0, 0, 0);
}

long sys_file_size(int file)
{
    return system_call(__NR_lseek, file, 0, SEEK_TO_END, 0, 0, 0);
}

void *sys_map(word length, int file)
{
    long flags = file < 0 ? MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE : MAP_SHARED;
    long address = system_call(__NR_mmap, 0, length, PROT_READ | PROT_WRITE, flags, file, 0);
    return address < 0 && address > -4096 ? NULL : (void *)address;
}

void sys_advise_huge_pages(void *start, word length)
{
    system_call(__NR_madvise, (long)start, length, MADV_HUGEPAGE, 0, 0, 0);
}

void sys_on_signal(int number, void (*handler)(int))
{
    struct sigaction action = { .sa_flags = SA_RESTORER_FLAG, .sa_restorer = signal_return };
    action.sa_handler = handler;
    system_call(__NR_rt_sigaction, number, (long)&action, 0, SIGNAL_SET_BYTES, 0, 0);
}

int sys_readable(int file)
{
    struct pollfd entry = { .fd = file, .events = POLLIN };
    return system_call(__NR_poll, (long)&entry, 1, 0, 0, 0, 0) > 0;
}

void sys_exit(int status)
{
    for (;;)
        system_call(__NR_exit_group, status, 0, 0, 0, 0, 0);
}

/* String instructions: short, and an emulator below turns each into one block copy. */
void *memcpy(void *to, const void *from, word length)
{
    void *result = to;
    __asm__ volatile("rep movsb" : "+D"(to), "+S"(from), "+c"(length) : : "memory");
    return result;
}

void *memset(void *to, int value, word length)
{
    void *result = to;
    __asm__ volatile("rep stosb" : "+D"(to), "+c"(length) : "a"(value) : "memory");
    return result;
}

word text_length(const char *text)
{
    word length = 0;
    while (text[length])
        length++;
    return length;
}

int text_equal(const char *a, const char *b)
{
    while (*a && *a == *b)
        a++, b++;
    return *a == *b;
}

void print(const char *text)
{
    sys_write(STANDARD_ERROR, text, text_length(text));
}

static void print_number(__u64 value, unsigned base)
{
    char digits[24];
    unsigned position = sizeof digits;
    digits[--position] = 0;
    do {
        digits[--position] = "0123456789abcdef"[value % base];
        value /= base;
    } while (value);
    print(digits + position);
}

void print_decimal(__u64 value)
{
    print_number(value, 10);
}

void print_hexadecimal(__u64 value)
{
    print("0x");
    print_number(value, 16);
}

static const char *error_meaning(long error)
{
    switch (error) {
    case ENOENT: return "no such file";
    case ENODEV: return "no such device";
    case ENXIO: return "no such device or address";
    case EACCES: return "permission denied";
    case EBUSY: return "busy";
    case EINVAL: return "invalid argument";
    case EISDIR: return "is a directory";
    case ENOMEM: return "out of memory";
    case EFAULT: return "bad address";
    case ENOTTY: return "not supported by this kernel";
    default: return NULL;
    }
}

void fail(const char *what, const char *subject, long error)
{
    terminal_restore();
    print("testudo-kvm: ");
    print(what);
    if (subject) {
        print(" ");
        print(subject);
    }
    if (error) {
        error = error < 0 ? -error : error;
        const char *meaning = error_meaning(error);
        print(" (errno ");
        print_decimal(error);
        if (meaning) {
            print(": ");
            print(meaning);
        }
        print(")");
    }
    print("\n");
    sys_exit(1);
}
