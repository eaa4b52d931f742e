/* A worker's queue: the owner works at the bottom, thieves take from the top.
 *
 * Mirrors _core/deque.py. There the container's atomic operations do the work; here
 * it is the algorithm: two counters that only grow, `top` moved by a compare-and-swap
 * and `bottom` written by the owner alone. An index is used once, so a successful
 * swap of `top` from t to t + 1 means that the item read at t was still there.
 *
 * Source: Chase & Lev 2005; orderings after Le, Pop, Cohen, Zappa Nardelli 2013.
 * They put a sequentially consistent fence between an access to `bottom` and one to
 * `top`; here these accesses are sequentially consistent themselves, which costs the
 * same on x86-64, and which ThreadSanitizer understands. `deque_push` is too, because
 * the poster's look at the sleepers follows it (SLEEP.md, POST-1).
 *
 * Growing: the owner copies the items into a buffer twice as large. Thieves may still
 * read the old one, so it is kept until the deque dies: all old buffers together are
 * smaller than the one in use.
 *
 * Thread safety: push and pop by the owner; steal and length by anyone.
 *
 * Layer: native, no Python in it. Includes: platform.h.
 */
#ifndef RUNTIME_DEQUE_H
#define RUNTIME_DEQUE_H

#include "platform.h"

#ifndef DEQUE_FIRST_CAPACITY
#define DEQUE_FIRST_CAPACITY 64 /* a power of two; the stress tests use 2 */
#endif

typedef struct deque_buffer {
    struct deque_buffer *older; /* what this one has replaced */
    int64_t capacity;           /* a power of two */
    _Atomic(void *) slots[];
} deque_buffer_t;

typedef struct {
    _Alignas(CACHE_LINE) _Atomic int64_t top;    /* atomic: thieves, and the owner */
    _Alignas(CACHE_LINE) _Atomic int64_t bottom; /* atomic: written by the owner */
    _Atomic(deque_buffer_t *) buffer;            /* atomic: written by the owner */
} deque_t;

/* What came of an attempt to steal. RETRY: somebody else was faster. */
typedef enum { STEAL_GOT, STEAL_EMPTY, STEAL_RETRY } steal_t;

static inline deque_buffer_t *
deque_buffer_new(int64_t capacity, deque_buffer_t *older)
{
    size_t slots_bytes = (size_t)capacity * sizeof(_Atomic(void *));
    deque_buffer_t *buffer = malloc(sizeof(deque_buffer_t) + slots_bytes);
    if (buffer != NULL) {
        buffer->older = older;
        buffer->capacity = capacity;
    }
    return buffer;
}

static inline _Atomic(void *) *
deque_slot(deque_buffer_t *buffer, int64_t index)
{
    return &buffer->slots[index & (buffer->capacity - 1)];
}

/* Make an empty deque; false without memory. */
static inline bool
deque_init(deque_t *deque)
{
    atomic_init(&deque->top, 0);
    atomic_init(&deque->bottom, 0);
    deque_buffer_t *buffer = deque_buffer_new(DEQUE_FIRST_CAPACITY, NULL);
    atomic_init(&deque->buffer, buffer);
    return buffer != NULL;
}

/* Free the buffers, old ones too; the items are the caller's. Nobody else is left. */
static inline void
deque_destroy(deque_t *deque)
{
    deque_buffer_t *buffer = atomic_load_explicit(&deque->buffer, memory_order_relaxed);
    while (buffer != NULL) {
        deque_buffer_t *older = buffer->older;
        free(buffer);
        buffer = older;
    }
}

/* How many items there were a moment ago. */
static inline int64_t
deque_length(deque_t *deque)
{
    int64_t top = atomic_load(&deque->top);
    int64_t bottom = atomic_load(&deque->bottom);
    return bottom > top ? bottom - top : 0;
}

