"""A worker as home sees it: its mailbox, and what was sent to it.

Layer: backends, main side. Imports: `runtime._core`, `answers`, `bell`, `cells`,
`mailbox`, `sent`.
"""

from .._core.stats import WorkerCounters
from . import answers, cells
from .bell import Bell, close_bell, open_bell, ring, take
from .mailbox import close_mailbox, get_item, open_mailbox, put_item
from .sent import Memory, Piece, SentWork
from .transport import Counters

__all__ = ("CreditQuestion", "Seat")


class Seat:
    """One worker's place.

    Thread safety: externally synchronized, by home's lock.
    """

    __slots__ = (
        "alarm",
        "away",
        "bell",
        "counters",
        "index",
        "is_closed",
        "is_taken",
        "mailbox",
        "pieces",
        "replies",
        "reply_bell",
        "view",
    )

    def __init__(self, index: int, memory: Memory) -> None:
        self.index = index  # immutable
        self.view = memory.view  # immutable
        self.mailbox = open_mailbox()  # immutable
        self.bell: Bell = open_bell(permits=0)  # immutable
        self.alarm: Bell = open_bell()  # immutable
        self.replies = open_mailbox()  # immutable
        self.reply_bell: Bell = open_bell(permits=0)  # immutable
        self.is_taken = False  # guarded by: home; a worker is there
        self.is_closed = False  # atomic: a single store; never cleared
        # Those sent and not answered, by cell, the oldest first.
        self.pieces: dict[int, Piece] = {}  # guarded by: home
        # Those that run beside the seat, mostly waiting: they need no credit.
        self.away: dict[int, Piece] = {}  # guarded by: home
        self.counters = WorkerCounters()  # guarded by: home

    @property
    def handle(self) -> cells.SeatHandle:
        """What the worker needs."""
        return self.mailbox, self.bell, self.alarm, self.replies, self.reply_bell

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

    def order(self, item: int | None) -> None:
        """Send what is no job."""
        put_item(self.mailbox, item)
        ring(self.bell)

    def reply(self, number: int, answer: int, frames: tuple[bytes, ...]) -> None:
        """Answer a question; number 0 ends them all."""
        if self.is_closed:
            return
        put_item(self.replies, (number, answer, frames))
        ring(self.reply_bell)

    def take_back(self, *, is_over: bool = False) -> list[Piece]:
        """Take back what has not begun, the oldest first; it never will.

        The order to stop stays; the others too, if the worker is not over.
        """
        taken: list[Piece] = []
        orders: list[int | None] = []
        while take(self.bell):  # CREDIT-3 take permits
            item = get_item(self.mailbox)
            if type(item) is tuple:
                taken.append(self.pieces.pop(item[0]))
            else:
                orders.append(item)
        for order in orders:
            if order is None or not is_over:
                self.order(order)
        for piece in reversed(taken):
            piece.work.take_back(piece)
        return taken

    def clear(self, waits: Bell) -> list[Piece]:
        """Make room for the next interpreter; return what was broken off."""
        self.is_taken = False
        broken = [*self.away.values(), *self.pieces.values()]
        at = cells.waits_at(self.index)
        for _ in range(self.num_waiting()):
            ring(waits)
        self.view[at] = self.view[at + 1] = 0
        return broken

    def running(self) -> int:
        """Return the id of what runs here; 0 for nothing."""
        for piece in self.pieces.values():
            if self.view[piece.at] == cells.RUNNING:
                return piece.work.id
        return 0

    def num_waiting(self) -> int:
        """Return how many jobs here wait for something outside the pool."""
        at = cells.waits_at(self.index)
        return self.view[at] + 256 * self.view[at + 1]

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
        self.is_closed = True
        close_mailbox(self.mailbox)
        close_bell(self.bell)
        close_bell(self.alarm)
        close_mailbox(self.replies)
        close_bell(self.reply_bell)


class CreditQuestion:
    """What a job of a worker asks for; see `transport.Question`.

    Thread safety: externally synchronized, by the Trio thread.
    """

    __slots__ = ("_home", "_number", "_seat", "frames")

    def __init__(
        self, home: object, seat: Seat, number: int, frames: tuple[bytes, ...]
    ) -> None:
        # Else the end of a straggler, the last to keep the queues, could close them,
        # in its thread, in the middle of a reply.
        self._home = home  # immutable
        self._seat = seat  # immutable
        self._number = number  # owner; 0 once it is answered
        self.frames = frames  # immutable

    def reply(self, answer: int, frames: tuple[object, ...], /) -> None:
        """Let the job go on, with copies of these frames; the first reply counts."""
        number, self._number = self._number, 0
        if number:
            copies = tuple(map(bytes, frames))  # type: ignore[arg-type]  # buffers
            self._seat.reply(number, answer, copies)

    def __del__(self) -> None:
        self.reply(answers.NONE, ())
