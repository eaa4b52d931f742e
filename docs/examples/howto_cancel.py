import threading

import trio

import runtime


def wait_politely(begun: threading.Event) -> None:
    begun.set()
    while True:
        runtime.check_cancelled()


async def with_a_deadline(pool: runtime.WorkerPool) -> None:
    with trio.move_on_after(0.1) as scope:
        await pool.spawn_cpu_work(wait_politely, threading.Event())
    print("deadline:", "expired" if scope.cancelled_caught else "met")


async def by_its_handle(pool: runtime.WorkerPool) -> None:
    begun = threading.Event()
    job = await pool.submit(wait_politely, begun)
    await trio.to_thread.run_sync(begun.wait)
    job.cancel()
    try:
        await job.wait()
    except runtime.TaskCancelled as error:
        print("handle:", error)


async def leaving_it_behind(pool: runtime.WorkerPool) -> None:
    release = threading.Event()
    with trio.move_on_after(0.1):
        await pool.spawn_cpu_work(release.wait, on_cancel="abandon")
    print("abandoned:", pool.statistics().abandoned)
    release.set()  # else the pool's block would wait for the job


async def main() -> None:
    # Threads, for the jobs share events with the task.
    async with runtime.open_worker_pool(backend="threads") as pool:
        await with_a_deadline(pool)
        await by_its_handle(pool)
        await leaving_it_behind(pool)


if __name__ == "__main__":
    trio.run(main)
