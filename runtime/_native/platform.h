/* What the operating system and the compiler have to give: cache lines, a pause,
 * a clock, and waiting on a word of memory.
 *
 * `word_wait` sleeps while a word has a value; `word_wake` wakes who sleeps there.
 * Both may be wrong in one way only: a wait may end without a reason. On Linux they
 * are futex calls; elsewhere one process-wide lock and condition do, correct and
 * slower. A wake may come after its word is gone: only the address is used.
 *
 * Layer: native, no Python in it. Includes: nothing of ours.
 */
#ifndef RUNTIME_PLATFORM_H
#define RUNTIME_PLATFORM_H

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <time.h>

#if defined(__linux__) && !defined(RUNTIME_NO_FUTEX)
#define RUNTIME_HAS_FUTEX 1
#include <limits.h>
#include <linux/futex.h>
#include <sys/syscall.h>
#include <unistd.h>
#endif

/* Two lines of 64 bytes: some processors fetch them in pairs. */
#define CACHE_LINE 128

#define NS_PER_S INT64_C(1000000000)

static inline void
cpu_relax(void)
{
#if defined(__x86_64__) || defined(__i386__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ __volatile__("yield");
#endif
}

/* The clock of time.perf_counter_ns. */
static inline int64_t
clock_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * NS_PER_S + now.tv_nsec;
}

/* Memory that begins on a cache line of its own; NULL if there is none left. */
static inline void *
allocate_lines(size_t size)
{
    void *memory;
    return posix_memalign(&memory, CACHE_LINE, size) == 0 ? memory : NULL;
}

/* A lock for sections of a few instructions: spins a little before it sleeps. */
static inline void
short_lock_init(pthread_mutex_t *lock)
{
#ifdef __GLIBC__
    pthread_mutexattr_t attributes;
    pthread_mutexattr_init(&attributes);
    pthread_mutexattr_settype(&attributes, PTHREAD_MUTEX_ADAPTIVE_NP);
    pthread_mutex_init(lock, &attributes);
    pthread_mutexattr_destroy(&attributes);
#else
    pthread_mutex_init(lock, NULL);
#endif
}

#ifdef RUNTIME_HAS_FUTEX

/* Sleep while `*word == expected`, for at most `timeout_ns`; below 0 for ever. */
static inline void
word_wait(_Atomic uint32_t *word, uint32_t expected, int64_t timeout_ns)
{
    struct timespec timeout = {
        .tv_sec = timeout_ns / NS_PER_S,
        .tv_nsec = timeout_ns % NS_PER_S,
    };
    syscall(SYS_futex, word, FUTEX_WAIT_PRIVATE, expected,
            timeout_ns < 0 ? NULL : &timeout, NULL, 0);
}

/* Wake everybody who sleeps on the word. */
static inline void
word_wake(_Atomic uint32_t *word)
{
    syscall(SYS_futex, word, FUTEX_WAKE_PRIVATE, INT_MAX, NULL, NULL, 0);
}

#else

/* Process-wide, shared by all words; one per file that includes this one would not
 * do, so module.c and each test program define it once. */
typedef struct {
    pthread_mutex_t lock;
    pthread_cond_t changed;
} word_waiters_t;

extern word_waiters_t word_waiters;

#define DEFINE_WORD_WAITERS                                                       \
    word_waiters_t word_waiters = {PTHREAD_MUTEX_INITIALIZER,                     \
                                   PTHREAD_COND_INITIALIZER}

static inline void
word_wait(_Atomic uint32_t *word, uint32_t expected, int64_t timeout_ns)
{
    struct timespec deadline;
    clock_gettime(CLOCK_REALTIME, &deadline); /* a condition's default clock */
    if (timeout_ns >= 0) {
        deadline.tv_sec += timeout_ns / NS_PER_S;
        deadline.tv_nsec += timeout_ns % NS_PER_S;
        if (deadline.tv_nsec >= NS_PER_S) {
            deadline.tv_sec += 1;
            deadline.tv_nsec -= NS_PER_S;
        }
    }
    pthread_mutex_lock(&word_waiters.lock);
    if (atomic_load(word) == expected) {
        if (timeout_ns < 0) {
            pthread_cond_wait(&word_waiters.changed, &word_waiters.lock);
        }
        else {
            pthread_cond_timedwait(&word_waiters.changed, &word_waiters.lock,
                                   &deadline);
        }
    }
    pthread_mutex_unlock(&word_waiters.lock);
}

static inline void
word_wake(_Atomic uint32_t *word)
{
    (void)word;
    /* ORDER: the word was changed before; who holds the lock has yet to look at it
     * or is waiting by now. */
    pthread_mutex_lock(&word_waiters.lock);
    pthread_cond_broadcast(&word_waiters.changed);
    pthread_mutex_unlock(&word_waiters.lock);
}

#endif

#ifndef DEFINE_WORD_WAITERS
#define DEFINE_WORD_WAITERS struct word_waiters_not_needed
#endif

#endif
