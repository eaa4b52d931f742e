"""Many items, one wait: `spawn_parallel_batch`; `chunks` builds on it.

The scheduler cuts the items (`runtime._core.batch`); here one task waits for all
of them. A batch takes one place at the pool's bound, however long it is: what it
keeps in the queues grows with the number of workers, not with its items.

Layer: frontend.
"""

from collections.abc import Callable, Iterable, Sequence
from types import CodeType
from typing import TYPE_CHECKING, Any, cast, override

import outcome
import trio

from .._core import WITHDRAWN, job_context
from .._errors import CancelReason, TaskCancelled
from .options import OnCancelMany, callable_name
from .token import WorkToken
from .waiting import Waiting
from .work import Verdict

if TYPE_CHECKING:
    from .._backends.base import BatchState
    from .intake import Intake

__all__ = (
    "BatchCall",
    "as_sequence",
    "run_batch",
)


class BatchCall(Waiting):
    """A batch with the Trio task that waits for it.

    Thread safety: externally synchronized, by the Trio thread; `_left` comes from
    a worker.
    """

    __slots__ = (
        "_early",
        "_intake",
        "_is_held",
        "_raise_cancel",
        "_request",
        "_task",
        "batch",
        "code",
        "first_piece",
        "name",
        "token",
    )

    def __init__(
        self,
        intake: "Intake",
        fn: Callable[..., object],
        items: Sequence[object],
        *,
        call: Callable[..., object],
        leaf_size: int | None = None,
        finish: Callable[[list[object]], list[object]] | None = None,
        on_cancel: OnCancelMany,
        lane: int,
    ) -> None:
        self._init_waiting()
        self._intake = intake  # immutable
        self.name = f"batch of {len(items)} x {callable_name(fn)}"  # immutable
        self.code: CodeType | None = getattr(fn, "__code__", None)  # immutable
        self.token = WorkToken(  # immutable
            intake, may_interrupt=on_cancel == "interrupt"
        )
        self.batch: BatchState = intake.backend.make_batch(  # immutable
            call,
            items,
            job_context(),
            token=self.token,
            sink=self._left,
            leaf_size=leaf_size,
            finish=finish,
            lane=lane,
        )
        self.first_piece = self.batch.first_piece()  # immutable

    def deliver(self) -> None:
        """Let the task go on; in the Trio thread."""
        self._intake.settle(self)
        if self._task is not None:
            self._resume(outcome.capture(self._answer))

    def verdict(self) -> Verdict:
        """Tell how the batch ended."""
        if self.first_piece.phase == WITHDRAWN:
            return Verdict.WITHDRAWN
        return Verdict.COMPLETED if self.batch.is_complete else Verdict.FAILED

    def stop(self, reason: CancelReason) -> None:
        """End the batch on somebody else's behalf."""
        self.token.request_stop(reason)
        if self._withdraw():
            self.fail(TaskCancelled(self.name, reason))

    def interrupt(self) -> None:
        """Have the items that run interrupted, if the caller allowed that."""
        batch = self.batch
        if self.first_piece.phase != WITHDRAWN:
            self.token.request_interrupt(lambda: batch.is_over)

    def fail(self, error: BaseException) -> None:
        """End the wait with an error of the runtime's own."""
        self._end(error)

    @trio.lowlevel.enable_ki_protection  # in an inline pool
    def _left(self, _batch: object) -> None:
        self._intake.port.post(self)

    @override
    def _cancelled(self) -> bool:
        self.token.request_stop(None)
        if self._withdraw():
            return True
        self.interrupt()
        return False

    def _withdraw(self) -> bool:
        """Take the batch back; True if no item had begun and now none will."""
        if not self._intake.backend.withdraw(self.first_piece):
            return False
        self.batch.drop_call()
        return True

    def _answer(self) -> list[object]:
        raise_cancel, self._raise_cancel = self._raise_cancel, None
        errors = self.batch.errors()
        if errors:
            raise BaseExceptionGroup(f"{self.name}: {_failures(errors)}", errors)
        if self.batch.is_complete:
            return self.batch.results()
        if raise_cancel is not None:
            raise_cancel()
        raise TaskCancelled(self.name, self.token.reason or CancelReason.ITEM)


@trio.lowlevel.disable_ki_protection  # the user's iterable
def as_sequence[T](items: Iterable[T]) -> Sequence[T]:
    """Return the items as something that can be sliced and has a length.

    Raises:
      ValueError: they are more than a list can hold.
    """
    if not isinstance(items, Sequence):
        return list(items)
    try:
        len(items)
    except OverflowError:
        raise ValueError(
            f"more items than a list can hold: {items!r}; hand them over in parts"
        ) from None
    return items


@trio.lowlevel.enable_ki_protection
async def run_batch(
    intake: "Intake",
    make: Callable[[Sequence[Any]], BatchCall],
    items: Iterable[object],
) -> list[Any]:
    """Have a batch of the items accepted and wait for its results."""
    await trio.lowlevel.checkpoint_if_cancelled()
    sequence = as_sequence(items)  # may raise, so before a place is taken
    if not intake.places.try_take():
        await intake.places.wait_taken()
    batch = make(sequence)
    intake.inject(batch, batch.first_piece)
    return cast("list[Any]", await batch.park())


def _failures(errors: list[BaseException]) -> str:
    return "1 item failed" if len(errors) == 1 else f"{len(errors)} items failed"
