"""The backend whose workers are interpreters; the home side.

The jobs stay here, as objects; what travels is their encoding. What crosses, and how,
is in CROSSING.md.

    CROSS-6  encode the call; what cannot cross is the job's error
    CROSS-7  inject, and remember the job by a number
    CROSS-8  take the news: decode the answer, let the job leave

    WATCH-1  have a job show where it is
    WATCH-5  take its stack

Layer: backends, main side.
"""

import time
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from itertools import count
from typing import TYPE_CHECKING, Self, cast

import outcome

from .._core import (
    DONE,
    RUNNING,
    CancelToken,
    HistogramSnapshot,
    Job,
    WorkerStatistics,
    sync,
)
from .._core.sighting import Stack
from .._errors import BrokenWorkerError, JobCancelled
from .._native.scheduler import EncodedJob, Question, SharedQueues
from .._util import is_gil_enabled
from . import answers, blame, farewell, stragglers, tracing
from .base import Backend, Events
from .batch import EncodedBatch
from .captured import sendable_block
from .encodable import EncodableJob
from .encoding import dumps, lend_large, loads
from .environment import environment
from .host import Host, Plan
from .leaf import run_block
from .limits import limits
from .main_module import main_name
from .native_parts import value_outcome
from .refusals import Refusals
from .stacks import REFUSED, decode_told
from .variables import encode_variables

if TYPE_CHECKING:
    from .._native.scheduler import Counters, News

__all__ = ("InterpreterBackend", "setup_of")

# What `run_block` is called with.
type _Block = tuple[Callable[[object], object], list[object], object]


class RemoteInterrupt:
    """One request to interrupt a piece of work in other interpreters.

    Thread safety: immutable.
    """

    __slots__ = ("handles",)

    def __init__(self, handles: tuple[EncodedJob, ...]) -> None:
        self.handles = handles  # immutable

    @property
    def was_met(self) -> bool:
        """Whether it was raised at least once."""
        return any(handle.was_met for handle in self.handles)

    def settle(self) -> None:
        """Do nothing: handles that are over are interrupted no more."""


