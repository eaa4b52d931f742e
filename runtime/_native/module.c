/* The module: its state, one per interpreter, and what it exports.
 *
 * Layer: native. Includes: native.h.
 */
#include "native.h"

#ifndef RUNTIME_HAS_FUTEX
DEFINE_WORD_WAITERS;
#endif

native_state_t *
state_of(PyTypeObject *type)
{
    /* Cannot fail: every type that comes here is one of ours or derived from one. */
    return PyModule_GetState(PyType_GetModuleByDef(type, &native_module));
}

/* outcome.Value(None), or NULL; checks that `outcome_new` may fill one by itself. */
static bool
import_outcome(native_state_t *state)
{
    PyObject *outcome = PyImport_ImportModule("outcome");
    if (outcome == NULL) {
        return false;
    }
    PyObject *value = PyObject_GetAttrString(outcome, "Value");
    PyObject *error = PyObject_GetAttrString(outcome, "Error");
    PyObject *no_memory = PyObject_CallNoArgs(PyExc_MemoryError);
    Py_DECREF(outcome);
    if (value == NULL || error == NULL || no_memory == NULL) {
        Py_XDECREF(value);
        Py_XDECREF(error);
        Py_XDECREF(no_memory);
        return false;
    }
    PyObject *spare = PyObject_CallOneArg(error, no_memory);
    Py_DECREF(no_memory);
    if (spare == NULL) {
        Py_DECREF(value);
        Py_DECREF(error);
        return false;
    }
    state->outcome_value = value;
    state->outcome_error = error;
    state->spare_error = spare;
    return true;
}

/* What a worker calls now and then; late, since that package imports this one. */
static bool
import_visit(native_state_t *state)
{
    PyObject *gil = PyImport_ImportModule("runtime._core.gil");
    PyObject *look = gil == NULL ? NULL : PyObject_GetAttrString(gil, "look");
    Py_XDECREF(gil);
    if (look != NULL) {
        Py_XSETREF(state->yield_to_python, look);
    }
    return look != NULL;
}

bool
state_prepare(native_state_t *state)
{
    return state->spare_error != NULL || (import_visit(state) && import_outcome(state));
}

void
state_visit_python(native_state_t *state)
{
    PyObject *result = PyObject_CallNoArgs(state->yield_to_python);
    if (result == NULL) {
        /* Thrown at this thread from outside, between two jobs: meant for neither. */
        PyErr_WriteUnraisable(state->yield_to_python);
    }
    Py_XDECREF(result);
}

static bool
add_type(PyObject *module, PyType_Spec *spec, PyTypeObject **type)
{
    *type = (PyTypeObject *)PyType_FromModuleAndSpec(module, spec, NULL);
    return *type != NULL && PyModule_AddType(module, *type) == 0;
}

static bool
add_stage_types(PyObject *module, native_state_t *state)
{
    for (int kind = 0; kind < STAGE_KINDS; kind++) {
        if (!add_type(module, &stage_specs[kind], &state->stage_types[kind])) {
            return false;
        }
    }
    return true;
}

static bool
add_types(PyObject *module, native_state_t *state)
{
    return add_type(module, &cancel_token_spec, &state->cancel_token_type)
           && add_type(module, &job_spec, &state->job_type)
           && add_type(module, &latch_spec, &state->latch_type)
           && add_type(module, &count_latch_spec, &state->count_latch_type)
           && add_type(module, &parker_spec, &state->parker_type)
           && add_type(module, &injector_spec, &state->injector_type)
           && add_type(module, &work_deque_spec, &state->work_deque_type)
           && add_type(module, &stealer_spec, &state->stealer_type)
           && add_type(module, &worker_spec, &state->worker_type)
           && add_type(module, &registry_spec, &state->registry_type)
           && add_type(module, &frame_spec, &state->frame_type)
           && add_type(module, &encoded_job_spec, &state->encoded_job_type)
           && add_type(module, &question_spec, &state->question_type)
           && add_type(module, &shared_queues_spec, &state->shared_queues_type)
           && add_type(module, &shared_worker_spec, &state->shared_worker_type)
           && add_type(module, &leaf_spec, &state->leaf_type)
           && add_type(module, &until_spec, &state->until_type)
           && add_stage_types(module, state);
}

