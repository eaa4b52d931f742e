/* Until: the items of an iterable, up to the moment when a token is set.
 *
 * What works through many items, one call of the user's for each, takes them from here:
 * once the token is set no other call begins. A look is a load of memory that whoever
 * cancels writes to, in this interpreter or in another one, so it needs no reference
 * and takes a nanosecond or two.
 *
 * Mirrors runtime/_until.py.
 *
 * Layer: native. Includes: native.h, crossing.h.
 */
#include "native.h"

#include "crossing.h"

typedef struct {
    PyObject_HEAD
    PyObject *items;            /* immutable: an iterator */
    PyObject *token;            /* immutable: keeps `is_set` alive */
    const _Atomic bool *is_set; /* immutable: inside the token */
} UntilObject;

const _Atomic bool *
token_flag(native_state_t *state, PyObject *token)
{
    if (PyObject_TypeCheck(token, state->cancel_token_type)) {
        return &((CancelTokenObject *)token)->is_set;
    }
    if (Py_IS_TYPE(token, state->encoded_job_type)) {
        return &((EncodedJobObject *)token)->job->work->is_stopped;
    }
    return NULL;
}

static PyObject *
until_next(PyObject *op)
{
    UntilObject *self = (UntilObject *)op;
    if (atomic_load_explicit(self->is_set, memory_order_acquire)) {
        return NULL;
    }
    return Py_TYPE(self->items)->tp_iternext(self->items);
}

static PyObject *
until_new(PyTypeObject *type, PyObject *args, PyObject *kwargs)
{
    PyObject *items, *token;
    if (kwargs != NULL && PyDict_GET_SIZE(kwargs) > 0) {
        PyErr_SetString(PyExc_TypeError, "Until() takes no keyword arguments");
        return NULL;
    }
    if (!PyArg_ParseTuple(args, "OO:Until", &items, &token)) {
        return NULL;
    }
    const _Atomic bool *is_set = token_flag(state_of(type), token);
    if (is_set == NULL) {
        return PyErr_Format(PyExc_TypeError, "Until() looks at tokens, not %R", token);
    }
    PyObject *iterator = PyObject_GetIter(items);
    if (iterator == NULL) {
        return NULL;
    }
    UntilObject *self = (UntilObject *)type->tp_alloc(type, 0);
    if (self == NULL) {
        Py_DECREF(iterator);
        return NULL;
    }
    self->items = iterator;
    self->token = Py_NewRef(token);
    self->is_set = is_set;
    return (PyObject *)self;
}

static void
until_dealloc(PyObject *op)
{
    PyTypeObject *type = Py_TYPE(op);
    Py_DECREF(((UntilObject *)op)->items);
    Py_DECREF(((UntilObject *)op)->token);
    type->tp_free(op);
    Py_DECREF(type);
}

static PyType_Slot until_slots[] = {
    {Py_tp_doc, (void *)PyDoc_STR(
        "An iterator over items that ends when a token is set.\n\n"
        "Args:\n"
        "  items: Any iterable.\n"
        "  token: A CancelToken, or an EncodedJob, whose piece of work has one.\n\n"
        "Thread safety: externally synchronized; any thread sets the token.")},
    {Py_tp_new, until_new},
    {Py_tp_dealloc, until_dealloc},
    {Py_tp_iter, PyObject_SelfIter},
    {Py_tp_iternext, until_next},
    {0, NULL},
};

PyType_Spec until_spec = {
    .name = "runtime._native.Until",
    .basicsize = sizeof(UntilObject),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_IMMUTABLETYPE,
    .slots = until_slots,
};
