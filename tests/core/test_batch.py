import contextvars
import gc
import threading
import weakref

import outcome
import pytest
from helpers import TIMEOUT
from hypothesis import given
from hypothesis import strategies as st

from runtime._backends.captured import capturing
from runtime._core import CancelToken, Latch, current_worker
from runtime._core import batch as batch_module
from runtime._core.batch import Batch
from runtime._errors import JobCancelled

variable = contextvars.ContextVar("variable", default="unset")


class Thing:
    """Something a weak reference can point to."""


class Run:
    """A batch, its token, and the latch that its sink sets."""

    def __init__(self, fn, items, *, context=None, **options):
        self.token = CancelToken()
        self.closed = Latch()
        self.close_count = 0
        self.batch = Batch(
            fn,
            items,
            contextvars.copy_context() if context is None else context,
            token=self.token,
            sink=self._close,
            lane=1,
            **options,
        )

    def _close(self, batch):
        self.close_count += 1
        self.closed.set()

    def on(self, registry):
        """Run it there, to its end; return the batch."""
        registry.inject(self.batch.first_piece())
        assert self.closed.wait(TIMEOUT), "the batch was not closed"
        return self.batch


def run(registry, fn, items, **options):
    return Run(fn, items, **options).on(registry)


@pytest.fixture
def lone(open_registry):
    return open_registry(1)


@pytest.fixture
def fine(monkeypatch):
    """Cut every batch into leaves of one item."""
    monkeypatch.setattr(batch_module, "LEAF_NS", 0)


# Results


@pytest.mark.parametrize("leaf_ns", [0, 20_000, batch_module.LEAF_NS])
@pytest.mark.parametrize("worker_count", [1, 2, 4])
def test_results_are_those_of_a_plain_loop(
    open_registry, monkeypatch, leaf_ns, worker_count
):
    monkeypatch.setattr(batch_module, "LEAF_NS", leaf_ns)
    registry = open_registry(worker_count)

    @given(st.lists(st.integers()))
    def check(items):
        batch = run(registry, hash, items)
        assert batch.is_complete
        assert batch.errors() == []
        assert batch.results() == list(map(hash, items))

    check()


@pytest.mark.parametrize("size", [0, 1, 2, 3, 4, 5, 7, 8, 9, 100, 1_000])
def test_results_of_every_size(open_registry, fine, size):
    batch = run(open_registry(2), str, range(size))
    assert batch.results() == list(map(str, range(size)))


class Watched(list):
    """A list that keeps which parts of it were asked for."""

    def __init__(self, items):
        super().__init__(items)
        self.taken = []

    def __getitem__(self, part):
        self.taken.append((part.start, part.stop))
        return super().__getitem__(part)


@pytest.mark.parametrize("worker_count", [1, 4])
@pytest.mark.parametrize("size", [0, 1, 6, 7, 8, 100, 1_000])
def test_leaves_of_a_given_size_are_cut_nowhere_else(open_registry, worker_count, size):
    items = Watched(range(size))
    batch = run(open_registry(worker_count), str, items, leaf_size=7)
    assert batch.results() == list(map(str, range(size)))
    starts = range(0, size, 7)
    assert sorted(items.taken) == [(start, min(start + 7, size)) for start in starts]


@pytest.mark.parametrize(
    "items", [range(10, 0, -3), (1, 2, 3), "abc", b"abc", [None] * 3], ids=repr
)
def test_results_of_any_sequence(lone, items):
    assert run(lone, repr, items).results() == list(map(repr, items))


def test_each_item_is_used_once(open_registry, fine):
    seen = []
    run(open_registry(4), seen.append, range(2_000))
    assert sorted(seen) == list(range(2_000))


def test_empty_batch_is_complete(lone):
    batch = run(lone, pytest.fail, [])
    assert batch.is_complete
    assert batch.results() == []


def test_sink_is_called_once(open_registry, fine):
    this = Run(str, range(500))
    this.on(open_registry(4))
    assert this.close_count == 1


def test_context_of_each_piece_is_a_copy_of_the_batch_s(open_registry, fine):
    context = contextvars.Context()
    context.run(variable.set, "pushed")

    def use(item):
        before = variable.get()
        variable.set(item)
        return before

    results = run(open_registry(2), use, range(100), context=context).results()
    assert results[0] == "pushed"
    assert context.run(variable.get) == "pushed"


# Cutting


def test_two_items_run_at_once_on_two_workers(open_registry):
    """Items that wait for each other: each needs a worker of its own."""
    registry = open_registry(2)
    barrier = threading.Barrier(2)
    batch = run(registry, lambda _: barrier.wait(TIMEOUT), range(2))
    assert batch.errors() == []
    assert sorted(batch.results()) == [0, 1]


