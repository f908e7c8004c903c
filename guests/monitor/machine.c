#include "machine.h"

#include <asm/fcntl.h>
#include <asm/kvm_para.h>
#include <asm/processor-flags.h>

struct machine machine;

/* Guest-physical places of the start-up tables; all below the boot parameters at 64 KiB (see boot.c). */
#define GDT_ADDRESS 0x500
#define PML4_ADDRESS 0x2000
#define PDPT_ADDRESS 0x3000
#define PAGE_DIRECTORY_ADDRESS 0x4000 /* four pages: 4 GiB */
#define PAGE_SIZE 4096ul
#define LARGE_PAGE_SIZE (2ul << 20)
#define MAPPED_GIB 4

/* Page-table entry bits (SDM vol. 3A, table 4-17). */
#define PAGE_PRESENT_WRITABLE 0x3
#define PAGE_LARGE 0x80

/* EFER (SDM vol. 3A, 2.2.1); the uapi headers do not have it. */
#define EFER_LME (1 << 8)
#define EFER_LMA (1 << 10)

#define FLAT_CODE_64 0x00af9b000000ffffull
#define FLAT_DATA 0x00cf93000000ffffull
/* The selectors that the Linux 64-bit boot protocol asks for. */
#define BOOT_CODE_SELECTOR 0x10
#define BOOT_DATA_SELECTOR 0x18

/* Pages KVM on Intel hides in the guest-physical space: below 4 GiB, above all our memory. */
#define TSS_ADDRESS 0xfffbd000ul
#define IDENTITY_MAP_ADDRESS 0xfffbc000ul

#define CPUID_MAXIMUM_ENTRIES 128
#define CPUID_1_EBX_APIC_ID 0xff000000
#define CPUID_1_ECX_TSC_DEADLINE (1u << 24)
#define CPUID_1_ECX_HYPERVISOR (1u << 31)
#define CPUID_TOPOLOGY 0xb
#define CPUID_TOPOLOGY_V2 0x1f
/*
 * Asynchronous page faults are for hosts that swap guests out. A guest that asks for them and then does not use its
 * local APIC never gets one delivered, and from then on each of its HLTs returns at once.
 */
#define KVM_ASYNC_PAGE_FAULTS (1u << KVM_FEATURE_ASYNC_PF | 1u << KVM_FEATURE_ASYNC_PF_VMEXIT | 1u << KVM_FEATURE_ASYNC_PF_INT)

static long checked(long result, const char *what)
{
    if (result < 0)
        fail("KVM refuses", what, result);
    return result;
}

static void create_memory(word size)
{
    /* On a 2 MiB boundary in both address spaces KVM can map it with large pages: far fewer nested page faults. */
    __u8 *space = sys_map(size + LARGE_PAGE_SIZE, -1);
    if (!space)
        fail("cannot reserve the guest's memory; ask for less with --memory", NULL, 0);
    machine.memory = (__u8 *)(((word)space + LARGE_PAGE_SIZE - 1) & ~(LARGE_PAGE_SIZE - 1));
    machine.memory_size = size;
    sys_advise_huge_pages(machine.memory, size);
    struct kvm_userspace_memory_region region = { .memory_size = size, .userspace_addr = (word)machine.memory };
    checked(sys_ioctl(machine.vm, KVM_SET_USER_MEMORY_REGION, &region), "the memory region");
}

static void set_cpuid(void)
{
    static struct {
        struct kvm_cpuid2 head;
        struct kvm_cpuid_entry2 entries[CPUID_MAXIMUM_ENTRIES];
    } cpuid = { .head.nent = CPUID_MAXIMUM_ENTRIES };
    checked(sys_ioctl(machine.kvm, KVM_GET_SUPPORTED_CPUID, &cpuid), "to list CPUID");
    int deadline = sys_ioctl(machine.kvm, KVM_CHECK_EXTENSION, (void *)KVM_CAP_TSC_DEADLINE_TIMER) > 0;
    for (unsigned i = 0; i < cpuid.head.nent; i++) {
        struct kvm_cpuid_entry2 *entry = &cpuid.entries[i];
        /* KVM reports the processor it runs on; ours is number 0 and knows that it is virtual. */
        if (entry->function == 1) {
            entry->ebx &= ~CPUID_1_EBX_APIC_ID;
            entry->ecx |= CPUID_1_ECX_HYPERVISOR | (deadline ? CPUID_1_ECX_TSC_DEADLINE : 0);
        } else if (entry->function == CPUID_TOPOLOGY || entry->function == CPUID_TOPOLOGY_V2) {
            entry->edx = 0;
        } else if (entry->function == KVM_CPUID_FEATURES) {
            entry->eax &= ~KVM_ASYNC_PAGE_FAULTS;
        }
    }
    checked(sys_ioctl(machine.vcpu, KVM_SET_CPUID2, &cpuid), "the CPUID set");
}

