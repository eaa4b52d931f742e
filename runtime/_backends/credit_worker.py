"""A worker's end of queues that stay at home; the protocol is CREDIT in CROSSING.md.

    CREDIT-2  take a permit, get the item, mark its cell as begun
    CREDIT-4  let go of what was lent, put the answer, ring

Layer: backends, worker side. Imports: `bell`, `cells`, `credit_replies`,
`mailbox`.
"""

import os
import time
from _thread import allocate_lock

from . import cells
from .bell import Ear, ring, silence, take
from .credit_replies import Replies
from .mailbox import get_item, put_item

TYPE_CHECKING = False  # not from typing, which is slow to import
if TYPE_CHECKING:
    from typing import Any

    from .bell import Bell
    from .cells import Handle
    from .transport import EncodedJob

__all__ = ("CreditJob", "CreditWorker")

# How often a worker looks before it sleeps: about as long as it takes to be woken.
SPIN_ROUNDS = 60


class CreditJob:
    """A call, or a piece of a batch; see `transport.EncodedJob`.

    Thread safety: the flags from any thread, all else by the worker.
    """

    __slots__ = ("_cell", "_frames", "_skipped", "at", "begin_ns", "start", "stop")

    phase = cells.RUNNING  # there is none here that does not run

    def __init__(
        self,
        memory: memoryview,
        at: int,
        start: int,
        stop: int,
        frames: tuple[object, ...],
    ) -> None:
        self.at = at  # immutable: where its cell begins
        self.begin_ns = time.perf_counter_ns()  # immutable
        self._cell = memory, at  # atomic: a single store, at its end
        self._frames = frames  # owner
        # Frames between frame 0 and its first, which were not sent.
        self._skipped = max(start - 1, 0)  # immutable
        self.start = start  # immutable
        self.stop = stop  # owner: shrinks when the worker shares

    @property
    def is_stopped(self) -> bool:
        """The token."""
        memory, at = self._cell
        return memory[at + cells.STOPPED] != 0

    is_set = is_stopped  # the job stands for its token

    @property
    def is_interrupted(self) -> bool:
        """Whether what runs of the piece of work is to be interrupted."""
        memory, at = self._cell
        return memory[at + cells.INTERRUPTED] != 0

    @property
    def is_sought(self) -> bool:
        """Whether it is to show its stack."""
        memory, at = self._cell
        return memory[at + cells.SOUGHT] != 0

    @property
    def was_met(self) -> bool:
        """Whether an interrupt was raised in it."""
        memory, at = self._cell
        return memory[at + cells.MET] != 0

    def request_stop(self) -> None:
        """Set the token; home sets that of the other pieces with the answer."""
        memory, at = self._cell
        memory[at + cells.STOPPED] = 1

    def note_met(self) -> None:
        """Note that an interrupt was raised in it."""
        memory, at = self._cell
        memory[at + cells.MET] = 1

    def frame(self, index: int, /) -> object:
        """Return a frame, as a buffer."""
        return self._frames[index - self._skipped if index else 0]

    def frames(self, start: int, stop: int | None = None, /) -> tuple[object, ...]:
        """Return several frames of a call."""
        return self._frames[start:stop]

    def end(self) -> None:
        """Let go of the frames and of the cell, which home uses again."""
        # The watch may still look at the flags, but not at another job's.
        memory, at = self._cell
        copy = bytearray(memory[at + i] for i in range(cells.SIZE))
        self._cell = memoryview(copy), 0
        self._frames = ()


