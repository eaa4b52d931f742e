/* A question: what a running job asks home for, and waits for.
 *
 *     asker                                 home
 *     open it, post it                      drain: a handle with the frames
 *     wait at the latch                     reply, once; or the handle is dropped
 *     take the answer, release              release
 *
 * References are held by the asker, and by the outbox, which hands its own on to the
 * handle. Who closes a question, home with a reply or somebody who knows that none
 * will come, is decided under the lock of `shared_t`; the answer is stored first, then
 * the latch is set, which is the last access of whoever has no reference.
 *
 * Thread safety: as said at the fields.
 *
 * Layer: native, no Python in it. Includes: encoded.h, latch.h.
 */
#ifndef RUNTIME_QUESTION_H
#define RUNTIME_QUESTION_H

#include "encoded.h"
#include "latch.h"

typedef struct question {
    message_t message;
    _Atomic uint32_t refs;
    struct question *next; /* guarded by: the lock of shared_t; of those open */
    bool is_open;          /* guarded by: the lock of shared_t */
    uint64_t work_id;      /* immutable: of the job that asks */
    uint32_t worker_index; /* immutable */
    parcel_t *parcel;      /* immutable: what was sent */
    answer_t answer;       /* owner: who closes it, then the asker */
    parcel_t *reply;       /* as the answer; may be NULL */
    latch_t is_answered;
} question_t;

/* Make a question with two references, the asker's and the outbox's; takes over the
 * caller's reference to the parcel. NULL without memory. */
static inline question_t *
question_new(uint64_t work_id, uint32_t worker_index, parcel_t *parcel)
{
    question_t *question = calloc(1, sizeof(question_t));
    if (question != NULL) {
        atomic_init(&question->refs, 2);
        latch_init(&question->is_answered);
        question->work_id = work_id;
        question->worker_index = worker_index;
        question->parcel = parcel;
    }
    return question;
}

static inline void
question_release(question_t *question)
{
    if (atomic_fetch_sub(&question->refs, 1) == 1) {
        parcel_release(question->parcel);
        parcel_release(question->reply);
        free(question);
    }
}

#endif
