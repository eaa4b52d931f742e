/* check_cancelled: end the calling job if its result is no longer wanted.
 *
 * Mirrors _core/cancel.py. What does not raise is a thread-local read and two loads;
 * what does goes to Python.
 *
 * Layer: native. Includes: native.h.
 */
#include "native.h"

void
raise_not_on_worker(const char *function, const char *instead)
{
    PyObject *errors = PyImport_ImportModule("runtime._errors");
    PyObject *type =
        errors == NULL ? NULL : PyObject_GetAttrString(errors, "NotOnWorkerError");
    PyObject *error =
        type == NULL ? NULL : PyObject_CallFunction(type, "ss", function, instead);
    if (error != NULL) {
        PyErr_SetObject(type, error);
    }
    Py_XDECREF(error);
    Py_XDECREF(type);
    Py_XDECREF(errors);
}

/* Call a function without arguments of runtime._core.cancel, for what it raises. */
static PyObject *
call_in_python(const char *name)
{
    PyObject *module = PyImport_ImportModule("runtime._core.cancel");
    PyObject *result = module == NULL ? NULL : PyObject_CallMethod(module, name, NULL);
    Py_XDECREF(module);
    return result;
}

PyObject *
native_check_cancelled(PyObject *module, PyObject *Py_UNUSED(ignored))
{
    WorkerObject *worker = worker_current(PyModule_GetState(module));
    JobObject *job = worker == NULL ? NULL : worker_own_job(worker);
    if (job == NULL) {
        return call_in_python("raise_not_on_worker");
    }
    if (token_is_set(job->token)) {
        return call_in_python("raise_cancelled");
    }
    Py_RETURN_NONE;
}
