import mandelbrot
import trio

import runtime


async def main() -> None:
    lines: dict[int, str] = {}

    async def draw(line: int) -> None:
        lines[line] = await pool.spawn_cpu_work(mandelbrot.row, line)

    async with runtime.open_worker_pool() as pool, trio.open_nursery() as nursery:
        for line in range(mandelbrot.HEIGHT):
            nursery.start_soon(draw, line)

    print(len(lines), "lines")


if __name__ == "__main__":
    trio.run(main)
