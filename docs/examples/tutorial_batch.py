import mandelbrot
import trio

import runtime


async def main() -> None:
    async with runtime.open_worker_pool() as pool:
        lines = await pool.spawn_parallel_batch(
            range(mandelbrot.HEIGHT), mandelbrot.row
        )
    print(*lines, sep="\n")


if __name__ == "__main__":
    trio.run(main)
