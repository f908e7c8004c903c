/* Integer work in L1, compiled for 64-bit mode and, as another program, for 32-bit mode. */
#include "bench.h"
#include "work.h"

#ifdef __x86_64__
#define PREFIX "bench-int64-"
#else
#define PREFIX "bench-int32-"
#endif

static __u8 marks[SIEVE_BYTES];

static void xorshift(const char *name, word rounds)
{
    bench_begin(name);
    word sum = work_xorshift(rounds);
    bench_end(name, sum);
}

static void sieve(const char *name, word passes)
{
    memset(marks, 1, sizeof marks); /* page faults are not what is measured */
    bench_begin(name);
    word primes = work_sieve(marks, sizeof marks, passes);
    bench_end(name, primes);
}

const struct benchmark benchmarks[] = {
    { PREFIX "xorshift", xorshift },
    { PREFIX "sieve", sieve },
    { NULL, NULL },
};
