"""The queues that several interpreters share, with interpreters at them."""

import _interpreters
import gc
import os
import select
import textwrap
import threading
import weakref
from pathlib import Path

import pytest
from helpers import TIMEOUT

import runtime

NONE, BROKEN, VALUE = 0, 1, 2
# Where the runtime that is tested was imported from.
ROOT = str(Path(runtime.__file__).parents[1])

# What a worker does with its jobs, as the text of a loop's body.
UPPER = "worker.finish(2, (bytes(job.frame(0)).upper(),))"
SUM_FRAMES = """
while len(worker) == 0 and job.stop - job.start > 1:
    worker.share((job.start + job.stop) // 2)
total = sum(int(bytes(frame)) for frame in job.frames(job.start, job.stop))
worker.finish(2, (str(total).encode(),))
"""


@pytest.fixture
def queues(native):
    return native.SharedQueues(1)


class Workers:
    """Threads that stay in interpreters of their own."""

    def __init__(self, queues, count, body):
        loop = textwrap.dedent(f"""
            import sys
            sys.path.insert(0, {ROOT!r})
            from runtime._native.scheduler import SharedWorker
            worker = SharedWorker({queues.handle}, %d)
            while (job := worker.next()) is not None:
                {textwrap.indent(body, " " * 16).strip()}
        """)
        self.errors = []
        self.interpreters = [_interpreters.create() for _ in range(count)]
        self.threads = [
            threading.Thread(target=self._run, args=(interpreter, loop % index))
            for index, interpreter in enumerate(self.interpreters)
        ]

    def _run(self, interpreter, script):
        self.errors.append(_interpreters.exec(interpreter, script))
        _interpreters.destroy(interpreter)

    def __enter__(self):
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, *_):
        for thread in self.threads:
            thread.join(TIMEOUT)


def inject(queues, *copied, lent=(), job_id=1, lane=1):
    return queues.inject(job_id, copied, lent, 0, len(copied), lane)


def receive(queues, count):
    """Wait for the news of that many jobs."""
    news = []
    while len(news) < count:
        readable, _, _ = select.select([queues.fileno()], [], [], TIMEOUT)
        assert readable, "a message came without a wake-up, or none came"
        news += queues.drain()
    return news


def stop(queues, workers):
    queues.stop()
    for thread in workers.threads:
        thread.join(TIMEOUT)
    return workers.errors


def test_a_job_runs_in_another_interpreter(queues):
    with Workers(queues, 1, UPPER) as workers:
        inject(queues, b"words", job_id=5)
        ((job_id, answer, frames, _, _, is_last, index, run_ns),) = receive(queues, 1)
        assert (job_id, answer, is_last, index) == (5, VALUE, True, 0)
        assert [bytes(frame) for frame in frames] == [b"WORDS"]
        assert run_ns > 0
        assert stop(queues, workers) == [None]
    assert queues.counters(0)[0] == 1


def test_urgent_lanes_come_first(queues):
    for lane in (2, 1, 0):
        inject(queues, b"x", job_id=lane + 1, lane=lane)
    with Workers(queues, 1, UPPER) as workers:
        assert [item[0] for item in receive(queues, 3)] == [1, 2, 3]
        stop(queues, workers)


def test_a_withdrawn_job_is_never_opened_and_comes_back(queues):
    job = inject(queues, b"x")
    assert queues.withdraw(job)
    assert not queues.withdraw(job)
    ((_, answer, frames, *_),) = queues.drain()
    assert (answer, frames) == (NONE, ())
    assert len(queues) == 0


def test_a_job_that_began_cannot_be_withdrawn(queues):
    job = inject(queues, b"x")
    with Workers(queues, 1, UPPER) as workers:
        receive(queues, 1)
        assert not queues.withdraw(job)
        stop(queues, workers)


@pytest.mark.parametrize("count", [2, 4, 8])
def test_what_one_worker_cuts_off_is_stolen_by_the_others(native, count):
    queues = native.SharedQueues(count)
    numbers = [str(n).encode() for n in range(200)]
    with Workers(queues, count, SUM_FRAMES) as workers:
        inject(queues, *numbers)
        total, is_last = 0, False
        while not is_last:
            for item in receive(queues, 1):
                total += int(bytes(item[2][0]))
                assert not is_last
                is_last = item[5]
        assert total == sum(range(200))
        assert stop(queues, workers) == [None] * count
    assert sum(queues.counters(i)[0] for i in range(count)) > 1


def test_the_token_is_seen_while_the_job_runs(queues):
    read, write = os.pipe()
    body = f"""
        import os
        os.write({write}, b"x")
        while not job.is_stopped: pass
        worker.finish(4, ())
    """
    with Workers(queues, 1, textwrap.dedent(body)) as workers:
        job = inject(queues, b"")
        os.read(read, 1)
        assert queues.running() == [1]
        job.request_stop()
        assert receive(queues, 1)[0][1] == 4
        stop(queues, workers)
    os.close(read)
    os.close(write)


class Owner(bytearray):
    """Memory whose end can be watched."""