class CreditWorker:
    """A worker's end; see `transport.QueueEnd`.

    Thread safety: owned by who has the seat, but for what any thread may call.
    """

    def __init__(self, handle: "Handle", index: int) -> None:
        memory, self._answers, self._home, self._waits, seats = handle  # immutable
        mailbox, bell, alarm, replies, reply_bell = seats[index]
        self._cells: memoryview = memory  # immutable
        self._mailbox: int = mailbox  # immutable
        self._bell: Bell = bell  # immutable
        self._ear = Ear(bell)  # owner
        self._alarm: Bell = alarm  # immutable
        self._replies = Replies(replies, reply_bell)  # immutable
        self._index = index  # immutable
        self._running: CreditJob | None = None  # owner
        self._is_stopped = False  # owner
        self._idle_ns = self._parks = 0  # owner
        # Those that run but not at the seat, by where their cells are.
        self._away: dict[int, CreditJob] = {}  # atomic: one thread per key
        # No user code runs under this lock.
        self._lock = allocate_lock()  # atomic: acquire, release
        self._num_waits = 0  # guarded by: self._lock
        self._post(cells.HELLO, index)

    def __len__(self) -> int:
        """Return what makes the worker share if somebody else has nothing."""
        return 0 if self._cells[cells.HUNGRY] else 1

    def next(self) -> CreditJob | None:
        """Wait for a job; None is the order to stop, or was called for by `recall`."""
        if self._running is not None:
            raise RuntimeError("a job still runs here")
        item: Any = cells.WAKE
        while item == cells.WAKE:
            if self._is_stopped:
                return None
            self._wait()
            item = get_item(self._mailbox)
            self._is_stopped = item is None
        if item == cells.RECALL or item is None:
            return None
        at, start, stop, frames = item
        self._cells[at] = cells.RUNNING  # CREDIT-2 mark
        self._running = CreditJob(self._cells, at, start, stop, frames)
        return self._running

    def recall(self) -> None:
        """Have one `next` return None; from any thread."""
        put_item(self._mailbox, cells.RECALL)
        ring(self._bell)

    def _wait(self) -> None:
        """Wait for a permit and take it."""
        for _ in range(SPIN_ROUNDS):
            if self._ear.hears() and take(self._bell):  # CREDIT-2 take a permit
                return
            os.sched_yield()
        begin_ns = time.perf_counter_ns()
        self._parks += 1
        self._ear.wait()
        while not take(self._bell):  # home was faster
            self._ear.wait()
        self._idle_ns += time.perf_counter_ns() - begin_ns

    def finish(self, answer: int, frames: tuple[object, ...], /) -> None:
        """Answer the running job."""
        job = self._running
        if job is None:
            raise RuntimeError("no job runs here")
        self._finish(job, answer, _copies(frames), self._parks, self._idle_ns)
        # ORDER: last; what cannot be answered is still here, and can be BROKEN.
        self._running = None
        self._parks = self._idle_ns = 0

    def finish_detached(
        self, number: int, answer: int, frames: tuple[object, ...], /
    ) -> None:
        """Answer a detached job; from any thread."""
        # ORDER: first, for home may use the cell again as soon as it has the answer.
        job = self._away.pop(number)
        try:
            self._finish(job, answer, _copies(frames), 0, 0)
        except BaseException:  # no memory, say; then it can be BROKEN
            self._away[number] = job
            raise

    def _finish(
        self,
        job: CreditJob,
        answer: int,
        frames: tuple[bytes, ...],
        parks: int,
        idle_ns: int,
    ) -> None:
        times = job.begin_ns, time.perf_counter_ns(), parks, idle_ns
        job.end()  # CREDIT-4 let go
        self._post(cells.ANSWER, self._index, job.at, answer, frames, times)

    def begin_wait(self) -> bool:
        """Count one more job of the pool as waiting, if one more may."""
        with self._lock:
            if not take(self._waits):
                return False
            self._note_waits(1)
        return True

    def end_wait(self) -> None:
        """Count one less; from any thread."""
        with self._lock:
            self._note_waits(-1)
        ring(self._waits)

    def _note_waits(self, change: int) -> None:
        self._num_waits += change
        at = cells.waits_at(self._index)
        self._cells[at + 1], self._cells[at] = divmod(self._num_waits, 256)

    def detach(self) -> int:
        """Take the running job off the seat, and return a number for it; it runs on."""
        job = self._running
        if job is None:
            raise RuntimeError("no job runs here")
        self._post(cells.DETACHED, self._index, job.at)
        self._cells[job.at] = cells.AWAY
        self._away[job.at] = job
        self._running = None
        return job.at

    def attach(self, number: int, /) -> None:
        """Let a detached job be the one that runs at the seat, where none does."""
        if self._running is not None:
            raise RuntimeError("a job still runs here")
        self._post(cells.ATTACHED, self._index, number)
        self._cells[number] = cells.RUNNING
        self._running = self._away.pop(number)

    def ask(
        self, job: "EncodedJob", frames: tuple[object, ...], /
    ) -> tuple[int, tuple[object, ...]]:
        """Send copies of frames home and wait for the reply; from any thread."""
        assert isinstance(job, CreditJob)
        copies = _copies(frames)
        number = self._replies.open()
        try:
            self._post(cells.ASKED, self._index, job.at, number, copies)
        except BaseException:  # no memory, say; it must not be the next to lead
            self._replies.forget(number)
            raise
        return self._replies.wait(number)

    def hang_up(self) -> None:
        """End every `ask` of this worker with BROKEN, those to come too."""
        self._replies.end()

    def share(self, middle: int, /) -> None:
        """Send the frames from ``middle`` on back."""
        job = self._running
        assert job is not None
        self._post(cells.SHARED, self._index, job.at, middle)
        job.stop = middle

    def has_work_outside(self) -> bool:
        """Return whether work waits that is not part of what runs."""
        return self._cells[cells.WAITING] != 0

    def look_outside_next(self) -> None:
        """Home sends such work next anyway."""

    def wait_alarm(self) -> None:
        """Wait until work that may run here is to be interrupted; any one thread."""
        Ear(self._alarm).wait()
        silence(self._alarm)

    def ring_alarm(self) -> None:
        """End a `wait_alarm`; from any thread."""
        ring(self._alarm)

    def _post(self, *message: object) -> None:
        put_item(self._answers, message)
        # ORDER: the item first; home silences the bell or ends the hush, then looks.
        if not self._cells[cells.HUSHED]:
            ring(self._home)


def _copies(frames: tuple[object, ...]) -> tuple[bytes, ...]:
    return tuple(map(bytes, frames))  # type: ignore[arg-type]  # buffers
