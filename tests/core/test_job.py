import contextvars
import gc
import traceback
import weakref

import outcome
import pytest
from helpers import check_permitted, run_threaded

from runtime._core import DONE, QUEUED, RUNNING, WITHDRAWN, CancelToken, Job

variable = contextvars.ContextVar("variable", default="unset")


class Thing:
    """Something a weak reference can point to."""


def make(fn, *args, **options):
    return Job(fn, args, contextvars.copy_context(), **options)


def fail(error):
    raise error


def test_run_stores_the_value():
    job = make(divmod, 7, 2)
    assert job.phase == QUEUED
    assert job.run()
    assert job.phase == DONE
    assert job.outcome == outcome.Value((3, 1))


@pytest.mark.parametrize(
    "kind",
    [
        ValueError,
        SystemExit,
        KeyboardInterrupt,
        GeneratorExit,
        MemoryError,
        RecursionError,
        StopIteration,
    ],
)
def test_run_stores_whatever_is_raised(kind):
    error = kind("why")
    job = make(fail, error)
    assert job.run()
    assert job.phase == DONE
    assert isinstance(job.outcome, outcome.Error)
    assert job.outcome.error is error


def test_run_error_shows_the_user_s_frames_and_none_of_ours():
    job = make(fail, ValueError("why"))
    job.run()
    frames = traceback.extract_tb(job.outcome.error.__traceback__)
    assert [frame.name for frame in frames] == ["fail"]


def test_run_error_that_has_no_frame_of_the_user_s_is_stored():
    job = make(int, "x")
    job.run()
    assert isinstance(job.outcome.error, ValueError)
    assert job.outcome.error.__traceback__ is None


def test_run_happens_once():
    calls = []
    job = make(calls.append, 1)
    assert [job.run(), job.run(), job.withdraw()] == [True, False, False]
    assert calls == [1]
    assert job.phase == DONE


def test_complete_stores_the_outcome_of_a_call_made_elsewhere():
    job = make(fail, ValueError())
    assert job.complete(outcome.Value(3))
    assert (job.phase, job.outcome) == (DONE, outcome.Value(3))
    assert not job.complete(outcome.Value(4))
    withdrawn = make(int)
    assert withdrawn.withdraw()
    assert not withdrawn.complete(outcome.Value(3))


def test_withdraw_before_the_run_wins():
    calls = []
    job = make(calls.append, 1)
    assert [job.withdraw(), job.run(), job.withdraw()] == [True, False, False]
    assert calls == []
    assert job.phase == WITHDRAWN
    assert job.outcome is None


def test_withdraw_while_it_runs_loses():
    seen = []

    def body():
        seen.append((job.phase, job.withdraw()))

    job = make(body)
    job.run()
    assert seen == [(RUNNING, False)]
    assert job.phase == DONE


def test_race_run_vs_withdraw_has_one_winner():
    for _ in range(100):
        calls = []
        job = make(calls.append, 1)
        answers = run_threaded(job.run, job.withdraw)
        won = (*answers, len(calls), job.phase)
        check_permitted(won, {(True, False, 1, DONE), (False, True, 0, WITHDRAWN)})


def test_run_inside_its_context_and_leaves_the_caller_s_alone():
    context = contextvars.Context()
    context.run(variable.set, "pushed")
    seen = []

    def body():
        seen.append(variable.get())
        variable.set("changed")

    Job(body, (), context).run()
    assert seen == ["pushed"]
    assert variable.get() == "unset"


def test_run_coroutine_function_says_where_it_belongs():
    async def body():
        """Never runs."""

    job = make(body)
    job.run()
    error = job.outcome.error
    assert isinstance(error, TypeError)
    assert str(error).endswith(f"await pool.spawn({body.__qualname__}, ...)")


def test_leave_tells_the_sink():
    left = []
    job = make(int, sink=left.append)
    assert left == []
    job.leave()
    assert left == [job]


def test_leave_without_a_sink_does_nothing():
    make(int).leave()


def test_token_is_its_own_unless_one_is_given():
    token = CancelToken()
    assert make(int, token=token).token is token
    first, second = make(int), make(int)
    first.token.is_set = True
    assert not second.token.is_set


@pytest.mark.parametrize("end", ["run", "withdraw"])
def test_leak_nothing_of_the_call_is_kept(end):
    fn_object, argument = Thing(), Thing()
    context = contextvars.Context()
    context.run(variable.set, Thing())
    refs = [weakref.ref(x) for x in (fn_object, argument, context.run(variable.get))]

    def body(_argument, _keep=fn_object):
        """Use nothing."""

    job = Job(body, (argument,), context)
    del fn_object, argument, context, body
    assert all(ref() is not None for ref in refs)
    getattr(job, end)()
    assert [ref() for ref in refs] == [None] * 3


def test_leak_error_dies_with_the_outcome():
    class OwnError(Exception):
        pass

    refs = []

    def body():
        big = Thing()
        refs.append(weakref.ref(big))
        error = OwnError()
        refs.append(weakref.ref(error))
        try:
            raise error
        finally:
            del error  # else the traceback's frame and the error hold each other

    gc.disable()
    try:
        job = make(body)
        job.run()
        assert all(ref() is not None for ref in refs)
        job.outcome = None
        assert [ref() for ref in refs] == [None] * 2
    finally:
        gc.enable()


def test_job_is_small():
    assert not hasattr(make(int), "__dict__")
