"""`WorkerPool.shutdown`: the end of a pool, within bounds.

The steps are those of `intake`, with a clock beside STOP-2 and STOP-3, and a report.

Several tasks may ask for it. One of them does it, the others wait for its report; the
shortest grace counts. Work of the pool may ask, too: it cannot wait for its own end,
so it is left out.

Layer: frontend.
"""

import logging
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

import trio

from .._errors import CancelReason, TaskCancelled
from .ending import WORKER_GRACE
from .intake import Intake
from .reports import ShutdownReport, Straggler, straggler_of
from .token import WorkToken, token_within
from .work import Verdict, Work

__all__ = ("Shutdown",)

# After the grace period tokens get this long to be seen. Arbitrary.
TOKEN_GRACE = 0.1
# And then interrupts to be raised and unwound. Arbitrary.
INTERRUPT_GRACE = 0.2

_logger = logging.getLogger("runtime")


class Shutdown:
    """The one shutdown of a pool, however many ask for it.

    Thread safety: externally synchronized, by the Trio thread.
    """

    __slots__ = (
        "_abandoned",
        "_at_start",
        "_by_itself",
        "_callers",
        "_grace",
        "_intake",
        "_lock",
        "_report",
    )

    def __init__(self, intake: Intake) -> None:
        self._intake = intake  # immutable
        self._lock = trio.Lock()  # owner: the Trio thread
        self._grace = trio.CancelScope()  # owner: ends the grace period
        self._callers: set[WorkToken] = set()  # owner: work that waits for the report
        # How work had ended when somebody first asked; what was abandoned then; and how
        # work ended from then until the rest was cancelled.
        self._at_start: Counter[Verdict] | None = None  # owner
        self._abandoned = 0  # owner
        self._by_itself: Counter[Verdict] | None = None  # owner
        self._report: ShutdownReport | None = None  # owner

    async def run(self, grace: float) -> ShutdownReport:
        """Close the pool within ``grace`` seconds and a bit; report on its work."""
        intake = self._intake
        intake.is_closing = True  # STOP-1 stop intake
        if self._at_start is None:  # before any work can end that it does not count
            self._at_start = Counter(intake.verdicts)
            self._abandoned = len(intake.abandoned)
        deadline = trio.current_time() + grace
        self._grace.deadline = min(self._grace.deadline, deadline)
        with self._left_out():
            async with self._lock:
                if self._report is None:
                    self._grace = trio.CancelScope(deadline=deadline)
                    self._report = await self._close(self._at_start)
                return self._report

    @contextmanager
    def _left_out(self) -> Iterator[None]:
        """Wait for the caller no longer, if it is work of the pool."""
        token = token_within(self._intake)
        if token is None:
            yield
            return
        self._callers.add(token)
        self._intake.note_progress()
        try:
            yield
        finally:
            self._callers.discard(token)

    async def _close(self, at_start: Counter[Verdict]) -> ShutdownReport:
        intake, callers = self._intake, self._callers
        with self._grace:
            await intake.drain(but_not=callers)  # STOP-2 drain
        if self._by_itself is None:  # else who asked before was cancelled after this
            self._by_itself = Counter(intake.verdicts) - at_start
        by_itself = self._by_itself
        intake.cancel(CancelReason.SHUTDOWN, but_not=callers)  # STOP-3 cancel
        with trio.move_on_after(TOKEN_GRACE):
            await intake.drain(but_not=callers)
        intake.interrupt(but_not=callers)
        with trio.move_on_after(INTERRUPT_GRACE):
            while intake.is_interrupting(but_not=callers):
                await intake.wait_progress()
        cancelled = Counter(intake.verdicts) - at_start - by_itself
        left = [work for work in intake.work if work.token not in callers]
        # A withdrawn job's empty entry may still be queued behind a stuck one.
        withdrawn = [w for w in left if w.verdict() is Verdict.WITHDRAWN]
        stuck = [w for w in left if w.verdict() is not Verdict.WITHDRAWN]
        for work in withdrawn + stuck:
            intake.leave_behind(work, TaskCancelled(work.name, CancelReason.SHUTDOWN))
        threads_left = await self._end_workers()
        return ShutdownReport(
            completed=by_itself[Verdict.COMPLETED] + by_itself[Verdict.FAILED],
            withdrawn=by_itself[Verdict.WITHDRAWN]
            + cancelled[Verdict.WITHDRAWN]
            + len(withdrawn),
            cancelled=cancelled[Verdict.COMPLETED] + cancelled[Verdict.FAILED],
            abandoned=self._abandoned,
            still_running=tuple(_named(intake, work) for work in stuck),
            threads_left=threads_left,
        )

    async def _end_workers(self) -> tuple[str, ...]:
        """Stop the workers (STOP-4); return what those wait for that do not end."""
        ending = self._intake.ending
        ending.is_bounded = True
        if self._callers:  # they still use the workers
            return ()
        at_least = trio.current_time() + WORKER_GRACE
        self._grace = trio.CancelScope(deadline=max(at_least, self._grace.deadline))
        return await ending.within(self._grace)


def _named(intake: Intake, work: Work) -> Straggler:
    """Describe work that was left behind, and say so in the log."""
    straggler = straggler_of(
        work.name, work.code, is_unreached=work.token.is_unreached()
    )
    _logger.warning("pool %r leaves a job behind: %s", intake.name, straggler)
    return straggler
