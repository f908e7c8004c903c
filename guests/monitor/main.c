/*
 * testudo-kvm: boots a Linux bzImage as a guest through /dev/kvm. It is the hypervisor's user-space half in the images
 * that show nested virtualization: it runs in L1 and makes L2.
 */
#include <asm/errno.h>
#include "boot.h"
#include "machine.h"
#include "ports.h"
#include "terminal.h"

#define MIB (1ul << 20)
#define DEFAULT_MEMORY (256 * MIB)
#define MINIMUM_MEMORY (16 * MIB)
#define MAXIMUM_MEMORY (3072 * MIB) /* below the local APIC and KVM's own pages */

static const char USAGE[] =
    "usage: testudo-kvm [OPTION]... KERNEL INITRD\n"
    "Boots a Linux bzImage with an initial RAM disk as a KVM guest; its serial console is the terminal.\n"
    "  --memory SIZE   guest memory with suffix M or G (default 256M)\n"
    "  --append TEXT   kernel command line (default \"console=ttyS0 reboot=t panic=-1\")\n"
    "  --prefix TEXT   start every line of the guest's console with TEXT\n"
    "  --counters      print KVM's counters at the end\n"
    "  --help          print this\n"
    "Ctrl-] ends the guest. Exit status: 0 when the guest ended itself, 1 after an error.\n";

struct options {
    word memory;
    const char *append, *prefix, *kernel, *initrd;
    int counters;
};

static __u64 exits_to_monitor;

static word parse_memory(const char *text)
{
    const char *next = text;
    word value = 0, unit = 0;
    while (*next >= '0' && *next <= '9' && value < MAXIMUM_MEMORY)
        value = value * 10 + (*next++ - '0');
    if (next != text && (*next == 'M' || *next == 'G') && !next[1])
        unit = *next == 'M' ? MIB : 1024 * MIB;
    if (!unit || value > MAXIMUM_MEMORY / unit || value * unit < MINIMUM_MEMORY)
        fail("--memory must be a number with suffix M or G, 16M to 3G, not", text, 0);
    return value * unit;
}

static struct options parse_options(int count, char **arguments)
{
    struct options options = { .memory = DEFAULT_MEMORY, .append = "console=ttyS0 reboot=t panic=-1", .prefix = "" };
    for (int i = 1; i < count; i++) {
        const char *argument = arguments[i];
        const char *value = i + 1 < count ? arguments[i + 1] : NULL;
        if (argument[0] != '-') {
            if (!options.kernel)
                options.kernel = argument;
            else if (!options.initrd)
                options.initrd = argument;
            else
                fail("too many arguments:", argument, 0);
        } else if (text_equal(argument, "--help")) {
            sys_write(STANDARD_OUTPUT, USAGE, sizeof USAGE - 1);
            sys_exit(0);
        } else if (text_equal(argument, "--counters")) {
            options.counters = 1;
        } else if (text_equal(argument, "--memory") || text_equal(argument, "--append") ||
                   text_equal(argument, "--prefix")) {
            if (!value)
                fail("a value is missing after", argument, 0);
            i++;
            if (argument[2] == 'm')
                options.memory = parse_memory(value);
            else if (argument[2] == 'a')
                options.append = value;
            else
                options.prefix = value;
        } else {
            fail("unknown option (see --help):", argument, 0);
        }
    }
    if (!options.initrd)
        fail("a kernel and an initial RAM disk are needed (see --help)", NULL, 0);
    return options;
}

/* The guest cannot go on and has not asked to end: says why, with what helps to find the cause. */
static void fail_unexpected_exit(void)
{
    struct kvm_run *run = machine.run;
    struct kvm_regs registers;
    terminal_restore();
    print("testudo-kvm: ");
    switch (run->exit_reason) {
    case KVM_EXIT_FAIL_ENTRY:
        print("the processor refuses to enter the guest, hardware reason ");
        print_hexadecimal(run->fail_entry.hardware_entry_failure_reason);
        break;
    case KVM_EXIT_INTERNAL_ERROR:
        print(run->internal.suberror == KVM_INTERNAL_ERROR_EMULATION ? "KVM cannot emulate an instruction"
                                                                     : "internal error of KVM, number ");
        if (run->internal.suberror != KVM_INTERNAL_ERROR_EMULATION)
            print_decimal(run->internal.suberror);
        for (unsigned i = 0; i < run->internal.ndata && i < 4; i++) {
            print(i ? " " : ", data ");
            print_hexadecimal(run->internal.data[i]);
        }
        break;
    default:
        print("unexpected exit from the guest, KVM reason ");
        print_decimal(run->exit_reason);
        print(", hardware reason ");
        print_hexadecimal(run->hw.hardware_exit_reason);
    }
    if (sys_ioctl(machine.vcpu, KVM_GET_REGS, &registers) >= 0) {
        print(" at rip ");
        print_hexadecimal(registers.rip);
        print(" rsp ");
        print_hexadecimal(registers.rsp);
        print(" rax ");
        print_hexadecimal(registers.rax);
    }
    print("\n");
    sys_exit(1);
}

static enum port_result access_port(void)
{
    struct kvm_run *run = machine.run;
    return ports_access(run->io.port, run->io.direction == KVM_EXIT_IO_OUT, run->io.size, run->io.count,
                        (__u8 *)run + run->io.data_offset);
}

/* Runs the guest until it ends; returns how it did. */
static const char *run_guest(void)
{
    struct kvm_run *run = machine.run;
    terminal_pump_input(); /* what was typed before the signal was on */
    while (!terminal_wants_to_quit()) {
        long result = sys_ioctl(machine.vcpu, KVM_RUN, NULL);
        if (result == -EINTR || result == -EAGAIN) {
            run->immediate_exit = 0;
            terminal_pump_input();
            continue;
        }
        if (result < 0)
            fail("KVM cannot run the guest", NULL, result);

        exits_to_monitor++;
        switch (run->exit_reason) {
        case KVM_EXIT_IO:
            switch (access_port()) {
            case PORT_DONE: break;
            case PORT_RESET: return "the guest reset itself";
            case PORT_SHUTDOWN: return "the guest shut down";
            }
            break;
        case KVM_EXIT_MMIO:
            if (!run->mmio.is_write)
                memset(run->mmio.data, 0xff, sizeof run->mmio.data);
            break;
        case KVM_EXIT_SHUTDOWN:
            return "the guest reset itself by a triple fault";
        case KVM_EXIT_SYSTEM_EVENT:
            return "the guest shut down";
        default:
            fail_unexpected_exit();
        }
    }
    return "ended by the user";
}

int program_main(int count, char **arguments)
{
    struct options options = parse_options(count, arguments);
    machine_create(options.memory);
    boot_linux(options.kernel, options.initrd, options.append);
    terminal_open(options.prefix);
    const char *end = run_guest();
    terminal_restore();
    print("testudo-kvm: ");
    print(end);
    __u64 exits = machine_counter("exits");
    if (exits) {
        print("; ");
        print_decimal(exits);
        print(" VM exits");
    }
    print(exits ? ", " : "; ");
    print_decimal(exits_to_monitor);
    print(" of them handled in user space\n");
    if (options.counters)
        machine_print_counters();
    return 0;
}
