/* join(f, g): run both, maybe at the same time, and return both results.
 *
 * Mirrors _core/join.py. A half is a callable, or a callable and one argument:
 * that saves a lambda, which costs more than the fork, and no reference is counted for
 * a function that all workers share. The fork lies on the joiner's stack, since the joiner always
 * stays until it is over: pushing it allocates nothing.
 *
 * **JOIN-1** push `g` where others can steal it; **JOIN-2** run `f`; **JOIN-3** take
 * back what was pushed since: first what `f` left behind, which runs here, then `g`;
 * **JOIN-4** if `g` was stolen, wait for it, running what its thief has pushed since.
 *
 * Work isolation (a waiting worker runs its own descendants only) rests on this: a
 * thief takes the oldest entry, and steals only when its own deque is empty. So
 *
 * - if our fork is gone, everything older is gone: all we pop is newer, ours;
 * - what lies in the thief's deque while `g` runs was pushed under `g`.
 *
 * The thief sets `done` before it pushes anything else. We read the entry first and
 * `done` second: not set then, the entry is a descendant of `g`, and it is stolen
 * without a look into it.
 *
 * Layer: native. Includes: native.h.
 */
#include "native.h"

/* How long a joiner whose half was stolen looks before it sleeps, and how often it
 * looks again for something to help with. Arbitrary. */
#define JOIN_LOOKS 2000
#define JOIN_STEP_NS (NS_PER_S / 1000)

/* A callable and its argument, NULL for none; borrowed from the joiner's caller. */
typedef struct {
    PyObject *fn;
    PyObject *argument;
} half_t;

typedef struct {
    _Alignas(8) half_t half;
    PyObject *context;         /* owned by the joiner: its variables at the push */
    JobObject *job;            /* borrowed: what the joiner runs, alive as long */
    PyObject *value;           /* written by the thief, then the joiner's */
    PyObject *error;           /* the same; of both one is set in the end */
    _Atomic(WorkerObject *) thief; /* borrowed: lives as long as the registry */
    latch_t done;              /* the thief's last access to the fork */
} fork_t;

static void *
fork_to_entry(fork_t *fork)
{
    return (void *)((uintptr_t)fork | 1);
}

static fork_t *
fork_of_entry(void *entry)
{
    return (fork_t *)((uintptr_t)entry & ~(uintptr_t)1);
}

/* Call one half, with its argument if it has one. */
static PyObject *
half_call(half_t half)
{
    PyObject *value = half.argument == NULL ? PyObject_CallNoArgs(half.fn)
                                            : PyObject_CallOneArg(half.fn, half.argument);
    if (value != NULL && is_unawaited(value)) {
        return refuse_coroutine(half.fn, value);
    }
    return value;
}

/* Call the pushed half in the context that was captured for it. */
static PyObject *
fork_call(fork_t *fork)
{
    if (PyContext_Enter(fork->context) < 0) {
        return NULL;
    }
    PyObject *value = half_call(fork->half);
    if (PyContext_Exit(fork->context) < 0) {
        Py_CLEAR(value);
    }
    return value;
}

/* Run a stolen fork; its outcome goes to the joiner. */
void
fork_execute(native_state_t *Py_UNUSED(state), WorkerObject *thief, void *entry)
{
    fork_t *fork = fork_of_entry(entry);
    atomic_store_explicit(&fork->thief, thief, memory_order_release);
    uintptr_t outer = worker_enter_job(thief, fork->job);
    fork->value = fork_call(fork);
    if (fork->value == NULL) {
        fork->error = PyErr_GetRaisedException();
    }
    worker_leave_job(thief, outer);
    /* ORDER: the outcome first; after this the fork may be gone. */
    latch_set(&fork->done);
}

/* Run an entry found while joining; a sink that fails is a bug of ours. */
static void
join_execute(native_state_t *state, WorkerObject *self, void *entry)
{
    if (!worker_execute(state, self, entry)) {
        registry_fail(self->registry);
    }
}

/* JOIN-3: pop until our fork comes; true: here it is, nobody stole it. */
static bool
join_take_back(native_state_t *state, WorkerObject *self, fork_t *fork)
{
    void *entry;
    while ((entry = deque_pop(&self->core->deque)) != NULL) {
        if (entry == fork_to_entry(fork)) {
            return true;
        }
        join_execute(state, self, entry);
    }
    return false;
}

static bool
fork_is_running(void *Py_UNUSED(entry), void *fork)
{
    return !latch_probe(&((fork_t *)fork)->done);
}

/* Take what the thief of our fork has pushed under it; NULL if there is nothing. */
static void *
join_steal_back(WorkerObject *self, fork_t *fork)
{
    WorkerObject *thief = atomic_load_explicit(&fork->thief, memory_order_acquire);
    if (thief == NULL) {
        return NULL; /* it has the fork, and is about to say so */
    }
    void *entry = NULL;
    steal_t result;
    do {
        result = deque_steal_if(&thief->core->deque, fork_is_running, fork, &entry);
    } while (result == STEAL_RETRY);
    if (result != STEAL_GOT) {
        return NULL;
    }
    counter_add(&self->core->counters.jobs_stolen, 1);
    return entry;
}

static bool
join_sees_work(fork_t *fork)
{
    WorkerObject *thief = atomic_load_explicit(&fork->thief, memory_order_acquire);
    return latch_probe(&fork->done)
           || (thief != NULL && deque_length(&thief->core->deque) > 0);
}

