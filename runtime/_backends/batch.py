"""A batch for interpreters: the items are encoded once, the workers cut them.

It has the face of `runtime._core.Batch`. The items travel in *frames* of some items
each; what workers hand to each other is a range of frames, so cutting and stealing
encode nothing again. A worker answers each range it has worked through with the
results of it.

Layer: backends, main side.
"""

from collections.abc import Callable, Sequence
from contextvars import Context
from typing import cast

import outcome

from .._core import CancelToken, Job
from . import answers, blame
from .captured import is_capturing, sendable_items
from .encodable import EncodableJob
from .encoding import dumps_whole, loads
from .variables import encode_variables

__all__ = ("EncodedBatch",)

# Frames for each worker, where there are items enough: what balance is made of.
FRAMES_PER_WORKER = 32
# Items in one frame at most: what a worker decodes at once. Arbitrary.
MAX_FRAME_ITEMS = 1024


class EncodedBatch:
    """The state of one batch; see `runtime._core.Batch` for the arguments.

    Thread safety: externally synchronized, by the Trio thread.
    """

    def __init__(
        self,
        fn: Callable[..., object],
        items: Sequence[object],
        context: Context,
        *,
        token: CancelToken,
        sink: "Callable[[EncodedBatch], None]",
        leaf_size: int | None = None,
        finish: Callable[[list[object]], list[object]] | None = None,
        lane: int,
        worker_count: int,
    ) -> None:
        self._call = fn  # owner
        self._items: Sequence[object] | None = items  # owner
        self._context: Context | None = context  # owner
        self._token = token  # immutable
        self._sink: Callable[[EncodedBatch], None] | None = sink  # owner
        self._finish = finish  # immutable
        self._lane = lane  # immutable
        self._frame_items = leaf_size or _fitting(len(items), worker_count)  # immutable
        self._errors: list[tuple[int, BaseException]] = []  # owner
        self._missing = len(items)  # owner
        self._results: list[object] = [None] * len(items)  # owner
        self.is_complete = False  # owner
        self.is_over = False  # owner

    def first_piece(self) -> Job:
        """Return the job that stands for all items; the caller injects it."""
        return _Piece(self, self._token, self._lane)

    def errors(self) -> list[BaseException]:
        """Return what the items raised, in the items' order; after the sink."""
        return [error for _, error in sorted(self._errors, key=lambda pair: pair[0])]

    def results(self) -> list[object]:
        """Return the results in the items' order; after the sink, no errors."""
        return self._results

    def drop_call(self) -> None:
        """Let go of the user's objects."""
        self._call = _nothing
        self._items = self._context = None

    def encode(self) -> tuple[tuple[object, ...], int]:
        """Return a frame for the function and frames of items."""
        items, context, size = self._items, self._context, self._frame_items
        assert items is not None and context is not None
        try:
            is_watched = getattr(self._token, "is_watched", False)
            call = self._call, encode_variables(context), is_watched
            frames = [dumps_whole(call)]
        except Exception as error:
            raise blame.fn_cannot_cross(self._call, error) from error
        for start in range(0, len(items), size):
            frame = items[start : start + size]
            try:
                frames.append(dumps_whole(frame))
            except Exception as error:
                if not is_capturing(self._call):
                    raise blame.item_cannot_cross(frame, start, error) from error
                frames.append(dumps_whole(sendable_items(frame, start, error)))
        if len(frames) == 1:
            frames.append(dumps_whole([]))
        self.drop_call()
        return tuple(frames), len(frames)

    def take(
        self,
        answer: int,
        frames: tuple[object, ...],
        start: int,
        result: outcome.Maybe[object],
    ) -> None:
        """Take the answer for the items from frame ``start`` on."""
        index = (start - 1) * self._frame_items
        if isinstance(result, outcome.Error):
            self._errors.append((index, result.error))
        elif answer == answers.ERROR:
            self._errors.append((index, cast("BaseException", _load(frames))))
        elif answer == answers.VALUE:
            value = _load(frames)
            if isinstance(value, BaseException):
                self._errors.append((index, value))
                return
            results, error = cast("tuple[list[object], BaseException | None]", value)
            self._results[index : index + len(results)] = results
            self._missing -= len(results)
            if error is not None:
                self._errors.append((index + len(results), error))

    def close(self, piece: Job) -> None:
        """Tell the sink: the last piece has left."""
        if isinstance(piece.outcome, outcome.Error) and not self._errors:
            self._errors.append((0, piece.outcome.error))  # it could not be encoded
        if self._missing == 0 and not self._errors:
            self._complete()
        self.drop_call()
        self.is_over = True
        sink, self._sink = self._sink, None  # else it closes a cycle
        if sink is not None:
            sink(self)

    def _complete(self) -> None:
        try:
            if self._finish is not None:
                self._results = self._finish(self._results)
            self.is_complete = True
        except BaseException as error:  # an outcome like an item's
            self._errors.append((len(self._results), error))


class _Piece(EncodableJob):
    """The job that stands for the whole batch on this side."""

    __slots__ = ("_batch",)

    def __init__(self, batch: EncodedBatch, token: CancelToken, lane: int) -> None:
        super().__init__(
            _nothing, (), Context(), token=token, sink=_Piece._left, lane=lane
        )
        self._batch = batch  # immutable

    def encode(self) -> tuple[tuple[object, ...], int]:
        return self._batch.encode()

    def take(
        self,
        answer: int,
        frames: tuple[object, ...],
        start: int,
        result: outcome.Maybe[object],
    ) -> None:
        self._batch.take(answer, frames, start, result)

    def _left(self) -> None:
        self._batch.close(self)


def _fitting(item_count: int, worker_count: int) -> int:
    """Return how many items a frame has when nobody has said."""
    fitting = -(-item_count // (FRAMES_PER_WORKER * worker_count))
    return max(1, min(fitting, MAX_FRAME_ITEMS))


def _load(frames: tuple[object, ...]) -> object:
    """Return what a worker sent; what cannot be loaded is an error."""
    try:
        return loads(frames[0], frames[1:])
    except BaseException as error:  # an outcome, such as a pickle's SystemExit
        return error


def _nothing(*_args: object) -> None:
    """Stand in for a function that was let go of."""
