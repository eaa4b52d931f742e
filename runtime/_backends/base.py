"""The contract of a backend: what runs a pool's jobs, and how.

The front end knows this page and nothing of who fulfils it. The life of a backend, each
step by the Trio thread:

    bind       to whom it reports
    start      the workers begin, in the background
    inject     any number of jobs; each leaves again by `Job.leave`, exactly once,
               after it has run, was withdrawn, or could not be sent
    stop       no job comes any more; workers end when they find none
    join       wait for them, in a thread of its own; again, for those left out before
    close      give back what is left

A job leaves on the thread of its worker (its sink posts to the completion port), or in
`News.drain`, which the front end calls in the Trio thread whenever the news' descriptor
is readable.

The rungs of cancellation, as a backend answers them:

1. `withdraw`: the job has not begun and never will, or False. Never a third.
2. `request_stop`: a token was set. Where jobs see the program's memory nothing is to
   be done: `runtime.check_cancelled` reads the token.
3. `interrupt`: `JobInterrupted` is raised inside the Python code of what runs with a
   token, once, if the token's `is_watched` says that this may happen. The outcome of
   a job that ends so is `JobInterrupted` or `JobCancelled`. `Interrupt.was_met` tells
   whether it was raised; one long call of C is not reached until it returns.

Layer: backends.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Sequence
from contextlib import AbstractContextManager
from contextvars import Context
from typing import TYPE_CHECKING, Any, Protocol

from .._core import CancelToken, Job, Worker, WorkerStatistics

if TYPE_CHECKING:
    from .._core.sighting import Stack

__all__ = (
    "Backend",
    "BatchState",
    "Events",
    "Interrupt",
    "MakeBatch",
    "News",
    "Question",
)


class Question(Protocol):
    """What a running job asks the program for, from where it cannot call it itself.

    Thread safety: `reply` from any thread, once.
    """

    @property
    def frames(self) -> tuple[object, ...]:
        """What it asks for, encoded."""
        raise NotImplementedError

    def reply(self, answer: int, frames: tuple[object, ...], /) -> None:
        """Give the job its answer; without effect if the job is gone."""


class Events(Protocol):
    """What a backend reports."""

    def failed(self, error: BaseException) -> None:
        """Report that the backend itself is broken: the pool closes, loudly.

        From any thread. Its workers stop; what it has is failed by the front end.
        """

    def asked(self, job: Job, question: Question) -> None:
        """Report what a running job asks for; in `News.drain`."""


class News(Protocol):
    """What has happened elsewhere and waits to be taken, in the Trio thread."""

    def fileno(self) -> int:
        """Return the descriptor that is readable while `drain` has something to do."""
        raise NotImplementedError

    def drain(self) -> None:
        """Let the jobs leave that are over, and report what others ask for."""

    def hush(self, is_hushed: bool) -> None:
        """Say whether somebody will drain again and again, so that nobody rings."""


class Interrupt(Protocol):
    """One request to interrupt a piece of work."""

    @property
    def was_met(self) -> bool:
        """Whether it was raised at least once; from any thread."""
        raise NotImplementedError

    def settle(self) -> None:
        """Note that the work is over."""


class BatchState(Protocol):
    """What the pieces of one batch share; it hands out results once all have left."""

    is_complete: bool
    is_over: bool

    def first_piece(self) -> Job:
        """Return the job that stands for all items."""
        raise NotImplementedError

    def errors(self) -> list[BaseException]:
        """Return what the items raised, in the order of the items."""
        raise NotImplementedError

    def results(self) -> list[object]:
        """Return the results, in the order of the items."""
        raise NotImplementedError

    def drop_call(self) -> None:
        """Release the function and the items."""


class MakeBatch(Protocol):
    """Makes a batch; `runtime._core.Batch` is one."""

    def __call__(
        self,
        fn: Callable[..., object],
        items: Sequence[object],
        context: Context,
        *,
        token: CancelToken,
        sink: Callable[[Any], None],
        leaf_size: int | None = None,
        finish: Callable[[list[object]], list[object]] | None = None,
        lane: int,
    ) -> BatchState:
        """Return a batch that calls ``fn(item)`` for each item.

        Its first piece is injected by the caller; the backend cuts it as it goes. What
        it keeps in the queues grows with the number of workers, not of items.

        Args:
          context: Each item sees a copy of its own of these variables.
          token: Once it is set no item begins.
          sink: Called as ``sink(batch)`` when the last piece has left.
          leaf_size: How many items a worker takes at once; None: what suits.
          finish: Called as ``finish(results)`` on the last worker, or at home.
        """
        raise NotImplementedError


class Backend(ABC):
    """A number of workers that run jobs; see the module for the order of calls.

    A method raises only what its docstring says. Anything else is taken for a bug of
    the runtime and closes the pool.

    Thread safety: externally synchronized, by the Trio thread, but for what says
    otherwise.
    """

    __slots__ = ()

    # What statistics call it.
    kind: str
    # Whether jobs use the program's own objects. If not, calls and results are
    # copied to where they run, and what cannot be is the job's error.
    shares_objects: bool
    # Whether its workers have threads, for which `join` waits.
    has_threads: bool = True
    make_batch: MakeBatch

    worker_count: int
    # In a forked child, where there are no workers.
    is_forked: bool

    # Life

    @abstractmethod
    def bind(self, events: Events) -> None:
        """Say to whom to report; called once, before all else."""

    @abstractmethod
    def start(self) -> None:
        """Start the workers; called once.

        Raises:
          BrokenWorkerError: a thread could not be started. Those that were end with
            `stop`.
        """

    @abstractmethod
    def stop(self) -> None:
        """Tell the workers to end as soon as they find no more work.

        From any thread, any number of times. Never waits.
        """

    @abstractmethod
    def join(self, *, but_not: Collection[int] = ()) -> None:
        """Wait until the workers have ended; after `stop`, in any thread.

        Args:
          but_not: Indices of workers to leave behind, stuck in their job. Each drops
            its outcome and ends when that job returns.
        """

    def close(self) -> bool:
        """Give back descriptors and memory; after `join`.

        Returns:
          False if more workers have to end first: `join`, then close again.
        """
        return True

    @abstractmethod
    def after_fork(self) -> None:
        """Give up everything in a forked child; waits for nothing, joins nobody."""

    # Jobs

    @abstractmethod
    def inject(self, job: Job) -> None:
        """Hand a job to the workers; it leaves by its sink. Never waits."""

    @abstractmethod
    def withdraw(self, job: Job) -> bool:
        """Take a job back; True if it had not begun and now never will."""

    @abstractmethod
    def phase_of(self, job: Job) -> int:
        """Return where a job is, as the constants of `runtime._core.job` say."""

    # What runs

    @abstractmethod
    def request_stop(self, token: CancelToken) -> None:
        """Pass it on that a token was set; called at least once for it."""

    @abstractmethod
    def interrupt(self, token: CancelToken, is_over: Callable[[], bool]) -> Interrupt:
        """Have what runs with a token interrupted; called once for it.

        Args:
          is_over: Tells from any thread whether nothing will run with it any more.
        """

    @abstractmethod
    def seek(
        self, job: Job, on_seen: "Callable[[Stack], object]"
    ) -> AbstractContextManager[None]:
        """Have ``on_seen(stack)`` called when the job shows its stack in the block."""

    def news(self) -> News | None:
        """Return where the front end finds what is over; None: jobs leave unaided.

        Called once, after `bind`.
        """
        return None

    # What it tells, in any thread

    def worker_here(self) -> Worker | None:
        """Return the calling worker, if it can push what its job submits."""
        return None

    @abstractmethod
    def is_anyone_idle(self) -> bool:
        """Return whether some worker had nothing to do a moment ago (a hint)."""

    @abstractmethod
    def queued(self) -> int:
        """Return how many jobs and pieces wait for a worker."""

    @abstractmethod
    def running_jobs(self) -> dict[int, Job]:
        """Return the jobs that run now, by worker index; spares have higher ones."""

    @abstractmethod
    def num_waiting(self) -> int:
        """Return how many jobs wait elsewhere, with a spare in their place."""

    @abstractmethod
    def statistics(self) -> tuple[WorkerStatistics, ...]:
        """Return a frozen snapshot of every worker's counters."""

    def refused_modules(self) -> tuple[str, ...]:
        """Return the extension modules that workers could not import, by name."""
        return ()

    def leftovers(self) -> list[str]:
        """Return what jobs have left running that `join` waits for."""
        return []

    def unfinished(self) -> list[str] | None:
        """Return what `join` waits for, and is worth saying; None: not known."""
        return None
