/* Worker: find a job, run it, otherwise sleep.
 *
 * Mirrors _core/worker.py, the order of the search and the labels of SLEEP.md
 * included. The thread is attached to the interpreter while it touches Python
 * objects and detached while it spins and sleeps: what it looks at meanwhile (the
 * queues' counters) lives in memory that the registry frees last.
 *
 * Layer: native. Includes: native.h.
 */
#include "native.h"

/* As in _core/worker.py. */
#define INJECTOR_INTERVAL 16
#define PARK_STEP_NS (NS_PER_S / 20)
#define PARK_STEPS 20
#define SPARE_KEEP_ALIVE_NS (10 * NS_PER_S)

/* How often a round of spinning looks at the queues before it offers its core to
 * another thread; about 2 us. Measured, see README.md. */
#define LOOKS_PER_ROUND 64

/* How many deques such a look visits, the next ones each time: what it costs does not
 * grow with the number of workers. Arbitrary. */
#define DEQUES_PER_LOOK 8

/* How many jobs may follow each other before the interpreter gets a turn, should
 * they all be builtins. Arbitrary. */
#define VISIT_INTERVAL 64

/* One per thread: whose loop runs on it; of which interpreter, `worker_current` checks. */
static _Thread_local WorkerObject *current;

static uintptr_t
untagged(uintptr_t job)
{
    return job & ~(uintptr_t)1;
}

void
worker_forget(void)
{
    current = NULL;
}

void
worker_after_fork(WorkerObject *self)
{
    deque_visit(&self->core->deque, job_after_fork);
    atomic_store(&self->job, untagged(atomic_load(&self->job)));
}

WorkerObject *
worker_current(native_state_t *state)
{
    WorkerObject *worker = current;
    return worker != NULL && worker->registry->state == state ? worker : NULL;
}

/* The job that runs now */

uintptr_t
worker_enter_job(WorkerObject *self, JobObject *job)
{
    uintptr_t outer = atomic_load_explicit(&self->job, memory_order_relaxed);
    worker_leave_job(self, (uintptr_t)job);
    return untagged(outer);
}

/* Set `job` to `next`, once nobody is taking a reference to what it is now. */
void
worker_leave_job(WorkerObject *self, uintptr_t next)
{
    uintptr_t seen = untagged(atomic_load_explicit(&self->job, memory_order_relaxed));
    uintptr_t expected = seen;
    while (!atomic_compare_exchange_weak(&self->job, &expected, next)) {
        expected = seen;
        cpu_relax();
    }
}

JobObject *
worker_running_job(WorkerObject *self)
{
    for (;;) {
        uintptr_t job = untagged(atomic_load(&self->job));
        if (job == 0) {
            return NULL;
        }
        /* ATOMIC(job): tagged, the job stays; the worker waits with letting go. */
        if (atomic_compare_exchange_strong(&self->job, &job, job | 1)) {
            Py_INCREF((PyObject *)job);
            atomic_store(&self->job, job);
            return (JobObject *)job;
        }
        cpu_relax();
    }
}

/* Running a job */

bool
worker_execute(native_state_t *state, WorkerObject *self, void *entry)
{
    if (entry_is_fork(entry)) {
        fork_execute(state, self, entry);
        return true;
    }
    JobObject *job = entry;
    counters_t *counters = &self->core->counters;
    int64_t start_ns = clock_ns();
    uintptr_t outer = worker_enter_job(self, job);
    if (job_run(state, job)) {
        int64_t run_ns = clock_ns() - start_ns;
        counter_add(&counters->jobs_executed, 1);
        histogram_record(&counters->queue_latency, start_ns - job->pushed_ns);
        histogram_record(&counters->run_time, run_ns);
        if (outer == 0) {
            counter_add(&counters->busy_ns, (uint64_t)run_ns);
        }
    }
    worker_leave_job(self, outer);
    bool has_left = job_leave(job);
    Py_DECREF(job);
    return has_left;
}

