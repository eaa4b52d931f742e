/* What the test programs share: a check that stays in optimised builds, threads. */
#ifndef CHECK_H
#define CHECK_H

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

#define CHECK(condition)                                                          \
    do {                                                                          \
        if (!(condition)) {                                                       \
            fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #condition);       \
            abort();                                                              \
        }                                                                         \
    } while (0)

#define MAX_THREADS 8

/* Run `body(0)`, `body(1)`, ... in threads and wait for all. */
static inline void
run_threads(int count, void *(*body)(void *))
{
    pthread_t threads[MAX_THREADS];
    CHECK(count <= MAX_THREADS);
    for (long i = 0; i < count; i++) {
        CHECK(pthread_create(&threads[i], NULL, body, (void *)i) == 0);
    }
    for (int i = 0; i < count; i++) {
        CHECK(pthread_join(threads[i], NULL) == 0);
    }
}

#endif
