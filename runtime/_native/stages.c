/* The stages that call the user's function, item by item, lazily.
 *
 * Mirrors _core/stages.py. They are the builtins of the same name, but for two things. A
 * StopIteration out of the function is an error and not the end of the items; nothing is
 * paid for that as long as no function fails. And so is a coroutine: the function was
 * async, and has done nothing.
 *
 * Layer: native. Includes: native.h.
 */
#include "native.h"

typedef struct {
    PyObject_HEAD
    PyObject *fn;    /* None of a filter: the items themselves are asked */
    vectorcallfunc call; /* how the function is called, if it has a way of its own */
    PyObject *items; /* an iterator */
    /* Of a flat map; else NULL. */
    LeafObject *pace;
    PyObject *inner; /* the iterator of one call's items; NULL between two calls */
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

PyObject *
refuse_coroutine(PyObject *fn, PyObject *value)
{
    PyObject *util = PyImport_ImportModule("runtime._util");
    PyObject *result =
        util == NULL ? NULL
                     : PyObject_CallMethod(util, "refuse_coroutine", "OO", fn, value);
    Py_XDECREF(util);
    Py_XDECREF(result); /* it raises */
    Py_DECREF(value);
    return NULL;
}

/* What PyObject_Vectorcall does, without asking each time how: that is as much as a short
 * function takes. */
static inline PyObject *
stage_vectorcall(StageObject *self, PyObject *const *args, size_t nargsf)
{
    if (self->call != NULL) {
        return self->call(self->fn, args, nargsf, NULL);
    }
    return PyObject_Vectorcall(self->fn, args, nargsf, NULL);
}

static inline PyObject *
stage_call(StageObject *self, PyObject *item)
{
    PyObject *args[2] = {NULL, item}; /* the first is for a method's self */
    return stage_vectorcall(self, args + 1, 1 | PY_VECTORCALL_ARGUMENTS_OFFSET);
}

static PyObject *
stage_star_call(StageObject *self, PyObject *item)
{
    if (PyTuple_CheckExact(item)) {
        PyObject *const *args = &PyTuple_GET_ITEM(item, 0);
        return stage_vectorcall(self, args, (size_t)PyTuple_GET_SIZE(item));
    }
    PyObject *args = PySequence_Tuple(item);
    if (args == NULL) {
        return NULL;
    }
    PyObject *value = PyObject_Call(self->fn, args, NULL);
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
    PyObject *value = stage_call(self, item);
    if (value == NULL) {
        return -1;
    }
    if (value == Py_True || value == Py_False) {
        return value == Py_True; /* the usual case; neither is counted */
    }
    if (is_unawaited(value)) {
        refuse_coroutine(self->fn, value);
        return -1;
    }
    int is_chosen = PyObject_IsTrue(value);
    Py_DECREF(value);
    return is_chosen;
}

static PyObject *
stage_fail(StageObject *self)
{
    if (!PyErr_Occurred()) { /* or it would look like the end of the items */
        PyErr_Format(PyExc_SystemError, "%R returned NULL without an exception", self->fn);
    }
    raise_stop_as_error(state_of(Py_TYPE(self)));
    return NULL;
}

/* Pass on what the function returned, unless it failed or was async. */
static inline PyObject *
stage_value(StageObject *self, PyObject *value)
{
    if (value == NULL) {
        return stage_fail(self);
    }
    return is_unawaited(value) ? refuse_coroutine(self->fn, value) : value;
}

/* What each kind of stage gives next. */

static PyObject *
stage_next_mapped(PyObject *op)
{
    StageObject *self = (StageObject *)op;
    PyObject *item = Py_TYPE(self->items)->tp_iternext(self->items);
    if (item == NULL) {
        return NULL;
    }
    PyObject *value = stage_call(self, item);
    Py_DECREF(item);
    return stage_value(self, value);
}

static PyObject *
stage_next_star_mapped(PyObject *op)
{
    StageObject *self = (StageObject *)op;
    PyObject *item = Py_TYPE(self->items)->tp_iternext(self->items);
    if (item == NULL) {
        return NULL;
    }
    PyObject *value = stage_star_call(self, item);
    Py_DECREF(item);
    return stage_value(self, value);
}

static PyObject *
stage_next_filtered(PyObject *op)
{
    StageObject *self = (StageObject *)op;
    iternextfunc next = Py_TYPE(self->items)->tp_iternext;
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
stage_next_filter_mapped(PyObject *op)
{
    PyObject *value;
    while ((value = stage_next_mapped(op)) == Py_None) {
    }
    return value;
}

static PyObject *
stage_next_inspected(PyObject *op)
{
    StageObject *self = (StageObject *)op;
    PyObject *item = Py_TYPE(self->items)->tp_iternext(self->items);
    if (item == NULL) {
        return NULL;
    }
    PyObject *value = stage_value(self, stage_call(self, item));
    if (value == NULL) {
        Py_DECREF(item);
        return NULL;
    }
    Py_DECREF(value);
    return item;
}

/* Call the function for the next item; false at the end, or with an exception set. */
static bool
stage_begin_inner(StageObject *self)
{
    PyObject *item = Py_TYPE(self->items)->tp_iternext(self->items);
    if (item == NULL) {
        return false;
    }
    PyObject *several = stage_value(self, stage_call(self, item));
    Py_DECREF(item);
    if (several == NULL) {
        return false;
    }
    self->inner = PyObject_GetIter(several);
    Py_DECREF(several);
    if (self->inner == NULL) {
        stage_fail(self);
    }
    return self->inner != NULL;
}

static PyObject *
stage_next_flat_mapped(PyObject *op)
{
    StageObject *self = (StageObject *)op;
    while (self->inner != NULL || stage_begin_inner(self)) {
        PyObject *item = Py_TYPE(self->inner)->tp_iternext(self->inner);
        if (item != NULL) {
            if (leaf_pass(self->pace)) {
                return item;
            }
            Py_DECREF(item);
            return NULL;
        }
        if (PyErr_Occurred()) {
            if (!PyErr_ExceptionMatches(PyExc_StopIteration)) {
                return NULL;
            }
            PyErr_Clear(); /* an iterator's own: its end */
        }
        Py_CLEAR(self->inner);
    }
    return NULL;
}

static PyObject *
stage_new(PyObject *module, PyObject *const *args, Py_ssize_t nargs, stage_kind_t kind)
{
    native_state_t *state = PyModule_GetState(module);
    if (nargs != 2 || !PyIter_Check(args[1])) {
        PyErr_SetString(PyExc_TypeError, "a stage needs a function and an iterator");
        return NULL;
    }
    StageObject *self = PyObject_GC_New(StageObject, state->stage_types[kind]);
    if (self == NULL) {
        return NULL;
    }
    self->fn = Py_NewRef(args[0]);
    self->call = PyVectorcall_Function(self->fn);
    self->items = Py_NewRef(args[1]);
    self->pace = NULL;
    self->inner = NULL;
    PyObject_GC_Track((PyObject *)self);
    return (PyObject *)self;
}

PyObject *
native_mapped(PyObject *module, PyObject *const *args, Py_ssize_t nargs)
{
    return stage_new(module, args, nargs, STAGE_MAPPED);
}

PyObject *
native_star_mapped(PyObject *module, PyObject *const *args, Py_ssize_t nargs)
{
    return stage_new(module, args, nargs, STAGE_STAR_MAPPED);
}

PyObject *
native_flat_mapped(PyObject *module, PyObject *const *args, Py_ssize_t nargs)
{
    native_state_t *state = PyModule_GetState(module);
    if (nargs != 3 || !PyObject_TypeCheck(args[2], state->leaf_type)) {
        PyErr_SetString(PyExc_TypeError, "a flat map needs a leaf to tell of its items");
        return NULL;
    }
    PyObject *self = stage_new(module, args, 2, STAGE_FLAT_MAPPED);
    if (self != NULL) {
        ((StageObject *)self)->pace = (LeafObject *)Py_NewRef(args[2]);
    }
    return self;
}

PyObject *
native_filtered(PyObject *module, PyObject *const *args, Py_ssize_t nargs)
{
    return stage_new(module, args, nargs, STAGE_FILTERED);
}

PyObject *
native_filter_mapped(PyObject *module, PyObject *const *args, Py_ssize_t nargs)
{
    return stage_new(module, args, nargs, STAGE_FILTER_MAPPED);
}

PyObject *
native_inspected(PyObject *module, PyObject *const *args, Py_ssize_t nargs)
{
    return stage_new(module, args, nargs, STAGE_INSPECTED);
}

static int
stage_traverse(PyObject *op, visitproc visit, void *arg)
{
    StageObject *self = (StageObject *)op;
    Py_VISIT(Py_TYPE(op));
    Py_VISIT(self->fn);
    Py_VISIT(self->items);
    Py_VISIT((PyObject *)self->pace);
    Py_VISIT(self->inner);
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
    Py_XDECREF((PyObject *)self->pace);
    Py_XDECREF(self->inner);
    PyObject_GC_Del(op);
    Py_DECREF(type);
}

#define STAGE_SLOTS(next)                                                              \
    {                                                                                  \
        {Py_tp_doc, (void *)PyDoc_STR("A stage of a chain: an iterator over another.\n\n"\
                                      "Thread safety: externally synchronized.")},     \
        {Py_tp_dealloc, stage_dealloc}, {Py_tp_traverse, stage_traverse},              \
        {Py_tp_iter, PyObject_SelfIter}, {Py_tp_iternext, (next)}, {0, NULL},          \
    }

static PyType_Slot mapped_slots[] = STAGE_SLOTS(stage_next_mapped);
static PyType_Slot star_mapped_slots[] = STAGE_SLOTS(stage_next_star_mapped);
static PyType_Slot filtered_slots[] = STAGE_SLOTS(stage_next_filtered);
static PyType_Slot filter_mapped_slots[] = STAGE_SLOTS(stage_next_filter_mapped);
static PyType_Slot inspected_slots[] = STAGE_SLOTS(stage_next_inspected);
static PyType_Slot flat_mapped_slots[] = STAGE_SLOTS(stage_next_flat_mapped);

#define STAGE_SPEC(type_name, type_slots)                                              \
    {                                                                                  \
        .name = "runtime.lowlevel." type_name, .basicsize = sizeof(StageObject),       \
        .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_IMMUTABLETYPE    \
                 | Py_TPFLAGS_DISALLOW_INSTANTIATION,                                  \
        .slots = (type_slots),                                                         \
    }

PyType_Spec stage_specs[STAGE_KINDS] = {
    [STAGE_MAPPED] = STAGE_SPEC("Mapped", mapped_slots),
    [STAGE_STAR_MAPPED] = STAGE_SPEC("StarMapped", star_mapped_slots),
    [STAGE_FILTERED] = STAGE_SPEC("Filtered", filtered_slots),
    [STAGE_FILTER_MAPPED] = STAGE_SPEC("FilterMapped", filter_mapped_slots),
    [STAGE_INSPECTED] = STAGE_SPEC("Inspected", inspected_slots),
    [STAGE_FLAT_MAPPED] = STAGE_SPEC("FlatMapped", flat_mapped_slots),
};
