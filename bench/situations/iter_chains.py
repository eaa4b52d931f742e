"""Parallel chains: map and sum, JSON, words, a matrix, floats, lambdas.

The chain is awaited on a pool, the way there and back included. The ceiling is the same
work cut by hand into bare threads, before the clock starts.
"""

import math
from contextlib import AsyncExitStack
from functools import partial
from typing import Any

import trio

import runtime
from runtime._backends import why_unavailable

from ..chains import Workload, chain_workloads
from ..compare import bare_threads, fastiter_chain, joblib_threads
from ..cut import even_cut
from ..harness import Settings, WrongAnswerError, interleave, timed
from ..machine import is_native
from ..pin import pin_thread, pin_workers
from ..quantiles import paired_ratios, quantile, spread
from ..report import Report, Samples, Target

__all__ = ("run",)

PLAIN = "plain Python"
CEILING = bare_threads.NAME
OURS = "ours: par_iter"
ONE = "ours, 1 worker"
CROSSED = "interpreters"
PEERS = (joblib_threads.NAME, fastiter_chain.NAME)

# A row of its own: how near a function made at run time comes to one of a module.
LIKE_A_MODULE_S = ("lambda", "closure")
MODULE_S = "range, map + sum"


def run(settings: Settings) -> Report:
    """Measure the situation."""
    workloads = chain_workloads(0.05 if settings.is_quick else 1.0)
    samples = trio.run(_measure, settings, workloads)
    return Report(
        name="iter_chains",
        title="parallel chains against plain Python",
        notes=[
            "all but the last columns: times faster than plain Python",
            "workers and bare threads stay on cores of their own",
            "one worker: on a pool of one, where nothing can be gained",
            "interpreters: the chain on a pool of those, not pinned; functions made at "
            "run time cannot cross",
        ],
        table=_table(workloads, samples),
        samples=samples,
        sample_unit="seconds",
        targets=_targets(workloads, samples) if is_native() else [],
    )


def _key(workload: str, who: str) -> str:
    return f"{workload}: {who}"


def _median(samples: Samples, workload: str, than: str, who: str) -> float | None:
    ours = samples.get(_key(workload, who))
    if ours is None:
        return None
    return spread(paired_ratios(samples[_key(workload, than)], ours)).median


def _table(workloads: list[Workload], samples: Samples) -> list[list[str]]:
    shown = [who for who in (CROSSED, *PEERS) if any(who in name for name in samples)]
    rows = [["", "ms", OURS, "ceiling", *shown, "one worker", "of ceiling", "p10-p90"]]
    for workload in workloads:
        name = workload.name
        against = [OURS, CEILING, *shown, ONE]
        ratios = [_median(samples, name, PLAIN, who) for who in against]
        of_ceiling = spread(
            paired_ratios(samples[_key(name, CEILING)], samples[_key(name, OURS)])
        )
        rows.append(
            [
                name,
                f"{quantile(samples[_key(name, PLAIN)], 0.5) * 1e3:.1f}",
                *("-" if ratio is None else f"{ratio:.2f}" for ratio in ratios),
                f"{of_ceiling.median:.2f}",
                f"{of_ceiling.p10:.2f}-{of_ceiling.p90:.2f}",
            ]
        )
    return rows


def _targets(workloads: list[Workload], samples: Samples) -> list[Target]:
    targets = []

    def judge(name: str, than: str, who: str, at_least: float, words: str) -> None:
        ratio = spread(
            paired_ratios(samples[_key(name, than)], samples[_key(name, who)])
        )
        targets.append(
            Target(
                name,
                f">= {at_least:.2f} x {words}",
                f"{ratio.median:.2f} ({ratio.p10:.2f}-{ratio.p90:.2f})",
                ratio.median >= at_least,
            )
        )

    for workload in workloads:
        name = workload.name
        if workload.speed_up is not None:
            judge(name, PLAIN, OURS, workload.speed_up, "plain Python")
        if workload.of_ceiling is not None:
            judge(name, CEILING, OURS, workload.of_ceiling, "the ceiling")
        for peer in PEERS:
            if _key(name, peer) in samples:
                judge(name, peer, OURS, 1.0, peer)
        if name.startswith(("range", "array")):
            judge(name, PLAIN, ONE, 0.95, "plain Python, 1 worker")
    for name in LIKE_A_MODULE_S:
        ratio = (
            spread(
                paired_ratios(samples[_key(MODULE_S, OURS)], samples[_key(name, OURS)])
            ).median
            / spread(
                paired_ratios(
                    samples[_key(MODULE_S, PLAIN)], samples[_key(name, PLAIN)]
                )
            ).median
        )
        targets.append(
            Target(
                name,
                "speed-up >= 0.90 of the module-level function's",
                f"{ratio:.2f}",
                ratio >= 0.90,
            )
        )
    return targets


async def _measure(settings: Settings, workloads: list[Workload]) -> Samples:
    count = settings.worker_count
    samples: Samples = {}
    async with AsyncExitStack() as stack:
        enter = stack.enter_async_context
        pool = await enter(runtime.open_worker_pool(count, backend="threads"))
        one = await enter(runtime.open_worker_pool(1, backend="threads"))
        crossed = None
        if why_unavailable("interpreters") is None:
            crossed = await enter(
                runtime.open_worker_pool(count, backend="interpreters")
            )
        threads = await stack.enter_async_context(bare_threads.open_peer(count))
        await pin_workers(pool)
        await pin_workers(one)
        await threads.each(pin_thread, range(count))
        for workload in workloads:
            parts = even_cut(workload.items, count)
            runs: dict[str, Any] = {
                PLAIN: partial(_plain, workload),
                CEILING: partial(_ceiling, workload, threads, parts),
                OURS: partial(_ours, workload, pool),
                ONE: partial(_ours, workload, one),
            }
            if crossed is not None and workload.crosses:
                runs[CROSSED] = partial(_ours, workload, crossed)
            if joblib_threads.IS_THERE:
                pieces = even_cut(
                    workload.items, count * joblib_threads.PIECES_PER_WORKER
                )
                runs[joblib_threads.NAME] = partial(_joblib, workload, pieces, count)
            if fastiter_chain.IS_THERE and workload.mapped is not None:
                runs[fastiter_chain.NAME] = partial(_fastiter, workload, count)
            expected = workload.plain(workload.items)
            contenders = {
                who: partial(timed, run_once, partial(_check, who, expected))
                for who, run_once in runs.items()
            }
            found = await interleave(contenders, settings, rounds=7)
            samples |= {_key(workload.name, who): s for who, s in found.items()}
    return samples


def _check(who: str, expected: Any, answer: Any) -> None:
    """Compare, floats but for their last bits: their order differs."""
    if isinstance(expected, float):
        is_right = math.isclose(answer, expected, rel_tol=1e-9)
    else:
        is_right = answer == expected
    if not is_right:
        raise WrongAnswerError(f"{who} gave a wrong answer")


async def _plain(workload: Workload) -> Any:
    return workload.plain(workload.items)


async def _ceiling(
    workload: Workload, threads: bare_threads.BareThreads, parts: list[Any]
) -> Any:
    return workload.merge(await threads.each(workload.plain, parts))


async def _ours(workload: Workload, pool: runtime.WorkerPool) -> Any:
    return await workload.chain(pool.par_iter(workload.items))


async def _joblib(workload: Workload, pieces: list[Any], count: int) -> Any:
    return workload.merge(joblib_threads.run_parts(workload.plain, pieces, count))


async def _fastiter(workload: Workload, count: int) -> Any:
    assert workload.mapped is not None
    return fastiter_chain.map_sum(workload.mapped, workload.items, count)
