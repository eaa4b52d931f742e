/* Registry: the workers of one pool and everything they share.
 *
 * Mirrors _core/registry.py, but for its spares, which are in spares.c.
 *
 * Layer: native. Includes: native.h.
 */
#include "native.h"

#define SPARE_LIMIT 256 /* as in _core/registry.py */

static RegistryObject *
as_registry(PyObject *self)
{
    return (RegistryObject *)self;
}

/* How many workers there may ever be, spares included. */
static size_t
registry_capacity(RegistryObject *self)
{
    return (size_t)(self->worker_count + self->spare_limit);
}

void
registry_add_worker(RegistryObject *self, WorkerObject *worker)
{
    Py_ssize_t index = registry_made(self);
    worker->index = index;
    worker->core->search_count = (uint32_t)index;
    prng_init(&worker->core->prng, (uint32_t)(self->seed + index + 1));
    /* ORDER: the slot first; who reads the counts may look at it. */
    self->workers[index] = worker;
    atomic_store(&self->made, index + 1);
}

static bool
registry_make_workers(RegistryObject *self)
{
    self->workers = calloc(registry_capacity(self), sizeof(WorkerObject *));
    self->threads = calloc(registry_capacity(self), sizeof(PyObject *));
    if (self->workers == NULL || self->threads == NULL) {
        PyErr_NoMemory();
        return false;
    }
    for (Py_ssize_t i = 0; i < self->worker_count; i++) {
        WorkerObject *worker = worker_new(self->state, self, false);
        if (worker == NULL) {
            return false;
        }
        registry_add_worker(self, worker);
        atomic_store(&self->reach, i + 1);
    }
    return true;
}

static bool
registry_make_sleep(RegistryObject *self)
{
    self->sleep = allocate_lines(sizeof(sleep_state_t));
    if (self->sleep != NULL
        && sleep_init(self->sleep, (size_t)self->worker_count, registry_capacity(self))) {
        return true;
    }
    free(self->sleep);
    self->sleep = NULL;
    PyErr_NoMemory();
    return false;
}

static int
registry_init(PyObject *op, PyObject *args, PyObject *kwargs)
{
    static char *keywords[] = {"worker_count", "name",       "seed", "spin_rounds",
                               "spare_limit",  "on_failure", NULL};
    RegistryObject *self = as_registry(op);
    Py_ssize_t worker_count, spare_limit = SPARE_LIMIT;
    PyObject *name = NULL, *on_failure = Py_None;
    long spin_rounds = 1;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "n|$UllnO:Registry", keywords,
                                     &worker_count, &name, &self->seed, &spin_rounds,
                                     &spare_limit, &on_failure)) {
        return -1;
    }
    if (worker_count < 1 || spin_rounds < 1 || spare_limit < 0) {
        PyErr_Format(PyExc_AssertionError,
                     "worker_count %zd and spin_rounds %ld must be at least 1, "
                     "spare_limit %zd at least 0",
                     worker_count, spin_rounds, spare_limit);
        return -1;
    }
    if (self->state != NULL) {
        PyErr_SetString(PyExc_RuntimeError, "a Registry is initialised once");
        return -1;
    }
    self->state = state_of(Py_TYPE(op));
    short_lock_init(&self->threads_lock);
    if (!state_prepare(self->state)) {
        return -1;
    }
    self->spin_rounds = spin_rounds;
    self->worker_count = worker_count;
    self->spare_limit = spare_limit;
    self->on_failure = Py_NewRef(on_failure);
    self->name = name != NULL ? Py_NewRef(name) : PyUnicode_FromString("pool");
    if (self->name == NULL) {
        return -1;
    }
    self->injector = (InjectorObject *)PyObject_CallNoArgs(
        (PyObject *)self->state->injector_type);
    if (self->injector == NULL || !registry_make_sleep(self)
        || !registry_make_workers(self)) {
        return -1;
    }
    return 0;
}

static int
registry_traverse(PyObject *op, visitproc visit, void *arg)
{
    RegistryObject *self = as_registry(op);
    Py_VISIT(Py_TYPE(op));
    Py_VISIT(self->name);
    Py_VISIT((PyObject *)self->injector);
    Py_VISIT(self->on_failure);
    for (Py_ssize_t i = 0; i < registry_made(self); i++) {
        Py_VISIT((PyObject *)registry_worker(self, i));
    }
    for (Py_ssize_t i = 0; i < registry_made(self); i++) {
        Py_VISIT(self->threads[i]);
    }
    return 0;
}

