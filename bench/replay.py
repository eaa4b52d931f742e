"""The iterators' scheduler in virtual time: what would a chain take on P cores?

Every worker is a generator that yields what it does next: work for so long, or wait.
The events are replayed in the order of a virtual clock, so 128 cores need no core. What
a worker does is `runtime._iter.drive` and `join`, rule for rule: leaves, the splits
that a piece has to give, demand by an empty deque, the oldest entry stolen first, and a
joiner that helps only the thief of its half. The constants are the real ones.

What it does not know: that cores share caches, memory and reference counts. It shows
what the *schedule* costs; see `scaling` for how near that comes to what is measured.
"""

import heapq
from bisect import bisect_left
from collections import deque
from collections.abc import Generator, Sequence
from dataclasses import dataclass
from itertools import accumulate, count
from math import log2
from random import Random

from runtime._core.leaf import CHECK_NS
from runtime._iter.drive import (
    FEW_PER_WORKER,
    FIRST_LEAF_NS,
    LONG_LEAF_NS,
    SHORT_LEAF_NS,
)
from runtime._iter.run import SPLIT_NS

__all__ = ("Prices", "Replay", "greedy_bounds", "replay")


@dataclass(frozen=True, slots=True)
class Prices:
    """What the machine asks for, in nanoseconds."""

    split: float
    """A fork that nobody steals, with both calls."""
    leaf: float
    """To begin a leaf."""
    steal: float
    """From an entry in a deque to its first instruction on a worker that looks."""
    wake: float
    """The same, on a worker that sleeps."""


@dataclass(frozen=True, slots=True)
class Replay:
    """What a run came to."""

    worker_count: int
    total_ns: float
    """From the first instruction to the last."""
    splits: int
    steals: int
    leaves: int


# What a worker's generator yields: work for so long, or (None) wait to be notified.
type _Step = float | None
type _Steps = Generator[_Step]


@dataclass(slots=True)
class _Piece:
    start: int
    stop: int
    splits: int
    item_ns: float
    home: int
    thief: "_Worker | None" = None
    is_done: bool = False
    joiner: "_Worker | None" = None


class _Worker:
    """One virtual worker."""

    def __init__(self, index: int) -> None:
        self.index = index
        self.deque: deque[_Piece] = deque()
        self.steps: _Steps | None = None
        self.is_asleep = False  # waits for any work
        self.is_waiting = False  # waits at a join


