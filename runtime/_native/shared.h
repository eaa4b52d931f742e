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
#include "injector.h"
#include "parker.h"
#include "prng.h"
#include "question.h"
#include "sleep.h"
#include "spin.h"

enum { MESSAGE_JOB, MESSAGE_PARCEL, MESSAGE_QUESTION };

/* One worker's place. A job that runs is at the seat, where its thread is the owner; or
 * beside it, detached, while another thread of the interpreter owns the seat. */
typedef struct {
    deque_t deque; /* owner pushes and pops, thieves steal */
    _Alignas(CACHE_LINE) parker_t parker;
    parker_t alarm; /* of the thread that watches over what runs here */
    _Alignas(CACHE_LINE) counters_t counters;
    prng_t prng;                 /* owner */
    spin_t spin;                 /* owner */
    uint32_t search_count;       /* owner */
    encoded_t *running;          /* owner: one reference */
    _Atomic uint64_t running_id; /* atomic: of its work; 0: nothing runs */
    _Atomic bool is_taken;       /* atomic */
    _Atomic bool is_recalled;    /* atomic: the next `seat_next` is to find nothing */
    /* All that follows is guarded by the lock of `shared_t`. */
    encoded_t *detached;        /* a list; one reference each */
    uint64_t last_number;       /* of a detached job */
    uint32_t num_waiting;       /* jobs that wait outside the pool */
    bool is_hung_up;            /* no question is taken from here any more */
    counters_t detached_counts; /* of jobs that ended beside the seat */
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
    seat_t *seats;           /* immutable */
    uint32_t spare_limit;    /* immutable: how many jobs may wait at a time */
    pthread_mutex_t lock;    /* no other lock is taken under it */
    question_t *open;        /* guarded by: lock; a list */
    uint32_t num_waiting;    /* guarded by: lock; the sum over the seats */
    bool is_closed;          /* guarded by: lock; nobody answers questions; stays set */
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
    pthread_mutex_destroy(&shared->lock);
    outbox_close(&shared->outbox);
    sleep_destroy(&shared->sleep);
    injector_destroy(&shared->injector);
    free(shared);
}

