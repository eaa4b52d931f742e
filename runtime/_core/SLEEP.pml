/* The protocol of SLEEP.md, for the model checker spin.
 *
 * Spin tries every interleaving of the steps below. A step is one statement or one
 * `atomic` block, and touches what others see once; the labels are those of SLEEP.md.
 * Errors are: a job that lies in a queue with nobody responsible for it, or that is left
 * there when all workers have stopped, a count that is not what it means, a second token
 * in a parker, and a process that never ends although the order to stop was given.
 *
 *     spin -a runtime/_core/SLEEP.pml && cc -O2 -DSAFETY -o pan pan.c && ./pan
 *
 * WORKERS, POSTERS and CHILDREN set the size. NATIVE is the protocol as
 * _native/sleep.h has it: a poster looks at the counts before it takes the lock, and
 * the number of idle workers may change while somebody else holds the lock. BREAK_...
 * breaks one line; tests/model/test_sleep_spin.py shows that each of them is found.
 *
 * What the model leaves out: the order in which victims are tried and which sleeper
 * is the top of the stack (any will do), parking in short steps (a step that ends
 * without a token changes nothing), and memory orders weaker than sequential
 * consistency (the Python core has locks, the native one asks for no less).
 */

#ifndef WORKERS
#define WORKERS 2 /* or 3 */
#endif
#ifndef POSTERS
#define POSTERS 2 /* each posts one job */
#endif
#ifndef CHILDREN
#define CHILDREN 1 /* jobs that are pushed by a job */
#endif
#define INJECTOR WORKERS /* its place among the queues; the others are the deques */
#define NOBODY WORKERS

/* The arrival paths: how many jobs are in each queue, and the order to stop. */
byte queue[WORKERS + 1];
bool is_stopping;

/* What `Sleep` keeps. A section under its lock is one atomic step. Only the native
 * core has a section in which others may change something; it holds `is_locked`. */
bool is_locked;
short num_idle;
bool in_sleepers[WORKERS];
bool token[WORKERS];

/* What the properties speak of; the protocol never reads it. */
mtype = { ACTIVE, SEARCHING, SLEEPY, SLEEPING, STOPPED };
mtype phase[WORKERS];        /* written by the worker itself */
byte num_waiting;            /* jobs that wait for other jobs */
byte num_posting;            /* posters between POST-1 and POST-3 */
byte outstanding = POSTERS;  /* jobs not yet taken, posted or not */
byte children = CHILDREN;    /* not yet pushed */

#if WORKERS == 2
#define COUNT(array, what) ((array[0] == what) + (array[1] == what))
#define NUM_QUEUED (queue[0] + queue[1] + queue[INJECTOR])
#else
#define COUNT(array, what)                                                        \
    ((array[0] == what) + (array[1] == what) + (array[2] == what))
#define NUM_QUEUED (queue[0] + queue[1] + queue[2] + queue[INJECTOR])
#endif
#define NUM_SLEEPERS COUNT(in_sleepers, true)

/* Somebody will come to every job in a queue: a poster that has not finished waking, a
 * worker that searches or will (its token is on the way), one that looks for the last
 * time, or one that is active and whose job does not wait for another. */
#define SOMEBODY_IS_RESPONSIBLE                                                   \
    (num_posting > 0 || num_idle > 0 || COUNT(phase, SLEEPY) > 0                  \
     || COUNT(phase, ACTIVE) > num_waiting)
/* With nobody asleep all workers have jobs; a job in a queue then waits its turn. */
#define A_WAKE_UP_IS_LOST                                                         \
    (NUM_QUEUED > 0 && COUNT(phase, SLEEPING) > 0 && !is_stopping                 \
     && !SOMEBODY_IS_RESPONSIBLE)
/* Who gives the order to stop relies on what was posted before it being run. */
#define A_JOB_IS_LEFT                                                             \
    (NUM_QUEUED > 0 && COUNT(phase, STOPPED) == WORKERS)
/* Idle are those who search, and those who were taken from `sleepers`. */
#define NUM_IDLE_MEANS                                                            \
    (COUNT(phase, SEARCHING) + COUNT(phase, SLEEPY) + COUNT(phase, SLEEPING)      \
     - NUM_SLEEPERS)

/* Any one of the sleepers becomes `woken`, and idle. */
inline take_sleeper()
{
    if
    :: in_sleepers[0] -> woken = 0
    :: in_sleepers[1] -> woken = 1
#if WORKERS == 3
    :: in_sleepers[2] -> woken = 2
#endif
    fi;
    in_sleepers[woken] = false;
#ifndef BREAK_POST_2_COUNT
    num_idle++
#endif
}

/* POST-2 choose. `anyway`: even if somebody searches, for the order to stop. */
inline choose(anyway)
{
#ifndef NATIVE
    atomic {
        if
        :: (anyway || num_idle == 0) && NUM_SLEEPERS > 0 -> take_sleeper()
        :: else
        fi
    }
#else
    if
    :: !anyway && (num_idle > 0 || NUM_SLEEPERS == 0)
    :: else ->
        /* The sleepers stay as they are while the lock is held, the idle do not. */
        atomic { !is_locked -> is_locked = true };
        if
        :: (anyway || num_idle == 0) && NUM_SLEEPERS > 0 ->
            atomic { take_sleeper(); is_locked = false }
        :: else ->
            is_locked = false
        fi
    fi
#endif
}

/* POST-3 wake. */
inline wake()
{
    atomic {
        if
        :: woken != NOBODY ->
            assert(!token[woken]);
            token[woken] = true;
            woken = NOBODY
        :: else
        fi
    }
}

