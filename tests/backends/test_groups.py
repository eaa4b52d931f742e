"""A group of exceptions crosses part by part: what cannot be rebuilt harms no other."""

import pickle

import jobs
import pytest

import runtime
from runtime._backends.encoding import dumps, loads

pytestmark = pytest.mark.usefixtures("interpreters")


class Unpicklable(ValueError):
    def __reduce__(self):
        raise TypeError("not me")


class OwnNew(ExceptionGroup):
    """As a library's may be: made of something else than a message."""

    def __new__(cls, code, errors):
        return super().__new__(cls, f"code {code}", errors)

    def __init__(self, code, _errors):
        self.code = code


class OwnReduce(ExceptionGroup):
    def __reduce__(self):
        return OwnReduce, (f"again: {self.message}", list(self.exceptions))


def crossed(error):
    return loads(*dumps(error))


def shape(error):
    """Return types and messages, nested as the groups are."""
    if isinstance(error, BaseExceptionGroup):
        return type(error), error.message, [shape(part) for part in error.exceptions]
    return type(error), str(error).split("\n")[0]


FAILED = runtime.TaskFailed, f"{__name__}.Unpicklable: hidden"


def test_only_the_leaf_that_cannot_be_rebuilt_is_lost():
    error = ExceptionGroup("outer", [
        ValueError("first"),
        ExceptionGroup("inner", [KeyError("k"), Unpicklable("hidden"), OSError()]),
        jobs.Failed("ink", 7),
    ])  # fmt: skip
    assert shape(crossed(error)) == (
        ExceptionGroup,
        "outer",
        [
            (ValueError, "first"),
            (
                ExceptionGroup,
                "inner",
                [(KeyError, "'k'"), FAILED, (OSError, "")],
            ),
            (jobs.Failed, "ink failed with 7"),
        ],
    )


def test_a_group_of_base_exceptions_stays_one():
    error = BaseExceptionGroup("b", [KeyboardInterrupt(), Unpicklable("hidden")])
    kind, message, parts = shape(crossed(error))
    assert (kind, message) == (BaseExceptionGroup, "b")
    assert parts == [(KeyboardInterrupt, ""), FAILED]


def test_notes_are_kept_of_the_group_and_of_each_part():
    leaf, lost = ValueError("leaf"), Unpicklable("hidden")
    inner = ExceptionGroup("inner", [leaf, lost])
    outer = ExceptionGroup("outer", [inner])
    for error in (leaf, lost, inner, outer):
        error.add_note(f"of {error}")
    made = crossed(outer)
    assert made.__notes__ == outer.__notes__
    assert made.exceptions[0].__notes__ == inner.__notes__
    assert made.exceptions[0].exceptions[0].__notes__ == leaf.__notes__
    assert "of hidden" in str(made.exceptions[0].exceptions[1])


def raise_nested():
    """Raise a group with a cause, of errors with a cause and a context."""
    try:
        raise LookupError("the group's cause")
    except LookupError as cause:
        errors = []
        for make in (ValueError, Unpicklable):
            try:
                try:
                    raise OSError("the context")
                except OSError:
                    raise make("leaf") from TypeError("the cause")
            except ValueError as error:
                errors.append(error)
            try:
                try:
                    raise OSError("the context")
                except OSError:
                    raise make("leaf")  # noqa: B904  # the context is the point
            except ValueError as error:
                errors.append(error)
        raise ExceptionGroup("outer", errors) from cause


def test_each_part_shows_where_it_was_raised_and_what_from():
    with pytest.raises(ExceptionGroup) as info:
        raise_nested()
    made = crossed(info.value)
    caused, in_context, lost_caused, lost_in_context = made.exceptions
    assert "the cause" in str(caused.__cause__)
    assert "the context" in str(in_context.__cause__)
    assert "the cause" in str(lost_caused)
    assert "the context" in str(lost_in_context)
    shown = str(made.__cause__)
    assert "the group's cause" in shown
    assert "in raise_nested" in shown
    assert "leaf" not in shown  # they tell it themselves


def test_a_group_of_a_type_with_arguments_of_its_own_keeps_all():
    made = crossed(OwnNew(7, [KeyError("k"), Unpicklable("hidden")]))
    assert shape(made) == (OwnNew, "code 7", [(KeyError, "'k'"), FAILED])
    assert made.code == 7


def test_a_group_that_says_how_it_is_pickled_is():
    assert shape(crossed(OwnReduce("m", [KeyError("k")])))[:2] == (
        OwnReduce,
        "again: m",
    )
    made = crossed(OwnReduce("m", [KeyError("k"), Unpicklable("hidden")]))
    assert shape(made) == (OwnReduce, "m", [(KeyError, "'k'"), FAILED])


def test_a_group_whose_type_cannot_cross_is_a_plain_one():
    class Local(ExceptionGroup):
        pass

    error = Local("m", [KeyError("k"), Unpicklable("hidden")])
    error.code, error.lock = 7, lambda: None
    error.add_note("a note")
    made = crossed(error)
    assert shape(made) == (ExceptionGroup, "m", [(KeyError, "'k'"), FAILED])
    assert made.__notes__ == ["a note"]


def test_what_can_be_pickled_is_the_same_after_as_before():
    error = ExceptionGroup("m", [ValueError(1), ExceptionGroup("n", [KeyError(2)])])
    made = crossed(error)
    assert shape(made) == shape(error) == shape(pickle.loads(pickle.dumps(error)))
    assert made.__cause__ is None  # it was never raised
    assert made.args[0] == "m"


async def test_a_jobs_group_comes_home(open_pool):
    async with open_pool(1) as pool:
        with pytest.raises(ExceptionGroup) as info:
            await pool.spawn_cpu_work(jobs.raise_group)
    kinds = [type(error) for error in info.value.exceptions]
    is_of_threads = kinds[1] is jobs.Unpicklable
    assert kinds == [KeyError, kinds[1], ValueError]
    assert is_of_threads or kinds[1] is runtime.TaskFailed


async def test_a_group_that_is_an_items_outcome_or_result(open_pool):
    async with open_pool(1) as pool:
        (failed,) = await pool.spawn_parallel_batch([0], jobs.raise_group, "return")
        (given,) = await pool.spawn_parallel_batch([0], jobs.give_group)
    for group in (failed.error, given):
        assert [type(error) for error in group.exceptions][::2] == [
            KeyError,
            ValueError,
        ]
