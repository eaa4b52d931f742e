/* The Python-facing objects of the native core, and what they share.
 *
 * Each .c file beside this one defines one or two of them and says which. Who owns
 * which reference is in README.md.
 *
 * Layer: native. Includes: Python.h and the concept headers.
 */
#ifndef RUNTIME_NATIVE_H
#define RUNTIME_NATIVE_H

#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include <stddef.h>

#include "counters.h"
#include "deque.h"
#include "injector.h"
#include "latch.h"
#include "parker.h"
#include "prng.h"
#include "sleep.h"
#include "spin.h"

typedef enum {
    STAGE_MAPPED,
    STAGE_STAR_MAPPED,
    STAGE_FILTERED,
    STAGE_FILTER_MAPPED,
    STAGE_INSPECTED,
    STAGE_FLAT_MAPPED,
    STAGE_KINDS,
} stage_kind_t;

enum { DECIMAL_MODULES = 2 }; /* the one in C, the one in Python */

/* Everything that belongs to one interpreter's copy of the module. */
typedef struct {
    /* Types made here. */
    PyTypeObject *cancel_token_type;
    PyTypeObject *job_type;
    PyTypeObject *latch_type;
    PyTypeObject *count_latch_type;
    PyTypeObject *parker_type;
    PyTypeObject *injector_type;
    PyTypeObject *work_deque_type;
    PyTypeObject *stealer_type;
    PyTypeObject *worker_type;
    PyTypeObject *registry_type;
    PyTypeObject *frame_type;
    PyTypeObject *encoded_job_type;
    PyTypeObject *question_type;
    PyTypeObject *shared_queues_type;
    PyTypeObject *shared_worker_type;
    PyTypeObject *leaf_type;
    PyTypeObject *until_type;
    PyTypeObject *stage_types[STAGE_KINDS];
    PyObject *stop_raised;
    PyObject *halted;
    /* Objects from elsewhere, imported when first needed; see module.c. */
    PyObject *outcome_value;   /* outcome.Value */
    PyObject *outcome_error;   /* outcome.Error */
    PyObject *spare_error;     /* an outcome for a job whose own found no memory */
    PyObject *yield_to_python; /* a Python function: _core/gil.py, nothing before that */
    /* What copies of contexts need; see context.c. */
    PyObject *own_mark; /* a ContextVar that is never left set */
    _Atomic(PyObject *) decimal_variables[DECIMAL_MODULES]; /* atomic: set once */
    /* Interned names. */
    PyObject *decimal_names[DECIMAL_MODULES];
    PyObject *name_copy;
    PyObject *name_value;
    PyObject *name_error;
    PyObject *name_unwrapped;
    PyObject *name_module;
    PyObject *name_qualname;
} native_state_t;

extern struct PyModuleDef native_module;

/* The state of the module that a type of ours, or one derived from it, came from. */
native_state_t *state_of(PyTypeObject *type);

/* Import what jobs need; false with an exception set. Cheap when done already. */
bool state_prepare(native_state_t *state);

/* Let the interpreter do what it does between two Python instructions: run pending
 * calls, free what other threads handed back, let another thread have the GIL. */
void state_visit_python(native_state_t *state);

/* token.c */

typedef struct {
    PyObject_HEAD
    _Atomic bool is_set; /* atomic: once set it stays set */
} CancelTokenObject;

extern PyType_Spec cancel_token_spec;

static inline bool
token_is_set(CancelTokenObject *token)
{
    return atomic_load_explicit(&token->is_set, memory_order_acquire);
}

/* job.c */

enum {
    JOB_QUEUED,
    JOB_RUNNING,
    JOB_DONE,
    JOB_WITHDRAWN,
    JOB_READ, /* QUEUED, while somebody takes references to the call; a moment */
};

typedef struct {
    PyObject_HEAD
    _Atomic int phase; /* atomic: the claim, see job.c */
    int lane;          /* owner: the pusher, before the push */
    /* Owned by whoever won the claim; before the claim nobody writes. */
    PyObject *fn;
    PyObject *args;
    PyObject *context;
    /* None, then an outcome; the front end takes or replaces it. */
    _Atomic(PyObject *) outcome;
    CancelTokenObject *token; /* immutable */
    PyObject *sink;           /* immutable; None for no sink */
    long long pushed_ns;      /* owner: the pusher, before the push */
} JobObject;

