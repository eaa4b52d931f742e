/* A worker of a shared pool: find an encoded job, otherwise sleep.
 *
 * Mirrors _core/worker.py: the order of the search, the labels of SLEEP.md. There is
 * no Python in it, so the thread is detached from its interpreter for all of it.
 *
 * Thread safety: everything here belongs to the thread that took the seat.
 *
 * Layer: native, no Python in it. Includes: shared.h.
 */
#ifndef RUNTIME_SHARED_WORKER_H
#define RUNTIME_SHARED_WORKER_H

#include "shared.h"

/* As in _core/worker.py and worker.c. */
#define SHARED_INJECTOR_INTERVAL 16
#define SHARED_LOOKS_PER_ROUND 64
#define SHARED_DEQUES_PER_LOOK 8

/* Try every other worker once, from a random start. */
static inline encoded_t *
seat_steal(shared_t *shared, seat_t *seat)
{
    uint32_t count = shared->seat_count;
    uint32_t start = prng_below(&seat->prng, count);
    for (uint32_t offset = 0; offset < count; offset++) {
        seat_t *victim = &shared->seats[(start + offset) % count];
        if (victim == seat) {
            continue;
        }
        counter_add(&seat->counters.steal_attempts, 1);
        void *item = NULL;
        steal_t result;
        do {
            result = deque_steal(&victim->deque, &item);
        } while (result == STEAL_RETRY);
        if (result == STEAL_GOT) {
            counter_add(&seat->counters.jobs_stolen, 1);
            return item;
        }
    }
    return NULL;
}

/* Search every queue once. */
static inline encoded_t *
seat_find(shared_t *shared, seat_t *seat)
{
    void *entry;
    seat->search_count += 1;
    if (seat->search_count % SHARED_INJECTOR_INTERVAL == 0
        && (entry = injector_pop(&shared->injector)) != NULL) {
        return entry;
    }
    if ((entry = deque_pop(&seat->deque)) != NULL
        || (entry = seat_steal(shared, seat)) != NULL) {
        return entry;
    }
    return injector_pop(&shared->injector);
}

/* Look at every arrival path of SLEEP.md, in its order, taking nothing. */
static inline bool
seat_sees_work(shared_t *shared)
{
    if (injector_length(&shared->injector) > 0) {
        return true;
    }
    for (uint32_t i = 0; i < shared->seat_count; i++) {
        /* The own deque too: a worker that died may have left something in it. */
        if (deque_length(&shared->seats[i].deque) > 0) {
            return true;
        }
    }
    return atomic_load(&shared->is_stopping);
}

static inline void
seat_become_active(shared_t *shared)
{
    if (sleep_become_active(&shared->sleep) && seat_sees_work(shared)) {
        sleep_work_posted(&shared->sleep); /* SLEEP-2 active */
    }
}

/* Look whether there is a reason not to sleep. */
static inline bool
seat_must_look(shared_t *shared, seat_t *seat)
{
    return atomic_load(&seat->is_recalled) || seat_sees_work(shared);
}

/* The same, but look only at a few deques, from `*next` on. */
static inline bool
seat_glances(shared_t *shared, seat_t *seat, uint32_t *next)
{
    if (atomic_load(&seat->is_recalled) || injector_length(&shared->injector) > 0
        || atomic_load(&shared->is_stopping)) {
        return true;
    }
    uint32_t count = shared->seat_count;
    for (uint32_t i = 0; i < count && i < DEQUES_PER_LOOK; i++) {
        *next = *next + 1 < count ? *next + 1 : 0;
        if (deque_length(&shared->seats[*next].deque) > 0) {
            return true;
        }
    }
    return false;
}

/* Look and yield for up to `rounds` rounds; returns how many are left. */
static inline long
seat_spin(shared_t *shared, seat_t *seat, long rounds)
{
    uint32_t next = (uint32_t)(seat - shared->seats);
    while (rounds > 0) {
        for (int i = 0; i < SHARED_LOOKS_PER_ROUND; i++) {
            if (seat_glances(shared, seat, &next)) {
                return rounds;
            }
            cpu_relax();
        }
        rounds = spin_yield(&seat->spin) ? rounds - 1 : 0;
    }
    return 0;
}

/* Go to sleep, unless there is work after all; come back idle. */
static inline void
seat_sleep(shared_t *shared, seat_t *seat)
{
    sleep_become_sleepy(&shared->sleep, &seat->parker); /* SLEEP-3 sleepy */
#ifndef WITHOUT_LAST_LOOK
    if (seat_must_look(shared, seat)
        && sleep_stay_awake(&shared->sleep, &seat->parker,
                            atomic_load(&shared->is_stopping))) {
        return; /* SLEEP-4 last look */
    }
#endif
    int64_t start_ns = clock_ns();
    counter_add(&seat->counters.parks, 1);
    parker_park(&seat->parker, -1); /* SLEEP-5 park */
    counter_add(&seat->counters.wake_ups, 1);
    counter_add(&seat->counters.idle_ns, (uint64_t)(clock_ns() - start_ns));
}

/* Return whether this search is to end; the next one is another's affair. */
static inline bool
seat_was_recalled(seat_t *seat)
{
    bool was_recalled = atomic_load_explicit(&seat->is_recalled, memory_order_relaxed);
    if (was_recalled) {
        atomic_store(&seat->is_recalled, false);
    }
    return was_recalled;
}

/* Return an entry, sleeping until there is one; NULL is the order to stop, or somebody
 * has recalled the thread. */
static inline encoded_t *
seat_next_entry(shared_t *shared, seat_t *seat)
{
    if (seat_was_recalled(seat)) {
        return NULL;
    }
    encoded_t *entry = seat_find(shared, seat);
    if (entry != NULL) {
        return entry;
    }
    sleep_become_idle(&shared->sleep); /* SLEEP-1 idle */
    for (;;) {
        long rounds = spin_may_begin(&seat->spin) ? shared->spin_rounds : 0;
        for (;;) {
            if (seat_was_recalled(seat)) {
                seat_become_active(shared); /* it looks for what it was woken for */
                return NULL;
            }
            /* ORDER: the flag before the search; a job may be posted, and the order
             * given, after a search that found nothing. */
            bool is_stopping = atomic_load(&shared->is_stopping);
            entry = seat_find(shared, seat);
            if (entry != NULL || is_stopping) {
                seat_become_active(shared);
                return entry;
            }
            if (rounds == 0) {
                break;
            }
            rounds = seat_spin(shared, seat, rounds);
        }
        seat_sleep(shared, seat);
    }
}

/* Return the next job, claimed and running; NULL is the order to stop, or `seat_recall`.
 * Withdrawn entries leave the scheduler on the way. */
static inline encoded_t *
seat_next(shared_t *shared, seat_t *seat)
{
    encoded_t *job;
    while ((job = seat_next_entry(shared, seat)) != NULL) {
        if (encoded_claim(job, ENCODED_RUNNING)) {
            job->run_ns = clock_ns(); /* until it is done: when it began */
            seat->running = job;
            atomic_store(&seat->running_id, job->work->id);
            return job;
        }
        shared_post(shared, job);
    }
    return NULL;
}

#endif
