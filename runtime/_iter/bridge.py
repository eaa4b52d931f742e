"""Chains over an iterator, which cannot be cut and must not be shared.

Each worker that takes part is a *puller*: under a lock it pulls a block of items, in
order, and works through the block without it. How many items make a block follows
from what they cost, as for leaves; a slow iterator is not waited for until a block is
full. Since the puller makes the block's items, they are its thread's own.

A total belongs to blocks in a row, and their positions put the totals in order.

Layer: iter.
"""

from threading import Lock
from typing import Any

from .._core import LEAF_NS, Halted, join
from .._errors import JobCancelled, JobInterrupted
from .producers import Bridge
from .run import SPLIT_NS, Run
from .terminals import NOTHING

__all__ = ("run_bridge",)

_NO_LIMIT = 1 << 62


def run_bridge(run: Run) -> Any:
    """Run a chain over an iterator; return its total."""
    bridge = run.producer.bridge()
    assert bridge is not None
    source = _Source(run, bridge)
    parts = _run_puller(_Puller(source, run.worker_count))
    total: Any = NOTHING
    for _, part in sorted(parts, key=_number):
        total = run.combined(total, part)
    return total


def _number(part: tuple[int, Any]) -> int:
    return part[0]


class _Source:
    """The iterator, and how far it has come.

    Thread safety: internally synchronized.
    """

    __slots__ = ("_bridge", "_is_exhausted", "_lock", "_position", "_run")

    def __init__(self, run: Run, bridge: Bridge) -> None:
        self._run = run
        self._bridge = bridge
        # The user's iterator runs under it: that is what it is for.
        self._lock = Lock()
        self._position = 0  # guarded by: self._lock
        self._is_exhausted = False  # guarded by: self._lock

    @property
    def run(self) -> Run:
        """The run of the chain."""
        return self._run

    def pull(self, count: int) -> tuple[int, list[Any]]:
        """Return the next items, at most so many, and the first one's position."""
        with self._lock:
            block: list[Any] = []
            if not self._is_exhausted and not self._run.should_stop():
                try:
                    block = self._bridge.pull(count)
                except (JobCancelled, JobInterrupted):
                    self._run.cancel()
                except Halted:
                    self._run.should_stop()
                except BaseException as error:  # an outcome like an item's
                    self._run.fail(self._position, error)
            position = self._position
            self._position += len(block)
            self._is_exhausted = not block
            return position, block


class _Puller:
    """One worker's part in a chain over an iterator.

    Args:
      source: What it pulls from.
      width: How many pullers this one may become.
    """

    __slots__ = ("_gauge", "_stop", "source", "width")

    def __init__(self, source: _Source, width: int) -> None:
        self.source = source
        self.width = width
        self._gauge = source.run.gauge(_NO_LIMIT)
        self._stop: int | None = None  # where its last block ended

    def goes_on(self, start: int) -> bool:
        """Return whether nobody pulled between its last block and this one."""
        return start == self._stop

    def run_block(self, start: int, block: list[Any], total: Any) -> Any:
        """Work through a block; return the total with it."""
        run, gauge = self.source.run, self._gauge
        gauge.start = start
        self._stop = start + len(block)
        gauge.leaf = None
        gauge.block = block
        try:
            items = run.producer.leaf(start, start + len(block), gauge)
            return run.terminal.step(total, items, gauge)
        except (JobCancelled, JobInterrupted):
            run.cancel()
        except Halted:
            run.should_stop()  # by the job's token, or for what is known already
        except BaseException as error:  # an outcome, raised at the chain's end
            run.fail(gauge.current(), error)
        return total

    def item_ns(self) -> float:
        """What an item of the last block cost."""
        leaf = self._gauge.leaf
        return max(leaf.elapsed_ns / leaf.taken, 1.0) if leaf and leaf.taken else 1.0


def _run_puller(puller: _Puller) -> list[tuple[int, Any]]:
    """Pull and work until the iterator ends; return the totals with their positions."""
    source, run = puller.source, puller.source.run
    parts: list[tuple[int, Any]] = []
    count, busy_ns = 1, 0.0
    while not run.should_stop():
        if puller.width > 1 and busy_ns >= SPLIT_NS:
            half = puller.width // 2
            left, right = join(
                _run_puller,
                _Puller(source, puller.width - half),
                _run_puller,
                _Puller(source, half),
            )
            return parts + left + right
        start, block = source.pull(count)
        if not block or not run.terminal.wants(start):
            break
        first, total = parts.pop() if puller.goes_on(start) else (start, NOTHING)
        parts.append((first, puller.run_block(start, block, total)))
        if run.terminal.is_decided:
            run.stop()
        if run.progress is not None:
            run.progress.advance(len(block))
        item_ns = puller.item_ns()
        busy_ns += item_ns * len(block)
        count = max(1, min(2 * count, int(LEAF_NS / item_ns)))
    return parts
