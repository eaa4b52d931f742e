"""The example HTTP service under load, against the same service on `trio.to_thread`.

Clients on this machine keep 32 connections busy with texts that take 2 ms to
score. A further one asks `/health`, which needs no worker, every 5 ms; how long that
takes tells how responsive the service is to everybody else.
"""

import json
import time
from collections.abc import Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from functools import partial
from importlib.util import find_spec, module_from_spec, spec_from_file_location
from pathlib import Path
from typing import Any

import trio

from ..compare import http_threads
from ..compare.http_threads import EXAMPLE
from ..harness import Settings, WrongAnswerError, interleave
from ..http_load import Connection, connected, open_server
from ..quantiles import paired_ratios, quantile, spread
from ..report import Report, Target

__all__ = ("run",)

NEEDED = ("hypercorn", "starlette", "prometheus_client")
SCORE_SECONDS = 0.002
CLIENTS = 32
HEALTH_EVERY = 0.005
OURS = "ours: the example service"
THREADS = "the same on trio.to_thread"
SENTENCE = "Reading makes a full man. "


@dataclass(frozen=True, slots=True)
class _Load:
    """What the clients of one round saw."""

    requests_per_second: float
    health_p99: float


def run(settings: Settings) -> Report:
    """Measure the situation."""
    title = "HTTP service, 2 ms of CPU per request, clients on the same machine"
    missing = [name for name in NEEDED if find_spec(name) is None]
    if missing:
        return Report(
            name="http_service",
            title=title,
            notes=[f"not measured: {', '.join(missing)} not installed"],
            table=[["", "requests/s"]],
            samples={},
            sample_unit="",
        )
    loads = trio.run(_measure, settings)
    rates = {n: [load.requests_per_second for load in ls] for n, ls in loads.items()}
    p99s = {n: [load.health_p99 for load in ls] for n, ls in loads.items()}
    faster = spread(paired_ratios(rates[OURS], rates[THREADS]))
    sooner = spread(paired_ratios(p99s[OURS], p99s[THREADS]))
    return Report(
        name="http_service",
        title=title,
        notes=[f"{CLIENTS} connections, and one that asks /health every 5 ms"],
        table=[
            ["", "requests/s", "p10-p90", "/health p99, ms", "p10-p90"],
            *(_row(rates[name], p99s[name], name) for name in loads),
        ],
        samples={f"{n}: requests/s": r for n, r in rates.items()}
        | {f"{n}: /health p99, s": p for n, p in p99s.items()},
        sample_unit="as named",
        targets=[
            Target(
                "HTTP service, throughput",
                "1.00 x trio.to_thread",
                f"{faster.median:.2f} ({faster.p10:.2f}-{faster.p90:.2f})",
                faster.median >= 1.0,
            ),
            Target(
                "HTTP service, p99 of /health under load",
                "at most 0.5 x trio.to_thread",
                f"{sooner.median:.2f} ({sooner.p10:.2f}-{sooner.p90:.2f})",
                sooner.median <= 0.5,
            ),
        ],
    )


def _row(rates: list[float], p99s: list[float], name: str) -> list[str]:
    rate = spread(rates)
    p99 = spread([seconds * 1e3 for seconds in p99s])
    return [
        name,
        f"{rate.median:.0f}",
        f"{rate.p10:.0f}-{rate.p90:.0f}",
        f"{p99.median:.1f}",
        f"{p99.p10:.1f}-{p99.p90:.1f}",
    ]


async def _measure(settings: Settings) -> dict[str, list[_Load]]:
    score = _example_score()
    text = SENTENCE * _sentences_for(score, SCORE_SECONDS)
    seconds = 0.5 if settings.is_quick else 2.0
    expected = score(text)
    async with AsyncExitStack() as stack:
        enter = stack.enter_async_context
        ports = {
            OURS: await enter(open_server(EXAMPLE / "serve.py", "--port", "0")),
            THREADS: await enter(open_server(Path(http_threads.__file__))),
        }
        contenders = {
            name: partial(_load, port, text.encode(), expected, seconds)
            for name, port in ports.items()
        }
        return await interleave(contenders, settings, rounds=9)


async def _load(
    port: int, body: bytes, expected: dict[str, object], seconds: float
) -> _Load:
    """Keep the service busy for a while."""
    answered = 0
    health: list[float] = []

    async def client(connection: Connection) -> None:
        nonlocal answered
        while True:
            status, answer = await connection.ask("POST", "/score", body)
            if status != 200 or json.loads(answer) != expected:
                raise WrongAnswerError(f"the service answered {status}")
            answered += 1

    async def watch(connection: Connection) -> None:
        while True:
            begin = time.perf_counter()
            await connection.ask("GET", "/health")
            health.append(time.perf_counter() - begin)
            await trio.sleep(HEALTH_EVERY)

    async with AsyncExitStack() as stack:
        connections = [
            await stack.enter_async_context(connected(port)) for _ in range(CLIENTS + 1)
        ]
        begin = trio.current_time()
        with trio.move_on_after(seconds):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(watch, connections[0])
                for connection in connections[1:]:
                    nursery.start_soon(client, connection)
        elapsed = trio.current_time() - begin
    return _Load(answered / elapsed, quantile(health, 0.99))


def _example_score() -> Callable[[str], dict[str, object]]:
    """Load the example's function, without its folder on the path."""
    spec = spec_from_file_location("example_scoring", EXAMPLE / "scoring.py")
    assert spec is not None
    assert spec.loader is not None
    module: Any = module_from_spec(spec)
    spec.loader.exec_module(module)
    found: Callable[[str], dict[str, object]] = module.score
    return found


def _sentences_for(score: Callable[[str], object], seconds: float) -> int:
    """Return how many sentences take about so long to score."""
    text = SENTENCE * 100
    times = []
    for _ in range(20):
        begin = time.perf_counter()
        score(text)
        times.append(time.perf_counter() - begin)
    return max(1, round(100 * seconds / min(times)))