bool
worker_push(WorkerObject *self, JobObject *job)
{
    if (!job_prepare_push(job, clock_ns())) {
        return false;
    }
    Py_INCREF(job);
    if (!deque_push(&self->core->deque, job)) { /* POST-1 own deque */
        Py_DECREF(job);
        PyErr_NoMemory();
        return false;
    }
    sleep_work_posted(self->registry->sleep);
    return true;
}

/* Finding work */

/* Try every other worker once, from a random start. */
static void *
worker_steal(WorkerObject *self)
{
    RegistryObject *registry = self->registry;
    counters_t *counters = &self->core->counters;
    uint32_t count = (uint32_t)atomic_load(&registry->reach);
    if (count < 2) {
        return NULL;
    }
    uint32_t start = prng_below(&self->core->prng, count);
    for (uint32_t offset = 0; offset < count; offset++) {
        uint32_t victim = start + offset < count ? start + offset : start + offset - count;
        if (victim == (uint32_t)self->index) {
            continue;
        }
        counter_add(&counters->steal_attempts, 1);
        void *item = NULL;
        steal_t result;
        do {
            result = deque_steal(&registry_worker(registry, victim)->core->deque, &item);
        } while (result == STEAL_RETRY);
        if (result == STEAL_GOT) {
            counter_add(&counters->jobs_stolen, 1);
            return item;
        }
    }
    return NULL;
}

/* Search every queue once. */
static void *
worker_find(WorkerObject *self)
{
    injector_t *injector = &self->registry->injector->injector;
    void *entry;
    self->core->search_count += 1;
    if (self->core->search_count % INJECTOR_INTERVAL == 0
        && (entry = injector_pop(injector)) != NULL) {
        return entry;
    }
    if ((entry = deque_pop(&self->core->deque)) != NULL
        || (entry = worker_steal(self)) != NULL) {
        return entry;
    }
    return injector_pop(injector);
}

bool
worker_sees_work(WorkerObject *self)
{
    RegistryObject *registry = self->registry;
    if (injector_length(&registry->injector->injector) > 0) {
        return true;
    }
    Py_ssize_t count = atomic_load(&registry->reach);
    for (Py_ssize_t i = 0; i < count; i++) {
        if (deque_length(&registry_worker(registry, i)->core->deque) > 0) {
            return true;
        }
    }
    return atomic_load(&registry->is_stopping);
}

static void
worker_become_active(WorkerObject *self)
{
    sleep_state_t *sleep = self->registry->sleep;
    if (sleep_become_active(sleep) && worker_sees_work(self)) { /* SLEEP-2 active */
        sleep_work_posted(sleep);
    }
}

/* Look at the arrival paths, but only at a few deques, from `*next` on. */
static bool
worker_glances(RegistryObject *registry, Py_ssize_t *next)
{
    if (injector_length(&registry->injector->injector) > 0
        || atomic_load(&registry->is_stopping)) {
        return true;
    }
    Py_ssize_t count = atomic_load(&registry->reach);
    for (Py_ssize_t i = 0; i < count && i < DEQUES_PER_LOOK; i++) {
        *next = *next + 1 < count ? *next + 1 : 0;
        if (deque_length(&registry_worker(registry, *next)->core->deque) > 0) {
            return true;
        }
    }
    return false;
}

/* Look and yield for up to `rounds` rounds, detached; returns how many are left, 0 if
 * nothing came. */
static long
worker_spin(WorkerObject *self, long rounds)
{
    Py_ssize_t next = self->index;
    Py_BEGIN_ALLOW_THREADS
    while (rounds > 0) {
        for (int i = 0; i < LOOKS_PER_ROUND; i++) {
            if (worker_glances(self->registry, &next)) {
                goto seen;
            }
            cpu_relax();
        }
        rounds = spin_yield(&self->core->spin) ? rounds - 1 : 0;
    }
seen:;
    Py_END_ALLOW_THREADS
    return rounds;
}

/* Wait for the token: in short steps for a while, then without a limit. Between two
 * steps the interpreter frees what other threads handed back. False: this is a spare,
 * nobody needs it any more, and it is in no list. */
