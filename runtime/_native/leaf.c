/* Leaf: an iterator over some positions of a source that ends when it is time.
 *
 * Mirrors _core/leaf.py. How long a leaf should be is not known before its items have
 * been seen, so it is not decided before: the leaf looks at the clock after 1, 2, 4, ...
 * items, then about every CHECK_NS, and ends itself when its time is over, when it
 * was told to stop, or when somebody has stolen all that its worker had to offer.
 * What consumes it (map, sum, list, ...) sees an ordinary iterator.
 *
 * On free-threaded builds taking a reference to an object that another thread made is an
 * atomic operation, and the items' user pays for several. So exact ints and floats of
 * lists and tuples come out as equal objects made here, in the thread that uses
 * them. (Not NaN, which is equal only to itself.) A tuple keeps its items, so they are
 * read without being counted; of a list's item one reference is taken and given back.
 * (Reading a list's items under its lock, a block at a time, counts nothing either, but
 * two workers then wait for the lock: 0.7 times plain Python instead of 1.4.)
 *
 * Layer: native. Includes: native.h.
 */
#include "native.h"

/* As in _core/leaf.py. */
#define CHECK_NS 25000

/* How often a token that is not ours is asked while items are cheap. Long against what that takes, less than a
 * microsecond; short against what a canceller should wait. Arbitrary. */
#define ASK_NS 500000

/* Whether an item is a number that nobody can tell from a copy. */
static inline bool
is_copied(PyObject *item)
{
#ifdef Py_GIL_DISABLED
    if (PyFloat_CheckExact(item)) {
        double number = PyFloat_AS_DOUBLE(item);
        return number == number;
    }
    return PyLong_CheckExact(item) && PyUnstable_Long_IsCompact((PyLongObject *)item);
#else
    (void)item;
    return false;
#endif
}

/* A number that is equal to one that is copied. */
static PyObject *
copy_number(PyObject *item)
{
    if (PyFloat_CheckExact(item)) {
        return PyFloat_FromDouble(PyFloat_AS_DOUBLE(item));
    }
    return PyLong_FromSsize_t(PyUnstable_Long_CompactValue((PyLongObject *)item));
}

static void
raise_changed(void)
{
    PyErr_SetString(PyExc_RuntimeError,
                    "the items must not change while they are iterated over");
}

/* What a leaf's next item is, one function for each kind of source. */

static PyObject *
range_item(LeafObject *self, Py_ssize_t Py_UNUSED(position))
{
    long long value = self->value;
    self->value = (long long)((unsigned long long)value + (unsigned long long)self->step);
    return PyLong_FromLongLong(value);
}

static PyObject *
list_item(LeafObject *self, Py_ssize_t position)
{
    PyObject *item = PyList_GetItemRef(self->source, position);
    if (item == NULL) {
        raise_changed();
        return NULL;
    }
    if (!is_copied(item)) {
        return item;
    }
    PyObject *copy = copy_number(item);
    Py_DECREF(item);
    return copy;
}

static PyObject *
tuple_item(LeafObject *self, Py_ssize_t position)
{
    PyObject *item = PyTuple_GET_ITEM(self->source, position);
    return is_copied(item) ? copy_number(item) : Py_NewRef(item);
}

/* An IndexError is ours to explain where there is no such item any more; any other is the
 * sequence's own, and so is a StopIteration. */
static PyObject *
sequence_fail(LeafObject *self, Py_ssize_t position)
{
    if (!PyErr_ExceptionMatches(PyExc_IndexError)) {
        raise_stop_as_error(state_of(Py_TYPE(self)));
        return NULL;
    }
    PyObject *error = PyErr_GetRaisedException();
    Py_ssize_t length = PySequence_Size(self->source);
    if (length < 0 || position < length) {
        PyErr_SetRaisedException(error);
        return NULL;
    }
    Py_DECREF(error);
    raise_changed();
    return NULL;
}

static PyObject *
sequence_item(LeafObject *self, Py_ssize_t position)
{
    PyObject *item = self->getter(self->source, position);
    return item != NULL ? item : sequence_fail(self, position);
}

static PyObject *
iterator_item(LeafObject *self, Py_ssize_t position)
{
    PyObject *item = Py_TYPE(self->source)->tp_iternext(self->source);
    if (item == NULL) {
        self->position = position; /* its end is no item that came out */
    }
    return item;
}

/* Whether a token says stop. One that is not ours, of a job made elsewhere, is asked, which
 * takes Python; what it raises ends the leaf, too. */
static bool
leaf_is_told_by(LeafObject *self, PyObject *token, int64_t now_ns)
{
    if (PyObject_TypeCheck(token, state_of(Py_TYPE(self))->cancel_token_type)) {
        return token_is_set((CancelTokenObject *)token);
    }
    if (self->interval > 1 && now_ns - self->asked_ns < ASK_NS) {
        return false;
    }
    self->asked_ns = now_ns;
    PyObject *answer = PyObject_GetAttrString(token, "is_set");
    int is_set = answer == NULL ? -1 : PyObject_IsTrue(answer);
    Py_XDECREF(answer);
    return is_set != 0;
}

