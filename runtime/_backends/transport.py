"""What a pool of interpreters needs from the queues between them.

The native core provides it in C (``_native/SHARED.md``).

Layer: backends, both sides. Imports: nothing.
"""

from typing import Protocol

__all__ = ("Counters", "EncodedJob", "HomeQueues", "News", "QueueEnd", "Token")

# Seven numbers and two rows of buckets, in the order of `WorkerStatistics`.
type Counters = tuple[
    int, int, int, int, int, int, int, tuple[int, ...], tuple[int, ...]
]

# id of the work, answer, frames of the reply, start, stop, whether it was the last of
# its work, worker index, run time in nanoseconds
type News = tuple[int, int, tuple[object, ...], int, int, bool, int, int]


class Token(Protocol):
    """A request to stop, as a job sees it."""

    @property
    def is_set(self) -> bool:
        """Whether the job was asked to stop."""
        raise NotImplementedError


class EncodedJob(Protocol):
    """A call, or a part of a batch, that any interpreter can run.

    A call has its frame 0 and buffers after it, and the range from 0 to 1. A batch
    has its function in frame 0, and the range of the frames with its items.
    """

    @property
    def phase(self) -> int:
        """Where it is, as in ``runtime._core.job``."""
        raise NotImplementedError

    @property
    def start(self) -> int:
        """The first of its frames."""
        raise NotImplementedError

    @property
    def stop(self) -> int:
        """The frame after its last; shrinks when the worker shares."""
        raise NotImplementedError

    @property
    def is_stopped(self) -> bool:
        """The token."""
        raise NotImplementedError

    @property
    def is_interrupted(self) -> bool:
        """Whether what runs of the piece of work is to be interrupted."""
        raise NotImplementedError

    @property
    def was_met(self) -> bool:
        """Whether an interrupt was raised in it."""
        raise NotImplementedError

    def request_stop(self) -> None:
        """Set the token."""

    def note_met(self) -> None:
        """Note that an interrupt was raised in it."""

    def frame(self, index: int, /) -> object:
        """Return a frame, as a buffer."""

    def frames(self, start: int, stop: int = ..., /) -> tuple[object, ...]:
        """Return several frames."""
        raise NotImplementedError


class QueueEnd(Protocol):
    """A worker's end. Belongs to the worker's thread."""

    def __len__(self) -> int:
        """Return how many pieces wait in the worker's own deque."""
        raise NotImplementedError

    def next(self) -> EncodedJob | None:
        """Wait for a job; None is the order to stop."""
        raise NotImplementedError

    def finish(self, answer: int, frames: tuple[object, ...], /) -> None:
        """Answer the running job."""

    def share(self, middle: int, /) -> None:
        """Cut the frames from ``middle`` on off the running job, for others."""

    def has_work_outside(self) -> bool:
        """Return whether work waits that is not part of what runs."""
        raise NotImplementedError

    def look_outside_next(self) -> None:
        """Take such work next."""

    def wait_alarm(self) -> None:
        """Wait until work that may run here is to be interrupted; any one thread."""

    def ring_alarm(self) -> None:
        """End a `wait_alarm`; from any thread."""


class HomeQueues(Protocol):
    """The end of the interpreter that opened the pool. Belongs to the Trio thread."""

    def __len__(self) -> int:
        """Return how many entries wait."""
        raise NotImplementedError

    def inject(
        self,
        work_id: int,
        copied: tuple[object, ...],
        lent: tuple[memoryview, ...],
        start: int,
        stop: int,
        lane: int,
        /,
    ) -> EncodedJob:
        """Queue a job of these frames; ``lent`` stay where they are and are kept."""
        raise NotImplementedError

    def withdraw(self, job: EncodedJob, /) -> bool:
        """Take a job back; True if it had not begun and now never will."""
        raise NotImplementedError

    def interrupt(self, job: EncodedJob, /) -> None:
        """Have what runs of a job's work interrupted; its token is set already."""

    def hush(self, is_hushed: bool, /) -> None:
        """Say whether the home looks by itself for a while, so that no bell need ring.

        At the end the bell rings for what has not been drained.
        """

    def drain(self) -> list[News]:
        """Return the news of what has left the queues."""
        raise NotImplementedError

    def running(self) -> list[int]:
        """Return the id of what each worker runs, 0 for nothing."""
        raise NotImplementedError

    def stop(self) -> None:
        """Tell the workers to stop as soon as they find no more work."""

    def bury(self, index: int, /) -> None:
        """Free the seat of a worker that has left its interpreter."""

    def counters(self, index: int, /) -> Counters:
        """Return a worker's counters, in the order of `WorkerStatistics`."""
        raise NotImplementedError

    def fileno(self) -> int:
        """Return the descriptor that is readable while there is news."""
        raise NotImplementedError

    def is_anyone_idle(self) -> bool:
        """Return whether some worker had nothing to do a moment ago."""
        raise NotImplementedError
