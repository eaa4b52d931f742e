"""A job: one call, claimed by one side, with one outcome.

    QUEUED --withdraw()--> WITHDRAWN        fn never called
       |
       +------run()------> RUNNING --> DONE    outcome stored, then delivered

The step out of QUEUED is one atomic claim, **CLAIM-1**. A worker and a canceller may
both try; the lock in `Job._claim` is free exactly once, so one of them wins and the
other learns that it lost. There is no third case. After that step only the winner
writes to the job.

An entry always leaves the scheduler through its `sink`, exactly once: after its
outcome is stored, or, withdrawn, when its empty entry is dropped from a queue.
That is how whoever counts accepted jobs learns that the place is free.

Layer: core.
"""

from collections.abc import Callable
from contextvars import Context

import outcome

from .._unawaited import UNAWAITED
from .._util import refuse_coroutine, traceback_of
from . import sync

__all__ = ("DONE", "QUEUED", "RUNNING", "WITHDRAWN", "CancelToken", "Job")

QUEUED = 0
RUNNING = 1
DONE = 2
WITHDRAWN = 3

NORMAL_LANE = 1  # of the injector: between urgent and background


class CancelToken:
    """A request to stop, read by the job when it chooses to.

    Jobs that are pieces of one piece of work share a token.

    Thread safety: atomic; any thread sets it, once set it stays set.
    """

    __slots__ = ("is_set",)

    def __init__(self) -> None:
        self.is_set: bool = False  # atomic: a single store; never cleared


class Job:
    """A call on its way through the scheduler.

    The front end derives from it and adds who waits.

    Args:
      fn: Called as ``fn(*args)`` on a worker, at most once.
      args: Its positional arguments.
      context: The pusher's context variables, a copy nobody else enters.
      token: The request to stop; None makes one of its own.
      sink: Called as ``sink(job)`` when the entry leaves the scheduler; on the
        worker's thread, or on the canceller's. Must not raise.
      lane: Priority lane of the injector, 0 first.

    Thread safety: `withdraw` and ``phase`` from any thread; `run` by workers.
    """

    __slots__ = (
        "_claim",
        "args",
        "context",
        "fn",
        "lane",
        "outcome",
        "phase",
        "pushed_ns",
        "sink",
        "token",
    )

    def __init__(
        self,
        fn: Callable[..., object],
        args: tuple[object, ...],
        context: Context,
        *,
        token: CancelToken | None = None,
        sink: Callable[..., None] | None = None,
        lane: int = NORMAL_LANE,
    ) -> None:
        self._claim: sync.LockType = (
            sync.Lock()
        )  # atomic: acquire; locked means claimed
        # Owner: whoever won the claim; before the claim nobody writes.
        self.fn: Callable[..., object] | None = fn  # owner
        self.args: tuple[object, ...] | None = args  # owner
        self.context: Context | None = context  # owner
        self.outcome: outcome.Maybe[object] | None = None  # owner
        self.phase: int = QUEUED  # owner
        self.token: CancelToken = CancelToken() if token is None else token  # immutable
        self.sink: Callable[[Job], None] | None = sink  # immutable
        self.lane: int = lane  # immutable
        self.pushed_ns: int = 0  # owner: the pusher, before the push

    def withdraw(self) -> bool:
        """Take the job back; True if it had not begun and now never will."""
        # ATOMIC(lock-acquire): CLAIM-1 of a worker and a canceller one wins.
        if not self._claim.acquire(False):
            return False
        self.phase = WITHDRAWN
        self._drop_call()
        return True

    def run(self) -> bool:
        """Run the job here and store its outcome; False if it was withdrawn."""
        # ATOMIC(lock-acquire): CLAIM-1 the canceller that loses gets False.
        if not self._claim.acquire(False):
            return False
        self.phase = RUNNING
        fn, args, context = self.fn, self.args, self.context
        self._drop_call()
        assert fn is not None and args is not None and context is not None
        # Whatever the call raises is its outcome, SystemExit and
        # KeyboardInterrupt included: the worker belongs to other jobs too.
        try:
            value = context.run(fn, *args)
            if type(value) in UNAWAITED:
                refuse_coroutine(fn, value)
            self.outcome = outcome.Value(value)
        except BaseException as error:
            self.outcome = outcome.Error(_without_our_frame(error))
        # ORDER: the outcome first; who reads DONE may take it.
        self.phase = DONE
        # This frame lives as long as the error: it called the one that raised it.
        del self, fn, args, context
        return True

    def complete(self, result: "outcome.Maybe[object]") -> bool:
        """Store the outcome of a call made elsewhere; False if it was withdrawn."""
        # ATOMIC(lock-acquire): CLAIM-1 the canceller that loses gets False.
        if not self._claim.acquire(False):
            return False
        self._drop_call()
        self.outcome = result
        self.phase = DONE
        return True

    def leave(self) -> None:
        """Tell the sink that this entry has left the scheduler."""
        if self.sink is not None:
            self.sink(self)

    def _drop_call(self) -> None:
        """Let go of the user's objects: memory, and their finalizers, are theirs."""
        self.fn = self.args = self.context = None


def _without_our_frame(error: BaseException) -> BaseException:
    """Cut `Job.run` from the top of a traceback: the user's call is what failed."""
    traceback = traceback_of(error)
    if traceback is not None:
        BaseException.with_traceback(error, traceback.tb_next)
    return error
