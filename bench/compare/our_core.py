"""The scheduler alone, called from a plain thread: `runtime.lowlevel`, without Trio."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import copy_context
from typing import Any

from runtime._backends.threads import SPIN_ROUNDS
from runtime.lowlevel import Job, Latch, Registry

__all__ = ("NAME", "OurCore", "Ticket", "open_core")

NAME = "ours: the core"


class Ticket[R](Job):
    """A job that one thread waits for, made as a pool makes its calls."""

    __slots__ = ("_latch",)

    def __init__(self, fn: Callable[..., R], args: tuple[Any, ...]) -> None:
        self._latch = latch = Latch()
        super().__init__(fn, args, copy_context(), sink=latch.set)

    def result(self) -> R:
        """Block until the job is done; return or raise its outcome."""
        self._latch.wait()
        answer: R = self.outcome.unwrap()  # type: ignore[union-attr, assignment]  # it is done
        return answer


class OurCore:
    """The workers of a registry, set up as those of a pool are."""

    def __init__(self, registry: Registry) -> None:
        self._registry = registry

    def submit[*Ts, R](self, fn: Callable[[*Ts], R], *args: *Ts) -> Ticket[R]:
        """Hand over one call, with its context, as a pool does."""
        ticket: Ticket[R] = Ticket(fn, args)
        self._registry.inject(ticket)
        return ticket

    def post[*Ts](self, fn: Callable[[*Ts], object], *args: *Ts) -> None:
        """Hand over one call that nobody waits for."""
        self._registry.inject(Job(fn, args, copy_context()))

    def is_everyone_asleep(self) -> bool:
        """Return whether all workers are parked."""
        return self._registry.is_everyone_asleep()


@contextmanager
def open_core(worker_count: int) -> Iterator[OurCore]:
    """Start `worker_count` workers; end them on the way out."""
    spin_rounds = 1 if sys._is_gil_enabled() else SPIN_ROUNDS
    registry = Registry(worker_count, name="bench", spin_rounds=spin_rounds)
    registry.start()
    try:
        yield OurCore(registry)
    finally:
        registry.stop()
        registry.join()
