/* Crossings into the kernel: a trivial system call, switches between processes, new processes, page faults. */
#include "bench.h"

#include <asm/unistd.h>
#include <linux/mman.h>

#define PAGE_SIZE 4096ul

static long call(long number, long a, long b, long c)
{
    return system_call(number, a, b, c, 0, 0, 0);
}

static long fork_process(void)
{
    return bench_checked(call(__NR_fork, 0, 0, 0), "a new process");
}

static void wait_for(long process)
{
    bench_checked(call(__NR_wait4, process, 0, 0), "to wait for a process");
}

static void parent(const char *name, word calls)
{
    bench_begin(name);
    for (word i = 0; i < calls; i++)
        call(__NR_getppid, 0, 0, 0);
    bench_end(name, calls);
}

/* One byte goes to another process and comes back incremented. */
static void echo_bytes(int from, int to)
{
    __u8 byte;
    while (sys_read(from, &byte, 1) == 1) {
        byte++;
        sys_write(to, &byte, 1);
    }
    sys_exit(0);
}

static void pipes(const char *name, word trips)
{
    enum { READ, WRITE };
    int there[2], back[2];
    bench_checked(call(__NR_pipe, (long)there, 0, 0), "a pipe");
    bench_checked(call(__NR_pipe, (long)back, 0, 0), "a pipe");
    long process = fork_process();
    if (!process) {
        sys_close(there[WRITE]);
        echo_bytes(there[READ], back[WRITE]);
    }
    word good = 0;
    bench_begin(name);
    for (word i = 0; i < trips; i++) {
        __u8 sent = i, received = 0;
        sys_write(there[WRITE], &sent, 1);
        sys_read(back[READ], &received, 1);
        good += received == (__u8)(sent + 1);
    }
    bench_end(name, good);
    sys_close(there[WRITE]);
    wait_for(process);
}

static void forks(const char *name, word processes)
{
    bench_begin(name);
    for (word i = 0; i < processes; i++) {
        long process = fork_process();
        if (!process)
            sys_exit(0);
        wait_for(process);
    }
    bench_end(name, processes);
}

static void faults(const char *name, word pages)
{
    volatile __u8 *memory = sys_map(pages * PAGE_SIZE, -1);
    bench_checked(memory ? 0 : -1, "memory");
    bench_checked(call(__NR_madvise, (long)memory, pages * PAGE_SIZE, MADV_NOHUGEPAGE), "small pages");
    word sum = 0;
    bench_begin(name);
    for (word page = 0; page < pages; page++) {
        memory[page * PAGE_SIZE] = 1;
        sum += memory[page * PAGE_SIZE];
    }
    bench_end(name, sum);
}

const struct benchmark benchmarks[] = {
    { "bench-sys-getppid", parent },
    { "bench-sys-pipe", pipes },
    { "bench-sys-fork", forks },
    { "bench-sys-fault", faults },
    { NULL, NULL },
};
