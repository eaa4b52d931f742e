"""Do something in the thread of a running job, between two of its instructions.

The one way to reach into a job that does not ask: the INSTRUCTION event of
`sys.monitoring` calls us in the worker itself, which alone knows exactly what it runs.
The protocol, with its labels, is INTERRUPT.md.

Layer: core.
"""

import atexit
import contextlib
import logging
import os
import sys
from collections.abc import Callable
from types import CodeType, FrameType

from . import sync
from .selected import CancelToken, Job, Parker, Worker, current_worker

__all__ = ("Probe", "add", "nudge", "pending")

# First the ids that belong to no kind of tool. Never a debugger's or that of coverage:
# one of them may come after us.
TOOL_IDS = (4, 3, 5, 2)

# Seconds that events are on at a time, so long that a worker gets a core meanwhile
# where several threads want each; and off in between, first and at most. Arbitrary.
FIRST_WINDOW = 0.05
WINDOW = 0.02
FIRST_REST = 0.005
MAX_REST = 0.5

# Who runs jobs on the calling thread; in a pool's interpreter that is no `Worker`.
find_worker: "Callable[[], Worker | None]" = current_worker

_logger = logging.getLogger("runtime")
_INSTRUCTION = sys.monitoring.events.INSTRUCTION


class Probe:
    """What is to be done once in each job with a token, on each worker that runs it.

    Thread safety: `may_act` and `act` run on the worker; `is_over` on any thread.
    """

    __slots__ = ("_met", "token")

    def __init__(self, token: CancelToken) -> None:
        self.token: CancelToken = token  # immutable
        # Worker index and id of the job; the job cannot go while its work is not over.
        self._met: set[tuple[int, int]] = set()  # atomic: add, look-up

    @property
    def was_met(self) -> bool:
        """Whether it has acted at least once."""
        return bool(self._met)

    def is_over(self) -> bool:
        """Return whether nothing with the token will run any more."""
        raise NotImplementedError

    def may_act(self, job: Job, frame: FrameType, offset: int) -> bool:
        """Return whether this is the place; asked before each instruction.

        Args:
          job: What runs innermost on this thread; it has the token.
          frame: The innermost Python frame.
          offset: Of the instruction that is next in it.
        """
        raise NotImplementedError

    def act(self, frame: FrameType) -> BaseException | None:
        """Do it; an exception that is returned is raised in the job."""
        raise NotImplementedError

    def meet(self, worker: Worker, job: Job) -> bool:
        """Note that the job is dealt with; False if it was already."""
        key = (worker.index, id(job))
        if key in self._met:
            return False
        self._met.add(key)
        return True

    def has_met(self, worker: Worker, job: Job) -> bool:
        """Return whether the job is dealt with on this worker."""
        return (worker.index, id(job)) in self._met


