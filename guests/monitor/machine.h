/* One virtual machine with one virtual processor, made through /dev/kvm (Linux Documentation/virt/kvm/api.rst). */
#ifndef TESTUDO_MACHINE_H
#define TESTUDO_MACHINE_H

#include <linux/kvm.h>
#include "system.h"

struct machine {
    int kvm;             /* /dev/kvm */
    int vm;
    int vcpu;
    struct kvm_run *run; /* shared with KVM: why KVM_RUN came back */
    __u8 *memory;        /* guest-physical address 0 */
    word memory_size;    /* bytes */
};

extern struct machine machine;

/* Makes the machine: `memory_size` bytes of memory from address 0, in-kernel 8259s, I/O APIC, local APIC and 8254. */
void machine_create(word memory_size);
/* Puts the processor into 64-bit mode with flat segments at `rip`; `rsi` is handed to the code there. */
void machine_enter_64_bit_mode(__u64 rip, __u64 rsi);
/* Drives an ISA interrupt line. */
void machine_set_interrupt_line(unsigned line, int level);
/* The value of one of KVM's counters for the virtual processor, such as "exits"; 0 where KVM has none. */
__u64 machine_counter(const char *name);
/* Prints all counters that are not zero in one line. */
void machine_print_counters(void);

#endif
