/* The queue for work that comes from outside the workers, in priority lanes.
 *
 * Mirrors _core/injector.py: one first-in-first-out queue per lane, the most urgent
 * lane first; a lane more than half full of withdrawn entries is compacted. The count
 * of entries is also read without the lock, as a hint and as an arrival path.
 *
 * Thread safety: internally synchronized. No user code runs under the lock, and no
 * other lock is taken.
 *
 * Layer: native, no Python in it. Includes: platform.h.
 */
#ifndef RUNTIME_INJECTOR_H
#define RUNTIME_INJECTOR_H

#include "platform.h"

#include <string.h>

#define LANE_COUNT 3

typedef struct {
    void **entries;    /* a ring; NULL before the first entry */
    size_t capacity;   /* 0 or a power of two */
    size_t first;      /* position of the oldest entry */
    size_t length;
    size_t withdrawn;  /* how many entries are known to be empty */
} lane_t;

typedef struct {
    pthread_mutex_t lock;
    lane_t lanes[LANE_COUNT];     /* guarded by: lock */
    _Atomic size_t entry_count;   /* atomic: written under the lock, read by anyone */
} injector_t;

static inline void
injector_init(injector_t *injector)
{
    short_lock_init(&injector->lock);
    memset(injector->lanes, 0, sizeof(injector->lanes));
    atomic_init(&injector->entry_count, 0);
}

/* Free the lanes; the entries are the caller's. Nobody else is left. */
static inline void
injector_destroy(injector_t *injector)
{
    for (int i = 0; i < LANE_COUNT; i++) {
        free(injector->lanes[i].entries);
    }
    pthread_mutex_destroy(&injector->lock);
}

/* How many entries there were a moment ago, empty ones included. */
static inline size_t
injector_length(injector_t *injector)
{
    return atomic_load(&injector->entry_count);
}

static inline void **
lane_at(lane_t *lane, size_t position)
{
    return &lane->entries[(lane->first + position) & (lane->capacity - 1)];
}

/* Make the lock anew in a forked child. If a thread that is gone held it, the lanes may
 * be half changed: they are forgotten, with what is in them. */
static inline void
injector_after_fork(injector_t *injector)
{
    if (pthread_mutex_trylock(&injector->lock) != 0) {
        memset(injector->lanes, 0, sizeof(injector->lanes));
        atomic_store(&injector->entry_count, 0);
    }
    short_lock_init(&injector->lock);
}

/* Show every entry to `look`; the caller is the only thread. */
static inline void
injector_visit(injector_t *injector, void (*look)(void *entry))
{
    for (int i = 0; i < LANE_COUNT; i++) {
        for (size_t n = 0; n < injector->lanes[i].length; n++) {
            look(*lane_at(&injector->lanes[i], n));
        }
    }
}

/* Make room for `more` entries; false without memory, and nothing has changed. */
static inline bool
lane_reserve(lane_t *lane, size_t more)
{
    size_t capacity = lane->capacity > 0 ? lane->capacity : 64;
    while (capacity < lane->length + more) {
        capacity *= 2;
    }
    if (capacity == lane->capacity) {
        return true;
    }
    void **entries = malloc(capacity * sizeof(void *));
    if (entries == NULL) {
        return false;
    }
    for (size_t i = 0; i < lane->length; i++) {
        entries[i] = *lane_at(lane, i);
    }
    free(lane->entries);
    lane->entries = entries;
    lane->capacity = capacity;
    lane->first = 0;
    return true;
}

/* Add entries at the ends of their lanes, in order, as one step. False without
 * memory: none was added. */
static inline bool
injector_push_many(injector_t *injector, void *const *entries, size_t count,
                   int (*lane_of)(void *entry))
{
    size_t added[LANE_COUNT] = {0};
    for (size_t i = 0; i < count; i++) {
        added[lane_of(entries[i])] += 1;
    }
    bool has_room = true;
    pthread_mutex_lock(&injector->lock);
    for (int i = 0; i < LANE_COUNT && has_room; i++) {
        has_room = added[i] == 0 || lane_reserve(&injector->lanes[i], added[i]);
    }
    if (has_room) {
        for (size_t i = 0; i < count; i++) {
            lane_t *lane = &injector->lanes[lane_of(entries[i])];
            *lane_at(lane, lane->length) = entries[i];
            lane->length += 1;
        }
        /* Sequentially consistent, as the poster's look at the sleepers comes next. */
        atomic_fetch_add(&injector->entry_count, count);
    }
    pthread_mutex_unlock(&injector->lock);
    return has_room;
}

/* Take the oldest entry of the most urgent lane; NULL if all are empty. */
static inline void *
injector_pop(injector_t *injector)
{
    if (injector_length(injector) == 0) { /* RACE: the last look before sleep is not */
        return NULL;
    }
    void *entry = NULL;
    pthread_mutex_lock(&injector->lock);
    for (int i = 0; i < LANE_COUNT; i++) {
        lane_t *lane = &injector->lanes[i];
        if (lane->length > 0) {
            entry = *lane_at(lane, 0);
            lane->first = (lane->first + 1) & (lane->capacity - 1);
            lane->length -= 1;
            atomic_fetch_sub(&injector->entry_count, 1);
            break;
        }
    }
    pthread_mutex_unlock(&injector->lock);
    return entry;
}

/* Move the empty entries of a lane to `removed`, which has room for them all, and
 * close the ranks; returns how many. The caller holds the lock. */
static inline size_t
lane_compact(lane_t *lane, bool (*is_withdrawn)(void *entry), void **removed)
{
    size_t removed_count = 0;
    size_t kept = 0;
    for (size_t i = 0; i < lane->length; i++) {
        void *entry = *lane_at(lane, i);
        if (is_withdrawn(entry)) {
            removed[removed_count++] = entry;
        }
        else {
            *lane_at(lane, kept++) = entry;
        }
    }
    lane->length = kept;
    lane->withdrawn = 0;
    return removed_count;
}

/* Count one more empty entry, and compact its lane if that is worth it.
 *
 * `*removed` becomes the empty entries that were taken out, to be freed by the caller,
 * or NULL; returns how many. Without memory it compacts another time. */
static inline size_t
injector_note_withdrawn(injector_t *injector, int lane_index,
                        bool (*is_withdrawn)(void *entry), void ***removed)
{
    /* RACE: the entry may have been popped just before it was withdrawn; then the
     * count is one too high, a compaction comes a little early, and sets it right. */
    size_t removed_count = 0;
    *removed = NULL;
    pthread_mutex_lock(&injector->lock);
    lane_t *lane = &injector->lanes[lane_index];
    lane->withdrawn += 1;
    if (lane->length == 0) {
        lane->withdrawn = 0;
    }
    else if (2 * lane->withdrawn > lane->length) {
        *removed = malloc(lane->length * sizeof(void *));
        if (*removed != NULL) {
            removed_count = lane_compact(lane, is_withdrawn, *removed);
            atomic_fetch_sub(&injector->entry_count, removed_count);
        }
    }
    pthread_mutex_unlock(&injector->lock);
    return removed_count;
}

#endif
