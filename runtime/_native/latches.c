/* Latch, CountLatch and Parker: how threads wait for each other.
 *
 * Mirrors _core/latch.py and _core/parker.py; the protocols are in latch.h and
 * parker.h. A waiting thread is detached from the interpreter, so that it holds up
 * neither garbage collection nor a thread that wants the GIL.
 *
 * Layer: native. Includes: native.h.
 */
#include "native.h"

/* How often a waiter looks before it sleeps: some 20 us, about what it costs to be
 * woken. Whoever waits for a short job meets its end here. */
#define LATCH_LOOKS 1000
#define LOOKS_PER_YIELD 32

/* Ctrl-C does not end a wait; a waiter looks for it this often. Arbitrary. */
#define SIGNAL_STEP_NS (NS_PER_S / 10)

typedef struct {
    PyObject_HEAD
    latch_t latch;
} LatchObject;

typedef struct {
    PyObject_HEAD
    _Atomic long count; /* atomic: starts at 1, 0 means set */
} CountLatchObject;

typedef struct {
    PyObject_HEAD
    parker_t parker;
} ParkerObject;

/* Seconds, or None for no limit (-1). */
static bool
timeout_to_ns(PyObject *timeout, int64_t *timeout_ns)
{
    *timeout_ns = -1;
    if (timeout == NULL || timeout == Py_None) {
        return true;
    }
    double seconds = PyFloat_AsDouble(timeout);
    if (seconds == -1.0 && PyErr_Occurred()) {
        return false;
    }
    if (!(seconds >= 0)) {
        PyErr_Format(PyExc_ValueError, "timeout must be at least 0, not %R", timeout);
        return false;
    }
    /* A thousand years are for ever. */
    *timeout_ns = seconds < 3e10 ? (int64_t)(seconds * 1e9) : -1;
    return true;
}

static bool
parse_timeout(PyObject *args, PyObject *kwargs, int64_t *timeout_ns)
{
    static char *keywords[] = {"timeout", NULL};
    PyObject *timeout = NULL;
    return PyArg_ParseTupleAndKeywords(args, kwargs, "|O", keywords, &timeout)
           && timeout_to_ns(timeout, timeout_ns);
}

static void
plain_dealloc(PyObject *self)
{
    PyTypeObject *type = Py_TYPE(self);
    type->tp_free(self);
    Py_DECREF(type);
}

/* Latch */

static PyObject *
latch_set_method(PyObject *self, PyObject *const *Py_UNUSED(args), Py_ssize_t nargs)
{
    if (nargs > 1) {
        PyErr_SetString(PyExc_TypeError, "set() takes at most one argument");
        return NULL;
    }
    if (!latch_set(&((LatchObject *)self)->latch)) {
        PyErr_SetString(PyExc_RuntimeError, "the latch is set already");
        return NULL;
    }
    Py_RETURN_NONE;
}

static PyObject *
latch_probe_method(PyObject *self, PyObject *Py_UNUSED(ignored))
{
    return PyBool_FromLong(latch_probe(&((LatchObject *)self)->latch));
}

static PyObject *
latch_wait_method(PyObject *self, PyObject *args, PyObject *kwargs)
{
    latch_t *latch = &((LatchObject *)self)->latch;
    int64_t timeout_ns;
    if (!parse_timeout(args, kwargs, &timeout_ns)) {
        return NULL;
    }
    bool is_set = latch_probe(latch);
    int64_t deadline = timeout_ns < 0 ? INT64_MAX : clock_ns() + timeout_ns;
    spin_t spin = {0};
    for (int looks = LATCH_LOOKS; !is_set; looks = 0) {
        int64_t remaining = deadline - clock_ns();
        remaining = remaining > 0 ? remaining : 0;
        Py_BEGIN_ALLOW_THREADS
        while (looks-- > 0 && !latch_probe(latch)) {
            cpu_relax();
            if (looks % LOOKS_PER_YIELD == 0 && !spin_yield(&spin)) {
                break;
            }
        }
        is_set = latch_wait(latch, remaining < SIGNAL_STEP_NS ? remaining
                                                              : SIGNAL_STEP_NS);
        Py_END_ALLOW_THREADS
        if (is_set || remaining == 0) {
            break;
        }
        if (PyErr_CheckSignals() < 0) {
            return NULL;
        }
    }
    return PyBool_FromLong(is_set);
}

static PyMethodDef latch_methods[] = {
    {"set", (PyCFunction)(void (*)(void))latch_set_method, METH_FASTCALL,
     PyDoc_STR("Set the latch; call it once. What it is called with is ignored.")},
    {"probe", latch_probe_method, METH_NOARGS,
     PyDoc_STR("Return whether the latch is set; False may be out of date at once.")},
    {"wait", (PyCFunction)(void (*)(void))latch_wait_method,
     METH_VARARGS | METH_KEYWORDS,
     PyDoc_STR("wait($self, timeout=None)\n--\n\n"
               "Wait until the latch is set; return whether it is.")},
    {0},
};

