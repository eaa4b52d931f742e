/* Two threads that wake each other in turn: no token is lost, none is made up. */
#include "parker.h"

#include "check.h"

#ifndef RUNTIME_HAS_FUTEX
DEFINE_WORD_WAITERS;
#endif

#include <unistd.h>

enum { ROUNDS = 10000, HANG_SECONDS = 60 };

static parker_t parkers[2];
static _Atomic int turn;

static void *
body(void *index)
{
    long me = (long)index;
    for (int i = 0; i < ROUNDS; i++) {
        /* Every third wait has a limit; one that times out changes nothing. */
        while (!parker_park(&parkers[me], i % 3 == 0 ? 1000 : -1)) {
        }
        CHECK(atomic_load(&turn) == me);
        atomic_store(&turn, (int)(1 - me));
        parker_unpark(&parkers[1 - me]);
    }
    return NULL;
}

int
main(void)
{
    alarm(HANG_SECONDS);
    parker_init(&parkers[0]);
    parker_init(&parkers[1]);
    CHECK(!parker_park(&parkers[0], 0));
    parker_unpark(&parkers[0]);
    parker_unpark(&parkers[0]); /* one token, not two */
    run_threads(2, body);
    CHECK(parker_park(&parkers[0], 0)); /* the last unpark of the other */
    CHECK(!parker_park(&parkers[0], 0));
    return 0;
}
