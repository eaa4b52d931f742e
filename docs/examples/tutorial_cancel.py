import mandelbrot
import trio

import runtime


def draw_for_ever() -> None:
    while True:
        for line in range(mandelbrot.HEIGHT):
            mandelbrot.row(line)
            runtime.check_cancelled()


async def main() -> None:
    async with runtime.open_worker_pool() as pool:
        with trio.move_on_after(0.2) as scope:
            await pool.spawn_cpu_work(draw_for_ever)
        if scope.cancelled_caught:
            print("stopped after 0.2 seconds")


if __name__ == "__main__":
    trio.run(main)
