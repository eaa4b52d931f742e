"""What a pool keeps track of: a call, a job, a batch, a block of a map.

Layer: frontend. Imports: `runtime._core`, outcome.
"""

import enum
from types import CodeType
from typing import Protocol

import outcome

from .._core import WITHDRAWN, Job

__all__ = ("Verdict", "Work", "verdict_of")


class Verdict(enum.IntEnum):
    """How a piece of work ended, for the pool's counters."""

    COMPLETED = 0
    FAILED = 1
    WITHDRAWN = 2


class Work(Protocol):
    """A piece of accepted work. All methods belong to the Trio thread."""

    name: str  # what reports call it
    code: CodeType | None  # where its function is defined; None for a builtin

    def verdict(self) -> Verdict:
        """Tell how it ended; before its end, how it would if it ended now."""
        raise NotImplementedError

    def stop(self, cause: str) -> None:
        """End it on somebody else's behalf: withdraw it or set its token."""

    def fail(self, error: BaseException) -> None:
        """End the wait for it with an error; it will not be delivered."""


def verdict_of(job: Job) -> Verdict:
    """Tell how a single job ended."""
    if job.phase == WITHDRAWN:
        return Verdict.WITHDRAWN
    if type(job.outcome) is outcome.Error:  # isinstance is slow for an ABC
        return Verdict.FAILED
    return Verdict.COMPLETED
