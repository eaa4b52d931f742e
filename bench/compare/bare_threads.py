"""The ceiling: the same work hand-cut into bare threads, one piece each.

There is no queue to take work from and nothing to decide while the work runs: each
thread is handed its whole piece and puts the answers in place. The
threads are started beforehand and kept, because starting and ending one costs up to
milliseconds on 3.13t: the ceiling has none of that to pay.
"""

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from functools import partial
from queue import SimpleQueue
from threading import Thread
from typing import Any

import outcome

from ..cut import even_ranges

__all__ = ("BareThreads", "NAME", "open_peer")

NAME = "bare threads (ceiling)"


class BareThreads:
    """Some threads, each waiting for one piece of work.

    Thread safety: externally synchronized; one caller at a time.
    """

    def __init__(self, thread_count: int) -> None:
        self._lanes = [_Lane() for _ in range(thread_count)]
        self._answers: list[Any] = []

    async def call[*Ts, R](self, fn: Callable[[*Ts], R], *args: *Ts) -> R:
        """Hand one call to the first thread and wait, blocking."""
        answers: list[R] = []
        self._lanes[0].begin(lambda: answers.append(fn(*args)))
        self._lanes[0].wait().unwrap()
        return answers[0]

    async def each[T, R](self, fn: Callable[[T], R], items: Sequence[T]) -> list[R]:
        """Run contiguous pieces of equal length, one per thread; blocks."""
        self.begin(fn, items)
        return self.wait()

    async def each_of_cut[T, R](
        self, fn: Callable[[T], R], items: Sequence[T], pieces: list[list[int]]
    ) -> list[R]:
        """Run pieces given as positions in `items`, one per thread; blocks."""
        self._answers = [None] * len(items)
        for lane, positions in zip(self._lanes, pieces, strict=True):
            lane.begin(partial(_run_positions, fn, items, positions, self._answers))
        return self.wait()

    def begin[T](self, fn: Callable[[T], Any], items: Sequence[T]) -> None:
        """Hand each thread a piece of equal length, and do not wait."""
        self._answers = [None] * len(items)
        pieces = even_ranges(len(items), len(self._lanes))
        for lane, piece in zip(self._lanes, pieces, strict=True):
            lane.begin(partial(_run_slice, fn, items, piece, self._answers))

    def wait(self) -> list[Any]:
        """Block until all pieces are done; return the answers in order."""
        for result in [lane.wait() for lane in self._lanes]:
            result.unwrap()
        answers, self._answers = self._answers, []
        return answers

    def close(self) -> None:
        """End the threads."""
        for lane in self._lanes:
            lane.close()


class _Lane:
    """One thread, the piece it is given, and the answer it gives back."""

    def __init__(self) -> None:
        self._pieces: SimpleQueue[Callable[[], None] | None] = SimpleQueue()
        self._outcomes: SimpleQueue[outcome.Outcome[None]] = SimpleQueue()
        self._thread = Thread(target=self._serve, daemon=True)
        self._thread.start()

    def begin(self, piece: Callable[[], None]) -> None:
        self._pieces.put(piece)

    def wait(self) -> outcome.Outcome[None]:
        return self._outcomes.get()

    def close(self) -> None:
        self._pieces.put(None)
        self._thread.join()

    def _serve(self) -> None:
        while (piece := self._pieces.get()) is not None:
            self._outcomes.put(outcome.capture(piece))


# Each thread puts its own answers in place: objects that another thread had to touch
# would cost the ceiling a tenth of its speed.


def _run_slice[T, R](
    fn: Callable[[T], R], items: Sequence[T], piece: range, answers: list[R]
) -> None:
    own_items = items[piece.start : piece.stop]
    answers[piece.start : piece.stop] = [fn(item) for item in own_items]


def _run_positions[T, R](
    fn: Callable[[T], R], items: Sequence[T], positions: list[int], answers: list[R]
) -> None:
    for position in positions:
        answers[position] = fn(items[position])


@asynccontextmanager
async def open_peer(worker_count: int) -> AsyncIterator[BareThreads]:
    """Start `worker_count` threads; end them on the way out."""
    threads = BareThreads(worker_count)
    try:
        yield threads
    finally:
        threads.close()
