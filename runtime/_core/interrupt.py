"""Raise `JobInterrupted` inside one running job, where it does no harm.

When and where is INTERRUPT.md, SAFE-1 to SAFE-6; how the worker is reached is `probe`.

Layer: core.
"""

import sys
import weakref
from collections.abc import Callable
from types import CodeType, FrameType, TracebackType
from typing import TYPE_CHECKING, NoReturn, override

from .._errors import JobCancelled, JobInterrupted
from . import probe, sync
from .job import RUNNING
from .probe import nudge
from .selected import CancelToken, Job, Worker

if TYPE_CHECKING:
    from .safe_points import SafePoints

__all__ = ("Interrupt", "interrupt", "nudge", "raise_cancelled", "uninterruptible")

# How many instructions to let pass for the start of a line, then for the end of a
# `finally` (SAFE-6). Not a time: the thread may be without a core for most of it.
# A look takes about a microsecond. Arbitrary.
LINE_PATIENCE = 1_000
CLEANUP_PATIENCE = 20_000

# Whose frames are never interrupted themselves (SAFE-3), by top-level package.
_UNTOUCHED = frozenset(
    {
        __name__.partition(".")[0],
        "attr",
        "outcome",
        "trio",
        "_frozen_importlib",
        "_frozen_importlib_external",
        "contextlib",
        "importlib",
        "logging",
        "queue",
        "threading",
    }
)
_UNTOUCHED_FILES = "<attrs generated"  # outcome's constructors, of no module

# What a frame's function is called that must not be broken off (SAFE-4); and what
# had better not be (SAFE-6).
_NEVER_NAMES = frozenset(
    {"__enter__", "__exit__", "__aenter__", "__aexit__", "__del__"}
)
_LATE_NAMES = frozenset({"acquire", "release"})

# Where a job's own frames end. The native core has no frame for it, and no frames of
# other jobs on the same stack but those that wait for this one.
_BASE: CodeType | None = getattr(Job.run, "__code__", None)

# What was found out about functions, by the id of their code. Reading it takes longer
# than an interrupt may. RACE: two threads may read the same code; both find the same.
MAX_POINTS = 1000
_points: "dict[int, tuple[weakref.ref[CodeType], SafePoints]]" = {}

# Depth of `uninterruptible` by thread; each key is written by its own thread only.
_shields: dict[int, int] = {}


def interrupt(
    token: CancelToken,
    is_over: Callable[[], bool],
    on_met: Callable[[], None] | None = None,
) -> "Interrupt":
    """Have `JobInterrupted` raised in each running job that has the token, once.

    Args:
      token: Of the work to interrupt.
      is_over: Tells from any thread whether nothing with the token will run any more.
      on_met: Called on the worker when it was raised. Must not raise.

    Returns:
      The interrupt, which tells whether it has reached a job.
    """
    # Late, as `dis` is slow to import; but not as late as in the worker, where the
    # import would itself be looked at, and need what is being imported.
    from . import safe_points  # noqa: F401

    found = Interrupt(token, is_over, on_met)
    found.is_possible = probe.add(found)
    return found


