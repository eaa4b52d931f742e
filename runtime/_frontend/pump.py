"""The task that takes a backend's news, where jobs do not leave by themselves.

The workers make a descriptor readable when there is news; the pump waits for it and
lets the jobs leave, all in one step of the Trio loop.

Layer: frontend.
"""

from collections.abc import Callable
from contextvars import Context

import trio

from .._backends.base import News
from .port import CompletionPort
from .protected import start_task

__all__ = ("Pump",)


class Pump:
    """Takes the news of one backend.

    Args:
      news: What it takes; None: jobs leave by themselves, and nothing happens here.
      port: Where what its jobs post is delivered.
      on_failure: Called as ``on_failure(error)`` if taking the news raises.

    Thread safety: externally synchronized, by the Trio thread.
    """

    __slots__ = ("_news", "_on_failure", "_port", "_scope")

    def __init__(
        self,
        news: News | None,
        port: CompletionPort,
        on_failure: Callable[[BaseException], object],
    ) -> None:
        self._news = news  # owner; None: there is none, or none any more
        self._port = port  # immutable
        self._on_failure = on_failure  # immutable
        self._scope = trio.CancelScope(shield=True)  # owner

    def start(self, nursery: trio.Nursery) -> None:
        """Start the task, if there is something to wait for."""
        if self._news is not None:
            # Protected, for Ctrl-C would lose news that it took; and with no context
            # variables, for it would keep their values alive.
            Context().run(start_task, nursery, self._run)

    def close(self) -> None:
        """End the task; before the descriptor is given back."""
        self._news = None
        self._scope.cancel()

    def look(self) -> None:
        """Take the news now; the task would a little later."""
        if self._news is None:
            return
        try:
            self._port.deliver_after(self._news.drain)
        except Exception as error:  # a bug of ours
            self._on_failure(error)
            self._scope.cancel()

    def hush(self, is_hushed: bool) -> None:
        """Say whether somebody is about to look again and again."""
        if self._news is not None:
            self._news.hush(is_hushed)

    async def _run(self) -> None:
        with self._scope:
            # It may be woken and closed at once, or closed before this begins.
            while self._news is not None:
                await trio.lowlevel.wait_readable(self._news.fileno())
                self.look()
