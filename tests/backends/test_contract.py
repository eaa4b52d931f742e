"""Every backend keeps the contract of `runtime._backends.base`, without a pool."""

import select
import threading
import time
from contextvars import copy_context
from functools import partial

import jobs
import pytest
from helpers import TIMEOUT

import runtime
from runtime._backends import BACKENDS, why_unavailable
from runtime._backends.making import BackendOptions, make_backend
from runtime._core import DONE, QUEUED, RUNNING, WITHDRAWN, CancelToken, Job

# What a job ends with that was told to.
ENDS = (runtime.JobCancelled, runtime.JobInterrupted)


class WatchedToken(CancelToken):
    """A token whose jobs may be interrupted."""

    __slots__ = ("is_watched",)

    def __init__(self):
        super().__init__()
        self.is_watched = True


class Opened:
    """A backend that was started, and who is told by it."""

    def __init__(self, backend):
        self.backend = backend
        self.failures = []
        self.left = []
        backend.bind(self)
        self._news = backend.news()
        backend.start()

    # Events

    def failed(self, error):
        self.failures.append(error)

    def asked(self, job, question):
        raise AssertionError("no job of this file asks for anything")

    # What the front end does

    def job(self, fn, *args, token=None):
        token = WatchedToken() if token is None else token
        return Job(fn, args, copy_context(), token=token, sink=self.left.append)

    def inject(self, fn, *args, token=None):
        job = self.job(fn, *args, token=token)
        self.backend.inject(job)
        return job

    def wait_until(self, condition):
        """Take the news until the condition holds."""
        deadline = time.monotonic() + TIMEOUT
        while not condition():
            assert time.monotonic() < deadline, "the backend did nothing"
            if self._news is None:
                time.sleep(0.001)
            elif select.select([self._news.fileno()], [], [], 0.01)[0]:
                self._news.drain()

    def outcome(self, job):
        """Wait for the end of a job; return or raise what it did."""
        self.wait_until(lambda: job in self.left)
        return job.outcome.unwrap()

    def end(self):
        self.backend.stop()
        self.backend.join()
        assert self.backend.close()


@pytest.fixture(params=BACKENDS)
def opened(request):
    """A backend of one worker."""
    if (reason := why_unavailable(request.param)) is not None:
        pytest.skip(reason)
    opened = Opened(open_backend(request.param, 1))
    yield opened
    opened.end()
    assert opened.failures == []


def open_backend(kind, worker_count):
    return make_backend(kind, BackendOptions(worker_count, "contract", spare_limit=2))


def test_each_job_leaves_once_with_its_outcome(opened):
    done = [opened.inject(jobs.divide, 6, n) for n in range(4)]
    with pytest.raises(ZeroDivisionError):
        opened.outcome(done[0])
    assert [opened.outcome(job) for job in done[1:]] == [6, 3, 2]
    assert {job.phase for job in done} == {DONE}
    assert sorted(map(id, opened.left)) == sorted(map(id, done))


def test_what_is_queued_is_withdrawn_and_what_runs_is_not(opened, gate):
    first = opened.inject(gate.hold, "held")
    gate.block_until_entered()
    second = opened.inject(jobs.divide, 1, 1)
    phases = [opened.backend.phase_of(job) for job in (first, second)]
    assert phases == [RUNNING, QUEUED]
    assert opened.backend.queued() == 1
    assert list(opened.backend.running_jobs().values()) == [first]
    assert opened.backend.withdraw(second)
    assert not opened.backend.withdraw(first)
    assert second.phase == WITHDRAWN
    gate.open()
    assert opened.outcome(first) == "held"
    opened.wait_until(lambda: len(opened.left) == 2)
    assert second.outcome is None or second.outcome.unwrap() is None


def test_request_to_stop_reaches_what_runs(opened, gate):
    token = WatchedToken()
    job = opened.inject(jobs.hold_until_cancelled, gate, token=token)
    gate.block_until_entered()
    token.is_set = True
    opened.backend.request_stop(token)
    with pytest.raises(runtime.JobCancelled):
        opened.outcome(job)


def test_interrupt_is_raised_once_and_tells_whether_it_was(opened, gate, calls):
    token = WatchedToken()
    job = opened.inject(jobs.loop, gate, calls, token=token)
    gate.block_until_entered()
    token.is_set = True
    opened.backend.request_stop(token)
    interrupt = opened.backend.interrupt(token, lambda: job in opened.left)
    with pytest.raises(ENDS):
        opened.outcome(job)
    interrupt.settle()
    assert interrupt.was_met
    assert list(calls) == ["JobInterrupted"]


def test_job_shows_its_stack(opened, gate, calls):
    token = WatchedToken()
    stacks = []
    job = opened.inject(jobs.loop, gate, calls, token=token)
    gate.block_until_entered()
    with opened.backend.seek(job, stacks.append):
        opened.wait_until(lambda: stacks)
    assert "loop" in str(stacks[0])
    token.is_set = True
    opened.backend.request_stop(token)
    opened.backend.interrupt(token, lambda: job in opened.left).settle()
    with pytest.raises(ENDS):
        opened.outcome(job)


def make_batch(opened, fn, items, token):
    over = []
    batch = opened.backend.make_batch(
        fn, items, copy_context(), token=token, sink=over.append, lane=1
    )
    opened.backend.inject(batch.first_piece())
    opened.wait_until(lambda: over)
    assert over == [batch]
    assert batch.is_over
    return batch


def test_batch_has_its_results_in_order(opened):
    batch = make_batch(opened, jobs.square, range(1000), WatchedToken())
    assert batch.is_complete
    assert batch.results() == [n * n for n in range(1000)]
    assert batch.errors() == []


def test_batch_has_its_errors(opened):
    batch = make_batch(opened, partial(divmod, 1), [1, 0, 2], WatchedToken())
    assert not batch.is_complete
    assert [type(error) for error in batch.errors()] == [ZeroDivisionError]


def test_no_item_of_a_stopped_batch_begins(opened, calls):
    token = WatchedToken()
    token.is_set = True
    make_batch(opened, calls.append, [1, 2, 3], token)
    assert list(calls) == []


def test_what_it_tells_of_its_workers(opened):
    assert opened.backend.worker_count == 1
    for n in range(10):
        opened.outcome(opened.inject(jobs.square, n))
    (worker,) = opened.backend.statistics()
    assert (worker.worker_index, worker.jobs_executed) == (0, 10)
    opened.wait_until(lambda: not opened.backend.running_jobs())
    assert (opened.backend.queued(), opened.backend.num_waiting()) == (0, 0)
    assert opened.backend.refused_modules() == ()
    assert opened.backend.worker_here() is None
    opened.wait_until(opened.backend.is_anyone_idle)


def test_what_was_injected_is_run_before_the_workers_end(opened, calls):
    """Stop comes after the last job, but does not overtake it."""
    done = [opened.inject(calls.append, n) for n in range(20)]
    opened.backend.stop()
    opened.backend.stop()
    for job in done:
        assert opened.outcome(job) is None
    assert list(calls) == list(range(20))


@pytest.mark.parametrize("kind", BACKENDS)
def test_nothing_is_left_after_the_end(kind):
    if (reason := why_unavailable(kind)) is not None:
        pytest.skip(reason)
    runtime.testing.end_kept_interpreters()
    before = threading.active_count()
    opened = Opened(open_backend(kind, 3))
    assert opened.outcome(opened.inject(jobs.square, 3)) == 9
    opened.end()
    runtime.testing.end_kept_interpreters()
    assert threading.active_count() == before