/* Make a pool's shared part, with one reference; NULL without memory or descriptors. */
static inline shared_t *
shared_open(uint32_t seat_count, long spin_rounds, uint32_t spare_limit)
{
    shared_t *shared = allocate_lines(sizeof(shared_t));
    if (shared == NULL) {
        return NULL;
    }
    memset(shared, 0, sizeof(shared_t));
    shared->seat_count = seat_count;
    shared->spin_rounds = spin_rounds;
    shared->spare_limit = spare_limit;
    shared->refs = 1;
    if (!sleep_init(&shared->sleep, seat_count, seat_count)) {
        free(shared);
        return NULL;
    }
    short_lock_init(&shared->lock);
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

/* Set a flag of some work, and have every worker's watch look at what runs there. */
static inline void
shared_mark(shared_t *shared, _Atomic bool *flag)
{
    atomic_store(flag, true);
    for (uint32_t i = 0; i < shared->seat_count; i++) {
        parker_unpark(&shared->seats[i].alarm);
    }
}

/* Questions */

/* Take a question off the list of those open and answer it; false: it was answered
 * before. Takes over the reference to the reply. */
static inline bool
shared_reply(shared_t *shared, question_t *question, answer_t answer, parcel_t *reply)
{
    pthread_mutex_lock(&shared->lock);
    bool is_first = question->is_open;
    if (is_first) {
        question_t **link = &shared->open;
        while (*link != question) {
            link = &(*link)->next;
        }
        *link = question->next;
        question->is_open = false;
        question->answer = answer;
        question->reply = reply;
    }
    pthread_mutex_unlock(&shared->lock);
    if (is_first) {
        latch_set(&question->is_answered); /* ASK-5 reply */
    }
    else {
        parcel_release(reply);
    }
    return is_first;
}

/* Answer all open questions, or those of one seat; under the lock. */
static inline void
shared_close_questions(shared_t *shared, seat_t *seat, answer_t answer)
{
    question_t **link = &shared->open;
    while (*link != NULL) {
        question_t *question = *link;
        if (seat != NULL && &shared->seats[question->worker_index] != seat) {
            link = &question->next;
            continue;
        }
        *link = question->next;
        question->is_open = false;
        question->answer = answer;
        /* ORDER: the last access; the asker may free it now. */
        latch_set(&question->is_answered);
    }
}

/* Take no question any more: there is nobody to answer. */
static inline void
shared_close(shared_t *shared)
{
    pthread_mutex_lock(&shared->lock);
    shared->is_closed = true;
    shared_close_questions(shared, NULL, ANSWER_NONE);
    pthread_mutex_unlock(&shared->lock);
}

/* Take no question from a seat any more: what its jobs wait for may never come. */
static inline void
seat_hang_up(shared_t *shared, seat_t *seat)
{
    pthread_mutex_lock(&shared->lock);
    seat->is_hung_up = true;
    shared_close_questions(shared, seat, ANSWER_BROKEN);
    pthread_mutex_unlock(&shared->lock);
}

/* Ask home and wait for the answer; from any thread, detached. The caller releases the
 * question, which then has an answer. */
static inline void
seat_ask(shared_t *shared, seat_t *seat, question_t *question)
{
    pthread_mutex_lock(&shared->lock);
    bool is_refused = shared->is_closed || seat->is_hung_up;
    if (is_refused) {
        question->answer = shared->is_closed ? ANSWER_NONE : ANSWER_BROKEN;
    }
    else {
        question->is_open = true;
        question->next = shared->open;
        shared->open = question; /* ASK-2 open */
    }
    pthread_mutex_unlock(&shared->lock);
    if (is_refused) {
        question_release(question); /* the outbox will not have it */
        return;
    }
    question->message.kind = MESSAGE_QUESTION;
    outbox_post(&shared->outbox, &question->message); /* ASK-2 post */
    latch_wait(&question->is_answered, -1);           /* ASK-3 wait */
}

/* Tell the workers to stop as soon as they find no more work. */
static inline void
shared_stop(shared_t *shared)
{
    shared_close(shared);
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
    seat_t *seat = &shared->seats[index];
    pthread_mutex_lock(&shared->lock);
    seat->is_hung_up = false;
    pthread_mutex_unlock(&shared->lock);
    atomic_store(&seat->is_recalled, false);
    return seat;
}

/* Count a job that ended. */
static inline void
seat_count(counters_t *counters, encoded_t *job)
{
    int64_t start_ns = job->run_ns;
    job->run_ns = clock_ns() - start_ns;
    counter_add(&counters->jobs_executed, 1);
    counter_add(&counters->busy_ns, (uint64_t)job->run_ns);
    histogram_record(&counters->queue_latency, start_ns - job->pushed_ns);
    histogram_record(&counters->run_time, job->run_ns);
}

/* Let a job leave the scheduler with its answer. */
static inline void
seat_answer(shared_t *shared, seat_t *seat, encoded_t *job, answer_t answer,
            parcel_t *reply)
{
    job->answer = answer;
    job->reply = reply;
    job->worker_index = (uint32_t)(seat - shared->seats);
    atomic_store(&job->phase, ENCODED_DONE);
    shared_post(shared, job);
}

/* Take what runs off the seat. */
static inline encoded_t *
seat_clear(seat_t *seat)
{
    encoded_t *job = seat->running;
    seat->running = NULL;
    atomic_store(&seat->running_id, 0);
    return job;
}

/* Leave the scheduler with what ran, answered; owner only. */
static inline void
seat_finish(shared_t *shared, seat_t *seat, answer_t answer, parcel_t *reply)
{
    encoded_t *job = seat_clear(seat);
    seat_count(&seat->counters, job);
    seat_answer(shared, seat, job, answer, reply);
}

/* Detached jobs */

/* Let what runs at the seat run on beside it; returns its number. Owner only. */
static inline uint64_t
seat_detach(shared_t *shared, seat_t *seat)
{
    encoded_t *job = seat_clear(seat);
    pthread_mutex_lock(&shared->lock);
    uint64_t number = job->number = ++seat->last_number;
    job->next = seat->detached;
    seat->detached = job;
    pthread_mutex_unlock(&shared->lock);
    return number;
}

/* Take a job out of those detached, or, for number 0, any; NULL if it is not there.
 * Under the lock. */
static inline encoded_t *
seat_take_detached(seat_t *seat, uint64_t number)
{
    encoded_t **link = &seat->detached;
    while (*link != NULL && number != 0 && (*link)->number != number) {
        link = &(*link)->next;
    }
    encoded_t *job = *link;
    if (job != NULL) {
        *link = job->next;
    }
    return job;
}

/* Let a detached job be the one that runs at the seat; false: there is no such job.
 * Owner only, and nothing runs there. */
static inline bool
seat_attach(shared_t *shared, seat_t *seat, uint64_t number)
{
    pthread_mutex_lock(&shared->lock);
    encoded_t *job = seat_take_detached(seat, number);
    pthread_mutex_unlock(&shared->lock);
    if (job != NULL) {
        seat->running = job;
        atomic_store(&seat->running_id, job->work->id);
    }
    return job != NULL;
}

/* Leave the scheduler with a detached job, answered; false: there is no such job.
 * From any thread. */
static inline bool
seat_finish_detached(shared_t *shared, seat_t *seat, uint64_t number, answer_t answer,
                     parcel_t *reply)
{
    pthread_mutex_lock(&shared->lock);
    encoded_t *job = seat_take_detached(seat, number);
    if (job != NULL) {
        seat_count(&seat->detached_counts, job);
    }
    pthread_mutex_unlock(&shared->lock);
    if (job != NULL) {
        seat_answer(shared, seat, job, answer, reply);
    }
    return job != NULL;
}

/* Copy the ids of what the detached jobs are parts of, for the caller to free; NULL
 * without memory. */
static inline uint64_t *
seat_list_detached(shared_t *shared, seat_t *seat, size_t *count)
{
    size_t room = 16;
    uint64_t *ids = malloc(room * sizeof(uint64_t));
    *count = 0;
    pthread_mutex_lock(&shared->lock);
    for (encoded_t *job = seat->detached; ids != NULL && job != NULL; job = job->next) {
        if (*count == room) {
            uint64_t *more = realloc(ids, (room *= 2) * sizeof(uint64_t));
            if (more == NULL) {
                free(ids);
            }
            ids = more;
        }
        if (ids != NULL) {
            ids[(*count)++] = job->work->id;
        }
    }
    pthread_mutex_unlock(&shared->lock);
    return ids;
}

/* Count one more job that waits for something outside the pool; false at the bound. */
static inline bool
seat_begin_wait(shared_t *shared, seat_t *seat)
{
    pthread_mutex_lock(&shared->lock);
    bool may_wait = shared->num_waiting < shared->spare_limit;
    if (may_wait) {
        shared->num_waiting += 1;
        seat->num_waiting += 1;
    }
    pthread_mutex_unlock(&shared->lock);
    return may_wait;
}

static inline void
seat_end_wait(shared_t *shared, seat_t *seat)
{
    pthread_mutex_lock(&shared->lock);
    shared->num_waiting -= 1;
    seat->num_waiting -= 1;
    pthread_mutex_unlock(&shared->lock);
}

/* Have one `seat_next` find nothing, the one that sleeps or the following; from any
 * thread. */
static inline void
seat_recall(shared_t *shared, seat_t *seat)
{
    /* ORDER: the flag first; who is about to sleep looks at it after it is enlisted. */
    atomic_store(&seat->is_recalled, true);
    if (sleep_stay_awake(&shared->sleep, &seat->parker, false)) {
        parker_unpark(&seat->parker);
    }
}

/* Free a seat; jobs that still run there were broken off. By the thread that took it,
 * or by whoever has seen that thread leave its interpreter. */
static inline void
shared_leave_seat(shared_t *shared, seat_t *seat)
{
    if (seat->running != NULL) {
        seat_finish(shared, seat, ANSWER_BROKEN, NULL);
    }
    while (seat_finish_detached(shared, seat, 0, ANSWER_BROKEN, NULL)) {
    }
    pthread_mutex_lock(&shared->lock);
    shared->num_waiting -= seat->num_waiting;
    seat->num_waiting = 0;
    pthread_mutex_unlock(&shared->lock);
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
