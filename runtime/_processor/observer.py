"""The place where a processor's monitor is called, if there is one.

Layer: processor.
"""

import logging
from collections.abc import Sequence

import outcome
import trio

from .._core import sync
from .._frontend.token import is_end
from .batch import RequestBatch
from .monitor import BatchReport, PerformanceMonitor

__all__ = ("Observer",)

_logger = logging.getLogger("runtime")


class Observer:
    """Calls the monitor; removes one that raises, since it must harm no request.

    Thread safety: externally synchronized, by the Trio thread.
    """

    __slots__ = ("_name", "monitor")

    def __init__(self, name: str) -> None:
        self._name = name
        self.monitor: PerformanceMonitor | None = None

    def note_batch(
        self, batch: RequestBatch, outcomes: Sequence[outcome.Maybe[object] | None]
    ) -> None:
        """Report a batch that came back."""
        monitor = self.monitor
        if monitor is None:
            return
        now_ns = sync.clock_ns()
        report = BatchReport(
            time=trio.current_time(),
            worker_index=batch.worker_index,
            size=len(batch.requests),
            failed=sum(
                type(result) is outcome.Error and not is_end(result.error)
                for result in outcomes
            ),
            elapsed_ns=batch.elapsed_ns,
            latencies_ns=tuple(now_ns - r.accepted_ns for r in batch.requests),
        )
        try:
            monitor.note_batch(report)
        except BaseException:  # the requests have still to be answered
            self._remove()

    def note_refused(self) -> None:
        """Report a request that was refused or dropped."""
        if self.monitor is None:
            return
        try:
            self.monitor.note_refused(trio.current_time())
        except BaseException:
            self._remove()

    def _remove(self) -> None:
        self.monitor = None
        _logger.exception("processor %r removes its monitor, which raised", self._name)
