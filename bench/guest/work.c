#include "work.h"

#define SEED 88172645463325252ull

#ifdef __x86_64__
/* Marsaglia's xorshift64 and Knuth's multiplier for 64 bits. */
enum { SHIFT_A = 13, SHIFT_B = 7, SHIFT_C = 17 };
#define MULTIPLIER 6364136223846793005ul
#else
/* Marsaglia's xorshift32 and the multiplier of "Numerical Recipes". */
enum { SHIFT_A = 13, SHIFT_B = 17, SHIFT_C = 5 };
#define MULTIPLIER 1664525ul
#endif

IN_GUEST_CODE word work_xorshift(word rounds)
{
    word state = (word)SEED, sum = 1;
    for (word round = 0; round < rounds; round++) {
        state ^= state << SHIFT_A;
        state ^= state >> SHIFT_B;
        state ^= state << SHIFT_C;
        sum = sum * MULTIPLIER + state;
    }
    return sum;
}

IN_GUEST_CODE word work_sieve(__u8 *marks, word size, word passes)
{
    word unmarked = 0;
    for (word pass = 0; pass < passes; pass++) {
        /* Byte by byte: a volatile access is not made into a block operation. */
        for (word number = 0; number < size; number++)
            *(volatile __u8 *)(marks + number) = 0;
        for (word factor = 2; factor * factor < size; factor++) {
            if (marks[factor])
                continue;
            for (word multiple = factor * factor; multiple < size; multiple += factor)
                marks[multiple] = 1;
        }
        for (word number = 2; number < size; number++)
            unmarked += !marks[number];
    }
    return unmarked;
}
