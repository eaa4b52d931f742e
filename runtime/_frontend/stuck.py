"""Jobs that run longer than they should are reported, once, with where they are.

A task of the pool looks now and then what runs, and has what is late write down its
stack (`sighting`). A job inside one long call into C, or one that waits, does not, and
is reported without a stack.

Layer: frontend.
"""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import Context
from traceback import FrameSummary, StackSummary

import trio

from .._core import Job
from .._core.sighting import Stack
from .intake import Intake
from .port import CompletionPort
from .protected import start_task
from .reports import Straggler, straggler_of

__all__ = ("watch_for_stuck_jobs",)

# How often it looks, in parts of the limit. Arbitrary.
LOOKS = 4
# How many seconds a job has to meet the probe, which looks twice a second at least.
PATIENCE = 1.0

_logger = logging.getLogger("runtime")


@contextmanager
def watch_for_stuck_jobs(
    nursery: trio.Nursery, intake: Intake, limit: float | None
) -> Iterator[None]:
    """Report jobs that run longer than ``limit`` seconds, during the block."""
    if limit is None:
        yield
        return
    intake.is_watched = True
    # Shielded: a pool whose block is cancelled waits for its jobs, too.
    scope = trio.CancelScope(shield=True)
    # With no context variables: it would keep their values alive.
    Context().run(start_task, nursery, _watch, intake, limit, scope)
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
                for job in intake.backend.running_jobs().values()
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
    found = _Found(intake.port)
    with intake.backend.seek(job, found.take), trio.move_on_after(PATIENCE):
        await found.is_here.wait()
    _logger.warning(
        "job %s of pool %r has been running for %.1f s:\n%s",
        named,
        intake.name,
        seconds,
        found.describe(),
    )


def _named(intake: Intake, job: Job) -> Straggler:
    """Describe the work that a job belongs to."""
    for work in intake.work:
        if work.token is job.token:
            return straggler_of(work.name, work.code)
    return straggler_of("that was left behind", None)


class _Found:
    """The stack of a job, if it comes.

    Thread safety: `take` from any thread, all else in the Trio thread.
    """

    __slots__ = ("_port", "_stack", "is_here")

    def __init__(self, port: CompletionPort) -> None:
        self._port = port  # immutable
        self._stack: Stack = []  # atomic: a single store
        self.is_here = trio.Event()  # owner: the Trio thread

    def take(self, stack: Stack) -> None:
        """Let the report go on with the stack."""
        self._stack = stack
        self._port.post(self)

    def deliver(self) -> None:
        """Let the report go on."""
        self.is_here.set()

    def fail(self, error: BaseException) -> None:
        """Do nothing: the report goes on without it."""

    def describe(self) -> str:
        """Return where the job is."""
        if not self._stack:
            return "it is inside one call into C, or waits"
        frames = [FrameSummary(*row, lookup_line=False) for row in self._stack]
        return "".join(StackSummary.from_list(frames).format()).rstrip()
