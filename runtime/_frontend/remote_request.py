"""What a job asks for that runs where it cannot call Trio itself.

Layer: frontend.
"""

from contextvars import Context
from typing import override

import outcome
import trio

from .._backends.base import Question
from .._backends.questions import decode_question, encode_outcome
from .._backends.variables import set_variables
from .._core import own_context
from .._errors import JobCancelled
from .._util import awaitable_of, called, is_a
from .from_worker import Request
from .token import WorkToken

__all__ = ("RemoteRequest",)


class RemoteRequest(Request):
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
