import trio

import runtime


def count_primes(start: int) -> int:
    numbers = range(start, start + 5000)
    return sum(all(n % d for d in range(2, int(n**0.5) + 1)) for n in numbers)


async def main() -> None:
    async with runtime.open_worker_pool() as pool:
        counts = await pool.spawn_parallel_batch(range(2, 100_000, 5000), count_primes)
    print(sum(counts), "primes")


if __name__ == "__main__":
    trio.run(main)
