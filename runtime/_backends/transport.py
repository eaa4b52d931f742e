"""What a pool of interpreters needs from the queues between them.

The native core provides it in C (``_native/SHARED.md``); elsewhere it is `credit` and
`credit_worker`.

Layer: backends, both sides. Imports: nothing.
"""

from typing import Protocol

__all__ = (
    "Counters",
    "EncodedJob",
    "HomeQueues",
    "News",
    "Question",
    "QueueEnd",
    "Token",
)

# Seven numbers and two rows of buckets, in the order of `WorkerStatistics`.
type Counters = tuple[
    int, int, int, int, int, int, int, tuple[int, ...], tuple[int, ...]
]

# id of the work, answer, frames of the reply, start, stop, whether it was the last of
# its work, worker index, run time in nanoseconds. If the answer is ASKED, it is none: a
# job of the work asks, and in place of the frames there is one `Question`.
type News = tuple[int, int, tuple[object, ...], int, int, bool, int, int]


class Token(Protocol):
    """A request to stop, as a job sees it."""

    @property
    def is_set(self) -> bool:
        """Whether the job was asked to stop."""
        raise NotImplementedError


class EncodedJob(Token, Protocol):
    """A call, or a part of a batch, that any interpreter can run, and its token.

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
        """The same as ``is_set``."""
        raise NotImplementedError

    @property
    def is_interrupted(self) -> bool:
        """Whether what runs of the piece of work is to be interrupted."""
        raise NotImplementedError

    @property
    def is_sought(self) -> bool:
        """Whether what runs of the piece of work is to show its stack."""
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


class Question(Protocol):
    """What a job asks home for. The job waits in `QueueEnd.ask` for the reply.

    One that is dropped without a reply has NONE as its answer.
    """

    @property
    def frames(self) -> tuple[object, ...]:
        """What was sent."""
        raise NotImplementedError

    def reply(self, answer: int, frames: tuple[object, ...], /) -> None:
        """Let the job go on, with copies of these frames; the first reply counts."""


class QueueEnd(Protocol):
    """A worker's end, its seat. Belongs to one thread of the worker at a time.

    What may be called from any thread says so. A job that runs is at the seat until it
    is answered or `detach` takes it off; then another may run at the seat.
    """

    def __len__(self) -> int:
        """Return how many pieces wait in the worker's own deque."""
        raise NotImplementedError

    def next(self) -> EncodedJob | None:
        """Wait for a job; None is the order to stop, or was called for by `recall`."""
        raise NotImplementedError

    def recall(self) -> None:
        """Have one `next` return None, this one or the following; from any thread."""

    def finish(self, answer: int, frames: tuple[object, ...], /) -> None:
        """Answer the running job."""

    def begin_wait(self) -> bool:
        """Count one more job of the pool as waiting for something outside of it.

        From any thread. False: as many wait as may (the pool's ``spare_limit``).
        """
        raise NotImplementedError

    def end_wait(self) -> None:
        """Count one less; from any thread."""

    def detach(self) -> int:
        """Take the running job off the seat, and return a number for it; it runs on.

        Until it is finished by that number it counts as running here, and is BROKEN if
        the interpreter ends.
        """
        raise NotImplementedError

    def attach(self, number: int, /) -> None:
        """Let a detached job be the one that runs at the seat, where none does."""

    def finish_detached(
        self, number: int, answer: int, frames: tuple[object, ...], /
    ) -> None:
        """Answer a detached job; from any thread."""

    def ask(
        self, job: EncodedJob, frames: tuple[object, ...], /
    ) -> tuple[int, tuple[object, ...]]:
        """Send copies of frames home and wait for the reply; from any thread.

        Returns:
          An answer and its frames. NONE: home is gone, or has told the workers to stop.
          BROKEN: see `hang_up`.
        """
        raise NotImplementedError

    def hang_up(self) -> None:
        """End every `ask` of this worker with BROKEN, those to come too."""

    def share(self, middle: int, /) -> None:
        """Cut the frames from ``middle`` on off the running job, for others."""

    def has_work_outside(self) -> bool:
        """Return whether work waits that is not part of what runs."""
        raise NotImplementedError

    def look_outside_next(self) -> None:
        """Take such work next."""

    def wait_alarm(self) -> None:
        """Wait until work that may run here is interrupted or sought; one thread."""

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

    def seek(self, job: EncodedJob, is_sought: bool, /) -> None:
        """Have what runs of a job's work show its stack, or not any more."""

    def hush(self, is_hushed: bool, /) -> None:
        """Say whether the home looks by itself for a while, so that no bell need ring.

        At the end the bell rings for what has not been drained.
        """

    def drain(self) -> list[News]:
        """Return the news of what has left the queues."""
        raise NotImplementedError

    def running(self) -> list[int]:
        """Return the id of what each worker runs at its seat, 0 for nothing."""
        raise NotImplementedError

    def detached(self) -> list[list[int]]:
        """Return the ids of what each worker runs besides, mostly waiting."""
        raise NotImplementedError

    def num_waiting(self) -> int:
        """Return how many jobs wait for something outside the pool."""
        raise NotImplementedError

    def stop(self) -> None:
        """Tell the workers to stop as soon as they find no more work.

        Every `QueueEnd.ask` ends with NONE, those to come too.
        """

    def after_fork(self) -> None:
        """Make every lock anew in a forked child, where there are no workers."""

    def close(self) -> bool:
        """Give the descriptors back; no worker is left, and nothing is to come.

        False: somebody in a worker's interpreter still uses them.
        """
        raise NotImplementedError

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
