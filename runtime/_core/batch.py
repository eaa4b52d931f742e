"""One function over many items, cut into pieces while it runs.

A batch enters the scheduler as a single job for all its items. Whoever runs a
piece works through it leaf by leaf from the front. Before each leaf it looks at
its own deque: if that is empty, somebody stole the last half it offered (or it
never offered one), so it pushes the upper half of what is left, then the upper
half of the rest, and so on, keeping no more than the leaf. Thieves take the
largest piece; what nobody takes comes back smallest first, and is worked through
without another cut. Fine pieces arise only where there is demand, the entries
in a deque grow with the logarithm of the number of items, and nobody has to choose
a chunk size.

A leaf is a plain loop, whose items run each in a context of its own. Its length adapts
to `LEAF_NS` of run time, so the cost of scheduling disappears for cheap items and
balance is kept for dear ones. A caller who knows better gives the length, and then
pieces are cut between two such leaves only.

    piece  [start ............................ stop)       deque: empty
           [leaf][ 3rd ][ 2nd push ][    1st push  )

Between leaves a piece makes way for work that waits outside. It looks at its token
before each item.

Layer: core.

Source: Tzannes et al. 2010, lazy binary splitting.
"""

from collections.abc import Callable, Sequence
from contextvars import Context

import outcome

from .._errors import JobCancelled, JobInterrupted
from .._unawaited import UNAWAITED
from .._util import refuse_coroutine
from . import sync
from .leaf import LEAF_NS
from .selected import (
    CancelToken,
    CountLatch,
    Job,
    Until,
    Worker,
    call_each,
    current_worker,
)

__all__ = ("Batch",)