static bool
worker_park(native_state_t *state, WorkerObject *self)
{
    parker_t *parker = &self->core->parker;
    int64_t last_step_ns = parker->is_spare ? SPARE_KEEP_ALIVE_NS : -1;
    for (int step = 0;; step++) {
        bool has_token;
        Py_BEGIN_ALLOW_THREADS
        has_token = parker_park(parker, step < PARK_STEPS ? PARK_STEP_NS : last_step_ns);
        Py_END_ALLOW_THREADS
        state_visit_python(state);
        if (has_token) {
            return true;
        }
        if (step >= PARK_STEPS && deque_length(&self->core->deque) == 0
            && registry_retire(self->registry, self)) {
            return false;
        }
    }
}

/* Go to sleep, unless there is work after all; come back idle. False: it was a
 * spare's last sleep. */
static bool
worker_sleep(native_state_t *state, WorkerObject *self)
{
    sleep_state_t *sleep = self->registry->sleep;
    parker_t *parker = &self->core->parker;
    counters_t *counters = &self->core->counters;
    sleep_become_sleepy(sleep, parker); /* SLEEP-3 sleepy */
    if (worker_sees_work(self)
        && sleep_stay_awake(sleep, parker, atomic_load(&self->registry->is_stopping))) {
        return true; /* SLEEP-4 last look */
    }
    int64_t start_ns = clock_ns();
    counter_add(&counters->parks, 1);
    bool is_awake = worker_park(state, self); /* SLEEP-5 park */
    counter_add(&counters->wake_ups, is_awake);
    counter_add(&counters->idle_ns, (uint64_t)(clock_ns() - start_ns));
    return is_awake;
}

/* From idle on: return an entry, sleeping until there is one; NULL: the thread is to
 * end. */
static void *
worker_search(native_state_t *state, WorkerObject *self)
{
    void *entry;
    do {
        long rounds =
            spin_may_begin(&self->core->spin) ? self->registry->spin_rounds : 0;
        for (;;) {
            /* ORDER: the flag before the search; a job may be posted, and the order
             * given, after a search that found nothing. */
            bool is_stopping = atomic_load(&self->registry->is_stopping);
            if (sleep_has_excess(self->registry->sleep) && !is_stopping) {
                break; /* SPARE-5 read excess */
            }
            entry = worker_find(self);
            if (entry != NULL || is_stopping) {
                worker_become_active(self);
                return entry;
            }
            if (rounds == 0) {
                break;
            }
            rounds = worker_spin(self, rounds);
        }
    } while (worker_sleep(state, self));
    return NULL;
}

/* Return an entry, sleeping until there is one; NULL: the thread is to end. */
static void *
worker_next_entry(native_state_t *state, WorkerObject *self)
{
    sleep_state_t *sleep = self->registry->sleep;
    void *entry;
    /* SPARE-5 read excess */
    if (!sleep_has_excess(sleep) && (entry = worker_find(self)) != NULL) {
        return entry;
    }
    sleep_become_idle(sleep); /* SLEEP-1 idle */
    return worker_search(state, self);
}

/* Return the first entry; a spare has to be called for before it looks. */
static void *
worker_first_entry(native_state_t *state, WorkerObject *self)
{
    if (!self->core->parker.is_spare) {
        return worker_next_entry(state, self);
    }
    return worker_park(state, self) ? worker_search(state, self) : NULL;
}

/* The body of the worker's thread: run jobs until the registry stops. */
static PyObject *
worker_main(PyObject *op, PyObject *Py_UNUSED(ignored))
{
    WorkerObject *self = (WorkerObject *)op;
    native_state_t *state = self->registry->state;
    unsigned until_visit = VISIT_INTERVAL;
    void *entry;
    current = self;
    for (entry = worker_first_entry(state, self); entry != NULL;
         entry = worker_next_entry(state, self)) {
        if (!worker_execute(state, self, entry)) {
            /* Jobs keep their own errors, so this one is ours. */
            registry_fail(self->registry);
            break;
        }
        if (self->registry->is_forked) {
            break; /* what is queued belongs to the process that was forked */
        }
        if (--until_visit == 0) {
            until_visit = VISIT_INTERVAL;
            state_visit_python(state);
        }
    }
    current = NULL;
    Py_RETURN_NONE;
}

