/* Question: home's handle on what a running job asks for.
 *
 * One that is dropped without a reply has ANSWER_NONE as its answer: whatever becomes of
 * it at home, the job does not wait for ever.
 *
 * Layer: native. Includes: native.h, crossing.h.
 */
#include "native.h"

#include "crossing.h"

typedef struct {
    PyObject_HEAD
    shared_t *shared;     /* immutable; one reference */
    question_t *question; /* immutable; one reference */
} QuestionObject;

PyObject *
question_view(native_state_t *state, shared_t *shared, question_t *question)
{
    QuestionObject *self =
        (QuestionObject *)PyType_GenericAlloc(state->question_type, 0);
    if (self == NULL) {
        shared_reply(shared, question, ANSWER_NONE, NULL);
        question_release(question);
        return NULL;
    }
    self->shared = shared_acquire(shared);
    self->question = question;
    return (PyObject *)self;
}

static void
question_dealloc(PyObject *op)
{
    QuestionObject *self = (QuestionObject *)op;
    PyTypeObject *type = Py_TYPE(op);
    shared_reply(self->shared, self->question, ANSWER_NONE, NULL);
    question_release(self->question);
    shared_release(self->shared);
    type->tp_free(op);
    Py_DECREF(type);
}

static PyObject *
question_get_frames(PyObject *op, void *Py_UNUSED(closure))
{
    parcel_t *parcel = ((QuestionObject *)op)->question->parcel;
    return frames_view(state_of(Py_TYPE(op)), parcel, 0, parcel->frame_count);
}

static PyObject *
question_reply(PyObject *op, PyObject *args)
{
    QuestionObject *self = (QuestionObject *)op;
    int answer;
    PyObject *frames;
    if (!PyArg_ParseTuple(args, "iO!", &answer, &PyTuple_Type, &frames)) {
        return NULL;
    }
    parcel_t *reply = parcel_of(frames, NULL);
    if (reply == NULL) {
        return NULL;
    }
    shared_reply(self->shared, self->question, (answer_t)answer, reply);
    Py_RETURN_NONE;
}

static PyMethodDef question_methods[] = {
    {"reply", question_reply, METH_VARARGS,
     PyDoc_STR("reply(answer, frames)\n--\n\nLet the job go on with a tuple of "
               "buffers, which are copied. The first reply counts.")},
    {0},
};

static PyGetSetDef question_getset[] = {
    {"frames", question_get_frames, NULL, PyDoc_STR("What was sent."), NULL},
    {0},
};

static PyType_Slot question_slots[] = {
    {Py_tp_doc, (void *)PyDoc_STR("What a running job asks home for.\n\n"
                                  "Thread safety: internally synchronized.")},
    {Py_tp_dealloc, question_dealloc},
    {Py_tp_methods, question_methods},
    {Py_tp_getset, question_getset},
    {0, NULL},
};

PyType_Spec question_spec = {
    .name = "runtime._native.Question",
    .basicsize = sizeof(QuestionObject),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_IMMUTABLETYPE
             | Py_TPFLAGS_DISALLOW_INSTANTIATION,
    .slots = question_slots,
};
