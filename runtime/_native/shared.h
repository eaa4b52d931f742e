/* What the interpreters of one pool share: the queues, the sleep state, the way back.
 *
 * Mirrors the queues of _core/registry.py in memory that belongs to the process. The
 * interpreter that opens the pool makes it; each worker's interpreter finds it by its
 * handle, a number that is never used again, and takes a *seat*. Who owns and who frees
 * what, and what happens when an interpreter dies, is in SHARED.md.
 *
 * Thread safety: internally synchronized, but for the seats: each belongs to the thread
 * that took it.
 *
 * Layer: native, no Python in it. Includes: encoded.h and the concept headers.
 */
#ifndef RUNTIME_SHARED_H
#define RUNTIME_SHARED_H

#include "counters.h"
#include "deque.h"
#include "encoded.h"
#include "injector.h"
#include "parker.h"
#include "prng.h"
#include "sleep.h"

enum { MESSAGE_JOB, MESSAGE_PARCEL };

/* One worker's place. */
typedef struct {
    deque_t deque; /* owner pushes and pops, thieves steal */
    _Alignas(CACHE_LINE) parker_t parker;
    parker_t alarm; /* of the thread that watches over what runs here */
    _Alignas(CACHE_LINE) counters_t counters;
    prng_t prng;                 /* owner */
    uint32_t search_count;       /* owner */
    encoded_t *running;          /* owner: one reference */
    _Atomic uint64_t running_id; /* atomic: of its work; 0: nothing runs */
    _Atomic bool is_taken;       /* atomic */
} seat_t;

typedef struct shared {
    struct shared *next; /* guarded by: shared_table.lock */
    uint64_t handle;     /* immutable */
    uint32_t refs;       /* guarded by: shared_table.lock */
    uint32_t seat_count; /* immutable */
    long spin_rounds;    /* immutable */
    _Atomic bool is_stopping; /* atomic: never cleared */
    injector_t injector;
    sleep_state_t sleep;
    outbox_t outbox;
    seat_t *seats; /* immutable */
} shared_t;

/* Process-global: all that is shared at the moment, by handle. Defined once. */
typedef struct {
    pthread_mutex_t lock;
    shared_t *first;
    uint64_t last_handle;
} shared_table_t;

extern shared_table_t shared_table;

#define DEFINE_SHARED_TABLE                                                       \
    shared_table_t shared_table = {PTHREAD_MUTEX_INITIALIZER, NULL, 0}

/* Life */

static inline void
shared_destroy(shared_t *shared)
{
    for (uint32_t i = 0; shared->seats != NULL && i < shared->seat_count; i++) {
        deque_destroy(&shared->seats[i].deque);
    }
    free(shared->seats);
    outbox_destroy(&shared->outbox);
    sleep_destroy(&shared->sleep);
    injector_destroy(&shared->injector);
    free(shared);
}

/* Make a pool's shared part, with one reference; NULL without memory or descriptors. */
static inline shared_t *
shared_open(uint32_t seat_count, long spin_rounds)
{
    shared_t *shared = allocate_lines(sizeof(shared_t));
    if (shared == NULL) {
        return NULL;
    }
    memset(shared, 0, sizeof(shared_t));
    shared->seat_count = seat_count;
    shared->spin_rounds = spin_rounds;
    shared->refs = 1;
    if (!sleep_init(&shared->sleep, seat_count, seat_count)) {
        free(shared);
        return NULL;
    }
    injector_init(&shared->injector);
    bool is_whole = outbox_init(&shared->outbox);
    shared->seats = allocate_lines(seat_count * sizeof(seat_t));
    if (shared->seats == NULL) {
        shared_destroy(shared);
        return NULL;
    }
    memset(shared->seats, 0, seat_count * sizeof(seat_t)); /* of the counters, too */
    for (uint32_t i = 0; i < seat_count; i++) {
        seat_t *seat = &shared->seats[i];
        is_whole = deque_init(&seat->deque) && is_whole;
        parker_init(&seat->parker);
        parker_init(&seat->alarm);
        prng_init(&seat->prng, i + 1);
        seat->search_count = i;
    }
    if (!is_whole) {
        shared_destroy(shared);
        return NULL;
    }
    pthread_mutex_lock(&shared_table.lock);
    shared->handle = ++shared_table.last_handle;
    shared->next = shared_table.first;
    shared_table.first = shared;
    pthread_mutex_unlock(&shared_table.lock);
    return shared;
}

/* Find the shared part of a pool, and take a reference; NULL: it is gone. */
static inline shared_t *
shared_find(uint64_t handle)
{
    pthread_mutex_lock(&shared_table.lock);
    shared_t *shared = shared_table.first;
    while (shared != NULL && shared->handle != handle) {
        shared = shared->next;
    }
    if (shared != NULL) {
        shared->refs += 1;
    }
    pthread_mutex_unlock(&shared_table.lock);
    return shared;
}

static inline shared_t *
shared_acquire(shared_t *shared)
{
    pthread_mutex_lock(&shared_table.lock);
    shared->refs += 1;
    pthread_mutex_unlock(&shared_table.lock);
    return shared;
}

static inline void
shared_release(shared_t *shared)
{
    pthread_mutex_lock(&shared_table.lock);
    bool is_last = --shared->refs == 0;
    if (is_last) {
        shared_t **link = &shared_table.first;
        while (*link != shared) {
            link = &(*link)->next;
        }
        *link = shared->next;
    }
    pthread_mutex_unlock(&shared_table.lock);
    if (is_last) {
        shared_destroy(shared);
    }
}

