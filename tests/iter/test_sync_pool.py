"""runtime.open_sync_pool: workers for a plain thread."""

import contextvars
import threading

import pytest
from helpers import TIMEOUT

import runtime

variable = contextvars.ContextVar("variable", default="unset")


def test_run_returns_the_value_and_raises_the_error(sync_pool):
    assert sync_pool.run(divmod, 7, 2) == (3, 1)
    with pytest.raises(ZeroDivisionError):
        sync_pool.run(divmod, 7, 0)


def test_run_from_other_threads(pair):
    answers = []
    thread = threading.Thread(target=lambda: answers.append(pair.run(int, "5")))
    thread.start()
    thread.join(TIMEOUT)
    assert answers == [5]


def test_run_sees_the_caller_s_context(pair):
    variable.set("caller")
    assert pair.run(variable.get) == "caller"


def test_closed_pool_refuses():
    with runtime.open_sync_pool(1, name="mine") as pool:
        assert repr(pool) == "<runtime.SyncPool 'mine' open, 1 workers>"
    with pytest.raises(runtime.PoolClosedError, match="mine"):
        pool.run(int)
    assert "closed" in repr(pool)
    with pytest.raises(runtime.NotOnWorkerError):
        runtime.join(int, int)


def test_pools_nest_innermost_first():
    def name():
        return threading.current_thread().name

    with runtime.open_sync_pool(1, name="outer"):
        with runtime.open_sync_pool(1, name="inner"):
            assert runtime.join(name, name) == ("runtime-inner-0",) * 2
        assert runtime.join(name, name) == ("runtime-outer-0",) * 2


def test_default_worker_count_is_the_cores(monkeypatch):
    monkeypatch.setattr("runtime._iter.sync_pool.available_cores", lambda: 3)
    with runtime.open_sync_pool() as pool:
        assert pool.worker_count == 3


@pytest.mark.parametrize("count", [0, -1, 1.5, "two"])
def test_misuse_worker_count(count):
    with (
        pytest.raises((TypeError, ValueError)),
        runtime.open_sync_pool(count),
    ):
        pass


async def test_sync_pool_in_trio_says_what_to_write():
    with (
        pytest.raises(runtime.NotOnWorkerError, match="works only outside of Trio"),
        runtime.open_sync_pool(1),
    ):
        pass


def test_interrupted_wait_asks_the_job_to_stop_and_waits(pair, interrupt, gate):
    """Ctrl-C reaches the thread that waits; the job is over when it leaves.

    1. the job runs until it is asked to stop, and says so;
    2. a signal's handler raises in the main thread, inside of the wait;
    3. the token is set, the job ends, and then the error leaves `run`.
    """
    ended = []

    def work():
        with gate:
            try:
                interrupt.send()
                gate.hold_while(runtime.check_cancelled)
            finally:
                ended.append(True)

    with pytest.raises(KeyboardInterrupt):
        pair.run(work)
    assert ended == [True]


def test_from_worker_in_a_sync_pool_is_refused(pair):
    with pytest.raises(runtime.NotOnWorkerError, match="no Trio"):
        pair.run(runtime.from_worker.run_sync, int)