static PyObject *
worker_run_one(PyObject *op, PyObject *Py_UNUSED(ignored))
{
    WorkerObject *self = (WorkerObject *)op;
    void *entry = worker_find(self);
    if (entry == NULL) {
        Py_RETURN_FALSE;
    }
    WorkerObject *outer = current;
    current = self;
    bool has_left = worker_execute(self->registry->state, self, entry);
    current = outer;
    if (!has_left) {
        return NULL;
    }
    Py_RETURN_TRUE;
}

/* The type */

WorkerObject *
worker_new(native_state_t *state, RegistryObject *registry, bool is_spare)
{
    WorkerObject *self = (WorkerObject *)PyType_GenericAlloc(state->worker_type, 0);
    if (self == NULL) {
        return NULL;
    }
    self->core = allocate_lines(sizeof(lane_core_t));
    if (self->core == NULL) {
        Py_DECREF(self);
        PyErr_NoMemory();
        return NULL;
    }
    memset(self->core, 0, sizeof(lane_core_t)); /* of the counters, too */
    if (!deque_init(&self->core->deque)) {
        free(self->core);
        self->core = NULL;
        Py_DECREF(self);
        PyErr_NoMemory();
        return NULL;
    }
    parker_init(&self->core->parker);
    self->core->parker.is_spare = is_spare;
    self->registry = (RegistryObject *)Py_NewRef(registry);
    return self;
}

static int
worker_traverse(PyObject *op, visitproc visit, void *arg)
{
    WorkerObject *self = (WorkerObject *)op;
    Py_VISIT(Py_TYPE(op));
    Py_VISIT((PyObject *)self->registry);
    if (self->core == NULL) {
        return 0;
    }
    deque_t *deque = &self->core->deque;
    deque_buffer_t *buffer = atomic_load(&deque->buffer);
    int64_t bottom = atomic_load(&deque->bottom);
    for (int64_t i = atomic_load(&deque->top); i < bottom; i++) {
        void *entry = atomic_load(deque_slot(buffer, i));
        if (!entry_is_fork(entry)) {
            Py_VISIT((PyObject *)entry);
        }
    }
    return 0;
}

static int
worker_clear(PyObject *op)
{
    WorkerObject *self = (WorkerObject *)op;
    void *entry;
    while (self->core != NULL && (entry = deque_pop(&self->core->deque)) != NULL) {
        Py_DECREF((PyObject *)entry);
    }
    return 0;
}

static void
worker_dealloc(PyObject *op)
{
    WorkerObject *self = (WorkerObject *)op;
    PyTypeObject *type = Py_TYPE(op);
    PyObject_GC_UnTrack(op);
    worker_clear(op);
    if (self->core != NULL) {
        deque_destroy(&self->core->deque);
        free(self->core);
    }
    Py_XDECREF(self->registry);
    type->tp_free(op);
    Py_DECREF(type);
}

static PyObject *
worker_sees_work_method(PyObject *op, PyObject *Py_UNUSED(ignored))
{
    return PyBool_FromLong(worker_sees_work((WorkerObject *)op));
}

static bool
check_is_job(WorkerObject *self, PyObject *job)
{
    if (PyObject_TypeCheck(job, self->registry->state->job_type)) {
        return true;
    }
    PyErr_Format(PyExc_TypeError, "a worker takes jobs, not %R", job);
    return false;
}

static PyObject *
worker_execute_method(PyObject *op, PyObject *job)
{
    WorkerObject *self = (WorkerObject *)op;
    if (!check_is_job(self, job)
        || !worker_execute(self->registry->state, self, Py_NewRef(job))) {
        return NULL;
    }
    Py_RETURN_NONE;
}