/* Make what the machinery of iteration raises for its own use; see _core/signals.py. */
static bool
add_signals(PyObject *module, native_state_t *state)
{
    state->stop_raised = PyErr_NewExceptionWithDoc(
        "runtime.lowlevel.StopRaised",
        "The user's code raised a `StopIteration`: the only argument.", NULL, NULL);
    state->halted = PyErr_NewExceptionWithDoc(
        "runtime.lowlevel.Halted", "A leaf that is less than one position was told to stop.",
        PyExc_BaseException, NULL);
    return state->stop_raised != NULL && state->halted != NULL
           && PyModule_AddObjectRef(module, "StopRaised", state->stop_raised) == 0
           && PyModule_AddObjectRef(module, "Halted", state->halted) == 0;
}

/* Evaluate one expression in a namespace of its own. */
static PyObject *
evaluate(const char *expression)
{
    PyObject *globals = PyDict_New();
    PyObject *result = NULL;
    if (globals != NULL
        && PyDict_SetItemString(globals, "__builtins__", PyEval_GetBuiltins()) == 0) {
        result = PyRun_String(expression, Py_eval_input, globals, globals);
    }
    Py_XDECREF(globals);
    return result;
}

static int
native_exec(PyObject *module)
{
    native_state_t *state = PyModule_GetState(module);
    state->yield_to_python = evaluate("lambda: None");
    state->name_value = PyUnicode_InternFromString("value");
    state->name_error = PyUnicode_InternFromString("error");
    state->name_unwrapped = PyUnicode_InternFromString("_unwrapped");
    state->name_module = PyUnicode_InternFromString("__module__");
    state->name_qualname = PyUnicode_InternFromString("__qualname__");
    state->own_mark = PyContextVar_New("runtime.own_mark", NULL);
    state->name_copy = PyUnicode_InternFromString("copy");
    state->decimal_names[0] = PyUnicode_InternFromString("_decimal");
    state->decimal_names[1] = PyUnicode_InternFromString("_pydecimal");
    if (state->own_mark == NULL || state->decimal_names[0] == NULL
        || state->decimal_names[1] == NULL || state->name_copy == NULL
        || state->yield_to_python == NULL
        || state->name_value == NULL || state->name_error == NULL
        || state->name_unwrapped == NULL || state->name_module == NULL
        || state->name_qualname == NULL || !add_types(module, state)
        || !add_signals(module, state)
        || PyModule_AddIntMacro(module, LANE_COUNT) < 0
        || PyModule_AddIntConstant(module, "QUEUED", JOB_QUEUED) < 0
        || PyModule_AddIntConstant(module, "RUNNING", JOB_RUNNING) < 0
        || PyModule_AddIntConstant(module, "DONE", JOB_DONE) < 0
        || PyModule_AddIntConstant(module, "WITHDRAWN", JOB_WITHDRAWN) < 0) {
        return -1;
    }
    return 0;
}

