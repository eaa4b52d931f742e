/* One owner pushes and pops at random, thieves steal: each item comes out once. The
 * first buffer has two places, so that growing happens all the time. */
#define DEQUE_FIRST_CAPACITY 2
#include "deque.h"

#include "check.h"

#ifndef RUNTIME_HAS_FUTEX
DEFINE_WORD_WAITERS;
#endif

enum { ITEMS = 400000 };

static deque_t deque;
static _Atomic int taken[ITEMS + 1];
/* Plain memory, written before the push: only the push's order makes it readable. */
static uintptr_t content[ITEMS + 1];
static _Atomic bool is_over;

static void
note(void *item)
{
    CHECK(content[(uintptr_t)item] == (uintptr_t)item);
    CHECK(atomic_fetch_add(&taken[(uintptr_t)item], 1) == 0);
}

static void
own(void)
{
    uint32_t random = 12345;
    for (uintptr_t i = 1; i <= ITEMS; i++) {
        content[i] = i;
        CHECK(deque_push(&deque, (void *)i));
        random = random * 1664525 + 1013904223;
        /* Seldom more than one item: owner and thieves meet at the last one. */
        if ((random >> 16) % 8 > 0) {
            void *item = deque_pop(&deque);
            if (item != NULL) {
                note(item);
            }
        }
    }
    void *item;
    while ((item = deque_pop(&deque)) != NULL) {
        note(item);
    }
    atomic_store(&is_over, true);
}

static void *
body(void *index)
{
    if (index == NULL) {
        own();
        return NULL;
    }
    void *item;
    while (!atomic_load(&is_over)) {
        if (deque_steal(&deque, &item) == STEAL_GOT) {
            note(item);
        }
    }
    return NULL;
}

int
main(int argc, char **argv)
{
    CHECK(argc == 2 && deque_init(&deque));
    run_threads(atoi(argv[1]), body);
    CHECK(deque_length(&deque) == 0);
    for (int i = 1; i <= ITEMS; i++) {
        CHECK(atomic_load(&taken[i]) == 1);
    }
    deque_destroy(&deque);
    return 0;
}
