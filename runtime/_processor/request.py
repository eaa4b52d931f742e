"""One request on its way: what is asked, how urgent it is, and who wants the answer.

Layer: processor.
"""

from collections.abc import Hashable
from contextvars import Context
from typing import TYPE_CHECKING, Protocol

import outcome

if TYPE_CHECKING:
    from .._errors import CancelReason
    from .batch import RequestBatch
    from .timers import Timer

__all__ = ("ExactShare", "Receiver", "Request")


class Receiver(Protocol):
    """Who brought a request. All methods belong to the Trio thread."""

    def receive(self, request: "Request", /) -> None:
        """Take a request back that has its answer; must not raise."""


class ExactShare:
    """A producer whose requests travel in batches of one size, by themselves.

    Attributes:
      size: Requests per batch.
    """

    __slots__ = ("size",)

    def __init__(self, size: int) -> None:
        self.size = size


class Request:
    """One request; it belongs to the Trio thread.

    Attributes:
      value: What the handler is given.
      receiver: Who gets the answer.
      share: The producer, for taking turns.
      context: Context variables; copied for each attempt, never entered.
      lane: Its priority class, 0 first.
      cost: Places of the bound it holds.
      size: What it adds to the size of a batch; 0 where that has no limit.
      position: For its receiver to recognise it by.
      queued_at: Trio's time of its coming to a lane, where batches are delayed.
      deadline: Trio's time after which it does not begin any more.
      timeout: Seconds from its acceptance to the time at which its answer is due.
      is_queued: Whether it waits in a lane.
      accepted_ns: When it was accepted.
      attempts: How often it was given to a worker.
      batch: The batch it is in; None while it waits.
      ending: Why nothing more is to begin for it; None while it is wanted.
      answer: Its outcome; None until there is one.
      timers: What is still to happen to it at a time.
    """

    __slots__ = (
        "accepted_ns",
        "answer",
        "attempts",
        "batch",
        "context",
        "cost",
        "deadline",
        "ending",
        "is_queued",
        "lane",
        "position",
        "queued_at",
        "receiver",
        "share",
        "size",
        "timeout",
        "timers",
        "value",
    )

    def __init__(
        self,
        value: object,
        receiver: Receiver,
        share: Hashable,
        context: Context,
        lane: int,
        deadline: float | None,
        timeout: float | None,
    ) -> None:
        self.value = value
        self.receiver = receiver
        self.share = share
        self.context = context
        self.lane = lane
        self.deadline = deadline
        self.timeout = timeout
        self.is_queued = False
        self.cost = 1
        self.size = 0
        self.position = 0
        self.queued_at = 0.0
        self.accepted_ns = 0
        self.attempts = 0
        self.batch: RequestBatch | None = None
        self.ending: CancelReason | None = None
        self.answer: outcome.Maybe[object] | None = None
        self.timers: list[Timer] | None = None
