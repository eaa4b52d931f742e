"""A worker's end of queues that stay at home; the protocol is CREDIT in CROSSING.md.

    CREDIT-2  take a permit, get the item, mark its cell as begun
    CREDIT-4  let go of what was lent, put the answer, ring

Layer: backends, worker side. Imports: `bell`, `cells`, `mailbox`.
"""

import time

from . import cells
from .bell import Ear, ring, silence, take
from .mailbox import get_item, put_item

TYPE_CHECKING = False  # not from typing, which is slow to import
if TYPE_CHECKING:
    from .bell import Bell
    from .cells import Handle

__all__ = ("CreditJob", "CreditWorker")


class CreditJob:
    """A call, or a piece of a batch; see `transport.EncodedJob`.

    Thread safety: the flags from any thread, all else by the worker.
    """

    __slots__ = ("_cell", "_frames", "_skipped", "at", "start", "stop")

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

    @property
    def is_interrupted(self) -> bool:
        """Whether what runs of the piece of work is to be interrupted."""
        memory, at = self._cell
        return memory[at + cells.INTERRUPTED] != 0

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
    """A worker's end; see `transport.QueueEnd`. Belongs to the worker's thread."""

    def __init__(self, handle: "Handle", index: int) -> None:
        memory, self._answers, self._home, seats = handle  # immutable
        self._cells: memoryview = memory  # immutable
        self._mailbox: int = seats[index][0]  # immutable
        self._bell: Bell = seats[index][1]  # immutable
        self._ear = Ear(self._bell)  # owner
        self._alarm: Bell = seats[index][2]  # immutable
        self._index = index  # immutable
        self._running: CreditJob | None = None  # owner
        self._begin_ns = self._idle_ns = self._parks = 0  # owner
        self._post(cells.HELLO, index)

    def __len__(self) -> int:
        """Return what makes the worker share if somebody else has nothing."""
        return 0 if self._cells[cells.HUNGRY] else 1

    def next(self) -> CreditJob | None:
        """Wait for a job; None is the order to stop."""
        if self._running is not None:
            raise RuntimeError("a job still runs here")
        while True:
            self._wait()
            item = get_item(self._mailbox)
            if item is None:
                return None
            if item:
                break
            # It was sent to make this thread run for a moment.
        at, start, stop, frames = item
        self._cells[at] = cells.RUNNING  # CREDIT-2 mark
        self._begin_ns = time.perf_counter_ns()
        self._running = CreditJob(self._cells, at, start, stop, frames)
        return self._running

    def _wait(self) -> None:
        """Wait for a permit and take it."""
        if self._ear.hears() and take(self._bell):  # CREDIT-2 take a permit
            return
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
        copies = tuple(map(bytes, frames))  # type: ignore[arg-type]  # buffers
        end_ns = time.perf_counter_ns()
        times = self._begin_ns, end_ns, self._parks, self._idle_ns
        self._running = None
        job.end()  # CREDIT-4 let go
        self._post(cells.ANSWER, self._index, job.at, answer, copies, times)
        self._parks = self._idle_ns = 0

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
        # ORDER: the item first; home silences the bell before it looks.
        ring(self._home)