/* Wait a while, detached, for the end of the fork or for something to help with. */
static void
join_pause(fork_t *fork)
{
    Py_BEGIN_ALLOW_THREADS
    int looks = JOIN_LOOKS;
    while (looks > 0 && !join_sees_work(fork)) {
        looks -= 1;
        cpu_relax();
    }
    if (looks == 0) {
        latch_wait(&fork->done, JOIN_STEP_NS);
    }
    Py_END_ALLOW_THREADS
}

/* Count the worker as parked; true: `join_end_pause` must follow. If nobody else could
 * run what the thief may wait for, another takes its place. At the bound there is no one
 * to ask for: the fork cannot be given up, so it is waited for even so. */
static bool
join_begin_pause(WorkerObject *self, bool *has_left)
{
    *has_left = false;
    if (sleep_begin_join(self->registry->sleep)) {
        return true;
    }
    PyObject *result = worker_begin_wait((PyObject *)self, NULL);
    *has_left = result != NULL;
    Py_XDECREF(result);
    PyErr_Clear();
    return *has_left;
}

static void
join_end_pause(WorkerObject *self, bool has_left)
{
    if (has_left) {
        Py_XDECREF(worker_end_wait((PyObject *)self, NULL));
    }
    else {
        sleep_end_join(self->registry->sleep);
    }
}

/* Set the error for a half that the parent process runs. */
static void
raise_forked_join(void)
{
    PyObject *message =
        PyUnicode_FromString("this process was forked inside a join, and has none of the "
                             "workers, one of which ran the other half");
    raise_ours("BrokenWorkerError", message);
    Py_XDECREF(message);
}

/* JOIN-4: wait for the thief; in a forked child there is none, and the half is lost. */
static void
join_wait(native_state_t *state, WorkerObject *self, fork_t *fork)
{
    bool is_counted = false, has_left = false;
    while (!latch_probe(&fork->done)) {
        if (self->registry->is_forked) {
            raise_forked_join();
            fork->error = PyErr_GetRaisedException();
            return;
        }
        void *entry = deque_pop(&self->core->deque);
        if (entry == NULL) {
            entry = join_steal_back(self, fork);
        }
        if (entry != NULL) {
            join_execute(state, self, entry);
        }
        else {
            if (!is_counted) {
                is_counted = join_begin_pause(self, &has_left);
            }
            join_pause(fork);
        }
    }
    if (is_counted) {
        join_end_pause(self, has_left);
    }
    /* What we ran may have left jobs behind: ours, too, and nobody else's. */
    void *entry;
    while ((entry = deque_pop(&self->core->deque)) != NULL) {
        join_execute(state, self, entry);
    }
}

/* Set the first error, with the second as a note; steals both. */
static void
join_raise(PyObject *first, PyObject *second)
{
    if (first != NULL && second != NULL) {
        PyObject *note = PyUnicode_FromFormat(
            "the other half of the join failed, too: %R", second);
        PyObject *result =
            note == NULL ? NULL : PyObject_CallMethod(first, "add_note", "O", note);
        if (result == NULL) {
            PyErr_Clear(); /* a note is not worth another error */
        }
        Py_XDECREF(result);
        Py_XDECREF(note);
        Py_DECREF(second);
        second = NULL;
    }
    PyErr_SetRaisedException(first != NULL ? first : second);
}

/* Run both halves; on success their results are in the fork and `*value`. */
static bool
join_run(native_state_t *state, WorkerObject *self, half_t first, fork_t *fork,
         PyObject **value)
{
    if (!deque_push(&self->core->deque, fork_to_entry(fork))) { /* JOIN-1 push */
        PyErr_NoMemory();
        return false;
    }
    sleep_work_posted(self->registry->sleep);
    *value = half_call(first); /* JOIN-2 run */
    PyObject *error = *value == NULL ? PyErr_GetRaisedException() : NULL;
    if (join_take_back(state, self, fork)) { /* JOIN-3 take back */
        if (error != NULL) {
            PyErr_SetRaisedException(error); /* as in (f(), g()), g does not begin */
            return false;
        }
        fork->value = fork_call(fork);
        return fork->value != NULL;
    }
    join_wait(state, self, fork); /* JOIN-4 wait */
    if (error != NULL || fork->error != NULL) {
        join_raise(error, fork->error);
        return false;
    }
    return true;
}

PyObject *
native_join(PyObject *module, PyObject *const *args, Py_ssize_t nargs)
{
    native_state_t *state = PyModule_GetState(module);
    WorkerObject *self = worker_current(state);
    half_t first = {.fn = NULL}, second = {.fn = NULL};
    if (nargs == 2) {
        first.fn = args[0];
        second.fn = args[1];
    }
    else if (nargs == 4) {
        first = (half_t){args[0], args[1]};
        second = (half_t){args[2], args[3]};
    }
    else {
        PyErr_Format(PyExc_TypeError,
                     "write join(f, g), or join(f, x, g, y) for f(x) and g(y); "
                     "%zd arguments were given",
                     nargs);
        return NULL;
    }
    if (self == NULL) {
        raise_not_on_worker("runtime.lowlevel.join()",
                            "await pool.spawn_cpu_work(fn), with the join inside fn");
        return NULL;
    }
    if (Py_EnterRecursiveCall(" in join")) {
        return NULL;
    }
    fork_t fork = {
        .half = second,
        .context = context_apart(state),
        .job = worker_own_job(self),
    };
    PyObject *value = NULL, *pair = NULL;
    if (fork.context != NULL && join_run(state, self, first, &fork, &value)) {
        pair = PyTuple_Pack(2, value, fork.value);
    }
    Py_XDECREF(value);
    Py_XDECREF(fork.value);
    Py_XDECREF(fork.context);
    Py_LeaveRecursiveCall();
    return pair;
}
