"""Find the ceiling: the same work hand-cut into bare threads, without any pool.

What threads can gain on this machine and this work is not the number of cores:
memory, the allocator and the interpreter's own locks take their part. So the
demo's speed-up stands beside what the best cut into bare threads reaches, made
with knowledge no scheduler has: the measured cost of every item.

Layer: cli.
"""

import heapq
import threading
from collections.abc import Callable, Sequence

__all__ = ("cut_by_cost", "run_in_threads")


def cut_by_cost[T](
    items: Sequence[T], costs: Sequence[float], part_count: int
) -> list[list[T]]:
    """Cut items into parts of about equal total cost.

    The dearest item first, each to the part that is cheapest so far; the largest
    part is then at most a third above the best possible.

    Source: Graham 1969, the LPT rule.
    """
    parts: list[list[T]] = [[] for _ in range(part_count)]
    cheapest = [(0.0, index) for index in range(part_count)]
    by_cost = sorted(zip(costs, items, strict=True), key=lambda pair: -pair[0])
    for cost, item in by_cost:
        total, index = heapq.heappop(cheapest)
        parts[index].append(item)
        heapq.heappush(cheapest, (total + cost, index))
    return parts


def run_in_threads[T, R](
    fn: Callable[[T], R], parts: Sequence[Sequence[T]]
) -> list[dict[T, R]]:
    """Run each part in its own thread and return the results by item."""
    results: list[dict[T, R]] = [{} for _ in parts]
    threads = [
        threading.Thread(target=_run_part, args=(fn, part, answers), daemon=True)
        for part, answers in zip(parts, results, strict=True)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return results


def _run_part[T, R](
    fn: Callable[[T], R], part: Sequence[T], answers: dict[T, R]
) -> None:
    for item in part:
        answers[item] = fn(item)
