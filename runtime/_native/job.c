/* Job: one call, claimed by one side, with one outcome.
 *
 *     QUEUED --withdraw()--> WITHDRAWN        fn never called
 *        |
 *        +------run()------> RUNNING --> DONE    outcome stored, then delivered
 *
 * Mirrors _core/job.py. The claim is one compare-and-swap on `phase`. A thread that
 * wants to look at the call of a queued job takes `phase` to READ for the few
 * instructions in which it counts up what it found: a claim waits for that moment,
 * and so no reference is ever taken to something that the claim's winner frees.
 *
 * Layer: native. Includes: native.h.
 */
#include "native.h"

enum { NORMAL_LANE = 1 };

/* Move the job out of QUEUED; false if somebody else did. */
static bool
job_claim(JobObject *job, int phase)
{
    for (;;) {
        int seen = JOB_QUEUED;
        /* ATOMIC(phase): CLAIM-1 of a worker and a canceller one wins. */
        if (atomic_compare_exchange_strong(&job->phase, &seen, phase)) {
            return true;
        }
        if (seen != JOB_READ) {
            return false;
        }
        cpu_relax();
    }
}

void
job_after_fork(void *entry)
{
    int seen = JOB_READ;
    if (!entry_is_fork(entry)) {
        atomic_compare_exchange_strong(&((JobObject *)entry)->phase, &seen, JOB_QUEUED);
    }
}

/* Let go of the user's objects: memory, and their finalizers, are theirs. */
static void
job_drop_call(JobObject *job)
{
    Py_CLEAR(job->fn);
    Py_CLEAR(job->args);
    Py_CLEAR(job->context);
}

/* Put an outcome where None was; a job that was given up on has one already. */
static void
job_store_outcome(JobObject *job, PyObject *new_outcome)
{
    PyObject *old = Py_None;
    if (atomic_compare_exchange_strong(&job->outcome, &old, new_outcome)) {
        return; /* None is never freed, so nobody can be looking at something gone */
    }
    /* The readers' slow path takes this lock to count up what it found. */
    Py_BEGIN_CRITICAL_SECTION(job);
    old = atomic_exchange(&job->outcome, new_outcome);
    Py_END_CRITICAL_SECTION();
    Py_XDECREF(old);
}

bool
job_is_withdrawn(void *job)
{
    return atomic_load(&((JobObject *)job)->phase) == JOB_WITHDRAWN;
}

/* Take the job back; true if it had not begun and now never will. */
bool
job_withdraw(JobObject *job)
{
    if (!job_claim(job, JOB_WITHDRAWN)) {
        return false;
    }
    job_drop_call(job);
    return true;
}

/* Tell the sink that this entry has left the scheduler; false: the sink raised. */
bool
job_leave(JobObject *job)
{
    if (job->sink == Py_None) {
        return true;
    }
    PyObject *result = PyObject_CallOneArg(job->sink, (PyObject *)job);
    Py_XDECREF(result);
    return result != NULL;
}

/* Note the time of a push; false with TypeError if the job was never initialised. */
bool
job_prepare_push(JobObject *job, int64_t now_ns)
{
    if (job->token == NULL) {
        PyErr_SetString(PyExc_TypeError, "Job.__init__ was not called");
        return false;
    }
    job->pushed_ns = now_ns;
    return true;
}

static PyObject *
call_in_context(PyObject *fn, PyObject *args, PyObject *context)
{
    if (PyContext_Enter(context) < 0) {
        return NULL;
    }
    PyObject *value = PyObject_Vectorcall(fn, &PyTuple_GET_ITEM(args, 0),
                                          (size_t)PyTuple_GET_SIZE(args), NULL);
    if (PyContext_Exit(context) < 0) {
        Py_CLEAR(value);
    }
    if (value != NULL && is_unawaited(value)) {
        return refuse_coroutine(fn, value);
    }
    return value;
}

/* Run the job here and store its outcome; false if it was withdrawn.
 *
 * Whatever the call raises is its outcome, SystemExit and KeyboardInterrupt included:
 * the worker belongs to other jobs too. */
bool
job_run(native_state_t *state, JobObject *job)
{
    if (!job_claim(job, JOB_RUNNING)) {
        return false;
    }
    PyObject *fn = job->fn, *args = job->args, *context = job->context;
    job->fn = job->args = job->context = NULL;
    PyObject *value = call_in_context(fn, args, context);
    job_store_outcome(job, outcome_capture(state, value));
    Py_DECREF(fn);
    Py_DECREF(args);
    Py_DECREF(context);
    /* ORDER: the outcome first; who reads DONE may take it. */
    atomic_store(&job->phase, JOB_DONE);
    return true;
}

/* Make an outcome.Value or outcome.Error as their constructors do, only quicker: they
 * are frozen, so they are filled past their own __setattr__. */
