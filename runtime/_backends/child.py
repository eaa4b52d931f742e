"""The loop that stays inside a worker's interpreter.

It is entered once, by the thread that belongs to the worker, and left when the pool
stops. Nothing may leave it but an error of ours: whatever a job raises is its answer.

    loop                                     where it is from
    CROSS-1  wait for the next job           the queues, detached
    CROSS-2  decode the call                 the job's parcel
    CROSS-3  run it
    CROSS-4  encode what came of it
    CROSS-5  answer                          to the home interpreter's outbox

While a job waits outside the pool another thread goes on with the loop (`crew`).

It imports little besides the standard library and the native core, for each worker pays
for it.

Layer: backends, worker side.
"""

import gc
import sys
import time
from _thread import _count as thread_count
from _thread import get_ident
from contextvars import Context
from functools import partial
from importlib import import_module

from .. import _backends
from .._errors import CrossingError, JobCancelled, JobInterrupted
from .._native.scheduler import SharedWorker, set_time_slice
from .._unawaited import UNAWAITED
from . import answers, asking, interrupting, refused
from .crew import Crew, current_job, runner_of_job
from .encoding import loads
from .environment import set_environment
from .errors import without_frames_of
from .interrupting import uninterruptible
from .leaf import refuse_coroutine, run_block
from .limits import set_limits
from .main_module import has_failed, install, note_refusal
from .native_parts import Until, call_each, own_context
from .replies import decode as _decode
from .replies import encode as _encode
from .replies import encode_error as _error_answer
from .stacks import encode_refused
from .variables import set_variables

TYPE_CHECKING = False  # not from typing, which is slow to import
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from .._native.scheduler import EncodedJob
    from .crew import Runner
    from .replies import Reply as Answer
    from .variables import Variables

__all__ = (
    "check_cancelled",
    "check_clean",
    "context_of",
    "current_token",
    "serve",
    "set_up",
    "wait_for_threads",
    "worker_index",
)

# As in _core/batch.py: long against the cost of a leaf's start.
LEAF_NS = 500_000
# Longer than the usual time slice, so that Trio's thread need not wait for its end.
# Measured in bench/situations/interpreters_lag: 5 to 100 ms do the same.
SLICE_NS = 10_000_000

# At the top of the traceback of a job, or of a script that is run for one.
_OUR_FILES = (
    *(fn.__code__.co_filename for fn in (interrupting.run, loads, install, _decode)),
    __file__,
    "<frozen runpy>",
)

# Seconds between two looks for threads that cannot be joined. Arbitrary.
POLL = 0.01

_index = -1  # the worker's
# What is set where the first job begins, by the initializer and by imports.
_first_context = Context()  # owner: the worker; set before its first job, never entered
# Whether a job has raised since the last look.
_has_raised = False  # atomic: a single store


def set_up(setup: bytes) -> None:
    """Do what comes before the first job of a pool; while no other interpreter does."""
    environment, limits, main_name, preload, initializer = loads(setup)
    if _backends.is_inside:  # it was kept by the process after another pool
        _restore_streams()
    else:
        _take_places()
        install(main_name)
    if environment is not None:
        set_environment(environment)
    set_limits(limits)
    for name in preload:
        import_module(name)
    if initializer is not None:
        function, args = loads(initializer)
        function(*args)
    global _first_context
    _first_context = own_context()


def _take_places() -> None:
    """Have the facade's names mean what they mean inside a job here."""
    _backends.is_inside = True
    refused.watch()
    # The facade looks up its names lazily, and takes what is there already.
    facade = sys.modules[__name__.partition(".")[0]]
    facade.check_cancelled = check_cancelled  # type: ignore[attr-defined]
    facade.open_worker_pool = _backends.refuse_inside  # type: ignore[attr-defined]
    facade.spawn_cpu_work = _backends.refuse_inside  # type: ignore[attr-defined]
    asking.install(facade)
    facade.uninterruptible = uninterruptible  # type: ignore[attr-defined]
    facade.broadcast = _refuse_broadcast  # type: ignore[attr-defined]
    facade.open_sync_pool = _refuse_sync_pool  # type: ignore[attr-defined]