def test_no_piece_is_empty(lone, fine, monkeypatch):
    sizes = []
    push = Batch._push

    def noting_push(self, worker, start, stop, leaf_size):
        sizes.append(stop - start)
        push(self, worker, start, stop, leaf_size)

    monkeypatch.setattr(Batch, "_push", noting_push)
    for size in range(1, 50):
        run(lone, str, range(size))
    assert min(sizes) > 0


def test_huge_batch_has_few_entries_in_the_queue(lone, fine):
    depths = run(lone, lambda _: len(current_worker().deque), range(50_000)).results()
    assert max(depths) <= 16  # as often as 50,000 can be halved


def test_items_are_sliced_and_never_listed(lone):
    slices = []

    class Items:
        def __len__(self):
            return 1_000

        def __getitem__(self, index):
            assert isinstance(index, slice)
            slices.append(range(1_000)[index])
            return slices[-1]

        def __iter__(self):
            pytest.fail("iterated as a whole")

    run(lone, str, Items())
    assert sorted(i for part in slices for i in part) == list(range(1_000))


def test_outside_job_is_let_through_between_two_leaves(lone, calls, fine):
    order = []

    def use(item):
        order.append(item)
        if item == 10:
            calls.inject(lone, order.append, "outside")

    run(lone, use, range(100))
    assert order.index("outside") == order.index(10) + 1
    assert len(order) == 101


def test_outside_job_waits_for_the_leaf_it_met(lone, calls, monkeypatch):
    monkeypatch.setattr(batch_module, "LEAF_NS", 10**15)  # leaves only double
    order = []

    def use(item):
        order.append(item)
        if item == 5:
            calls.inject(lone, order.append, "outside")

    run(lone, use, range(64))
    # The piece from 4 to 8 begins with leaves of 1 and 2: 5 is the first of two.
    assert order.index("outside") == 7


