"""Queues that stay at home, for workers in interpreters of their own.

They take the place of the native core's shared queues. A worker is sent two jobs at
most, its *credit*; the protocol is CREDIT in CROSSING.md.

    CREDIT-1  put the job, add the permit
    CREDIT-3  take back what has not begun
    CREDIT-5  silence the bell, take all answers, send what there is credit for
    CREDIT-6  a worker's loop has ended: last answers, take back, the rest is broken

Layer: backends, main side. Imports: `runtime._core`, `bell`, `cells`, `encoding`,
`mailbox`, `seats`, `sent`.
"""

import os
import weakref
from collections import deque
from collections.abc import Sequence

from .._core import SPARE_LIMIT, sync
from .._core.job import DONE, QUEUED, RUNNING, WITHDRAWN
from .._errors import CrossingError
from . import answers, cells
from .bell import Bell, Ear, close_bell, open_bell, ring, silence
from .encoding import dumps
from .mailbox import close_mailbox, count_items, get_item, open_mailbox
from .seats import CreditQuestion, Seat
from .sent import Line, Memory, Piece, SentWork
from .transport import Counters, EncodedJob, News

__all__ = ("CreditQueues",)

# Jobs at workers, and lent views in them. CPython has 300 places for what is to be
# released at home; what finds them full is never released.
MAX_AT_WORKERS = 128
MAX_LENT = 128
MAX_LENT_ALONE = 256
# Bytes of an answer from which on the worker is woken to let go of its copy. Arbitrary.
LARGE_ANSWER = 1 << 20
# What two bytes for each worker can count.
MAX_WAITS = 0xFFFF
NO_TIMES = (0, 0, 0, 0)