static int
native_traverse(PyObject *module, visitproc visit, void *arg)
{
    native_state_t *state = PyModule_GetState(module);
    Py_VISIT((PyObject *)state->cancel_token_type);
    Py_VISIT((PyObject *)state->job_type);
    Py_VISIT((PyObject *)state->latch_type);
    Py_VISIT((PyObject *)state->count_latch_type);
    Py_VISIT((PyObject *)state->parker_type);
    Py_VISIT((PyObject *)state->injector_type);
    Py_VISIT((PyObject *)state->work_deque_type);
    Py_VISIT((PyObject *)state->stealer_type);
    Py_VISIT((PyObject *)state->worker_type);
    Py_VISIT((PyObject *)state->registry_type);
    Py_VISIT((PyObject *)state->frame_type);
    Py_VISIT((PyObject *)state->encoded_job_type);
    Py_VISIT((PyObject *)state->question_type);
    Py_VISIT((PyObject *)state->shared_queues_type);
    Py_VISIT((PyObject *)state->shared_worker_type);
    Py_VISIT((PyObject *)state->leaf_type);
    Py_VISIT((PyObject *)state->until_type);
    for (int kind = 0; kind < STAGE_KINDS; kind++) {
        Py_VISIT((PyObject *)state->stage_types[kind]);
    }
    Py_VISIT(state->outcome_value);
    Py_VISIT(state->outcome_error);
    Py_VISIT(state->spare_error);
    Py_VISIT(state->yield_to_python);
    Py_VISIT(state->stop_raised);
    Py_VISIT(state->halted);
    Py_VISIT(state->own_mark);
    for (int i = 0; i < DECIMAL_MODULES; i++) {
        Py_VISIT(atomic_load(&state->decimal_variables[i]));
    }
    return 0;
}

static int
native_clear(PyObject *module)
{
    native_state_t *state = PyModule_GetState(module);
    Py_CLEAR(state->cancel_token_type);
    Py_CLEAR(state->job_type);
    Py_CLEAR(state->latch_type);
    Py_CLEAR(state->count_latch_type);
    Py_CLEAR(state->parker_type);
    Py_CLEAR(state->injector_type);
    Py_CLEAR(state->work_deque_type);
    Py_CLEAR(state->stealer_type);
    Py_CLEAR(state->worker_type);
    Py_CLEAR(state->registry_type);
    Py_CLEAR(state->frame_type);
    Py_CLEAR(state->encoded_job_type);
    Py_CLEAR(state->question_type);
    Py_CLEAR(state->shared_queues_type);
    Py_CLEAR(state->shared_worker_type);
    Py_CLEAR(state->leaf_type);
    Py_CLEAR(state->until_type);
    for (int kind = 0; kind < STAGE_KINDS; kind++) {
        Py_CLEAR(state->stage_types[kind]);
    }
    Py_CLEAR(state->outcome_value);
    Py_CLEAR(state->outcome_error);
    Py_CLEAR(state->spare_error);
    Py_CLEAR(state->yield_to_python);
    Py_CLEAR(state->stop_raised);
    Py_CLEAR(state->halted);
    Py_CLEAR(state->own_mark);
    Py_CLEAR(state->name_copy);
    for (int i = 0; i < DECIMAL_MODULES; i++) {
        Py_XDECREF(atomic_exchange(&state->decimal_variables[i], NULL));
        Py_CLEAR(state->decimal_names[i]);
    }
    Py_CLEAR(state->name_value);
    Py_CLEAR(state->name_error);
    Py_CLEAR(state->name_unwrapped);
    Py_CLEAR(state->name_module);
    Py_CLEAR(state->name_qualname);
    return 0;
}

static void
native_free(void *module)
{
    native_clear(module);
}

static PyObject *
current_worker(PyObject *module, PyObject *Py_UNUSED(ignored))
{
    WorkerObject *worker = worker_current(PyModule_GetState(module));
    return Py_NewRef(worker != NULL ? (PyObject *)worker : Py_None);
}

