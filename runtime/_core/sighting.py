"""Have a running job write down its stack, without harm.

Where a job is, only its own thread can tell: a probe has it do so between two
instructions (INTERRUPT.md). A job inside one long call into C, or one that waits,
meets no probe.

Layer: core.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import CodeType, FrameType
from typing import override

from . import sync
from .job import RUNNING
from .probe import Probe, add, nudge
from .selected import Job

__all__ = ("Sighting", "Stack", "seek")

# Innermost last: of each frame the file, the line and the function's name.
type Stack = list[tuple[str, int | None, str]]

# Where a job's own frames end: in the Python core, and in the native one.
_BASES = (getattr(Job.run, "__code__", None), sync.THREAD_BASE)


class Sighting(Probe):
    """One look at where a job is.

    Args:
      job: The job, or what stands for it inside an interpreter.
      bases: The code of the frames that call it, whichever is there.
      is_over: Tells from any thread whether nobody wants to know any more.
      on_seen: Called as ``on_seen(stack)`` in the job's thread, at most once. Must not
        raise, and nothing may wait for that thread there.

    Thread safety: as `Probe`.
    """

    __slots__ = ("_bases", "_is_over", "_job", "_on_seen")

    def __init__(
        self,
        job: Job,
        *,
        bases: tuple[CodeType | None, ...],
        is_over: Callable[[], bool],
        on_seen: Callable[[Stack], object],
    ) -> None:
        super().__init__(job.token)
        self._job = job  # immutable
        self._bases = bases  # immutable
        self._is_over = is_over  # immutable
        self._on_seen = on_seen  # immutable

    @override
    def is_over(self) -> bool:
        return self._job.phase != RUNNING or self._is_over()

    @override
    def may_act(self, job: Job, frame: FrameType, offset: int) -> bool:
        # It may be about to begin, or at its end.
        return job is self._job and bool(self._stack_from(frame))

    @override
    def act(self, frame: FrameType) -> None:
        """Write down the stack; files are read later, by who prints it."""
        self._on_seen(self._stack_from(frame))

    def _stack_from(self, frame: FrameType) -> Stack:
        """Return the job's own frames; none if this is outside of its call."""
        stack: Stack = []
        here: FrameType | None = frame
        while here is not None and here.f_code not in self._bases:
            code = here.f_code
            stack.insert(0, (code.co_filename, here.f_lineno, code.co_name))
            here = here.f_back
        return [] if here is None else stack


@contextmanager
def seek(job: Job, on_seen: Callable[[Stack], object]) -> Iterator[None]:
    """Have ``on_seen(stack)`` called in the job's thread if it is met in the block."""
    done: list[bool] = []  # atomic: append
    sighting = Sighting(job, bases=_BASES, is_over=lambda: bool(done), on_seen=on_seen)
    add(sighting)
    try:
        yield
    finally:
        done.append(True)
        nudge()
