"""Jobs that run longer than they should are reported, once, with where they are.

A task of the pool looks now and then what runs. Where a job is, only its own thread
can tell without harm: a probe has it write down its stack between two instructions
(INTERRUPT.md). A job inside one long call into C, or one that waits, meets no probe,
and is reported without a stack.

Layer: frontend. Imports: `runtime._core`, `intake`, `reports`, trio.
"""

import logging
import threading
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import override

import trio

from .._core import RUNNING, Job
from .._core.probe import Probe, add, nudge
from .intake import Intake
from .reports import Straggler, straggler_of
from .token import WorkToken

__all__ = ("watch_for_stuck_jobs",)

# How often it looks, in parts of the limit. Arbitrary.
LOOKS = 4
# How many seconds a job has to meet the probe, which looks twice a second at least.
PATIENCE = 1.0

# Where a job's own frames end: in the Python core, and in the native one.
_BASES = {getattr(Job.run, "__code__", None), threading.Thread.run.__code__}

_logger = logging.getLogger("runtime")


@contextmanager
def watch_for_stuck_jobs(
    nursery: trio.Nursery, intake: Intake, limit: float | None
) -> Iterator[None]:
    """Report jobs that run longer than ``limit`` seconds, during the block."""
    if limit is None:
        yield
        return
    # Shielded: a pool whose block is cancelled waits for its jobs, too.
    scope = trio.CancelScope(shield=True)
    nursery.start_soon(_watch, intake, limit, scope)
    try:
        yield
    finally:
        scope.cancel()


async def _watch(intake: Intake, limit: float, scope: trio.CancelScope) -> None:
    """Look again and again, and report each job once."""
    # By job, which is named without being kept alive, and not by its worker: in an
    # interpreter a job that waited may come back elsewhere. Since when.
    since: dict[tuple[int, int], float] = {}
    seen: set[tuple[int, int]] = set()
    reported: set[tuple[int, int]] = set()
    with scope:
        while True:
            now = trio.current_time()
            running = {
                (id(job), job.pushed_ns): job
                for job in intake.registry.running_jobs().values()
            }
            # RACE: what changes its place just now may be missed, but not twice.
            since = {key: since.get(key, now) for key in seen | running.keys()}
            seen = set(running)
            reported &= since.keys()
            for key in seen - reported:
                if now - since[key] >= limit:
                    reported.add(key)
                    await _report(intake, running[key], now - since[key])
            running.clear()  # else what a job leaves behind lives until the next look
            await trio.sleep(limit / LOOKS)


async def _report(intake: Intake, job: Job, seconds: float) -> None:
    """Log that a job is stuck, with its stack if it can be had."""
    named = _named(intake, job)
    sighting = _Sighting(intake, job)
    where = "it is inside one call into C, or waits\n"
    if isinstance(job.token, WorkToken) and job.token.handles is not None:
        where = "it is in an interpreter of its own, and cannot say where\n"
    elif add(sighting):
        with trio.move_on_after(PATIENCE):
            await sighting.seen.wait()
        sighting.is_done = True
        nudge()
    if sighting.stack:
        where = "".join(traceback.StackSummary.from_list(sighting.stack).format())
    _logger.warning(
        "job %s of pool %r has been running for %.1f s:\n%s",
        named,
        intake.name,
        seconds,
        where.rstrip(),
    )


def _named(intake: Intake, job: Job) -> Straggler:
    """Describe the work that a job belongs to."""
    for work in intake.work:
        if work.token is job.token:
            return straggler_of(work.name, work.code)
    return straggler_of("that was left behind", None)


class _Sighting(Probe):
    """Has a job write down its stack.

    Thread safety: as `Probe`; `deliver` in the Trio thread.
    """

    __slots__ = ("_intake", "_job", "is_done", "seen", "stack")

    def __init__(self, intake: Intake, job: Job) -> None:
        super().__init__(job.token)
        self._intake = intake  # immutable
        self._job = job  # immutable
        self.is_done = False  # atomic: a single store; never cleared
        # Innermost last. owner: the worker, then the Trio thread
        self.stack: list[traceback.FrameSummary] = []
        self.seen = trio.Event()  # owner: the Trio thread

    @override
    def is_over(self) -> bool:
        return self.is_done or self._job.phase != RUNNING

    @override
    def may_act(self, job: Job, frame: FrameType, offset: int) -> bool:
        return job is self._job

    @override
    def act(self, frame: FrameType) -> None:
        """Write down the stack; files are read later, in the Trio thread."""
        here: FrameType | None = frame
        while here is not None and here.f_code not in _BASES:
            code = here.f_code
            self.stack.insert(
                0,
                traceback.FrameSummary(
                    code.co_filename, here.f_lineno, code.co_name, lookup_line=False
                ),
            )
            here = here.f_back
        self._intake.port.post(self)

    def deliver(self) -> None:
        """Let the report go on."""
        self.seen.set()

    def fail(self, error: BaseException) -> None:
        """Do nothing: the report goes on without it."""