extern PyType_Spec job_spec;

bool job_run(native_state_t *state, JobObject *job);
bool job_withdraw(JobObject *job);
bool job_is_withdrawn(void *job);
/* In a forked child: end what a thread that is gone was doing with what is queued. */
void job_after_fork(void *entry);
bool job_leave(JobObject *job);
bool job_prepare_push(JobObject *job, int64_t now_ns);

/* An outcome for what a call returned (stolen; NULL: the exception that is set). */
PyObject *outcome_capture(native_state_t *state, PyObject *value);
PyObject *native_value_outcome(PyObject *module, PyObject *value);

/* latches.c */

extern PyType_Spec latch_spec;
extern PyType_Spec count_latch_spec;
extern PyType_Spec parker_spec;

/* queues.c */

typedef struct {
    PyObject_HEAD
    injector_t injector;
} InjectorObject;

extern PyType_Spec injector_spec;
extern PyType_Spec work_deque_spec;
extern PyType_Spec stealer_spec;

/* A Python handle on a deque that lives inside `owner`. */
PyObject *work_deque_view(native_state_t *state, deque_t *deque, PyObject *owner);

int lane_of_job(void *job);

/* Withdraw from a registry's point of view: 1 yes, 0 too late, -1 a sink failed. */
int injector_withdraw(InjectorObject *self, JobObject *job);

/* worker.c */

/* What other threads touch of a worker, apart from what only it touches. */
typedef struct {
    deque_t deque;           /* owner pushes and pops, thieves steal */
    _Alignas(CACHE_LINE) parker_t parker;
    _Alignas(CACHE_LINE) counters_t counters;
    prng_t prng;             /* owner */
    spin_t spin;             /* owner */
    uint32_t search_count;   /* owner */
} lane_core_t;

typedef struct RegistryObject RegistryObject;

typedef struct {
    PyObject_HEAD
    RegistryObject *registry; /* immutable; NULL once the pair was taken apart */
    lane_core_t *core;        /* immutable; in lines of its own */
    Py_ssize_t index;         /* immutable, once it has a place in the registry */
    /* atomic: the job that runs now, lowest bit set while another thread takes a
     * reference to it; the running worker owns the reference. */
    _Atomic uintptr_t job;
    atomic_uint waits; /* owner writes: how many waits it is in, one inside the other */
    bool is_away;    /* owner: somebody is present in its stead */
    /* Both of a spare, guarded by: the registry's threads_lock. It has no thread that
     * runs jobs; and it has none at all, nor does anybody start one. */
    bool is_retired;
    bool is_vacant;
} WorkerObject;

extern PyType_Spec worker_spec;

/* Let the calling thread be no worker any more. */
void worker_forget(void);
/* In a forked child: end what a thread that is gone was doing with a worker's jobs. */
void worker_after_fork(WorkerObject *self);
/* The worker whose thread this is, in this module; borrowed, NULL outside of one. */
WorkerObject *worker_current(native_state_t *state);
/* A worker without a place in the registry: its index is set when it gets one. */
WorkerObject *worker_new(native_state_t *state, RegistryObject *registry, bool is_spare);
bool worker_push(WorkerObject *self, JobObject *job);
/* Look at every arrival path of SLEEP.md, in its order, taking nothing. */
bool worker_sees_work(WorkerObject *self);
/* The job that runs now, borrowed; NULL if none does. On the worker's own thread. */
static inline JobObject *
worker_own_job(WorkerObject *self)
{
    /* The lowest bit is another thread's that takes a reference. */
    return (JobObject *)(atomic_load_explicit(&self->job, memory_order_relaxed)
                         & ~(uintptr_t)1);
}

