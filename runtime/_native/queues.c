/* Injector, WorkDeque and Stealer as Python objects.
 *
 * Mirrors _core/injector.py and _core/deque.py; the algorithms are in injector.h and
 * deque.h. An entry carries one reference from push to pop.
 *
 * Layer: native. Includes: native.h.
 */
#include "native.h"

int
lane_of_job(void *job)
{
    return ((JobObject *)job)->lane;
}

/* Injector */

static InjectorObject *
as_injector(PyObject *self)
{
    return (InjectorObject *)self;
}

static PyObject *
injector_new(PyTypeObject *type, PyObject *Py_UNUSED(args), PyObject *Py_UNUSED(kwargs))
{
    PyObject *self = PyType_GenericAlloc(type, 0);
    if (self != NULL) {
        injector_init(&as_injector(self)->injector);
    }
    return self;
}

static int
injector_traverse(PyObject *op, visitproc visit, void *arg)
{
    /* The collector has stopped all threads, or holds the GIL: no lock. */
    injector_t *injector = &as_injector(op)->injector;
    Py_VISIT(Py_TYPE(op));
    for (int i = 0; i < LANE_COUNT; i++) {
        lane_t *lane = &injector->lanes[i];
        for (size_t j = 0; j < lane->length; j++) {
            Py_VISIT((PyObject *)*lane_at(lane, j));
        }
    }
    return 0;
}

static int
injector_clear(PyObject *op)
{
    PyObject *job;
    while ((job = injector_pop(&as_injector(op)->injector)) != NULL) {
        Py_DECREF(job);
    }
    return 0;
}

static void
injector_dealloc(PyObject *op)
{
    PyTypeObject *type = Py_TYPE(op);
    PyObject_GC_UnTrack(op);
    injector_clear(op);
    injector_destroy(&as_injector(op)->injector);
    type->tp_free(op);
    Py_DECREF(type);
}

/* Push jobs, counting a reference up for each; on failure none was pushed. */
static bool
push_jobs(PyObject *self, PyObject *const *jobs, Py_ssize_t count)
{
    native_state_t *state = state_of(Py_TYPE(self));
    for (Py_ssize_t i = 0; i < count; i++) {
        if (!PyObject_TypeCheck(jobs[i], state->job_type)) {
            PyErr_Format(PyExc_TypeError, "an injector takes jobs, not %R", jobs[i]);
            return false;
        }
    }
    for (Py_ssize_t i = 0; i < count; i++) {
        Py_INCREF(jobs[i]);
    }
    if (!injector_push_many(&as_injector(self)->injector, (void *const *)jobs,
                            (size_t)count, lane_of_job)) {
        for (Py_ssize_t i = 0; i < count; i++) {
            Py_DECREF(jobs[i]);
        }
        PyErr_NoMemory();
        return false;
    }
    return true;
}

static PyObject *
injector_push_method(PyObject *self, PyObject *job)
{
    if (!push_jobs(self, &job, 1)) {
        return NULL;
    }
    Py_RETURN_NONE;
}

static PyObject *
injector_push_many_method(PyObject *self, PyObject *jobs)
{
    PyObject *sequence = PySequence_Tuple(jobs);
    if (sequence == NULL) {
        return NULL;
    }
    bool pushed = push_jobs(self, &PyTuple_GET_ITEM(sequence, 0),
                            PyTuple_GET_SIZE(sequence));
    Py_DECREF(sequence);
    if (!pushed) {
        return NULL;
    }
    Py_RETURN_NONE;
}

static PyObject *
injector_pop_method(PyObject *self, PyObject *Py_UNUSED(ignored))
{
    PyObject *job = injector_pop(&as_injector(self)->injector);
    return job != NULL ? job : Py_NewRef(Py_None);
}

static PyObject *
injector_note_withdrawn_method(PyObject *self, PyObject *job)
{
    if (!PyObject_TypeCheck(job, state_of(Py_TYPE(self))->job_type)) {
        PyErr_Format(PyExc_TypeError, "an injector holds jobs, not %R", job);
        return NULL;
    }
    void **removed;
    size_t count = injector_note_withdrawn(&as_injector(self)->injector,
                                           lane_of_job(job), job_is_withdrawn, &removed);
    PyObject *list = PyList_New((Py_ssize_t)count);
    for (size_t i = 0; i < count; i++) {
        if (list != NULL) {
            PyList_SET_ITEM(list, (Py_ssize_t)i, removed[i]);
        }
        else {
            Py_DECREF((PyObject *)removed[i]);
        }
    }
    free(removed);
    return list;
}

