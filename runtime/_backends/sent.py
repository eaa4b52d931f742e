"""A piece of work at home, and the pieces of it that are at workers.

Layer: backends, main side. Imports: `runtime._core`, `cells`.
"""

from typing import cast

from .._core import sync
from .._core.injector import Injector
from .._core.job import QUEUED, RUNNING, Job
from . import cells

__all__ = ("Line", "Memory", "Piece", "SentWork")


class Memory:
    """The cells.

    Thread safety: `take` and `give_back` under home's lock.
    """

    __slots__ = ("_free", "view")

    def __init__(self, worker_count: int) -> None:
        size = cells.CELL_COUNT * cells.SIZE
        # The workers keep it alive, too: each has a view of it.
        self.view = memoryview(bytearray(cells.waits_at(worker_count)))  # immutable
        # The first is for the flags of all.
        self._free = list(range(size - cells.SIZE, 0, -cells.SIZE))  # guarded by: home

    def __bool__(self) -> bool:
        """Return whether a cell is left."""
        return bool(self._free)

    def take(self, *, is_stopped: bool, is_interrupted: bool, is_sought: bool) -> int:
        """Return where a cell begins that has these flags."""
        view, at = self.view, self._free.pop()
        view[at] = cells.SENT
        view[at + cells.STOPPED] = is_stopped
        view[at + cells.INTERRUPTED] = is_interrupted
        view[at + cells.MET] = False
        view[at + cells.SOUGHT] = is_sought
        return at

    def give_back(self, at: int) -> None:
        """Let the cell be used again."""
        self._free.append(at)


class Piece:
    """A range of a piece of work, at a worker.

    Thread safety: externally synchronized, by home's lock.
    """

    __slots__ = ("at", "is_away", "pushed_ns", "start", "stop", "work")

    def __init__(self, work: "SentWork", at: int, start: int, stop: int) -> None:
        self.work = work  # immutable
        self.at = at  # immutable: where its cell is
        self.start = start  # immutable
        self.stop = stop  # guarded by: home; shrinks when the worker shares
        self.is_away = False  # guarded by: home; it runs, but not at the seat
        self.pushed_ns = work.pushed_ns  # immutable

    def has_begun(self) -> bool:
        """Return whether a worker has begun it."""
        return self.work.memory.view[self.at] != cells.SENT