class Batch[T, R]:
    """The state that the pieces of one batch share.

    Args:
      fn: Called once as ``fn(item)`` for each item, on any worker.
      items: Sliced, never iterated as a whole, so a `range` stays a `range`.
      context: Context variables; each item sees a copy of its own.
      token: Set from outside to stop the batch: no item begins after that.
      leaf_size: Items in each leaf but the last; None adapts it to their run time.
      finish: Called as ``finish(results)`` on the last worker, once every item has
        a result; what it returns is the batch's result.
      sink: Called as ``sink(batch)`` on a worker's thread when the last piece has
        left the scheduler. Must not raise.
      lane: Priority lane of the injector.

    Thread safety: internally synchronized.
    """

    def __init__(
        self,
        fn: Callable[[T], R],
        items: Sequence[T],
        context: Context,
        *,
        token: CancelToken,
        sink: "Callable[[Batch[T, R]], None]",
        leaf_size: int | None = None,
        finish: Callable[[list[object]], list[object]] | None = None,
        lane: int,
    ) -> None:
        self._call = fn  # immutable
        self._items = items  # immutable
        # Never entered and never set in, so any thread may copy it.
        self._context = context  # immutable
        self._token = token  # immutable
        self._sink = sink  # immutable
        self._fixed_leaf_size = leaf_size  # immutable
        self._finish = finish  # immutable
        self._lane = lane  # immutable
        self._pieces = CountLatch()  # immutable
        self._errors: list[tuple[int, BaseException]] = []  # atomic: append
        # Each leaf replaces the slots of its own items, in one step.
        self._results: list[object] = []  # atomic: slice assignment, same length
        self._length = len(items)  # immutable
        self._lengths: list[int] = []  # atomic: append; of leaves that have results
        # Whether every item has a result; known when the sink is called.
        self.is_complete = False  # owner: the worker that closes the batch
        # Whether the last piece has left the scheduler.
        self.is_over = False  # atomic: a single store; never cleared

    def first_piece(self) -> Job:
        """Return the job that stands for all items; the caller injects it."""
        leaf_size = self._fixed_leaf_size or 1
        return self._piece(0, len(self._items), leaf_size, run=self._run_first)

    def errors(self) -> list[BaseException]:
        """Return what the items raised, in the items' order; after the sink."""
        return [error for _, error in sorted(self._errors, key=_position)]

    def results(self) -> list[object]:
        """Return the results in the items' order; after the sink, no errors."""
        return self._results

    def _piece(
        self,
        start: int,
        stop: int,
        leaf_size: int,
        run: Callable[[int, int, int], None] | None = None,
    ) -> Job:
        return Job(
            run or self._run_piece,
            (start, stop, leaf_size),
            self._context.copy(),
            token=self._token,
            sink=self._piece_left,
            lane=self._lane,
        )

    def _run_first(self, start: int, stop: int, leaf_size: int) -> None:
        # Here and not in the constructor: a large list takes a while to make, and
        # the constructor runs in Trio's thread.
        self._results = [None] * stop
        self._run_piece(start, stop, leaf_size)

    def _run_piece(self, start: int, stop: int, leaf_size: int) -> None:
        """Work through the items from ``start`` to ``stop``, sharing what is left."""
        worker = current_worker()
        assert worker is not None
        while start < stop and not self._token.is_set:
            if not worker.deque:
                stop = self._share(worker, start, stop, leaf_size)
            leaf_stop = min(start + leaf_size, stop)
            begin_ns = sync.clock_ns()
            self._run_leaf(start, leaf_stop)
            elapsed_ns = sync.clock_ns() - begin_ns
            leaf_size = self._fixed_leaf_size or _next_leaf_size(
                leaf_stop - start, elapsed_ns
            )
            start = leaf_stop
            if worker.registry.injector:
                worker.look_outside_next()
                if start < stop:
                    self._push(worker, start, stop, leaf_size)
                return

    def _share(self, worker: Worker, start: int, stop: int, leaf_size: int) -> int:
        """Push all but the next leaf, the largest piece first; return its end."""
        while stop - start > leaf_size:
            leaf_count = -((start - stop) // leaf_size)
            middle = start + (leaf_count + 1) // 2 * leaf_size
            self._push(worker, middle, stop, leaf_size)
            stop = middle
        return stop

    def _push(self, worker: Worker, start: int, stop: int, leaf_size: int) -> None:
        piece = self._piece(start, stop, leaf_size)
        self._pieces.increment()
        try:
            worker.push(piece)
        except MemoryError:
            self._pieces.decrement()  # not the last: the piece that pushes is out
            raise

    def _run_leaf(self, start: int, stop: int) -> None:
        """Call the function for each item and put the results in their places."""
        results: list[object] = []
        token = self._token
        try:
            call_each(self._call, Until(self._items[start:stop], token), results)
            # One of them tells: who returns such a thing does so each time.
            if results and type(results[0]) in UNAWAITED:
                self._refuse(results)
            if len(results) != stop - start and not token.is_set:
                raise RuntimeError("the items of a batch must not change while it runs")
        except (JobCancelled, JobInterrupted):
            self._token.is_set = True
        except BaseException as error:
            self._fail(start + len(results), error)
        else:
            stop = start + len(results)  # fewer if the token was set
            # ATOMIC(list-slice): of two leaves each replaces its own slots, and
            # the list keeps its length.
            self._results[start:stop] = results
            self._lengths.append(len(results))

    def _refuse(self, results: list[object]) -> None:
        """Raise for an async function."""
        values = results.copy()
        results.clear()  # none has a result: the error is the first one's
        refuse_coroutine(self._call, *values)

    def _fail(self, index: int, error: BaseException) -> None:
        self._errors.append((index, error))
        self._token.is_set = True

    def _piece_left(self, piece: Job) -> None:
        """Close the batch when this was the last piece."""
        if isinstance(piece.outcome, outcome.Error):  # MemoryError, or a bug of ours
            self._fail(len(self._results), piece.outcome.error)
        if not self._pieces.decrement():
            return
        if sum(self._lengths) == self._length:
            self._complete()
        self.is_over = True
        sink = self._sink
        self.drop_call()
        del self._sink  # else it closes a cycle
        sink(self)

    def drop_call(self) -> None:
        """Let go of the user's objects; also if the first piece was withdrawn."""
        for name in ("_call", "_items", "_context"):
            vars(self).pop(name, None)

    def _complete(self) -> None:
        """Make the batch's result out of the items' results."""
        try:
            if self._finish is not None:
                self._results = self._finish(self._results)
            self.is_complete = True
        except BaseException as error:  # an outcome like an item's
            self._fail(len(self._results), error)


def _position(indexed_error: tuple[int, BaseException]) -> int:
    return indexed_error[0]


def _next_leaf_size(size: int, elapsed_ns: int) -> int:
    """Return the length of leaf that would have taken `LEAF_NS`, at most doubled."""
    fitting = size * LEAF_NS // max(elapsed_ns, 1)
    return max(1, min(fitting, 2 * size))
