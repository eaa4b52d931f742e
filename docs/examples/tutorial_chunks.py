import trio

import runtime


def square(x: int) -> int:
    return x * x


def sums(numbers: list[int]) -> list[int]:
    total = sum(numbers)
    return [total] * len(numbers)  # one result for each item


async def main() -> None:
    async with runtime.open_worker_pool() as pool:
        squares = await pool.spawn_chunked_parallel(range(50), 10, square)
        totals = await pool.spawn_chunked_parallel(range(6), 2, sums, takes_chunk=True)
    print(len(squares), "squares, the last is", squares[-1])
    print(totals)


if __name__ == "__main__":
    trio.run(main)
