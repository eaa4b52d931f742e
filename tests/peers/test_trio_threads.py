"""Trio's own tests of its threads, with our pool in place of its thread cache."""

import importlib.util

from peers import shim
from peers.borrow import borrow

# A module of its own, so that Trio's stays as it is.
SPEC = importlib.util.find_spec("trio._tests.test_threads")
THEIRS = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(THEIRS)

for name in (
    "from_thread_check_cancelled",
    "from_thread_run",
    "from_thread_run_sync",
    "to_thread_run_sync",
):
    setattr(THEIRS, name, getattr(shim, name))

NAMED = "a worker's thread has the name of its pool, not of the call"
WORDED = "it is refused in other words, which name the function and the right call"
JOB_CANCELLED = (
    "`check_cancelled` raises `JobCancelled`: a `trio.Cancelled` belongs to one task, "
    "and nothing outside of Trio may raise it"
)

DIFFERS = {
    "test_named_thread": NAMED,
    "test_named_thread_os": NAMED,
    "test_run_in_worker_thread": NAMED,
    "test_trio_to_thread_run_sync_expected_error": WORDED,
    "test_trio_from_thread_run": WORDED,
    "test_trio_from_thread_run_sync": WORDED,
    "test_from_thread_run_during_shutdown": "a pool that is first used while its run "
    "ends is closed",
    "test_from_thread_check_cancelled_no_abandon": JOB_CANCELLED,
    "test_from_thread_check_cancelled_abandon_on_cancel": JOB_CANCELLED,
}
LEAVES_OUT = {
    "test_run_in_worker_thread_cancellation": "a call that is cancelled before it "
    "began never runs, and the test waits for it",
    "test_run_in_worker_thread_abandoned": "no abandoned job outlives its run, and the "
    "test ends the job behind it",
    "test_run_in_worker_thread_fail_to_spawn": "spoils Trio's thread cache",
    "test_wait_all_threads_completed": "counts Trio's threads",
    "test_wait_all_threads_completed_no_threads": "counts Trio's threads",
    "test_has_pthread_setname_np": "is of Trio's thread cache",
}

borrow(THEIRS, globals(), differs=DIFFERS, leaves_out=LEAVES_OUT)
