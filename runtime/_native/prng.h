/* A seeded generator for the choice of victims. Mirrors _core/prng.py.
 *
 * Thread safety: externally synchronized; each worker owns one.
 *
 * Source: Marsaglia 2003, xorshift, the 32-bit triple (13, 17, 5).
 *
 * Layer: native, no Python in it. Includes: nothing of ours.
 */
#ifndef RUNTIME_PRNG_H
#define RUNTIME_PRNG_H

#include <stdint.h>

typedef struct {
    uint32_t state; /* owner; never zero, which xorshift does not leave */
} prng_t;

static inline void
prng_init(prng_t *prng, uint32_t seed)
{
    prng->state = seed != 0 ? seed : UINT32_C(0x9E3779B9);
}

/* A number below `n`; `n` is at least 1. */
static inline uint32_t
prng_below(prng_t *prng, uint32_t n)
{
    uint32_t x = prng->state;
    x ^= x << 13;
    x ^= x >> 17;
    x ^= x << 5;
    prng->state = x;
    return x % n;
}

#endif
