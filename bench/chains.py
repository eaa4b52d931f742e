"""What the chains compute: functions of a module, plain loops beside parallel chains.

A workload is one chain in three forms: over plain Python, over a part of the items as a
hand-cut thread would run it, and over a `ParIter`.
"""

import json
import math
import operator
import sysconfig
from array import array
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from functools import reduce
from itertools import cycle, islice
from pathlib import Path
from random import Random
from typing import Any

from .lengths import heavy_tail_shares
from .work import spin

__all__ = ("Workload", "chain_workloads", "cheap", "skewed_workloads", "tenth", "unit")

type Chain = Any  # a runtime.ParIter whose terminal is awaited


@dataclass(frozen=True, slots=True)
class Workload:
    """One chain."""

    name: str
    items: Sequence[Any]
    plain: Callable[[Any], Any]
    """The answer for some of the items, in plain Python."""
    chain: Callable[[Chain], Awaitable[Any]]
    """The same over a parallel chain of the items."""
    merge: Callable[[list[Any]], Any]
    """The answer out of the parts' answers."""
    mapped: Callable[[Any], Any] | None = None
    """If it is a sum over a function: the function, for peers that can do that."""
    speed_up: float | None = None
    """What is asked for against plain Python."""
    of_ceiling: float | None = None
    """What is asked for against the ceiling."""
    crosses: bool = True
    """Whether its functions can be imported, and so sent to an interpreter."""


def summed(
    name: str, items: Sequence[Any], fn: Callable[[Any], Any], **options: Any
) -> Workload:
    """Make the workload ``sum(map(fn, items))``."""

    def plain(part: Any) -> Any:
        return sum(map(fn, part))

    def chain(par: Chain) -> Awaitable[Any]:
        answer: Awaitable[Any] = par.map(fn).sum()
        return answer

    return Workload(name, items, plain, chain, sum, mapped=fn, **options)


def cheap(x: int) -> int:
    """A few instructions, about 0.06 us."""
    return (x * 209 + 11) % 251


def tenth(x: float) -> float:
    """About 0.1 us."""
    return (x * 0.5 + 1.0 - x * 0.25) * 1.5 - x * 0.125


def unit(x: float) -> float:
    """About 1 us."""
    y = x
    for _ in range(28):
        y = y * 0.5 + 1.0
    return y


def mandelbrot_row(row: int) -> int:
    """Steps of one row of the picture; rows in the middle cost most."""
    total = 0
    for column in range(60):
        c = complex(column / 30 - 1.5, row / 120 - 1)
        z = 0j
        for _ in range(60):
            if abs(z) > 2:
                break
            z = z * z + c
            total += 1
    return total


def collatz_length(number: int) -> int:
    """Steps until 1."""
    steps = 0
    while number != 1:
        number = number // 2 if number % 2 == 0 else 3 * number + 1
        steps += 1
    return steps


def parsed_value(line: str) -> int:
    """Parse a line and take something of it."""
    return int(json.loads(line)["n"]["x"])


def make_closure() -> Callable[[int], int]:
    """Return `cheap` with its constants in a closure."""
    factor, modulus = 209, 251
    return lambda x: (x * factor + 11) % modulus


def _json_lines(count: int) -> list[str]:
    return [
        json.dumps(
            {"id": i, "tags": ["a", "b", str(i)], "n": {"x": i, "y": [i, i + 1]}}
        )
        for i in range(count)
    ]


def _text(line_count: int) -> list[str]:
    """Lines of the standard library's modules, by name: text that is everywhere."""
    modules = sorted(Path(sysconfig.get_path("stdlib")).glob("*.py"))
    lines = (line for path in modules for line in path.open(encoding="utf-8"))
    return list(islice(cycle(lines), line_count))


def _word_counts(line_count: int) -> Workload:
    def plain(lines: Any) -> Counter[str]:
        return Counter(word for line in lines for word in line.split())

    return Workload(
        "word counts",
        _text(line_count),
        plain,
        lambda par: par.flat_map(str.split).counter(),
        lambda parts: reduce(operator.add, parts),
        of_ceiling=0.97,
    )


def _matrix_product(size: int) -> Workload:
    random = Random(1)
    rows = [[random.random() for _ in range(size)] for _ in range(size)]
    columns = [[random.random() for _ in range(size)] for _ in range(size)]

    def product_row(row: list[float]) -> float:
        return math.fsum(sum(map(operator.mul, row, column)) for column in columns)

    return Workload(
        "matrix product",
        rows,
        lambda part: list(map(product_row, part)),
        lambda par: par.map(product_row).collect(),
        lambda parts: [value for part in parts for value in part],
        of_ceiling=0.97,
        crosses=False,
    )


def chain_workloads(scale: float) -> list[Workload]:
    """Return the workloads, as large as `scale` says; 1.0 is for claims."""
    count = int(1_000_000 * scale)
    floats = [i * 0.37 for i in range(count)]
    both = {"speed_up": 1.8, "of_ceiling": 0.97}
    return [
        summed("range, map + sum", range(count), cheap, **both),
        summed("array, map + sum", array("d", floats), tenth, **both),
        summed("Mandelbrot rows", range(int(240 * scale)), mandelbrot_row, **both),
        summed(
            "collatz lengths", range(1, int(12_000 * scale)), collatz_length, **both
        ),
        summed("JSON lines", _json_lines(count // 40), parsed_value, of_ceiling=0.97),
        _word_counts(count // 16),
        _matrix_product(int(130 * scale**0.5)),
        summed("floats of main, 0.1 us", floats, tenth, of_ceiling=1.0),
        summed("floats of main, 1 us", floats[: count // 10], unit, speed_up=1.4),
        summed("lambda", range(count), lambda x: (x * 209 + 11) % 251, crosses=False),
        summed("closure", range(count), make_closure(), crosses=False),
    ]


def skewed_workloads(loops: int) -> list[Workload]:
    """Return two workloads of very unequal items; `loops` in all."""
    count = 400
    triangle = [max(1, round(2 * loops * i / count**2)) for i in range(count)]
    power = [max(1, round(loops * share)) for share in heavy_tail_shares(count)]
    return [
        summed("triangular costs", triangle, spin),
        summed("power-law costs", power, spin),
    ]
