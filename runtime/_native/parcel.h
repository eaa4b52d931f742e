/* Bytes on their way between interpreters, in memory that belongs to the process.
 *
 * A parcel is a row of frames that never change once it was sent. Most frames are
 * copies inside the parcel. A *lent* frame is memory of the sender's interpreter,
 * whose owner may be touched only there: when the last reference goes, wherever that
 * is, a parcel with lent frames is not freed but given back to its sender.
 *
 * Thread safety: immutable, but for the count.
 *
 * Layer: native, no Python in it. Includes: outbox.h.
 */
#ifndef RUNTIME_PARCEL_H
#define RUNTIME_PARCEL_H

#include "outbox.h"

#include <string.h>

/* Frames begin here, so that numbers of any size may lie in them. */
#define FRAME_ALIGNMENT 16

typedef struct {
    unsigned char *data;
    size_t size;
    bool is_readonly;
} frame_t;

typedef struct parcel {
    message_t message; /* for the way back to the sender */
    _Atomic uint32_t refs;
    /* The sender's object that lends frames, untouched by anyone else; NULL: none. */
    void *lender;
    /* Called instead of free, where there is a lender. */
    void (*give_back)(struct parcel *parcel);
    void *home; /* for give_back */
    size_t frame_count;
    unsigned char *unused; /* owner: the sender, while it fills the parcel */
    frame_t frames[];
} parcel_t;

static inline size_t
frame_room(size_t size)
{
    return (size + FRAME_ALIGNMENT - 1) & ~(size_t)(FRAME_ALIGNMENT - 1);
}

/* Make a parcel with room for copies of `room` bytes, the sum of `frame_room` of each;
 * one reference; NULL without memory. */
static inline parcel_t *
parcel_new(size_t frame_count, size_t room)
{
    size_t header = frame_room(sizeof(parcel_t) + frame_count * sizeof(frame_t));
    parcel_t *parcel = malloc(header + room);
    if (parcel != NULL) {
        memset(parcel, 0, sizeof(parcel_t));
        atomic_init(&parcel->refs, 1);
        parcel->frame_count = frame_count;
        parcel->unused = (unsigned char *)parcel + header;
    }
    return parcel;
}

/* Copy bytes into a frame. */
static inline void
parcel_fill(parcel_t *parcel, size_t index, const void *data, size_t size)
{
    frame_t *frame = &parcel->frames[index];
    *frame = (frame_t){.data = parcel->unused, .size = size};
    memcpy(frame->data, data, size);
    parcel->unused += frame_room(size);
}

/* Make a frame of memory that stays where it is; the parcel needs a lender. */
static inline void
parcel_lend(parcel_t *parcel, size_t index, void *data, size_t size, bool is_readonly)
{
    parcel->frames[index] =
        (frame_t){.data = data, .size = size, .is_readonly = is_readonly};
}

static inline parcel_t *
parcel_acquire(parcel_t *parcel)
{
    atomic_fetch_add_explicit(&parcel->refs, 1, memory_order_relaxed);
    return parcel;
}

static inline void
parcel_release(parcel_t *parcel)
{
    if (parcel == NULL || atomic_fetch_sub(&parcel->refs, 1) > 1) {
        return;
    }
    if (parcel->lender != NULL) {
        parcel->give_back(parcel);
    }
    else {
        free(parcel);
    }
}

#endif