static PyObject *
outcome_new(native_state_t *state, PyObject *type, PyObject *name, PyObject *content)
{
    PyObject *made = PyType_GenericAlloc((PyTypeObject *)type, 0);
    if (made != NULL
        && (PyObject_GenericSetAttr(made, name, content) < 0
            || PyObject_GenericSetAttr(made, state->name_unwrapped, Py_False) < 0)) {
        Py_CLEAR(made);
    }
    return made;
}

PyObject *
outcome_capture(native_state_t *state, PyObject *value)
{
    PyObject *made = NULL;
    if (value != NULL) {
        made = outcome_new(state, state->outcome_value, state->name_value, value);
        Py_DECREF(value);
    }
    if (made == NULL) { /* the call failed, or there was no memory for its outcome */
        PyObject *error = PyErr_GetRaisedException();
        made = outcome_new(state, state->outcome_error, state->name_error, error);
        Py_DECREF(error);
    }
    if (made == NULL) {
        PyErr_Clear();
        made = Py_NewRef(state->spare_error);
    }
    return made;
}

PyObject *
native_value_outcome(PyObject *module, PyObject *value)
{
    native_state_t *state = PyModule_GetState(module);
    return state_prepare(state)
               ? outcome_new(state, state->outcome_value, state->name_value, value)
               : NULL;
}

/* The type */

static JobObject *
as_job(PyObject *self)
{
    return (JobObject *)self;
}

static bool
job_assign_lane(JobObject *self, long lane)
{
    if (lane < 0 || lane >= LANE_COUNT) {
        PyErr_Format(PyExc_ValueError, "lane must be in range(%d), not %ld", LANE_COUNT,
                     lane);
        return false;
    }
    self->lane = (int)lane;
    return true;
}

static int
job_init(PyObject *op, PyObject *args, PyObject *kwargs)
{
    static char *keywords[] = {"fn", "args", "context", "token", "sink", "lane", NULL};
    JobObject *self = as_job(op);
    PyObject *fn, *call_args, *context, *token = Py_None, *sink = Py_None;
    int lane = NORMAL_LANE;
    native_state_t *state = state_of(Py_TYPE(op));
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "OO!O!|$OOi:Job", keywords, &fn,
                                     &PyTuple_Type, &call_args, &PyContext_Type,
                                     &context, &token, &sink, &lane)) {
        return -1;
    }
    if (self->token != NULL) {
        PyErr_SetString(PyExc_RuntimeError, "a Job is initialised once");
        return -1;
    }
    if (!job_assign_lane(self, lane) || !state_prepare(state)) {
        return -1;
    }
    if (token == Py_None) {
        token = PyType_GenericAlloc(state->cancel_token_type, 0);
        if (token == NULL) {
            return -1;
        }
    }
    else if (!PyObject_TypeCheck(token, state->cancel_token_type)) {
        PyErr_Format(PyExc_TypeError, "token must be a CancelToken, not %R", token);
        return -1;
    }
    else {
        Py_INCREF(token);
    }
    self->fn = Py_NewRef(fn);
    self->args = Py_NewRef(call_args);
    self->context = Py_NewRef(context);
    self->sink = Py_NewRef(sink);
    self->token = (CancelTokenObject *)token;
    return 0;
}

static PyObject *
job_new(PyTypeObject *type, PyObject *Py_UNUSED(args), PyObject *Py_UNUSED(kwargs))
{
    PyObject *self = PyType_GenericAlloc(type, 0);
    if (self != NULL) {
        atomic_init(&as_job(self)->outcome, Py_NewRef(Py_None));
    }
    return self;
}

static int
job_traverse(PyObject *op, visitproc visit, void *arg)
{
    JobObject *self = as_job(op);
    Py_VISIT(Py_TYPE(op));
    Py_VISIT(self->fn);
    Py_VISIT(self->args);
    Py_VISIT(self->context);
    Py_VISIT(atomic_load_explicit(&self->outcome, memory_order_relaxed));
    Py_VISIT((PyObject *)self->token);
    Py_VISIT(self->sink);
    return 0;
}

static int
job_clear(PyObject *op)
{
    JobObject *self = as_job(op);
    job_drop_call(self);
    Py_XDECREF(atomic_exchange(&self->outcome, Py_NewRef(Py_None)));
    Py_CLEAR(self->sink);
    self->sink = Py_NewRef(Py_None);
    return 0;
}

static void
job_dealloc(PyObject *op)
{
    JobObject *self = as_job(op);
    PyTypeObject *type = Py_TYPE(op);
    PyObject_GC_UnTrack(op);
    job_drop_call(self);
    Py_XDECREF(atomic_load_explicit(&self->outcome, memory_order_relaxed));
    Py_XDECREF(self->token);
    Py_XDECREF(self->sink);
    type->tp_free(op);
    Py_DECREF(type);
}

static PyObject *
job_run_method(PyObject *self, PyObject *Py_UNUSED(ignored))
{
    return PyBool_FromLong(job_run(state_of(Py_TYPE(self)), as_job(self)));
}

