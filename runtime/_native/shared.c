/* SharedQueues and SharedWorker: the two ends of what a pool's interpreters share.
 *
 * `SharedQueues` belongs to the interpreter that opened the pool: it injects, withdraws,
 * and takes what comes back. A `SharedWorker` is made in a worker's interpreter, by the
 * thread that stays there. Who frees what is in SHARED.md.
 *
 * Layer: native. Includes: native.h, crossing.h.
 */
#include "native.h"

#include "crossing.h"

DEFINE_SHARED_TABLE;

/* SharedQueues */

typedef struct {
    PyObject_HEAD
    shared_t *shared; /* immutable; one reference */
} SharedQueuesObject;

static shared_t *
shared_of(PyObject *op)
{
    return ((SharedQueuesObject *)op)->shared;
}

static PyObject *
shared_queues_new(PyTypeObject *type, PyObject *args, PyObject *kwargs)
{
    static char *names[] = {"worker_count", "spin_rounds", NULL};
    unsigned int worker_count;
    long spin_rounds = 1;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "I|$l", names, &worker_count,
                                     &spin_rounds)) {
        return NULL;
    }
    if (worker_count < 1) {
        PyErr_SetString(PyExc_ValueError, "worker_count must be at least 1");
        return NULL;
    }
    SharedQueuesObject *self = (SharedQueuesObject *)PyType_GenericAlloc(type, 0);
    if (self == NULL) {
        return NULL;
    }
    errno = 0;
    self->shared = shared_open(worker_count, spin_rounds);
    if (self->shared == NULL) {
        Py_DECREF(self);
        return errno != 0 ? PyErr_SetFromErrno(PyExc_OSError) : PyErr_NoMemory();
    }
    return (PyObject *)self;
}

/* Make a tuple of what a job that left the scheduler has to tell. */
static PyObject *
news_of(native_state_t *state, encoded_t *job)
{
    bool is_last = atomic_fetch_sub(&job->work->open_jobs, 1) == 1;
    PyObject *frames = job->reply == NULL
                           ? PyTuple_New(0)
                           : frames_view(state, job->reply, 0, job->reply->frame_count);
    if (frames == NULL) {
        return NULL;
    }
    return Py_BuildValue("(KiNIIOIL)", (unsigned long long)job->work->id,
                         (int)job->answer, frames, (unsigned int)job->start,
                         (unsigned int)job->stop, is_last ? Py_True : Py_False,
                         (unsigned int)job->worker_index, (long long)job->run_ns);
}

/* Empty the outbox: free what comes home, and list the news if `news` is a list. */
static bool
take_back(native_state_t *state, shared_t *shared, PyObject *news)
{
    bool ok = true;
    message_t *next = NULL;
    message_t *message;
    /* To free a job may bring its parcel home, as a message that comes next. */
    while ((message = next != NULL ? next : outbox_take_all(&shared->outbox)) != NULL) {
        next = message->next;
        if (message->kind == MESSAGE_PARCEL) {
            parcel_t *parcel = (parcel_t *)message;
            Py_DECREF((PyObject *)parcel->lender);
            free(parcel);
        }
        else {
            encoded_t *job = (encoded_t *)message;
            PyObject *item = news != NULL && ok ? news_of(state, job) : NULL;
            ok = news == NULL || (item != NULL && PyList_Append(news, item) == 0);
            Py_XDECREF(item);
            encoded_release(job);
        }
    }
    return ok;
}

static void
shared_queues_dealloc(PyObject *op)
{
    PyTypeObject *type = Py_TYPE(op);
    shared_t *shared = shared_of(op);
    if (shared != NULL) {
        /* ORDER: the queued jobs first; their parcels come home through the outbox. */
        encoded_t *job;
        while ((job = shared_take_any(shared)) != NULL) {
            encoded_release(job);
        }
        take_back(NULL, shared, NULL);
        shared_release(shared);
    }
    type->tp_free(op);
    Py_DECREF(type);
}

/* Make an encoded job of a parcel's first frames; NULL with an exception set. */
static encoded_t *
encode(shared_t *shared, PyObject *copied, PyObject *lent, unsigned long long id,
       unsigned int start, unsigned int stop, int lane)
{
    parcel_t *parcel = parcel_of(copied, lent);
    if (parcel == NULL) {
        return NULL;
    }
    if (PyTuple_GET_SIZE(lent) > 0) {
        shared_set_lender(shared, parcel, Py_NewRef(lent));
    }
    work_t *work = work_new(id, parcel);
    if (work == NULL) {
        parcel_release(parcel);
        PyErr_NoMemory();
        return NULL;
    }
    encoded_t *job = encoded_new(work, start, stop, lane);
    work_release(work); /* the job has one */
    if (job == NULL) {
        PyErr_NoMemory();
    }
    return job;
}