static PyType_Slot latch_slots[] = {
    {Py_tp_doc, (void *)PyDoc_STR("A signal that is set once and stays set.\n\n"
                                  "Thread safety: internally synchronized.")},
    {Py_tp_new, PyType_GenericNew}, /* zeros are an unset latch */
    {Py_tp_dealloc, plain_dealloc},
    {Py_tp_methods, latch_methods},
    {0, NULL},
};

PyType_Spec latch_spec = {
    .name = "runtime.lowlevel.Latch",
    .basicsize = sizeof(LatchObject),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_IMMUTABLETYPE,
    .slots = latch_slots,
};

/* CountLatch */

static PyObject *
count_latch_new(PyTypeObject *type, PyObject *Py_UNUSED(args),
                PyObject *Py_UNUSED(kwargs))
{
    PyObject *self = PyType_GenericAlloc(type, 0);
    if (self != NULL) {
        atomic_init(&((CountLatchObject *)self)->count, 1);
    }
    return self;
}

static PyObject *
count_latch_increment(PyObject *self, PyObject *Py_UNUSED(ignored))
{
    _Atomic long *count = &((CountLatchObject *)self)->count;
    if (atomic_fetch_add(count, 1) <= 0) {
        atomic_fetch_sub(count, 1);
        PyErr_SetString(PyExc_AssertionError, "a set CountLatch cannot be raised again");
        return NULL;
    }
    Py_RETURN_NONE;
}

static PyObject *
count_latch_decrement(PyObject *self, PyObject *Py_UNUSED(ignored))
{
    long before = atomic_fetch_sub(&((CountLatchObject *)self)->count, 1);
    if (before <= 0) {
        atomic_fetch_add(&((CountLatchObject *)self)->count, 1);
        PyErr_Format(PyExc_AssertionError, "CountLatch fell to %ld", before - 1);
        return NULL;
    }
    return PyBool_FromLong(before == 1);
}

static PyMethodDef count_latch_methods[] = {
    {"increment", count_latch_increment, METH_NOARGS,
     PyDoc_STR("Count one more; only while the latch is not set.")},
    {"decrement", count_latch_decrement, METH_NOARGS,
     PyDoc_STR("Count one less; return True to exactly one caller, the last.")},
    {0},
};

static PyType_Slot count_latch_slots[] = {
    {Py_tp_doc, (void *)PyDoc_STR(
        "Counts work that is out; tells the one who brings the last of it home.\n\n"
        "Starts at 1, for the work in the hands of whoever made it.\n\n"
        "Thread safety: internally synchronized.")},
    {Py_tp_new, count_latch_new},
    {Py_tp_dealloc, plain_dealloc},
    {Py_tp_methods, count_latch_methods},
    {0, NULL},
};

PyType_Spec count_latch_spec = {
    .name = "runtime.lowlevel.CountLatch",
    .basicsize = sizeof(CountLatchObject),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_IMMUTABLETYPE,
    .slots = count_latch_slots,
};

/* Parker */

static PyObject *
parker_park_method(PyObject *self, PyObject *args, PyObject *kwargs)
{
    int64_t timeout_ns;
    bool has_token;
    if (!parse_timeout(args, kwargs, &timeout_ns)) {
        return NULL;
    }
    Py_BEGIN_ALLOW_THREADS
    has_token = parker_park(&((ParkerObject *)self)->parker, timeout_ns);
    Py_END_ALLOW_THREADS
    return PyBool_FromLong(has_token);
}

static PyObject *
parker_unpark_method(PyObject *self, PyObject *Py_UNUSED(ignored))
{
    parker_unpark(&((ParkerObject *)self)->parker);
    Py_RETURN_NONE;
}

static PyMethodDef parker_methods[] = {
    {"park", (PyCFunction)(void (*)(void))parker_park_method,
     METH_VARARGS | METH_KEYWORDS,
     PyDoc_STR("park($self, timeout=None)\n--\n\n"
               "Wait for the token and consume it; False if the wait timed out.")},
    {"unpark", parker_unpark_method, METH_NOARGS,
     PyDoc_STR("Deposit the token; do nothing if one is already there.")},
    {0},
};

static PyType_Slot parker_slots[] = {
    {Py_tp_doc, (void *)PyDoc_STR(
        "A one-token parking place, owned by one worker.\n\n"
        "Thread safety: park is owner-only; unpark from any thread.")},
    {Py_tp_new, PyType_GenericNew}, /* zeros are a parker without a token */
    {Py_tp_dealloc, plain_dealloc},
    {Py_tp_methods, parker_methods},
    {0, NULL},
};

PyType_Spec parker_spec = {
    .name = "runtime.lowlevel.Parker",
    .basicsize = sizeof(ParkerObject),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_IMMUTABLETYPE,
    .slots = parker_slots,
};
