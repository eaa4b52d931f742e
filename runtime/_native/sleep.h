/* Who sleeps, who searches, who waits elsewhere, and whom to wake.
 *
 * The protocols are _core/SLEEP.md and, for spare threads, _core/SPARES.md.
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
    parker_t **reserve;  /* guarded by: lock; a stack */
    uint32_t in_reserve; /* guarded by: lock; how many that are */
    /* Both written under the lock. Workers read `excess` without it: a stale answer
     * lets one job begin too early, and the next search sees it. */
    _Atomic bool excess;
    _Atomic uint32_t num_away;
    uint32_t worker_count; /* immutable: how many are to be present */
    uint32_t num_present;  /* guarded by: lock */
    uint32_t num_joining;  /* guarded by: lock */
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

/* Make the state for `worker_count` workers, and at most `capacity` parkers; false
 * without memory. */
static inline bool
sleep_init(sleep_state_t *sleep, size_t worker_count, size_t capacity)
{
    /* One more: the caller may insert before it removes. */
    sleep->sleepers = malloc(2 * (capacity + 1) * sizeof(parker_t *));
    if (sleep->sleepers == NULL) {
        return false;
    }
    sleep->reserve = sleep->sleepers + capacity + 1;
    sleep->in_reserve = 0;
    sleep->worker_count = sleep->num_present = (uint32_t)worker_count;
    sleep->num_joining = 0;
    atomic_init(&sleep->counts, 0);
    atomic_init(&sleep->excess, false);
    atomic_init(&sleep->num_away, 0);
    short_lock_init(&sleep->lock);
    return true;
}