static PyObject *
shared_queues_inject(PyObject *op, PyObject *args)
{
    unsigned long long id;
    PyObject *copied, *lent;
    unsigned int start, stop;
    int lane;
    if (!PyArg_ParseTuple(args, "KO!O!IIi", &id, &PyTuple_Type, &copied, &PyTuple_Type,
                          &lent, &start, &stop, &lane)) {
        return NULL;
    }
    if (lane < 0 || lane >= LANE_COUNT || id == 0) {
        PyErr_SetString(PyExc_ValueError, "no such lane, or an id of 0");
        return NULL;
    }
    encoded_t *job = encode(shared_of(op), copied, lent, id, start, stop, lane);
    if (job == NULL) {
        return NULL;
    }
    PyObject *handle = encoded_job_view(state_of(Py_TYPE(op)), job);
    if (handle == NULL) {
        encoded_release(job);
        return NULL;
    }
    if (!shared_inject(shared_of(op), job)) {
        encoded_release(job);
        Py_DECREF(handle);
        return PyErr_NoMemory();
    }
    return handle;
}

static PyObject *
shared_queues_withdraw(PyObject *op, PyObject *handle)
{
    if (!Py_IS_TYPE(handle, state_of(Py_TYPE(op))->encoded_job_type)) {
        return PyErr_Format(PyExc_TypeError, "only an EncodedJob can be withdrawn");
    }
    encoded_t *job = ((EncodedJobObject *)handle)->job;
    return PyBool_FromLong(shared_withdraw(shared_of(op), job));
}

static PyObject *
shared_queues_interrupt(PyObject *op, PyObject *handle)
{
    if (!Py_IS_TYPE(handle, state_of(Py_TYPE(op))->encoded_job_type)) {
        return PyErr_Format(PyExc_TypeError, "only an EncodedJob can be interrupted");
    }
    shared_interrupt(shared_of(op), ((EncodedJobObject *)handle)->job);
    Py_RETURN_NONE;
}

static PyObject *
shared_queues_drain(PyObject *op, PyObject *Py_UNUSED(ignored))
{
    PyObject *news = PyList_New(0);
    if (news != NULL && !take_back(state_of(Py_TYPE(op)), shared_of(op), news)) {
        Py_CLEAR(news);
    }
    return news;
}

static PyObject *
shared_queues_hush(PyObject *op, PyObject *is_hushed)
{
    outbox_hush(&shared_of(op)->outbox, Py_IsTrue(is_hushed));
    Py_RETURN_NONE;
}

static PyObject *
shared_queues_running(PyObject *op, PyObject *Py_UNUSED(ignored))
{
    shared_t *shared = shared_of(op);
    PyObject *ids = PyList_New(0);
    for (uint32_t i = 0; ids != NULL && i < shared->seat_count; i++) {
        PyObject *id =
            PyLong_FromUnsignedLongLong(atomic_load(&shared->seats[i].running_id));
        if (id == NULL || PyList_Append(ids, id) < 0) {
            Py_CLEAR(ids);
        }
        Py_XDECREF(id);
    }
    return ids;
}

static PyObject *
shared_queues_stop(PyObject *op, PyObject *Py_UNUSED(ignored))
{
    shared_stop(shared_of(op));
    Py_RETURN_NONE;
}

/* A worker's seat by its index; NULL with an exception if there is no such worker. */
static seat_t *
seat_by_number(shared_t *shared, PyObject *number)
{
    unsigned long index = PyLong_AsUnsignedLong(number);
    if (index == (unsigned long)-1 && PyErr_Occurred()) {
        return NULL;
    }
    if (index >= shared->seat_count) {
        PyErr_Format(PyExc_IndexError, "there are %u workers", shared->seat_count);
        return NULL;
    }
    return &shared->seats[index];
}

static PyObject *
shared_queues_bury(PyObject *op, PyObject *number)
{
    shared_t *shared = shared_of(op);
    seat_t *seat = seat_by_number(shared, number);
    if (seat == NULL) {
        return NULL;
    }
    if (atomic_load(&seat->is_taken)) {
        shared_leave_seat(shared, seat);
    }
    Py_RETURN_NONE;
}

