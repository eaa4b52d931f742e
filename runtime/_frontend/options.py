"""The small vocabularies of the public calls.

Layer: frontend.
"""

import enum
import inspect
import math
from collections.abc import Callable, Iterable, Mapping
from typing import Literal, Protocol

from .._util import callable_name, check_keywords, check_sync_callable

__all__ = (
    "JobState",
    "Limiter",
    "OnCancel",
    "OnCancelMany",
    "OnError",
    "Priority",
    "callable_name",
    "check_keywords",
    "check_sync_callable",
)

type OnCancel = Literal["wait", "abandon", "interrupt"]
type OnCancelMany = Literal["wait", "interrupt"]
type OnError = Literal["raise", "return"]


class Priority(enum.IntEnum):
    """The lane a job waits in; within a lane jobs start in the order they came.

    A lane is served only when those before it are empty.
    """

    HIGH = 0
    NORMAL = 1
    LOW = 2


class JobState(enum.Enum):
    """Where a job is. The values are in the order of ``runtime._core.job``.

    ``QUEUED`` becomes ``RUNNING`` and then ``DONE``, or it becomes ``WITHDRAWN``; a
    withdrawn job's function was never called and never will be.
    """

    QUEUED = 0
    RUNNING = 1
    DONE = 2
    WITHDRAWN = 3


class Limiter(Protocol):
    """What a `trio.CapacityLimiter` offers and a job's caller needs."""

    async def acquire_on_behalf_of(self, borrower: object) -> None:
        """Wait for a token and lend it to the borrower."""

    def release_on_behalf_of(self, borrower: object) -> None:
        """Take the borrower's token back."""


def check_async_callable(fn: object, call: str) -> None:
    """Raise the misuse error for what cannot be a task.

    Whether a function is async is seen for certain only when it is called.
    """
    if inspect.iscoroutine(fn):
        fn.close()  # else Python warns that nobody awaited it
        raise TypeError(
            f"{call} needs an async function and its arguments, not a coroutine; "
            f"write instead: {call}(async_fn, *args)"
        )
    if not callable(fn):
        raise TypeError(f"{call} needs an async function, not {fn!r}")


def check_submission(
    call: str,
    fn: Callable[..., object],
    keywords: Mapping[str, object],
    priority: object,
    on_cancel: object,
) -> None:
    """Raise the misuse error for what `submit` and `submit_nowait` do not take."""
    check_sync_callable(fn, call)
    check_keywords(keywords, fn, call)
    check_priority(priority)
    check_choice(on_cancel, ("wait", "interrupt"), "on_cancel")


def check_items(items: object, written: str, written_async: str | None) -> None:
    """Raise TypeError for what cannot be iterated over.

    Args:
      written: The call as it should be written, for the message.
      written_async: The same for an async iterable; None if the call takes it.
    """
    kind = type(items)
    if hasattr(kind, "__iter__") or hasattr(kind, "__getitem__"):
        return
    if not hasattr(kind, "__aiter__"):
        raise TypeError(
            f"items must be something to iterate over, not {items!r}; "
            f"write instead: {written}"
        )
    if written_async is not None:
        raise TypeError(
            "an async iterable cannot be made into a list here; "
            f"write instead: {written_async}"
        )


def check_choice(value: object, choices: tuple[str, ...], name: str) -> None:
    """Raise ValueError naming the option unless the value is one of the choices."""
    if value not in choices:
        *first, last = map(repr, choices)
        allowed = f"{', '.join(first)} or {last}"
        raise ValueError(f"{name} must be {allowed}, not {value!r}")


def check_priority(value: object) -> None:
    """Raise TypeError unless the value is a `Priority`."""
    if type(value) is not Priority:
        named = str(value).upper()
        write = named if named in Priority.__members__ else "NORMAL"
        raise TypeError(
            f"priority must be a runtime.Priority, not {value!r}; write instead: "
            f"priority=runtime.Priority.{write}"
        )


def check_count(value: object, least: int, name: str, most: float = math.inf) -> None:
    """Raise TypeError or ValueError naming the option unless it is a count."""
    if not isinstance(value, int) or isinstance(value, bool):
        raise TypeError(f"{name} must be an int, not {value!r}")
    if value < least:
        raise ValueError(f"{name} must be at least {least}, not {value}")
    if value > most:
        raise ValueError(f"{name} must be at most {most}, not {value}")


def check_function(value: object, name: str) -> None:
    """Raise TypeError naming the option unless it is a function, or None."""
    if value is not None and not callable(value):
        raise TypeError(f"{name} must be a function, not {value!r}")
    if value is not None:
        check_sync_callable(value, name, "def {name}(...) without async")


def check_kind(value: object, kind: type, name: str) -> None:
    """Raise TypeError naming the option unless it is one of ours, or None."""
    if value is not None and not isinstance(value, kind):
        raise TypeError(f"{name} must be a runtime.{kind.__name__}, not {value!r}")


def check_least(value: object, least: float, name: str) -> None:
    """Raise TypeError or ValueError naming the option unless it is that much."""
    try:
        is_enough = value >= least  # type: ignore[operator]
    except TypeError:
        raise TypeError(f"{name} must be a number, not {value!r}") from None
    if not is_enough:  # not a number (NaN) is not
        raise ValueError(f"{name} must be at least {least}, not {value!r}")


def check_seconds(value: object, name: str) -> None:
    """Raise TypeError or ValueError naming the option unless it is a time to wait."""
    try:
        is_some_time = value > 0  # type: ignore[operator]
    except TypeError:
        raise TypeError(f"{name} must be a number of seconds, not {value!r}") from None
    if not is_some_time:  # not a number (NaN) is not
        raise ValueError(f"{name} must be more than 0 seconds, not {value!r}")


def names_of(value: object, option: str) -> tuple[str, ...]:
    """Return some strings; raise TypeError naming the option if it is anything else."""
    # Not a string, whose items are strings, too.
    if isinstance(value, Iterable) and not isinstance(value, str):
        names = tuple(value)
        if all(isinstance(name, str) for name in names):
            return names
    raise TypeError(f"{option} must be a list of names, not {value!r}")
