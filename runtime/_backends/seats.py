"""A worker as home sees it: its mailbox, and what was sent to it.

Layer: backends, main side. Imports: `runtime._core`, `bell`, `mailbox`, `sent`.
"""

from .._core.stats import WorkerCounters
from . import cells
from .bell import Bell, close_bell, open_bell, ring, take
from .mailbox import close_mailbox, get_item, open_mailbox, put_item
from .sent import Piece, SentWork
from .transport import Counters

__all__ = ("Seat",)


class Seat:
    """One worker's place.

    Thread safety: externally synchronized, by home's lock.
    """

    __slots__ = ("alarm", "bell", "counters", "index", "is_taken", "mailbox", "pieces")

    def __init__(self, index: int) -> None:
        self.index = index  # immutable
        self.mailbox = open_mailbox()  # immutable
        self.bell: Bell = open_bell(permits=True)  # immutable
        self.alarm: Bell = open_bell(permits=False)  # immutable
        self.is_taken = False  # guarded by: home; a worker is there
        # Those sent and not answered, by cell, the oldest first.
        self.pieces: dict[int, Piece] = {}  # guarded by: home
        self.counters = WorkerCounters()  # guarded by: home

    def accepts(self, work: SentWork) -> bool:
        """Return whether work may wait behind what is here.

        A batch's piece may be long: only pieces of the same batch wait behind it.
        """
        return all(
            piece.work is work if work.is_range else not piece.work.is_range
            for piece in self.pieces.values()
        )

    def send(self, piece: Piece) -> None:
        """Hand a piece to the worker."""
        put_item(self.mailbox, piece.work.message(piece))
        self.pieces[piece.at] = piece
        # ORDER: the item first; who has a permit finds one.
        ring(self.bell)  # CREDIT-1 add the permit

    def order(self, item: object) -> None:
        """Send what is no job: None, to stop, or (), to run for a moment."""
        put_item(self.mailbox, item)
        ring(self.bell)

    def take_back(self) -> list[Piece]:
        """Take back what has not begun, the oldest first; it never will."""
        taken: list[Piece] = []
        is_told_to_stop = False
        while take(self.bell):  # CREDIT-3 take permits
            item = get_item(self.mailbox)
            if item:
                taken.append(self.pieces.pop(item[0]))
            is_told_to_stop |= item is None
        if is_told_to_stop:
            self.order(None)
        for piece in reversed(taken):
            piece.work.take_back(piece)
        return taken

    def running(self) -> int:
        """Return the id of what runs here; 0 for nothing."""
        for piece in self.pieces.values():
            if piece.work.memory.view[piece.at] == cells.RUNNING:
                return piece.work.id
        return 0

    def count(self, piece: Piece, times: tuple[int, int, int, int]) -> None:
        """Count a job that a worker has answered."""
        begin_ns, end_ns, parks, idle_ns = times
        counters = self.counters
        counters.jobs_executed += 1
        counters.parks += parks
        counters.wake_ups += parks
        counters.idle_ns += idle_ns
        counters.busy_ns += end_ns - begin_ns
        counters.queue_latency.record(begin_ns - piece.pushed_ns)
        counters.run_time.record(end_ns - begin_ns)

    def read_counters(self) -> Counters:
        """Return the counters in the order of `WorkerStatistics`."""
        seen = self.counters.snapshot(self.index)
        return (
            seen.jobs_executed,
            seen.jobs_stolen,
            seen.steal_attempts,
            seen.parks,
            seen.wake_ups,
            seen.busy_ns,
            seen.idle_ns,
            seen.queue_latency.buckets,
            seen.run_time.buckets,
        )

    def ring_alarm(self) -> None:
        """Wake the worker's watch."""
        ring(self.alarm)

    def close(self) -> None:
        """Free everything; no worker is left."""
        close_mailbox(self.mailbox)
        close_bell(self.bell)
        close_bell(self.alarm)
