"""Measure contenders against each other in interleaved rounds.

The idea: on a machine that others use too, the time of one contender says little, but
the *ratio* of two contenders measured a moment apart says much. So a round measures
every contender of a situation once, in an order shuffled anew (the seed is printed),
and everything reported is the median over the rounds of a ratio taken inside a round.

Hygiene:

* Pools, threads and processes are opened before the first round and stay open. One
  round of warm-up is measured, checked and thrown away.
* The garbage of the contender before is collected before the clock starts. On a
  free-threaded build this also returns what other threads made and the main thread
  dropped; their owner would otherwise free it inside its next measurement. While the
  clock runs the collector stays on, as it is for users.
* Every answer of every round is checked, after the clock has stopped. A wrong answer
  ends the run.
* A round is thrown out only on request, and only for what other processes did during
  it (`neighbours`). The spread (p10 to p90) shows how much was disturbed.

What this file does not promise: that the times mean anything on another machine.
"""

import gc
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from random import Random

from .neighbours import Neighbours

__all__ = ("Settings", "WrongAnswerError", "check_equal", "interleave", "timed")


class WrongAnswerError(Exception):
    """A contender returned something else than plain Python does."""


@dataclass(frozen=True, slots=True)
class Settings:
    """What one run of the benchmarks was asked for."""

    worker_count: int
    """Workers, threads or processes of every contender."""
    seed: int
    """For the order inside the rounds."""
    rounds: int | None
    """Rounds of every situation; None leaves it to the situation."""
    is_quick: bool
    """Cut sizes: does it run at all? Not for claims."""
    neighbours: Neighbours
    """Who else uses the cores."""
    is_recording: bool = False
    """Replace the recorded counts that later runs are compared with."""

    def rounds_or(self, default: int) -> int:
        """Return the rounds asked for, else 3 when quick, else `default`."""
        if self.rounds is not None:
            return self.rounds
        return 3 if self.is_quick else default


async def interleave[T](
    contenders: Mapping[str, Callable[[], Awaitable[T]]],
    settings: Settings,
    *,
    rounds: int,
    has_warm_up: bool = True,
) -> dict[str, list[T]]:
    """Measure every contender once per round, in shuffled order.

    Args:
      rounds: How many, unless the settings say otherwise.
      has_warm_up: Whether one more round comes first and is thrown away.

    Returns:
      One list per contender; the position in the list is the round.
    """
    order = list(contenders)
    shuffle = Random(settings.seed).shuffle
    neighbours = settings.neighbours

    async def one_round() -> dict[str, T]:
        shuffle(order)
        return {name: await contenders[name]() for name in order}

    if has_warm_up:
        await one_round()
    samples: dict[str, list[T]] = {name: [] for name in contenders}
    while len(samples[order[0]]) < settings.rounds_or(rounds):
        await neighbours.begin_round()
        found = await one_round()
        if neighbours.end_round():
            for name, sample in found.items():
                samples[name].append(sample)
    return samples


async def timed[R](
    run: Callable[[], Awaitable[R]], check: Callable[[R], None]
) -> float:
    """Return the seconds that `run` takes; check its answer afterwards."""
    gc.collect()
    start_ns = time.perf_counter_ns()
    answer = await run()
    elapsed_ns = time.perf_counter_ns() - start_ns
    check(answer)
    return elapsed_ns / 1e9


def check_equal[R](who: str, expected: R) -> Callable[[R], None]:
    """Return a check that the answer of `who` is `expected`."""

    def check(answer: R) -> None:
        if answer != expected:
            raise WrongAnswerError(f"{who} gave a wrong answer")

    return check