int
injector_withdraw(InjectorObject *self, JobObject *job)
{
    if (!job_withdraw(job)) {
        return 0;
    }
    void **removed;
    size_t count = injector_note_withdrawn(&self->injector, job->lane, job_is_withdrawn,
                                           &removed);
    PyObject *error = NULL; /* of the first sink that raised; all are called */
    for (size_t i = 0; i < count; i++) {
        JobObject *entry = removed[i];
        if (!job_leave(entry)) {
            if (error == NULL) {
                error = PyErr_GetRaisedException();
            }
            PyErr_Clear();
        }
        Py_DECREF(entry);
    }
    free(removed);
    if (error != NULL) {
        PyErr_SetRaisedException(error);
        return -1;
    }
    return 1;
}

static Py_ssize_t
injector_len(PyObject *self)
{
    return (Py_ssize_t)injector_length(&as_injector(self)->injector);
}

static PyMethodDef injector_methods[] = {
    {"push", injector_push_method, METH_O,
     PyDoc_STR("Add a job at the end of its lane.")},
    {"push_many", injector_push_many_method, METH_O,
     PyDoc_STR("Add jobs at the ends of their lanes, in order, as one step.")},
    {"pop", injector_pop_method, METH_NOARGS,
     PyDoc_STR("Take the oldest entry of the most urgent lane; None if all are empty.")},
    {"note_withdrawn", injector_note_withdrawn_method, METH_O,
     PyDoc_STR("Count one more empty entry; return those that were compacted away.")},
    {0},
};

static PyType_Slot injector_slots[] = {
    {Py_tp_doc, (void *)PyDoc_STR("A queue that any thread fills and any worker "
                                  "empties.\n\nThread safety: internally synchronized.")},
    {Py_tp_new, injector_new},
    {Py_tp_dealloc, injector_dealloc},
    {Py_tp_traverse, injector_traverse},
    {Py_tp_clear, injector_clear},
    {Py_tp_methods, injector_methods},
    {Py_sq_length, injector_len},
    {0, NULL},
};

PyType_Spec injector_spec = {
    .name = "runtime.lowlevel.Injector",
    .basicsize = sizeof(InjectorObject),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_IMMUTABLETYPE,
    .slots = injector_slots,
};

/* WorkDeque */

typedef struct {
    PyObject_HEAD
    deque_t *deque;  /* immutable */
    PyObject *owner; /* immutable: the worker it lies in; NULL: the deque is our own */
} WorkDequeObject;

typedef struct {
    PyObject_HEAD
    WorkDequeObject *work_deque; /* immutable */
} StealerObject;

static deque_t *
deque_of(PyObject *self)
{
    return ((WorkDequeObject *)self)->deque;
}

static PyObject *
work_deque_new(PyTypeObject *type, PyObject *Py_UNUSED(args),
               PyObject *Py_UNUSED(kwargs))
{
    WorkDequeObject *self = (WorkDequeObject *)PyType_GenericAlloc(type, 0);
    if (self == NULL) {
        return NULL;
    }
    self->deque = allocate_lines(sizeof(deque_t));
    if (self->deque == NULL || !deque_init(self->deque)) {
        free(self->deque);
        self->deque = NULL;
        Py_DECREF(self);
        return PyErr_NoMemory();
    }
    return (PyObject *)self;
}

PyObject *
work_deque_view(native_state_t *state, deque_t *deque, PyObject *owner)
{
    PyObject *self = PyType_GenericAlloc(state->work_deque_type, 0);
    if (self != NULL) {
        ((WorkDequeObject *)self)->deque = deque;
        ((WorkDequeObject *)self)->owner = Py_NewRef(owner);
    }
    return self;
}

static int
work_deque_traverse(PyObject *op, visitproc visit, void *arg)
{
    WorkDequeObject *self = (WorkDequeObject *)op;
    Py_VISIT(Py_TYPE(op));
    Py_VISIT(self->owner);
    if (self->owner == NULL && self->deque != NULL) {
        deque_buffer_t *buffer = atomic_load(&self->deque->buffer);
        int64_t bottom = atomic_load(&self->deque->bottom);
        for (int64_t i = atomic_load(&self->deque->top); i < bottom; i++) {
            Py_VISIT((PyObject *)atomic_load(deque_slot(buffer, i)));
        }
    }
    return 0;
}

static int
work_deque_clear(PyObject *op)
{
    WorkDequeObject *self = (WorkDequeObject *)op;
    PyObject *item;
    while (self->owner == NULL && self->deque != NULL
           && (item = deque_pop(self->deque)) != NULL) {
        Py_DECREF(item);
    }
    Py_CLEAR(self->owner);
    return 0;
}

static void
work_deque_dealloc(PyObject *op)
{
    WorkDequeObject *self = (WorkDequeObject *)op;
    PyTypeObject *type = Py_TYPE(op);
    bool is_ours = self->owner == NULL && self->deque != NULL;
    PyObject_GC_UnTrack(op);
    work_deque_clear(op);
    if (is_ours) {
        deque_destroy(self->deque);
        free(self->deque);
    }
    type->tp_free(op);
    Py_DECREF(type);
}