/* The job that runs now, a new reference; NULL if none does. From any thread. */
JobObject *worker_running_job(WorkerObject *self);
/* Run one entry of a queue; false: a sink failed, with its exception set. */
bool worker_execute(native_state_t *state, WorkerObject *self, void *entry);
/* For join.c: enter a piece of work that belongs to `job`; returns what ran before. */
uintptr_t worker_enter_job(WorkerObject *self, JobObject *job);
void worker_leave_job(WorkerObject *self, uintptr_t outer);

/* snapshot.c */

/* A WorkerStatistics of the counters; `stats` is runtime._core.stats. */
PyObject *worker_snapshot(PyObject *stats, WorkerObject *worker);

/* registry.c */

struct RegistryObject {
    PyObject_HEAD
    native_state_t *state;    /* immutable */
    PyObject *name;           /* immutable */
    long seed;                /* immutable */
    long spin_rounds;         /* immutable */
    InjectorObject *injector; /* immutable */
    sleep_state_t *sleep;     /* immutable; in lines of its own */
    _Atomic bool is_stopping; /* atomic: never cleared */
    _Atomic bool has_failed;  /* atomic: of several failing workers the first reports */
    PyObject *on_failure;     /* immutable */
    Py_ssize_t worker_count;  /* immutable */
    Py_ssize_t spare_limit;   /* immutable */
    WorkerObject **workers;   /* `made` of them, spares last; a slot is written once */
    _Atomic Py_ssize_t made;  /* atomic: grows, under threads_lock */
    /* atomic: changed under threads_lock. How many of them thieves look at: all but
     * retired ones at the end. */
    _Atomic Py_ssize_t reach;
    /* Before the lock of `sleep`. Nothing of Python's is called under it: whatever is
     * made or dropped there could run a finalizer of the user's. */
    pthread_mutex_t threads_lock;
    Py_ssize_t in_the_making; /* guarded by: threads_lock; spares that are not made yet */
    PyObject **threads;       /* guarded by: threads_lock; by index, NULL before the start */
    bool has_started;         /* owner: whoever starts */
    bool is_forked;           /* owner: the only thread of a forked child */
};

extern PyType_Spec registry_spec;

static inline WorkerObject *
registry_worker(RegistryObject *registry, Py_ssize_t index)
{
    return registry->workers[index];
}

/* How many workers were ever made, spares included. */
static inline Py_ssize_t
registry_made(RegistryObject *registry)
{
    return atomic_load(&registry->made);
}

/* Stop because of a bug of ours, with the exception that is set. */
void registry_fail(RegistryObject *registry);

/* Put a worker into the next slot, which takes over the reference; under threads_lock,
 * or before there are other threads. */
void registry_add_worker(RegistryObject *self, WorkerObject *worker);
/* Wait until a thread has ended; false with an exception set. */
bool thread_join(PyObject *thread);

/* spares.c */

/* Set an error of runtime._errors; what is set already becomes its cause. */
void raise_ours(const char *class_name, PyObject *message);
/* Start the thread of a worker; NULL with BrokenWorkerError set. */
PyObject *registry_start_thread(RegistryObject *self, WorkerObject *worker);
/* Let a spare that sleeps end its thread; false if it is needed. */
bool registry_retire(RegistryObject *self, WorkerObject *spare);
PyObject *worker_get_is_waiting(PyObject *worker, void *closure);
PyObject *worker_begin_wait(PyObject *worker, PyObject *ignored);
PyObject *worker_end_wait(PyObject *worker, PyObject *ignored);

/* cancel.c */

void raise_not_on_worker(const char *function, const char *instead);
PyObject *native_check_cancelled(PyObject *module, PyObject *ignored);

/* context.c */

/* Copy what a context shares with the one that it was copied from; steals it. */
PyObject *context_take_apart(native_state_t *state, PyObject *context);

/* PyObject_Size() without the way to it, for each fork asks. */
static inline bool
is_empty_context(PyObject *context)
{
    return Py_TYPE(context)->tp_as_mapping->mp_length(context) == 0;
}