def _restore_streams() -> None:
    for name in ("stdin", "stdout", "stderr"):
        setattr(sys, name, getattr(sys, f"__{name}__"))


def serve(
    handle: int, index: int, max_jobs: int, pool_name: str, spare_limit: int
) -> None:
    """Serve the pool until it stops, or for some jobs; the body of the worker's thread.

    Args:
      handle: What the pool's queues are found by.
      index: The worker's index.
      max_jobs: How many jobs at most; 0 for any number.
      pool_name: The pool's name, for messages.
      spare_limit: How many jobs of the pool may wait at a time, for messages.
    """
    global _index
    _index = index
    set_time_slice(SLICE_NS)
    refused.note_again()
    try:
        Crew(
            SharedWorker(handle, index),
            max_jobs,
            pool_name=pool_name,
            spare_limit=spare_limit,
            work=_work,
        ).run()
    finally:
        interrupting.end_watch()


def check_clean() -> None:
    """Raise an error that says what keeps the interpreter from further use.

    That is mostly threads that jobs have started and that still run. The message is
    ASCII, as `crossinterp.ask` needs it.
    """
    # A cycle, such as a traceback's, may keep frames of ours or memory of the pool.
    gc.collect()
    names = _threads_left()
    nameless = thread_count() - len(names)
    if names or nameless > 0:
        names += ["without a name"] * nameless
        raise RuntimeError(f"thread {', '.join(names)}")
    if has_failed():
        raise RuntimeError("its script failed")


def _threads_left() -> list[str]:
    threading = sys.modules.get("threading")
    if threading is None:
        return []
    ours = {get_ident(), threading.main_thread().ident}
    return [ascii(t.name) for t in threading.enumerate() if t.ident not in ours]


def wait_for_threads() -> None:
    """Wait for the threads that jobs have left, as the interpreter's end would do."""
    threading = sys.modules.get("threading")
    if threading is not None:
        # It has executors end their idle threads, and joins all that are known.
        threading._shutdown()  # noqa: SLF001  # no public name does this
    while thread_count():  # of `_thread`, which CPython does not wait for
        time.sleep(POLL)


def _work(runner: "Runner") -> None:
    """Run one job after the other."""
    crew = runner.crew
    worker = crew.worker
    while crew.is_single or crew.take_turn(runner):
        job = worker.next()  # CROSS-1 wait
        if job is None:
            if crew.note_empty():
                continue
            return
        crew.note_job()
        runner.job = job
        run = _run_batch if job.start else _run_call
        answer, frames = run(runner, job)
        if refused.has_unsent():
            _tell_refused(crew.worker, job)
        # ORDER: first let go of what was lent; it is home when the answer is taken.
        runner.job = None
        del job
        runner.finish(answer, frames)  # CROSS-5 answer
        del frames  # else it lives until the next job


def _tell_refused(worker: SharedWorker, job: "EncodedJob") -> None:
    """Tell home which modules were refused; the job is not yet answered."""
    try:
        if news := refused.take_unsent():
            worker.ask(job, encode_refused(news))
    except Exception:  # no memory, say; the next job tells
        refused.note_again()


def _run_call(runner: "Runner", job: "EncodedJob") -> "Answer":
    """Run one call and return its answer."""
    try:
        if job.is_stopped:
            return answers.CANCELLED, ()
        buffers = job.frames(1)
        call = _decode(job.frame(0), buffers)  # CROSS-2 decode
        fn, args, variables, is_watched = call
        del buffers, call
        context = context_of(variables)
        value: Any
        if is_watched:
            value = interrupting.run(runner.crew.worker, job, context, fn, *args)
        else:
            value = context.run(fn, *args)  # CROSS-3 run
        if type(value) in UNAWAITED:
            refuse_coroutine(fn, value)
        block_call = args[0] if fn is run_block else None
        del fn, args, context
        if block_call is None:
            return answers.VALUE, _encode(value, "result")  # CROSS-4 encode
        results, *rest = value
        return answers.VALUE, _encode_results(block_call, results, *rest)
    except (JobCancelled, JobInterrupted):
        _note_raised()
        return answers.CANCELLED, ()
    except BaseException as error:
        return _error_answer(_without_our_frames(error))