static PyObject *
job_withdraw_method(PyObject *self, PyObject *Py_UNUSED(ignored))
{
    return PyBool_FromLong(job_withdraw(as_job(self)));
}

static PyObject *
job_leave_method(PyObject *self, PyObject *Py_UNUSED(ignored))
{
    if (!job_leave(as_job(self))) {
        return NULL;
    }
    Py_RETURN_NONE;
}

static PyObject *
job_get_phase(PyObject *self, void *Py_UNUSED(closure))
{
    int phase = atomic_load(&as_job(self)->phase);
    return PyLong_FromLong(phase == JOB_READ ? JOB_QUEUED : phase);
}

static PyObject *
job_get_lane(PyObject *self, void *Py_UNUSED(closure))
{
    return PyLong_FromLong(as_job(self)->lane);
}

static int
job_set_lane(PyObject *self, PyObject *value, void *Py_UNUSED(closure))
{
    long lane = value == NULL ? -1 : PyLong_AsLong(value);
    if (lane == -1 && PyErr_Occurred()) {
        return -1;
    }
    return job_assign_lane(as_job(self), lane) ? 0 : -1;
}

/* fn, args or context of a job that nobody has claimed; None afterwards. */
static PyObject *
job_get_call(PyObject *op, void *offset)
{
    JobObject *self = as_job(op);
    if (!job_claim(self, JOB_READ)) {
        Py_RETURN_NONE;
    }
    PyObject *found = *(PyObject **)((char *)op + (size_t)offset);
    found = Py_NewRef(found != NULL ? found : Py_None);
    atomic_store(&self->phase, JOB_QUEUED);
    return found;
}

static PyObject *
job_complete_method(PyObject *op, PyObject *new_outcome)
{
    JobObject *job = as_job(op);
    if (!job_claim(job, JOB_RUNNING)) {
        Py_RETURN_FALSE;
    }
    job_drop_call(job);
    job_store_outcome(job, Py_NewRef(new_outcome));
    /* ORDER: the outcome first; who reads DONE may take it. */
    atomic_store(&job->phase, JOB_DONE);
    Py_RETURN_TRUE;
}

static PyMethodDef job_methods[] = {
    {"run", job_run_method, METH_NOARGS,
     PyDoc_STR("Run the job here and store its outcome; False if it was withdrawn.")},
    {"complete", job_complete_method, METH_O,
     PyDoc_STR("Store the outcome of a call made elsewhere; False if it was "
               "withdrawn.")},
    {"withdraw", job_withdraw_method, METH_NOARGS,
     PyDoc_STR("Take the job back; True if it had not begun and now never will.")},
    {"leave", job_leave_method, METH_NOARGS,
     PyDoc_STR("Tell the sink that this entry has left the scheduler.")},
    {"__class_getitem__", Py_GenericAlias, METH_O | METH_CLASS, NULL},
    {0},
};

static PyGetSetDef job_getset[] = {
    {"lane", job_get_lane, job_set_lane,
     PyDoc_STR("Priority lane; set before the push only."), NULL},
    {"phase", job_get_phase, NULL, PyDoc_STR("Where the job is."), NULL},
    {"fn", job_get_call, NULL, PyDoc_STR("The function; None once claimed."),
     (void *)offsetof(JobObject, fn)},
    {"args", job_get_call, NULL, PyDoc_STR("Its arguments; None once claimed."),
     (void *)offsetof(JobObject, args)},
    {"context", job_get_call, NULL, PyDoc_STR("Its context; None once claimed."),
     (void *)offsetof(JobObject, context)},
    {0},
};

static PyMemberDef job_members[] = {
    {"outcome", Py_T_OBJECT_EX, offsetof(JobObject, outcome), 0, NULL},
    {"token", Py_T_OBJECT_EX, offsetof(JobObject, token), Py_READONLY, NULL},
    {"sink", Py_T_OBJECT_EX, offsetof(JobObject, sink), Py_READONLY, NULL},
    {"pushed_ns", Py_T_LONGLONG, offsetof(JobObject, pushed_ns), 0, NULL},
    {0},
};

static PyType_Slot job_slots[] = {
    {Py_tp_doc, (void *)PyDoc_STR(
        "Job(fn, args, context, *, token=None, sink=None, lane=1)\n--\n\n"
        "A call on its way through the scheduler.\n\n"
        "Thread safety: withdraw and phase from any thread; run by workers.")},
    {Py_tp_new, job_new},
    {Py_tp_init, job_init},
    {Py_tp_dealloc, job_dealloc},
    {Py_tp_traverse, job_traverse},
    {Py_tp_clear, job_clear},
    {Py_tp_methods, job_methods},
    {Py_tp_getset, job_getset},
    {Py_tp_members, job_members},
    {0, NULL},
};

PyType_Spec job_spec = {
    .name = "runtime.lowlevel.Job",
    .basicsize = sizeof(JobObject),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE | Py_TPFLAGS_HAVE_GC
             | Py_TPFLAGS_IMMUTABLETYPE,
    .slots = job_slots,
};
