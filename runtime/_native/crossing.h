/* What the files share that deal with encoded jobs: Python objects around them.
 *
 * Layer: native. Includes: native.h, shared_worker.h.
 */
#ifndef RUNTIME_CROSSING_H
#define RUNTIME_CROSSING_H

#include "native.h"
#include "shared_worker.h"

/* encoded.c */

typedef struct {
    PyObject_HEAD
    encoded_t *job; /* immutable; one reference */
} EncodedJobObject;

PyObject *encoded_job_view(native_state_t *state, encoded_t *job);
PyObject *frame_view(native_state_t *state, parcel_t *parcel, size_t index);
PyObject *frames_view(native_state_t *state, parcel_t *parcel, size_t start, size_t stop);

/* A parcel of copies of the buffers in a tuple, then views of those in another, which
 * may be NULL and else has to be kept as its lender; NULL with an exception set. */
parcel_t *parcel_of(PyObject *copied, PyObject *lent);

/* question.c */

/* Make home's handle on a question, which takes over a reference; NULL with an
 * exception set, and the question has no answer. */
PyObject *question_view(native_state_t *state, shared_t *shared, question_t *question);

#endif