static inline deque_buffer_t *
deque_grow(deque_t *deque, deque_buffer_t *old, int64_t top, int64_t bottom)
{
    deque_buffer_t *buffer = deque_buffer_new(2 * old->capacity, old);
    if (buffer == NULL) {
        return NULL;
    }
    for (int64_t i = top; i < bottom; i++) {
        void *item = atomic_load_explicit(deque_slot(old, i), memory_order_relaxed);
        atomic_store_explicit(deque_slot(buffer, i), item, memory_order_relaxed);
    }
    /* ORDER: the items first; a thief that sees the buffer finds them in it. */
    atomic_store_explicit(&deque->buffer, buffer, memory_order_release);
    return buffer;
}

/* Add an item at the bottom; false without memory, and the item is still yours. */
static inline bool
deque_push(deque_t *deque, void *item)
{
    int64_t bottom = atomic_load_explicit(&deque->bottom, memory_order_relaxed);
    int64_t top = atomic_load_explicit(&deque->top, memory_order_acquire);
    deque_buffer_t *buffer = atomic_load_explicit(&deque->buffer, memory_order_relaxed);
    if (bottom - top >= buffer->capacity) {
        buffer = deque_grow(deque, buffer, top, bottom);
        if (buffer == NULL) {
            return false;
        }
    }
    atomic_store_explicit(deque_slot(buffer, bottom), item, memory_order_relaxed);
    /* ORDER: the item first; who sees the new bottom may read it. Sequentially
     * consistent because the poster's look at the sleepers comes next. */
    atomic_store(&deque->bottom, bottom + 1);
    return true;
}

/* Take the newest item; NULL if there is none. */
static inline void *
deque_pop(deque_t *deque)
{
    int64_t bottom = atomic_load_explicit(&deque->bottom, memory_order_relaxed) - 1;
    if (atomic_load_explicit(&deque->top, memory_order_acquire) > bottom) {
        return NULL; /* only thieves move top, and only up: it is empty */
    }
    deque_buffer_t *buffer = atomic_load_explicit(&deque->buffer, memory_order_relaxed);
    /* ORDER: take the place, then look at top. A thief looks at bottom after top, so
     * of owner and thief at the last item one sees the other. */
    atomic_store(&deque->bottom, bottom);
    int64_t top = atomic_load(&deque->top);
    void *item = NULL;
    if (top <= bottom) {
        item = atomic_load_explicit(deque_slot(buffer, bottom), memory_order_relaxed);
        if (top < bottom) {
            return item;
        }
        /* ATOMIC(top): the last item; a thief that was faster has it. */
        if (!atomic_compare_exchange_strong(&deque->top, &top, top + 1)) {
            item = NULL;
        }
    }
    atomic_store_explicit(&deque->bottom, bottom + 1, memory_order_release);
    return item;
}

/* Take the oldest item if `wants(item, data)`; a refused item counts as none. It is
 * asked before the item is won: it must not look into the item. */
static inline steal_t
deque_steal_if(deque_t *deque, bool (*wants)(void *item, void *data), void *data,
               void **item)
{
    int64_t top = atomic_load(&deque->top);
    int64_t bottom = atomic_load(&deque->bottom);
    if (top >= bottom) {
        return STEAL_EMPTY;
    }
    deque_buffer_t *buffer = atomic_load_explicit(&deque->buffer, memory_order_acquire);
    void *oldest = atomic_load_explicit(deque_slot(buffer, top), memory_order_relaxed);
    if (wants != NULL && !wants(oldest, data)) {
        return STEAL_EMPTY;
    }
    /* ATOMIC(top): of several thieves and the owner one wins the item. */
    if (!atomic_compare_exchange_strong(&deque->top, &top, top + 1)) {
        return STEAL_RETRY;
    }
    *item = oldest;
    return STEAL_GOT;
}

/* Take the oldest item. */
static inline steal_t
deque_steal(deque_t *deque, void **item)
{
    return deque_steal_if(deque, NULL, NULL, item);
}

/* Show every entry to `look`; the caller is the only thread. */
static inline void
deque_visit(deque_t *deque, void (*look)(void *entry))
{
    deque_buffer_t *buffer = atomic_load(&deque->buffer);
    int64_t bottom = atomic_load(&deque->bottom);
    for (int64_t i = atomic_load(&deque->top); i < bottom; i++) {
        look(atomic_load(deque_slot(buffer, i)));
    }
}

#endif
