/* One home thread and workers at shared queues: jobs are injected, withdrawn, cut and
 * stolen; lent parcels come home; every entry comes back once. Some jobs are detached,
 * and asked for by a second thread of their worker, who waits for the reply. */
#define DEQUE_FIRST_CAPACITY 2
#include "shared_worker.h"

#include "check.h"

#ifndef RUNTIME_HAS_FUTEX
DEFINE_WORD_WAITERS;
#endif
DEFINE_SHARED_TABLE;

#include <poll.h>

enum { WORKS = 20000, FRAMES = 8 };

#ifndef HANG_SECONDS
#define HANG_SECONDS 60
#endif

static shared_t *shared;
static int worker_count;
static int lenders[WORKS + 1];
static _Atomic int frames_run;
static _Atomic int questions_asked;
static int questions_answered;
static int frames_withdrawn;
static int lent_home;

/* A worker's second thread: what it is to do with one detached job. */
typedef struct {
    pthread_t thread;
    bool is_busy; /* owner: the worker's first thread */
    shared_t *shared;
    seat_t *seat;
    uint64_t number;
    uint64_t id;
} helper_t;

static parcel_t *
parcel_with(uint64_t id)
{
    parcel_t *parcel = parcel_new(1, frame_room(sizeof(id)));
    parcel_fill(parcel, 0, &id, sizeof(id));
    return parcel;
}

static void *
ask_and_finish(void *argument)
{
    helper_t *helper = argument;
    CHECK(seat_begin_wait(helper->shared, helper->seat));
    question_t *question =
        question_new(helper->id, (uint32_t)(helper->seat - helper->shared->seats),
                     parcel_with(helper->id));
    atomic_fetch_add(&questions_asked, 1);
    seat_ask(helper->shared, helper->seat, question);
    CHECK((question->answer == ANSWER_VALUE) == (question->reply != NULL));
    if (question->reply != NULL) {
        CHECK(*(uint64_t *)(void *)question->reply->frames[0].data == helper->id);
    }
    question_release(question);
    seat_end_wait(helper->shared, helper->seat);
    CHECK(seat_finish_detached(helper->shared, helper->seat, helper->number,
                               ANSWER_VALUE, parcel_with(helper->id)));
    seat_recall(helper->shared, helper->seat);
    return NULL;
}

static void
wait_for(helper_t *helper)
{
    if (helper->is_busy) {
        CHECK(pthread_join(helper->thread, NULL) == 0);
        helper->is_busy = false;
    }
}

/* Detach what runs, and have the second thread ask for it and finish it. */
static void
have_helped(helper_t *helper, shared_t *mine, seat_t *seat, uint64_t id)
{
    wait_for(helper);
    *helper = (helper_t){.is_busy = true, .shared = mine, .seat = seat, .id = id};
    helper->number = seat_detach(mine, seat);
    CHECK(pthread_create(&helper->thread, NULL, ask_and_finish, helper) == 0);
}

static void *
work_at_seat(uint32_t index)
{
    helper_t helper = {.is_busy = false};
    shared_t *mine = shared_find(shared->handle);
    seat_t *seat = shared_take_seat(mine, index);
    CHECK(seat != NULL && shared_take_seat(mine, index) == NULL);
    encoded_t *job;
    for (;;) {
        /* ORDER: the flag first; a recall may come between the two. */
        bool is_over = atomic_load(&mine->is_stopping);
        if ((job = seat_next(mine, seat)) == NULL) {
            if (is_over) {
                break;
            }
            continue;
        }
        while (job->stop - job->start > 1) {
            CHECK(seat_share(mine, seat, (job->start + job->stop) / 2));
        }
        parcel_t *view = parcel_acquire(job->work->parcel);
        CHECK(view->frames[job->start].data[0] == (unsigned char)job->start);
        atomic_fetch_add(&frames_run, 1);
        uint64_t id = job->work->id;
        if (id % 7 == 0 && id % 2 == 0) { /* BROKEN while it runs beside the seat */
            seat_detach(mine, seat);
        }
        if (id % 7 == 0) {
            wait_for(&helper);
            shared_leave_seat(mine, seat); /* as if the interpreter had died */
            seat = shared_take_seat(mine, index);
        }
        else if (id % 101 == 0) {
            have_helped(&helper, mine, seat, id);
        }
        else {
            if (id % 5 == 0) {
                CHECK(seat_attach(mine, seat, seat_detach(mine, seat)));
            }
            seat_finish(mine, seat, ANSWER_VALUE, parcel_with(id));
        }
        parcel_release(view); /* a view may outlive its job */
    }
    wait_for(&helper);
    shared_leave_seat(mine, seat);
    shared_release(mine);
    return NULL;
}

