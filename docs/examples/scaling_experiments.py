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


PARAMETERS = {"factor": 209, "offset": 11}


def with_parameters(x: int) -> int:
    return (x * PARAMETERS["factor"] + PARAMETERS["offset"]) % 251


def length_and_more(word: str) -> int:
    total = len(word)
    for i in range(20):
        total = (total * 5 + i) % 251
    return total


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


def run_on_core(core: int, run: Callable[[Any], object], items: Sequence[Any]) -> None:
    pin(core)
    run(items)


def in_two_threads(run: Callable[[Any], object], items: Sequence[Any]) -> None:
    half = len(items) // 2
    threads = [
        threading.Thread(target=run_on_core, args=[core, run, part])
        for core, part in enumerate((items[:half], items[half:]))
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def compare(fn: Callable[[Any], Any], items: Sequence[Any]) -> tuple[float, float]:
    return times_faster(
        lambda part: sum(map(fn, part)),
        lambda: runtime.par_iter(items).map(fn).sum(),
        items,
    )


def compare_kept(fn: Callable[[Any], Any], items: Sequence[Any]) -> tuple[float, float]:
    kept: list[list[Any]] = []
    found = times_faster(
        lambda part: kept.append(list(map(fn, part))),
        lambda: kept.append(runtime.par_iter(items).map(fn).collect()),
        items,
        kept.clear,
    )
    return found


def times_faster(
    plain: Callable[[Any], object],
    chain: Callable[[], object],
    items: Sequence[Any],
    after: Callable[[], object] = lambda: None,
) -> tuple[float, float]:
    in_threads, in_chain = [], []
    for _ in range(ROUNDS):
        alone = seconds(lambda: (plain(items), after()))
        in_threads.append(
            alone / seconds(lambda: (in_two_threads(plain, items), after()))
        )
        in_chain.append(alone / seconds(lambda: (chain(), after())))
    return median(in_threads), median(in_chain)


def main() -> None:
    floats = [i * 0.37 for i in range(COUNT)]
    large = [i * 1000 + 7 for i in range(COUNT)]
    numbers = range(2 * COUNT)
    words = [f"word {i}" for i in range(COUNT)]
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
        ("list of strings, 0.05 us", len, words),
        ("list of strings, 1 us", length_and_more, words[: COUNT // 4]),
        ("a global dict read twice", with_parameters, numbers),
    ]
    print(f"{'':32} threads  chain")
    with runtime.open_sync_pool(2):
        runtime.broadcast(pin_worker)
        for name, fn, items in cases:
            threads, chain = compare(fn, items)
            print(f"{name:32} {threads:7.2f} {chain:6.2f}")
        threads, chain = compare_kept(tenth, numbers)
        print(f"{'results kept, and freed by main':32} {threads:7.2f} {chain:6.2f}")


main()
