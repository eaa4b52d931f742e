#!/usr/bin/env python3
"""Predict how a chain would do on 4 to 128 cores: ``bench/scaling.py [--svg FILE]``.

1. Record: what each item of a chain costs, run alone; what a fork, a leaf, a steal and
   a wake-up cost on this machine.
2. Check: replay the recorded run on one and on two workers (`replay`) and compare with
   what they take in reality. Two cores share memory and more, which the replay does
   not know; the ceiling (two bare threads) tells how much that takes, and the check
   allows for it.
3. Predict: replay it on more workers, beside the work-span bounds.
"""

import argparse
import sys
import time
from collections.abc import Callable, Sequence
from functools import partial
from math import log2
from pathlib import Path
from typing import Any

if __name__ == "__main__":
    # At the end: an installed `runtime` comes before the checkout's.
    sys.path.append(str(Path(__file__).resolve().parent.parent))

import runtime
from bench.calibrate import loops_for
from bench.chains import mandelbrot_row, skewed_workloads
from bench.compare.bare_threads import BareThreads
from bench.quantiles import quantile
from bench.replay import Prices, greedy_bounds, replay
from bench.report import layout

WORKERS = (1, 2, 4, 8, 16, 32, 64, 128)
ROUNDS = 7


def main(arguments: Sequence[str]) -> int:
    """Record, check, predict; return the exit status."""
    options = _parser().parse_args(arguments)
    fn, items = _workload(options.chain, options.seconds)
    costs = record_costs(fn, items)
    prices = measure_prices()
    print(f"{options.chain}: {len(items)} items, {sum(costs) / 1e6:.1f} ms of work, ")
    print(f"  the longest item is {max(costs) / sum(costs):.1%} of it")
    print(
        f"  a split {prices.split / 1e3:.2f} us, a leaf {prices.leaf / 1e3:.2f} us, "
        f"a steal {prices.steal / 1e3:.1f} us, a wake-up {prices.wake / 1e3:.1f} us"
    )
    print(layout(check_table(fn, items, costs, prices)))
    rows, curve = predict(costs, prices)
    print(layout(rows))
    if options.svg is not None:
        options.svg.write_text(svg_of(options.chain, curve), encoding="utf-8")
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="bench/scaling.py")
    parser.add_argument(
        "chain",
        nargs="?",
        choices=("mandelbrot", "triangular", "power-law"),
        default="mandelbrot",
    )
    parser.add_argument("--seconds", type=float, default=0.3, help="of work, about")
    parser.add_argument("--svg", type=Path, metavar="FILE", help="draw the curve")
    return parser


def _workload(name: str, seconds: float) -> tuple[Callable[[Any], Any], Sequence[Any]]:
    if name == "mandelbrot":
        return mandelbrot_row, range(round(1700 * seconds))
    triangular, power = skewed_workloads(loops_for(seconds))
    chosen = triangular if name == "triangular" else power
    assert chosen.mapped is not None
    return chosen.mapped, chosen.items


def record_costs(fn: Callable[[Any], Any], items: Sequence[Any]) -> list[float]:
    """Return the nanoseconds of each item, the fastest of some rounds."""
    clock = time.perf_counter_ns
    clock_ns = min(_elapsed(clock) for _ in range(1000))
    rounds = []
    for _ in range(ROUNDS):
        costs = []
        for item in items:
            start = clock()
            fn(item)
            costs.append(max(clock() - start - clock_ns, 1))
        rounds.append(costs)
    return [float(min(costs)) for costs in zip(*rounds, strict=True)]


def _elapsed(clock: Callable[[], int]) -> int:
    start = clock()
    return clock() - start


def measure_prices() -> Prices:
    """Measure what splitting, stealing and waking cost here.

    The price of a leaf is that of a chain of one, so rather too high.
    """
    with runtime.open_sync_pool(1) as pool:
        split = pool.run(_price, partial(runtime.join, _nothing, _nothing))
        leaf = pool.run(_price, runtime.par_iter(range(1)).map(abs).sum)
    with runtime.open_sync_pool(2) as pool:
        steals = [pool.run(_steal_latency) for _ in range(200)]
        wakes = []
        for _ in range(50):
            time.sleep(0.005)  # until the workers sleep
            start = time.perf_counter_ns()
            wakes.append(pool.run(time.perf_counter_ns) - start)
    # Below the median, since others use the machine, too, and only lengthen it.
    return Prices(split, leaf, quantile(steals, 0.25), quantile(wakes, 0.25))


def _nothing() -> None:
    pass


