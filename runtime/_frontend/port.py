"""The way back into Trio: workers post, one wake-up drains.

Whatever a worker has to tell the Trio thread (a finished job, a request to run
something there) is posted here. Only the first post since the last drain wakes
the Trio loop, so a burst of completions costs one wake-up.

    worker                              Trio thread
    PORT-1  append the delivery         PORT-3  free the signal
    PORT-2  signal free? take it and    PORT-4  deliver until nothing is left
            ask Trio to drain

Nothing is left behind: say a post comes after PORT-4 found the queue empty. That
pop and that append are ordered by the queue, and PORT-3 came before the pop, so
PORT-2 finds the signal free and asks for another drain.

A worker that finds its post far behind a wake-up pauses for a moment. Trio was woken
and has not come: it may be waiting for a core, and where all are busy with jobs the
operating system may keep it waiting for many milliseconds. To yield is not
enough, since the system may give the core back to the worker; to sleep is. Trio may
also be in the middle of a long tick, so one pause per `PATIENCE_NS` has to do.

Layer: frontend.
"""

from collections.abc import Callable
from contextlib import suppress
from typing import Protocol

import trio

from .._core import sync

__all__ = ("CompletionPort", "Delivery")


# For so long a wake-up may go unanswered before a poster pauses, and for so long it
# pauses; the system makes it about 50 us. Measured in bench/situations/loop_lag:
# without, the loop was up to 20 ms late while 64 tasks made calls.
PATIENCE_NS = 250_000
PAUSE = 1e-6


class Delivery(Protocol):
    """Something to be done in the Trio thread."""

    def deliver(self) -> None:
        """Do it. Runs between two tasks' steps; should not raise."""

    def fail(self, error: BaseException) -> None:
        """End the wait for it with an error: `deliver` has raised."""


class CompletionPort:
    """Deliveries on their way from any thread to one Trio run.

    Must be made in the Trio thread.

    Args:
      on_failure: Called as ``on_failure(error)`` when a delivery has raised, or with
        `trio.RunFinishedError`; returns what to tell those who wait for it.

    Thread safety: `post` and `close` from any thread; `drain` belongs to the Trio
    thread.
    """

    __slots__ = (
        "_asked_ns",
        "_on_failure",
        "_pending",
        "_signal",
        "_trio_thread",
        "_trio_token",
    )

    def __init__(self, on_failure: Callable[[BaseException], BaseException]) -> None:
        self._on_failure = on_failure  # immutable
        self._trio_thread = sync.get_ident()  # immutable
        self._trio_token = trio.lowlevel.current_trio_token()  # immutable
        self._pending: sync.Deque[Delivery] = sync.Deque()  # atomic: append, popleft
        # Locked means "a drain is on its way", free means "nobody asked for one".
        self._signal = sync.Lock()  # atomic: acquire, release
        # When the drain that is on its way was asked for, or last made room for.
        self._asked_ns = 0  # atomic: a single store; RACE in `post`

    def post(self, delivery: Delivery) -> bool:
        """Have ``delivery.deliver()`` called soon in the Trio thread.

        Returns:
          False if the Trio run is over: there is nobody left to tell, and the
          delivery is failed.
        """
        self._pending.append(delivery)  # PORT-1 append
        # ATOMIC(lock-acquire): of two posters one asks for the drain.
        if self._signal.acquire(False):  # PORT-2 signal
            self._asked_ns = sync.clock_ns()
            try:
                self._trio_token.run_sync_soon(self.drain)
            except trio.RunFinishedError:
                self.close()
                return False
        else:
            self._make_way()
        return True

    def close(self) -> None:
        """Fail what was not delivered: the Trio run is over. From any thread."""
        # ATOMIC(lock-release): it raises if nobody asked for a drain, or two close.
        with suppress(RuntimeError):
            self._signal.release()
        error = self._on_failure(trio.RunFinishedError())
        while True:
            try:
                delivery = self._pending.popleft()
            except IndexError:
                return
            # Jobs that wait for an answer go on. Tasks are told in vain, for they have
            # ended with their run.
            with suppress(Exception):
                delivery.fail(error)

    def deliver_after(self, post_all: Callable[[], None]) -> None:
        """Let something post and deliver it at once; in the Trio thread."""
        # ATOMIC(lock-acquire): if it fails, a drain is on its way already.
        is_ours = self._signal.acquire(False)
        try:
            post_all()
        finally:
            if is_ours:
                self.drain()

    def _make_way(self) -> None:
        """Pause if Trio was asked for a drain and is late."""
        if sync.get_ident() == self._trio_thread:
            return  # withdrawals post here, too, and it cannot make way for itself
        now_ns = sync.clock_ns()
        # RACE: a stale time costs a pause too many or too few.
        if now_ns - self._asked_ns >= PATIENCE_NS:
            self._asked_ns = now_ns
            sync.pause(PAUSE)

    def drain(self) -> None:
        """Deliver what is there."""
        self._signal.release()  # PORT-3 free the signal
        while True:
            try:
                delivery = self._pending.popleft()  # PORT-4 deliver
            except IndexError:
                return
            try:
                delivery.deliver()
            except BaseException as error:  # a bug of ours; the others still come
                delivery.fail(self._on_failure(error))