/* Begin anew in a forked child: threads that are gone may have held the lock. */
static inline void
sleep_after_fork(sleep_state_t *sleep)
{
    short_lock_init(&sleep->lock);
    sleep->num_present = sleep->worker_count;
    sleep->num_joining = 0;
    atomic_store(&sleep->counts, 0);
    atomic_store(&sleep->excess, false);
    atomic_store(&sleep->num_away, 0);
    sleep->in_reserve = 0;
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

/* Put a parker into a list of `length` others, below those from `place` on. */
static inline void
sleep_insert(parker_t **parkers, uint32_t length, uint32_t place, parker_t *parker)
{
    memmove(parkers + place + 1, parkers + place,
            (length - place) * sizeof(parker_t *));
    parkers[place] = parker;
}

/* Add a parker to a stack: on top, but for a spare's, which comes last. */
static inline void
sleep_enlist(parker_t **parkers, uint32_t length, parker_t *parker)
{
    sleep_insert(parkers, length, parker->is_spare ? 0 : length, parker);
}

/* Take a parker out of a list of `length`; false if it is not there. */
static inline bool
sleep_remove(parker_t **parkers, uint32_t length, parker_t *parker)
{
    for (uint32_t i = length; i-- > 0;) { /* who came last is asked for most */
        if (parkers[i] == parker) {
            memmove(parkers + i, parkers + i + 1,
                    (length - i - 1) * sizeof(parker_t *));
            return true;
        }
    }
    return false;
}

/* Count present workers, and see if they are too many; under the lock. */
static inline void
sleep_count(sleep_state_t *sleep, int change)
{
    sleep->num_present += (uint32_t)change;
    atomic_store(&sleep->excess,
                 sleep->num_present > sleep->worker_count
                     && sleep->num_present > sleep->num_joining + 1);
}

/* Remove one sleeper and count it idle; NULL if there is none. For the order to stop,
 * `takes_all`: whether or not somebody searches, and those in reserve too. */
static inline parker_t *
sleep_take_sleeper(sleep_state_t *sleep, bool takes_all)
{
    parker_t *parker = NULL;
    pthread_mutex_lock(&sleep->lock);
    uint64_t counts = atomic_load(&sleep->counts);
    uint32_t sleepers = sleep_sleepers_of(counts);
    if (sleepers > 0 && (takes_all || sleep_idle_of(counts) == 0)) {
        parker = sleep->sleepers[sleepers - 1];
        atomic_fetch_add(&sleep->counts, SLEEP_ONE_IDLE - SLEEP_ONE_SLEEPER);
    }
    else if (takes_all && sleep->in_reserve > 0) {
        parker = sleep->reserve[--sleep->in_reserve];
        sleep_count(sleep, 1);
        atomic_fetch_add(&sleep->counts, SLEEP_ONE_IDLE);
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

/* Wake every sleeper, those in reserve too; for the order to stop. */
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
    if (atomic_load(&sleep->excess)) { /* SPARE-5 step down */
        sleep_count(sleep, -1);
        sleep_enlist(sleep->reserve, sleep->in_reserve++, parker);
        atomic_fetch_sub(&sleep->counts, SLEEP_ONE_IDLE);
    }
    else {
        uint32_t sleepers = sleep_sleepers_of(atomic_load(&sleep->counts));
        sleep_enlist(sleep->sleepers, sleepers, parker);
        atomic_fetch_add(&sleep->counts, /* SLEEP-3 sleepy */
                         SLEEP_ONE_SLEEPER - SLEEP_ONE_IDLE);
    }
    pthread_mutex_unlock(&sleep->lock);
}

/* Take the announcement back after a last look that found something. True: the
 * worker is idle again. False: it is not needed, or a waker was faster and its token
 * is on the way. */
static inline bool
sleep_stay_awake(sleep_state_t *sleep, parker_t *parker, bool is_stopping)
{
    bool is_idle = false, is_in_reserve = false;
    pthread_mutex_lock(&sleep->lock);
    uint32_t sleepers = sleep_sleepers_of(atomic_load(&sleep->counts));
    if (sleep_remove(sleep->sleepers, sleepers, parker)) {
        is_idle = true; /* SLEEP-4 found something */
        atomic_fetch_add(&sleep->counts, SLEEP_ONE_IDLE - SLEEP_ONE_SLEEPER);
    }
    else if (sleep_remove(sleep->reserve, sleep->in_reserve, parker)) {
        is_in_reserve = !is_stopping;
        if (is_in_reserve) {
            sleep_enlist(sleep->reserve, sleep->in_reserve - 1, parker);
        }
        else {
            is_idle = true;
            sleep->in_reserve -= 1;
            sleep_count(sleep, 1);
            atomic_fetch_add(&sleep->counts, SLEEP_ONE_IDLE);
        }
    }
    pthread_mutex_unlock(&sleep->lock);
    if (is_in_reserve) {
        sleep_work_posted(sleep); /* SPARE-6 for somebody else */
    }
    return is_idle;
}

/* Spares */

static inline bool
sleep_has_excess(sleep_state_t *sleep)
{
    return atomic_load_explicit(&sleep->excess, memory_order_relaxed);
}

/* Count the calling worker away, if another can be present instead; `fresh` is NULL or
 * the parker of a spare that was just started. False: start a spare. */
static inline bool
sleep_leave(sleep_state_t *sleep, parker_t *fresh)
{
    bool has_left = true;
    pthread_mutex_lock(&sleep->lock);
    if (fresh != NULL) {
        sleep_enlist(sleep->reserve, sleep->in_reserve++, fresh);
    }
    if (atomic_load(&sleep->excess)) {
        sleep_count(sleep, -1); /* SPARE-1 leave */
    }
    else if (sleep->in_reserve > 0) {
        uint32_t sleepers = sleep_sleepers_of(atomic_load(&sleep->counts));
        sleep_insert(sleep->sleepers, sleepers, 0, sleep->reserve[--sleep->in_reserve]);
        /* ORDER: sequentially consistent, as the addition of SLEEP-3: the look that
         * follows sees what a poster that saw no sleeper has posted. */
        atomic_fetch_add(&sleep->counts, SLEEP_ONE_SLEEPER);
    }
    else {
        has_left = false;
    }
    if (has_left) {
        atomic_fetch_add(&sleep->num_away, 1);
    }
    pthread_mutex_unlock(&sleep->lock);
    return has_left;
}

/* Count the calling worker present again. */
static inline void
sleep_come_back(sleep_state_t *sleep)
{
    pthread_mutex_lock(&sleep->lock);
    atomic_fetch_sub(&sleep->num_away, 1);
    uint32_t sleepers = sleep_sleepers_of(atomic_load(&sleep->counts));
    if (sleepers > 0) { /* SPARE-4 come back */
        parker_t *lowest = sleep->sleepers[0];
        sleep_remove(sleep->sleepers, sleepers, lowest);
        sleep_enlist(sleep->reserve, sleep->in_reserve++, lowest);
        atomic_fetch_sub(&sleep->counts, SLEEP_ONE_SLEEPER);
    }
    else {
        sleep_count(sleep, 1);
    }
    pthread_mutex_unlock(&sleep->lock);
}

/* Count the calling worker as parked in a join. False: nobody else could run anything;
 * leave instead. */
static inline bool
sleep_begin_join(sleep_state_t *sleep)
{
    pthread_mutex_lock(&sleep->lock);
    bool may_park = sleep->num_present > sleep->num_joining + 1;
    if (may_park) {
        sleep->num_joining += 1; /* SPARE-8 park in a join */
        sleep_count(sleep, 0);
    }
    pthread_mutex_unlock(&sleep->lock);
    return may_park;
}

/* Count the calling worker as one that runs again. */
static inline void
sleep_end_join(sleep_state_t *sleep)
{
    pthread_mutex_lock(&sleep->lock);
    sleep->num_joining -= 1;
    sleep_count(sleep, 0);
    pthread_mutex_unlock(&sleep->lock);
}

/* Take a spare out that has slept for long; false if it is needed. */
static inline bool
sleep_retire(sleep_state_t *sleep, parker_t *parker)
{
    bool is_out = false;
    pthread_mutex_lock(&sleep->lock);
    uint32_t sleepers = sleep_sleepers_of(atomic_load(&sleep->counts));
    if (sleep_remove(sleep->reserve, sleep->in_reserve, parker)) { /* SPARE-7 retire */
        sleep->in_reserve -= 1;
        is_out = true;
    }
    else if (sleep->in_reserve > 0 && !sleep->reserve[sleep->in_reserve - 1]->is_spare
             && sleep_remove(sleep->sleepers, sleepers, parker)) {
        sleep->sleepers[sleepers - 1] = sleep->reserve[--sleep->in_reserve];
        is_out = true;
    }
    pthread_mutex_unlock(&sleep->lock);
    return is_out;
}

#endif