void machine_create(word memory_size)
{
    machine.kvm = sys_open("/dev/kvm", O_RDWR | O_CLOEXEC);
    if (machine.kvm < 0)
        fail("cannot open /dev/kvm; are the kvm modules loaded?", NULL, machine.kvm);
    long version = sys_ioctl(machine.kvm, KVM_GET_API_VERSION, NULL);
    if (version != KVM_API_VERSION)
        fail("/dev/kvm does not speak the KVM interface of version 12", NULL, 0);
    machine.vm = checked(sys_ioctl(machine.kvm, KVM_CREATE_VM, NULL), "a virtual machine");

    __u64 identity_map = IDENTITY_MAP_ADDRESS;
    checked(sys_ioctl(machine.vm, KVM_SET_IDENTITY_MAP_ADDR, &identity_map), "the identity map's address");
    checked(sys_ioctl(machine.vm, KVM_SET_TSS_ADDR, (void *)TSS_ADDRESS), "the TSS address");
    struct kvm_pit_config timer = { .flags = KVM_PIT_SPEAKER_DUMMY };
    checked(sys_ioctl(machine.vm, KVM_CREATE_IRQCHIP, NULL), "the interrupt controllers");
    checked(sys_ioctl(machine.vm, KVM_CREATE_PIT2, &timer), "the interval timer");
    create_memory(memory_size);

    machine.vcpu = checked(sys_ioctl(machine.vm, KVM_CREATE_VCPU, NULL), "a virtual processor");
    long size = checked(sys_ioctl(machine.kvm, KVM_GET_VCPU_MMAP_SIZE, NULL), "the size of kvm_run");
    machine.run = sys_map(size, machine.vcpu);
    if (!machine.run)
        fail("cannot map kvm_run", NULL, 0);
    set_cpuid();
}

static void write_start_up_tables(void)
{
    const __u64 gdt[] = { 0, 0, FLAT_CODE_64, FLAT_DATA };
    memcpy(machine.memory + GDT_ADDRESS, gdt, sizeof gdt);
    __u64 *pml4 = (__u64 *)(machine.memory + PML4_ADDRESS);
    __u64 *pdpt = (__u64 *)(machine.memory + PDPT_ADDRESS);
    __u64 *directory = (__u64 *)(machine.memory + PAGE_DIRECTORY_ADDRESS);
    pml4[0] = PDPT_ADDRESS | PAGE_PRESENT_WRITABLE;
    for (word gib = 0; gib < MAPPED_GIB; gib++)
        pdpt[gib] = (PAGE_DIRECTORY_ADDRESS + gib * PAGE_SIZE) | PAGE_PRESENT_WRITABLE;
    for (word page = 0; page < MAPPED_GIB * 512; page++)
        directory[page] = page * LARGE_PAGE_SIZE | PAGE_LARGE | PAGE_PRESENT_WRITABLE;
}

void machine_enter_64_bit_mode(__u64 rip, __u64 rsi)
{
    write_start_up_tables();
    struct kvm_sregs system;
    checked(sys_ioctl(machine.vcpu, KVM_GET_SREGS, &system), "to read the system registers");
    /* Types: execute/read, read/write, both accessed (SDM vol. 3A, table 3-1). */
    const struct kvm_segment code = { .limit = ~0u, .selector = BOOT_CODE_SELECTOR, .type = 0xb, .present = 1,
                                      .s = 1, .l = 1, .g = 1 };
    const struct kvm_segment data = { .limit = ~0u, .selector = BOOT_DATA_SELECTOR, .type = 0x3, .present = 1,
                                      .s = 1, .db = 1, .g = 1 };
    system.cs = code;
    system.ds = system.es = system.fs = system.gs = system.ss = data;
    system.gdt.base = GDT_ADDRESS;
    system.gdt.limit = 4 * sizeof(__u64) - 1;
    system.idt.limit = 0;
    system.cr0 = X86_CR0_PG | X86_CR0_PE | X86_CR0_MP | X86_CR0_ET | X86_CR0_NE;
    system.cr3 = PML4_ADDRESS;
    system.cr4 = X86_CR4_PAE;
    system.efer = EFER_LME | EFER_LMA;
    checked(sys_ioctl(machine.vcpu, KVM_SET_SREGS, &system), "the system registers");
    struct kvm_regs registers = { .rip = rip, .rsi = rsi, .rflags = X86_EFLAGS_FIXED };
    checked(sys_ioctl(machine.vcpu, KVM_SET_REGS, &registers), "the registers");
}

void machine_set_interrupt_line(unsigned line, int level)
{
    struct kvm_irq_level request = { .irq = line, .level = level };
    checked(sys_ioctl(machine.vm, KVM_IRQ_LINE, &request), "an interrupt");
}

/* Calls `visit` for each of KVM's scalar counters of the virtual processor until it returns non-zero. */
static void each_counter(int (*visit)(const char *name, __u64 value, void *context), void *context)
{
    int file = sys_ioctl(machine.vcpu, KVM_GET_STATS_FD, NULL);
    struct kvm_stats_header header;
    if (file < 0)
        return;
    if (sys_read(file, &header, sizeof header) == sizeof header) {
        struct {
            struct kvm_stats_desc description;
            char name[128];
        } counter;
        word length = sizeof counter.description + header.name_size;
        for (word i = 0; length <= sizeof counter && i < header.num_desc; i++) {
            __u64 value;
            if (sys_pread(file, &counter, length, header.desc_offset + i * length) != (long)length)
                break;
            if (counter.description.size != 1) /* a histogram */
                continue;
            if (sys_pread(file, &value, sizeof value, header.data_offset + counter.description.offset) != sizeof value)
                break;
            if (visit(counter.description.name, value, context))
                break;
        }
    }
    sys_close(file);
}

struct counter_search {
    const char *name;
    __u64 value;
};

static int match_counter(const char *name, __u64 value, void *context)
{
    struct counter_search *search = context;
    if (!text_equal(name, search->name))
        return 0;
    search->value = value;
    return 1;
}

__u64 machine_counter(const char *name)
{
    struct counter_search search = { .name = name };
    each_counter(match_counter, &search);
    return search.value;
}

static int print_counter(const char *name, __u64 value, void *context)
{
    (void)context;
    if (value) {
        print(" ");
        print(name);
        print("=");
        print_decimal(value);
    }
    return 0;
}

void machine_print_counters(void)
{
    print("testudo-kvm: counters");
    each_counter(print_counter, NULL);
    print("\n");
}