static int
registry_clear(PyObject *op)
{
    RegistryObject *self = as_registry(op);
    /* The array stays: a finalizer may still call methods. */
    atomic_store(&self->reach, 0);
    for (Py_ssize_t i = atomic_exchange(&self->made, 0); i > 0; i--) {
        Py_CLEAR(self->workers[i - 1]);
        Py_CLEAR(self->threads[i - 1]);
    }
    Py_CLEAR(self->on_failure);
    return 0;
}

static void
registry_dealloc(PyObject *op)
{
    RegistryObject *self = as_registry(op);
    PyTypeObject *type = Py_TYPE(op);
    PyObject_GC_UnTrack(op);
    registry_clear(op);
    free(self->workers);
    free(self->threads);
    Py_XDECREF(self->injector);
    Py_XDECREF(self->name);
    if (self->sleep != NULL) {
        sleep_destroy(self->sleep);
        free(self->sleep);
    }
    type->tp_free(op);
    Py_DECREF(type);
}

/* The way in */

static bool
check_job(RegistryObject *self, PyObject *job)
{
    if (self->workers == NULL) {
        PyErr_SetString(PyExc_TypeError, "Registry.__init__ was not called");
        return false;
    }
    if (!PyObject_TypeCheck(job, self->state->job_type)) {
        PyErr_Format(PyExc_TypeError, "a registry takes jobs, not %R", job);
        return false;
    }
    return true;
}

/* Hand jobs over under one wake-up; on failure none was, and all are the caller's. */
static bool
registry_inject(RegistryObject *self, PyObject *const *jobs, Py_ssize_t count)
{
    int64_t now_ns = clock_ns();
    for (Py_ssize_t i = 0; i < count; i++) {
        if (!check_job(self, jobs[i])
            || !job_prepare_push((JobObject *)jobs[i], now_ns)) {
            return false;
        }
    }
    for (Py_ssize_t i = 0; i < count; i++) {
        Py_INCREF(jobs[i]);
    }
    if (!injector_push_many(&self->injector->injector, (void *const *)jobs,
                            (size_t)count, lane_of_job)) { /* POST-1 injector */
        for (Py_ssize_t i = 0; i < count; i++) {
            Py_DECREF(jobs[i]);
        }
        PyErr_NoMemory();
        return false;
    }
    sleep_work_posted(self->sleep);
    return true;
}

static PyObject *
registry_inject_method(PyObject *self, PyObject *job)
{
    if (!registry_inject(as_registry(self), &job, 1)) {
        return NULL;
    }
    Py_RETURN_NONE;
}

static PyObject *
registry_inject_many_method(PyObject *self, PyObject *jobs)
{
    PyObject *sequence = PySequence_Tuple(jobs); /* ours: nobody can change it */
    if (sequence == NULL) {
        return NULL;
    }
    bool injected = registry_inject(as_registry(self), &PyTuple_GET_ITEM(sequence, 0),
                                    PyTuple_GET_SIZE(sequence));
    Py_DECREF(sequence);
    if (!injected) {
        return NULL;
    }
    Py_RETURN_NONE;
}

static PyObject *
registry_withdraw(PyObject *op, PyObject *job)
{
    RegistryObject *self = as_registry(op);
    if (!check_job(self, job)) {
        return NULL;
    }
    int withdrawn = injector_withdraw(self->injector, (JobObject *)job);
    return withdrawn < 0 ? NULL : PyBool_FromLong(withdrawn);
}

/* Start and stop */

static void
registry_stop(RegistryObject *self)
{
    atomic_store(&self->is_stopping, true); /* POST-1 stop */
    sleep_wake_all(self->sleep);
}

bool
thread_join(PyObject *thread)
{
    PyObject *result = PyObject_CallMethod(thread, "join", NULL);
    Py_XDECREF(result);
    return result != NULL;
}

