"""STOP-4 of a pool's end: the workers' threads end, and Trio goes on meanwhile.

A thread may take long to end: an interpreter is still being created, a library has
left a thread running in one, a finalizer sleeps. So another thread joins them, and
wakes the task that waits here.

Layer: frontend.
"""

import logging
import math
import time
from functools import partial

import outcome
import trio

from .._backends.base import Backend
from .pump import Pump

__all__ = ("WORKER_GRACE", "Ending")

# How long the workers may take at least after `shutdown`, in seconds. Arbitrary.
WORKER_GRACE = 0.2

_logger = logging.getLogger("runtime")


class Ending:
    """The end of one pool's workers.

    Args:
      backend: The workers.
      pump: Takes their news until they have ended.
      name: The pool's name, for the log.

    Thread safety: externally synchronized, by the Trio thread.
    """

    __slots__ = ("_backend", "_left_out", "_name", "_pump", "_round", "is_bounded")

    def __init__(self, backend: Backend, pump: Pump, name: str) -> None:
        self._backend = backend  # immutable
        self._pump = pump  # immutable
        self._name = name  # immutable
        # Whether the grace period of a `shutdown` is over: then nobody waits for long.
        self.is_bounded: bool = False  # owner
        self._round: _Round | None = None  # owner: the joining that goes on, or is over
        self._left_out: set[int] = set()  # owner: who is not waited for in it

    async def within(self, scope: trio.CancelScope) -> tuple[str, ...]:
        """Stop the workers and wait until the scope ends the wait; for `shutdown`.

        Returns:
          Names of what workers still wait for, as far as they are known.
        """
        self._begin()
        assert self._round is not None
        with scope:
            await self._round.ended.wait()
        return tuple(self._backend.leftovers())

    async def finish(self, patience: float) -> None:
        """Stop the workers and wait for their threads, whatever comes meanwhile.

        Args:
          patience: After so many seconds the log names what is waited for.
        """
        self._begin()
        patience = WORKER_GRACE if self.is_bounded else patience
        try:
            await self._wait(patience)
        finally:
            self._pump.close()  # ORDER: first, for it waits for a descriptor
            if not self._backend.close():  # more threads have to end first
                self._round = _Round(self._backend, self._left_out, self._name)
                await self._wait(patience)
                self._backend.close()

    async def _wait(self, patience: float) -> None:
        """Wait for the end of the round; after a `shutdown` only so long."""
        assert self._round is not None
        interrupt: KeyboardInterrupt | None = None
        due = time.monotonic() + patience
        while not self._round.ended.is_set():
            try:
                await self._round.wait(due - time.monotonic())
            except KeyboardInterrupt as error:
                interrupt = error  # one more Ctrl-C; the threads still have to end
                continue
            # Trio's clock may be a test's, and have jumped.
            is_late = time.monotonic() >= due and not self._round.ended.is_set()
            if is_late:
                self._log()
            if is_late and self.is_bounded:
                break
            if not self.is_bounded:
                due = math.inf
        if interrupt is not None:
            raise interrupt

    def _begin(self) -> None:
        """Stop the workers; have their threads joined, but for those inside a job."""
        self._backend.stop()
        stuck = set(self._backend.running_jobs())
        is_on = self._round is not None and not (
            self._round.ended.is_set() and self._left_out - stuck
        )
        if not is_on:
            self._left_out = stuck
            self._round = _Round(self._backend, stuck, self._name)

    def _log(self) -> None:
        names = self._backend.unfinished()
        if self.is_bounded and names == []:
            return  # it ends by itself, and harms nobody
        _logger.warning(
            "pool %r %s %s",
            self._name,
            "leaves behind" if self.is_bounded else "waits for",
            ", ".join(names or ()) or "threads of its workers",
        )


class _Round:
    """One thread that joins the workers' threads."""

    def __init__(self, backend: Backend, but_not: set[int], name: str) -> None:
        self.ended = trio.Event()  # owner: the Trio thread
        self._trio_token = trio.lowlevel.current_trio_token()  # immutable
        join = partial(backend.join, but_not=but_not)
        # A forked child has nobody to wait for.
        if backend.is_forked or not backend.has_threads:
            self._note(outcome.capture(join))
            return
        try:
            trio.lowlevel.start_thread_soon(
                join, self._deliver, f"runtime end of {name}"
            )
        except RuntimeError:  # no more threads
            self._note(outcome.capture(join))

    async def wait(self, seconds: float) -> None:
        """Wait for the end so long at most, in spite of cancellations."""
        with trio.move_on_after(max(0.0, seconds), shield=True):
            await self.ended.wait()

    def _deliver(self, result: outcome.Outcome[None]) -> None:
        try:
            self._trio_token.run_sync_soon(self._note, result)
        except trio.RunFinishedError:  # the pool was left behind
            pass

    def _note(self, result: outcome.Outcome[None]) -> None:
        self.ended.set()
        result.unwrap()  # a bug of ours is one of Trio's run
