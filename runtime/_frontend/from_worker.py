"""From inside a job back into Trio, as `trio.from_thread` does for its threads.

A job that was started by `spawn_cpu_work` and is waited for runs its request in
the waiting task. Every other job (a batch's, a map's, a submitted or abandoned
one) gets a child task of the pool, so that two jobs cannot block each other. So does
what the other half of a job asks for while the waiting task runs a request.

    worker                                 Trio thread
    BACK-1  post the request               BACK-2  choose the task, run it there
    BACK-4  wake up with the outcome       BACK-3  store the outcome, set the latch

Layer: frontend.
"""

from collections.abc import Awaitable, Callable
from contextvars import Context
from typing import Never, cast, override

import outcome
import trio

from .._core import Latch, Worker, current_worker, enter_trio, own_context
from .._errors import DeadlockError, JobCancelled, NotOnWorkerError
from .._util import awaitable_of, called, check_keywords, check_sync_callable
from .token import WorkToken, current_token
from .waits import requested_by

__all__ = ("Request", "ask", "run", "run_sync")


def run[*Ts, R](
    async_fn: Callable[[*Ts], Awaitable[R]], *args: *Ts, **keywords: Never
) -> R:
    """Run ``await async_fn(*args)`` in Trio and wait for it, from inside a job.

    The job's context variables are visible in ``async_fn``. The job waits; meanwhile a
    spare thread works in its place, so ``async_fn`` may use the job's own pool.

    In a pool of interpreters ``async_fn``, its arguments and what comes of it have to
    cross, as what a job is made of does.

    Returns:
      What ``async_fn`` returned.

    Raises:
      NotOnWorkerError: called outside a job.
      DeadlockError: as many jobs wait already as the pool has spare threads.
      CrossingError: something cannot cross to or from an interpreter.
      PoolClosedError: the job was left behind by its pool.
      trio.RunFinishedError: the Trio run is over.
      trio.Cancelled: the job's waiter was cancelled while ``async_fn`` ran in its
        task. Let it pass.
      JobCancelled: the job was asked to stop while ``async_fn`` ran in a task of its
        own, or the job is in an interpreter. Let it pass.
    """
    check_keywords(keywords, async_fn, "runtime.from_worker.run")
    return ask("runtime.from_worker.run()", async_fn, *args)


def run_sync[*Ts, R](fn: Callable[[*Ts], R], *args: *Ts, **keywords: Never) -> R:
    """Run ``fn(*args)`` in the Trio thread and wait for it, from inside a job.

    Returns:
      What ``fn`` returned.

    Raises:
      NotOnWorkerError: called outside a job.
      DeadlockError: as many jobs wait already as the pool has spare threads.
      trio.RunFinishedError: the Trio run is over.
    """
    check_keywords(keywords, fn, "runtime.from_worker.run_sync")
    if current_worker() is not None:
        check_sync_callable(
            fn, "from_worker.run_sync()", "runtime.from_worker.run({name}, ...)"
        )

    async def call() -> R:
        return cast("R", called(fn, *args))

    return ask("runtime.from_worker.run_sync()", call)


def ask[*Ts, R](
    verb: str,
    async_fn: Callable[[*Ts], Awaitable[R]],
    *args: *Ts,
    instead: str = "await async_fn(*args), since you are in Trio, or "
    "trio.from_thread.run(async_fn, *args) in one of Trio's own threads",
) -> R:
    """Do what `run` does, in the name of ``verb``; ``instead`` is for its misuse."""
    worker = current_worker()
    if worker is None or worker.job is None:
        raise NotOnWorkerError(verb, instead)
    if trio.lowlevel.in_trio_run():
        raise DeadlockError(
            f"{verb} inside an inline pool: the job runs in the Trio thread, which "
            "cannot wait for itself"
        )
    token = worker.job.token
    if not isinstance(token, WorkToken):
        raise NotOnWorkerError(
            verb, "fn(*args), since there is no Trio behind a sync pool"
        )
    return cast("R", _ThreadRequest(async_fn, args, token).ask(worker))


