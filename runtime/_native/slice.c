/* set_time_slice: how long a thread may run before another one's turn comes.
 *
 * A thread that wakes up takes the core from a running one at once if its slice is the
 * shorter one; otherwise it may have to wait until that one's slice is over, some
 * milliseconds. So a worker, which computes, asks for long slices, and Trio's thread, which
 * wakes up now and then, goes first. Its share of the core stays what it is: this is no
 * priority, and anybody may do it.
 *
 * Linux from 6.12 on; it changes nothing elsewhere.
 *
 * Layer: native. Includes: native.h.
 */
#include "native.h"

#ifdef __linux__
#include <sched.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>
#endif

#if defined(SYS_sched_setattr) && defined(SYS_sched_getattr)

/* As the kernel has it; the C library may have no name for it. */
typedef struct {
    uint32_t size;
    uint32_t policy;
    uint64_t flags;
    int32_t nice;
    uint32_t priority;
    uint64_t runtime; /* of an ordinary thread: its slice; 0: the usual one */
    uint64_t deadline;
    uint64_t period;
} sched_attributes_t;

static bool
set_time_slice(uint64_t slice_ns)
{
    sched_attributes_t attributes = {.size = sizeof(attributes)};
    /* A filter of system calls may kill who makes an unusual one. */
    if (prctl(PR_GET_SECCOMP) != 0
        || syscall(SYS_sched_getattr, 0, &attributes, sizeof(attributes), 0) < 0
        || (attributes.policy != SCHED_OTHER && attributes.policy != SCHED_BATCH)) {
        return false;
    }
    attributes.runtime = slice_ns;
    return syscall(SYS_sched_setattr, 0, &attributes, 0) == 0;
}

#else

static bool
set_time_slice(uint64_t Py_UNUSED(slice_ns))
{
    return false;
}

#endif

PyObject *
native_set_time_slice(PyObject *Py_UNUSED(module), PyObject *number)
{
    unsigned long long slice_ns = PyLong_AsUnsignedLongLong(number);
    if (slice_ns == (unsigned long long)-1 && PyErr_Occurred()) {
        return NULL;
    }
    return PyBool_FromLong(set_time_slice(slice_ns));
}
