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
    {"drain", shared_queues_drain, METH_NOARGS,
     PyDoc_STR("Return the news of jobs that left the scheduler, the oldest first:\n"
               "(id, answer, frames, start, stop, is_last, worker_index, run_ns).\n"
               "Among them the questions of jobs, each in place of the frames.")},
    {"running", shared_queues_running, METH_NOARGS,
     PyDoc_STR("Return the id of what each worker runs at its seat, 0 for nothing.")},
    {"detached", shared_queues_detached, METH_NOARGS,
     PyDoc_STR("Return a list for each worker, of the ids of what it runs besides.")},
    {"num_waiting", shared_queues_num_waiting, METH_NOARGS,
     PyDoc_STR("Return how many jobs wait for something outside the pool.")},
    {"stop", shared_queues_stop, METH_NOARGS,
     PyDoc_STR("Tell the workers to stop as soon as they find no more work, and answer\n"
               "no question any more.")},
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

/* Return the seat, which must not have been left; NULL with an error set. */
static seat_t *
seat_of(PyObject *op)
{
    seat_t *seat = ((SharedWorkerObject *)op)->seat;
    if (seat == NULL) {
        PyErr_SetString(PyExc_RuntimeError, "the worker has left its seat");
    }
    return seat;
}

static PyObject *
shared_worker_recall(PyObject *op, PyObject *Py_UNUSED(ignored))
{
    seat_t *seat = seat_of(op);
    if (seat == NULL) {
        return NULL;
    }
    seat_recall(((SharedWorkerObject *)op)->shared, seat);
    Py_RETURN_NONE;
}

static PyObject *
shared_worker_begin_wait(PyObject *op, PyObject *Py_UNUSED(ignored))
{
    seat_t *seat = seat_of(op);
    if (seat == NULL) {
        return NULL;
    }
    return PyBool_FromLong(seat_begin_wait(((SharedWorkerObject *)op)->shared, seat));
}

static PyObject *
shared_worker_end_wait(PyObject *op, PyObject *Py_UNUSED(ignored))
{
    seat_t *seat = seat_of(op);
    if (seat == NULL) {
        return NULL;
    }
    seat_end_wait(((SharedWorkerObject *)op)->shared, seat);
    Py_RETURN_NONE;
}

static PyObject *
shared_worker_detach(PyObject *op, PyObject *Py_UNUSED(ignored))
{
    SharedWorkerObject *self = (SharedWorkerObject *)op;
    if (!check_runs(self, true)) {
        return NULL;
    }
    return PyLong_FromUnsignedLongLong(seat_detach(self->shared, self->seat));
}

static PyObject *
shared_worker_attach(PyObject *op, PyObject *number)
{
    SharedWorkerObject *self = (SharedWorkerObject *)op;
    unsigned long long value = PyLong_AsUnsignedLongLong(number);
    if ((value == (unsigned long long)-1 && PyErr_Occurred())
        || !check_runs(self, false)) {
        return NULL;
    }
    if (value == 0 || !seat_attach(self->shared, self->seat, value)) {
        return PyErr_Format(PyExc_LookupError, "no detached job %llu", value);
    }
    Py_RETURN_NONE;
}

static PyObject *
shared_worker_finish_detached(PyObject *op, PyObject *args)
{
    seat_t *seat = seat_of(op);
    unsigned long long number;
    int answer;
    PyObject *frames;
    if (seat == NULL
        || !PyArg_ParseTuple(args, "KiO!", &number, &answer, &PyTuple_Type, &frames)) {
        return NULL;
    }
    parcel_t *reply = parcel_of(frames, NULL);
    if (reply == NULL) {
        return NULL;
    }
    if (number == 0
        || !seat_finish_detached(((SharedWorkerObject *)op)->shared, seat, number,
                                 (answer_t)answer, reply)) {
        parcel_release(reply);
        return PyErr_Format(PyExc_LookupError, "no detached job %llu", number);
    }
    Py_RETURN_NONE;
}

static PyObject *
shared_worker_ask(PyObject *op, PyObject *args)
{
    shared_t *shared = ((SharedWorkerObject *)op)->shared;
    seat_t *seat = seat_of(op);
    native_state_t *state = state_of(Py_TYPE(op));
    PyObject *job, *frames;
    if (seat == NULL
        || !PyArg_ParseTuple(args, "O!O!", state->encoded_job_type, &job, &PyTuple_Type,
                             &frames)) {
        return NULL;
    }
    parcel_t *parcel = parcel_of(frames, NULL);
    if (parcel == NULL) {
        return NULL;
    }
    question_t *question = question_new(((EncodedJobObject *)job)->job->work->id,
                                        (uint32_t)(seat - shared->seats), parcel);
    if (question == NULL) {
        parcel_release(parcel);
        return PyErr_NoMemory();
    }
    Py_BEGIN_ALLOW_THREADS
    seat_ask(shared, seat, question);
    Py_END_ALLOW_THREADS
    parcel_t *reply = question->reply;
    PyObject *replied = frames_view(state, reply != NULL ? reply : parcel, 0,
                                    reply != NULL ? reply->frame_count : 0);
    PyObject *result =
        replied == NULL ? NULL : Py_BuildValue("(iN)", (int)question->answer, replied);
    question_release(question);
    return result;
}

static PyObject *
shared_worker_hang_up(PyObject *op, PyObject *Py_UNUSED(ignored))
{
    seat_t *seat = seat_of(op);
    if (seat == NULL) {
        return NULL;
    }
    seat_hang_up(((SharedWorkerObject *)op)->shared, seat);
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
shared_worker_leave(PyObject *op, PyObject *Py_UNUSED(ignored))
{
    shared_worker_leave_seat((SharedWorkerObject *)op);
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
     PyDoc_STR("Return the next job, now running, or None: the order to stop, or recall.")},
    {"recall", shared_worker_recall, METH_NOARGS,
     PyDoc_STR("Have one next return None, this one or the following.")},
    {"finish", shared_worker_finish, METH_VARARGS,
     PyDoc_STR("finish(answer, frames)\n--\n\nAnswer the running job with a tuple of "
               "buffers, which are copied.")},
    {"begin_wait", shared_worker_begin_wait, METH_NOARGS,
     PyDoc_STR("Count one more job that waits outside the pool; False at the bound.")},
    {"end_wait", shared_worker_end_wait, METH_NOARGS, PyDoc_STR("Count one less.")},
    {"detach", shared_worker_detach, METH_NOARGS,
     PyDoc_STR("Take the running job off the seat; return its number.")},
    {"attach", shared_worker_attach, METH_O,
     PyDoc_STR("Let a detached job be the one that runs at the seat.")},
    {"finish_detached", shared_worker_finish_detached, METH_VARARGS,
     PyDoc_STR("finish_detached(number, answer, frames)\n--\n\nAnswer a detached job.")},
    {"ask", shared_worker_ask, METH_VARARGS,
     PyDoc_STR("ask(job, frames)\n--\n\nSend a tuple of buffers home, which are copied,\n"
               "and wait for the reply: its answer and its frames.")},
    {"hang_up", shared_worker_hang_up, METH_NOARGS,
     PyDoc_STR("End every ask of this worker with BROKEN, those to come too.")},
    {"share", shared_worker_share, METH_O,
     PyDoc_STR("Cut the frames from the given one on off the running job, for others.")},
    {"leave", shared_worker_leave, METH_NOARGS,
     PyDoc_STR("Free the seat; a running job is reported as broken.")},
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
        "Thread safety: externally synchronized, one thread at a time; from any thread "
        "recall, waits, detached jobs, questions and the alarm.")},
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
