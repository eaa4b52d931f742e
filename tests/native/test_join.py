"""join(f, g) on both cores."""

import contextvars
import threading
from functools import partial

import pytest
from helpers import TIMEOUT

from runtime import NotOnWorkerError

variable = contextvars.ContextVar("variable", default="unset")


def fail(error):
    raise error


def fib(join, n):
    if n < 2:
        return n
    if n % 2:
        a, b = join(lambda: fib(join, n - 1), lambda: fib(join, n - 2))
    else:
        a, b = join(partial(fib, join), n - 1, partial(fib, join), n - 2)
    return a + b


@pytest.mark.parametrize("workers", [1, 2, 4])
def test_join_returns_both_results(open_pool, core, workers):
    with open_pool(workers) as pool:
        assert pool.run(fib, core.join, 15) == 610


def test_join_off_a_worker_is_refused(core):
    with pytest.raises(NotOnWorkerError, match=r"runtime\.lowlevel\.join\(\)"):
        core.join(int, int)


def steal_me(done):
    """Return a first half that ends only when the second has run elsewhere."""

    def first():
        assert done.wait(TIMEOUT)
        return "first"

    return first


def test_join_half_that_was_stolen_comes_back(open_pool, core):
    done = threading.Event()

    def second():
        done.set()
        return threading.get_ident()

    with open_pool(2) as pool:
        first, thief = pool.run(lambda: core.join(steal_me(done), second))
        joiner = pool.run(threading.get_ident)
    assert first == "first"
    assert thief != threading.get_ident()
    assert joiner


def test_join_first_failure_keeps_the_second_half_from_beginning(open_pool, core):
    begun = []
    error = ValueError("first")
    with open_pool(1) as pool, pytest.raises(ValueError, match="first") as caught:
        pool.run(core.join, fail, error, begun.append, 1)
    assert caught.value is error
    assert begun == []


@pytest.mark.parametrize("workers", [1, 2])
def test_join_second_failure_arrives(open_pool, core, workers):
    with open_pool(workers) as pool, pytest.raises(LookupError, match="second"):
        pool.run(core.join, int, "5", fail, LookupError("second"))


def test_join_two_failures_are_an_error_and_its_note(open_pool, core):
    done = threading.Event()

    def first():
        assert done.wait(TIMEOUT)
        raise ValueError("first")

    def second():
        done.set()
        raise LookupError("second")

    with open_pool(2) as pool, pytest.raises(ValueError, match="first") as caught:
        pool.run(core.join, first, second)
    assert "LookupError('second')" in caught.value.__notes__[0]


@pytest.mark.parametrize("workers", [1, 2])
def test_join_second_half_runs_in_a_copy_of_the_context(open_pool, core, workers):
    def second():
        seen = variable.get()
        variable.set("second")
        return seen

    def outer():
        variable.set("outer")
        _, seen = core.join(lambda: variable.set("first") and None, second)
        return seen, variable.get()

    with open_pool(workers) as pool:
        assert pool.run(outer) == ("outer", "first")


def test_join_runs_what_the_first_half_pushed_before_the_second(open_pool, core):
    order = []

    def first(pool):
        job, _ = pool.make(order.append, "pushed")
        core.current_worker().push(job)
        order.append("first")

    with open_pool(1) as pool:
        pool.run(core.join, first, pool, order.append, "second")
    assert order == ["first", "pushed", "second"]


def test_join_never_runs_work_from_outside_while_it_waits(open_pool, core):
    """A waiting worker may hold the user's lock: only descendants run on it.

    1. two workers: one joins, and its second half is stolen and stays busy;
    2. a job is injected: nobody is free for it;
    3. it must begin after the join has ended, though the joiner only waits.
    """
    stolen, injected, order = threading.Event(), threading.Event(), []

    def second():
        stolen.set()
        assert injected.wait(TIMEOUT)
        order.append("second")

    with open_pool(2) as pool:
        joiner, joined = pool.make(core.join, steal_me(stolen), second)
        pool.registry.inject(joiner)
        assert stolen.wait(TIMEOUT)
        other, other_left = pool.make(order.append, "other")
        pool.registry.inject(other)
        assert not other_left.wait(0.05)
        injected.set()
        assert joined.wait(TIMEOUT)
        assert other_left.wait(TIMEOUT)
    assert order == ["second", "other"]


@pytest.mark.parametrize("workers", [1, 2])
def test_join_too_deep_raises_and_loses_nothing(open_pool, core, workers):
    def deeper():
        core.join(deeper, int)

    with open_pool(workers) as pool:
        with pytest.raises(RecursionError):
            pool.run(deeper)
        assert pool.run(fib, core.join, 10) == 55


def test_join_job_of_a_stolen_half_is_the_joiner_s(open_pool, core):
    done = threading.Event()

    def second():
        done.set()
        return core.current_worker().job.token

    def outer():
        token = core.current_worker().job.token
        _, seen = core.join(steal_me(done), second)
        return seen is token

    with open_pool(2) as pool:
        assert pool.run(outer)


@pytest.mark.parametrize("halves", [(int, 5), (5, int), (int,), (int, "1", int)])
def test_join_misuse_is_an_error_and_nothing_else(open_pool, core, halves):
    with open_pool(1) as pool:
        with pytest.raises(TypeError):
            pool.run(core.join, *halves)
        assert pool.run(divmod, 7, 2) == (3, 1)


@pytest.mark.slow
def test_stress_joins_that_fail_at_random_lose_nothing(open_pool, core):
    def tree(depth_and_path):
        depth, path = depth_and_path
        if depth == 0:
            if path % 7 == 3:
                raise KeyError(path)
            return 1
        left, right = (depth - 1, 2 * path), (depth - 1, 2 * path + 1)
        try:
            a, b = core.join(tree, left, tree, right)
        except KeyError:
            return 0
        return a + b

    with open_pool(4) as pool:
        answers = {pool.run(tree, (9, 0)) for _ in range(20)}
    assert len(answers) == 1