/* A copy of the calling context for a call that runs elsewhere. */
static inline PyObject *
context_apart(native_state_t *state)
{
    PyObject *context = PyContext_CopyCurrent();
    return context == NULL || is_empty_context(context)
               ? context
               : context_take_apart(state, context);
}

PyObject *native_own_context(PyObject *module, PyObject *ignored);
PyObject *native_call_each(PyObject *module, PyObject *const *args, Py_ssize_t nargs);

/* join.c */

/* A fork lies in a deque as its address with the lowest bit set; a job as it is. */
static inline bool
entry_is_fork(void *entry)
{
    return ((uintptr_t)entry & 1) != 0;
}

void fork_execute(native_state_t *state, WorkerObject *thief, void *entry);
PyObject *native_join(PyObject *module, PyObject *const *args, Py_ssize_t nargs);

/* encoded.c, question.c, shared.c and shared_worker.c, for pools of interpreters; see SHARED.md */

extern PyType_Spec frame_spec;
extern PyType_Spec encoded_job_spec;
extern PyType_Spec question_spec;
extern PyType_Spec shared_queues_spec;
extern PyType_Spec shared_worker_spec;

/* packing.c */

PyObject *native_pack(PyObject *module, PyObject *value);
PyObject *native_unpack(PyObject *module, PyObject *packed);

/* slice.c */

PyObject *native_set_time_slice(PyObject *module, PyObject *number);

/* leaf.c */

typedef struct leaf LeafObject;

struct leaf {
    PyObject_HEAD
    /* Makes the item at a position; one of the functions below, by the source's type. */
    PyObject *(*item_at)(LeafObject *, Py_ssize_t position);
    PyObject *source;
    WorkerObject *worker;            /* NULL: nobody's demand matters */
    PyObject *tokens[2];             /* of the run and of the job; either may be NULL */
    bool halts;                      /* what a token does: raise Halted, or only end */
    Py_ssize_t first, position, stop; /* positions in the source */
    Py_ssize_t look_at;              /* where to look at the clock next */
    Py_ssize_t interval;             /* items between two looks */
    long long value, step;           /* of a range: at `position` */
    ssizeargfunc getter;             /* of another sequence: its own */
    int64_t begin_ns, last_ns, budget_ns;
    int64_t asked_ns;                /* when a token that is not ours was */
};

extern PyType_Spec leaf_spec;

/* until.c */

extern PyType_Spec until_spec;

/* What says whether a token is set: of a CancelToken, or of an EncodedJob, which stands
 * for that of its work; NULL for anything else. Alive as long as the token is. */
const _Atomic bool *token_flag(native_state_t *state, PyObject *token);
bool leaf_look(LeafObject *self);

/* Count an item that comes from elsewhere; false where none may come, with an exception set
 * if the leaf halts. */
static inline bool
leaf_pass(LeafObject *self)
{
    if (self->position == self->look_at && !leaf_look(self)) {
        return false;
    }
    self->position++;
    return true;
}

/* stages.c */

extern PyType_Spec stage_specs[STAGE_KINDS];

/* Let the StopIteration that is set, if one is, go on as an error. */
void raise_stop_as_error(native_state_t *state);
/* Set the error for an async function that was called for its result; steals that. */
PyObject *refuse_coroutine(PyObject *fn, PyObject *value);

/* Whether an async function gave it, which was called like a sync one:
 * runtime/_unawaited.py. */
static inline bool
is_unawaited(PyObject *value)
{
    return PyCoro_CheckExact(value) || PyAsyncGen_CheckExact(value);
}
PyObject *native_mapped(PyObject *module, PyObject *const *args, Py_ssize_t nargs);
PyObject *native_star_mapped(PyObject *module, PyObject *const *args, Py_ssize_t nargs);
PyObject *native_flat_mapped(PyObject *module, PyObject *const *args, Py_ssize_t nargs);
PyObject *native_filtered(PyObject *module, PyObject *const *args, Py_ssize_t nargs);
PyObject *native_filter_mapped(PyObject *module, PyObject *const *args, Py_ssize_t nargs);
PyObject *native_inspected(PyObject *module, PyObject *const *args, Py_ssize_t nargs);

#endif
