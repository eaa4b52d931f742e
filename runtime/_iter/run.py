"""What the pieces of one running chain share.

Layer: iter.
"""

from typing import Any, Protocol

from .._core import CancelToken
from .._errors import JobCancelled, JobInterrupted
from .constants import settle_constants
from .place import worker_here
from .producers import Gauge, Producer
from .terminals import NOTHING, Terminal, as_raised

__all__ = ("SPLIT_NS", "Progress", "Run")

# What a split should at least hand over: some times what it takes to wake a worker.
# Measured in bench/situations/iter_small.
SPLIT_NS = 100_000


class Progress(Protocol):
    """Told about each leaf; see `progress`."""

    def advance(self, count: int) -> None:
        """Note that so many positions are done; from any worker."""
        raise NotImplementedError

    def close(self) -> None:
        """The chain has ended."""
        raise NotImplementedError


class Run:
    """What the pieces of one running chain share.

    Args:
      producer: Where the items come from.
      terminal: What becomes of them.
      min_length: No piece is split into shorter ones.
      progress: Told how many positions were worked through, after each leaf.

    Thread safety: internally synchronized.
    """

    __slots__ = (
        "_errors",
        "is_cancelled",
        "job_token",
        "min_length",
        "pieces",
        "producer",
        "progress",
        "stop_token",
        "terminal",
        "worker_count",
    )

    def __init__(
        self,
        producer: Producer,
        terminal: Terminal,
        min_length: int = 1,
        progress: "Progress | None" = None,
    ) -> None:
        worker = worker_here()
        assert worker is not None
        self.producer = producer  # immutable
        self.terminal = terminal  # immutable
        self.min_length = min_length  # immutable
        self.progress = progress  # immutable
        self.worker_count: int = worker.registry.worker_count  # immutable
        self.job_token: CancelToken | None = (  # immutable
            None if worker.job is None else worker.job.token
        )
        self.stop_token = CancelToken()  # immutable
        self.is_cancelled = False  # atomic: a single store; never cleared
        self._errors: list[tuple[int, BaseException]] = []  # atomic: append
        for fn in terminal.functions:
            settle_constants(fn)

    def fail(self, position: int, error: BaseException) -> None:
        """Keep an item's error and stop the rest."""
        self._errors.append((position, as_raised(error)))
        self.stop()

    def cancel(self) -> None:
        """Stop: something in the chain was told that the job should."""
        self.is_cancelled = True
        self.stop()

    def stop(self) -> None:
        """Have all leaves end and no more begin."""
        self.stop_token.is_set = True
        self.terminal.stop()

    def gauge(self, budget_ns: int, own_token: CancelToken | None = None) -> Gauge:
        """Make the gauge of a piece.

        Args:
          budget_ns: When its first leaf has taken this long it ends.
          own_token: Set when the piece should stop, or the run.
        """
        gauge = Gauge()
        gauge.is_one_of_many = True
        gauge.budget_ns = budget_ns
        gauge.run_token = self.stop_token if own_token is None else own_token
        gauge.job_token = self.job_token
        return gauge

    def should_stop(self) -> bool:
        """Return whether no more leaf should begin."""
        if self.job_token is not None and self.job_token.is_set:
            self.is_cancelled = True
            return True
        return self.stop_token.is_set

    def answer(self, total: Any) -> Any:
        """Return the chain's answer or raise its errors."""
        if self._errors:
            indexed, self._errors = self._errors, []  # they refer to us
            errors = [error for _, error in sorted(indexed, key=_position)]
            raise self.terminal.failed(errors)
        if self.is_cancelled:
            raise JobCancelled
        return self.terminal.finish(total)

    def combined(self, left: Any, right: Any) -> Any:
        """Combine two totals, unless nobody wants them any more."""
        if left is NOTHING:
            return right
        if right is NOTHING or self.stop_token.is_set:
            return left
        try:
            return self.terminal.combine(left, right)
        except (JobCancelled, JobInterrupted):
            self.cancel()
        except BaseException as error:  # an outcome like an item's
            self.fail(self.producer.length or 0, error)
        return NOTHING


def _position(indexed_error: tuple[int, BaseException]) -> int:
    return indexed_error[0]