static bool
leaf_was_told_to_stop(LeafObject *self, int64_t now_ns)
{
    for (int i = 0; i < 2; i++) {
        if (self->tokens[i] != NULL && leaf_is_told_by(self, self->tokens[i], now_ns)) {
            return true;
        }
    }
    return false;
}

/* Decide whether there is another item, and where to look next. */
bool
leaf_look(LeafObject *self)
{
    int64_t now_ns = clock_ns();
    if (self->position == self->first) {
        self->begin_ns = self->last_ns = now_ns;
    }
    else {
        int64_t elapsed_ns = Py_MAX(now_ns - self->last_ns, 1);
        self->last_ns = now_ns;
        /* A last stretch that was cut short by the end says nothing. */
        if (self->position < self->stop || self->interval == 1) {
            double fitting = (double)self->interval * CHECK_NS / (double)elapsed_ns;
            self->interval = fitting > 2.0 * (double)self->interval
                                 ? 2 * self->interval
                                 : Py_MAX((Py_ssize_t)fitting, 1);
        }
    }
    if (self->position == self->stop || now_ns - self->begin_ns >= self->budget_ns) {
        return false;
    }
    if (self->halts && self->position > self->first) {
        /* It may go on for ever without a step of Python: let other threads have the GIL,
         * or stop the world. */
        Py_BEGIN_ALLOW_THREADS
        Py_END_ALLOW_THREADS
    }
    if (leaf_was_told_to_stop(self, now_ns)) {
        if (self->halts && !PyErr_Occurred()) {
            PyErr_SetNone(state_of(Py_TYPE(self))->halted);
        }
        return false;
    }
    if (self->worker != NULL && self->position > self->first
        && deque_length(&self->worker->core->deque) == 0) {
        return false;
    }
    self->look_at = self->stop - self->position > self->interval
                        ? self->position + self->interval
                        : self->stop;
    return true;
}

static PyObject *
leaf_next_after_look(LeafObject *self)
{
    return leaf_look(self) ? self->item_at(self, self->position++) : NULL;
}

/* Between two looks nothing but a comparison and a jump. */
static PyObject *
leaf_next(PyObject *op)
{
    LeafObject *self = (LeafObject *)op;
    if (self->position == self->look_at) {
        return leaf_next_after_look(self);
    }
    return self->item_at(self, self->position++);
}

/* Read an item of a range; false with an exception set if it does not fit. */
static bool
read_range_item(PyObject *range, Py_ssize_t position, long long *value)
{
    PyObject *item = PySequence_GetItem(range, position);
    if (item == NULL) {
        return false;
    }
    *value = PyLong_AsLongLong(item);
    Py_DECREF(item);
    return *value != -1 || !PyErr_Occurred();
}

/* Read where a range begins and its step; false with an exception set if an item does
 * not fit. */
static bool
leaf_read_range(LeafObject *self)
{
    Py_ssize_t count = self->stop - self->first;
    if (count == 0) {
        return true;
    }
    long long last;
    if (!read_range_item(self->source, self->first, &self->value)
        || !read_range_item(self->source, self->stop - 1, &last)) {
        return false;
    }
    /* Both fit, but their distance may be twice as large as what fits. */
    long long distance;
    if (__builtin_sub_overflow(last, self->value, &distance)) {
        PyErr_SetString(PyExc_OverflowError, "the range is too wide");
        return false;
    }
    self->step = count == 1 ? 0 : distance / (count - 1);
    return true;
}

static bool
leaf_choose_item(LeafObject *self)
{
    PyObject *source = self->source;
    if (PyList_CheckExact(source)) {
        self->item_at = list_item;
    }
    else if (PyTuple_CheckExact(source)) {
        self->item_at = tuple_item;
        if (self->stop > PyTuple_GET_SIZE(source)) {
            PyErr_SetString(PyExc_IndexError, "the leaf ends after its source");
            return false;
        }
    }
    else if (PyIter_Check(source)) {
        self->item_at = iterator_item;
    }
    else if (PyRange_Check(source) && leaf_read_range(self)) {
        self->item_at = range_item;
    }
    else {
        PyErr_Clear(); /* a range of large numbers is a sequence like any other */
        PySequenceMethods *methods = Py_TYPE(source)->tp_as_sequence;
        /* The latter has an error to raise where there is no other. */
        self->getter = methods != NULL && methods->sq_item != NULL ? methods->sq_item
                                                                   : PySequence_GetItem;
        self->item_at = sequence_item;
    }
    return true;
}