static PyObject *
worker_push_method(PyObject *op, PyObject *job)
{
    WorkerObject *self = (WorkerObject *)op;
    if (!check_is_job(self, job) || !worker_push(self, (JobObject *)job)) {
        return NULL;
    }
    Py_RETURN_NONE;
}

static PyObject *
worker_look_outside_next(PyObject *op, PyObject *Py_UNUSED(ignored))
{
    ((WorkerObject *)op)->core->search_count = UINT32_MAX; /* the next one is 0 */
    Py_RETURN_NONE;
}

static PyObject *
worker_get_job(PyObject *op, void *Py_UNUSED(closure))
{
    JobObject *job = worker_running_job((WorkerObject *)op);
    return job != NULL ? (PyObject *)job : Py_NewRef(Py_None);
}

static PyObject *
worker_get_counters(PyObject *op, void *Py_UNUSED(closure))
{
    PyObject *stats = PyImport_ImportModule("runtime._core.stats");
    PyObject *snapshot =
        stats == NULL ? NULL : worker_snapshot(stats, (WorkerObject *)op);
    Py_XDECREF(stats);
    return snapshot;
}

static PyObject *
worker_get_deque(PyObject *op, void *Py_UNUSED(closure))
{
    WorkerObject *self = (WorkerObject *)op;
    return work_deque_view(self->registry->state, &self->core->deque, op);
}

static PyMethodDef worker_methods[] = {
    {"main", worker_main, METH_NOARGS,
     PyDoc_STR("Run jobs until the registry stops; the body of the worker's thread.")},
    {"run_one", worker_run_one, METH_NOARGS,
     PyDoc_STR("Run one job on the calling thread, if there is one, and return.")},
    {"execute", worker_execute_method, METH_O,
     PyDoc_STR("Run one entry of a queue and let it leave the scheduler.")},
    {"push", worker_push_method, METH_O,
     PyDoc_STR("Put a job into the own deque, where others may steal it.")},
    {"look_outside_next", worker_look_outside_next, METH_NOARGS,
     PyDoc_STR("Let the next search begin with the injector.")},
    {"begin_wait", worker_begin_wait, METH_NOARGS,
     PyDoc_STR("Let another thread work in this one's place; end_wait must follow.")},
    {"end_wait", worker_end_wait, METH_NOARGS, PyDoc_STR("Be present again.")},
    {"sees_work", worker_sees_work_method, METH_NOARGS,
     PyDoc_STR("Look at every arrival path of SLEEP.md, taking nothing.")},
    {0},
};

static PyGetSetDef worker_getset[] = {
    {"job", worker_get_job, NULL, PyDoc_STR("The job that runs now, or None."), NULL},
    {"is_waiting", worker_get_is_waiting, NULL,
     PyDoc_STR("Whether its job waits outside the scheduler (a hint)."), NULL},
    {"counters", worker_get_counters, NULL, PyDoc_STR("A snapshot of counters."), NULL},
    {"deque", worker_get_deque, NULL, PyDoc_STR("The worker's own queue."), NULL},
    {0},
};

static PyMemberDef worker_members[] = {
    {"registry", Py_T_OBJECT_EX, offsetof(WorkerObject, registry), Py_READONLY, NULL},
    {"index", Py_T_PYSSIZET, offsetof(WorkerObject, index), Py_READONLY, NULL},
    {0},
};

static PyType_Slot worker_slots[] = {
    {Py_tp_doc, (void *)PyDoc_STR(
        "One execution lane of a registry.\n\n"
        "Thread safety: all methods belong to the worker's own thread.")},
    {Py_tp_dealloc, worker_dealloc},
    {Py_tp_traverse, worker_traverse},
    {Py_tp_clear, worker_clear},
    {Py_tp_methods, worker_methods},
    {Py_tp_getset, worker_getset},
    {Py_tp_members, worker_members},
    {0, NULL},
};

PyType_Spec worker_spec = {
    .name = "runtime.lowlevel.Worker",
    .basicsize = sizeof(WorkerObject),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_IMMUTABLETYPE
             | Py_TPFLAGS_DISALLOW_INSTANTIATION,
    .slots = worker_slots,
};