class InterpreterBackend(Backend):
    """A set of workers with an interpreter each, their queues, and the way in.

    Args:
      worker_count: How many workers, at least 1.
      queues: The home end of the queues.
      plan: What the workers are made from.
      name: Threads are named ``runtime-{name}-{index}``.

    Thread safety: as `Backend`.
    """

    kind = "interpreters"
    shares_objects = False

    def __init__(
        self,
        worker_count: int,
        queues: SharedQueues,
        plan: Plan,
        *,
        name: str,
    ) -> None:
        self.worker_count = worker_count  # immutable
        self.name = name  # immutable
        self.is_stopping = False  # atomic: a single store; never cleared
        self.is_forked = False  # owner: the only thread of a forked child
        self.make_batch = partial(EncodedBatch, worker_count=worker_count)  # immutable
        self._queues = queues  # immutable
        self._events: Events | None = None  # immutable once bound
        self._ids = count(1)  # owner
        self._out: dict[int, Job] = {}  # owner: by id, until they left
        self._handles: dict[Job, EncodedJob] = {}  # owner: the same jobs
        self._by_token: dict[CancelToken, set[EncodedJob]] = {}  # owner: the same
        self._refusals = Refusals(name)  # owner
        # Who wants to know where a job is.
        self._seekers: dict[Job, Callable[[Stack], object]] = {}  # owner
        self._hosts = [
            Host(
                plan,
                index,
                f"runtime-{name}-{index}",
                is_stopping=self._is_stopping,
                bury=queues.bury,
                count_jobs=self._count_jobs,
                on_broken=self._on_broken,
            )
            for index in range(worker_count)
        ]  # immutable

    def bind(self, events: Events) -> None:
        """Say to whom to report."""
        self._events = events

    def news(self) -> Self:
        """Return itself."""
        return self

    def is_anyone_idle(self) -> bool:
        """Tell whether some worker had nothing to do a moment ago."""
        return self._queues.is_anyone_idle()

    def queued(self) -> int:
        """Return how many entries wait for a worker."""
        return len(self._queues)

    def refused_modules(self) -> tuple[str, ...]:
        """Return the extension modules that were refused."""
        return self._refusals.names

    def fileno(self) -> int:
        """Return the descriptor that is readable while `drain` has something to do."""
        return self._queues.fileno()

    def start(self) -> None:
        """Start the workers; call it once.

        Raises:
          BrokenWorkerError: a thread could not be started. Those that were stop with
            the registry.
        """
        tracing.guard()
        farewell.track(self)
        for index, host in enumerate(self._hosts):
            try:
                host.start()
            except (RuntimeError, MemoryError) as error:
                raise BrokenWorkerError(
                    f"worker {index} of pool {self.name!r} could not start: {error}; "
                    "the system allows no more threads or memory, so ask for fewer "
                    "workers"
                ) from error

    def inject(self, job: Job) -> None:
        """Hand a job to the workers; what cannot cross becomes its error."""
        work_id = next(self._ids)
        try:
            copied, lent, stop = _encoded(job)  # CROSS-6 encode
            job.pushed_ns = sync.clock_ns()
            start = 1 if stop > 1 else 0
            handle = self._queues.inject(work_id, copied, lent, start, stop, job.lane)
        except BaseException as error:  # want of memory, or a pickle's SystemExit
            job.complete(outcome.Error(error))
            job.leave()
            return
        self._out[work_id] = job  # CROSS-7 inject
        self._handles[job] = handle
        self._by_token.setdefault(job.token, set()).add(handle)
        if job.token.is_set:
            handle.request_stop()

    def _forget(self, job: Job) -> None:
        handle = self._handles.pop(job)
        handles = self._by_token[job.token]
        handles.discard(handle)
        if not handles:
            del self._by_token[job.token]

    def withdraw(self, job: Job) -> bool:
        """Take a job back; True if it had not begun and now never will."""
        handle = self._handles.get(job)
        if handle is None or not self._queues.withdraw(handle):
            return False
        job.withdraw()
        return True

    def request_stop(self, token: CancelToken) -> None:
        """Set the tokens over there."""
        for handle in self._by_token.get(token, ()):
            handle.request_stop()

    def interrupt(
        self, token: CancelToken, is_over: Callable[[], bool]
    ) -> RemoteInterrupt:
        """Have what runs with a token interrupted."""
        found = RemoteInterrupt(tuple(self._by_token.get(token, ())))
        for handle in found.handles:
            self._queues.interrupt(handle)  # CROSS-9 ask
        return found

    @contextmanager
    def seek(self, job: Job, on_seen: Callable[[Stack], object]) -> Iterator[None]:
        """Have ``on_seen(stack)`` called when the job shows its stack in the block."""
        handle = self._handles.get(job)
        if handle is None:  # it has just left
            yield
            return
        self._seekers[job] = on_seen
        self._queues.seek(handle, True)  # WATCH-1 seek
        try:
            yield
        finally:
            del self._seekers[job]
            self._queues.seek(handle, False)

    def phase_of(self, job: Job) -> int:
        """Return where a job is."""
        handle = self._handles.get(job)
        phase = job.phase if handle is None else handle.phase
        # What is done there still has to come home.
        return RUNNING if phase == DONE and job.phase != DONE else phase

    def hush(self, is_hushed: bool) -> None:
        """Say whether the bell need not be rung."""
        self._queues.hush(is_hushed)

    def drain(self) -> None:
        """Let the jobs leave that are over."""
        # Again: to take news may bring home what a job was lent.
        while news := self._queues.drain():
            for item in news:
                self._take(item)  # CROSS-8 take the news

    def _take(self, news: "News") -> None:
        work_id, answer, frames, start, _, is_last, worker_index, _ = news
        if answer == answers.ASKED:
            self._take_question(work_id, cast("Question", frames[0]))
            return
        job = self._out[work_id]
        if answer == answers.BROKEN:
            result: outcome.Maybe[object] = outcome.Error(self._broken(worker_index))
        elif isinstance(job, EncodableJob):
            result = outcome.Value(None)
        else:
            result = _decoded(answer, frames)
        if isinstance(job, EncodableJob):
            job.take(answer, frames, start, result)
        if not is_last:
            job.pushed_ns = sync.clock_ns()  # what is left of it has begun anew
            return
        del self._out[work_id]
        self._forget(job)
        job.complete(result)
        job.leave()

    def _take_question(self, work_id: int, question: Question) -> None:
        told = decode_told(question.frames)
        if told is None:
            assert self._events is not None
            self._events.asked(self._out[work_id], question)  # ASK-4 news
            return
        question.reply(answers.NONE, ())
        kind, value = told
        if kind == REFUSED:
            self._refusals.add(value)
            return
        job = self._out.get(work_id)  # None: it has ended meanwhile
        if job is not None and job in self._seekers:
            self._seekers[job](value)  # WATCH-5 seen

    def _broken(self, worker_index: int) -> BrokenWorkerError:
        return BrokenWorkerError(
            f"the interpreter of worker {worker_index} of pool {self.name!r} ended "
            "while it ran this job, which may have run in part; the worker gets "
            "another one"
        )

    def stop(self) -> None:
        """Tell the workers to stop as soon as they find no more work.

        Any thread may call it, any number of times.
        """
        if self.is_stopping:
            return
        self.is_stopping = True
        busy = {index % self.worker_count for index in self._running_ids()}
        if busy and not is_gil_enabled():
            # Without a GIL the end of an interpreter stops all threads of the process,
            # and would wait for the call that a straggler is in.
            for index, host in enumerate(self._hosts):
                host.keeps_interpreter = index not in busy
        self._queues.stop()

    def join(self, *, but_not: Collection[int] = ()) -> None:
        """Wait until the workers have stopped, but for those left behind.

        Any thread may call it, after `stop`.
        """
        if self.is_forked:
            return
        left = {index % self.worker_count for index in but_not}
        for index, host in enumerate(self._hosts):
            if index not in left:
                host.join()

    def close(self) -> bool:
        """Give the descriptors back, unless a worker was left behind.

        Returns:
          False if a job has kept memory that it was lent, say. Its interpreter is not
          clean: those of the pool end now; `join`, and close again.
        """
        if self.is_forked:
            return True
        self.leave_behind()
        if any(host.is_alive() for host in self._hosts):
            return True
        self._queues.drain()  # what was lent
        # A list: each of them is to end.
        return self._queues.close() or not any(h.drop_kept() for h in self._hosts)

    def leave_behind(self) -> None:
        """Note the workers that have not ended: nobody waits for them any more."""
        for host in self._hosts:
            for thread in list(host.threads):
                if thread.is_alive():
                    stragglers.remember(thread)
        farewell.forget(self)

    def leftovers(self) -> list[str]:
        """Return what jobs have left running inside that the end waits for."""
        return [text for host in self._hosts for text in host.leftovers()]

    def unfinished(self) -> list[str]:
        """Return what the end waits for, as far as there is something to say."""
        found = [
            f"worker {index}, which is being set up"
            for index, host in enumerate(self._hosts)
            if host.is_in_setup
        ]
        return self.leftovers() + found

    def join_until(self, deadline: float, busy_deadline: float) -> None:
        """Wait for the end of the workers, at most until a time of `time.monotonic`.

        Args:
          deadline: For workers that run nothing.
          busy_deadline: For those inside a job.
        """
        busy = {index % self.worker_count for index in self._running_ids()}
        for index, host in enumerate(self._hosts):
            until = busy_deadline if index in busy else deadline
            for thread in list(host.threads):
                thread.join(max(0.0, until - time.monotonic()))

    def running_jobs(self) -> dict[int, Job]:
        """Return the jobs that run now by worker index, as in `_running_ids`."""
        out = self._out
        # RACE: if another thread asks, what comes home meanwhile is not in it.
        found = {i: out.get(number) for i, number in self._running_ids().items()}
        return {i: job for i, job in found.items() if job is not None}

    def _running_ids(self) -> dict[int, int]:
        """Return the ids of what runs by worker index.

        What a worker runs besides has its index and a multiple of the number of
        workers, as if it were a spare's.
        """
        running = {
            i: number for i, number in enumerate(self._queues.running()) if number
        }
        for index, numbers in enumerate(self._queues.detached()):
            for turn, number in enumerate(numbers, 1):
                running[index + turn * self.worker_count] = number
        return running

    def num_waiting(self) -> int:
        """Return how many jobs wait while another thread works in their place."""
        return self._queues.num_waiting()

    def after_fork(self) -> None:
        """Give up everything in a forked child, where there are no workers."""
        self.is_forked = self.is_stopping = True
        self._queues.after_fork()

    def statistics(self) -> tuple[WorkerStatistics, ...]:
        """Return a frozen snapshot of every worker's counters."""
        return tuple(
            _statistics(index, self._queues.counters(index))
            for index in range(self.worker_count)
        )

    def _count_jobs(self, index: int) -> int:
        return self._queues.counters(index)[0]

    def _is_stopping(self) -> bool:
        return self.is_stopping

    def _on_broken(self, index: int, text: str) -> None:
        assert self._events is not None
        self._events.failed(
            BrokenWorkerError(
                f"worker {index} of pool {self.name!r} broke several times in a row; "
                f"the last time:\n\n{text}"
            )
        )


