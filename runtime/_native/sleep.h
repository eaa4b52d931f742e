/* Who sleeps, who searches, and whom to wake. The protocol is _core/SLEEP.md.
 *
 * Mirrors _core/sleep.py, with one difference that SLEEP.md explains: the two counts
 * share one atomic word that a poster reads without the lock. It takes the lock only
 * when nobody searches and somebody sleeps, so that a push costs no lock.
 *
 * Thread safety: internally synchronized. No user code runs under the lock, and no
 * other lock is taken.
 *
 * Layer: native, no Python in it. Includes: parker.h.
 */
#ifndef RUNTIME_SLEEP_H
#define RUNTIME_SLEEP_H

#include "parker.h"

#define SLEEP_ONE_IDLE (UINT64_C(1) << 32)
#define SLEEP_ONE_SLEEPER UINT64_C(1)

typedef struct {
    /* atomic: idle workers in the upper half, sleepers in the lower. The lower half
     * changes only under the lock. */
    _Alignas(CACHE_LINE) _Atomic uint64_t counts;
    _Alignas(CACHE_LINE) pthread_mutex_t lock;
    parker_t **sleepers; /* guarded by: lock; a stack, as long as `counts` says */
} sleep_state_t;

static inline uint32_t
sleep_idle_of(uint64_t counts)
{
    return (uint32_t)(counts >> 32);
}

static inline uint32_t
sleep_sleepers_of(uint64_t counts)
{
    return (uint32_t)counts;
}

/* Make the state for at most `worker_count` sleepers; false without memory. */
static inline bool
sleep_init(sleep_state_t *sleep, size_t worker_count)
{
    sleep->sleepers = malloc(worker_count * sizeof(parker_t *));
    if (sleep->sleepers == NULL) {
        return false;
    }
    atomic_init(&sleep->counts, 0);
    short_lock_init(&sleep->lock);
    return true;
}

static inline void
sleep_destroy(sleep_state_t *sleep)
{
    pthread_mutex_destroy(&sleep->lock);
    free(sleep->sleepers);
}

/* Whether some worker had nothing to do a moment ago: a hint. */
static inline bool
sleep_is_anyone_idle(sleep_state_t *sleep)
{
    return atomic_load_explicit(&sleep->counts, memory_order_relaxed) != 0;
}

/* How many workers are sleepy or sleeping. */
static inline uint32_t
sleep_num_sleeping(sleep_state_t *sleep)
{
    return sleep_sleepers_of(atomic_load(&sleep->counts));
}

/* Remove one sleeper and count it idle; NULL if there is none. */
static inline parker_t *
sleep_take_sleeper(sleep_state_t *sleep, bool even_if_someone_searches)
{
    parker_t *parker = NULL;
    pthread_mutex_lock(&sleep->lock);
    uint64_t counts = atomic_load(&sleep->counts);
    uint32_t sleepers = sleep_sleepers_of(counts);
    if (sleepers > 0 && (even_if_someone_searches || sleep_idle_of(counts) == 0)) {
        parker = sleep->sleepers[sleepers - 1];
        atomic_fetch_add(&sleep->counts, SLEEP_ONE_IDLE - SLEEP_ONE_SLEEPER);
    }
    pthread_mutex_unlock(&sleep->lock);
    return parker;
}

/* Wake somebody for new work, unless somebody is searching already. */
static inline void
sleep_work_posted(sleep_state_t *sleep)
{
    /* ORDER: the work was posted by a sequentially consistent store, and this load
     * is one too: either it sees the sleeper, or the sleeper sees the work. */
    uint64_t counts = atomic_load(&sleep->counts);
    if (sleep_idle_of(counts) > 0 || sleep_sleepers_of(counts) == 0) {
        return;
    }
    parker_t *parker = sleep_take_sleeper(sleep, false); /* POST-2 choose */
    if (parker != NULL) {
        parker_unpark(parker); /* POST-3 wake */
    }
}

/* Wake every sleeper; for the order to stop. */
static inline void
sleep_wake_all(sleep_state_t *sleep)
{
    parker_t *parker;
    while ((parker = sleep_take_sleeper(sleep, true)) != NULL) { /* POST-2 choose */
        parker_unpark(parker);                                   /* POST-3 wake */
    }
}

/* Announce that the calling worker searches. */
static inline void
sleep_become_idle(sleep_state_t *sleep)
{
    atomic_fetch_add(&sleep->counts, SLEEP_ONE_IDLE); /* SLEEP-1 idle */
}

/* Announce that the calling worker found a job. True: it was the last to search, and
 * others sleep; look at every arrival path, and if there is work, post it. */
static inline bool
sleep_become_active(sleep_state_t *sleep)
{
    /* SLEEP-2 active. ORDER: look after the decrement; a poster that saw us idle
     * woke nobody and counts on this look to see its job. */
    uint64_t counts = atomic_fetch_sub(&sleep->counts, SLEEP_ONE_IDLE) - SLEEP_ONE_IDLE;
    return sleep_idle_of(counts) == 0 && sleep_sleepers_of(counts) > 0;
}

/* Announce that the calling worker will sleep unless the last look helps. */
static inline void
sleep_become_sleepy(sleep_state_t *sleep, parker_t *parker)
{
    pthread_mutex_lock(&sleep->lock);
    sleep->sleepers[sleep_sleepers_of(atomic_load(&sleep->counts))] = parker;
    atomic_fetch_add(&sleep->counts, /* SLEEP-3 sleepy */
                     SLEEP_ONE_SLEEPER - SLEEP_ONE_IDLE);
    pthread_mutex_unlock(&sleep->lock);
}

/* Take the announcement back after a last look that found something. True: the
 * worker is idle again. False: a waker was faster, its token is on the way. */
static inline bool
sleep_stay_awake(sleep_state_t *sleep, parker_t *parker)
{
    bool is_there = false;
    pthread_mutex_lock(&sleep->lock);
    uint32_t sleepers = sleep_sleepers_of(atomic_load(&sleep->counts));
    for (uint32_t i = 0; i < sleepers; i++) {
        is_there = is_there || sleep->sleepers[i] == parker;
        if (is_there && i + 1 < sleepers) {
            sleep->sleepers[i] = sleep->sleepers[i + 1];
        }
    }
    if (is_there) { /* SLEEP-4 found something */
        atomic_fetch_add(&sleep->counts, SLEEP_ONE_IDLE - SLEEP_ONE_SLEEPER);
    }
    pthread_mutex_unlock(&sleep->lock);
    return is_there;
}

#endif
