"""When to split, and the recursion over `join`.

A *piece* is a stretch of a chain's positions. Whoever runs it works through it leaf by
leaf, and before each leaf decides whether to split what is left in two halves and
to join them. The first leaf of a chain is short and nobody is called: if that was
all, or nearly, the work was too small to gain from a second core. From then on an
item's cost is known, and a piece splits

* while it has splits to give: as many as there are workers, halved by each split,
  renewed when a piece was stolen, since then somebody is hungry;
* or when the worker's deque is empty: all it had to offer was taken;

and never for less than `SPLIT_NS` of work. A few items of unknown cost are split at
once, down to single ones: who hands in eight items does not mean eight cheap ones.

The right half of a split goes on with the left one's total; if it was stolen, the two
totals are combined, left to right. So the answer's order is the input's. See
PLUMBING.md.

Layer: iter.
"""

from typing import Any

from .._core import Halted, Worker, join
from .._errors import JobCancelled, JobInterrupted
from .bridge import run_bridge
from .place import worker_here
from .producers import Gauge, Producer
from .run import SPLIT_NS, Progress, Run
from .terminals import NOTHING, Terminal

__all__ = ("run_chain",)

# The first leaf of a chain, on which no other worker is called. Arbitrary: much less
# than a split is for.
FIRST_LEAF_NS = 20_000

# How long the others are while somebody might steal, which ends them early, and while
# nobody should. Arbitrary: long against what it takes to begin a leaf; short against
# what a piece may lose when an item has become dearer than was known.
LONG_LEAF_NS = 4_000_000
SHORT_LEAF_NS = 500_000

# So many items per worker are split before the cost of one is known. Arbitrary.
FEW_PER_WORKER = 8


def run_chain(
    producer: Producer,
    terminal: Terminal,
    min_length: int = 1,
    progress: Progress | None = None,
) -> Any:
    """Run a chain to its answer, beginning on the calling worker."""
    worker = worker_here()
    assert worker is not None
    length = producer.length
    few = FEW_PER_WORKER * worker.registry.worker_count
    if length is None or length <= few or progress is not None:
        return _run_whole(Run(producer, terminal, min_length, progress))
    # Many chains end with their first leaf: nothing else is made before it.
    gauge = Gauge()
    gauge.budget_ns = FIRST_LEAF_NS
    if worker.job is not None:
        gauge.job_token = worker.job.token
    total: Any = NOTHING
    try:
        total = terminal.step(total, producer.leaf(0, length, gauge), gauge)
    except (JobCancelled, JobInterrupted):
        raise
    except Halted:  # by the job's token, for there is no other yet
        raise JobCancelled from None
    except BaseException as error:  # an outcome, raised below
        run = Run(producer, terminal)
        run.fail(gauge.current(), error)
    else:
        assert gauge.leaf is not None
        if gauge.leaf.taken == length or terminal.is_decided:
            return terminal.finish(total)
        run = Run(producer, terminal, min_length)
        piece = _Piece(run, 0, length)
        piece.learn(gauge)
        piece.total = total
        total = _run_piece(piece)
    return run.answer(total)


def _run_whole(run: Run) -> Any:
    try:
        length = run.producer.length
        if length is None:
            return run.answer(run_bridge(run))
        return run.answer(_run_piece(_Piece(run, 0, length)))
    finally:
        if run.progress is not None:
            run.progress.close()


