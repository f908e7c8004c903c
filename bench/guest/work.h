/*
 * The integer work that L1 and L2 both do. The code is in a section of its own, calls nothing outside it and refers to
 * no data, so that it runs wherever it is copied to.
 */
#ifndef TESTUDO_WORK_H
#define TESTUDO_WORK_H

#include "system.h"

#define SIEVE_BYTES (4ul << 20)

/* What the section is called; the linker defines the symbols of its bounds. */
#define IN_GUEST_CODE __attribute__((section("guest_code"), noinline))

/* Rounds of a xorshift generator as wide as a word, each folded into a linear congruence; returns that. */
word work_xorshift(word rounds);
/* Passes of the sieve of Eratosthenes over `size` bytes; returns the unmarked numbers from 2 on, of all passes. */
word work_sieve(__u8 *marks, word size, word passes);

#endif