static encoded_t *
send(uint64_t id)
{
    unsigned char content[FRAMES] = {0, 1, 2, 3, 4, 5, 6, 7};
    parcel_t *parcel = parcel_new(FRAMES + 1, FRAMES * FRAME_ALIGNMENT);
    for (size_t i = 0; i < FRAMES; i++) {
        parcel_fill(parcel, i, &content[i], 1);
    }
    parcel_lend(parcel, FRAMES, &lenders[id], sizeof(int), false);
    if (id % 2 == 0) {
        lenders[id] = 1;
        shared_set_lender(shared, parcel, &lenders[id]);
    }
    work_t *work = work_new(id, parcel);
    encoded_t *job = encoded_new(work, 0, FRAMES, (int)(id % LANE_COUNT));
    work_release(work);
    encoded_acquire(job);
    CHECK(shared_inject(shared, job));
    return job;
}

/* Reply, drop it, or close all that the worker's seat has asked. */
static void
answer_question(question_t *question)
{
    seat_t *seat = &shared->seats[question->worker_index];
    uint64_t id = *(uint64_t *)(void *)question->parcel->frames[0].data;
    CHECK(id == question->work_id);
    questions_answered += 1;
    if (id % 3 == 0) {
        shared_reply(shared, question, ANSWER_NONE, NULL);
    }
    else if (id % 4 == 0) {
        seat_hang_up(shared, seat);
        CHECK(!shared_reply(shared, question, ANSWER_VALUE, parcel_with(id)));
        pthread_mutex_lock(&shared->lock);
        seat->is_hung_up = false; /* as a new interpreter does */
        pthread_mutex_unlock(&shared->lock);
    }
    else {
        CHECK(shared_reply(shared, question, ANSWER_VALUE, parcel_with(id)));
        CHECK(!shared_reply(shared, question, ANSWER_NONE, NULL));
    }
    question_release(question);
}

/* Take what came back; returns how many pieces of work are over. */
static int
drain(void)
{
    int over = 0;
    message_t *message = outbox_take_all(&shared->outbox);
    while (message != NULL) {
        message_t *next = message->next;
        if (message->kind == MESSAGE_PARCEL) {
            parcel_t *parcel = (parcel_t *)message;
            CHECK(*(int *)parcel->lender == 1);
            *(int *)parcel->lender = 0;
            lent_home += 1;
            free(parcel);
        }
        else if (message->kind == MESSAGE_QUESTION) {
            answer_question((question_t *)message);
        }
        else {
            encoded_t *job = (encoded_t *)message;
            over += atomic_fetch_sub(&job->work->open_jobs, 1) == 1;
            if (job->answer == ANSWER_NONE) {
                frames_withdrawn += (int)(job->stop - job->start);
            }
            else {
                CHECK((job->answer == ANSWER_BROKEN) == (job->work->id % 7 == 0));
                CHECK((job->reply == NULL) == (job->answer == ANSWER_BROKEN));
            }
            encoded_release(job);
        }
        message = next;
    }
    return over;
}

/* Look by oneself, while nobody rings. */
static int
drain_hushed(void)
{
    outbox_hush(&shared->outbox, true);
    int over = drain();
    outbox_hush(&shared->outbox, false);
    return over;
}

/* Wait for the bell; returns how many pieces of work are over. */
static int
drain_next(void)
{
    struct pollfd bell = {.fd = shared->outbox.bell_out, .events = POLLIN};
    poll(&bell, 1, -1); /* a bell that does not ring is a hang */
    int over = drain();
    return over + drain_hushed();
}

static void *
be_home(void)
{
    int over = 0;
    for (uint64_t id = 1; id <= WORKS; id++) {
        encoded_t *job = send(id);
        if (id % 3 == 0) {
            shared_withdraw(shared, job);
        }
        encoded_release(job);
        over += drain_hushed();
        while (id % 5 == 0 && over < (int)id) {
            over += drain_next();
        }
    }
    while (over < WORKS || lent_home < WORKS / 2) {
        over += drain_next();
    }
    shared_stop(shared);
    return NULL;
}

static void *
body(void *index)
{
    return (long)index == worker_count ? be_home() : work_at_seat((uint32_t)(long)index);
}

int
main(int argc, char **argv)
{
    CHECK(argc == 2);
    alarm(HANG_SECONDS); /* a hang ends here, by a signal */
    worker_count = atoi(argv[1]) - 1;
    shared = shared_open((uint32_t)worker_count, 2, (uint32_t)worker_count);
    CHECK(shared != NULL);
    uint64_t handle = shared->handle;
    run_threads(worker_count + 1, body);
    CHECK(drain() == 0 && shared_take_any(shared) == NULL);
    CHECK(questions_answered > 0 && shared->open == NULL && shared->num_waiting == 0);
    CHECK(questions_answered <= atomic_load(&questions_asked));
    CHECK(atomic_load(&frames_run) + frames_withdrawn == WORKS * FRAMES);
    CHECK(sleep_num_sleeping(&shared->sleep) == 0);
    shared_release(shared);
    CHECK(shared_find(handle) == NULL);
    return 0;
}
