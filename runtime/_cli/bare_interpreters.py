"""Find the ceiling where the pool's workers are interpreters: bare interpreters.

As `bare_threads`: one part of the work for each, cut by hand, no pool. They are
created before anything is timed, as the pool's are. Work and answers go through pipes.

Layer: cli.
"""

import os
import pickle
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from typing import Any

from .._backends import crossinterp

__all__ = ("BareInterpreters", "open_bare_interpreters", "serve")

_ENTER = (
    "import sys; sys.path[:] = path; "
    "from runtime._cli.bare_interpreters import serve; serve(parts, answers)"
)


def serve(parts: int, answers: int) -> None:
    """Answer one part after the other until there are no more; runs inside."""
    # Nothing may leave the code inside; whoever waits for an answer meets its end.
    with (
        open(parts, "rb") as source,
        open(answers, "wb") as target,
        suppress(BaseException),
    ):
        while True:
            fn, part = pickle.load(source)
            pickle.dump({item: fn(item) for item in part}, target)
            target.flush()


class _Lane:
    """One interpreter, the thread that stays in it, and a pipe each way."""

    def __init__(self) -> None:
        parts, self._parts_in = os.pipe()
        answers_out, answers = os.pipe()
        self._source = open(answers_out, "rb")  # noqa: SIM115  # closed in `close`
        self._target = open(self._parts_in, "wb")  # noqa: SIM115  # the same
        self._thread = threading.Thread(target=_live, args=(parts, answers))
        self._thread.start()

    def begin(self, work: object) -> None:
        pickle.dump(work, self._target)
        self._target.flush()

    def wait(self) -> Any:
        return pickle.load(self._source)

    def close(self) -> None:
        self._target.close()  # the end of its work
        self._thread.join()
        self._source.close()


def _live(parts: int, answers: int) -> None:
    with crossinterp.SETUP_LOCK:
        crossinterp.import_single_modules()
        number = crossinterp.create()
    names = {"path": tuple(sys.path), "parts": parts, "answers": answers}
    crossinterp.execute(number, _ENTER, names)
    with crossinterp.SETUP_LOCK:
        crossinterp.destroy(number)


class BareInterpreters:
    """Some interpreters that wait for work."""

    def __init__(self, count: int) -> None:
        self._lanes = [_Lane() for _ in range(count)]

    def run[T, R](
        self, fn: Callable[[T], R], parts: Sequence[Sequence[T]]
    ) -> list[dict[T, R]]:
        """Run each part in an interpreter of its own; return the results by item.

        Raises:
          EOFError: a call failed there.
        """
        lanes = self._lanes[: len(parts)]
        for lane, part in zip(lanes, parts, strict=True):
            lane.begin((fn, part))
        return [lane.wait() for lane in lanes]

    def close(self) -> None:
        """End the interpreters."""
        for lane in self._lanes:
            lane.close()


@contextmanager
def open_bare_interpreters[T, R](
    count: int, fn: Callable[[T], R]
) -> Iterator[BareInterpreters]:
    """Open some for the length of the block, ready to run ``fn``."""
    with closing(BareInterpreters(count)) as bare:
        bare.run(fn, [[]] * count)  # each has imported what it needs
        yield bare
