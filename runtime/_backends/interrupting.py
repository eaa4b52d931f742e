"""Interrupt a job inside a worker's interpreter, or see where it is, from inside.

No other interpreter can raise anything in this one. So a thread in here, the *watch*,
waits for the alarm that home rings, and registers an interrupt with this
interpreter's own probe (``runtime/_core/INTERRUPT.md``). Home has set the token before:
what begins after that ends by itself, and only what runs has to be reached.

The watch begins with the first job that is watched: it may be interrupted, or its pool
reports jobs that are stuck. With it come the modules of the core, which no other job
needs.

    CROSS-9   home: set the token, ask for the interrupt, ring every worker's alarm
    CROSS-10  watch: wake up; if what runs is to be interrupted, register a probe
    CROSS-11  worker: say what runs, then look whether the alarm came too early

    WATCH-2  watch: wake up; if what runs is sought, register a sighting
    WATCH-3  worker: between two instructions, write down the stack, ring the alarm
    WATCH-4  watch: send it home

Layer: backends, worker side.
"""

import sys
from _thread import RLock, get_ident

from .._errors import JobCancelled
from .._native.scheduler import set_time_slice
from .stacks import encode_stack

TYPE_CHECKING = False  # not from typing, which is slow to import
if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractContextManager
    from contextvars import Context
    from typing import Any, NoReturn

    from .._core.sighting import Stack
    from .._native.scheduler import EncodedJob, SharedWorker

__all__ = ("end_watch", "raise_cancelled", "run", "uninterruptible")

# Seconds until the watch gets the GIL of its interpreter from a job in a loop.
# Nobody else wants it, so a short interval costs nothing.
SWITCH_INTERVAL = 0.0005

# As in _core/job.py.
RUNNING = 1
DONE = 2

_watch: "_Watch | None" = None


class _Running:
    """What runs, as a probe sees a job."""

    __slots__ = ("handle", "is_asked", "is_sought", "outcome", "phase", "token")

    def __init__(self, handle: "EncodedJob") -> None:
        self.handle = handle  # immutable
        self.phase = RUNNING  # owner: the worker
        self.outcome = None  # immutable: where there is one, nothing runs any more
        self.token = object()  # immutable
        self.is_asked = False  # guarded by: the watch's lock
        self.is_sought = False  # owner: the watch

    def is_over(self) -> bool:
        return self.phase != RUNNING


class _Thread:
    """A thread that runs jobs, as a probe sees a worker."""

    __slots__ = ("_watch", "index", "running")

    def __init__(self, watch: "_Watch", running: _Running) -> None:
        self.index = get_ident()  # immutable
        self.running = running  # immutable
        self._watch = watch  # immutable

    @property
    def job(self) -> _Running:
        """What a probe takes for the worker's job."""
        if self.running.handle.is_interrupted:
            self._watch.register(self.running)  # the alarm may not have been heard yet
        return self.running


