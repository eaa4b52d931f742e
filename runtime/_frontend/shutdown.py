"""`WorkerPool.shutdown`: the end of a pool, within bounds.

The steps are those of `intake`, with a clock beside STOP-2 and STOP-3, and a report.

Layer: frontend. Imports: `intake`, `reports`, trio.
"""

import logging

import trio

from .._errors import TaskCancelled
from .intake import Intake
from .reports import ShutdownReport, Straggler
from .work import Verdict, Work

__all__ = ("shut_down",)

# After the grace period tokens get this long to be seen. Arbitrary.
TOKEN_GRACE = 0.1

_logger = logging.getLogger("runtime")


async def shut_down(intake: Intake, grace: float) -> ShutdownReport:
    """Close the pool within ``grace`` seconds and a bit; report on its work."""
    intake.is_closing = True  # STOP-1 stop intake
    abandoned = len(intake.abandoned)
    at_start = intake.verdicts.copy()
    with trio.move_on_after(grace):
        await intake.drain()  # STOP-2 drain
    by_itself = intake.verdicts - at_start
    intake.cancel("shutdown()")  # STOP-3 cancel
    with trio.move_on_after(TOKEN_GRACE):
        await intake.drain()
    cancelled = intake.verdicts - at_start - by_itself
    # A withdrawn job's empty entry may still be queued behind a stuck one.
    withdrawn = [w for w in intake.work if w.verdict() is Verdict.WITHDRAWN]
    stuck = [w for w in intake.work if w.verdict() is not Verdict.WITHDRAWN]
    for work in withdrawn + stuck:
        intake.leave_behind(work, TaskCancelled(work.name, "shutdown()"))
    return ShutdownReport(
        completed=by_itself[Verdict.COMPLETED] + by_itself[Verdict.FAILED],
        withdrawn=by_itself[Verdict.WITHDRAWN]
        + cancelled[Verdict.WITHDRAWN]
        + len(withdrawn),
        cancelled=cancelled[Verdict.COMPLETED] + cancelled[Verdict.FAILED],
        abandoned=abandoned,
        still_running=tuple(_named(intake, work) for work in stuck),
    )


def _named(intake: Intake, work: Work) -> Straggler:
    """Describe work that was left behind, and say so in the log."""
    code = work.code
    straggler = Straggler(
        name=work.name,
        file=None if code is None else code.co_filename,
        line=None if code is None else code.co_firstlineno,
    )
    _logger.warning("pool %r leaves a job behind: %s", intake.name, straggler)
    return straggler