class Request:
    """Something a job wants to have run in Trio.

    Args:
      async_fn: What to run.
      args: Its arguments.
      token: Of the job's work.
      context: What ``async_fn`` sees; nobody else uses it.

    Thread safety: externally synchronized, by the Trio thread.
    """

    __slots__ = ("_args", "_async_fn", "_context", "_token")

    def __init__(
        self,
        async_fn: Callable[..., Awaitable[object]],
        args: tuple[object, ...],
        token: WorkToken,
        context: Context,
    ) -> None:
        self._async_fn = async_fn  # immutable
        self._args = args  # immutable
        self._token = token  # immutable
        self._context = context  # immutable
        enter_trio(context)
        context.run(current_token.set, token)

    def answer(self, result: outcome.Maybe[object]) -> None:
        """Let the job go on with what came of it."""
        raise NotImplementedError

    def deliver(self) -> None:
        """Choose the task that runs the request."""
        host = self._token.host
        if host is not None and host.is_free():
            host.resume_for(self)  # BACK-2 choose
        else:
            self._token.intake.start_child(self)

    def fail(self, error: BaseException) -> None:
        """Answer with an error: nothing in Trio can run it any more."""
        self.answer(outcome.Error(error))

    async def run_in_this_task(self) -> None:
        """Run the request in the calling task, with the job's context variables."""
        self.answer(await self._run())

    async def run_in_child_task(self) -> None:
        """Run the request in a task of its own, cancelled with its job."""
        token = self._token
        token.scopes = scopes = token.scopes or set()
        result: outcome.Maybe[object] = outcome.Error(JobCancelled())
        with trio.CancelScope() as scope:
            scopes.add(scope)
            if token.cancels_requests:
                scope.cancel()
            try:
                result = await self._run()
            finally:
                scopes.discard(scope)
        if isinstance(result, outcome.Error) and isinstance(
            result.error, trio.Cancelled
        ):
            # It speaks of this task's scope, which nobody above the job knows.
            result = outcome.Error(JobCancelled())
        self.answer(result)

    async def _run(self) -> outcome.Maybe[object]:
        task = trio.lowlevel.current_task()
        own_context, task.context = task.context, self._context
        # A task's new context takes effect with its next step.
        await trio.lowlevel.cancel_shielded_checkpoint()
        with requested_by(self._token):
            result = await outcome.acapture(_run_asked, self._async_fn, self._args)
        task.context = own_context
        await trio.lowlevel.cancel_shielded_checkpoint()
        return result


class _ThreadRequest(Request):
    """A request from a worker of this interpreter.

    Thread safety: made and asked on the worker; all else in the Trio thread.
    """

    __slots__ = ("_done", "_outcome")

    def __init__(
        self,
        async_fn: Callable[..., Awaitable[object]],
        args: tuple[object, ...],
        token: WorkToken,
    ) -> None:
        super().__init__(async_fn, args, token, own_context())
        self._done = Latch()  # immutable
        self._outcome: outcome.Maybe[object] | None = None  # owner: until BACK-3

    def ask(self, worker: Worker) -> object:
        """Post the request, wait, and return or raise what came of it."""
        worker.begin_wait()  # may refuse, so before the post
        try:
            if not self._token.intake.port.post(self):  # BACK-1 post
                raise trio.RunFinishedError
            self._done.wait()
        finally:
            worker.end_wait()
        answer, self._outcome = self._outcome, None
        assert answer is not None
        return answer.unwrap()  # BACK-4 wake up

    @override
    def answer(self, result: outcome.Maybe[object]) -> None:
        # ORDER: the outcome first; the latch lets the worker read it.
        self._outcome = result
        self._done.set()  # BACK-3 answer


@trio.lowlevel.disable_ki_protection
async def _run_asked(
    async_fn: Callable[..., Awaitable[object]], args: tuple[object, ...]
) -> object:
    """Run the user's function, or say what to write if it is not an async one."""
    return await awaitable_of(async_fn, args)