class _Monitor:
    """All probes of this interpreter, and the events that serve them."""

    def __init__(self) -> None:
        # No user code runs under this lock, and no other lock is taken.
        self._lock = sync.Lock()  # atomic: acquire, release
        # Values are replaced, not changed. guarded by: self._lock; read without it.
        self._probes: dict[CancelToken, tuple[Probe, ...]] = {}
        self._expected: set[Probe] = set()  # guarded by: self._lock
        self._is_watched = False  # guarded by: self._lock
        self._is_fresh = False  # guarded by: self._lock; begin with a long window
        self._is_armed = False  # guarded by: self._lock
        self._tool_id: int | None = None  # guarded by: self._lock
        self._has_warned = False  # guarded by: self._lock
        self._alarm = Parker()  # immutable

    # Asking

    def add(self, probe: Probe) -> bool:
        """Have the probe meet its jobs from now on; False if that is impossible."""
        with self._lock:
            if not self._take_tool():
                return False
            token = probe.token
            self._probes[token] = (*self._probes.get(token, ()), probe)  # PROBE-1 ask
            self._expected.add(probe)
            self._is_fresh = True
            self._arm()
            is_watched, self._is_watched = self._is_watched, True
        if is_watched:
            self._alarm.unpark()
            return True
        try:
            sync.start_thread(self._watch, "runtime-probe")
        except (RuntimeError, MemoryError):
            self._give_up()
            return False
        return True

    def pending(self, token: CancelToken) -> tuple[Probe, ...]:
        """Return the probes for a token."""
        try:
            return self._probes[token]
        except KeyError:
            return ()

    def nudge(self) -> None:
        """Have the watcher look now whether anything is over."""
        if self._is_watched:  # RACE: stale; then the watcher looks a little later
            self._alarm.unpark()

    def _give_up(self) -> None:
        """Forget everything: there is no thread to watch over it, or soon none."""
        with self._lock:
            self._disarm()
            self._probes.clear()
            self._is_watched = False

    # The tool

    def _take_tool(self) -> bool:
        """Get a tool id, once; False, with a warning, if there is none."""
        monitoring = sys.monitoring
        if self._tool_id is not None:
            return True
        for tool_id in TOOL_IDS:
            with contextlib.suppress(ValueError):  # taken
                monitoring.use_tool_id(tool_id, "trio-runtime")
                monitoring.register_callback(tool_id, _INSTRUCTION, self._on_event)
                self._tool_id = tool_id
                # Else our callback is called when its globals are gone.
                atexit.register(self._give_up)
                return True
        if not self._has_warned:
            self._has_warned = True
            _logger.warning(
                "no tool id of sys.monitoring is free: running jobs cannot be "
                "interrupted, only asked to stop"
            )
        return False

    def _arm(self) -> None:
        assert self._tool_id is not None
        if not self._is_armed:
            self._is_armed = True
            sys.monitoring.set_events(self._tool_id, _INSTRUCTION)

    def _disarm(self) -> None:
        assert self._tool_id is not None
        self._expected.clear()
        if self._is_armed:
            self._is_armed = False
            sys.monitoring.set_events(self._tool_id, 0)

    # In the worker

    def _on_event(self, _code: CodeType, offset: int) -> None:
        """Let probes meet the job that runs here; before every instruction.

        No `dict.get` in here nor in what is called: threads would wait for each other.
        """
        worker = find_worker()
        if worker is None:
            return
        job = worker.job
        if job is None:
            return
        token = job.token
        if token not in self._probes:  # most workers' way out, and no exception
            return
        for probe in self.pending(token):
            # PROBE-2 meet
            frame = sys._getframe(1)  # noqa: SLF001
            if probe.has_met(worker, job) or not probe.may_act(job, frame, offset):
                continue
            probe.meet(worker, job)
            self._note_met(probe)
            error = probe.act(frame)  # PROBE-3 act
            if error is not None:
                try:
                    raise error
                finally:
                    del error, frame, job  # else the traceback closes a cycle

    def _note_met(self, probe: Probe) -> None:
        with self._lock:
            self._expected.discard(probe)
            is_last = not self._expected
        if is_last:
            # Not disarmed here: that stops all threads for a moment, up to a
            # millisecond on free-threaded builds, and the job is to end now.
            self._alarm.unpark()

    # The watcher

    def _watch(self) -> None:
        """Keep events on for short times only, as long as there are probes."""
        rest = FIRST_REST
        while (window := self._open_window()) is not None:
            if window == FIRST_WINDOW:
                rest = FIRST_REST
            self._wait(window, self._is_window_over)
            if not self._is_fresh:  # RACE: stale; then the rest is over at once
                with self._lock:
                    self._disarm()  # PROBE-4 window over
                self._wait(rest, self._is_rest_over)  # PROBE-5 rest
                rest = min(2 * rest, MAX_REST)

    def _open_window(self) -> float | None:
        """Arm, and return for how long; None if there are no probes any more."""
        with self._lock:
            self._drop_those_over()
            if not self._probes:
                self._disarm()  # it may all have been over before the first window
                self._is_watched = False
                return None
            for probes in self._probes.values():
                self._expected.update(probes)
            self._arm()
            is_fresh, self._is_fresh = self._is_fresh, False
        return FIRST_WINDOW if is_fresh else WINDOW

    def _wait(self, seconds: float, is_over: Callable[[], bool]) -> None:
        """Wait, looking at each alarm whether it is over before its time."""
        deadline_ns = sync.clock_ns() + int(seconds * 1e9)
        while not is_over() and (left_ns := deadline_ns - sync.clock_ns()) > 0:
            self._alarm.park(left_ns / 1e9)

    def _is_window_over(self) -> bool:
        with self._lock:
            self._drop_those_over()
            return self._is_fresh or not self._expected

    def _is_rest_over(self) -> bool:
        with self._lock:
            self._drop_those_over()
            return self._is_fresh or not self._probes

    def _drop_those_over(self) -> None:
        for token, probes in list(self._probes.items()):
            left = tuple(probe for probe in probes if not probe.is_over())
            self._expected.difference_update(set(probes).difference(left))
            if left:
                self._probes[token] = left
            else:
                del self._probes[token]

    def after_fork(self) -> None:
        """Begin anew in a forked child: neither watcher nor workers exist there."""
        tool_id = self._tool_id
        if tool_id is not None:
            sys.monitoring.set_events(tool_id, 0)
        self.__init__()  # type: ignore[misc]
        self._tool_id = tool_id


_monitor = _Monitor()
add = _monitor.add
pending = _monitor.pending
nudge = _monitor.nudge

if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_monitor.after_fork)
