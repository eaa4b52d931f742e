"""What keeps two threads apart, and what a chain does about it.

Prints how many times faster than plain Python on one thread two bare threads are, each
with its half of the work, and a parallel chain on two workers.
"""

import functools
import gc
import os
import threading
import time
from collections.abc import Callable, Sequence
from statistics import median
from typing import Any

import runtime

COUNT = 200_000
ROUNDS = 9
CORES = os.sched_getaffinity(0)


def tenth(x: float) -> float:
    return x * 0.5 + 1.0 - x * 0.25


def cheap(x: int) -> int:
    return (x * 209 + 11) % 251


def make_closure(factor: int, modulus: int) -> Callable[[int], int]:
    return lambda x: (x * factor + 11) % modulus


class Scaler:
    factor = 209

    def scale(self, x: int) -> int:
        return (x * self.factor + 11) % 251


def seconds(run: Callable[[], object]) -> float:
    gc.collect()
    start = time.perf_counter()
    run()
    return time.perf_counter() - start


def pin(core: int) -> None:
    """Keep this thread on one core, so that the system moves nothing meanwhile."""
    os.sched_setaffinity(0, {sorted(CORES)[core]})


def pin_worker() -> None:
    worker = runtime.lowlevel.current_worker()
    assert worker is not None
    pin(worker.index)


def run_on_core(core: int, fn: Callable[[Any], Any], items: Sequence[Any]) -> None:
    pin(core)
    sum(map(fn, items))


def in_two_threads(fn: Callable[[Any], Any], items: Sequence[Any]) -> None:
    half = len(items) // 2
    threads = [
        threading.Thread(target=run_on_core, args=[core, fn, part])
        for core, part in enumerate((items[:half], items[half:]))
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def compare(fn: Callable[[Any], Any], items: Sequence[Any]) -> tuple[float, float]:
    threads, chain = [], []
    for _ in range(ROUNDS):
        plain = seconds(lambda: sum(map(fn, items)))
        threads.append(plain / seconds(lambda: in_two_threads(fn, items)))
        chain.append(plain / seconds(lambda: runtime.par_iter(items).map(fn).sum()))
    return median(threads), median(chain)


def main() -> None:
    floats = [i * 0.37 for i in range(COUNT)]
    large = [i * 1000 + 7 for i in range(COUNT)]
    numbers = range(2 * COUNT)
    partial = functools.partial(lambda k, x: (x * k + 11) % 251, 209)
    cases: list[tuple[str, Callable[[Any], Any], Sequence[Any]]] = [
        ("function of a module, range", cheap, numbers),
        ("lambda, range", lambda x: (x * 209 + 11) % 251, numbers),
        ("closure over small ints, range", make_closure(209, 251), numbers),
        ("closure over large ints, range", make_closure(20900, 25100), numbers),
        ("partial, range", partial, numbers),
        ("bound method, range", Scaler().scale, numbers),
        ("list of floats", tenth, floats),
        ("list of large ints", cheap, large),
    ]
    print(f"{'':32} threads  chain")
    with runtime.open_sync_pool(2):
        runtime.broadcast(pin_worker)
        for name, fn, items in cases:
            threads, chain = compare(fn, items)
            print(f"{name:32} {threads:7.2f} {chain:6.2f}")


main()