class _Scheduler:
    """All virtual workers and their clock."""

    def __init__(
        self, costs: Sequence[float], worker_count: int, prices: Prices, seed: int
    ) -> None:
        self.ends = [0.0, *accumulate(costs)]
        self.prices = prices
        self.workers = [_Worker(index) for index in range(worker_count)]
        self.random = Random(seed)
        self.now = 0.0
        self.events: list[tuple[float, int, _Worker]] = []
        self.order = count()
        self.splits = self.steals = self.leaves = 0
        self.is_over = False

    def run(self) -> Replay:
        """Replay the chain to its end."""
        first, *others = self.workers
        first.steps = self.whole(first)
        for worker in others:
            worker.steps = self.idle(worker)
            worker.is_asleep = True
        self.at(0.0, first)
        while not self.is_over:
            self.now, _, worker = heapq.heappop(self.events)
            self.step(worker)
        return Replay(
            len(self.workers), self.now, self.splits, self.steals, self.leaves
        )

    def at(self, delay: float, worker: _Worker) -> None:
        heapq.heappush(self.events, (self.now + delay, next(self.order), worker))

    def step(self, worker: _Worker) -> None:
        assert worker.steps is not None
        delay = next(worker.steps, 0.0)
        if not self.is_over and delay is not None:
            self.at(delay, worker)

    # What the workers do

    def whole(self, worker: _Worker) -> _Steps:
        count = len(self.workers)
        yield from self.piece(
            worker,
            _Piece(0, len(self.ends) - 1, count if count > 1 else 0, 0.0, 0),
        )
        self.is_over = True

    def idle(self, worker: _Worker) -> _Steps:
        """Look for work, for ever."""
        while True:
            piece = self.steal_from_anyone(worker)
            if piece is None:
                worker.is_asleep = True
                yield None
                worker.is_asleep = False
                continue
            # A thief that found something wakes the next, if there is more.
            self.wake_one()
            yield self.prices.steal
            yield from self.stolen(worker, piece)

    def stolen(self, worker: _Worker, piece: _Piece) -> _Steps:
        self.steals += 1
        yield from self.piece(worker, piece)
        piece.is_done = True
        self.notify(piece.joiner)

    def piece(self, worker: _Worker, piece: _Piece) -> _Steps:
        """Work through a piece: `runtime._iter.drive`."""
        if piece.home != worker.index:
            piece.splits = len(self.workers)
        budget = SHORT_LEAF_NS if piece.item_ns else FIRST_LEAF_NS
        while piece.start < piece.stop:
            if self.wants_split(worker, piece):
                yield from self.halves(worker, piece)
                return
            self.leaves += 1
            yield self.prices.leaf
            begin, at = piece.start, self.now
            yield from self.leaf(worker, piece, budget)
            elapsed = self.now - at
            taken = piece.start - begin
            piece.item_ns = max(elapsed / taken, piece.item_ns / 2, 1.0)
            is_long = self.watches(piece) or len(self.workers) == 1
            budget = LONG_LEAF_NS if is_long else SHORT_LEAF_NS

    def watches(self, piece: _Piece) -> bool:
        """Whether a leaf ends when there is demand."""
        rest = piece.stop - piece.start
        return len(self.workers) > 1 and rest * piece.item_ns >= 2 * SPLIT_NS

    def leaf(self, worker: _Worker, piece: _Piece, budget: float) -> _Steps:
        """Run items until the time is over or there is demand."""
        watches = self.watches(piece)
        left = budget
        while left > 0 and piece.start < piece.stop:
            stretch = self.stretch(piece, min(left, CHECK_NS))
            yield stretch
            left -= stretch
            if watches and not worker.deque:
                return

    def stretch(self, piece: _Piece, limit: float) -> float:
        """Take items for about so long, one at least; return how long it takes."""
        begin = self.ends[piece.start]
        stop = bisect_left(self.ends, begin + limit, piece.start + 1, piece.stop)
        piece.start = stop
        return self.ends[stop] - begin

    def wants_split(self, worker: _Worker, piece: _Piece) -> bool:
        length, count = piece.stop - piece.start, len(self.workers)
        if count == 1 or length < 2:
            return False
        if piece.item_ns:
            if length * piece.item_ns < SPLIT_NS:
                return False
        elif length > FEW_PER_WORKER * count:
            return False
        return piece.splits > 0 or not worker.deque

    def halves(self, worker: _Worker, piece: _Piece) -> _Steps:
        """Fork and join: `runtime._core.join`."""
        self.splits += 1
        middle = (piece.start + piece.stop) // 2
        left, right = (
            _Piece(a, b, piece.splits // 2, piece.item_ns, worker.index)
            for a, b in ((piece.start, middle), (middle, piece.stop))
        )
        worker.deque.append(right)
        self.wake_one()
        for other in self.workers:
            if other.is_waiting:  # one whose half we have stolen may help us
                self.notify(other)
        yield self.prices.split
        yield from self.piece(worker, left)
        if worker.deque and worker.deque[-1] is right:
            worker.deque.pop()
            yield from self.piece(worker, right)
            return
        right.joiner = worker
        while not right.is_done:
            help_with = right.thief.deque if right.thief is not None else None
            if help_with:
                theirs = help_with.popleft()
                theirs.thief = worker
                yield self.prices.steal
                yield from self.stolen(worker, theirs)
            else:
                worker.is_waiting = True
                yield None
                worker.is_waiting = False

    # Finding each other

    def steal_from_anyone(self, thief: _Worker) -> _Piece | None:
        start = self.random.randrange(len(self.workers))
        for victim in self.workers[start:] + self.workers[:start]:
            if victim is not thief and victim.deque:
                piece = victim.deque.popleft()
                piece.thief = thief
                return piece
        return None

    def wake_one(self) -> None:
        if not any(worker.deque for worker in self.workers):
            return
        for worker in self.workers:
            if worker.is_asleep:
                worker.is_asleep = False
                self.at(self.prices.wake, worker)
                return

    def notify(self, worker: _Worker | None) -> None:
        if worker is not None and worker.is_waiting:
            worker.is_waiting = False
            self.at(self.prices.steal, worker)


def replay(
    costs: Sequence[float], worker_count: int, prices: Prices, *, seed: int = 1
) -> Replay:
    """Replay a chain whose items cost so many nanoseconds each."""
    return _Scheduler(costs, worker_count, prices, seed).run()


def greedy_bounds(
    costs: Sequence[float], worker_count: int, prices: Prices
) -> tuple[float, float]:
    """Return the shortest time that is possible, and what a greedy scheduler keeps to.

    Source: Graham 1969 and Brent 1974: max(work / P, span) and work / P + span.
    """
    work = sum(costs)
    depth = log2(max(len(costs), 2))
    span = max(costs) + depth * (prices.split + prices.steal)
    return max(work / worker_count, max(costs)), work / worker_count + span
