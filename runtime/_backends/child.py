"""The loop that stays inside a worker's interpreter.

It is entered once, by the thread that belongs to the worker, and left when the pool
stops. Nothing may leave it but an error of ours: whatever a job raises is its answer.

    loop                                     where it is from
    CROSS-1  wait for the next job           the queues, detached
    CROSS-2  decode the call                 the job's parcel
    CROSS-3  run it
    CROSS-4  encode what came of it
    CROSS-5  answer                          to the home interpreter's outbox

It imports the standard library and the native core only, for each worker pays for it.

Layer: backends, worker side. Imports: `answers`, `encoding`, `main_module`,
`native_parts`.
"""

import sys
import time
from contextvars import Context
from functools import partial
from importlib import import_module
from types import CoroutineType

from .. import _backends
from .._errors import CrossingError, JobCancelled, JobInterrupted, NotOnWorkerError
from . import answers, blame, interrupting
from .encoding import dumps, lend_large, loads
from .interrupting import uninterruptible
from .main_module import install
from .native_parts import set_time_slice

TYPE_CHECKING = False  # not from typing, which is slow to import
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from .transport import EncodedJob, QueueEnd

__all__ = (
    "check_cancelled",
    "context_of",
    "current_token",
    "serve",
    "set_up",
    "worker_index",
)

# As in _core/batch.py: long against the cost of a leaf's start.
LEAF_NS = 500_000
# Longer than the usual time slice, so that Trio's thread need not wait for its end.
# Measured in bench/situations/interpreters_lag: 5 to 100 ms do the same.
SLICE_NS = 10_000_000

type Answer = tuple[int, tuple[object, ...]]

# The job that runs now; one thread works in an interpreter.
_current: "EncodedJob | None" = None
_index = -1  # the worker's


def set_up(setup: bytes) -> None:
    """Do what comes before the first job; while no other interpreter does."""
    _backends.is_inside = True
    # The facade looks up its names lazily, and takes what is there already.
    facade = sys.modules[__name__.partition(".")[0]]
    facade.check_cancelled = check_cancelled  # type: ignore[attr-defined]
    facade.open_worker_pool = _backends.refuse_inside  # type: ignore[attr-defined]
    facade.spawn_cpu_work = _backends.refuse_inside  # type: ignore[attr-defined]
    facade.from_worker = _ThreadsOnly()  # type: ignore[attr-defined]
    facade.blocking = _Blocking  # type: ignore[attr-defined]
    facade.uninterruptible = uninterruptible  # type: ignore[attr-defined]
    for name in ("broadcast", "join", "open_sync_pool", "par_iter", "scope"):
        setattr(facade, name, _threads_only(f"runtime.{name}()"))
    main_name, preload, initializer = loads(setup)
    install(main_name)
    for name in preload:
        import_module(name)
    if initializer is not None:
        function, args = loads(initializer)
        function(*args)


def serve(kind: str, handle: "Any", index: int, max_jobs: int) -> None:
    """Serve the pool until it stops, or for some jobs; the body of the worker's thread.

    Args:
      kind: Which queues: "native" or "credit".
      handle: What they are found by.
      index: The worker's index.
      max_jobs: How many jobs at most; 0 for any number.
    """
    global _index
    _index = index
    set_time_slice(SLICE_NS)
    try:
        _serve(_attach(kind, handle, index), max_jobs)
    finally:
        interrupting.end_watch()


def _attach(kind: str, handle: "Any", index: int) -> "QueueEnd":
    """Take the worker's seat at the pool's queues."""
    worker: QueueEnd
    if kind == "native":
        from .._native.scheduler import SharedWorker

        worker = SharedWorker(handle, index)
    else:
        from .credit_worker import CreditWorker

        worker = CreditWorker(handle, index)
    return worker


def _serve(worker: "QueueEnd", max_jobs: int) -> None:
    global _current
    left = max_jobs or -1
    while left and (job := worker.next()) is not None:  # CROSS-1 wait
        left -= 1
        _current = job
        run = _run_batch if job.start else _run_call
        answer, frames = run(worker, job)
        # ORDER: first let go of what was lent; it is home when the answer is taken.
        _current = None
        del job
        worker.finish(answer, frames)  # CROSS-5 answer
        del frames  # else it lives until the next job


def _run_call(worker: "QueueEnd", job: "EncodedJob") -> Answer:
    """Run one call and return its answer."""
    try:
        if job.is_stopped:
            return answers.CANCELLED, ()
        buffers = job.frames(1)
        call = _decode(job.frame(0), buffers)  # CROSS-2 decode
        fn, args, variables, may_interrupt = call
        del buffers, call
        context = context_of(variables)
        if may_interrupt:
            value = interrupting.run(worker, job, context, fn, *args)
        else:
            value = context.run(fn, *args)  # CROSS-3 run
        if type(value) is CoroutineType:
            value.close()  # else Python warns that nobody awaited it
            raise TypeError(
                f"a job must be a sync function, but {fn!r} returned a coroutine; "
                "give async functions to 'await pool.spawn(async_fn, *args)'"
            )
        del fn, args, context
        return answers.VALUE, _encode(value, "result")
    except (JobCancelled, JobInterrupted):
        return answers.CANCELLED, ()
    except BaseException as error:
        return _error_answer(_without_our_frames(error))