def _run_batch(runner: "Runner", job: "EncodedJob") -> "Answer":
    """Work through a range of a batch's frames, sharing what is left."""
    worker = runner.crew.worker
    results: list[object] = []
    error: BaseException | None = None
    call: Any = None
    try:
        call, variables, is_watched = _decode(job.frame(0), ())
        context = context_of(variables)
        run: Callable[..., object] = context.run
        if is_watched:
            run = partial(interrupting.run, worker, job, context)
        position, leaf_frames = job.start, 1
        while position < job.stop and not job.is_stopped:
            if not len(worker) and runner.has_seat():
                _share(worker, job, position + leaf_frames, position)
            begin_ns = time.perf_counter_ns()
            leaf_stop = min(position + leaf_frames, job.stop)
            for index in range(position, leaf_stop):
                items = _decode(job.frame(index), ())
                run(call_each, call, Until(items, job), results)
            elapsed_ns = time.perf_counter_ns() - begin_ns
            fitting = (leaf_stop - position) * LEAF_NS // max(elapsed_ns, 1)
            leaf_frames = max(1, min(fitting, 2 * leaf_frames))
            position = leaf_stop
            if worker.has_work_outside() and runner.has_seat():
                worker.look_outside_next()
                if position < job.stop:
                    worker.share(position)
                break
    except (JobCancelled, JobInterrupted):
        _note_raised()
        job.request_stop()
    except BaseException as raised:
        error = _without_our_frames(raised)
        job.request_stop()
    try:
        return answers.VALUE, _encode_results(call, results, error)
    except BaseException as raised:
        job.request_stop()
        return _error_answer(raised)


def _note_raised() -> None:
    global _has_raised
    _has_raised = True


def _without_our_frames(error: BaseException) -> BaseException:
    _note_raised()
    return without_frames_of(error, *_OUR_FILES)


def _encode_results(
    call: object, results: "list[Any]", *rest: object
) -> tuple[object, ...]:
    """Encode some items' results and what goes with them."""
    try:
        return _encode((results, *rest), "results")  # CROSS-4 encode
    except CrossingError:
        if not isinstance(call, partial):
            raise
        from .captured import is_capturing, sendable_results

        if not is_capturing(call):
            raise
        return _encode((sendable_results(results), *rest), "results")


def _share(worker: SharedWorker, job: "EncodedJob", least: int, start: int) -> None:
    """Offer all but the next leaf to the others, the largest piece first."""
    while job.stop > least:
        worker.share(max(least, (start + job.stop) // 2))


def context_of(variables: "Variables") -> Context:
    """Return a job's own context: with what is set here, and what crossed."""
    context = _first_context.copy()
    if context:
        context = context.run(own_context)
    if variables:
        context.run(set_variables, variables)
    return context


def worker_index() -> int:
    """Return the index of the worker whose interpreter this is."""
    return _index


# What jobs find here


class _CurrentToken:
    """The running job's token."""

    __slots__ = ()

    @property
    def is_set(self) -> bool:
        """Whether the job was asked to stop."""
        job = current_job()
        return job is not None and job.is_stopped


_token = _CurrentToken()


def _refuse_broadcast(*_args: object, **_options: object) -> None:
    raise RuntimeError(
        "runtime.broadcast() works in threads only, since no job in an interpreter "
        "reaches the other workers: prepare each with initializer= of "
        "runtime.open_worker_pool(), or use a pool with backend='threads'"
    )


def _refuse_sync_pool(*_args: object, **_options: object) -> None:
    note_refusal()
    raise RuntimeError(
        "runtime.open_sync_pool() works in threads only: a job in an interpreter calls "
        "join(), scope() and par_iter() without it, and they run in place"
    )


def current_token() -> _CurrentToken:
    """Return the running job's token; what a pool's token is on this side."""
    return _token


def check_cancelled() -> None:
    """End the calling job here if its result is no longer wanted.

    See `runtime.check_cancelled`, whose place it takes inside an interpreter.
    """
    job = current_job()
    if job is None:
        runner_of_job("runtime.check_cancelled()", "the call in the job's own thread")
    elif job.is_stopped:
        interrupting.raise_cancelled()
