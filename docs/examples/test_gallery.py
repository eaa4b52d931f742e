import mandelbrot
import trio
import trio.testing

import runtime
import runtime.testing


# The code under test takes the pool as an argument.
async def draw(pool: runtime.WorkerPool, lines: range) -> str:
    with trio.fail_after(5):
        return "\n".join(await pool.spawn_parallel_batch(lines, mandelbrot.row))


async def test_draw_joins_the_lines(autojump_clock: trio.testing.MockClock) -> None:
    async with runtime.testing.inline_pool() as pool:
        text = await draw(pool, range(2))
    assert text.count("\n") == 1
