/* SharedQueues: home's end of what a pool's interpreters share.
 *
 * It belongs to the interpreter that opened the pool: it injects, withdraws, and takes
 * what comes back. Who frees what is in SHARED.md.
 *
 * Layer: native. Includes: native.h, crossing.h.
 */
#include "native.h"

#include "crossing.h"

DEFINE_SHARED_TABLE;

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
    static char *names[] = {"worker_count", "spin_rounds", "spare_limit", NULL};
    unsigned int worker_count;
    long spin_rounds = 1;
    unsigned int spare_limit = 0;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "I|$lI", names, &worker_count,
                                     &spin_rounds, &spare_limit)) {
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
    self->shared = shared_open(worker_count, spin_rounds, spare_limit);
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

/* Make a tuple that says that a job asks; takes over a reference to the question. */
static PyObject *
news_of_question(native_state_t *state, shared_t *shared, question_t *question)
{
    unsigned long long id = question->work_id;
    unsigned int index = question->worker_index;
    PyObject *handle = question_view(state, shared, question);
    return handle == NULL
               ? NULL
               : Py_BuildValue("(Ki(N)IIOIL)", id, (int)ANSWER_ASKED, handle, 0U, 0U,
                               Py_False, index, 0LL);
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
        else if (message->kind == MESSAGE_QUESTION) {
            question_t *question = (question_t *)message;
            if (news == NULL || !ok) {
                shared_reply(shared, question, ANSWER_NONE, NULL);
                question_release(question);
                continue;
            }
            PyObject *item = news_of_question(state, shared, question);
            ok = item != NULL && PyList_Append(news, item) == 0;
            Py_XDECREF(item);
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
        shared_close(shared);
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
    /* The token is set before, so what begins now ends by itself. */
    shared_mark(shared_of(op), &((EncodedJobObject *)handle)->job->work->is_interrupted);
    Py_RETURN_NONE;
}

static PyObject *
shared_queues_seek(PyObject *op, PyObject *args)
{
    PyObject *handle;
    int is_sought;
    if (!PyArg_ParseTuple(args, "O!p", state_of(Py_TYPE(op))->encoded_job_type, &handle,
                          &is_sought)) {
        return NULL;
    }
    work_t *work = ((EncodedJobObject *)handle)->job->work;
    if (is_sought) {
        shared_mark(shared_of(op), &work->is_sought);
    }
    else {
        atomic_store(&work->is_sought, false);
    }
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

/* The ids of what a seat's detached jobs are parts of. */
static PyObject *
list_detached(shared_t *shared, seat_t *seat)
{
    size_t count;
    /* Copied first: nothing of Python's may happen under the lock. */
    uint64_t *ids = seat_list_detached(shared, seat, &count);
    if (ids == NULL) {
        return PyErr_NoMemory();
    }
    PyObject *list = PyList_New(0);
    for (size_t i = 0; list != NULL && i < count; i++) {
        PyObject *id = PyLong_FromUnsignedLongLong(ids[i]);
        if (id == NULL || PyList_Append(list, id) < 0) {
            Py_CLEAR(list);
        }
        Py_XDECREF(id);
    }
    free(ids);
    return list;
}

static PyObject *
shared_queues_detached(PyObject *op, PyObject *Py_UNUSED(ignored))
{
    shared_t *shared = shared_of(op);
    PyObject *lists = PyList_New(0);
    for (uint32_t i = 0; lists != NULL && i < shared->seat_count; i++) {
        PyObject *list = list_detached(shared, &shared->seats[i]);
        if (list == NULL || PyList_Append(lists, list) < 0) {
            Py_CLEAR(lists);
        }
        Py_XDECREF(list);
    }
    return lists;
}

static PyObject *
shared_queues_num_waiting(PyObject *op, PyObject *Py_UNUSED(ignored))
{
    shared_t *shared = shared_of(op);
    pthread_mutex_lock(&shared->lock);
    uint32_t num_waiting = shared->num_waiting;
    pthread_mutex_unlock(&shared->lock);
    return PyLong_FromUnsignedLong(num_waiting);
}

static PyObject *
shared_queues_stop(PyObject *op, PyObject *Py_UNUSED(ignored))
{
    shared_stop(shared_of(op));
    Py_RETURN_NONE;
}

/* Make every lock anew in a forked child, whose only thread calls this: threads that are
 * gone may have held them. No worker is left, and no seat to be taken. */
static void
shared_after_fork(shared_t *shared)
{
    pthread_mutex_init(&shared_table.lock, NULL);
    short_lock_init(&shared->lock);
    sleep_after_fork(&shared->sleep);
    injector_after_fork(&shared->injector);
    atomic_store(&shared->is_stopping, true);
}

static PyObject *
shared_queues_after_fork(PyObject *op, PyObject *Py_UNUSED(ignored))
{
    shared_after_fork(shared_of(op));
    Py_RETURN_NONE;
}

/* For tests: call something while every lock is held. A forked child does not release
 * them, as its parent's other threads would not. */
static PyObject *
shared_queues_call_locked(PyObject *op, PyObject *fn)
{
    shared_t *shared = shared_of(op);
    pthread_mutex_t *locks[] = {&shared_table.lock, &shared->lock, &shared->sleep.lock,
                                &shared->injector.lock};
    pid_t here = getpid();
    for (int i = 0; i < 4; i++) {
        pthread_mutex_lock(locks[i]);
    }
    PyObject *result = PyObject_CallNoArgs(fn);
    for (int i = 0; i < 4 && getpid() == here; i++) {
        pthread_mutex_unlock(locks[i]);
    }
    return result;
}

static PyObject *
shared_queues_close(PyObject *op, PyObject *Py_UNUSED(ignored))
{
    shared_t *shared = shared_of(op);
    pthread_mutex_lock(&shared_table.lock);
    bool is_alone = shared->refs == 1; /* else others might ring the bell */
    pthread_mutex_unlock(&shared_table.lock);
    if (is_alone) {
        outbox_close(&shared->outbox);
    }
    return PyBool_FromLong(is_alone);
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

/* What was counted at the seat and beside it. */
static PyObject *
histogram_tuple(histogram_t *histogram, histogram_t *detached)
{
    PyObject *buckets = PyTuple_New(HISTOGRAM_BUCKETS);
    for (Py_ssize_t i = 0; buckets != NULL && i < HISTOGRAM_BUCKETS; i++) {
        PyObject *number =
            PyLong_FromUnsignedLongLong(counter_read(&histogram->buckets[i])
                                        + counter_read(&detached->buckets[i]));
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
    counters_t *detached = &seat->detached_counts;
    PyObject *queue_latency =
        histogram_tuple(&counters->queue_latency, &detached->queue_latency);
    PyObject *run_time = histogram_tuple(&counters->run_time, &detached->run_time);
    if (queue_latency == NULL || run_time == NULL) {
        Py_XDECREF(queue_latency);
        Py_XDECREF(run_time);
        return NULL;
    }
    return Py_BuildValue("(KKKKKKKNN)",
                         (unsigned long long)(counter_read(&counters->jobs_executed)
                                              + counter_read(&detached->jobs_executed)),
                         (unsigned long long)counter_read(&counters->jobs_stolen),
                         (unsigned long long)counter_read(&counters->steal_attempts),
                         (unsigned long long)counter_read(&counters->parks),
                         (unsigned long long)counter_read(&counters->wake_ups),
                         (unsigned long long)(counter_read(&counters->busy_ns)
                                              + counter_read(&detached->busy_ns)),
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
    {"seek", shared_queues_seek, METH_VARARGS,
     PyDoc_STR("seek(job, is_sought)\n--\n\nHave what runs of a job's work show its "
               "stack from now on,\nor not any more.")},
    {"drain", shared_queues_drain, METH_NOARGS,
     PyDoc_STR("Return the news of jobs that left the scheduler, the oldest first:\n"
               "(id, answer, frames, start, stop, is_last, worker_index, run_ns).\n"
               "Among them the questions of jobs, each in place of the frames.")},
    {"hush", shared_queues_hush, METH_O,
     PyDoc_STR("Say whether the owner looks by itself, so that no bell need ring.")},
    {"running", shared_queues_running, METH_NOARGS,
     PyDoc_STR("Return the id of what each worker runs at its seat, 0 for nothing.")},
    {"detached", shared_queues_detached, METH_NOARGS,
     PyDoc_STR("Return a list for each worker, of the ids of what it runs besides.")},
    {"num_waiting", shared_queues_num_waiting, METH_NOARGS,
     PyDoc_STR("Return how many jobs wait for something outside the pool.")},
    {"stop", shared_queues_stop, METH_NOARGS,
     PyDoc_STR("Tell the workers to stop as soon as they find no more work, and answer\n"
               "no question any more.")},
    {"close", shared_queues_close, METH_NOARGS,
     PyDoc_STR("Give the descriptor back and return True, if no worker and no lent view\n"
               "is left; else it goes with the last of them.")},
    {"after_fork", shared_queues_after_fork, METH_NOARGS,
     PyDoc_STR("Make every lock anew in a forked child, where there are no workers.")},
    {"_call_locked", shared_queues_call_locked, METH_O,
     PyDoc_STR("Call something while every lock is held; for tests of fork.")},
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
        "SharedQueues(worker_count, *, spin_rounds=1, spare_limit=0)\n--\n\n"
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
