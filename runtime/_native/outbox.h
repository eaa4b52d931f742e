/* The way back: messages from any thread to the one that empties the box.
 *
 * A linked stack that only grows or is taken whole, so a compare-and-swap on its top
 * has no ABA problem. Whoever posts into an empty box rings the bell, a descriptor that
 * the reader's event loop watches: a burst of messages costs one wake-up.
 *
 *     poster                              reader
 *     push the message                    silence the bell
 *     box was empty? ring                 take all messages
 *
 * Nothing is left behind: a message that comes after the reader has taken all finds the
 * box empty, and rings. The bell may ring for nothing.
 *
 * A reader that looks by itself for a while *hushes* the bell: nobody rings, and it is
 * left as it is. At the end the reader rings itself for what it has not seen.
 *
 * Thread safety: `outbox_post` from any thread; all else by the reader.
 *
 * Layer: native, no Python in it. Includes: platform.h.
 */
#ifndef RUNTIME_OUTBOX_H
#define RUNTIME_OUTBOX_H

#include "platform.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#if defined(__linux__) && !defined(RUNTIME_NO_EVENTFD)
#define RUNTIME_HAS_EVENTFD 1
#include <sys/eventfd.h>
#endif

/* The first member of everything that can be posted. */
typedef struct message {
    struct message *next; /* owner: the poster, then the reader */
    int kind;             /* immutable: what it is a part of */
} message_t;

typedef struct {
    _Alignas(CACHE_LINE) _Atomic(message_t *) newest; /* atomic */
    _Atomic bool is_hushed; /* atomic: set and cleared by the reader */
    /* Until the box is closed, -1 then. */
    int bell_in;  /* immutable: written to ring; the same as bell_out with eventfd */
    int bell_out; /* immutable: readable while the bell rings */
} outbox_t;

/* Make an empty box; false without descriptors, errno says why. */
static inline bool
outbox_init(outbox_t *outbox)
{
    atomic_init(&outbox->newest, NULL);
    atomic_init(&outbox->is_hushed, false);
#ifdef RUNTIME_HAS_EVENTFD
    outbox->bell_in = outbox->bell_out = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    return outbox->bell_in >= 0;
#else
    int ends[2];
    if (pipe(ends) < 0) {
        outbox->bell_in = outbox->bell_out = -1;
        return false;
    }
    for (int i = 0; i < 2; i++) {
        fcntl(ends[i], F_SETFD, FD_CLOEXEC);
        fcntl(ends[i], F_SETFL, O_NONBLOCK);
    }
    outbox->bell_out = ends[0];
    outbox->bell_in = ends[1];
    return true;
#endif
}

/* Close the descriptors, if they are open; nobody else is left who could ring. */
static inline void
outbox_close(outbox_t *outbox)
{
    if (outbox->bell_in >= 0) {
        close(outbox->bell_in);
    }
    if (outbox->bell_out >= 0 && outbox->bell_out != outbox->bell_in) {
        close(outbox->bell_out);
    }
    outbox->bell_in = outbox->bell_out = -1;
}

static inline void
outbox_ring(outbox_t *outbox)
{
    /* A full pipe or counter rings already. */
    uint64_t one = 1;
    ssize_t written;
    do {
        written = write(outbox->bell_in, &one, sizeof(one));
    } while (written < 0 && errno == EINTR);
}

/* Leave a message for the reader. */
static inline void
outbox_post(outbox_t *outbox, message_t *message)
{
    message_t *newest = atomic_load_explicit(&outbox->newest, memory_order_relaxed);
    do {
        message->next = newest;
    } while (!atomic_compare_exchange_weak(&outbox->newest, &newest, message));
    /* ORDER: the message first; who hushed the bell looks at the box after that. */
    if (newest == NULL && !atomic_load(&outbox->is_hushed)) {
        outbox_ring(outbox);
    }
}

/* Say whether the reader looks by itself, so that nobody need ring. */
static inline void
outbox_hush(outbox_t *outbox, bool is_hushed)
{
    atomic_store(&outbox->is_hushed, is_hushed);
    /* ORDER: the flag first; who posts now rings, who has posted is seen here. */
    if (!is_hushed && atomic_load(&outbox->newest) != NULL) {
        outbox_ring(outbox);
    }
}

/* Take all messages, the oldest first; NULL if there is none. */
static inline message_t *
outbox_take_all(outbox_t *outbox)
{
    /* ORDER: the bell first; silenced after the box was emptied, it would swallow the
     * ring of a message that came in between. Silenced for an empty box, too: its
     * message may have been taken while the bell was hushed, or before it rang. */
    char rings[64];
    while (!atomic_load(&outbox->is_hushed)
           && read(outbox->bell_out, rings, sizeof(rings)) == (ssize_t)sizeof(rings)) {
    }
    message_t *message = atomic_exchange(&outbox->newest, NULL);
    message_t *oldest = NULL;
    while (message != NULL) {
        message_t *next = message->next;
        message->next = oldest;
        oldest = message;
        message = next;
    }
    return oldest;
}

#endif