def _run_batch(worker: "QueueEnd", job: "EncodedJob") -> Answer:
    """Work through a range of a batch's frames, sharing what is left."""
    results: list[object] = []
    error: BaseException | None = None
    try:
        call, variables, may_interrupt = _decode(job.frame(0), ())
        context = context_of(variables)
        run: Callable[..., object] = context.run
        if may_interrupt:
            run = partial(interrupting.run, worker, job, context)
        position, leaf_frames = job.start, 1
        while position < job.stop and not job.is_stopped:
            if not len(worker):
                _share(worker, job, position + leaf_frames, position)
            begin_ns = time.perf_counter_ns()
            leaf_stop = min(position + leaf_frames, job.stop)
            for index in range(position, leaf_stop):
                items = _decode(job.frame(index), ())
                run(_run_frame, call, items, results.append)
            elapsed_ns = time.perf_counter_ns() - begin_ns
            fitting = (leaf_stop - position) * LEAF_NS // max(elapsed_ns, 1)
            leaf_frames = max(1, min(fitting, 2 * leaf_frames))
            position = leaf_stop
            if worker.has_work_outside():
                worker.look_outside_next()
                if position < job.stop:
                    worker.share(position)
                break
    except (JobCancelled, JobInterrupted):
        job.request_stop()
    except BaseException as raised:
        error = _without_our_frames(raised)
        job.request_stop()
    try:
        return answers.VALUE, _encode((results, error), "results")
    except BaseException as raised:
        job.request_stop()
        return _error_answer(raised)


def _run_frame(
    call: "Callable[[object], object]",
    items: list[object],
    append: "Callable[[object], None]",
) -> None:
    for item in items:
        append(call(item))


def _share(worker: "QueueEnd", job: "EncodedJob", least: int, start: int) -> None:
    """Offer all but the next leaf to the others, the largest piece first."""
    while job.stop > least:
        worker.share(max(least, (start + job.stop) // 2))


def _decode(data: object, buffers: tuple[object, ...]) -> "Any":
    try:
        return loads(data, buffers)
    except (ImportError, AttributeError) as error:
        raise blame.not_found(error) from error


def _encode(value: object, what: str) -> tuple[object, ...]:
    """Return the frames of a value."""  # CROSS-4 encode
    (whole,) = lend_large((value,))
    try:
        data, buffers = dumps(whole)
        return (data, *(buffer.raw() for buffer in buffers))
    except Exception as error:
        raise blame.cannot_cross(value, what, error) from error


def _error_answer(error: BaseException) -> Answer:
    try:
        return answers.ERROR, (dumps(error)[0],)
    except BaseException as failure:  # no memory, say
        return answers.ERROR, (dumps(CrossingError(repr(type(failure))))[0],)


def context_of(variables: tuple[tuple[str, str, object], ...]) -> Context:
    """Return a fresh context with the variables that crossed."""
    context = Context()
    for module, name, value in variables:
        context.run(getattr(import_module(module), name).set, value)
    return context


def worker_index() -> int:
    """Return the index of the worker whose interpreter this is."""
    return _index


# Whatever a class of the user's makes of the name.
_traceback_of = BaseException.__dict__["__traceback__"].__get__


def _without_our_frames(error: BaseException) -> BaseException:
    """Cut this file's frames from the top of a traceback."""
    traceback = _traceback_of(error)
    while traceback is not None and traceback.tb_frame.f_code.co_filename == __file__:
        traceback = traceback.tb_next
    return BaseException.with_traceback(error, traceback)


# What jobs find here


class _CurrentToken:
    """The running job's token."""

    __slots__ = ()

    @property
    def is_set(self) -> bool:
        """Whether the job was asked to stop."""
        return _current is not None and _current.is_stopped


_token = _CurrentToken()


class _ThreadsOnly:
    """What `runtime.from_worker` is here: not there."""

    def __getattr__(self, name: str) -> "Callable[..., None]":
        return _threads_only(f"runtime.from_worker.{name}()")


def _threads_only(verb: str) -> "Callable[..., None]":
    """Return what takes the place of a function that needs the pool's own memory."""

    def refuse(*_args: object, **_options: object) -> None:
        raise RuntimeError(
            f"{verb} works in threads only: give the job what it needs and use what it "
            "returns, or use a pool with backend='threads'"
        )

    return refuse


class _Blocking:
    """What `runtime.blocking` is here: a block in which no other thread runs jobs."""

    def __enter__(self) -> None:
        pass

    def __exit__(self, *_error: object) -> None:
        pass


def current_token() -> _CurrentToken:
    """Return the running job's token; what a pool's token is on this side."""
    return _token


def check_cancelled() -> None:
    """End the calling job here if its result is no longer wanted.

    See `runtime.check_cancelled`, whose place it takes inside an interpreter.
    """
    if _current is None:
        raise NotOnWorkerError(
            "runtime.check_cancelled()", "the call in the job's own thread"
        )
    if _current.is_stopped:
        interrupting.raise_cancelled()
