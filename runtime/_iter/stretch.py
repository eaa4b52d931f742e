"""One stretch of a chain in a worker's interpreter.

Both sides import this file; on the worker's, each import is paid for by each worker,
so Trio is none of them.

Layer: iter.
"""

import time
from typing import Any, NamedTuple

from .._core import Halted
from .._errors import JobCancelled, JobInterrupted
from .place import worker_here
from .producers import Gauge, Producer
from .terminals import NOTHING, Terminal, as_raised

__all__ = ("Done", "run_stretch")


class Done(NamedTuple):
    """What a stretch came to.

    Attributes:
      total: Of its items; `NOTHING` if none came out.
      start: Its first position.
      length: Its positions.
      elapsed_ns: How long it took.
      error: What ended it early, if anything did.
    """

    total: Any
    start: int
    length: int
    elapsed_ns: int
    error: BaseException | None


def run_stretch(terminal: Terminal, stretch: tuple[Producer, int]) -> Done:
    """Fold all items of a stretch: its producer, and its first position.

    Raises:
      JobCancelled: the chain was told to stop; no item begins after that.
    """
    producer, start = stretch
    length = producer.length
    assert length is not None
    gauge = Gauge()
    gauge.start = start
    gauge.budget_ns = 1 << 62
    worker = worker_here()
    token = None if worker is None or worker.job is None else worker.job.token
    gauge.job_token = token
    total: Any = NOTHING
    error: BaseException | None = None
    begin_ns = time.perf_counter_ns()
    position = 0
    try:
        while position < length and not terminal.is_decided:
            # Of several in a chain() each is a leaf.
            items = producer.leaf(position, length, gauge)
            total = terminal.step(total, items, gauge)
            assert gauge.leaf is not None
            position += gauge.leaf.taken
            if token is not None and token.is_set:
                raise JobCancelled
            if not terminal.wants(start + position):
                break
            if position == gauge.start - start:
                raise RuntimeError("a source has fewer items than its length says")
            gauge.start = start + position
    except (JobCancelled, JobInterrupted):
        raise
    except Halted:
        raise JobCancelled from None
    except BaseException as raised:  # an outcome, raised at the chain's end
        error = as_raised(raised)
    return Done(total, start, length, time.perf_counter_ns() - begin_ns, error)
