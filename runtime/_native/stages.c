/* The stages that call the user's function, item by item, lazily.
 *
 * Mirrors _core/stages.py. They are the builtins of the same name, but for one thing: a
 * StopIteration out of the function is an error and not the end of the items. Nothing is
 * paid for that as long as no function fails.
 *
 * Layer: native. Includes: native.h.
 */
#include "native.h"

typedef enum { STAGE_MAP, STAGE_STAR_MAP, STAGE_FILTER } stage_kind_t;

typedef struct {
    PyObject_HEAD
    stage_kind_t kind;
    PyObject *fn;    /* None of a filter: the items themselves are asked */
    PyObject *items; /* an iterator */
} StageObject;

/* Let the StopIteration that is set, if one is, go on as an error. */
void
raise_stop_as_error(native_state_t *state)
{
    if (!PyErr_ExceptionMatches(PyExc_StopIteration)) {
        return;
    }
    PyObject *error = PyErr_GetRaisedException();
    PyObject *carrier = PyObject_CallOneArg(state->stop_raised, error);
    Py_DECREF(error);
    if (carrier != NULL) {
        PyErr_SetRaisedException(carrier);
    }
}

static PyObject *
stage_star_call(PyObject *fn, PyObject *item)
{
    if (PyTuple_CheckExact(item)) {
        return PyObject_Call(fn, item, NULL);
    }
    PyObject *args = PySequence_Tuple(item);
    if (args == NULL) {
        return NULL;
    }
    PyObject *value = PyObject_Call(fn, args, NULL);
    Py_DECREF(args);
    return value;
}

/* Whether a filter lets an item pass; -1 with an exception set. */
static int
stage_chooses(StageObject *self, PyObject *item)
{
    if (self->fn == Py_None) {
        return PyObject_IsTrue(item);
    }
    PyObject *value = PyObject_CallOneArg(self->fn, item);
    if (value == NULL) {
        return -1;
    }
    int is_chosen = PyObject_IsTrue(value);
    Py_DECREF(value);
    return is_chosen;
}

static PyObject *
stage_fail(StageObject *self)
{
    raise_stop_as_error(state_of(Py_TYPE(self)));
    return NULL;
}

static PyObject *
stage_next_chosen(StageObject *self, iternextfunc next)
{
    PyObject *item;
    while ((item = next(self->items)) != NULL) {
        int is_chosen = stage_chooses(self, item);
        if (is_chosen > 0) {
            return item;
        }
        Py_DECREF(item);
        if (is_chosen < 0) {
            return stage_fail(self);
        }
    }
    return NULL;
}

static PyObject *
stage_next(PyObject *op)
{
    StageObject *self = (StageObject *)op;
    iternextfunc next = Py_TYPE(self->items)->tp_iternext;
    if (self->kind == STAGE_FILTER) {
        return stage_next_chosen(self, next);
    }
    PyObject *item = next(self->items);
    if (item == NULL) {
        return NULL;
    }
    PyObject *value = self->kind == STAGE_MAP ? PyObject_CallOneArg(self->fn, item)
                                              : stage_star_call(self->fn, item);
    Py_DECREF(item);
    return value != NULL ? value : stage_fail(self);
}

static PyObject *
stage_new(PyObject *module, PyObject *const *args, Py_ssize_t nargs, stage_kind_t kind)
{
    native_state_t *state = PyModule_GetState(module);
    if (nargs != 2 || !PyIter_Check(args[1])) {
        PyErr_SetString(PyExc_TypeError, "a stage needs a function and an iterator");
        return NULL;
    }
    StageObject *self = PyObject_GC_New(StageObject, state->stage_type);
    if (self == NULL) {
        return NULL;
    }
    self->kind = kind;
    self->fn = Py_NewRef(args[0]);
    self->items = Py_NewRef(args[1]);
    PyObject_GC_Track((PyObject *)self);
    return (PyObject *)self;
}

PyObject *
native_mapped(PyObject *module, PyObject *const *args, Py_ssize_t nargs)
{
    return stage_new(module, args, nargs, STAGE_MAP);
}

PyObject *
native_star_mapped(PyObject *module, PyObject *const *args, Py_ssize_t nargs)
{
    return stage_new(module, args, nargs, STAGE_STAR_MAP);
}

PyObject *
native_filtered(PyObject *module, PyObject *const *args, Py_ssize_t nargs)
{
    return stage_new(module, args, nargs, STAGE_FILTER);
}

static int
stage_traverse(PyObject *op, visitproc visit, void *arg)
{
    StageObject *self = (StageObject *)op;
    Py_VISIT(Py_TYPE(op));
    Py_VISIT(self->fn);
    Py_VISIT(self->items);
    return 0;
}

static void
stage_dealloc(PyObject *op)
{
    StageObject *self = (StageObject *)op;
    PyTypeObject *type = Py_TYPE(op);
    PyObject_GC_UnTrack(op);
    Py_DECREF(self->fn);
    Py_DECREF(self->items);
    PyObject_GC_Del(op);
    Py_DECREF(type);
}

static PyType_Slot stage_slots[] = {
    {Py_tp_doc, (void *)PyDoc_STR("A stage of a chain: an iterator over another.\n\n"
                                  "Thread safety: externally synchronized.")},
    {Py_tp_dealloc, stage_dealloc},
    {Py_tp_traverse, stage_traverse},
    {Py_tp_iter, PyObject_SelfIter},
    {Py_tp_iternext, stage_next},
    {0, NULL},
};

PyType_Spec stage_spec = {
    .name = "runtime.lowlevel.Stage",
    .basicsize = sizeof(StageObject),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_IMMUTABLETYPE
             | Py_TPFLAGS_DISALLOW_INSTANTIATION,
    .slots = stage_slots,
};