class _Piece:
    """A stretch of positions, and what is known of their cost."""

    __slots__ = (
        "home",
        "is_continued",
        "is_over",
        "item_ns",
        "left",
        "run",
        "splits",
        "start",
        "stop",
        "total",
    )

    def __init__(self, run: Run, start: int, stop: int) -> None:
        self.run = run
        self.start = start
        self.stop = stop
        # As many splits to give as there are workers.
        self.splits = run.worker_count if run.worker_count > 1 else 0
        # What an item costs, as far as is known; 0 for not at all.
        self.item_ns = 0.0
        # The index of the worker that split the piece off.
        self.home: int | None = None
        # What it goes on with, then what it comes to.
        self.total: Any = NOTHING
        # Whether no more is added to that.
        self.is_over = False  # atomic: a single store
        # The half before this one, and whether this one's total has that one's in it.
        self.left: _Piece | None = None
        self.is_continued = False

    def begin(self, worker: Worker) -> Gauge:
        """Be run by a worker."""
        run = self.run
        if self.home is not None and self.home != worker.index:
            self.splits = run.worker_count  # stolen: somebody is hungry
        elif self.left is not None and self.goes_on(self.left):
            self.total = self.left.total
            self.is_continued = True
        budget_ns = SHORT_LEAF_NS if self.item_ns else FIRST_LEAF_NS
        return run.gauge(budget_ns, run.terminal.token_for(self.start))

    def goes_on(self, left: "_Piece") -> bool:
        """Return whether this piece can go on with the total of the one before it.

        Asked only on the worker that split them. That one runs the left half first,
        unless it blocks in there and a spare thread goes on in its place.
        """
        return left.is_over

    def wants_split(self, worker: Worker) -> bool:
        """Return whether to offer half of what is left to the other workers."""
        length = self.stop - self.start
        run = self.run
        if run.worker_count == 1 or length < 2 * run.min_length or length < 2:
            return False
        if self.item_ns:
            if length * self.item_ns < SPLIT_NS:
                return False
        elif length > FEW_PER_WORKER * run.worker_count:
            return False
        return self.splits > 0 or not worker.deque

    def half(self, start: int, stop: int, worker: Worker) -> "_Piece":
        """Make one half of this piece."""
        half = _Piece(self.run, start, stop)
        half.splits = self.splits // 2
        half.item_ns = self.item_ns
        half.home = worker.index
        return half

    def learn(self, gauge: Gauge) -> None:
        """Take in what the last leaf has shown, and go on behind it."""
        leaf = gauge.leaf
        assert leaf is not None
        run, taken = self.run, leaf.taken
        self.start += taken
        if taken == 0 and not (run.should_stop() or gauge.is_stopped()):
            raise RuntimeError("a source has fewer items than its length says")
        if taken:
            # What was dear a moment ago may be so again.
            self.item_ns = max(leaf.elapsed_ns / taken, self.item_ns / 2, 1.0)
        is_alone = run.worker_count == 1
        gauge.interval = leaf.interval
        gauge.watches = (
            not is_alone and (self.stop - self.start) * self.item_ns >= 2 * SPLIT_NS
        )
        gauge.budget_ns = LONG_LEAF_NS if gauge.watches or is_alone else SHORT_LEAF_NS
        if run.progress is not None:
            run.progress.advance(taken)


def _run_piece(piece: _Piece) -> Any:
    """Work through a piece; return its total."""
    run = piece.run
    worker = worker_here()
    assert worker is not None
    gauge = piece.begin(worker)
    terminal, producer = run.terminal, run.producer
    while piece.start < piece.stop and terminal.wants(piece.start):
        if run.should_stop():
            break
        if piece.wants_split(worker):
            piece.total = _run_halves(piece, worker)
            break
        gauge.start = piece.start
        try:
            items = producer.leaf(piece.start, piece.stop, gauge)
            piece.total = terminal.step(piece.total, items, gauge)
            piece.learn(gauge)
        except (JobCancelled, JobInterrupted):
            run.cancel()
            break
        except Halted:
            run.should_stop()  # by the job's token, or for what is known already
            break
        except BaseException as error:  # an outcome, raised at the chain's end
            run.fail(gauge.current(), error)
            break
        if terminal.is_decided:
            run.stop()
            break
    piece.is_over = True
    return piece.total


def _run_halves(piece: _Piece, worker: Worker) -> Any:
    """Run what is left in two halves; return the piece's total.

    The left half goes on with the piece's total, and the right half with the left
    one's, unless it is stolen: so there is something to combine only for each thief.
    """
    middle = (piece.start + piece.stop) // 2
    left = piece.half(piece.start, middle, worker)
    right = piece.half(middle, piece.stop, worker)
    left.total = piece.total
    right.left = left
    join(_run_piece, left, _run_piece, right)
    if right.is_continued:
        return right.total
    return piece.run.combined(left.total, right.total)
