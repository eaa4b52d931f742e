/* The frozen copies of a worker's counters that others read.
 *
 * Mirrors WorkerCounters.snapshot in _core/stats.py, whose classes it fills.
 *
 * Layer: native. Includes: native.h.
 */
#include "native.h"

static PyObject *
histogram_snapshot(PyObject *stats, histogram_t *histogram)
{
    uint64_t count = 0;
    PyObject *buckets = PyTuple_New(HISTOGRAM_BUCKETS);
    for (Py_ssize_t i = 0; buckets != NULL && i < HISTOGRAM_BUCKETS; i++) {
        uint64_t in_bucket = counter_read(&histogram->buckets[i]);
        PyObject *number = PyLong_FromUnsignedLongLong(in_bucket);
        if (number == NULL) {
            Py_CLEAR(buckets);
            break;
        }
        count += in_bucket;
        PyTuple_SET_ITEM(buckets, i, number);
    }
    if (buckets == NULL) {
        return NULL;
    }
    PyObject *snapshot = PyObject_CallMethod(stats, "HistogramSnapshot", "KO",
                                             (unsigned long long)count, buckets);
    Py_DECREF(buckets);
    return snapshot;
}

PyObject *
worker_snapshot(PyObject *stats, WorkerObject *worker)
{
    counters_t *counters = &worker->core->counters;
    PyObject *queue_latency = histogram_snapshot(stats, &counters->queue_latency);
    PyObject *run_time =
        queue_latency == NULL ? NULL : histogram_snapshot(stats, &counters->run_time);
    PyObject *snapshot = NULL;
    if (run_time != NULL) {
        snapshot = PyObject_CallMethod(
            stats, "WorkerStatistics", "nKKKKKKKOO", worker->index,
            (unsigned long long)counter_read(&counters->jobs_executed),
            (unsigned long long)counter_read(&counters->jobs_stolen),
            (unsigned long long)counter_read(&counters->steal_attempts),
            (unsigned long long)counter_read(&counters->parks),
            (unsigned long long)counter_read(&counters->wake_ups),
            (unsigned long long)counter_read(&counters->busy_ns),
            (unsigned long long)counter_read(&counters->idle_ns), queue_latency,
            run_time);
    }
    Py_XDECREF(queue_latency);
    Py_XDECREF(run_time);
    return snapshot;
}