/* The threads by index, those that were started; NULL with an exception set. */
static PyObject *
registry_list_threads(RegistryObject *self)
{
    Py_ssize_t count = 0;
    PyObject **threads = calloc(registry_capacity(self), sizeof(PyObject *));
    if (threads == NULL) {
        return PyErr_NoMemory();
    }
    pthread_mutex_lock(&self->threads_lock);
    while (count < registry_made(self) && self->threads[count] != NULL) {
        threads[count] = Py_NewRef(self->threads[count]);
        count += 1;
    }
    pthread_mutex_unlock(&self->threads_lock);
    PyObject *list = PyList_New(count);
    for (Py_ssize_t i = 0; i < count; i++) {
        if (list != NULL) {
            PyList_SET_ITEM(list, i, threads[i]);
        }
        else {
            Py_DECREF(threads[i]);
        }
    }
    free(threads);
    return list;
}

static bool
registry_join_threads(RegistryObject *self, PyObject *but_not)
{
    /* Whose start was not noted by now is waited for by who started it: spares.c. */
    PyObject *threads = registry_list_threads(self);
    bool joined = threads != NULL;
    for (Py_ssize_t i = 0; joined && i < PyList_GET_SIZE(threads); i++) {
        PyObject *index = PyLong_FromSsize_t(i);
        int skipped = index == NULL ? -1
                      : but_not == NULL ? 0
                                        : PySequence_Contains(but_not, index);
        Py_XDECREF(index);
        joined = skipped == 0 ? thread_join(PyList_GET_ITEM(threads, i)) : skipped > 0;
    }
    Py_XDECREF(threads);
    return joined;
}

static PyObject *
registry_start_method(PyObject *op, PyObject *Py_UNUSED(ignored))
{
    RegistryObject *self = as_registry(op);
    bool started = true;
    for (Py_ssize_t i = 0; started && i < self->worker_count; i++) {
        PyObject *thread = registry_start_thread(self, registry_worker(self, i));
        started = thread != NULL;
        pthread_mutex_lock(&self->threads_lock);
        self->threads[i] = thread;
        pthread_mutex_unlock(&self->threads_lock);
    }
    self->has_started = started;
    if (!started) {
        PyObject *error = PyErr_GetRaisedException();
        registry_stop(self);
        if (!registry_join_threads(self, NULL)) {
            PyErr_Clear();
        }
        PyErr_SetRaisedException(error);
        return NULL;
    }
    Py_RETURN_NONE;
}

static PyObject *
registry_stop_method(PyObject *self, PyObject *Py_UNUSED(ignored))
{
    registry_stop(as_registry(self));
    Py_RETURN_NONE;
}

static PyObject *
registry_join_method(PyObject *self, PyObject *args, PyObject *kwargs)
{
    static char *keywords[] = {"but_not", NULL};
    PyObject *but_not = NULL;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "|$O:join", keywords, &but_not)
        || !registry_join_threads(as_registry(self), but_not)) {
        return NULL;
    }
    Py_RETURN_NONE;
}

static PyObject *
registry_after_fork(PyObject *op, PyObject *Py_UNUSED(ignored))
{
    RegistryObject *self = as_registry(op);
    self->is_forked = true;
    atomic_store(&self->is_stopping, true);
    sleep_after_fork(self->sleep);
    injector_after_fork(&self->injector->injector);
    short_lock_init(&self->threads_lock);
    self->in_the_making = 0;
    worker_forget();
    injector_visit(&self->injector->injector, job_after_fork);
    for (Py_ssize_t i = 0; i < registry_made(self); i++) {
        worker_after_fork(registry_worker(self, i));
        Py_CLEAR(self->threads[i]);
    }
    Py_RETURN_NONE;
}

/* For tests: call something while every lock of the registry is held. A forked child
 * does not release them, as its parent's other threads would not. */
static PyObject *
registry_call_locked(PyObject *op, PyObject *fn)
{
    RegistryObject *self = as_registry(op);
    pthread_mutex_t *locks[] = {&self->threads_lock, &self->sleep->lock,
                                &self->injector->injector.lock};
    for (int i = 0; i < 3; i++) {
        pthread_mutex_lock(locks[i]);
    }
    PyObject *result = PyObject_CallNoArgs(fn);
    for (int i = 0; i < 3 && !self->is_forked; i++) {
        pthread_mutex_unlock(locks[i]);
    }
    return result;
}

