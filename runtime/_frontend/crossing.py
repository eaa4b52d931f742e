"""A registry of interpreters, tied to the Trio run it works for.

The workers ring a bell, a descriptor, when there is news; a task of the pool, the
*pump*, waits for it and lets the jobs leave, all in one step of the Trio loop.

Layer: frontend.
"""

import sys
from collections.abc import Callable, Sequence
from contextvars import Context
from functools import partial
from typing import cast, override

import outcome
import trio

from .._backends import kept
from .._backends.batch import EncodedBatch
from .._backends.host import Plan
from .._backends.interpreters import InterpreterRegistry, setup_of
from .._backends.main_module import main_name
from .._backends.questions import decode_question, encode_outcome
from .._backends.variables import set_variables
from .._core import Job, Registry, own_context
from .._errors import JobCancelled
from .._native.scheduler import EncodedJob, Question, SharedQueues
from .._util import awaitable_of, called, is_a
from .batch import BatchState
from .from_worker import Request
from .intake import MakeRegistry
from .port import CompletionPort
from .protected import start_task
from .token import WorkToken

__all__ = ("interpreters",)

# As in `pool`, but here nobody is held up by a worker that searches.
SPIN_ROUNDS = 60


def interpreters(
    worker_count: int,
    *,
    name: str,
    preload: Sequence[str],
    initializer: Callable[..., object] | None,
    initargs: tuple[object, ...],
    max_jobs: int | None,
    spare_limit: int,
) -> MakeRegistry:
    """Return what makes the registry of a pool of interpreters."""
    setup = setup_of(preload, initializer, initargs)
    # What an initializer leaves behind is its pool's, and who asks for fresh
    # interpreters gets them.
    keep = kept.limit() if initializer is None and max_jobs is None else 0

    def make_registry(
        nursery: trio.Nursery, on_failure: Callable[[BaseException], None]
    ) -> Registry:
        queues = SharedQueues(
            worker_count, spin_rounds=SPIN_ROUNDS, spare_limit=spare_limit
        )
        path = tuple(sys.path)
        plan = Plan(
            path,
            queues.handle,
            setup,
            max_jobs or 0,
            name,
            spare_limit,
            key=(path, main_name()),
            keep=keep,
        )
        registry = _TrioRegistry(
            nursery, worker_count, queues, plan, name=name, on_failure=on_failure
        )
        return cast("Registry", registry)

    return make_registry


class _TrioRegistry(InterpreterRegistry):
    """An `InterpreterRegistry` whose news is taken by a Trio task."""

    def __init__(
        self,
        nursery: trio.Nursery,
        worker_count: int,
        queues: SharedQueues,
        plan: Plan,
        *,
        name: str,
        on_failure: Callable[[BaseException], object],
    ) -> None:
        super().__init__(worker_count, queues, plan, name=name, on_failure=on_failure)
        self._nursery = nursery  # immutable
        # Says whether somebody looks again and again, so that the pump may sleep.
        self.hush: Callable[[bool], None] = queues.hush  # immutable
        self._port: CompletionPort | None = None  # immutable once bound
        self._is_closed = False  # owner: the Trio thread; never cleared
        self._pump_scope = trio.CancelScope(shield=True)  # owner: the Trio thread
        self.make_batch: Callable[..., BatchState] = partial(
            EncodedBatch, worker_count=worker_count
        )  # immutable

    def bind(self, port: CompletionPort) -> None:
        """Say where what the jobs post is delivered; before `start`."""
        self._port = port

    @override
    def start(self) -> None:
        super().start()
        # Protected, for Ctrl-C would lose news that it took; and with no context
        # variables, for it would keep their values alive.
        Context().run(start_task, self._nursery, self._pump)

    @override
    def close(self) -> bool:
        self._is_closed = True
        self._pump_scope.cancel()  # ORDER: first, for it waits for a descriptor
        return super().close()

    @override
    def watch(self, job: Job, handle: EncodedJob) -> None:
        token = job.token
        if isinstance(token, WorkToken):
            token.handles = handles = token.handles or set()
            handles.add(handle)
            if token.is_set:
                handle.request_stop()

    @override
    def unwatch(self, job: Job, handle: EncodedJob) -> None:
        token = job.token
        if isinstance(token, WorkToken) and token.handles is not None:
            token.handles.discard(handle)

    @override
    def answer(self, job: Job, question: Question) -> None:
        token = job.token
        if isinstance(token, WorkToken) and self._port is not None:
            self._port.post(_EncodedRequest(question, token, job.context))

    def look(self) -> None:
        """Take the news now; the pump would a little later."""
        assert self._port is not None
        try:
            self._port.deliver_after(self.drain)
        except Exception as error:  # a bug of ours
            self._on_failure(error)
            self._pump_scope.cancel()

    async def _pump(self) -> None:
        with self._pump_scope:
            # It may be woken and closed at once, or closed before this begins.
            while not self._is_closed:
                await trio.lowlevel.wait_readable(self.fileno())
                if not self._is_closed:
                    self.look()


class _EncodedRequest(Request):
    """A request from inside an interpreter.

    It sees the context variables that crossed, and else those of the job at home.
    """

    __slots__ = ("_question",)

    def __init__(
        self, question: Question, token: WorkToken, context: Context | None
    ) -> None:
        context = Context() if context is None else context.copy().run(own_context)
        super().__init__(_run_question, (question,), token, context)
        self._question = question  # immutable

    @override
    async def run_in_this_task(self) -> None:
        with trio.CancelScope() as self._token.host_scope:
            await super().run_in_this_task()
        self._token.host_scope = None

    @override
    def answer(self, result: outcome.Maybe[object]) -> None:
        if isinstance(result, outcome.Value):
            reply = encode_outcome(result.value, None)
        else:
            reply = encode_outcome(None, _without_cancelled(result.error))
        self._question.reply(*reply)  # ASK-5 reply


async def _run_question(question: Question) -> object:
    is_async, fn, args, variables = decode_question(question.frames)
    set_variables(variables)
    return await awaitable_of(fn, args) if is_async else called(fn, *args)


def _without_cancelled(error: BaseException) -> BaseException:
    """Return what is left of an error for who is not in the cancelled scope."""
    if is_a(error, trio.Cancelled):
        return JobCancelled()
    if is_a(error, BaseExceptionGroup):
        cancelled, rest = error.split(trio.Cancelled)
        if cancelled is not None:
            return JobCancelled() if rest is None else rest
    return error