def test_lent_memory_is_shared_and_given_back(queues):
    owner = Owner(b"abc")
    body = """
        view = memoryview(job.frame(1))
        view[0] = 65
        worker.finish(2, (bytes(view),))
        del view, job
    """
    with Workers(queues, 1, textwrap.dedent(body)) as workers:
        inject(queues, b"", lent=(memoryview(owner),))
        ((_, _, frames, *_),) = receive(queues, 1)
        assert bytes(frames[0]) == b"Abc"
        assert owner == b"Abc"
        stop(queues, workers)
    del frames
    queues.drain()
    seen = weakref.ref(owner)
    del owner
    gc.collect()
    assert seen() is None


def test_a_view_that_outlives_its_job_keeps_its_owner(queues):
    body = """
        kept = memoryview(job.frame(1))
        worker.finish(2, ())
    """
    owner = Owner(b"abc")
    seen = weakref.ref(owner)
    with Workers(queues, 1, textwrap.dedent(body)) as workers:
        inject(queues, b"", lent=(memoryview(owner),))
        del owner
        receive(queues, 1)
        gc.collect()
        assert seen() is not None
        stop(queues, workers)  # the interpreter ends, and the view with it
    queues.drain()
    gc.collect()
    assert seen() is None


def test_queued_jobs_give_back_what_they_were_lent(native):
    owner = Owner(b"abc")
    seen = weakref.ref(owner)
    queues = native.SharedQueues(1)
    inject(queues, b"", lent=(memoryview(owner),))
    del owner
    gc.collect()
    assert seen() is not None
    del queues
    gc.collect()
    assert seen() is None


def test_a_job_whose_interpreter_ends_is_reported_broken(queues):
    job = inject(queues, b"x")
    with Workers(queues, 1, "raise SystemExit") as workers:
        assert receive(queues, 1)[0][1] == BROKEN
    assert workers.errors[0] is not None
    assert job.phase == 2
    with Workers(queues, 1, UPPER) as workers:  # the seat is free again
        inject(queues, b"y")
        assert receive(queues, 1)[0][1] == VALUE
        assert stop(queues, workers) == [None]


class Reader:
    """A home whose only worker's seat is its own: what is done is done at once."""

    def __init__(self, native, queues):
        self.queues = queues
        self._worker = native.SharedWorker(queues.handle, 0)

    def finish_one(self):
        inject(self.queues, b"x")
        assert self._worker.next() is not None
        self._worker.finish(VALUE, ())

    def is_rung_for(self):
        return select.select([self.queues.fileno()], [], [], 0)[0] != []


def test_a_hushed_bell_is_silent_until_it_is_not_hushed_any_more(native, queues):
    reader = Reader(native, queues)
    queues.hush(True)
    reader.finish_one()
    assert not reader.is_rung_for()
    queues.hush(False)
    assert reader.is_rung_for()
    assert len(queues.drain()) == 1
    assert not reader.is_rung_for()


def test_what_was_seen_while_the_bell_was_hushed_rings_nothing(native, queues):
    reader = Reader(native, queues)
    queues.hush(True)
    reader.finish_one()
    assert len(queues.drain()) == 1
    queues.hush(False)
    assert not reader.is_rung_for()
    reader.finish_one()
    assert reader.is_rung_for()


def test_a_bell_that_rings_for_an_empty_box_is_silenced(native, queues):
    reader = Reader(native, queues)
    reader.finish_one()
    queues.hush(True)
    assert len(queues.drain()) == 1
    queues.hush(False)
    assert reader.is_rung_for()  # it was left as it was
    assert queues.drain() == []
    assert not reader.is_rung_for()


def test_a_seat_is_for_one_worker(native, queues):
    worker = native.SharedWorker(queues.handle, 0)
    with pytest.raises(LookupError, match="taken"):
        native.SharedWorker(queues.handle, 0)
    with pytest.raises(LookupError, match="missing"):
        native.SharedWorker(queues.handle, 1)
    del worker  # leaves its seat
    native.SharedWorker(queues.handle, 0)


def test_bury_frees_the_seat_of_the_dead(native, queues):
    inject(queues, b"x")
    worker = native.SharedWorker(queues.handle, 0)
    assert worker.next() is not None
    queues.bury(0)
    assert queues.drain()[0][1] == BROKEN
    native.SharedWorker(queues.handle, 0)


def test_a_handle_is_gone_with_its_queues(native):
    queues = native.SharedQueues(1)
    handle = queues.handle
    del queues
    with pytest.raises(LookupError, match="handle"):
        native.SharedWorker(handle, 0)


def test_descriptors_are_closed(native):
    before = len(os.listdir("/proc/self/fd"))
    for _ in range(20):
        native.SharedQueues(2)
    assert len(os.listdir("/proc/self/fd")) == before


def test_misuse_is_an_error(native, queues):
    with pytest.raises(ValueError, match="worker_count"):
        native.SharedQueues(0)
    with pytest.raises(ValueError, match="lane"):
        inject(queues, b"", lane=3)
    with pytest.raises(TypeError):
        inject(queues, "no buffer")
    with pytest.raises(TypeError, match="EncodedJob"):
        queues.withdraw(object())
    worker = native.SharedWorker(queues.handle, 0)
    with pytest.raises(RuntimeError, match="no job runs"):
        worker.finish(2, ())
    job = inject(queues, b"a", b"b")
    worker.next()
    with pytest.raises(RuntimeError, match="still runs"):
        worker.next()
    with pytest.raises(ValueError, match="not inside"):
        worker.share(2)
    with pytest.raises(IndexError, match="2 frames"):
        job.frame(2)
    with pytest.raises(IndexError, match="1 workers"):
        queues.bury(1)
