"""The ceiling for interpreters: the same work hand-cut, one piece for each of them.

One thread per interpreter, which stays inside; pieces and answers go through pipes, as
pickles. There is no pool: nothing to queue and nothing to decide.
"""

import _interpreters
import os
import pickle
import sys
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from threading import Thread

from ..cut import even_ranges

__all__ = ("NAME", "open_peer", "serve")

NAME = "bare interpreters (ceiling)"

_ENTER = (
    "import sys; sys.path[:] = path; "
    "from bench.compare.bare_interpreters import serve; serve(pieces, answers)"
)


def serve(pieces: int, answers: int) -> None:
    """Run pieces until there are no more; the code inside."""
    with open(pieces, "rb", closefd=False) as source:
        while (piece := pickle.load(source)) is not None:
            fn, items = piece
            _send(answers, [fn(item) for item in items])


def _send(descriptor: int, value: object) -> None:
    data = pickle.dumps(value)
    while data:
        data = data[os.write(descriptor, data) :]


class _Lane:
    """One interpreter and its thread."""

    def __init__(self) -> None:
        self._pieces_out, self._pieces = os.pipe()
        answers_out, self._answers_in = os.pipe()
        self._answers = open(answers_out, "rb")  # noqa: SIM115, closed in `close`
        self._interpreter = _interpreters.create()
        self._thread = Thread(target=self._enter)
        self._thread.start()

    def begin(self, fn: object, items: object) -> None:
        _send(self._pieces, (fn, items))

    def wait(self) -> list[object]:
        answers: list[object] = pickle.load(self._answers)
        return answers

    def close(self) -> None:
        _send(self._pieces, None)
        self._thread.join()
        self._answers.close()
        for descriptor in (self._pieces_out, self._pieces, self._answers_in):
            os.close(descriptor)

    def _enter(self) -> None:
        names = {
            "path": tuple(sys.path),
            "pieces": self._pieces_out,
            "answers": self._answers_in,
        }
        failure = _interpreters.exec(self._interpreter, _ENTER, names)
        assert failure is None, failure
        _interpreters.destroy(self._interpreter)


class BareInterpreters:
    """Some interpreters, each waiting for one piece of work."""

    def __init__(self, count: int) -> None:
        self._lanes = [_Lane() for _ in range(count)]

    async def call[*Ts, R](self, fn: Callable[[*Ts], R], *args: *Ts) -> R:
        """Not needed here."""
        raise NotImplementedError

    async def each[T, R](self, fn: Callable[[T], R], items: Sequence[T]) -> list[R]:
        """Run contiguous pieces of equal length, one per interpreter; blocks."""
        pieces = even_ranges(len(items), len(self._lanes))
        for lane, piece in zip(self._lanes, pieces, strict=True):
            lane.begin(fn, items[piece.start : piece.stop])
        answers: list[R] = []
        for lane in self._lanes:
            answers += lane.wait()  # type: ignore[arg-type]
        return answers

    def close(self) -> None:
        """End the interpreters."""
        for lane in self._lanes:
            lane.close()


@asynccontextmanager
async def open_peer(worker_count: int) -> AsyncIterator[BareInterpreters]:
    """Start `worker_count` interpreters; end them on the way out."""
    interpreters = BareInterpreters(worker_count)
    try:
        yield interpreters
    finally:
        interpreters.close()
