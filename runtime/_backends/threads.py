"""The backend of threads: the core's registry, whose workers share all objects.

Nothing lies between the front end and the scheduler: `inject` and `withdraw` are the
registry's own.

Layer: backends.
"""

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import override

from .._core import (
    SPARE_LIMIT,
    Batch,
    CancelToken,
    Job,
    Registry,
    Worker,
    current_worker,
    interrupt,
    sighting,
)
from .._util import is_gil_enabled
from .base import Backend, Events, Interrupt, MakeBatch

__all__ = ("SPIN_ROUNDS", "ThreadBackend")

# How often an idle worker searches before it sleeps: long enough to meet the next
# call of a task that makes one after the other. Measured in bench round_trip. With a
# GIL a searching worker would only hold up the others.
SPIN_ROUNDS = 60


class ThreadBackend(Registry, Backend):
    """Workers in threads of this process.

    Args:
      worker_count: How many workers, at least 1.
      name: Threads are named ``runtime-{name}-{index}``.
      spare_limit: How many spares there may be (SPARES.md).

    Thread safety: as `Backend`.
    """

    __slots__ = ("_events",)

    kind = "threads"
    shares_objects = True
    make_batch: MakeBatch = Batch

    def __init__(
        self, worker_count: int, *, name: str, spare_limit: int = SPARE_LIMIT
    ) -> None:
        super().__init__(
            worker_count,
            name=name,
            spin_rounds=1 if is_gil_enabled() else SPIN_ROUNDS,
            spare_limit=spare_limit,
            on_failure=self._report,
        )
        self._events: Events | None = None  # immutable once bound

    @override
    def bind(self, events: Events) -> None:
        self._events = events

    def _report(self, error: BaseException) -> None:
        assert self._events is not None
        self._events.failed(error)

    @override
    def phase_of(self, job: Job) -> int:
        return job.phase

    @override
    def request_stop(self, token: CancelToken) -> None:
        """Do nothing: jobs read the token."""

    @override
    def interrupt(self, token: CancelToken, is_over: Callable[[], bool]) -> Interrupt:
        return interrupt.interrupt(token, is_over)

    @override
    def seek(
        self, job: Job, on_seen: Callable[[sighting.Stack], object]
    ) -> AbstractContextManager[None]:
        return sighting.seek(job, on_seen)

    @override
    def worker_here(self) -> Worker | None:
        worker = current_worker()
        return worker if worker is not None and worker.registry is self else None

    @override
    def queued(self) -> int:
        return len(self.injector)
