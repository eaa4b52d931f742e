/* Frame and EncodedJob: what Python sees of a parcel and of an encoded job.
 *
 * A `Frame` is a buffer: a view of one frame of a parcel, which it keeps alive, in
 * whichever interpreter. An `EncodedJob` is a handle on a job, for its sender and for
 * the worker that runs it.
 *
 * Layer: native. Includes: native.h, shared.h.
 */
#include "native.h"

#include "crossing.h"

/* Frame */

typedef struct {
    PyObject_HEAD
    parcel_t *parcel; /* immutable; one reference */
    frame_t *frame;   /* immutable; inside the parcel */
} FrameObject;

PyObject *
frame_view(native_state_t *state, parcel_t *parcel, size_t index)
{
    FrameObject *self = (FrameObject *)PyType_GenericAlloc(state->frame_type, 0);
    if (self != NULL) {
        self->parcel = parcel_acquire(parcel);
        self->frame = &parcel->frames[index];
    }
    return (PyObject *)self;
}

PyObject *
frames_view(native_state_t *state, parcel_t *parcel, size_t start, size_t stop)
{
    PyObject *frames = PyTuple_New((Py_ssize_t)(stop - start));
    for (size_t i = start; frames != NULL && i < stop; i++) {
        PyObject *frame = frame_view(state, parcel, i);
        if (frame == NULL) {
            Py_CLEAR(frames);
            break;
        }
        PyTuple_SET_ITEM(frames, (Py_ssize_t)(i - start), frame);
    }
    return frames;
}

static void
frame_dealloc(PyObject *op)
{
    PyTypeObject *type = Py_TYPE(op);
    parcel_release(((FrameObject *)op)->parcel);
    type->tp_free(op);
    Py_DECREF(type);
}

static int
frame_getbuffer(PyObject *op, Py_buffer *view, int flags)
{
    frame_t *frame = ((FrameObject *)op)->frame;
    return PyBuffer_FillInfo(view, op, frame->data, (Py_ssize_t)frame->size,
                             frame->is_readonly, flags);
}

static Py_ssize_t
frame_length(PyObject *op)
{
    return (Py_ssize_t)((FrameObject *)op)->frame->size;
}

static PyType_Slot frame_slots[] = {
    {Py_tp_doc, (void *)PyDoc_STR("A view of bytes that crossed between interpreters.\n\n"
                                  "Thread safety: immutable.")},
    {Py_tp_dealloc, frame_dealloc},
    {Py_bf_getbuffer, frame_getbuffer},
    {Py_sq_length, frame_length},
    {0, NULL},
};

PyType_Spec frame_spec = {
    .name = "runtime._native.Frame",
    .basicsize = sizeof(FrameObject),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_IMMUTABLETYPE
             | Py_TPFLAGS_DISALLOW_INSTANTIATION,
    .slots = frame_slots,
};

/* Parcels from Python objects */

/* Get the buffers of a sequence's items; returns how many were got, -1 on failure. */
static Py_ssize_t
get_buffers(PyObject *sequence, Py_buffer *buffers)
{
    Py_ssize_t count = PyTuple_GET_SIZE(sequence);
    for (Py_ssize_t i = 0; i < count; i++) {
        if (PyObject_GetBuffer(PyTuple_GET_ITEM(sequence, i), &buffers[i], PyBUF_SIMPLE)
            < 0) {
            while (i-- > 0) {
                PyBuffer_Release(&buffers[i]);
            }
            return -1;
        }
    }
    return count;
}

parcel_t *
parcel_of(PyObject *copied, PyObject *lent)
{
    Py_ssize_t copied_count = PyTuple_GET_SIZE(copied);
    Py_ssize_t lent_count = lent != NULL ? PyTuple_GET_SIZE(lent) : 0;
    size_t count = (size_t)(copied_count + lent_count);
    Py_buffer *buffers = PyMem_New(Py_buffer, count + 1);
    parcel_t *parcel = NULL;
    if (buffers == NULL) {
        PyErr_NoMemory();
        return NULL;
    }
    if (get_buffers(copied, buffers) < 0) {
        PyMem_Free(buffers);
        return NULL;
    }
    if (lent_count > 0 && get_buffers(lent, buffers + copied_count) < 0) {
        count = (size_t)copied_count;
        goto done;
    }
    size_t room = 0;
    for (Py_ssize_t i = 0; i < copied_count; i++) {
        room += frame_room((size_t)buffers[i].len);
    }
    parcel = parcel_new(count, room);
    if (parcel == NULL) {
        PyErr_NoMemory();
        goto done;
    }
    for (size_t i = 0; i < count; i++) {
        if (i < (size_t)copied_count) {
            parcel_fill(parcel, i, buffers[i].buf, (size_t)buffers[i].len);
        }
        else {
            parcel_lend(parcel, i, buffers[i].buf, (size_t)buffers[i].len,
                        buffers[i].readonly != 0);
        }
    }
done:
    while (count-- > 0) {
        PyBuffer_Release(&buffers[count]);
    }
    PyMem_Free(buffers);
    return parcel;
}

/* EncodedJob */

PyObject *
encoded_job_view(native_state_t *state, encoded_t *job)
{
    EncodedJobObject *self =
        (EncodedJobObject *)PyType_GenericAlloc(state->encoded_job_type, 0);
    if (self != NULL) {
        self->job = encoded_acquire(job);
    }
    return (PyObject *)self;
}

static encoded_t *
job_of(PyObject *op)
{
    return ((EncodedJobObject *)op)->job;
}

