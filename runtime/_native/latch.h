/* A one-shot signal: set once, probed cheaply, waited for by threads.
 *
 * Mirrors _core/latch.py. The setter's last access to the latch is the exchange: the
 * waiter may free it at once, as `join` does, whose latch lies on its stack. (The
 * wake-up that may follow uses the address only.)
 *
 * Thread safety: internally synchronized.
 *
 * Layer: native, no Python in it. Includes: platform.h.
 */
#ifndef RUNTIME_LATCH_H
#define RUNTIME_LATCH_H

#include "platform.h"

enum { LATCH_UNSET, LATCH_SET, LATCH_AWAITED };

typedef struct {
    _Atomic uint32_t state; /* atomic: UNSET, then AWAITED maybe, then SET for ever */
} latch_t;

static inline void
latch_init(latch_t *latch)
{
    atomic_init(&latch->state, LATCH_UNSET);
}

/* Set the latch; false if it was set before. */
static inline bool
latch_set(latch_t *latch)
{
    uint32_t before = atomic_exchange(&latch->state, LATCH_SET);
    if (before == LATCH_AWAITED) {
        word_wake(&latch->state);
    }
    return before != LATCH_SET;
}

static inline bool
latch_probe(latch_t *latch)
{
    return atomic_load_explicit(&latch->state, memory_order_acquire) == LATCH_SET;
}

/* Wait until the latch is set, for at most `timeout_ns`, below 0 for ever. */
static inline bool
latch_wait(latch_t *latch, int64_t timeout_ns)
{
    int64_t deadline = timeout_ns < 0 ? 0 : clock_ns() + timeout_ns;
    int64_t remaining = timeout_ns;
    uint32_t seen = LATCH_UNSET;
    atomic_compare_exchange_strong(&latch->state, &seen, LATCH_AWAITED);
    while (!latch_probe(latch)) {
        if (timeout_ns >= 0) {
            remaining = deadline - clock_ns();
            if (remaining <= 0) {
                return false;
            }
        }
        word_wait(&latch->state, LATCH_AWAITED, remaining);
    }
    return true;
}

#endif
