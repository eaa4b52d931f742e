/* Threads push, withdraw and pop: each entry comes out once, popped or compacted. */
#include "injector.h"

#include "check.h"

#ifndef RUNTIME_HAS_FUTEX
DEFINE_WORD_WAITERS;
#endif

enum { PER_THREAD = 5000 };

typedef struct {
    _Atomic bool is_withdrawn;
    _Atomic int times_out;
} entry_t;

static injector_t injector;
static entry_t entries[MAX_THREADS][PER_THREAD];

static int
lane_of(void *entry)
{
    return (int)((uintptr_t)entry / sizeof(entry_t) % LANE_COUNT);
}

static bool
is_withdrawn(void *entry)
{
    return atomic_load(&((entry_t *)entry)->is_withdrawn);
}

static void
note(void *entry)
{
    CHECK(atomic_fetch_add(&((entry_t *)entry)->times_out, 1) == 0);
}

static void
withdraw(entry_t *entry)
{
    void **removed;
    atomic_store(&entry->is_withdrawn, true);
    size_t count =
        injector_note_withdrawn(&injector, lane_of(entry), is_withdrawn, &removed);
    for (size_t i = 0; i < count; i++) {
        CHECK(is_withdrawn(removed[i]));
        note(removed[i]);
    }
    free(removed);
}

static void *
body(void *index)
{
    entry_t *mine = entries[(long)index];
    for (int i = 0; i < PER_THREAD; i++) {
        void *entry = &mine[i];
        CHECK(injector_push_many(&injector, &entry, 1, lane_of));
        if (i % 3 != 0) {
            withdraw(entry);
        }
        else if (i % 2 == 0 && (entry = injector_pop(&injector)) != NULL) {
            note(entry);
        }
    }
    return NULL;
}

int
main(int argc, char **argv)
{
    CHECK(argc == 2);
    int thread_count = atoi(argv[1]);
    injector_init(&injector);
    run_threads(thread_count, body);
    void *entry;
    while ((entry = injector_pop(&injector)) != NULL) {
        note(entry);
    }
    for (int i = 0; i < thread_count; i++) {
        for (int j = 0; j < PER_THREAD; j++) {
            CHECK(atomic_load(&entries[i][j].times_out) == 1);
        }
    }
    injector_destroy(&injector);
    return 0;
}
