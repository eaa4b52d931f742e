import collatz
import trio

import runtime


def is_even(steps: int) -> bool:
    return steps % 2 == 0


async def main() -> None:
    async with runtime.open_worker_pool() as pool:
        chain = pool.par_iter(range(1, 20_000)).map(collatz.length)
        print(await chain.filter(is_even).sum())


if __name__ == "__main__":
    trio.run(main)
