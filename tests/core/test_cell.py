"""`sync.Cell`: a value that changes in single steps, whoever comes in between."""

from helpers import run_threaded

from runtime._core import sync


def add_one(number):
    return number + 1, number


def test_change_returns_the_result_of_the_step_that_took_place():
    cell = sync.Cell(5)
    assert cell.change(add_one) == 5
    assert cell.read() == 6


def test_step_that_raises_changes_nothing():
    cell = sync.Cell(5)
    try:
        cell.change(lambda _: 1 / 0)
    except ZeroDivisionError:
        pass
    assert cell.change(add_one) == 5


def test_step_inside_a_step_comes_first():
    """What a finalizer does that runs while a step is computed."""
    cell = sync.Cell(0)
    calls = []

    def step(number):
        calls.append(number)
        if len(calls) == 1:
            assert cell.change(add_one) == 0
        return number + 10, number

    assert cell.change(step) == 1
    assert calls == [0, 1]
    assert cell.read() == 11


def test_stampede_of_changes_loses_none():
    cell = sync.Cell(0)
    each, threads = 5_000, 4

    def change_often():
        return [cell.change(add_one) for _ in range(each)]

    parts = run_threaded(*[change_often] * threads)
    seen = sorted(number for part in parts for number in part)
    assert seen == list(range(each * threads))
    assert cell.read() == each * threads


class HalfStored(dict):
    """A dict in the midst of an insertion: it counts the item, but does not show it."""

    def __len__(self):
        return 1


def test_version_is_followed_only_once_its_key_shows():
    cell = sync.Cell(5)
    cell._newest = (5, HalfStored())
    assert cell.read() == 5