def _encoded(job: Job) -> tuple[tuple[object, ...], tuple[memoryview, ...], int]:
    """Return a job's frames to copy, frames to lend, and where its range ends."""
    if isinstance(job, EncodableJob):
        frames, stop = job.encode()
        return frames, (), stop
    fn, args, context = job.fn, job.args, job.context
    assert fn is not None and args is not None and context is not None
    rest = encode_variables(context), getattr(job.token, "is_watched", False)
    try:
        data, buffers = dumps((fn, lend_large(args), *rest))
    except Exception as error:
        if fn is not run_block:
            raise blame.call_cannot_cross(fn, args, error) from error
        call, items, token = cast("_Block", args)
        args = call, sendable_block(call, items, error), token
        data, buffers = dumps((fn, args, *rest))
    lent = tuple(buffer.raw() for buffer in buffers) if buffers else ()
    return (data,), lent, 1


def _decoded(answer: int, frames: tuple[object, ...]) -> outcome.Maybe[object]:
    """Return the outcome that an answer stands for."""
    if answer == answers.CANCELLED:
        return outcome.Error(JobCancelled())
    if answer == answers.NONE:
        return outcome.Value(None)  # withdrawn: nobody will see it
    try:
        value = loads(frames[0], frames[1:])
    except BaseException as error:  # an outcome, such as a pickle's SystemExit
        return outcome.Error(error)
    if answer == answers.ERROR:
        return outcome.Error(cast("BaseException", value))
    made: outcome.Maybe[object] = value_outcome(value)
    return made


def _statistics(index: int, counters: "Counters") -> WorkerStatistics:
    executed, stolen, attempts, parks, wake_ups, busy, idle, latencies, times = counters
    return WorkerStatistics(
        worker_index=index,
        jobs_executed=executed,
        jobs_stolen=stolen,
        steal_attempts=attempts,
        parks=parks,
        wake_ups=wake_ups,
        busy_ns=busy,
        idle_ns=idle,
        queue_latency=HistogramSnapshot(sum(latencies), latencies),
        run_time=HistogramSnapshot(sum(times), times),
    )


def setup_of(
    preload: Sequence[str],
    initializer: Callable[..., object] | None,
    initargs: tuple[object, ...],
) -> bytes:
    """Encode what a worker does before it serves."""
    call = None
    if initializer is not None:
        try:
            call = dumps((initializer, initargs))[0]
        except Exception as error:
            names = "initializer", "initargs"
            raise blame.call_cannot_cross(
                initializer, initargs, error, names
            ) from error
    setup = environment(), limits(), main_name(), tuple(preload), call
    return dumps(setup)[0]
