"""Makes a producer's requests: the options of each, fixed or told by a function.

Layer: processor.
"""

import math
from collections.abc import Callable, Hashable
from typing import Any

import outcome
import trio

from .._core import job_context
from .._frontend.options import Priority, check_priority, check_seconds
from .engine import Engine
from .request import Receiver, Request

__all__ = ("DeadlineOption", "PriorityOption", "RequestMaker")

# Trio's clock begins at a random time that is at least this.
CLOCK_BEGINS = 10_000.0

type PriorityOption = Priority | Callable[[Any], Priority]
type DeadlineOption = float | Callable[[Any], float]


class RequestMaker:
    """Makes requests that run in the context variables of whoever made the maker.

    Args:
      share: For taking turns; requests with the same share are one producer's.
      priority: Of all requests, or a function of the request.
      deadline: Of all requests, or a function of the request; `math.inf` for none.
      timeout: Seconds; None for the configuration's.
    """

    __slots__ = (
        "_context",
        "_deadline",
        "_engine",
        "_priority",
        "_receiver",
        "_share",
        "_timeout",
    )

    def __init__(
        self,
        engine: Engine,
        receiver: Receiver,
        share: Hashable,
        *,
        priority: PriorityOption,
        deadline: DeadlineOption,
        timeout: float | None = None,
    ) -> None:
        if not callable(priority):
            check_priority(priority)
        self._engine = engine
        self._receiver = receiver
        self._share = share
        self._priority = priority
        self._deadline = deadline
        if not callable(deadline):
            _check_time(deadline)
        if timeout is not None:
            check_seconds(timeout, "timeout")
        self._timeout = engine.config.timeout if timeout is None else timeout
        self._context = job_context()

    @trio.lowlevel.disable_ki_protection  # nothing is counted before it returns
    def make(self, value: object) -> Request:
        """Make a request; the user's functions are called and may raise."""
        priority, deadline = self._priority, self._deadline
        request = Request(
            value,
            self._receiver,
            self._share,
            self._context,
            Priority.NORMAL if callable(priority) else priority,
            None,
            self._timeout,
        )
        if callable(priority):
            request.lane = priority(value)
            check_priority(request.lane)
        if callable(deadline):
            due = deadline(value)
            _check_time(due)
        else:
            due = deadline
        if due != math.inf:
            request.deadline = float(due)
        self._engine.measure(request)
        return request

    def make_or_fail(self, value: object, position: int = 0) -> Request:
        """Make a request; one that cannot be made has its answer already."""
        try:
            request = self.make(value)
        except Exception as error:  # this request's outcome, not its producer's end
            request = Request(
                value, self._receiver, self._share, self._context, 0, None, None
            )
            request.answer = outcome.Error(error)
        request.position = position
        return request


def _check_time(due: object) -> None:
    """Raise for what has no place among the deadlines of others."""
    if not isinstance(due, int | float) or due != due:  # NaN has none either
        raise TypeError(f"deadline must be a time of Trio's clock, not {due!r}")
    # Another clock may be near 0: that of a test. What Trio calls -inf is over.
    if -math.inf < due < CLOCK_BEGINS <= trio.current_time():
        raise ValueError(
            f"deadline is a time of Trio's clock, and at {due!r} no program ran yet; "
            f"for 'in {due} seconds' write instead: "
            f"deadline=trio.current_time() + {due}"
        )
