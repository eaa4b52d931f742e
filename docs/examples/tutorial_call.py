import mandelbrot
import trio

import runtime


def picture() -> str:
    return "\n".join(map(mandelbrot.row, range(mandelbrot.HEIGHT)))


async def main() -> None:
    ticks = 0

    async def tick() -> None:
        nonlocal ticks
        while True:
            await trio.sleep(0.01)
            ticks += 1

    async with trio.open_nursery() as nursery:
        nursery.start_soon(tick)
        text = await runtime.spawn_cpu_work(picture)
        nursery.cancel_scope.cancel()
    print(len(text.splitlines()), "lines; Trio went on meanwhile:", ticks > 0)


if __name__ == "__main__":
    trio.run(main)