class _Watch:
    """The thread that waits for the alarm, and what it sees of those that run jobs."""

    def __init__(self, worker: "SharedWorker") -> None:
        # Here, and not when there is an interrupt: beside a job that keeps the GIL an
        # import takes seconds.
        from .._core import interrupt, probe, safe_points, sighting, sync  # noqa: F401

        self.interrupt: Any = interrupt  # immutable: the module
        self._add = probe.add  # immutable
        self._sighting: Any = sighting.Sighting  # immutable
        # What is to be sent home.
        self._stacks: list[tuple[_Running, Stack]] = []  # atomic: append, pop
        # By thread: those inside a job that is watched.
        self.threads: dict[int, _Thread] = {}  # atomic: one thread per key
        self._worker = worker  # immutable
        self._is_over = False  # atomic: a single store; never cleared
        self._lock = RLock()  # atomic: acquire, release; no user code under it
        probe.find_worker = self._find_worker  # type: ignore[assignment]
        sys.setswitchinterval(SWITCH_INTERVAL)
        self._thread = sync.start_thread(self._wait, "runtime-watch")  # immutable

    def _find_worker(self) -> "_Thread | None":
        ident = get_ident()
        # No `dict.get`, as in the probe.
        return self.threads[ident] if ident in self.threads else None  # noqa: SIM401

    def register(self, running: _Running) -> None:
        """Have the probe interrupt what runs, once."""
        # Reentrant: the probe's events come within here, too.
        with self._lock:
            if running.is_asked:
                return
            running.is_asked = True
            self.interrupt.interrupt(  # CROSS-10 register
                running.token, running.is_over, running.handle.note_met
            )

    def end(self) -> None:
        """Have the thread end, and wait for it."""
        self._is_over = True
        self._worker.ring_alarm()
        self._thread.join()
        del self._worker  # the interpreter may go on without its pool

    def _wait(self) -> None:
        set_time_slice(0)  # the usual; it must not wait for the worker's to end
        while not self._is_over:
            self._worker.wait_alarm()
            # RACE: it may not run yet, then CROSS-11 rings again, or not any more.
            for thread in list(self.threads.values()):
                running = thread.running
                if running.handle.is_interrupted:
                    self.register(running)
                if running.handle.is_sought and not running.is_sought:
                    self._seek(running)
            while self._stacks:
                self._send(*self._stacks.pop())

    def _seek(self, running: _Running) -> None:
        """Have a job write down its stack, once, as long as it is sought."""
        running.is_sought = True

        def note(stack: "Stack") -> None:
            self._stacks.append((running, stack))  # WATCH-3 stack
            self._worker.ring_alarm()

        sighting = self._sighting(
            running,
            bases=(_enter.__code__,),
            is_over=lambda: not running.handle.is_sought,
            on_seen=note,
        )
        self._add(sighting)  # WATCH-2 register

    def _send(self, running: _Running, stack: "Stack") -> None:
        # RACE: it may end now; home knows what to do with the stack of no job.
        if not running.is_over():
            self._worker.ask(running.handle, encode_stack(stack))  # WATCH-4 send


def run(
    worker: "SharedWorker",
    handle: "EncodedJob",
    context: "Context",
    call: "Callable[..., object]",
    *args: object,
) -> object:
    """Return ``context.run(call, *args)``, which is watched."""
    global _watch
    if _watch is None:
        _watch = _Watch(worker)
    running = _Running(handle)
    thread = _Thread(_watch, running)
    _watch.threads[thread.index] = thread
    # CROSS-11 the alarm came too early
    if handle.is_interrupted or handle.is_sought:
        worker.ring_alarm()
    try:
        return _enter(context, call, args)
    finally:
        running.phase = DONE
        del _watch.threads[thread.index]
        _watch.interrupt.nudge()


def _enter(
    context: "Context", call: "Callable[..., object]", args: tuple[object, ...]
) -> object:
    """Make the call: in a stack, what is inside of this frame is the job's."""
    return context.run(call, *args)


def raise_cancelled() -> "NoReturn":
    """Raise `JobCancelled` in the job that runs, in place of an interrupt."""
    if _watch is not None:
        _watch.interrupt.raise_cancelled()
    raise JobCancelled


def end_watch() -> None:
    """Have nothing of this left in the interpreter."""
    global _watch
    watch, _watch = _watch, None  # the next pool begins one of its own
    if watch is not None:
        watch.end()


class _Nothing:
    """A block that does nothing."""

    __slots__ = ()

    def __enter__(self) -> None:
        pass

    def __exit__(self, *_error: object) -> None:
        pass


def uninterruptible() -> "AbstractContextManager[None]":
    """Take the place of `runtime.uninterruptible`."""
    # Without a watch there is nothing to be shielded from.
    shield = _Nothing() if _watch is None else _watch.interrupt.uninterruptible()
    return shield
