/* Memory in blocks of 32 MiB, more than caches hold: copies in three ways and a chain of dependent loads. */
#include "bench.h"

#define BLOCK_BYTES (32ul << 20)
#define WORDS (BLOCK_BYTES / sizeof(__u64))

typedef long long vector __attribute__((vector_size(16)));
enum { VECTORS_PER_STEP = 4 };

static __u64 source[WORDS] __attribute__((aligned(4096)));
static __u64 target[WORDS] __attribute__((aligned(4096)));

static void copy_by_vectors(void)
{
    for (word i = 0; i < BLOCK_BYTES / sizeof(vector); i += VECTORS_PER_STEP) {
        const vector *from = (const vector *)source + i;
        vector *to = (vector *)target + i;
        vector a = from[0], b = from[1], c = from[2], d = from[3];
        to[0] = a;
        to[1] = b;
        to[2] = c;
        to[3] = d;
        memory_barrier();
    }
}

static void copy_by_string_instruction(void)
{
    void *to = target;
    const void *from = source;
    word count = WORDS;
    __asm__ volatile("rep movsq" : "+D"(to), "+S"(from), "+c"(count) : : "memory");
}

static void copy_by_words(void)
{
    for (word i = 0; i < WORDS; i++) {
        target[i] = source[i];
        memory_barrier();
    }
}

static void copy(const char *name, word blocks, void (*copy_block)(void))
{
    __u64 sum = 0;
    for (word i = 0; i < WORDS; i++) {
        source[i] = i * i;
        target[i] = 0;
    }
    bench_begin(name);
    for (word block = 0; block < blocks; block++)
        copy_block();
    for (word i = 0; i < WORDS; i += 512)
        sum = sum * 3 + target[i];
    bench_end(name, sum);
}

static void vectors(const char *name, word blocks) { copy(name, blocks, copy_by_vectors); }
static void string_instruction(const char *name, word blocks) { copy(name, blocks, copy_by_string_instruction); }
static void words(const char *name, word blocks) { copy(name, blocks, copy_by_words); }

/* Sattolo's shuffle makes one cycle through all words; each load gives the index of the next. */
static void chase(const char *name, word steps)
{
    __u64 random = 1, at = 0;
    for (word i = 0; i < WORDS; i++)
        source[i] = i;
    for (word i = WORDS - 1; i > 0; i--) {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        word other = random % i;
        __u64 moved = source[i];
        source[i] = source[other];
        source[other] = moved;
    }
    bench_begin(name);
    for (word step = 0; step < steps; step++)
        at = source[at];
    bench_end(name, at);
}

const struct benchmark benchmarks[] = {
    { "bench-mem-memcpy", vectors },
    { "bench-mem-movs", string_instruction },
    { "bench-mem-copy64", words },
    { "bench-mem-chase", chase },
    { NULL, NULL },
};
