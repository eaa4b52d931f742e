/* Spares: threads that work in the place of workers that wait outside.
 *
 * Mirrors the second half of _core/registry.py and the waits of _core/worker.py. The
 * protocol is _core/SPARES.md; its lists are in sleep.h. Threads are started by
 * _core/sync.py, so that they have names and Python knows them.
 *
 * Layer: native. Includes: native.h.
 */
#include "native.h"

void
raise_ours(const char *class_name, PyObject *message)
{
    PyObject *cause = PyErr_GetRaisedException();
    PyObject *errors = PyImport_ImportModule("runtime._errors");
    PyObject *type = errors == NULL ? NULL : PyObject_GetAttrString(errors, class_name);
    PyObject *error = type == NULL || message == NULL
                          ? NULL
                          : PyObject_CallOneArg(type, message);
    Py_XDECREF(type);
    Py_XDECREF(errors);
    if (error == NULL) {
        Py_XDECREF(cause);
        return;
    }
    if (cause != NULL) {
        PyException_SetCause(error, Py_NewRef(cause));
        PyException_SetContext(error, cause);
    }
    PyErr_SetRaisedException(error);
}

PyObject *
registry_start_thread(RegistryObject *self, WorkerObject *worker)
{
    PyObject *thread = NULL;
    PyObject *sync = PyImport_ImportModule("runtime._core.sync");
    PyObject *target = PyObject_GetAttrString((PyObject *)worker, "main");
    PyObject *name = PyUnicode_FromFormat("runtime-%U-%zd", self->name, worker->index);
    if (sync != NULL && target != NULL && name != NULL) {
        thread = PyObject_CallMethod(sync, "start_thread", "OO", target, name);
    }
    Py_XDECREF(name);
    Py_XDECREF(target);
    Py_XDECREF(sync);
    if (thread == NULL
        && (PyErr_ExceptionMatches(PyExc_RuntimeError)
            || PyErr_ExceptionMatches(PyExc_MemoryError))) {
        PyObject *error = PyErr_GetRaisedException();
        PyObject *message = PyUnicode_FromFormat(
            "worker %zd of pool %R could not start: %S; the system allows no more "
            "threads or memory, so ask for fewer workers",
            worker->index, self->name, error);
        PyErr_SetRaisedException(error);
        raise_ours("BrokenWorkerError", message);
        Py_XDECREF(message);
    }
    return thread;
}

/* Change how many workers thieves look at; under threads_lock. */
static void
registry_set_reach(RegistryObject *self)
{
    Py_ssize_t reach = registry_made(self);
    while (reach > self->worker_count && registry_worker(self, reach - 1)->is_retired) {
        reach -= 1;
    }
    atomic_store(&self->reach, reach);
}

bool
registry_retire(RegistryObject *self, WorkerObject *spare)
{
    pthread_mutex_lock(&self->threads_lock);
    bool retires = sleep_retire(self->sleep, &spare->core->parker);
    if (retires) {
        spare->is_retired = spare->is_vacant = true;
        registry_set_reach(self);
    }
    pthread_mutex_unlock(&self->threads_lock);
    return retires;
}

/* Starting a spare takes three sections under the lock, with what Python does between
 * them: whatever the user's code does meanwhile, in a finalizer say, the lock is free.
 * First a spare without a thread is taken, a retired one or one more, if there may be
 * one more; then its thread starts; then both are there for all. */

/* Take a retired spare; or NULL, and then whether there may be one more. */
static WorkerObject *
registry_take_vacant(RegistryObject *self, bool *may_make)
{
    WorkerObject *spare = NULL;
    pthread_mutex_lock(&self->threads_lock);
    Py_ssize_t made = registry_made(self);
    for (Py_ssize_t i = self->worker_count; i < made && spare == NULL; i++) {
        if (registry_worker(self, i)->is_vacant) {
            spare = registry_worker(self, i);
            spare->is_vacant = false;
        }
    }
    *may_make = spare == NULL
                && made + self->in_the_making - self->worker_count < self->spare_limit;
    self->in_the_making += *may_make;
    pthread_mutex_unlock(&self->threads_lock);
    return spare;
}

/* Make one more spare, without a thread; NULL with an exception set. */
static WorkerObject *
registry_make_spare(RegistryObject *self)
{
    WorkerObject *spare = worker_new(self->state, self, true);
    pthread_mutex_lock(&self->threads_lock);
    self->in_the_making -= 1;
    if (spare != NULL) {
        spare->is_retired = true; /* until its thread runs */
        registry_add_worker(self, spare);
    }
    pthread_mutex_unlock(&self->threads_lock);
    return spare;
}

