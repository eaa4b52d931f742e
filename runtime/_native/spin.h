/* Whether a worker that finds nothing should look again and again before it sleeps.
 *
 * Mirrors _core/spin.py. A thread that spins offers its core to others between two
 * looks: whoever is to bring the next job may be waiting for it. Where other programs
 * compute, each offer costs a whole time slice, and the kernel never gives it back: a
 * pool that spins would get less than its share. An offer that kept the thread away for
 * `YIELD_LONG_NS` shows that, and nobody spins here for a while, twice as long each time.
 * A thread that sleeps instead keeps its claim: it gets a core soon after it is woken.
 *
 * Thread safety: each belongs to one thread.
 *
 * Layer: native, no Python in it. Includes: platform.h.
 */
#ifndef RUNTIME_SPIN_H
#define RUNTIME_SPIN_H

#include "platform.h"

/* As in _core/spin.py. Long against a turn of a thread that waits for events, short
 * against a time slice, which is about 3 ms. */
#define YIELD_LONG_NS INT64_C(1000000)
/* Short against what anybody notices, long against what the look costs. Arbitrary. */
#define FIRST_REST_NS INT64_C(50000000)
#define MAX_REST_NS INT64_C(1600000000)

/* How many deques a look visits while a worker spins, the next ones each time: what it
 * costs does not grow with the number of workers. Arbitrary. */
#define DEQUES_PER_LOOK 8

typedef struct {
    int64_t rests_until_ns; /* owner */
    int64_t rest_ns;        /* owner: how long the last rest was; 0 for none */
} spin_t;

/* Whether it is worth while to spin now. */
static inline bool
spin_may_begin(spin_t *spin)
{
    return spin->rest_ns == 0 || clock_ns() >= spin->rests_until_ns;
}

/* Offer the core to another thread; false: it was away for long, so sleep instead. */
static inline bool
spin_yield(spin_t *spin)
{
    int64_t begin_ns = clock_ns();
    sched_yield();
    int64_t now_ns = clock_ns();
    if (now_ns - begin_ns < YIELD_LONG_NS) {
        spin->rest_ns /= 2; /* a short one may have been luck */
        return true;
    }
    spin->rest_ns = spin->rest_ns < FIRST_REST_NS ? FIRST_REST_NS
                    : spin->rest_ns < MAX_REST_NS ? 2 * spin->rest_ns
                                                  : MAX_REST_NS;
    spin->rests_until_ns = now_ns + spin->rest_ns;
    return false;
}

#endif
