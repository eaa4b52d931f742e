/* An encoded job: a call, or a part of a batch, that any interpreter can run.
 *
 *     QUEUED --withdraw--> WITHDRAWN          the parcel is never opened
 *        |
 *        +-----claim-----> RUNNING --> DONE   answered, then posted to the sender
 *
 * Mirrors _core/job.py in raw memory: the step out of QUEUED is one compare-and-swap,
 * and the entry leaves exactly once, by the outbox. All jobs cut from one piece of
 * work share its parcel and its token; each has a range of the parcel's frames.
 *
 * A reference is held by: the sender's handle; the queue, handed on to the running
 * worker and then to the outbox.
 *
 * Thread safety: `phase` and the token from any thread; the answer belongs to the
 * running worker until the job is posted, then to the reader of the outbox.
 *
 * Layer: native, no Python in it. Includes: parcel.h.
 */
#ifndef RUNTIME_ENCODED_H
#define RUNTIME_ENCODED_H

#include "parcel.h"

enum { ENCODED_QUEUED, ENCODED_RUNNING, ENCODED_DONE, ENCODED_WITHDRAWN };

/* How a job was answered. The numbers are those of runtime/_backends/answers.py. */
typedef enum {
    ANSWER_NONE,   /* withdrawn: it never began */
    ANSWER_BROKEN, /* its worker died */
    ANSWER_VALUE,
    ANSWER_ERROR,
    ANSWER_CANCELLED,
    ANSWER_ASKED, /* not over: a job of the work asks home for something */
} answer_t;

/* What the jobs of one piece of work share. */
typedef struct {
    _Atomic uint32_t refs;
    _Atomic bool is_stopped;   /* atomic: the token; once set it stays set */
    _Atomic bool is_interrupted; /* atomic: to be broken off; once set it stays set */
    _Atomic bool is_sought;    /* atomic: its jobs are to show their stacks */
    _Atomic bool was_met;      /* atomic: an interrupt was raised; stays set */
    _Atomic uint32_t open_jobs; /* atomic: raised by whoever cuts, before the push;
                                   lowered by the outbox's reader */
    uint64_t id;               /* immutable: the sender's name for it */
    parcel_t *parcel;          /* immutable */
} work_t;

typedef struct encoded {
    message_t message;
    _Atomic uint32_t refs;
    _Atomic int phase;
    work_t *work;      /* immutable */
    uint32_t start;    /* immutable: the first frame of its range */
    uint32_t stop;     /* owner: the running worker; the frame after the last */
    int lane;          /* immutable */
    int64_t pushed_ns; /* owner: the pusher, before the push */
    /* While it runs beside its seat: guarded by the lock of shared_t. */
    struct encoded *next;
    uint64_t number;
    /* The answer. */
    answer_t answer;
    parcel_t *reply; /* may be NULL */
    uint32_t worker_index;
    int64_t run_ns;
} encoded_t;

/* Make a piece of work; takes over the caller's reference to the parcel. */
static inline work_t *
work_new(uint64_t id, parcel_t *parcel)
{
    work_t *work = malloc(sizeof(work_t));
    if (work != NULL) {
        atomic_init(&work->refs, 1);
        atomic_init(&work->is_stopped, false);
        atomic_init(&work->is_interrupted, false);
        atomic_init(&work->is_sought, false);
        atomic_init(&work->was_met, false);
        atomic_init(&work->open_jobs, 0);
        work->id = id;
        work->parcel = parcel;
    }
    return work;
}

static inline void
work_release(work_t *work)
{
    if (atomic_fetch_sub(&work->refs, 1) == 1) {
        parcel_release(work->parcel);
        free(work);
    }
}

/* Make a job for a range of the work's frames; one reference; NULL without memory. */
static inline encoded_t *
encoded_new(work_t *work, uint32_t start, uint32_t stop, int lane)
{
    encoded_t *job = calloc(1, sizeof(encoded_t));
    if (job != NULL) {
        atomic_init(&job->refs, 1);
        atomic_init(&job->phase, ENCODED_QUEUED);
        atomic_fetch_add_explicit(&work->refs, 1, memory_order_relaxed);
        atomic_fetch_add_explicit(&work->open_jobs, 1, memory_order_relaxed);
        job->work = work;
        job->start = start;
        job->stop = stop;
        job->lane = lane;
    }
    return job;
}

static inline encoded_t *
encoded_acquire(encoded_t *job)
{
    atomic_fetch_add_explicit(&job->refs, 1, memory_order_relaxed);
    return job;
}

static inline void
encoded_release(encoded_t *job)
{
    if (atomic_fetch_sub(&job->refs, 1) == 1) {
        parcel_release(job->reply);
        work_release(job->work);
        free(job);
    }
}

/* Move the job out of QUEUED; false if somebody else did. */
static inline bool
encoded_claim(encoded_t *job, int phase)
{
    int seen = ENCODED_QUEUED;
    /* ATOMIC(phase): CLAIM-1 of a worker and a canceller one wins. */
    return atomic_compare_exchange_strong(&job->phase, &seen, phase);
}

static inline int
encoded_lane_of(void *job)
{
    return ((encoded_t *)job)->lane;
}

static inline bool
encoded_is_withdrawn(void *job)
{
    return atomic_load(&((encoded_t *)job)->phase) == ENCODED_WITHDRAWN;
}

static inline void
work_request_stop(work_t *work)
{
    atomic_store_explicit(&work->is_stopped, true, memory_order_release);
}

static inline bool
work_is_stopped(work_t *work)
{
    return atomic_load_explicit(&work->is_stopped, memory_order_acquire);
}

#endif