static Py_ssize_t
work_deque_len(PyObject *self)
{
    return (Py_ssize_t)deque_length(deque_of(self));
}

static PyObject *
work_deque_push(PyObject *self, PyObject *item)
{
    Py_INCREF(item);
    if (!deque_push(deque_of(self), item)) {
        Py_DECREF(item);
        return PyErr_NoMemory();
    }
    Py_RETURN_NONE;
}

static PyObject *
work_deque_pop(PyObject *self, PyObject *Py_UNUSED(ignored))
{
    void *item = deque_pop(deque_of(self));
    if (item == NULL) {
        Py_RETURN_NONE;
    }
    if (entry_is_fork(item)) { /* its place is still there: it was taken from it */
        deque_push(deque_of(self), item);
        PyErr_SetString(PyExc_RuntimeError, "the newest entry is a join's, not a job");
        return NULL;
    }
    return item;
}

static PyObject *
work_deque_stealer(PyObject *self, PyObject *Py_UNUSED(ignored))
{
    StealerObject *stealer = (StealerObject *)PyType_GenericAlloc(
        state_of(Py_TYPE(self))->stealer_type, 0);
    if (stealer != NULL) {
        stealer->work_deque = (WorkDequeObject *)Py_NewRef(self);
    }
    return (PyObject *)stealer;
}

static PyMethodDef work_deque_methods[] = {
    {"push", work_deque_push, METH_O, PyDoc_STR("Add an item at the bottom.")},
    {"pop", work_deque_pop, METH_NOARGS,
     PyDoc_STR("Take the newest item; None if there is none.")},
    {"stealer", work_deque_stealer, METH_NOARGS,
     PyDoc_STR("Return a thief's handle on this queue.")},
    {"__class_getitem__", Py_GenericAlias, METH_O | METH_CLASS, NULL},
    {0},
};

static PyType_Slot work_deque_slots[] = {
    {Py_tp_doc, (void *)PyDoc_STR(
        "The owner's end of one worker's queue. Unbounded.\n\n"
        "Thread safety: externally synchronized; only the owning worker calls it.")},
    {Py_tp_new, work_deque_new},
    {Py_tp_dealloc, work_deque_dealloc},
    {Py_tp_traverse, work_deque_traverse},
    {Py_tp_clear, work_deque_clear},
    {Py_tp_methods, work_deque_methods},
    {Py_sq_length, work_deque_len},
    {0, NULL},
};

PyType_Spec work_deque_spec = {
    .name = "runtime.lowlevel.WorkDeque",
    .basicsize = sizeof(WorkDequeObject),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_IMMUTABLETYPE,
    .slots = work_deque_slots,
};

/* Stealer */

static PyObject *
stealer_get_deque(PyObject *self)
{
    return (PyObject *)((StealerObject *)self)->work_deque;
}

static int
stealer_traverse(PyObject *op, visitproc visit, void *arg)
{
    Py_VISIT(Py_TYPE(op));
    Py_VISIT(stealer_get_deque(op));
    return 0;
}

static void
stealer_dealloc(PyObject *op)
{
    PyTypeObject *type = Py_TYPE(op);
    PyObject_GC_UnTrack(op);
    Py_XDECREF(stealer_get_deque(op));
    type->tp_free(op);
    Py_DECREF(type);
}

static Py_ssize_t
stealer_len(PyObject *self)
{
    return work_deque_len(stealer_get_deque(self));
}

static bool
is_object(void *entry, void *Py_UNUSED(data))
{
    return !entry_is_fork(entry);
}

static PyObject *
stealer_steal(PyObject *self, PyObject *Py_UNUSED(ignored))
{
    void *item = NULL;
    steal_t result;
    do {
        result = deque_steal_if(deque_of(stealer_get_deque(self)), is_object, NULL, &item);
    } while (result == STEAL_RETRY);
    return result == STEAL_GOT ? item : Py_NewRef(Py_None);
}

static PyMethodDef stealer_methods[] = {
    {"steal", stealer_steal, METH_NOARGS,
     PyDoc_STR("Take the oldest item; None if there is none.")},
    {"__class_getitem__", Py_GenericAlias, METH_O | METH_CLASS, NULL},
    {0},
};

static PyType_Slot stealer_slots[] = {
    {Py_tp_doc, (void *)PyDoc_STR(
        "The thief's end of one worker's queue.\n\n"
        "Thread safety: internally synchronized; any thread, any number of holders.")},
    {Py_tp_dealloc, stealer_dealloc},
    {Py_tp_traverse, stealer_traverse},
    {Py_tp_methods, stealer_methods},
    {Py_sq_length, stealer_len},
    {0, NULL},
};

PyType_Spec stealer_spec = {
    .name = "runtime.lowlevel.Stealer",
    .basicsize = sizeof(StealerObject),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_IMMUTABLETYPE
             | Py_TPFLAGS_DISALLOW_INSTANTIATION,
    .slots = stealer_slots,
};