class SentWork:
    """A call or a batch, as home sees it; see `transport.EncodedJob`.

    Thread safety: internally synchronized, by home's lock.
    """

    __slots__ = (
        "copied",
        "id",
        "is_interrupted",
        "is_sought",
        "is_stopped",
        "lane",
        "last_phase",
        "lent",
        "lock",
        "memory",
        "pieces",
        "pushed_ns",
        "ranges",
        "start",
        "stop",
        "was_met_before",
    )

    def __init__(
        self,
        work_id: int,
        copied: tuple[bytes, ...],
        lent: tuple[memoryview, ...],
        start: int,
        stop: int,
        lane: int,
        *,
        memory: Memory,
        lock: sync.LockType,
    ) -> None:
        self.id = work_id  # immutable
        self.copied = copied  # guarded by: home
        self.lent = lent  # guarded by: home
        self.start = start  # immutable
        self.stop = stop  # immutable
        self.lane = lane  # immutable
        self.memory = memory  # immutable
        self.lock = lock  # immutable: home's
        self.ranges = [(start, stop)]  # guarded by: home; those not sent
        self.pieces: dict[int, Piece] = {}  # guarded by: home; those sent, by cell
        self.last_phase = QUEUED  # guarded by: home
        self.is_stopped = False  # guarded by: home; never cleared
        self.is_interrupted = False  # guarded by: home; never cleared
        self.is_sought = False  # guarded by: home
        self.was_met_before = False  # guarded by: home; in a piece that has ended
        self.pushed_ns = sync.clock_ns()  # guarded by: home; of the next piece

    @property
    def is_set(self) -> bool:
        """The token."""
        return self.is_stopped

    @property
    def is_range(self) -> bool:
        """Whether it is a batch, which can be cut."""
        return self.start > 0

    @property
    def phase(self) -> int:
        """Where it is, as in ``runtime._core.job``."""
        if self.last_phase == QUEUED and any(
            piece.has_begun() for piece in list(self.pieces.values())
        ):
            self.last_phase = RUNNING
        return self.last_phase

    @property
    def was_met(self) -> bool:
        """Whether an interrupt was raised in it."""
        with self.lock:
            return self.was_met_before or any(
                self.memory.view[at + cells.MET] for at in self.pieces
            )

    def request_stop(self) -> None:
        """Set the token."""
        with self.lock:
            self.stop_pieces()

    def stop_pieces(self) -> None:
        """Set the token; under the lock."""
        self.is_stopped = True
        for at in self.pieces:
            self.memory.view[at + cells.STOPPED] = 1

    def interrupt_pieces(self) -> None:
        """Mark what runs of it; under the lock."""
        self.is_interrupted = True
        for at in self.pieces:
            self.memory.view[at + cells.INTERRUPTED] = 1

    def seek_pieces(self, is_sought: bool) -> None:
        """Mark what runs of it as sought, or not any more; under the lock."""
        self.is_sought = is_sought
        for at in self.pieces:
            self.memory.view[at + cells.SOUGHT] = is_sought

    def note_met(self) -> None:
        """Note that an interrupt was raised in it."""
        self.was_met_before = True

    def frame(self, index: int, /) -> object:
        """Return a frame, as a buffer."""
        return self.frames(0)[index]

    def frames(self, start: int, stop: int | None = None, /) -> tuple[object, ...]:
        """Return several frames."""
        return (*self.copied, *self.lent)[start:stop]

    def cut(self, part_count: int) -> Piece:
        """Take a share of what was not sent, and a cell for it; under the lock."""
        start, stop = self.ranges.pop(0)
        if self.is_range:
            left = sum(end - begin for begin, end in self.ranges) + stop - start
            size = -(-left // part_count)
            if stop - start > size:
                self.ranges.insert(0, (start + size, stop))
                stop = start + size
        at = self.memory.take(
            is_stopped=self.is_stopped,
            is_interrupted=self.is_interrupted,
            is_sought=self.is_sought,
        )
        piece = self.pieces[at] = Piece(self, at, start, stop)
        if self.is_range:
            self.pushed_ns = sync.clock_ns()
        return piece

    def message(self, piece: Piece) -> tuple[object, ...]:
        """Return what is put for a piece."""
        if self.is_range:
            frames = self.copied[:1] + self.copied[piece.start : piece.stop]
            return piece.at, piece.start, piece.stop, frames
        return piece.at, piece.start, piece.stop, self.copied + self.lent

    def end_piece(self, piece: Piece) -> None:
        """Take over what its cell says, and free that; under the lock."""
        view, at = self.memory.view, piece.at
        self.was_met_before |= view[at + cells.MET] != 0
        if view[at + cells.STOPPED]:  # one that failed stops the others
            self.stop_pieces()
        del self.pieces[at]
        self.memory.give_back(at)

    def take_back(self, piece: Piece) -> None:
        """Undo `cut`, for a piece that has not begun; under the lock."""
        del self.pieces[piece.at]
        self.memory.give_back(piece.at)
        self.ranges.insert(0, (piece.start, piece.stop))

    def end(self, phase: int) -> tuple[memoryview, ...]:
        """Let go of what was sent; under the lock.

        Returns:
          What was lent, to be let go of outside the lock: its end may run user code.
        """
        self.last_phase = phase
        lent, self.lent, self.copied = self.lent, (), ()
        self.ranges.clear()
        return lent


class Line(Injector):
    """The queue at home; what was taken back goes to the front.

    Thread safety: internally synchronized.
    """

    __slots__ = ()

    def add(self, work: SentWork) -> None:
        """Add work at the end of its lane."""
        self.push(cast("Job", work))

    def put_back(self, work: SentWork) -> None:
        """Add work at the front of its lane."""
        self._lanes[work.lane].appendleft(cast("Job", work))

    def take(self) -> SentWork | None:
        """Take the oldest entry of the most urgent lane."""
        return cast("SentWork | None", self.pop())

    def note_empty(self, work: SentWork) -> list[SentWork]:
        """Count one more withdrawn entry; return those that were compacted away."""
        return cast("list[SentWork]", self.note_withdrawn(cast("Job", work)))