static PyObject *
histogram_tuple(histogram_t *histogram)
{
    PyObject *buckets = PyTuple_New(HISTOGRAM_BUCKETS);
    for (Py_ssize_t i = 0; buckets != NULL && i < HISTOGRAM_BUCKETS; i++) {
        PyObject *number =
            PyLong_FromUnsignedLongLong(counter_read(&histogram->buckets[i]));
        if (number == NULL) {
            Py_CLEAR(buckets);
            break;
        }
        PyTuple_SET_ITEM(buckets, i, number);
    }
    return buckets;
}

static PyObject *
shared_queues_counters(PyObject *op, PyObject *number)
{
    shared_t *shared = shared_of(op);
    seat_t *seat = seat_by_number(shared, number);
    if (seat == NULL) {
        return NULL;
    }
    counters_t *counters = &seat->counters;
    PyObject *queue_latency = histogram_tuple(&counters->queue_latency);
    PyObject *run_time = histogram_tuple(&counters->run_time);
    if (queue_latency == NULL || run_time == NULL) {
        Py_XDECREF(queue_latency);
        Py_XDECREF(run_time);
        return NULL;
    }
    return Py_BuildValue("(KKKKKKKNN)",
                         (unsigned long long)counter_read(&counters->jobs_executed),
                         (unsigned long long)counter_read(&counters->jobs_stolen),
                         (unsigned long long)counter_read(&counters->steal_attempts),
                         (unsigned long long)counter_read(&counters->parks),
                         (unsigned long long)counter_read(&counters->wake_ups),
                         (unsigned long long)counter_read(&counters->busy_ns),
                         (unsigned long long)counter_read(&counters->idle_ns),
                         queue_latency, run_time);
}

static PyObject *
shared_queues_fileno(PyObject *op, PyObject *Py_UNUSED(ignored))
{
    return PyLong_FromLong(shared_of(op)->outbox.bell_out);
}

static PyObject *
shared_queues_is_anyone_idle(PyObject *op, PyObject *Py_UNUSED(ignored))
{
    return PyBool_FromLong(sleep_is_anyone_idle(&shared_of(op)->sleep));
}

static PyObject *
shared_queues_get_handle(PyObject *op, void *Py_UNUSED(closure))
{
    return PyLong_FromUnsignedLongLong(shared_of(op)->handle);
}

static Py_ssize_t
shared_queues_length(PyObject *op)
{
    return (Py_ssize_t)injector_length(&shared_of(op)->injector);
}

static PyMethodDef shared_queues_methods[] = {
    {"inject", shared_queues_inject, METH_VARARGS,
     PyDoc_STR("inject(id, copied, lent, start, stop, lane)\n--\n\n"
               "Make an encoded job of two tuples of buffers and queue it.\n\n"
               "The first are copied; the second stay where they are and are kept\n"
               "until nobody can reach them any more.")},
    {"withdraw", shared_queues_withdraw, METH_O,
     PyDoc_STR("Take a job back; True if it had not begun and now never will.")},
    {"interrupt", shared_queues_interrupt, METH_O,
     PyDoc_STR("Have what runs of a job's work interrupted, once its token is set.")},
    {"drain", shared_queues_drain, METH_NOARGS,
     PyDoc_STR("Return the news of jobs that left the scheduler, the oldest first:\n"
               "(id, answer, frames, start, stop, is_last, worker_index, run_ns).")},
    {"hush", shared_queues_hush, METH_O,
     PyDoc_STR("Say whether the owner looks by itself, so that no bell need ring.")},
    {"running", shared_queues_running, METH_NOARGS,
     PyDoc_STR("Return the id of what each worker runs, 0 for nothing.")},
    {"stop", shared_queues_stop, METH_NOARGS,
     PyDoc_STR("Tell the workers to stop as soon as they find no more work.")},
    {"bury", shared_queues_bury, METH_O,
     PyDoc_STR("Free the seat of a worker whose thread has left its interpreter.")},
    {"counters", shared_queues_counters, METH_O,
     PyDoc_STR("Return one worker's counters, in the order of WorkerStatistics.")},
    {"fileno", shared_queues_fileno, METH_NOARGS,
     PyDoc_STR("Return the descriptor that is readable while there is news.")},
    {"is_anyone_idle", shared_queues_is_anyone_idle, METH_NOARGS,
     PyDoc_STR("Return whether some worker had nothing to do a moment ago.")},
    {0},
};