void
registry_fail(RegistryObject *self)
{
    PyObject *error = PyErr_GetRaisedException();
    /* ATOMIC(has_failed): of several failing workers the first reports. */
    if (!atomic_exchange(&self->has_failed, true) && self->on_failure != Py_None) {
        PyObject *result = PyObject_CallOneArg(self->on_failure, error);
        if (result == NULL) {
            PyErr_WriteUnraisable(self->on_failure);
        }
        Py_XDECREF(result);
    }
    Py_XDECREF(error);
    registry_stop(self);
}

static PyObject *
registry_fail_method(PyObject *self, PyObject *error)
{
    PyErr_SetRaisedException(Py_NewRef(error));
    registry_fail(as_registry(self));
    Py_RETURN_NONE;
}

/* Looking at it */

static PyObject *
registry_is_anyone_idle(PyObject *self, PyObject *Py_UNUSED(ignored))
{
    return PyBool_FromLong(sleep_is_anyone_idle(as_registry(self)->sleep));
}

static PyObject *
registry_is_everyone_asleep(PyObject *op, PyObject *Py_UNUSED(ignored))
{
    RegistryObject *self = as_registry(op);
    Py_ssize_t sleeping = (Py_ssize_t)sleep_num_sleeping(self->sleep);
    return PyBool_FromLong(sleeping == self->worker_count
                           && atomic_load(&self->sleep->num_away) == 0);
}

static PyObject *
registry_num_waiting(PyObject *self, PyObject *Py_UNUSED(ignored))
{
    return PyLong_FromUnsignedLong(atomic_load(&as_registry(self)->sleep->num_away));
}

static PyObject *
registry_running_jobs(PyObject *op, PyObject *Py_UNUSED(ignored))
{
    RegistryObject *self = as_registry(op);
    PyObject *running = PyDict_New();
    for (Py_ssize_t i = 0; running != NULL && i < registry_made(self); i++) {
        JobObject *job = worker_running_job(registry_worker(self, i));
        if (job == NULL) {
            continue;
        }
        PyObject *index = PyLong_FromSsize_t(i);
        if (index == NULL || PyDict_SetItem(running, index, (PyObject *)job) < 0) {
            Py_CLEAR(running);
        }
        Py_XDECREF(index);
        Py_DECREF(job);
    }
    return running;
}

static PyObject *
registry_statistics(PyObject *op, PyObject *Py_UNUSED(ignored))
{
    RegistryObject *self = as_registry(op);
    Py_ssize_t worker_count = registry_made(self);
    PyObject *stats = PyImport_ImportModule("runtime._core.stats");
    PyObject *snapshots = stats == NULL ? NULL : PyTuple_New(worker_count);
    for (Py_ssize_t i = 0; snapshots != NULL && i < worker_count; i++) {
        PyObject *snapshot = worker_snapshot(stats, registry_worker(self, i));
        if (snapshot == NULL) {
            Py_CLEAR(snapshots);
            break;
        }
        PyTuple_SET_ITEM(snapshots, i, snapshot);
    }
    Py_XDECREF(stats);
    return snapshots;
}

static PyObject *
registry_get_worker_count(PyObject *self, void *Py_UNUSED(closure))
{
    return PyLong_FromSsize_t(as_registry(self)->worker_count);
}

static PyObject *
registry_get_workers(PyObject *op, void *Py_UNUSED(closure))
{
    RegistryObject *self = as_registry(op);
    Py_ssize_t made = registry_made(self);
    PyObject *workers = PyTuple_New(made);
    for (Py_ssize_t i = 0; workers != NULL && i < made; i++) {
        PyTuple_SET_ITEM(workers, i, Py_NewRef(registry_worker(self, i)));
    }
    return workers;
}

static PyObject *
registry_get_threads(PyObject *op, void *Py_UNUSED(closure))
{
    return registry_list_threads(as_registry(op));
}

static PyObject *
registry_get_is_stopping(PyObject *self, void *Py_UNUSED(closure))
{
    return PyBool_FromLong(atomic_load(&as_registry(self)->is_stopping));
}

/* For tests of the last look: sets the flag and wakes nobody; `stop` is the order. */
static int
registry_set_is_stopping(PyObject *self, PyObject *value, void *Py_UNUSED(closure))
{
    if (value != Py_True) {
        PyErr_SetString(PyExc_ValueError, "is_stopping is set once and stays set");
        return -1;
    }
    atomic_store(&as_registry(self)->is_stopping, true);
    return 0;
}

