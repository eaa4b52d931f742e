from itertools import count

import mandelbrot
import trio

import runtime


def lasting(number: int) -> tuple[int, int]:
    """Return the number of the point and the steps it takes to escape."""
    return number, mandelbrot.steps(-0.75, 1 / (number + 1))


async def main() -> None:
    async with (
        runtime.open_worker_pool() as pool,
        pool.map(lasting, count()) as results,
    ):
        async for number, steps in results:
            if steps > 1000:
                print(f"point {number} is the first to take more than 1000 steps")
                break


if __name__ == "__main__":
    trio.run(main)