static PyGetSetDef shared_queues_getset[] = {
    {"handle", shared_queues_get_handle, NULL,
     PyDoc_STR("The number by which a worker finds these queues."), NULL},
    {0},
};

static PyType_Slot shared_queues_slots[] = {
    {Py_tp_doc, (void *)PyDoc_STR(
        "SharedQueues(worker_count, *, spin_rounds=1)\n--\n\n"
        "The queues of a pool of interpreters, as their owner sees them.\n\n"
        "Thread safety: internally synchronized, but drain is for one thread.")},
    {Py_tp_new, shared_queues_new},
    {Py_tp_dealloc, shared_queues_dealloc},
    {Py_tp_methods, shared_queues_methods},
    {Py_tp_getset, shared_queues_getset},
    {Py_sq_length, shared_queues_length},
    {0, NULL},
};

PyType_Spec shared_queues_spec = {
    .name = "runtime._native.SharedQueues",
    .basicsize = sizeof(SharedQueuesObject),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_IMMUTABLETYPE,
    .slots = shared_queues_slots,
};

/* SharedWorker */

typedef struct {
    PyObject_HEAD
    shared_t *shared; /* immutable; one reference */
    seat_t *seat;     /* owner; NULL once left */
} SharedWorkerObject;

static PyObject *
shared_worker_new(PyTypeObject *type, PyObject *args, PyObject *kwargs)
{
    static char *names[] = {"handle", "index", NULL};
    unsigned long long handle;
    unsigned int index;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "KI", names, &handle, &index)) {
        return NULL;
    }
    SharedWorkerObject *self = (SharedWorkerObject *)PyType_GenericAlloc(type, 0);
    if (self == NULL) {
        return NULL;
    }
    self->shared = shared_find(handle);
    if (self->shared == NULL) {
        Py_DECREF(self);
        return PyErr_Format(PyExc_LookupError, "no queues of handle %llu", handle);
    }
    self->seat = shared_take_seat(self->shared, index);
    if (self->seat == NULL) {
        Py_DECREF(self);
        return PyErr_Format(PyExc_LookupError, "seat %u is taken or missing", index);
    }
    return (PyObject *)self;
}

static void
shared_worker_leave_seat(SharedWorkerObject *self)
{
    if (self->seat != NULL) {
        shared_leave_seat(self->shared, self->seat);
        self->seat = NULL;
    }
}

static void
shared_worker_dealloc(PyObject *op)
{
    SharedWorkerObject *self = (SharedWorkerObject *)op;
    PyTypeObject *type = Py_TYPE(op);
    shared_worker_leave_seat(self);
    if (self->shared != NULL) {
        shared_release(self->shared);
    }
    type->tp_free(op);
    Py_DECREF(type);
}

/* Check that the seat was not left, and whether a job runs; false with an error set. */
static bool
check_runs(SharedWorkerObject *self, bool expected)
{
    if (self->seat == NULL) {
        PyErr_SetString(PyExc_RuntimeError, "the worker has left its seat");
        return false;
    }
    if ((self->seat->running != NULL) != expected) {
        PyErr_SetString(PyExc_RuntimeError,
                        expected ? "no job runs here" : "a job still runs here");
        return false;
    }
    return true;
}

static PyObject *
shared_worker_next(PyObject *op, PyObject *Py_UNUSED(ignored))
{
    SharedWorkerObject *self = (SharedWorkerObject *)op;
    encoded_t *job;
    if (!check_runs(self, false)) {
        return NULL;
    }
    Py_BEGIN_ALLOW_THREADS
    job = seat_next(self->shared, self->seat);
    Py_END_ALLOW_THREADS
    if (job == NULL) {
        Py_RETURN_NONE;
    }
    /* On failure the job still runs here; leaving the seat reports it broken. */
    return encoded_job_view(state_of(Py_TYPE(op)), job);
}

static PyObject *
shared_worker_finish(PyObject *op, PyObject *args)
{
    SharedWorkerObject *self = (SharedWorkerObject *)op;
    int answer;
    PyObject *frames;
    if (!PyArg_ParseTuple(args, "iO!", &answer, &PyTuple_Type, &frames)
        || !check_runs(self, true)) {
        return NULL;
    }
    parcel_t *reply = parcel_of(frames, NULL);
    if (reply == NULL) {
        return NULL;
    }
    seat_finish(self->shared, self->seat, (answer_t)answer, reply);
    Py_RETURN_NONE;
}

