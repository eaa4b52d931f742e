import math
import operator
from collections.abc import Iterator

import runtime

TEXT = ["the quick brown fox", "jumps over the lazy dog", "the end"]


def numbered(lines: list[str]) -> Iterator[str]:
    """Stand for an open file: an iterator of lines."""
    yield from lines


def mean(numbers: list[float]) -> float:
    return sum(numbers) / len(numbers)


with runtime.open_sync_pool(2):
    # Words of a file, whose lines are pulled by one worker at a time.
    words = runtime.par_iter(numbered(TEXT)).flat_map(str.split)
    print(words.counter().most_common(1))
    # The first number that fits; what lies behind it is not looked at.
    roots = runtime.par_iter(range(10**9)).map(math.sqrt)
    print(roots.position(lambda root: root > 100))
    # Means of neighbours.
    print(runtime.par_iter([1.0, 2.0, 5.0, 8.0]).chunks(2).map(mean).collect())
    # A product, grouped the same way every time, so with the same last bits.
    tenths = runtime.par_iter(range(1, 60)).map(lambda n: n / 10)
    print(tenths.reduce_deterministic(operator.mul) > 0)
    # Recursion: both halves at once, if somebody is free.
    print(runtime.join(lambda: sum(range(10)), lambda: max(range(10))))
