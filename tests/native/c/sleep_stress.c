/* Workers that sleep as SLEEP.md says, posters that post one item at a time and wait
 * for it: a lost wake-up is an item that nobody takes, and the program hangs. */
#include "injector.h"
#include "latch.h"
#include "sleep.h"

#include "check.h"

#ifndef RUNTIME_HAS_FUTEX
DEFINE_WORD_WAITERS;
#endif

#include <unistd.h>

enum { ROUNDS = 4000 };

#ifndef HANG_SECONDS
#define HANG_SECONDS 60
#endif

typedef struct {
    latch_t done;
} item_t;

static injector_t injector;
static sleep_state_t state;
static parker_t parkers[MAX_THREADS];
static int worker_count;
static int thread_count;
static _Atomic int posters_left;
static _Atomic bool is_stopping;

static int
lane_of(void *entry)
{
    return (int)((uintptr_t)entry / sizeof(item_t) % LANE_COUNT);
}

static bool
sees_work(void)
{
    return injector_length(&injector) > 0 || atomic_load(&is_stopping);
}

static void
go_to_sleep(parker_t *parker)
{
#ifdef WIDE_WINDOW
    usleep(50); /* a poster that comes now sees an idle worker and wakes nobody */
#endif
    sleep_become_sleepy(&state, parker);
#ifndef WITHOUT_LAST_LOOK
    if (sees_work() && sleep_stay_awake(&state, parker, false)) {
        return;
    }
#endif
    parker_park(parker, -1);
}

static item_t *
next_item(parker_t *parker)
{
    sleep_become_idle(&state);
    for (;;) {
        item_t *item = injector_pop(&injector);
        if (item != NULL || atomic_load(&is_stopping)) {
            if (sleep_become_active(&state) && sees_work()) {
                sleep_work_posted(&state);
            }
            return item;
        }
        go_to_sleep(parker);
    }
}

static void
post(void)
{
    for (int i = 0; i < ROUNDS; i++) {
        item_t item;
        void *entry = &item;
        latch_init(&item.done);
        CHECK(injector_push_many(&injector, &entry, 1, lane_of));
        sleep_work_posted(&state);
        while (!latch_wait(&item.done, NS_PER_S)) {
        }
    }
    if (atomic_fetch_sub(&posters_left, 1) == 1) {
        atomic_store(&is_stopping, true);
        sleep_wake_all(&state);
    }
}

static void *
body(void *index)
{
    long i = (long)index;
    if (i >= worker_count) {
        post();
        return NULL;
    }
    item_t *item;
    while ((item = next_item(&parkers[i])) != NULL) {
        latch_set(&item->done);
    }
    return NULL;
}

int
main(int argc, char **argv)
{
    CHECK(argc == 2);
    alarm(HANG_SECONDS); /* a hang ends here, by a signal */
    thread_count = atoi(argv[1]);
    worker_count = thread_count / 2;
    atomic_store(&posters_left, thread_count - worker_count);
    injector_init(&injector);
    CHECK(sleep_init(&state, (size_t)worker_count, (size_t)worker_count));
    for (int i = 0; i < worker_count; i++) {
        parker_init(&parkers[i]);
    }
    run_threads(thread_count, body);
    CHECK(injector_length(&injector) == 0);
    CHECK(sleep_num_sleeping(&state) == 0);
    injector_destroy(&injector);
    sleep_destroy(&state);
    return 0;
}