static PyObject *
shared_worker_share(PyObject *op, PyObject *number)
{
    SharedWorkerObject *self = (SharedWorkerObject *)op;
    unsigned long middle = PyLong_AsUnsignedLong(number);
    if ((middle == (unsigned long)-1 && PyErr_Occurred()) || !check_runs(self, true)) {
        return NULL;
    }
    encoded_t *job = self->seat->running;
    if (middle <= job->start || middle >= job->stop) {
        return PyErr_Format(PyExc_ValueError, "%lu is not inside %u to %u", middle,
                            (unsigned int)job->start, (unsigned int)job->stop);
    }
    if (!seat_share(self->shared, self->seat, (uint32_t)middle)) {
        return PyErr_NoMemory();
    }
    Py_RETURN_NONE;
}

static PyObject *
shared_worker_look_outside_next(PyObject *op, PyObject *Py_UNUSED(ignored))
{
    SharedWorkerObject *self = (SharedWorkerObject *)op;
    if (self->seat != NULL) {
        self->seat->search_count = UINT32_MAX; /* the next one is 0 */
    }
    Py_RETURN_NONE;
}

static PyObject *
shared_worker_has_work_outside(PyObject *op, PyObject *Py_UNUSED(ignored))
{
    shared_t *shared = ((SharedWorkerObject *)op)->shared;
    return PyBool_FromLong(injector_length(&shared->injector) > 0);
}

static PyObject *
shared_worker_wait_alarm(PyObject *op, PyObject *Py_UNUSED(ignored))
{
    SharedWorkerObject *self = (SharedWorkerObject *)op;
    seat_t *seat = self->seat;
    if (seat != NULL) {
        Py_BEGIN_ALLOW_THREADS
        parker_park(&seat->alarm, -1);
        Py_END_ALLOW_THREADS
    }
    Py_RETURN_NONE;
}

static PyObject *
shared_worker_ring_alarm(PyObject *op, PyObject *Py_UNUSED(ignored))
{
    SharedWorkerObject *self = (SharedWorkerObject *)op;
    if (self->seat != NULL) {
        parker_unpark(&self->seat->alarm);
    }
    Py_RETURN_NONE;
}

static Py_ssize_t
shared_worker_length(PyObject *op)
{
    seat_t *seat = ((SharedWorkerObject *)op)->seat;
    return seat != NULL ? (Py_ssize_t)deque_length(&seat->deque) : 0;
}

static PyMethodDef shared_worker_methods[] = {
    {"next", shared_worker_next, METH_NOARGS,
     PyDoc_STR("Return the next job, now running, or None, the order to stop.")},
    {"finish", shared_worker_finish, METH_VARARGS,
     PyDoc_STR("finish(answer, frames)\n--\n\nAnswer the running job with a tuple of "
               "buffers, which are copied.")},
    {"share", shared_worker_share, METH_O,
     PyDoc_STR("Cut the frames from the given one on off the running job, for others.")},
    {"look_outside_next", shared_worker_look_outside_next, METH_NOARGS,
     PyDoc_STR("Let the next search begin with the injector.")},
    {"wait_alarm", shared_worker_wait_alarm, METH_NOARGS,
     PyDoc_STR("Wait until work that may run here is to be interrupted, in a thread\n"
               "that does nothing else.")},
    {"ring_alarm", shared_worker_ring_alarm, METH_NOARGS,
     PyDoc_STR("End a wait_alarm.")},
    {"has_work_outside", shared_worker_has_work_outside, METH_NOARGS,
     PyDoc_STR("Return whether the injector had an entry a moment ago.")},
    {0},
};

static PyType_Slot shared_worker_slots[] = {
    {Py_tp_doc, (void *)PyDoc_STR(
        "SharedWorker(handle, index)\n--\n\n"
        "One worker's seat at another interpreter's queues.\n\n"
        "Its length is that of its own deque.\n\n"
        "Thread safety: externally synchronized; the worker's thread only, but for the "
        "alarm.")},
    {Py_tp_new, shared_worker_new},
    {Py_tp_dealloc, shared_worker_dealloc},
    {Py_tp_methods, shared_worker_methods},
    {Py_sq_length, shared_worker_length},
    {0, NULL},
};

PyType_Spec shared_worker_spec = {
    .name = "runtime._native.SharedWorker",
    .basicsize = sizeof(SharedWorkerObject),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_IMMUTABLETYPE,
    .slots = shared_worker_slots,
};
