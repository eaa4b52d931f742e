/* Put one worker to sleep and wake it, without losing a wake-up.
 *
 * Mirrors _core/parker.py: a parker holds at most one token; `parker_unpark` deposits
 * it, `parker_park` waits for it and consumes it. The rules for *when* a worker may
 * park are in SLEEP.md. Whoever parks a Python thread detaches it first.
 *
 *     EMPTY --unpark--> TOKEN --park--> EMPTY
 *     EMPTY --park--> PARKED --unpark--> TOKEN      (and the sleeper is woken)
 *     PARKED --timeout--> EMPTY
 *
 * Thread safety: park by the owner, unpark by anyone.
 *
 * Layer: native, no Python in it. Includes: platform.h.
 */
#ifndef RUNTIME_PARKER_H
#define RUNTIME_PARKER_H

#include "platform.h"

enum { PARKER_EMPTY, PARKER_TOKEN, PARKER_PARKED };

typedef struct {
    _Atomic uint32_t state; /* atomic: see the table above */
    bool is_spare;          /* immutable: its worker is a spare, SPARES.md */
} parker_t;

static inline void
parker_init(parker_t *parker)
{
    atomic_init(&parker->state, PARKER_EMPTY);
    parker->is_spare = false;
}

/* Wait for the token and consume it, for at most `timeout_ns`, below 0 for ever.
 * False: the wait timed out. */
static inline bool
parker_park(parker_t *parker, int64_t timeout_ns)
{
    uint32_t seen = PARKER_TOKEN;
    if (atomic_compare_exchange_strong(&parker->state, &seen, PARKER_EMPTY)) {
        return true;
    }
    int64_t deadline = timeout_ns < 0 ? 0 : clock_ns() + timeout_ns;
    seen = PARKER_EMPTY;
    /* ATOMIC(state): an unpark that came since the look above has left its token. */
    if (!atomic_compare_exchange_strong(&parker->state, &seen, PARKER_PARKED)) {
        atomic_store(&parker->state, PARKER_EMPTY);
        return true;
    }
    int64_t remaining = timeout_ns;
    for (;;) {
        word_wait(&parker->state, PARKER_PARKED, remaining);
        if (atomic_load(&parker->state) == PARKER_TOKEN) {
            atomic_store(&parker->state, PARKER_EMPTY);
            return true;
        }
        if (timeout_ns < 0) {
            continue; /* a signal, say */
        }
        remaining = deadline - clock_ns();
        if (remaining <= 0) {
            /* ATOMIC(state): the token may come with the end of the wait. */
            return atomic_exchange(&parker->state, PARKER_EMPTY) == PARKER_TOKEN;
        }
    }
}

/* Deposit the token; nothing happens if one is already there. */
static inline void
parker_unpark(parker_t *parker)
{
    if (atomic_exchange(&parker->state, PARKER_TOKEN) == PARKER_PARKED) {
        word_wake(&parker->state);
    }
}

#endif
