/* SharedWorker: a worker's end of what a pool's interpreters share, its seat.
 *
 * Layer: native. Includes: native.h, crossing.h.
 */
#include "native.h"

#include "crossing.h"

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
