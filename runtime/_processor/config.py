"""What a processor is told once: `ParallelConfig` and `RetryPolicy`.

Layer: processor.
"""

from collections.abc import Callable
from dataclasses import dataclass
from random import Random
from typing import Any, Literal

from .._frontend.options import (
    OnCancel,
    check_choice,
    check_count,
    check_function,
    check_kind,
    check_least,
    check_seconds,
)

__all__ = ("Backpressure", "ParallelConfig", "RetryPolicy")

type Backpressure = Literal["wait", "refuse", "drop_oldest"]


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """When a failed request is tried again.

    Only a handler's own error is retried, never an expiry, a cancellation or a
    refusal. A request that waits for its next attempt keeps its place at the bound.

    Attributes:
      attempts: How often a request is tried in all, at least 1.
      retry_on: Which errors are worth another attempt: a class or several in a tuple,
        as after ``except``.
      delay: Seconds before the second attempt, on Trio's clock.
      backoff: What the delay is multiplied by from attempt to attempt, at least 1.
      max_delay: Longest delay in seconds.
      jitter: The share of a delay that is chosen at random, 0 to 1: with 0.5 it is
        between half of the delay and all of it.
    """

    attempts: int = 3
    retry_on: type[BaseException] | tuple[type[BaseException], ...] = (Exception,)
    delay: float = 0.1
    backoff: float = 2.0
    max_delay: float = 30.0
    jitter: float = 0.5

    def __post_init__(self) -> None:
        """Refuse what makes no sense."""
        check_count(self.attempts, 1, "attempts")
        check_least(self.delay, 0, "delay")
        check_least(self.backoff, 1, "backoff")
        check_least(self.max_delay, 0, "max_delay")
        check_least(self.jitter, 0, "jitter")
        if self.jitter > 1:
            raise ValueError(f"jitter must be between 0 and 1, not {self.jitter!r}")
        for retried in self._retried():
            if not (isinstance(retried, type) and issubclass(retried, BaseException)):
                raise TypeError(
                    "retry_on must be a class of exceptions or a tuple of them, such "
                    f"as (OSError, ValueError), not {self.retry_on!r}"
                )

    def delay_before(self, attempt: int, random: Random) -> float:
        """Return the seconds to wait before the given attempt, which is 2 or more."""
        if not self.delay:
            return 0.0  # whatever it is multiplied by
        try:
            full = min(self.delay * self.backoff ** (attempt - 2), self.max_delay)
        except OverflowError:
            full = self.max_delay
        return full * (1 - self.jitter * random.random())

    def covers(self, error: BaseException, attempts: int) -> bool:
        """Return whether a request that failed so often is tried again."""
        if attempts >= self.attempts:
            return False
        # Not isinstance or issubclass: they may ask code of the user's, which raises.
        ancestors = type(error).__mro__
        return any(retried in ancestors for retried in self._retried())

    def _retried(self) -> tuple[Any, ...]:
        return self.retry_on if isinstance(self.retry_on, tuple) else (self.retry_on,)


@dataclass(frozen=True, slots=True)
class ParallelConfig:
    """How a `ParallelProcessor` works.

    Attributes:
      worker_count: How many workers; None for the cores this process may use. Not
        used if the processor is given a pool.
      thread_name_prefix: Shown in the names of the processor, of its pool and of
        the pool's threads.
      batch_size: Requests per batch, at most; where ``target_batch_time`` is given,
        what to begin with.
      max_concurrent_batches: Batches that may be with the workers at a time. More
        than two per worker are never needed and never sent.
      max_pending_tasks: The bound. It limits the requests that are accepted and not
        yet answered, all producers together; and for each stream those whose response
        was not taken yet.
      enable_statistics: Whether durations are measured and counted.
      batch_delay: Seconds a batch may wait to become full. 0 sends what is there as
        soon as a worker could begin with it.
      max_batch_bytes: Size of a batch, by ``size_of``, at which it is full; None for no
        limit. A single larger request still makes a batch.
      size_of: Tells the size of a request.
      target_batch_time: Seconds a batch should take on a worker: batches become longer
        or shorter to meet it. None keeps to ``batch_size``.
      backpressure: What happens at the bound. ``"wait"``: who brings the request
        waits. ``"refuse"``: it is answered with `BackpressureExceeded`.
        ``"drop_oldest"``: the oldest request of the least urgent lane that has not
        begun is answered so in its place.
      cost_of: Tells how many places of the bound a request takes, at least 1; None
        for one each. A request dearer than the bound takes all of it.
      ageing: Seconds a request must be older than one of the next higher lane to
        come before it. So a LOW request is never overtaken by a HIGH one that came
        more than twice this much later.
      retry: When a failed request is tried again; None for never.
      timeout: Seconds a request may take from its acceptance to its answer, all
        attempts together; None for no limit. A request with a timeout is a batch of
        its own.
      on_timeout: What becomes of a request that runs when its time is over: ``"wait"``
        for its end, which `check_cancelled` can bring nearer; ``"abandon"`` it; or
        ``"interrupt"`` it, have `JobInterrupted` raised inside it, and wait.
      backend: How the handler is executed, as for `open_worker_pool`. Not used if the
        processor is given a pool.
    """

    worker_count: int | None = None
    thread_name_prefix: str = "runtime"
    batch_size: int = 10
    max_concurrent_batches: int = 100
    max_pending_tasks: int = 1000
    enable_statistics: bool = True
    batch_delay: float = 0.0
    max_batch_bytes: int | None = None
    size_of: Callable[[Any], int] = len
    target_batch_time: float | None = None
    backpressure: Backpressure = "wait"
    cost_of: Callable[[Any], int] | None = None
    ageing: float = 1.0
    retry: RetryPolicy | None = None
    timeout: float | None = None
    on_timeout: OnCancel = "wait"
    backend: str = "auto"

    def __post_init__(self) -> None:
        """Refuse what makes no sense."""
        if self.worker_count is not None:
            check_count(self.worker_count, 1, "worker_count")
        check_count(self.batch_size, 1, "batch_size")
        check_count(self.max_concurrent_batches, 1, "max_concurrent_batches")
        check_count(self.max_pending_tasks, 1, "max_pending_tasks")
        if self.max_batch_bytes is not None:
            check_count(self.max_batch_bytes, 1, "max_batch_bytes")
        check_least(self.batch_delay, 0, "batch_delay")
        check_least(self.ageing, 0, "ageing")
        if self.target_batch_time is not None:
            check_seconds(self.target_batch_time, "target_batch_time")
        if self.timeout is not None:
            check_seconds(self.timeout, "timeout")
        modes = ("wait", "refuse", "drop_oldest")
        check_choice(self.backpressure, modes, "backpressure")
        check_choice(self.on_timeout, ("wait", "abandon", "interrupt"), "on_timeout")
        check_function(self.size_of, "size_of")
        check_function(self.cost_of, "cost_of")
        check_kind(self.retry, RetryPolicy, "retry")