static void
encoded_job_dealloc(PyObject *op)
{
    PyTypeObject *type = Py_TYPE(op);
    encoded_release(job_of(op));
    type->tp_free(op);
    Py_DECREF(type);
}

static PyObject *
encoded_job_frame(PyObject *op, PyObject *number)
{
    parcel_t *parcel = job_of(op)->work->parcel;
    size_t index = PyLong_AsSize_t(number);
    if (index == (size_t)-1 && PyErr_Occurred()) {
        return NULL;
    }
    if (index >= parcel->frame_count) {
        return PyErr_Format(PyExc_IndexError, "the parcel has %zu frames",
                            parcel->frame_count);
    }
    return frame_view(state_of(Py_TYPE(op)), parcel, index);
}

static PyObject *
encoded_job_frames(PyObject *op, PyObject *args)
{
    parcel_t *parcel = job_of(op)->work->parcel;
    Py_ssize_t start;
    Py_ssize_t stop = (Py_ssize_t)parcel->frame_count;
    if (!PyArg_ParseTuple(args, "n|n", &start, &stop)) {
        return NULL;
    }
    if (start < 0 || stop < start || stop > (Py_ssize_t)parcel->frame_count) {
        return PyErr_Format(PyExc_IndexError, "the parcel has %zu frames",
                            parcel->frame_count);
    }
    return frames_view(state_of(Py_TYPE(op)), parcel, (size_t)start, (size_t)stop);
}

static PyObject *
encoded_job_request_stop(PyObject *op, PyObject *Py_UNUSED(ignored))
{
    work_request_stop(job_of(op)->work);
    Py_RETURN_NONE;
}

static PyObject *
encoded_job_note_met(PyObject *op, PyObject *Py_UNUSED(ignored))
{
    atomic_store(&job_of(op)->work->was_met, true);
    Py_RETURN_NONE;
}

static PyObject *
encoded_job_get_phase(PyObject *op, void *Py_UNUSED(closure))
{
    return PyLong_FromLong(atomic_load(&job_of(op)->phase));
}

static PyObject *
encoded_job_get_start(PyObject *op, void *Py_UNUSED(closure))
{
    return PyLong_FromUnsignedLong(job_of(op)->start);
}

static PyObject *
encoded_job_get_stop(PyObject *op, void *Py_UNUSED(closure))
{
    return PyLong_FromUnsignedLong(job_of(op)->stop);
}

static PyObject *
encoded_job_get_is_stopped(PyObject *op, void *Py_UNUSED(closure))
{
    return PyBool_FromLong(work_is_stopped(job_of(op)->work));
}

static PyObject *
encoded_job_get_is_interrupted(PyObject *op, void *Py_UNUSED(closure))
{
    return PyBool_FromLong(atomic_load(&job_of(op)->work->is_interrupted));
}

static PyObject *
encoded_job_get_is_sought(PyObject *op, void *Py_UNUSED(closure))
{
    return PyBool_FromLong(atomic_load(&job_of(op)->work->is_sought));
}

static PyObject *
encoded_job_get_was_met(PyObject *op, void *Py_UNUSED(closure))
{
    return PyBool_FromLong(atomic_load(&job_of(op)->work->was_met));
}

static PyMethodDef encoded_job_methods[] = {
    {"frame", encoded_job_frame, METH_O, PyDoc_STR("Return one frame of the parcel.")},
    {"frames", encoded_job_frames, METH_VARARGS,
     PyDoc_STR("Return the frames from start to stop, by default to the last.")},
    {"request_stop", encoded_job_request_stop, METH_NOARGS,
     PyDoc_STR("Set the token of the piece of work.")},
    {"note_met", encoded_job_note_met, METH_NOARGS,
     PyDoc_STR("Note that an interrupt was raised in the piece of work.")},
    {0},
};

static PyGetSetDef encoded_job_getset[] = {
    {"phase", encoded_job_get_phase, NULL, PyDoc_STR("Where the job is."), NULL},
    {"start", encoded_job_get_start, NULL, PyDoc_STR("The first of its frames."), NULL},
    {"stop", encoded_job_get_stop, NULL,
     PyDoc_STR("The frame after its last; for the worker that runs it."), NULL},
    {"is_stopped", encoded_job_get_is_stopped, NULL, PyDoc_STR("The token."), NULL},
    {"is_set", encoded_job_get_is_stopped, NULL,
     PyDoc_STR("The same: the job stands for its token."), NULL},
    {"is_interrupted", encoded_job_get_is_interrupted, NULL,
     PyDoc_STR("Whether what runs of the piece of work is to be interrupted."), NULL},
    {"is_sought", encoded_job_get_is_sought, NULL,
     PyDoc_STR("Whether what runs of the piece of work is to show its stack."), NULL},
    {"was_met", encoded_job_get_was_met, NULL,
     PyDoc_STR("Whether an interrupt was raised in it."), NULL},
    {0},
};

static PyType_Slot encoded_job_slots[] = {
    {Py_tp_doc, (void *)PyDoc_STR(
        "A call, or a part of a batch, that any interpreter can run.\n\n"
        "Thread safety: phase, is_stopped and request_stop from any thread; stop by the "
        "worker that runs it.")},
    {Py_tp_dealloc, encoded_job_dealloc},
    {Py_tp_methods, encoded_job_methods},
    {Py_tp_getset, encoded_job_getset},
    {0, NULL},
};

PyType_Spec encoded_job_spec = {
    .name = "runtime._native.EncodedJob",
    .basicsize = sizeof(EncodedJobObject),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_IMMUTABLETYPE
             | Py_TPFLAGS_DISALLOW_INSTANTIATION,
    .slots = encoded_job_slots,
};
