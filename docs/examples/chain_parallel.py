import collatz

import runtime


def is_even(steps: int) -> bool:
    return steps % 2 == 0


with runtime.open_sync_pool():
    chain = runtime.par_iter(range(1, 20_000)).map(collatz.length)
    print(chain.filter(is_even).sum())
