/* CancelToken: a request to stop, read by the job when it chooses to.
 *
 * Mirrors CancelToken in _core/job.py. The front end derives from it.
 *
 * Layer: native. Includes: native.h.
 */
#include "native.h"

static PyObject *
token_get_is_set(PyObject *self, void *Py_UNUSED(closure))
{
    return PyBool_FromLong(token_is_set((CancelTokenObject *)self));
}

static int
token_set_is_set(PyObject *self, PyObject *value, void *Py_UNUSED(closure))
{
    int is_set = value == NULL ? -1 : PyObject_IsTrue(value);
    if (is_set < 0) {
        if (value == NULL) {
            PyErr_SetString(PyExc_AttributeError, "is_set cannot be deleted");
        }
        return -1;
    }
    atomic_store_explicit(&((CancelTokenObject *)self)->is_set, is_set,
                          memory_order_release);
    return 0;
}

static void
token_dealloc(PyObject *self)
{
    PyTypeObject *type = Py_TYPE(self);
    type->tp_free(self);
    Py_DECREF(type);
}

static PyGetSetDef token_getset[] = {
    {"is_set", token_get_is_set, token_set_is_set,
     PyDoc_STR("Whether the job was asked to stop."), NULL},
    {0},
};

static PyType_Slot token_slots[] = {
    {Py_tp_doc, (void *)PyDoc_STR(
        "A request to stop, read by the job when it chooses to.\n\n"
        "Thread safety: atomic; any thread sets it, once set it stays set.")},
    {Py_tp_new, PyType_GenericNew},
    {Py_tp_dealloc, token_dealloc},
    {Py_tp_getset, token_getset},
    {0, NULL},
};

PyType_Spec cancel_token_spec = {
    .name = "runtime.lowlevel.CancelToken",
    .basicsize = sizeof(CancelTokenObject),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE | Py_TPFLAGS_IMMUTABLETYPE,
    .slots = token_slots,
};