/* A spare without a thread, which is the caller's; NULL with an exception set. */
static WorkerObject *
registry_vacant_spare(RegistryObject *self)
{
    bool may_make;
    WorkerObject *spare = registry_take_vacant(self, &may_make);
    if (spare != NULL || may_make) {
        return spare != NULL ? spare : registry_make_spare(self);
    }
    PyObject *message = PyUnicode_FromFormat(
        "%zd jobs of pool %R wait for something outside the pool already, and no thread "
        "is left for what they may wait for; let fewer jobs wait at the same time",
        self->spare_limit, self->name);
    raise_ours("DeadlockError", message);
    Py_XDECREF(message);
    return NULL;
}

/* Note the thread of a spare in the place of the one that has retired; with NULL it is
 * vacant again. */
static void
registry_note_started(RegistryObject *self, WorkerObject *spare, PyObject *thread)
{
    PyObject *retired = NULL;
    pthread_mutex_lock(&self->threads_lock);
    if (thread != NULL) {
        retired = self->threads[spare->index];
        self->threads[spare->index] = Py_NewRef(thread);
    }
    spare->is_vacant = spare->is_retired = thread == NULL;
    registry_set_reach(self);
    pthread_mutex_unlock(&self->threads_lock);
    Py_XDECREF(retired);
}

/* Start a spare, which parks; its thread, a new reference, or NULL with an exception. */
static PyObject *
registry_start_spare(RegistryObject *self, WorkerObject **fresh)
{
    WorkerObject *spare = *fresh = registry_vacant_spare(self);
    if (spare == NULL) {
        return NULL;
    }
    /* Only whoever has taken the spare touches its thread. */
    PyObject *retired = self->threads[spare->index];
    PyObject *thread = retired != NULL && !thread_join(retired)
                           ? NULL
                           : registry_start_thread(self, spare); /* SPARE-2 start */
    registry_note_started(self, spare, thread);
    return thread;
}

/* Let another be present for a worker that is about to wait. 1 done, 0 nobody is
 * needed, as the registry stops or has no threads, -1 an exception is set. */
static int
registry_replace(RegistryObject *self, WorkerObject *worker)
{
    if (!self->has_started || atomic_load(&self->is_stopping)) {
        return 0;
    }
    PyObject *thread = NULL;
    while (thread == NULL && !sleep_leave(self->sleep, NULL)) {
        WorkerObject *fresh;
        if (atomic_load(&self->is_stopping)) {
            return 0;
        }
        thread = registry_start_spare(self, &fresh);
        if (thread == NULL) {
            return -1;
        }
        if (!sleep_leave(self->sleep, &fresh->core->parker)) {
            Py_CLEAR(thread);
        }
    }
    bool is_stopping = atomic_load(&self->is_stopping);
    if (is_stopping) { /* SPARE-3 last look */
        sleep_wake_all(self->sleep);
    }
    else if (worker_sees_work(worker)) {
        sleep_work_posted(self->sleep);
    }
    /* ORDER: the order after the note; who is given it later finds the thread noted. */
    bool is_whole = thread == NULL || !is_stopping || thread_join(thread);
    Py_XDECREF(thread);
    return is_whole ? 1 : -1;
}

PyObject *
worker_begin_wait(PyObject *op, PyObject *Py_UNUSED(ignored))
{
    WorkerObject *self = (WorkerObject *)op;
    if (self->waits == 0) {
        int replaced = registry_replace(self->registry, self);
        if (replaced < 0) {
            return NULL;
        }
        self->is_away = replaced;
    }
    self->waits += 1;
    Py_RETURN_NONE;
}

PyObject *
worker_end_wait(PyObject *op, PyObject *Py_UNUSED(ignored))
{
    WorkerObject *self = (WorkerObject *)op;
    self->waits -= 1;
    if (self->waits == 0 && self->is_away) {
        self->is_away = false;
        sleep_come_back(self->registry->sleep);
    }
    Py_RETURN_NONE;
}

PyObject *
worker_get_is_waiting(PyObject *op, void *Py_UNUSED(closure))
{
    return PyBool_FromLong(atomic_load(&((WorkerObject *)op)->waits) > 0);
}