static bool
leaf_set_token(native_state_t *state, LeafObject *self, int index, PyObject *token)
{
    if (token == Py_None) {
        return true;
    }
    if (!PyObject_TypeCheck(token, state->cancel_token_type)
        && !PyObject_HasAttrString(token, "is_set")) {
        PyErr_Format(PyExc_TypeError, "a leaf looks at tokens, not %R", token);
        return false;
    }
    self->tokens[index] = Py_NewRef(token);
    return true;
}

static PyObject *
leaf_new(PyTypeObject *type, PyObject *args, PyObject *kwargs)
{
    native_state_t *state = state_of(type);
    PyObject *source, *run_token, *job_token;
    Py_ssize_t start, stop, interval;
    long long budget_ns;
    int watches_demand, halts = 0;
    if (kwargs != NULL && PyDict_GET_SIZE(kwargs) > 0) {
        PyErr_SetString(PyExc_TypeError, "Leaf() takes no keyword arguments");
        return NULL;
    }
    if (!PyArg_ParseTuple(args, "OnnLnOOp|p:Leaf", &source, &start, &stop,
                          &budget_ns, &interval, &run_token, &job_token, &watches_demand,
                          &halts)) {
        return NULL;
    }
    if (start < 0 || stop < start || interval < 1) {
        PyErr_SetString(PyExc_ValueError, "a leaf needs 0 <= start <= stop, interval >= 1");
        return NULL;
    }
    LeafObject *self = (LeafObject *)type->tp_alloc(type, 0);
    if (self == NULL) {
        return NULL;
    }
    self->source = Py_NewRef(source);
    self->first = self->position = self->look_at = start;
    self->stop = stop;
    self->budget_ns = budget_ns;
    self->halts = halts;
    self->interval = interval;
    if (watches_demand) {
        self->worker = (WorkerObject *)Py_XNewRef((PyObject *)worker_current(state));
    }
    if (!leaf_set_token(state, self, 0, run_token)
        || !leaf_set_token(state, self, 1, job_token) || !leaf_choose_item(self)) {
        Py_DECREF(self);
        return NULL;
    }
    return (PyObject *)self;
}

static int
leaf_traverse(PyObject *op, visitproc visit, void *arg)
{
    LeafObject *self = (LeafObject *)op;
    Py_VISIT(Py_TYPE(op));
    Py_VISIT(self->source);
    Py_VISIT((PyObject *)self->worker);
    Py_VISIT(self->tokens[0]);
    Py_VISIT(self->tokens[1]);
    return 0;
}

static int
leaf_clear(PyObject *op)
{
    LeafObject *self = (LeafObject *)op;
    Py_CLEAR(self->source);
    Py_CLEAR(self->worker);
    Py_CLEAR(self->tokens[0]);
    Py_CLEAR(self->tokens[1]);
    self->look_at = self->stop = self->position;
    self->budget_ns = -1;
    return 0;
}

static void
leaf_dealloc(PyObject *op)
{
    PyTypeObject *type = Py_TYPE(op);
    PyObject_GC_UnTrack(op);
    leaf_clear(op);
    type->tp_free(op);
    Py_DECREF(type);
}

static PyObject *
leaf_get_taken(PyObject *op, void *Py_UNUSED(closure))
{
    LeafObject *self = (LeafObject *)op;
    return PyLong_FromSsize_t(self->position - self->first);
}

static PyObject *
leaf_get_elapsed_ns(PyObject *op, void *Py_UNUSED(closure))
{
    LeafObject *self = (LeafObject *)op;
    return PyLong_FromLongLong(self->last_ns - self->begin_ns);
}

static PyGetSetDef leaf_getset[] = {
    {"taken", leaf_get_taken, NULL, PyDoc_STR("How many items came out."), NULL},
    {"elapsed_ns", leaf_get_elapsed_ns, NULL,
     PyDoc_STR("Time from the first look to the last."), NULL},
    {0},
};

static PyMemberDef leaf_members[] = {
    {"interval", Py_T_PYSSIZET, offsetof(LeafObject, interval), Py_READONLY,
     PyDoc_STR("How many items pass between two looks.")},
    {0},
};

static PyType_Slot leaf_slots[] = {
    {Py_tp_doc, (void *)PyDoc_STR(
        "An iterator over some positions of a source that ends when it is time.\n\n"
        "Thread safety: externally synchronized.")},
    {Py_tp_new, leaf_new},
    {Py_tp_dealloc, leaf_dealloc},
    {Py_tp_traverse, leaf_traverse},
    {Py_tp_clear, leaf_clear},
    {Py_tp_iter, PyObject_SelfIter},
    {Py_tp_iternext, leaf_next},
    {Py_tp_getset, leaf_getset},
    {Py_tp_members, leaf_members},
    {0, NULL},
};

PyType_Spec leaf_spec = {
    .name = "runtime.lowlevel.Leaf",
    .basicsize = sizeof(LeafObject),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_IMMUTABLETYPE,
    .slots = leaf_slots,
};
