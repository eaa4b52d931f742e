"""What is waited for in spite of a cancellation or a Ctrl-C, and saying so.

Who waits for a job must wait for its end, whoever wants him to leave. A job that
never looks keeps a program in such a wait for ever, and a user who presses Ctrl-C is
told nothing. So after a while, and then at each Ctrl-C, the log names the job.

Layer: frontend. Imports: `ctrl_c`, `protected`, `reports`, trio; `intake` for types.
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
        "_is_over",
        "_nursery",
        "_said",
        "_scope",
    )

    def __init__(self, intake: "Intake", nursery: trio.Nursery) -> None:
        self._intake = intake  # immutable
        self._nursery = nursery  # immutable
        # All that follows belongs to the Trio thread.
        self._count = 0  # owner: how many waits there are
        self._is_over = False  # owner: the block is; nothing can be started any more
        self._begun = trio.Event()  # owner: set by a wait since the last look
        self._scope = trio.CancelScope(shield=True)  # owner: of the task that looks
        self._said: set[int] = set()  # owner: identities of what was named by itself

    def begin(self) -> None:
        """Count a wait that cannot be left; `end` must follow.

        May be called where nothing can be awaited: in a task's abort function.
        """
        self._count += 1
        self._begun.set()
        if self._count == 1 and not self._is_over:
            self._scope = trio.CancelScope(shield=True)
            start_task(self._nursery, self._watch, self._scope)
            listen(self._say_all)

    def end(self) -> None:
        """Count the end of a wait."""
        self._count -= 1
        if self._count == 0:
            self._rest()

    def close(self) -> None:
        """Say nothing more: the block is over."""
        self._is_over = True
        self._rest()

    def _rest(self) -> None:
        self._scope.cancel()
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

    async def _watch(self, scope: trio.CancelScope) -> None:
        with scope:
            while True:
                await self._begun.wait()
                self._begun = trio.Event()
                await trio.sleep(LOG_AFTER)
                self._say_new()

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
