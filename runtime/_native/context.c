/* What runs apart: in a copy of the calling context that nobody else sees.
 *
 * Mirrors _context.py. A copy of a context shares the objects in it. The one in the
 * standard library that is made to be changed is decimal's context, so it is copied,
 * too, where there is one; its variable has no public name and is found by what
 * `getcontext()` sets in an empty context.
 *
 * On free-threaded builds each copy counts a reference to what holds the variables, and
 * workers that count the same object get in each other's way. So before many copies
 * are made what holds the variables is made anew by this thread, and so is what it shares.
 *
 * Layer: native. Includes: native.h.
 */
#include "native.h"

/* The one variable that `getcontext()` sets in an empty context; NULL with an exception
 * set, or without one if there is none. */
static PyObject *
find_variable(PyObject *getcontext)
{
    PyObject *context = PyContext_New();
    if (context == NULL || PyContext_Enter(context) < 0) {
        Py_XDECREF(context);
        return NULL;
    }
    PyObject *made = PyObject_CallNoArgs(getcontext);
    Py_XDECREF(made);
    PyObject *variable = NULL;
    if (PyContext_Exit(context) == 0 && made != NULL) {
        PyObject *variables = PyObject_GetIter(context);
        variable = variables == NULL ? NULL : PyIter_Next(variables);
        Py_XDECREF(variables);
    }
    Py_DECREF(context);
    return variable;
}

/* The variable of a module of decimal's; NULL if it was not imported. */
static PyObject *
find_decimal(PyObject *module_name)
{
    PyObject *module = NULL, *getcontext = NULL, *found = NULL;
    PyObject *modules = PyImport_GetModuleDict(); /* borrowed */
    /* While another thread imports it, it may have no `getcontext` yet. */
    if (PyDict_GetItemRef(modules, module_name, &module) > 0
        && PyObject_GetOptionalAttrString(module, "getcontext", &getcontext) >= 0) {
        found = getcontext == NULL ? NULL : find_variable(getcontext);
    }
    Py_XDECREF(module);
    Py_XDECREF(getcontext);
    PyErr_Clear(); /* what cannot be found is not in use */
    return found;
}

/* Find decimal's variables, if the current context may have one. */
static void
find_decimals(native_state_t *state)
{
    for (int i = 0; i < DECIMAL_MODULES; i++) {
        PyObject *known = atomic_load(&state->decimal_variables[i]);
        PyObject *found = known == NULL ? find_decimal(state->decimal_names[i]) : NULL;
        /* ATOMIC(slot): of two threads that found it one keeps its reference there. */
        if (found != NULL
            && !atomic_compare_exchange_strong(&state->decimal_variables[i], &known,
                                               found)) {
            Py_DECREF(found);
        }
    }
}

/* Give the current context a copy of decimal's, if it has one. */
static bool
copy_decimal(native_state_t *state, PyObject *variable)
{
    PyObject *shared = NULL;
    if (PyContextVar_Get(variable, NULL, &shared) < 0) {
        return false;
    }
    if (shared == NULL) {
        return true;
    }
    PyObject *own = PyObject_CallMethodNoArgs(shared, state->name_copy);
    PyObject *token = own == NULL ? NULL : PyContextVar_Set(variable, own);
    Py_XDECREF(token);
    Py_XDECREF(own);
    Py_DECREF(shared);
    return token != NULL;
}

/* Give the current context copies of all that it shares. */
static bool
copy_decimals(native_state_t *state)
{
    for (int i = 0; i < DECIMAL_MODULES; i++) {
        PyObject *variable = atomic_load(&state->decimal_variables[i]);
        if (variable != NULL && !copy_decimal(state, variable)) {
            return false;
        }
    }
    return true;
}

/* Enter a context and copy what it shares; false with an exception set. */
static bool
enter_apart(native_state_t *state, PyObject *context)
{
    if (PyContext_Enter(context) < 0) {
        return false;
    }
    if (!copy_decimals(state)) {
        PyContext_Exit(context);
        return false;
    }
    return true;
}

PyObject *
context_take_apart(native_state_t *state, PyObject *context)
{
    find_decimals(state);
    if (!enter_apart(state, context) || PyContext_Exit(context) < 0) {
        Py_CLEAR(context);
    }
    return context;
}

/* Call for one item in a copy of the calling context, and keep the result. */
static bool
call_for_item(native_state_t *state, PyObject *fn, PyObject *item, bool is_empty,
              PyObject *results)
{
    PyObject *context = PyContext_CopyCurrent(), *value = NULL;
    if (context != NULL
        && (is_empty ? PyContext_Enter(context) == 0 : enter_apart(state, context))) {
        value = PyObject_CallOneArg(fn, item);
        if (PyContext_Exit(context) < 0) {
            Py_CLEAR(value);
        }
    }
    Py_XDECREF(context);
    bool is_kept = value != NULL && PyList_Append(results, value) == 0;
    Py_XDECREF(value);
    return is_kept;
}

PyObject *
native_own_context(PyObject *module, PyObject *Py_UNUSED(ignored))
{
    return context_apart(PyModule_GetState(module));
}

/* Make ready for many copies of the current context, which nobody else sees. */
static bool
prepare_copies(native_state_t *state, bool *is_empty)
{
    PyObject *context = PyContext_CopyCurrent();
    if (context == NULL) {
        return false;
    }
    *is_empty = is_empty_context(context);
    Py_DECREF(context);
    if (*is_empty) {
        return true;
    }
    find_decimals(state);
    /* Each change makes an object anew. */
    PyObject *token =
        copy_decimals(state) ? PyContextVar_Set(state->own_mark, Py_None) : NULL;
    bool is_done = token != NULL && PyContextVar_Reset(state->own_mark, token) == 0;
    Py_XDECREF(token);
    return is_done;
}

PyObject *
native_call_each(PyObject *module, PyObject *const *args, Py_ssize_t nargs)
{
    native_state_t *state = PyModule_GetState(module);
    if (nargs != 3 || !PyList_Check(args[2])) {
        PyErr_SetString(PyExc_TypeError, "write call_each(fn, items, [])");
        return NULL;
    }
    PyObject *items = PyObject_GetIter(args[1]);
    if (items == NULL) {
        return NULL;
    }
    PyObject *item = NULL;
    bool is_empty, goes_on = prepare_copies(state, &is_empty);
    while (goes_on && (item = PyIter_Next(items)) != NULL) {
        goes_on = call_for_item(state, args[0], item, is_empty, args[2]);
        Py_DECREF(item);
    }
    Py_DECREF(items);
    if (PyErr_Occurred()) {
        return NULL;
    }
    Py_RETURN_NONE;
}