/* Lent memory goes home */

static inline void
shared_give_back(parcel_t *parcel)
{
    shared_t *shared = parcel->home;
    parcel->message.kind = MESSAGE_PARCEL;
    outbox_post(&shared->outbox, &parcel->message);
    shared_release(shared); /* the reference that the parcel had */
}

/* Say that a parcel has frames that `lender` lends. */
static inline void
shared_set_lender(shared_t *shared, parcel_t *parcel, void *lender)
{
    parcel->lender = lender;
    parcel->home = shared_acquire(shared);
    parcel->give_back = shared_give_back;
}

/* The way in and the way out of a job */

/* Post a job that has left the scheduler; takes over the queue's reference. */
static inline void
shared_post(shared_t *shared, encoded_t *job)
{
    job->message.kind = MESSAGE_JOB;
    outbox_post(&shared->outbox, &job->message);
}

/* Hand a job from outside to the workers; false without memory, it is still yours. */
static inline bool
shared_inject(shared_t *shared, encoded_t *job)
{
    void *entry = job;
    job->pushed_ns = clock_ns();
    if (!injector_push_many(&shared->injector, &entry, 1, encoded_lane_of)) {
        return false; /* POST-1 injector, above */
    }
    sleep_work_posted(&shared->sleep);
    return true;
}

/* Take a job back; true if it had not begun and now never will. Its empty entry, and
 * others if it is time to compact, come through the outbox. */
static inline bool
shared_withdraw(shared_t *shared, encoded_t *job)
{
    void **removed;
    if (!encoded_claim(job, ENCODED_WITHDRAWN)) {
        return false;
    }
    size_t count = injector_note_withdrawn(&shared->injector, job->lane,
                                           encoded_is_withdrawn, &removed);
    for (size_t i = 0; i < count; i++) {
        shared_post(shared, removed[i]);
    }
    free(removed);
    return true;
}

/* Have what runs of a job's work interrupted. The token is set before, so what begins
 * now ends by itself. */
static inline void
shared_interrupt(shared_t *shared, encoded_t *job)
{
    atomic_store(&job->work->is_interrupted, true);
    for (uint32_t i = 0; i < shared->seat_count; i++) {
        parker_unpark(&shared->seats[i].alarm);
    }
}

/* Tell the workers to stop as soon as they find no more work. */
static inline void
shared_stop(shared_t *shared)
{
    atomic_store(&shared->is_stopping, true); /* POST-1 stop */
    sleep_wake_all(&shared->sleep);
}

/* Seats */

/* Take a seat; NULL if there is none of that number or somebody has it. */
static inline seat_t *
shared_take_seat(shared_t *shared, uint32_t index)
{
    bool is_taken = false;
    if (index >= shared->seat_count
        || !atomic_compare_exchange_strong(&shared->seats[index].is_taken, &is_taken,
                                           true)) {
        return NULL;
    }
    return &shared->seats[index];
}

/* Leave the scheduler with what ran, answered; owner only. */
static inline void
seat_finish(shared_t *shared, seat_t *seat, answer_t answer, parcel_t *reply)
{
    encoded_t *job = seat->running;
    counters_t *counters = &seat->counters;
    int64_t start_ns = job->run_ns;
    job->run_ns = clock_ns() - start_ns;
    counter_add(&counters->jobs_executed, 1);
    counter_add(&counters->busy_ns, (uint64_t)job->run_ns);
    histogram_record(&counters->queue_latency, start_ns - job->pushed_ns);
    histogram_record(&counters->run_time, job->run_ns);
    job->answer = answer;
    job->reply = reply;
    job->worker_index = (uint32_t)(seat - shared->seats);
    seat->running = NULL;
    atomic_store(&seat->running_id, 0);
    atomic_store(&job->phase, ENCODED_DONE);
    shared_post(shared, job);
}

/* Free a seat; a job that still runs there was broken off. By the thread that took it,
 * or by whoever has seen that thread leave its interpreter. */
static inline void
shared_leave_seat(shared_t *shared, seat_t *seat)
{
    if (seat->running != NULL) {
        seat_finish(shared, seat, ANSWER_BROKEN, NULL);
    }
    atomic_store(&seat->is_taken, false);
}

/* Cut the upper part, from `middle`, off the job that runs, where thieves find it;
 * false without memory, and nothing has changed. Owner only. */
static inline bool
seat_share(shared_t *shared, seat_t *seat, uint32_t middle)
{
    encoded_t *whole = seat->running;
    encoded_t *part = encoded_new(whole->work, middle, whole->stop, whole->lane);
    if (part == NULL) {
        return false;
    }
    part->pushed_ns = clock_ns();
    if (!deque_push(&seat->deque, part)) { /* POST-1 own deque */
        atomic_fetch_sub(&whole->work->open_jobs, 1);
        encoded_release(part);
        return false;
    }
    whole->stop = middle;
    sleep_work_posted(&shared->sleep);
    return true;
}

/* Take whatever is queued, from any thread; NULL if there is nothing. For the end. */
static inline encoded_t *
shared_take_any(shared_t *shared)
{
    void *entry = injector_pop(&shared->injector);
    for (uint32_t i = 0; entry == NULL && i < shared->seat_count; i++) {
        while (deque_steal(&shared->seats[i].deque, &entry) == STEAL_RETRY) {
        }
    }
    return entry;
}

#endif