@pytest.mark.parametrize(
    ("size", "elapsed_ns", "expected"),
    [
        (1, 1, 2),
        (1, 0, 2),
        (100, batch_module.LEAF_NS, 100),
        (100, 2 * batch_module.LEAF_NS, 50),
        (100, batch_module.LEAF_NS // 10, 200),
        (1, 10 * batch_module.LEAF_NS, 1),
        (3, 10 * batch_module.LEAF_NS, 1),
    ],
)
def test_next_leaf_takes_as_long_as_it_should_but_at_most_doubles(
    size, elapsed_ns, expected
):
    assert batch_module._next_leaf_size(size, elapsed_ns) == expected


# Errors


def fail_at(*numbers):
    def use(item):
        if item in numbers:
            raise ValueError(item)
        return item

    return use


def test_error_stops_what_has_not_begun(lone, fine):
    seen = []

    def use(item):
        seen.append(item)
        fail_at(3)(item)

    batch = run(lone, use, range(100))
    assert not batch.is_complete
    assert [str(error) for error in batch.errors()] == ["3"]
    assert len(seen) < 100
    assert seen == sorted(seen)
    assert seen[-1] == 3


def test_error_of_any_kind_stops_the_batch_and_not_the_worker(lone, calls):
    def use(item):
        raise SystemExit(item)

    batch = run(lone, use, range(10))
    assert [type(error) for error in batch.errors()] == [SystemExit]
    assert calls.inject(lone, len, "ab").wait() == 2


def test_errors_come_in_the_items_order(open_registry):
    """Both items fail, the later one first.

    1. both are inside;
    2. the later one raises, and its error is stored;
    3. the earlier one raises: its error comes first all the same.
    """
    registry = open_registry(2)
    barrier = threading.Barrier(2)

    def use(item):
        barrier.wait(TIMEOUT)
        if item == 0:
            assert is_stored.wait(TIMEOUT)
        raise ValueError(item)

    this, is_stored = Run(use, range(2)), threading.Event()
    store = this.batch._fail

    def noting_store(index, error):
        store(index, error)
        is_stored.set()

    this.batch._fail = noting_store
    assert [str(error) for error in this.on(registry).errors()] == ["0", "1"]


def test_errors_collected_become_results_in_their_places(open_registry, fine):
    batch = run(open_registry(2), capturing(fail_at(3, 70)), range(100))
    assert batch.is_complete
    assert batch.errors() == []
    results = batch.results()
    assert [i for i, r in enumerate(results) if isinstance(r, outcome.Error)] == [3, 70]
    assert [str(results[i].error) for i in (3, 70)] == ["3", "70"]
    assert results[4] == outcome.Value(4)


def test_errors_collected_leave_out_control_flow(lone):
    def use(item):
        raise KeyboardInterrupt

    batch = run(lone, capturing(use), range(10))
    assert not batch.is_complete
    assert [type(error) for error in batch.errors()] == [KeyboardInterrupt]


def test_captured_is_value_or_error():
    error = ValueError("why")

    def fail():
        raise error

    assert capturing(len)("ab") == outcome.Value(2)
    assert capturing(lambda _: fail())(0).error is error


def test_items_that_shrink_meanwhile_are_an_error(lone, fine):
    items = list(range(100))

    def use(item):
        if item == 5:
            del items[50:]

    batch = run(lone, use, items)
    assert not batch.is_complete
    (error,) = batch.errors()
    assert str(error) == "the items of a batch must not change while it runs"


def test_items_that_grow_meanwhile_do_not_change_what_was_asked(lone, fine):
    items = list(range(100))

    def use(item):
        items.append(item)
        return item

    batch = run(lone, use, items)
    assert batch.is_complete
    assert batch.results() == list(range(100))


def test_items_that_cannot_be_sliced_are_an_error(lone):
    batch = run(lone, str, {1, 2})
    assert [type(error) for error in batch.errors()] == [TypeError]


def test_piece_that_fails_by_itself_fails_the_batch(lone, monkeypatch):
    """No item's fault: there is no memory for the results, say."""

    def fail(self, start, stop):
        raise MemoryError

    monkeypatch.setattr(Batch, "_run_leaf", fail)
    batch = run(lone, str, range(10))
    assert not batch.is_complete
    assert [type(error) for error in batch.errors()] == [MemoryError]


# Stopping


def test_token_stops_between_two_leaves(lone, fine):
    seen = []
    this = Run(lambda item: seen.append(item) or stop_at(item), range(100))

    def stop_at(item):
        this.token.is_set = item >= 10

    batch = this.on(lone)
    assert not batch.is_complete
    assert batch.errors() == []
    assert seen == list(range(11))


def test_token_set_before_the_first_item_runs_none(lone):
    this = Run(pytest.fail, range(100))
    this.token.is_set = True
    batch = this.on(lone)
    assert not batch.is_complete
    assert batch.errors() == []


def test_job_cancelled_in_an_item_stops_the_batch_without_an_error(lone, fine):
    def use(item):
        if item == 5:
            raise JobCancelled

    this = Run(use, range(100))
    batch = this.on(lone)
    assert not batch.is_complete
    assert batch.errors() == []
    assert this.token.is_set


def test_withdraw_first_piece_closes_the_batch(lone, calls, gate):
    this = Run(pytest.fail, range(100))
    with gate:
        calls.inject(lone, gate.hold)
        gate.block_until_entered()
        first = this.batch.first_piece()
        lone.inject(first)
        assert lone.withdraw(first)
    assert this.closed.wait(TIMEOUT)
    assert not this.batch.is_complete
    assert this.batch.errors() == []
    assert this.close_count == 1


# Finishing


def test_finish_makes_the_result_on_a_worker(open_registry, fine):
    threads = []

    def finish(results):
        threads.append(current_worker())
        return [sum(results)]

    batch = run(open_registry(2), abs, range(-100, 0), finish=finish)
    assert batch.is_complete
    assert batch.results() == [sum(range(101))]
    assert len(threads) == 1
    assert threads[0] is not None


def test_finish_that_fails_is_the_batch_s_error(lone):
    error = ValueError("why")

    def finish(results):
        raise error

    batch = run(lone, str, range(10), finish=finish)
    assert not batch.is_complete
    assert batch.errors() == [error]


def test_finish_is_not_called_when_an_item_failed(lone):
    batch = run(lone, fail_at(3), range(10), finish=pytest.fail)
    assert [str(error) for error in batch.errors()] == ["3"]


# Releasing


@pytest.mark.parametrize("fails", [False, True])
def test_leak_closed_batch_keeps_neither_function_nor_items(lone, wait_for, fails):
    things = [Thing() for _ in range(20)]
    held_by_fn, in_context = Thing(), Thing()
    context = contextvars.Context()
    context.run(variable.set, in_context)
    refs = [weakref.ref(x) for x in (*things, held_by_fn, in_context)]

    def use(item, _held=held_by_fn):
        if fails:
            raise ValueError("why")

    this = Run(use, things, context=context)
    this.on(lone)
    this.batch._errors.clear()
    del things, held_by_fn, in_context, use, context

    def all_dead():
        gc.collect()
        return not any(ref() for ref in refs)

    wait_for(all_dead)


def test_leak_closed_batch_lets_go_of_its_sink(lone, wait_for):
    this = Run(str, range(20))
    batch, ref = this.on(lone), weakref.ref(this)
    del this

    def is_dead():
        gc.collect()
        return ref() is None

    wait_for(is_dead)
    assert batch.is_complete


def test_leak_results_are_kept_by_the_batch_alone(lone, wait_for):
    this = Run(lambda _: Thing(), range(20))
    refs = [weakref.ref(thing) for thing in this.on(lone).results()]
    assert all(ref() is not None for ref in refs)
    this.batch = None

    def all_dead():
        gc.collect()
        return not any(ref() for ref in refs)

    wait_for(all_dead)