class CreditQueues:
    """The home end; see `transport.HomeQueues`.

    Args:
      worker_count: How many workers, at least 1.
      spare_limit: How many jobs may wait for something outside the pool.

    Thread safety: internally synchronized. Only the Trio thread sends.
    """

    def __init__(self, worker_count: int, *, spare_limit: int = SPARE_LIMIT) -> None:
        # No user code runs under this lock; the line's lock may be taken under it.
        self._lock = sync.Lock()  # atomic: acquire, release
        self._memory = memory = Memory(worker_count)  # immutable
        self._answers = open_mailbox()  # immutable
        self._bell: Bell = open_bell()  # immutable
        self._ear = Ear(self._bell)  # owner: the Trio thread
        self._waits: Bell = open_bell(permits=min(spare_limit, MAX_WAITS))  # immutable
        self._seats = [Seat(i, memory) for i in range(worker_count)]  # immutable
        self._credit = 2 if 2 * worker_count <= MAX_AT_WORKERS else 1  # immutable
        self._num_hushed = 0  # owner: the Trio thread
        # All that follows is guarded by the lock.
        self._line = Line()  # guarded by: self._lock
        self._begun: deque[SentWork] = deque()  # guarded by: self._lock; batches
        self._is_begun_next = False  # guarded by: self._lock; whose turn it is
        self._lent = 0  # guarded by: self._lock; views at workers
        self._news: list[News] = []  # guarded by: self._lock
        # What was lent and is to be let go of outside the lock.
        self._dropped: list[object] = []  # guarded by: self._lock
        self._is_stopping = False  # guarded by: self._lock; never cleared
        self._finalizer = weakref.finalize(  # immutable
            self,
            _close,
            os.getpid(),
            self._answers,
            (self._bell, self._waits),
            self._seats,
        )
        self._finalizer.atexit = False  # a straggler may still use them

    @property
    def handle(self) -> cells.Handle:
        """What a worker needs to find its seat."""
        seats = tuple(seat.handle for seat in self._seats)
        return self._memory.view, self._answers, self._bell, self._waits, seats

    def __len__(self) -> int:
        """Return how many entries wait, here or behind what runs."""
        with self._lock:
            pieces = (piece for seat in self._seats for piece in seat.pieces.values())
            waiting = {*self._begun, *(piece.work for piece in pieces)}
            return len(self._line) + sum(work.phase == QUEUED for work in waiting)

    def inject(
        self,
        work_id: int,
        copied: tuple[object, ...],
        lent: tuple[memoryview, ...],
        start: int,
        stop: int,
        lane: int,
        /,
    ) -> SentWork:
        """Queue a job of these frames; ``lent`` stay where they are and are kept."""
        work = SentWork(
            work_id,
            tuple(map(bytes, copied)),  # type: ignore[arg-type]  # buffers
            lent,
            start,
            stop,
            lane,
            memory=self._memory,
            lock=self._lock,
        )
        with self._lock:
            if len(lent) > MAX_LENT_ALONE:
                self._refuse(work)
            else:
                self._line.add(work)
                try:
                    self._send_all()
                except MemoryError:  # it is queued; the next drain tries again
                    ring(self._bell)
        return work

    def withdraw(self, job: EncodedJob, /) -> bool:
        """Take a job back; True if it had not begun and now never will."""
        assert isinstance(job, SentWork)
        with self._lock:
            # After the order to stop there is nobody to send again to.
            if job.pieces and not self._is_stopping:
                for seat in self._seats:
                    if any(at in seat.pieces for at in job.pieces):
                        self._take_back(seat)
            is_withdrawn = job.last_phase == QUEUED and not job.pieces
            if is_withdrawn:
                self._withdraw(job)
            elif job.last_phase == QUEUED:
                job.last_phase = RUNNING  # a worker has a permit, and got it
            self._send_all()
            dropped, self._dropped = self._dropped, []
        dropped.clear()
        return is_withdrawn

    def _withdraw(self, job: SentWork) -> None:
        self._dropped.append(job.end(WITHDRAWN))
        if job in self._begun:
            self._begun.remove(job)
            removed = [job]
        else:
            removed = self._line.note_empty(job)
        for work in removed:
            self._tell_empty(work)

    def interrupt(self, job: EncodedJob, /) -> None:
        """Have what runs of a job's work interrupted; its token is set already."""
        assert isinstance(job, SentWork)
        with self._lock:
            job.interrupt_pieces()
            for seat in self._seats:
                seat.ring_alarm()

    def seek(self, job: EncodedJob, is_sought: bool, /) -> None:
        """Have what runs of a job's work show its stack, or not any more."""
        assert isinstance(job, SentWork)
        with self._lock:
            job.seek_pieces(is_sought)
            for seat in self._seats if is_sought else ():
                seat.ring_alarm()

    def drain(self) -> list[News]:
        """Return the news of what has left the queues."""
        if not self._finalizer.alive:
            return []  # closed: the bell's number may be another's by now
        if self._ear.hears():
            # ORDER: the bell first; silenced after the answers were taken, it would
            # swallow the ring of one that came in between.
            silence(self._bell)  # CREDIT-5 silence
        elif not self._num_hushed:
            return []  # RACE: whoever has news now rings now
        with self._lock:
            self._take_answers()
            self._send_all()
            news, self._news = self._news, []
            dropped, self._dropped = self._dropped, []
        dropped.clear()
        return news

    def running(self) -> list[int]:
        """Return the id of what each worker runs, 0 for nothing."""
        with self._lock:
            self._take_answers()  # what has ended runs no more
            return [seat.running() for seat in self._seats]

    def detached(self) -> list[list[int]]:
        """Return the ids of what each worker runs besides, mostly waiting."""
        with self._lock:
            self._take_answers()
            return [[p.work.id for p in seat.away.values()] for seat in self._seats]

    def num_waiting(self) -> int:
        """Return how many jobs wait for something outside the pool."""
        return sum(seat.num_waiting() for seat in self._seats)

    def hush(self, is_hushed: bool, /) -> None:
        """Say whether the home looks by itself for a while."""
        self._num_hushed += 1 if is_hushed else -1
        self._memory.view[cells.HUSHED] = self._num_hushed > 0
        # ORDER: last. The mailbox has a lock: what is put after this look is put by
        # somebody who sees that the bell has to ring.
        if (
            not self._num_hushed
            and self._finalizer.alive
            and (self._news or count_items(self._answers))
        ):
            ring(self._bell)

    def after_fork(self) -> None:
        """Make the lock anew in a forked child, where there are no workers."""
        getattr(self._lock, "_at_fork_reinit")()  # noqa: B009  # not in stubs

    def stop(self) -> None:
        """Tell the workers to stop as soon as they find no more work."""
        with self._lock:
            # Nobody may take answers any more: what is left has to be sent now.
            while self._memory and (work := self._take_next()) is not None:
                self._send(min(self._seats, key=lambda seat: len(seat.pieces)), work)
            self._is_stopping = True
            self._set_flags()
            for seat in self._seats:
                seat.order(None)
                seat.reply(0, answers.NONE, ())

    def close(self) -> bool:
        """Give the descriptors back; no worker is left, and nothing is to come."""
        with self._lock:
            self._finalizer()
        return True

    def bury(self, index: int, /) -> None:
        """Free the seat of a worker that has left its interpreter."""
        with self._lock:
            seat = self._seats[index]
            self._take_answers()  # CREDIT-6 last answers
            self._take_back(seat, is_over=True)
            for piece in seat.clear(self._waits):
                self._take_answer(seat, piece, answers.BROKEN, (), NO_TIMES)
        ring(self._bell)  # the Trio thread sends

    def counters(self, index: int, /) -> Counters:
        """Return a worker's counters, in the order of `WorkerStatistics`."""
        with self._lock:
            return self._seats[index].read_counters()

    def fileno(self) -> int:
        """Return the descriptor that is readable while there is news."""
        return self._bell[0]

    def is_anyone_idle(self) -> bool:
        """Return whether some worker had nothing to do a moment ago."""
        return any(seat.is_taken and not seat.pieces for seat in self._seats)

    # To the workers; under the lock

    def _send_all(self) -> None:
        """Send what there is credit for, and see that nobody has nothing to do."""
        if self._is_stopping:
            return
        while self._send_what_fits() and self._take_from_the_busy():
            pass
        self._set_flags()

    def _send_what_fits(self) -> bool:
        """Send until nothing fits; return whether nothing is left."""
        while (work := self._take_next()) is not None:
            seat = self._seat_for(work) or self._make_room_for(work)
            if seat is None:
                self._put_back(work)
                return False
            self._send(seat, work)
        return True

    def _take_next(self) -> SentWork | None:
        """Take what is sent next: batches that have begun and the rest, in turn."""
        while self._begun or self._line:
            if self._begun and (self._is_begun_next or not self._line):
                work = self._begun.popleft()
                if not (work.is_stopped and work.last_phase != QUEUED):
                    return work
                self._give_up_rest(work)
            elif (entry := self._line.take()) is not None:
                if entry.last_phase != WITHDRAWN:
                    return entry
                self._tell_empty(entry)
        return None

    def _put_back(self, work: SentWork) -> None:
        if work.is_range:
            self._begun.appendleft(work)
        else:
            self._line.put_back(work)

    def _seat_for(self, work: SentWork) -> Seat | None:
        """Return a worker that has credit for work, at best one with nothing to do."""
        is_too_much = self._lent and self._lent + len(work.lent) > MAX_LENT
        if is_too_much or not self._memory:
            return None
        found = None
        for seat in self._seats:
            if not seat.is_taken:
                continue
            if not seat.pieces:
                return seat
            if found is None and len(seat.pieces) < self._credit and seat.accepts(work):
                found = seat
        return found

    def _make_room_for(self, work: SentWork) -> Seat | None:
        """Take back what waits somewhere and is less urgent; return where it waited."""
        for seat in self._seats:
            if len(seat.pieces) > 1 and not work.is_range:
                last = next(reversed(seat.pieces.values()))
                if (
                    last.work.lane > work.lane
                    and not last.work.is_range
                    and self._take_back(seat)
                ):
                    return self._seat_for(work)
        return None

    def _take_from_the_busy(self) -> bool:
        """Take back what waits somewhere while somebody has nothing to do."""
        if not self.is_anyone_idle():
            return False
        return any(
            len(seat.pieces) > 1 and self._take_back(seat) for seat in self._seats
        )

    def _take_back(self, seat: Seat, *, is_over: bool = False) -> bool:
        """Queue again what a worker has not begun; return whether there was any."""
        taken = seat.take_back(is_over=is_over)
        for piece in reversed(taken):
            work = piece.work
            self._lent -= len(work.lent)
            if work not in self._begun:
                self._put_back(work)
        return bool(taken)

    def _send(self, seat: Seat, work: SentWork) -> None:
        piece = work.cut(2 * len(self._seats))
        try:
            seat.send(piece)  # CREDIT-1 put
        except BaseException:  # no memory
            work.take_back(piece)
            self._put_back(work)
            raise
        self._lent += len(work.lent)
        if work.ranges:
            self._begun.append(work)
        self._is_begun_next = not work.is_range

    def _set_flags(self) -> None:
        """Tell the workers whether to share, and whether to look for other work."""
        view = self._memory.view
        waits, is_over = bool(self._line), self._is_stopping
        view[cells.WAITING] = waits and not is_over
        view[cells.HUNGRY] = not (
            waits or is_over or self._begun or not self.is_anyone_idle()
        )

    # From the workers; under the lock

    def _take_answers(self) -> None:
        while self._finalizer.alive and count_items(self._answers):
            kind, index, *rest = get_item(self._answers)  # CREDIT-5 take
            seat = self._seats[index]
            if kind == cells.HELLO:
                seat.is_taken = True
            elif kind == cells.SHARED:
                self._take_share(seat.pieces[rest[0]], rest[1])
            elif kind == cells.DETACHED:
                self._move(seat.pieces, seat.away, rest[0])
            elif kind == cells.ATTACHED:
                self._move(seat.away, seat.pieces, rest[0])
            elif kind == cells.ASKED:
                self._take_question(seat, *rest)
            else:
                at, answer, frames, times = rest
                piece = seat.away.get(at) or seat.pieces[at]
                self._take_answer(seat, piece, answer, frames, times)

    def _move(self, old: dict[int, Piece], new: dict[int, Piece], at: int) -> None:
        """Note that a job has left its worker's seat, or has come back to it."""
        piece = new[at] = old.pop(at)
        piece.is_away = not piece.is_away
        lent = len(piece.work.lent)
        # Else what waits for a job that lends could keep that from being sent.
        self._lent += -lent if piece.is_away else lent

    def _take_question(
        self, seat: Seat, at: int, number: int, frames: tuple[bytes, ...]
    ) -> None:
        """Pass on what a job asks for."""
        question = CreditQuestion(self, seat, number, frames)
        piece = seat.away.get(at) or seat.pieces.get(at)
        if piece is None:  # a stack, and the job has ended; that it goes is a reply
            return
        self._news.append(
            (
                piece.work.id,
                answers.ASKED,
                (question,),
                piece.start,
                piece.stop,
                False,
                seat.index,
                0,
            )
        )

    def _take_share(self, piece: Piece, middle: int) -> None:
        """Take what a worker gives away of its piece."""
        work = piece.work
        work.ranges.append((middle, piece.stop))
        piece.stop = middle
        if work not in self._begun:
            self._begun.append(work)

    def _take_answer(
        self,
        seat: Seat,
        piece: Piece,
        answer: int,
        frames: tuple[bytes, ...],
        times: tuple[int, int, int, int],
    ) -> None:
        """Take the answer for a piece that has ended."""
        work = piece.work
        del (seat.away if piece.is_away else seat.pieces)[piece.at]
        seat.count(piece, times)
        if not piece.is_away:
            self._lent -= len(work.lent)
        work.last_phase = RUNNING
        work.end_piece(piece)
        if work.is_stopped:
            work.ranges.clear()
        is_last = not work.pieces and not work.ranges
        if is_last:
            self._end(work)
        self._news.append(
            (
                work.id,
                answer,
                frames,
                piece.start,
                piece.stop,
                is_last,
                seat.index,
                times[1] - times[0],
            )
        )
        if not seat.pieces and sum(map(len, frames)) >= LARGE_ANSWER:
            seat.order(cells.WAKE)

    def _end(self, work: SentWork) -> None:
        self._dropped.append(work.end(DONE))
        if work in self._begun:
            self._begun.remove(work)

    def _give_up_rest(self, work: SentWork) -> None:
        """Send no more of a batch that was stopped."""
        work.ranges.clear()
        if not work.pieces:
            self._dropped.append(work.end(DONE))
            self._tell(work, answers.NONE)

    def _refuse(self, work: SentWork) -> None:
        """Answer a call that lends too much."""
        error = CrossingError(
            f"the call lends {len(work.lent)} views of memory, and at most "
            f"{MAX_LENT_ALONE} can cross without the native core; give it fewer and "
            "larger ones, or use backend='threads'"
        )
        self._dropped.append(work.end(DONE))
        self._tell(work, answers.ERROR, dumps(error)[0])

    def _tell_empty(self, work: SentWork) -> None:
        """Let a withdrawn entry leave."""
        self._tell(work, answers.NONE)

    def _tell(self, work: SentWork, answer: int, *frames: bytes) -> None:
        """Add the last news of work that no worker has."""
        self._news.append((work.id, answer, frames, work.start, work.stop, True, 0, 0))
        ring(self._bell)


def _close(
    pid: int, answer_box: int, bells: Sequence[Bell], seats: Sequence[Seat]
) -> None:
    """Free everything; no worker is left."""
    if os.getpid() != pid:
        return  # a forked child: what it has is a copy
    close_mailbox(answer_box)
    for bell in bells:
        close_bell(bell)
    for seat in seats:
        seat.close()
