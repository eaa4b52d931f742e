"""fib(25) with a `join` at every call, against plain recursion: the price of a fork.

Nobody would write it so; that it costs little more than the plain calls is the reason
why users need not think about grain size. `join` runs in a job, on one worker, where
nothing is ever stolen, and on all of them.
"""

from collections.abc import Callable
from contextlib import ExitStack
from functools import partial
from sys import version_info

import trio

from ..compare.our_core import OurCore, open_core
from ..forks import fib, fib_by_join, fib_by_join_of_lambdas
from ..harness import Settings, check_equal, interleave, timed
from ..machine import is_native
from ..quantiles import paired_ratios, spread
from ..report import Report, Samples, Target, ratio_table

__all__ = ("run",)

PLAIN = "plain recursion"
ONE = "join at every call, 1 worker"
ALL = "join at every call, all workers"
LAMBDAS = ", of two lambdas"
# A plain call costs less on 3.14t.
LIMITS = {ONE: 3.0, ALL: 1.6} if version_info < (3, 14) else {ONE: 4.0, ALL: 2.6}


def run(settings: Settings) -> Report:
    """Measure the situation."""
    number = 18 if settings.is_quick else 25
    samples = trio.run(_measure, settings, number)
    return Report(
        name="core_fork",
        title=f"fib({number}) with a fork at every call",
        notes=[
            "speed-up below 1: how much of plain Python's speed is left",
            "join(fib, n - 1, fib, n - 2); the last two rows make two lambdas a fork",
        ],
        table=ratio_table(
            samples, unit="ms", units_per_second=1e3, columns={"speed-up": PLAIN}
        ),
        samples=samples,
        sample_unit="seconds",
        targets=[_target(who, samples) for who in LIMITS if is_native()],
    )


def _target(who: str, samples: Samples) -> Target:
    ratio = spread(paired_ratios(samples[who], samples[PLAIN]))
    return Target(
        f"fib(25), {who}",
        f"<= {LIMITS[who]:.1f} x the time of plain recursion",
        f"{ratio.median:.2f} ({ratio.p10:.2f}-{ratio.p90:.2f})",
        ratio.median <= LIMITS[who],
    )


async def _measure(settings: Settings, number: int) -> Samples:
    with ExitStack() as stack:
        one = stack.enter_context(open_core(1))
        several = stack.enter_context(open_core(settings.worker_count))
        runs = {
            PLAIN: partial(_run_plain, number),
            ONE: partial(_run_on, one, fib_by_join, number),
            ALL: partial(_run_on, several, fib_by_join, number),
            ONE + LAMBDAS: partial(_run_on, one, fib_by_join_of_lambdas, number),
            ALL + LAMBDAS: partial(_run_on, several, fib_by_join_of_lambdas, number),
        }
        contenders = {
            name: partial(timed, run_once, check_equal(name, fib(number)))
            for name, run_once in runs.items()
        }
        return await interleave(contenders, settings, rounds=15)


async def _run_plain(number: int) -> int:
    return fib(number)


async def _run_on(core: OurCore, fn: Callable[[int], int], number: int) -> int:
    return core.submit(fn, number).result()