/* Search every queue once: the own deque, the others, the injector. */
inline find()
{
    at = me;
    do
    :: atomic {
        queue[at] > 0 -> queue[at]--; outstanding--; got_one = true; at = 0; break
       }
    :: atomic {
        queue[at] == 0 ->
        if
        :: at == INJECTOR -> at = 0; break
        :: else -> at = (at + 1) % WORKERS
        fi;
        if
        :: at == me -> at = INJECTOR
        :: else
        fi
       }
    od
}

/* Look at every arrival path, taking nothing. */
inline look()
{
#ifndef BREAK_LOOK_INJECTOR
    sees_work = queue[INJECTOR] > 0;
#endif
#ifndef BREAK_LOOK_DEQUES
    sees_work = sees_work || queue[(me + 1) % WORKERS] > 0;
#if WORKERS == 3
    sees_work = sees_work || queue[(me + 2) % WORKERS] > 0;
#endif
#endif
#ifndef BREAK_LOOK_STOP
    sees_work = sees_work || is_stopping
#endif
}

inline become_active()
{
#ifdef BREAK_SLEEP_2_ORDER
    look();
#endif
    atomic { /* SLEEP-2 active */
        num_idle--;
        phase[me] = ACTIVE;
        if
        :: num_idle == 0 && NUM_SLEEPERS > 0 -> is_last = true
        :: else
        fi
    };
    if
    :: is_last ->
        is_last = false;
#ifndef BREAK_SLEEP_2_ORDER
        look();
#endif
        if
        :: sees_work -> sees_work = false; choose(false); wake()
        :: else
        fi
    :: else
    fi
}

inline run_job()
{
    got_one = false;
    /* It may push another job ... */
    if
    :: atomic {
        children > 0 ->
        children--;
        queue[me]++; /* POST-1 own deque */
        outstanding++;
        num_posting++
       };
       choose(false);
       atomic { wake(); num_posting-- }
    :: true
    fi;
    /* ... and wait until all others have begun, if that leaves a worker for them. */
    if
    :: atomic { num_waiting < WORKERS - 1 -> num_waiting++ };
       atomic { outstanding == 0 || is_stopping -> num_waiting-- }
    :: true
    fi
}

proctype Worker(byte me)
{
    byte at, woken = NOBODY;
    bool got_one, sees_work, is_last, is_told;

next_job:
    find();
    if
    :: got_one -> run_job(); goto next_job
    :: else
    fi;
    atomic { num_idle++; phase[me] = SEARCHING }; /* SLEEP-1 idle */
search:
    /* The flag before the search: a job may be posted, and the order given, after a
     * search that found nothing. */
#ifndef BREAK_STOP_ORDER
    is_told = is_stopping;
#endif
    find();
#ifdef BREAK_STOP_ORDER
    is_told = is_stopping;
#endif
    if
    :: got_one -> is_told = false; become_active(); run_job(); goto next_job
    :: else
    fi;
    if
    :: is_told -> become_active(); goto stopped
    :: else
    fi;
#ifdef BREAK_SLEEP_4_ORDER
    look();
#endif
    atomic { /* SLEEP-3 sleepy */
        !is_locked;
        in_sleepers[me] = true;
        num_idle--;
        phase[me] = SLEEPY
    };
#if !defined(BREAK_SLEEP_4) && !defined(BREAK_SLEEP_4_ORDER)
    look();
#endif
    if
    :: sees_work ->
        sees_work = false;
        atomic { /* SLEEP-4 last look */
            !is_locked;
            if
            :: in_sleepers[me] ->
                in_sleepers[me] = false;
                num_idle++;
                phase[me] = SEARCHING;
                goto search
            :: else
            fi
        }
    :: else
    fi;
    phase[me] = SLEEPING;
    atomic { /* SLEEP-5 park */
        token[me];
        token[me] = false;
        phase[me] = SEARCHING
    };
    goto search;
stopped:
    phase[me] = STOPPED
}

/* Posts one job, unless the order to stop is faster: nothing is posted after it. */
proctype Poster()
{
    byte woken = NOBODY;

#ifdef BREAK_POST_ORDER
    choose(false);
#endif
    if
    :: atomic { !is_stopping -> queue[INJECTOR]++; num_posting++ }; /* POST-1 injector */
#ifndef BREAK_POST_ORDER
       choose(false);
#endif
       atomic { wake(); num_posting-- }
    :: is_stopping
    fi
}

/* Gives the order to stop, at any time. */
proctype Stopper()
{
    byte woken = NOBODY;

    is_stopping = true; /* POST-1 stop */
    do
    :: choose(true);
       if
       :: woken == NOBODY -> break
       :: else -> wake()
       fi
    od
}

/* Looks at every state; a failed assertion says by its name what is wrong. */
proctype Watch()
{
    bool wake_up_is_lost, job_is_left, num_idle_is_wrong;

end:
    if
    :: atomic {
        A_WAKE_UP_IS_LOST -> wake_up_is_lost = true; assert(!wake_up_is_lost)
       }
    :: atomic {
        A_JOB_IS_LEFT -> job_is_left = true; assert(!job_is_left)
       }
    :: atomic {
        num_idle != NUM_IDLE_MEANS || num_idle < 0 ->
        num_idle_is_wrong = true;
        assert(!num_idle_is_wrong)
       }
    fi
}

init
{
    byte i;

    atomic {
        for (i : 0 .. WORKERS - 1) {
            phase[i] = ACTIVE;
            run Worker(i)
        }
        for (i : 1 .. POSTERS) {
            run Poster()
        }
        run Stopper();
        run Watch()
    }
}
