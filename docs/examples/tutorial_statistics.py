import mandelbrot
import trio

import runtime


async def main() -> None:
    async with runtime.open_worker_pool(worker_count=2) as pool:
        await pool.spawn_parallel_batch(range(mandelbrot.HEIGHT), mandelbrot.row)
        statistics = pool.statistics()

    print("work completed:", statistics.jobs_completed)
    print("pieces run:", statistics.jobs_executed)
    print("pieces stolen:", statistics.jobs_stolen)
    for worker in statistics.workers:
        print(f"worker {worker.worker_index}: busy for {worker.busy_ns} ns")


if __name__ == "__main__":
    trio.run(main)
