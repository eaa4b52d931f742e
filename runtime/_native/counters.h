/* What a worker counts about itself. Mirrors the live half of _core/stats.py.
 *
 * A worker adds to plain words that only it writes; the accesses are relaxed atomics,
 * which cost the same and let another thread copy them meanwhile. Each number of a
 * copy is one that was true; two numbers may be a moment apart.
 *
 * Layer: native, no Python in it. Includes: platform.h.
 */
#ifndef RUNTIME_COUNTERS_H
#define RUNTIME_COUNTERS_H

#include "platform.h"

/* Four buckets for each power of two, as in _core/stats.py. */
#define HISTOGRAM_SUB_BITS 2
#define HISTOGRAM_SUB (1 << HISTOGRAM_SUB_BITS)
#define HISTOGRAM_BUCKETS (64 * HISTOGRAM_SUB)

typedef _Atomic uint64_t counter_t; /* owner: one worker writes */

typedef struct {
    counter_t buckets[HISTOGRAM_BUCKETS];
} histogram_t;

typedef struct {
    counter_t jobs_executed;
    counter_t jobs_stolen;
    counter_t steal_attempts;
    counter_t parks;
    counter_t wake_ups;
    counter_t busy_ns;
    counter_t idle_ns;
    histogram_t queue_latency;
    histogram_t run_time;
} counters_t;

static inline uint64_t
counter_read(counter_t *counter)
{
    return atomic_load_explicit(counter, memory_order_relaxed);
}

static inline void
counter_add(counter_t *counter, uint64_t n)
{
    atomic_store_explicit(counter, counter_read(counter) + n, memory_order_relaxed);
}

/* The bucket of a duration in nanoseconds. */
static inline int
histogram_bucket_of(int64_t value_ns)
{
    if (value_ns < HISTOGRAM_SUB) {
        return value_ns > 0 ? (int)value_ns : 0;
    }
    int shift = 63 - __builtin_clzll((uint64_t)value_ns) - HISTOGRAM_SUB_BITS;
    return ((shift + 1) << HISTOGRAM_SUB_BITS)
           + (int)((value_ns >> shift) & (HISTOGRAM_SUB - 1));
}

static inline void
histogram_record(histogram_t *histogram, int64_t value_ns)
{
    counter_add(&histogram->buckets[histogram_bucket_of(value_ns)], 1);
}

#endif
