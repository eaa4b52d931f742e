"""What is waited for in spite of a cancellation or a Ctrl-C, and saying so.

Who waits for a job must wait for its end, whoever wants him to leave. A job that
never looks keeps a program in such a wait for ever, and a user who presses Ctrl-C is
told nothing. So after a while, and then at each Ctrl-C, the log names the job.

Layer: frontend.
"""

import logging
import os
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import trio

from .ctrl_c import listen, unlisten
from .protected import start_task
from .reports import straggler_of
from .work import Work

if TYPE_CHECKING:
    from .intake import Intake

__all__ = ("Patience", "wait_to_the_end")

# How long a wait may take before the log names what is waited for. Arbitrary.
LOG_AFTER = 5.0
# How many jobs one line names. Arbitrary.
MAX_NAMED = 5

_logger = logging.getLogger("runtime")


class Patience:
    """A pool's waits that cannot be left, and what they wait for.

    Thread safety: externally synchronized, by the Trio thread.
    """

    __slots__ = (
        "_begun",
        "_count",
        "_intake",
        "_is_stopped",
        "_is_watched",
        "_nursery",
        "_over",
        "_said",
        "_scope",
        "_trio_token",
    )

    def __init__(self, intake: "Intake", nursery: trio.Nursery) -> None:
        self._intake = intake  # immutable
        self._nursery = nursery  # immutable
        self._trio_token = trio.lowlevel.current_trio_token()  # immutable
        # All that follows belongs to the Trio thread.
        self._count = 0  # owner: how many waits there are
        self._over = trio.Event()  # owner: set when there are none any more
        self._begun = trio.Event()  # owner: set by a wait that begins, or the last end
        self._is_watched = False  # owner: whether a task looks
        self._is_stopped = False  # owner: the block is over
        self._scope = trio.CancelScope(shield=True)  # owner: of the task that looks
        self._said: set[int] = set()  # owner: identities of what was named by itself

    def begin(self) -> None:
        """Count a wait that cannot be left; `end` must follow.

        May be called in a task's abort function. There nothing can be awaited, and no
        task can be started: Trio is on its way through those of the cancelled scope.
        """
        self._count += 1
        if self._count == 1:
            self._over = trio.Event()
            self._trio_token.run_sync_soon(self._start, idempotent=True)
            listen(self._say_all)
        self._begun.set()

    def end(self) -> None:
        """Count the end of a wait."""
        self._count -= 1
        if self._count == 0:
            # Not by a cancellation: that would keep the frames of who calls alive.
            self._over.set()
            self._begun.set()
            unlisten(self._say_all)
            self._said.clear()

    @contextmanager
    def during(self) -> Iterator[None]:
        """Count a wait for the length of the block."""
        self.begin()
        try:
            yield
        finally:
            self.end()

    def stop(self) -> None:
        """Say nothing more: the block is over."""
        self._is_stopped = True
        self._scope.cancel()
        unlisten(self._say_all)

    def _start(self) -> None:
        """Start the task that looks, if there is something to look for."""
        if self._count and not self._is_watched and not self._is_stopped:
            self._is_watched = True
            self._scope = trio.CancelScope(shield=True)
            start_task(self._nursery, self._watch)

    async def _watch(self) -> None:
        with self._scope:
            while self._count:
                with trio.move_on_after(LOG_AFTER):
                    await self._over.wait()
                    continue
                self._say_new()
                self._begun = trio.Event()
                await self._begun.wait()
        self._is_watched = False

    def _say_new(self) -> None:
        waited_for = self._waited_for()
        new = [work for work in waited_for if id(work) not in self._said]
        self._said = set(map(id, waited_for))
        if new or not waited_for:
            self._say(new)

    def _say_all(self) -> None:
        """Name everything, for a user who presses Ctrl-C and sees nothing happen."""
        self._say(self._waited_for())

    def _waited_for(self) -> list[Work]:
        """Return the work that goes on although it was asked to stop, if any was."""
        work = list(self._intake.work)
        return [each for each in work if each.token.is_set] or work

    def _say(self, waited_for: list[Work]) -> None:
        names = [str(straggler_of(each.name, each.code)) for each in waited_for]
        if len(names) > MAX_NAMED:
            names[MAX_NAMED:] = [f"{len(names) - MAX_NAMED} more"]
        elif self._intake.lane.tokens and not names:
            names = ["its async tasks"]
        if names:
            _logger.warning(
                "pool %r waits for %s; a job that calls runtime.check_cancelled() can "
                "be left sooner; to leave without waiting: kill -9 %d",
                self._intake.name,
                ", ".join(names),
                os.getpid(),
            )


async def wait_to_the_end(
    patience: Patience, wait: Callable[[], Awaitable[None]]
) -> None:
    """Wait for what must be waited for, then raise the Ctrl-C that came meanwhile.

    Args:
      wait: May be called again after a `KeyboardInterrupt` has left it.
    """
    interrupt: KeyboardInterrupt | None = None
    with patience.during():
        while True:
            try:
                with trio.CancelScope(shield=True):
                    await wait()
                break
            except KeyboardInterrupt as error:
                interrupt = error
    if interrupt is not None:
        raise interrupt