static PyMethodDef registry_methods[] = {
    {"start", registry_start_method, METH_NOARGS,
     PyDoc_STR("Start the workers, one after another; call it once.")},
    {"inject", registry_inject_method, METH_O,
     PyDoc_STR("Hand a job from outside to the workers.")},
    {"inject_many", registry_inject_many_method, METH_O,
     PyDoc_STR("Hand over several jobs under one wake-up.")},
    {"withdraw", registry_withdraw, METH_O,
     PyDoc_STR("Take a job back; True if it had not begun and now never will.")},
    {"stop", registry_stop_method, METH_NOARGS,
     PyDoc_STR("Tell the workers to stop as soon as they find no more work.")},
    {"join", (PyCFunction)(void (*)(void))registry_join_method,
     METH_VARARGS | METH_KEYWORDS,
     PyDoc_STR("join($self, *, but_not=())\n--\n\n"
               "Wait until the workers have stopped, but for the indices given.")},
    {"fail", registry_fail_method, METH_O,
     PyDoc_STR("Stop because of a bug of ours; reported once.")},
    {"after_fork", registry_after_fork, METH_NOARGS,
     PyDoc_STR("Give up everything in a forked child, where there are no workers.")},
    {"_call_locked", registry_call_locked, METH_O,
     PyDoc_STR("Call something while every lock is held; for tests of fork.")},
    {"is_anyone_idle", registry_is_anyone_idle, METH_NOARGS,
     PyDoc_STR("Return whether some worker had nothing to do a moment ago.")},
    {"is_everyone_asleep", registry_is_everyone_asleep, METH_NOARGS,
     PyDoc_STR("Return whether all workers sleep.")},
    {"num_waiting", registry_num_waiting, METH_NOARGS,
     PyDoc_STR("Return how many workers wait outside, with another in their place.")},
    {"running_jobs", registry_running_jobs, METH_NOARGS,
     PyDoc_STR("Return the jobs that run now by worker index.")},
    {"statistics", registry_statistics, METH_NOARGS,
     PyDoc_STR("Return a frozen snapshot of every worker's counters.")},
    {0},
};

static PyGetSetDef registry_getset[] = {
    {"worker_count", registry_get_worker_count, NULL,
     PyDoc_STR("How many workers there are, spares aside."), NULL},
    {"_workers", registry_get_workers, NULL,
     PyDoc_STR("The workers by index, spares last."), NULL},
    {"_threads", registry_get_threads, NULL, PyDoc_STR("Their threads, by index."), NULL},
    {"is_stopping", registry_get_is_stopping, registry_set_is_stopping,
     PyDoc_STR("Whether the order to stop was given."), NULL},
    {0},
};

static PyMemberDef registry_members[] = {
    {"name", Py_T_OBJECT_EX, offsetof(RegistryObject, name), Py_READONLY, NULL},
    {"injector", Py_T_OBJECT_EX, offsetof(RegistryObject, injector), Py_READONLY, NULL},
    {"is_forked", Py_T_BOOL, offsetof(RegistryObject, is_forked), Py_READONLY, NULL},
    {"spin_rounds", Py_T_LONG, offsetof(RegistryObject, spin_rounds), Py_READONLY, NULL},
    {"spare_limit", Py_T_PYSSIZET, offsetof(RegistryObject, spare_limit), Py_READONLY,
     NULL},
    {0},
};

static PyType_Slot registry_slots[] = {
    {Py_tp_doc, (void *)PyDoc_STR(
        "Registry(worker_count, *, name='pool', seed=0, spin_rounds=1,\n"
        "         spare_limit=256, on_failure=None)\n--\n\n"
        "A set of workers, their queues, and the way in.\n\n"
        "Thread safety: internally synchronized.")},
    {Py_tp_new, PyType_GenericNew},
    {Py_tp_init, registry_init},
    {Py_tp_dealloc, registry_dealloc},
    {Py_tp_traverse, registry_traverse},
    {Py_tp_clear, registry_clear},
    {Py_tp_methods, registry_methods},
    {Py_tp_getset, registry_getset},
    {Py_tp_members, registry_members},
    {0, NULL},
};

PyType_Spec registry_spec = {
    .name = "runtime.lowlevel.Registry",
    .basicsize = sizeof(RegistryObject),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE | Py_TPFLAGS_HAVE_GC,
    .slots = registry_slots,
};
