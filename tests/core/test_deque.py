import gc
import threading
import weakref

import pytest
from helpers import run_threaded

from runtime._core.deque import WorkDeque


class Thing:
    """Something a weak reference can point to."""


@pytest.fixture
def deque():
    return WorkDeque()


def test_smoke_owner_takes_the_newest_and_thief_the_oldest(deque):
    stealer = deque.stealer()
    for item in (1, 2, 3, 4):
        deque.push(item)
    assert (deque.pop(), stealer.steal(), deque.pop(), stealer.steal()) == (4, 1, 3, 2)


def test_empty_pop_and_steal_return_none(deque):
    assert deque.pop() is None
    assert deque.stealer().steal() is None
    deque.push(1)
    deque.pop()
    assert deque.pop() is None
    assert deque.stealer().steal() is None


def test_len_is_the_same_at_both_ends(deque):
    stealer = deque.stealer()
    assert (len(deque), len(stealer), bool(deque)) == (0, 0, False)
    deque.push(1)
    deque.push(2)
    assert (len(deque), len(stealer), bool(deque)) == (2, 2, True)


def test_ends_have_their_own_operations_only(deque):
    stealer = deque.stealer()
    assert not hasattr(deque, "steal")
    assert not hasattr(stealer, "push")
    assert not hasattr(stealer, "pop")


def test_pop_when_the_last_item_is_stolen_meanwhile_returns_none(deque):
    """A thief is faster between the owner's look and its pop.

    1. the owner sees one item;
    2. a thief takes it;
    3. the owner's pop finds the queue empty: None, not an error.
    """

    class Stolen(list):
        def __bool__(self):
            return True

    deque._items = Stolen()
    assert deque.pop() is None


def test_steal_when_the_last_item_is_taken_meanwhile_returns_none(deque):
    class Taken(list):
        def __bool__(self):
            return True

        def popleft(self):
            return self.pop(0)

    stealer = deque.stealer()
    stealer._items = Taken()
    assert stealer.steal() is None


def test_spsc_thief_gets_everything_in_order(deque):
    """One owner that only pushes, one thief."""
    count = 20_000
    stealer = deque.stealer()

    def push():
        for item in range(count):
            deque.push(item)

    def steal():
        stolen = []
        while len(stolen) < count:
            item = stealer.steal()
            if item is not None:
                stolen.append(item)
        return stolen

    _, stolen = run_threaded(push, steal)
    assert stolen == list(range(count))


def test_stampede_of_thieves_takes_each_item_once(deque):
    """Everything is there from the start; owner and thieves take it all at once."""
    count = 20_000
    for item in range(count):
        deque.push(item)

    def take_with(take):
        def run():
            taken = []
            while (item := take()) is not None:
                taken.append(item)
            return taken

        return run

    takers = [deque.pop, *(deque.stealer().steal for _ in range(4))]
    parts = run_threaded(*map(take_with, takers))
    assert sorted(item for part in parts for item in part) == list(range(count))
    assert parts[0] == sorted(parts[0], reverse=True)
    for part in parts[1:]:
        assert part == sorted(part)


def test_stress_pushes_pops_and_steals_lose_and_double_nothing(deque):
    """An owner that pushes and pops in bursts, against thieves."""
    count = 20_000
    is_done = threading.Event()

    def own():
        taken = []
        for item in range(count):
            deque.push(item)
            if item % 3 == 0 and (popped := deque.pop()) is not None:
                taken.append(popped)
        while (popped := deque.pop()) is not None:
            taken.append(popped)
        is_done.set()
        return taken

    def steal():
        stealer, stolen = deque.stealer(), []
        while not is_done.is_set():
            if (item := stealer.steal()) is not None:
                stolen.append(item)
        return stolen

    parts = run_threaded(own, steal, steal, steal)
    assert sorted(item for part in parts for item in part) == list(range(count))


def test_no_starvation_every_thief_gets_something(deque):
    """The owner pushes until each thief has had an item."""
    thieves = 3
    has_stolen = [threading.Event() for _ in range(thieves)]

    def own():
        while not all(event.is_set() for event in has_stolen):
            deque.push(1)
            if len(deque) > 100:
                deque.pop()

    def steal(event):
        stealer = deque.stealer()
        while stealer.steal() is None:
            pass
        event.set()

    run_threaded(own, *(lambda event=event: steal(event) for event in has_stolen))


def test_release_item_dies_when_it_was_taken_or_its_deque_goes(deque):
    things = [Thing() for _ in range(100)]
    refs = [weakref.ref(thing) for thing in things]
    stealer = deque.stealer()
    for thing in things:
        deque.push(thing)
    del things, thing
    for _ in range(30):
        deque.pop()
        stealer.steal()
    assert [ref() is None for ref in refs] == [True] * 30 + [False] * 40 + [True] * 30
    deque._items = stealer._items = None
    assert all(ref() is None for ref in refs)


def test_release_items_taken_by_many_threads_are_freed_exactly_once(deque):
    freed = []
    count = 2_000
    for number in range(count):
        thing = Thing()
        weakref.finalize(thing, freed.append, number)
        deque.push(thing)
    del thing

    def drop_all(take):
        while take() is not None:
            pass

    run_threaded(
        lambda: drop_all(deque.pop),
        lambda: drop_all(deque.stealer().steal),
        lambda: drop_all(deque.stealer().steal),
    )
    gc.collect()  # merges the counts of what other threads dropped
    assert sorted(freed) == list(range(count))