def _price(once: Callable[[], object]) -> float:
    """Return the nanoseconds of one call, by the best of some batches."""
    batches = []
    for _ in range(50):
        start = time.perf_counter_ns()
        for _ in range(100):
            once()
        batches.append((time.perf_counter_ns() - start) / 100)
    return min(batches)


def _steal_latency() -> float:
    """Return the time from a fork to the start of its stolen half."""
    started: list[int] = []

    def wait() -> None:
        deadline = time.perf_counter_ns() + 20_000_000
        while not started and time.perf_counter_ns() < deadline:
            pass

    start = time.perf_counter_ns()
    runtime.join(wait, lambda: started.append(time.perf_counter_ns()))
    return float(started[0] - start)


def check_table(
    fn: Callable[[Any], Any], items: Sequence[Any], costs: list[float], prices: Prices
) -> list[list[str]]:
    """Compare the replay with what one and two workers take."""
    threads = BareThreads(2)
    half = len(items) // 2
    rows = [["workers", "measured ms", "replayed ms", "same cores ms", "error"]]
    try:
        plain = _best(lambda: sum(map(fn, items)))
        sides = [
            _best(lambda part=part: sum(map(fn, part)))  # type: ignore[misc]
            for part in (items[:half], items[half:])
        ]
        both = _best(lambda: _run_sides(threads, fn, items, half))
        # How much longer a thread takes because another runs beside it.
        slowdown = both / max(sides)
        for count in (1, 2):
            with runtime.open_sync_pool(count):
                measured = _best(lambda: runtime.par_iter(items).map(fn).sum())
            replayed = replay(costs, count, prices).total_ns * plain / sum(costs)
            allowed = replayed * (slowdown if count > 1 else 1.0)
            rows.append(
                [
                    str(count),
                    f"{measured / 1e6:.1f}",
                    f"{replayed / 1e6:.1f}",
                    f"{allowed / 1e6:.1f}",
                    f"{allowed / measured - 1:+.0%}",
                ]
            )
    finally:
        threads.close()
    return rows


def _run_sides(
    threads: BareThreads, fn: Callable[[Any], Any], items: Sequence[Any], half: int
) -> None:
    threads.begin(lambda part: sum(map(fn, part)), [items[:half], items[half:]])
    threads.wait()


def _best(run: Callable[[], object]) -> float:
    times = []
    for _ in range(ROUNDS):
        start = time.perf_counter_ns()
        run()
        times.append(time.perf_counter_ns() - start)
    return float(min(times))


type Curve = list[tuple[int, float, float, float]]


def predict(costs: list[float], prices: Prices) -> tuple[list[list[str]], Curve]:
    """Return a table, and the points of the curve: speed-up and both bounds."""
    work = sum(costs)
    rows = [["workers", "speed-up", "at most", "greedy at least", "splits", "steals"]]
    curve: Curve = []
    for count in WORKERS:
        found = replay(costs, count, prices)
        shortest, greedy = greedy_bounds(costs, count, prices)
        point = count, work / found.total_ns, work / shortest, work / greedy
        curve.append(point)
        rows.append(
            [
                str(count),
                *(f"{value:.2f}" for value in point[1:]),
                str(found.splits),
                str(found.steals),
            ]
        )
    return rows, curve


def svg_of(title: str, curve: Curve) -> str:
    """Draw the curve, both axes by powers of two."""
    size, margin = 420, 50
    steps = len(WORKERS) - 1

    def at(count: float, speed_up: float) -> str:
        x = margin + size * log2(count) / steps
        y = margin + size * (1 - log2(max(speed_up, 1.0)) / steps)
        return f"{x:.0f},{y:.0f}"

    def line(which: int, colour: str, dashes: str) -> str:
        points = " ".join(at(point[0], point[which]) for point in curve)
        return (
            f'<polyline points="{points}" fill="none" stroke="{colour}" '
            f'stroke-width="2" stroke-dasharray="{dashes}"/>'
        )

    ticks = ""
    for count in WORKERS:
        x, y = at(count, count).split(",")
        ticks += f'<text x="{x}" y="{margin + size + 18}">{count}</text>'
        ticks += f'<text x="{margin - 30}" y="{y}">{count}</text>'
    width = size + 2 * margin
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {width}" '
        'font-family="sans-serif" font-size="12">'
        f'<rect width="{width}" height="{width}" fill="white"/>'
        f'<text x="{margin}" y="24">{title}: speed-up by workers; dashed: the '
        "work-span bounds</text>"
        + ticks
        + line(2, "gray", "6 4")
        + line(3, "gray", "2 4")
        + line(1, "black", "")
        + "</svg>\n"
    )


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
