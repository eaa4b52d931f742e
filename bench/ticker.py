"""How late the Trio loop is while something runs: a tick due every millisecond."""

import gc
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

import trio

from .quantiles import quantile

__all__ = ("Lag", "lag_during")

TICK = 0.001


@dataclass(frozen=True, slots=True)
class Lag:
    """How late the ticks of one measurement were, in seconds."""

    p50: float
    p99: float


async def lag_during[R](
    busy: Callable[[], Awaitable[R]], check: Callable[[R], None]
) -> Lag:
    gc.collect()
    lateness: list[float] = []
    async with trio.open_nursery() as nursery:
        nursery.start_soon(_tick, lateness)
        answer = await busy()
        nursery.cancel_scope.cancel()
    check(answer)
    return Lag(quantile(lateness, 0.5), quantile(lateness, 0.99))


async def _tick(lateness: list[float]) -> None:
    """Note how late each tick is; ticks that were missed are not made up for."""
    deadline = trio.current_time()
    while True:
        deadline += TICK
        await trio.sleep_until(deadline)
        late = trio.current_time() - deadline
        lateness.append(late)
        deadline += late // TICK * TICK
