/*
 * Work inside an L2 guest without an operating system, through KVM: the cost of one exit of each kind, and the integer
 * work of L1. The guest's code is part of this program and copied into the guest's memory.
 */
#include <asm/errno.h>
#include <asm/unistd.h>
#include <linux/mman.h>
#include "bench.h"
#include "machine.h"
#include "work.h"

/* Guest-physical layout; what is below CODE belongs to machine.c. */
#define PARAMETERS_ADDRESS 0x10000ul
#define STACK_TOP 0x80000ul
#define CODE_ADDRESS 0x100000ul
#define MARKS_ADDRESS 0x400000ul
#define PAGES_ADDRESS 0x1000000ul
#define MEMORY_SIZE (128ul << 20)
/* Above the memory and below the local APIC: nothing is there. */
#define HOLE_ADDRESS 0xd0000000ul
#define PAGE_SIZE 4096ul

/* Ports without a device. */
#define EXIT_PORT 0x10
#define FINISH_PORT 0x11

struct parameters {
    __u64 (*function)(__u64 amount); /* guest-physical */
    __u64 amount;
    __u64 result;
};

extern __u8 __start_guest_code[], __stop_guest_code[];

/* Enters with the address of the parameters in rsi, and ends with an access to FINISH_PORT. */
__attribute__((naked, used, section("guest_code"))) static void guest_start(void)
{
    __asm__("mov %0, %%esp\n"
            "mov %%rsi, %%rbx\n"
            "mov 8(%%rbx), %%rdi\n"
            "call *(%%rbx)\n"
            "mov %%rax, 16(%%rbx)\n"
            "out %%al, %1\n"
            :
            : "i"(STACK_TOP), "i"(FINISH_PORT));
}

/* KVM answers CPUID itself. */
IN_GUEST_CODE static __u64 execute_cpuid(__u64 times)
{
    __u64 done = 0;
    while (done < times) {
        unsigned eax = 0, ecx = 0;
        __asm__ volatile("cpuid" : "+a"(eax), "+c"(ecx) : : "ebx", "edx");
        done++;
    }
    return done;
}

IN_GUEST_CODE static __u64 write_port(__u64 times)
{
    __u64 done = 0;
    while (done < times) {
        __asm__ volatile("out %%al, %0" : : "i"(EXIT_PORT), "a"(0));
        done++;
    }
    return done;
}

/* KVM has to decode and emulate the store before user space gets it. */
IN_GUEST_CODE static __u64 write_hole(__u64 times)
{
    __u64 done = 0;
    while (done < times) {
        *(volatile unsigned *)HOLE_ADDRESS = done;
        done++;
    }
    return done;
}

/* Nested page faults. */
IN_GUEST_CODE static __u64 touch_pages(__u64 pages)
{
    __u64 done = 0;
    while (done < pages) {
        *(volatile __u8 *)(PAGES_ADDRESS + done * PAGE_SIZE) = 1;
        done++;
    }
    return done;
}

IN_GUEST_CODE static __u64 xorshift(__u64 rounds)
{
    return work_xorshift(rounds);
}

IN_GUEST_CODE static __u64 sieve(__u64 passes)
{
    return work_sieve((__u8 *)MARKS_ADDRESS, SIEVE_BYTES, passes);
}

static word guest_address(const void *code)
{
    return CODE_ADDRESS + ((const __u8 *)code - __start_guest_code);
}

static void prepare(__u64 (*function)(__u64), word amount)
{
    struct parameters *parameters = (struct parameters *)(machine.memory + PARAMETERS_ADDRESS);
    memcpy(machine.memory + CODE_ADDRESS, __start_guest_code, __stop_guest_code - __start_guest_code);
    parameters->function = (__u64(*)(__u64))guest_address(function);
    parameters->amount = amount;
    parameters->result = 0;
    machine_enter_64_bit_mode(guest_address(guest_start), PARAMETERS_ADDRESS);
}

/* Runs the guest until it is finished; returns its result. Counts the exits to this program before that. */
static __u64 run_to_finish(word *exits)
{
    const struct parameters *parameters = (struct parameters *)(machine.memory + PARAMETERS_ADDRESS);
    *exits = 0;
    for (;;) {
        long result = sys_ioctl(machine.vcpu, KVM_RUN, NULL);
        if (result == -EINTR || result == -EAGAIN)
            continue;
        if (result < 0)
            fail("KVM cannot run the guest", NULL, result);
        int port_access = machine.run->exit_reason == KVM_EXIT_IO;
        if (port_access && machine.run->io.port == FINISH_PORT)
            return parameters->result;
        if (!port_access && machine.run->exit_reason != KVM_EXIT_MMIO)
            fail("unexpected exit from the guest", NULL, 0);
        (*exits)++;
    }
}

/* One pass with amount 1 warms everything up; then the measured one. */
static void measure(const char *name, __u64 (*function)(__u64), word amount, int exits_to_user)
{
    word exits;
    prepare(function, 1);
    run_to_finish(&exits);
    prepare(function, amount);
    bench_begin(name);
    __u64 result = run_to_finish(&exits);
    bench_end(name, result);
    if (exits != (exits_to_user ? amount : 0))
        fail("the guest did not exit as often as it should have in", name, 0);
}

/* With small pages, so that each is mapped by a fault of its own. */
static void create_with_small_pages(void)
{
    machine_create(MEMORY_SIZE);
    system_call(__NR_madvise, (long)machine.memory, MEMORY_SIZE, MADV_NOHUGEPAGE, 0, 0, 0);
}

static void exit_cpuid(const char *name, word times)
{
    create_with_small_pages();
    measure(name, execute_cpuid, times, 0);
}

static void exit_port(const char *name, word times)
{
    create_with_small_pages();
    measure(name, write_port, times, 1);
}

static void exit_mmio(const char *name, word times)
{
    create_with_small_pages();
    measure(name, write_hole, times, 1);
}

static void exit_touch(const char *name, word pages)
{
    if (pages > (MEMORY_SIZE - PAGES_ADDRESS) / PAGE_SIZE)
        fail("too many pages for", name, 0);
    create_with_small_pages();
    measure(name, touch_pages, pages, 0);
}

static void l2_xorshift(const char *name, word rounds)
{
    machine_create(MEMORY_SIZE);
    measure(name, xorshift, rounds, 0);
}

static void l2_sieve(const char *name, word passes)
{
    machine_create(MEMORY_SIZE);
    measure(name, sieve, passes, 0);
}

const struct benchmark benchmarks[] = {
    { "exit-cpuid", exit_cpuid },
    { "exit-pio", exit_port },
    { "exit-mmio", exit_mmio },
    { "exit-touch4k", exit_touch },
    { "l2-int64-xorshift", l2_xorshift },
    { "l2-int64-sieve", l2_sieve },
    { NULL, NULL },
};
