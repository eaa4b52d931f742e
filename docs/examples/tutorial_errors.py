import mandelbrot
import outcome
import trio

import runtime


async def main() -> None:
    async with runtime.open_worker_pool() as pool:
        try:
            await pool.spawn_cpu_work(mandelbrot.row, 99)
        except ValueError as error:
            print("one call:", error)

        try:
            await pool.spawn_parallel_batch([0, 1, 99], mandelbrot.row)
        except* ValueError as group:
            print("a batch:", *group.exceptions)

        results = await pool.spawn_parallel_batch(
            [0, 1, 99], mandelbrot.row, on_error="return"
        )
        for result in results:
            match result:
                case outcome.Value(text):
                    print("a line of", len(text), "characters")
                case outcome.Error(error):
                    print("an error:", error)


if __name__ == "__main__":
    trio.run(main)
