/*
 * What all benchmark programs share: their command line and the markers on the console between which the host measures.
 * Guest clocks may be wrong inside an emulator, so nothing is measured here.
 */
#ifndef TESTUDO_BENCH_H
#define TESTUDO_BENCH_H

#include "system.h"

/* A benchmark of a program: prepares, calls bench_begin(), does `amount` units of work, calls bench_end(). */
struct benchmark {
    const char *name;
    void (*run)(const char *name, word amount);
};

/* Each program defines its own; the last entry has no name. */
extern const struct benchmark benchmarks[];

/* Prints "BENCH-BEGIN name": what follows is measured. */
void bench_begin(const char *name);
/* Prints "BENCH-END name checksum". */
void bench_end(const char *name, __u64 checksum);
/* Ends the program with status 1 and a message where `result` is an error of the kernel's; else returns it. */
long bench_checked(long result, const char *what);

/* Keeps the compiler from moving memory accesses across it, and from merging loops into library calls. */
#define memory_barrier() __asm__ volatile("" ::: "memory")

#endif
