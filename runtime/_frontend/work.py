"""What a pool keeps track of: a call, a job, a batch, a block of a map.

Layer: frontend.
"""

import enum
from collections.abc import Callable, Iterable
from types import CodeType
from typing import Protocol

import outcome

from .._core import DONE, WITHDRAWN, Job
from .._errors import CancelReason
from .token import WorkToken

__all__ = ("Verdict", "Work", "are_over", "verdict_of")


class Verdict(enum.IntEnum):
    """How a piece of work ended, for the pool's counters."""

    COMPLETED = 0
    FAILED = 1
    WITHDRAWN = 2

    __hash__ = int.__hash__  # an enum's own is slow; there is one for every call


class Work(Protocol):
    """A piece of accepted work. All methods belong to the Trio thread."""

    name: str  # what reports call it
    code: CodeType | None  # where its function is defined; None for a builtin
    token: WorkToken  # tells it to stop

    def verdict(self) -> Verdict:
        """Tell how it ended; before its end, how it would if it ended now."""
        raise NotImplementedError

    def stop(self, reason: CancelReason) -> None:
        """End it on somebody else's behalf: withdraw it or set its token."""

    def interrupt(self) -> None:
        """Have it interrupted where it runs, if its caller allowed that."""

    def fail(self, error: BaseException) -> None:
        """End the wait for it with an error; it will not be delivered."""


def verdict_of(job: Job) -> Verdict:
    """Tell how a single job ended."""
    if job.phase == WITHDRAWN:
        return Verdict.WITHDRAWN
    if type(job.outcome) is outcome.Error:  # isinstance is slow for an ABC
        return Verdict.FAILED
    return Verdict.COMPLETED


def are_over(jobs: Iterable[Job]) -> Callable[[], bool]:
    """Return a function that tells whether all jobs have ended."""
    kept = tuple(jobs)
    return lambda: all(job.phase in (DONE, WITHDRAWN) for job in kept)
