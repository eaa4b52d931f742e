"""The replies to what the jobs of one worker ask home for.

They come by one mailbox. Of the threads that wait, one *leads*: it waits at the bell
and hands the replies to whom they are for. Who has its own lets another lead.

Layer: backends, worker side. Imports: `answers`, `bell`, `mailbox`.
"""

import time
from _thread import allocate_lock
from itertools import count

from . import answers
from .bell import Ear, ring, take
from .mailbox import get_item, put_item

TYPE_CHECKING = False  # not from typing, which is slow to import
if TYPE_CHECKING:
    from .bell import Bell
    from .replies import Reply

__all__ = ("Replies",)

# The number of what is for all.
ALL = 0


class _Waiter:
    """One question, of a thread that waits."""

    __slots__ = ("called", "reply")

    def __init__(self) -> None:
        self.reply: Reply | None = None  # guarded by: the lock of Replies
        # Locked while the thread waits for its reply, or to lead.
        self.called = allocate_lock()  # atomic: acquire, release
        self.called.acquire()

    def call(self) -> None:
        """Have the thread look; under the lock."""
        if self.called.locked():
            self.called.release()


class Replies:
    """Where the threads of a worker wait for replies.

    Thread safety: internally synchronized.
    """

    def __init__(self, mailbox: int, bell: "Bell") -> None:
        self._mailbox = mailbox  # immutable
        self._bell = bell  # immutable
        self._ear = Ear(bell)  # owner: who leads
        # An interpreter before this one may have had the same mailbox.
        self._numbers = count(time.perf_counter_ns())  # atomic: next
        # No user code runs under this lock.
        self._lock = allocate_lock()  # atomic: acquire, release
        self._waiters: dict[int, _Waiter] = {}  # guarded by: self._lock
        self._is_led = False  # guarded by: self._lock
        self._end: int | None = None  # guarded by: self._lock; the answer to all

    def open(self) -> int:
        """Return the number of a question, which `wait` or `forget` must follow."""
        number = next(self._numbers)
        with self._lock:
            self._waiters[number] = _Waiter()
        return number

    def forget(self, number: int) -> None:
        """Expect no reply after all: the question could not be sent."""
        with self._lock:
            del self._waiters[number]
            self._let_another_lead()

    def wait(self, number: int) -> "Reply":
        """Wait for the reply to a question."""
        waiter = self._waiters[number]
        while True:
            with self._lock:
                if waiter.reply is None and self._end is not None:
                    waiter.reply = self._end, ()
                if waiter.reply is not None:
                    del self._waiters[number]
                    self._let_another_lead()
                    return waiter.reply
                leads, self._is_led = not self._is_led, True
            if leads:
                self._read()
            else:
                waiter.called.acquire()

    def end(self) -> None:
        """Answer all questions with BROKEN, those to come too."""
        with self._lock:
            self._end_all(answers.BROKEN)
        # Wakes who leads, if anybody does, and means nothing to a later interpreter.
        put_item(self._mailbox, (next(self._numbers), answers.NONE, ()))
        ring(self._bell)

    def _let_another_lead(self) -> None:
        if not self._is_led:
            for waiter in self._waiters.values():
                waiter.call()
                break

    def _read(self) -> None:
        """Wait for a reply and hand it over; by who leads."""
        self._ear.wait()
        item = get_item(self._mailbox) if take(self._bell) else None
        with self._lock:
            self._is_led = False
            if item is None:  # of an interpreter that has ended
                return
            number, answer, frames = item
            if number == ALL:
                self._end_all(answer)
            elif waiter := self._waiters.get(number):
                waiter.reply = answer, frames
                waiter.call()

    def _end_all(self, answer: int) -> None:
        if self._end is None:
            self._end = answer
        for waiter in self._waiters.values():
            waiter.call()