static PyMethodDef native_functions[] = {
    {"current_worker", current_worker, METH_NOARGS,
     PyDoc_STR("Return the worker whose thread this is; None outside of one.")},
    {"call_each", (PyCFunction)(void (*)(void))native_call_each, METH_FASTCALL,
     PyDoc_STR("call_each(fn, items, results)\n--\n\n"
               "Call fn(item) for each item, each in a context of its own; append to results.")},
    {"check_cancelled", native_check_cancelled, METH_NOARGS,
     PyDoc_STR("check_cancelled()\n--\n\n"
               "End the calling job here if its result is no longer wanted.\n"
               "\n"
               "Call it now and then in a long job. A job is asked to stop when its waiter was\n"
               "cancelled, by `Job.cancel`, when another item of its batch failed, or by the end\n"
               "of its pool.\n"
               "\n"
               "Raises:\n"
               "  JobCancelled: the job was asked to stop. Let it pass: it is a `BaseException`,\n"
               "    so that ``except Exception`` does.\n"
               "  NotOnWorkerError: called outside a job.\n"
               "\n"
               "Cost: about as much as a function call.")},
    {"filter_mapped", (PyCFunction)(void (*)(void))native_filter_mapped, METH_FASTCALL,
     PyDoc_STR("filter_mapped(fn, items)\n--\n\n"
               "Yield fn(item) for each item where that is not None.")},
    {"filtered", (PyCFunction)(void (*)(void))native_filtered, METH_FASTCALL,
     PyDoc_STR("filtered(predicate, items)\n--\n\n"
               "Yield the items for which the predicate holds; with None, those that are\n"
               "true.")},
    {"flat_mapped", (PyCFunction)(void (*)(void))native_flat_mapped, METH_FASTCALL,
     PyDoc_STR("flat_mapped(fn, items, pace)\n--\n\n"
               "Yield the items of fn(item) for each item, end to end; a leaf is told of each.")},
    {"inspected", (PyCFunction)(void (*)(void))native_inspected, METH_FASTCALL,
     PyDoc_STR("inspected(fn, items)\n--\n\nYield each item after a call fn(item).")},
    {"mapped", (PyCFunction)(void (*)(void))native_mapped, METH_FASTCALL,
     PyDoc_STR("mapped(fn, items)\n--\n\nYield fn(item) for each item.")},
    {"star_mapped", (PyCFunction)(void (*)(void))native_star_mapped, METH_FASTCALL,
     PyDoc_STR("star_mapped(fn, items)\n--\n\nYield fn(*item) for each item.")},
    {"join", (PyCFunction)(void (*)(void))native_join, METH_FASTCALL,
     PyDoc_STR("Return (f(), g()), both called on workers, maybe at the same time.\n\n"
               "join(f, g) for f() and g(), join(f, x, g, y) for f(x) and g(y).")},
    {"own_context", native_own_context, METH_NOARGS,
     PyDoc_STR("Return a copy of the calling context for a call that runs elsewhere.")},
    {"pack", native_pack, METH_O,
     PyDoc_STR("Return a plain value as bytes; NotImplemented leaves it to pickle.")},
    {"set_time_slice", native_set_time_slice, METH_O,
     PyDoc_STR("Ask for time slices of so many ns for this thread, 0 for the usual;\n"
               "return whether the system could be asked.")},
    {"value_outcome", native_value_outcome, METH_O,
     PyDoc_STR("Return outcome.Value(value), made quicker.")},
    {"unpack", native_unpack, METH_O,
     PyDoc_STR("Return what was packed; NotImplemented if it was pickled.")},
    {0},
};

static PyModuleDef_Slot native_module_slots[] = {
    {Py_mod_exec, native_exec},
    {Py_mod_multiple_interpreters, Py_MOD_PER_INTERPRETER_GIL_SUPPORTED},
    {Py_mod_gil, Py_MOD_GIL_NOT_USED},
    {0, NULL},
};

struct PyModuleDef native_module = {
    PyModuleDef_HEAD_INIT,
    .m_name = "runtime._native.scheduler",
    .m_doc = PyDoc_STR("The scheduler's objects in C."),
    .m_size = sizeof(native_state_t),
    .m_methods = native_functions,
    .m_slots = native_module_slots,
    .m_traverse = native_traverse,
    .m_clear = native_clear,
    .m_free = native_free,
};

PyMODINIT_FUNC
PyInit_scheduler(void)
{
    return PyModuleDef_Init(&native_module);
}
