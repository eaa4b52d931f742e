"""What our errors are to `except`, to pickle and to copy."""

import copy
import pickle
import subprocess
import sys

import jobs
import pytest
import trio

import runtime

ERRORS = [
    runtime.ParallelError("text"),
    runtime.TaskFailed("text"),
    runtime.TaskCancelled("job", runtime.CancelReason.SHUTDOWN),
    runtime.BackpressureExceeded("processor", 1.5),
    runtime.PoolClosedError("pool"),
    runtime.BrokenWorkerError("text"),
    runtime.CrossingError("text"),
    runtime.BackendUnavailableError("interpreters", "no"),
    runtime.DeadlockError("text"),
    runtime.NotOnWorkerError("f()", "g()", place="there"),
    runtime.WrongThreadError("pool", "g()"),
    runtime.InternalError("text"),
    runtime.JobCancelled(),
    runtime.JobInterrupted(),
]


def test_there_is_one_of_each():
    named = (getattr(runtime, name) for name in runtime.__all__)
    kinds = {
        kind
        for kind in named
        if isinstance(kind, type) and issubclass(kind, BaseException)
    }
    assert kinds == {type(error) for error in ERRORS}


def of_pickle(error):
    return pickle.loads(pickle.dumps(error))


@pytest.mark.parametrize("make_again", [of_pickle, copy.copy])
@pytest.mark.parametrize("error", ERRORS, ids=lambda error: type(error).__name__)
def test_an_error_keeps_all_it_says(error, make_again):
    error.add_note("a note")
    made = make_again(error)
    del error.__notes__
    assert type(made) is type(error)
    assert str(made) == str(error)
    assert made.args == error.args
    assert vars(made) == {**vars(error), "__notes__": ["a note"]}


async def test_an_error_comes_out_of_a_job_as_it_is(single):
    error = runtime.TaskCancelled("job", runtime.CancelReason.SHUTDOWN)
    with pytest.raises(runtime.TaskCancelled) as info:
        await single.spawn_cpu_work(jobs.raise_error, error)
    assert str(info.value) == str(error)
    assert info.value.reason is runtime.CancelReason.SHUTDOWN


async def test_a_closed_pool_is_a_closed_resource(open_pool):
    async with open_pool(1) as pool:
        pass
    with pytest.raises(trio.ClosedResourceError, match="is closed"):
        await pool.spawn_cpu_work(jobs.double, 1)


async def test_a_closed_pools_error_out_of_a_job_is_one_too(single):
    with pytest.raises(trio.ClosedResourceError, match="pool 'other' is closed"):
        await single.spawn_cpu_work(jobs.raise_closed_without_trio, "other")


def test_a_closed_sync_pool_is_a_closed_resource():
    with runtime.open_sync_pool(1) as pool:
        pass
    with pytest.raises(trio.ClosedResourceError):
        pool.run(jobs.double, 1)


def test_what_cannot_cross_is_a_pickling_error():
    assert issubclass(runtime.CrossingError, pickle.PicklingError)
    assert issubclass(runtime.CrossingError, TypeError)


def test_the_errors_alone_do_not_load_trio():
    code = (
        "import sys, runtime\n"
        "runtime.PoolClosedError('p'), runtime.CrossingError('c')\n"
        "assert not {'trio', 'pickle'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)