class Interrupt(probe.Probe):
    """One request to interrupt a piece of work.

    Thread safety: as `Probe`.
    """

    __slots__ = ("_is_over", "_looks", "_on_met", "is_possible")

    def __init__(
        self,
        token: CancelToken,
        is_over: Callable[[], bool],
        on_met: Callable[[], None] | None,
    ) -> None:
        super().__init__(token)
        self._is_over = is_over  # immutable
        self._on_met = on_met  # immutable
        self.is_possible: bool = False  # owner: who asked
        # By thread: how many instructions of the job were looked at.
        self._looks: dict[int, int] = {}  # atomic: one thread per key

    @override
    def is_over(self) -> bool:
        return self._is_over()

    def settle(self) -> None:
        """Note that the work is over, so that nothing looks for it any more."""
        nudge()

    @override
    def act(self, frame: FrameType) -> BaseException:
        return JobInterrupted()

    @override
    def meet(self, worker: Worker, job: Job) -> bool:
        has_met = super().meet(worker, job)
        if has_met and self._on_met is not None:
            self._on_met()
        return has_met

    @override
    def may_act(self, job: Job, frame: FrameType, offset: int) -> bool:
        if job.phase != RUNNING or job.outcome is not None:  # SAFE-1 running
            return False
        thread = sync.get_ident()
        if thread in _shields:  # SAFE-2 shield
            return False
        if _is_untouched(frame):  # SAFE-3 whose frame
            return False
        points = _points_of(frame.f_code)
        if offset in points.never:  # SAFE-5 handlers
            return False
        looks = self._looks[thread] + 1 if thread in self._looks else 1
        self._looks[thread] = looks
        if looks < LINE_PATIENCE and offset not in points.line_starts:  # SAFE-6
            return False
        may_clean_up = looks >= CLEANUP_PATIENCE
        if offset in points.cleanup and not may_clean_up:
            return False
        return self._may_leave(frame, may_clean_up=may_clean_up)

    def may_end(self, frame: FrameType) -> bool:
        """Return whether the job may be left by an exception from this frame."""
        points = _points_of(frame.f_code)
        return frame.f_lasti not in points.cleanup and self._may_leave(
            frame, may_clean_up=False
        )

    def _may_leave(self, frame: FrameType, *, may_clean_up: bool) -> bool:
        """Return whether every frame of the job may be left by an exception now."""
        inner = frame
        while True:
            name = inner.f_code.co_name
            if name in _NEVER_NAMES:  # SAFE-4 frames between
                return False
            if name in _LATE_NAMES and not may_clean_up:
                return False
            outer = inner.f_back
            if outer is None:
                return True
            if outer.f_code is _BASE:
                # Not what is called for the job's outcome, when the call is over.
                return outer.f_lasti in _points_of(outer.f_code).star_calls
            if not _is_untouched(outer):
                points = _points_of(outer.f_code)
                if outer.f_lasti in points.uncalled:
                    return False
                if outer.f_lasti in points.cleanup and not may_clean_up:
                    return False
            inner = outer


def _points_of(code: CodeType) -> "SafePoints":
    """Return what is known of a function's bytecode."""
    try:
        known, points = _points[id(code)]
        if known() is code:
            return points
    except KeyError:
        pass
    from .safe_points import SafePoints  # it is loaded; see `interrupt`

    if len(_points) >= MAX_POINTS:
        _points.clear()
    points = SafePoints(code)
    _points[id(code)] = (weakref.ref(code), points)
    return points


def _is_untouched(frame: FrameType) -> bool:
    """Return whether a frame is the runtime's, or the like of it."""
    names = frame.f_globals
    module = names["__name__"] if "__name__" in names else None  # noqa: SIM401
    if isinstance(module, str) and module.partition(".")[0] in _UNTOUCHED:
        return True
    return frame.f_code.co_filename.startswith(_UNTOUCHED_FILES)


class uninterruptible:
    """Shield a section of a job from interrupts::

        with runtime.uninterruptible():
            ...

    An interrupt that comes meanwhile is raised at the end of the block, unless the
    block is left by an exception. Outside a job it does nothing. It holds for the
    thread that enters it: a half of a `runtime.lowlevel.join` that runs elsewhere is
    not shielded. `check_cancelled` is not affected.

    Blocks may be nested. Keep them short: who cancelled the job waits for it.
    """

    __slots__ = ()

    def __enter__(self) -> None:
        thread = sync.get_ident()
        _shields[thread] = _shields.get(thread, 0) + 1

    def __exit__(
        self,
        error_type: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        thread = sync.get_ident()
        depth = _shields.pop(thread) - 1
        if depth:
            _shields[thread] = depth
        elif error_type is None and _take_interrupt(sys._getframe(1)):  # noqa: SLF001
            raise JobInterrupted


def _take_interrupt(frame: FrameType | None = None) -> bool:
    """Consume the interrupt that the calling job has coming; return if there is one.

    Args:
      frame: Where it is to be raised, if that is allowed there; None to take it anyway.
    """
    worker = probe.find_worker()
    job = None if worker is None else worker.job
    if worker is None or job is None:
        return False
    found = False
    for candidate in probe.pending(job.token):
        if (
            isinstance(candidate, Interrupt)
            and (frame is None or candidate.may_end(frame))
            and candidate.meet(worker, job)
        ):
            found = True
    return found


def raise_cancelled() -> NoReturn:
    """Raise `JobCancelled` in a job whose token is set, in place of an interrupt."""
    _take_interrupt()
    raise JobCancelled
