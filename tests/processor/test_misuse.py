"""What a newcomer writes, and what the errors tell him to write instead."""

import functools
import math
import subprocess
import sys
import textwrap

import handlers
import pytest
import trio

import runtime
from runtime._backends import why_unavailable

BLOCK = r"write instead: async with runtime\.ParallelProcessor\(\.\.\.\) as processor:"
INTERPRETERS = pytest.mark.skipif(
    why_unavailable("interpreters") is not None, reason="no interpreters"
)


async def handle(request):
    return request


async def stream(request):
    yield request


class Handler:
    async def __call__(self, request):
        return request

    async def handle(self, request):
        return request


@pytest.mark.parametrize(
    ("handler", "name"),
    [
        (handle, "handle"),
        (stream, "stream"),
        (functools.partial(handle), "handle"),
        (Handler(), "Handler"),
        (Handler().handle, "Handler.handle"),
    ],
)
def test_async_handler(handler, name):
    with pytest.raises(TypeError, match=rf"but {name} is async; write instead: def "):
        runtime.ParallelProcessor(handler)


@pytest.mark.parametrize(
    "backend", ["threads", pytest.param("interpreters", marks=INTERPRETERS)]
)
@pytest.mark.parametrize("takes_batch", [False, True])
@pytest.mark.parametrize("kind", ["coroutine", "async_generator"])
async def test_handler_that_turns_out_to_be_async(backend, takes_batch, kind):
    handler = getattr(handlers, f"make_{kind}" + "s" * takes_batch)
    config = runtime.ParallelConfig(worker_count=1, backend=backend)
    async with runtime.ParallelProcessor(
        handler, config, takes_batch=takes_batch
    ) as processor:
        match = rf"make_{kind}.* returned an? {kind.replace('_', ' ')}"
        with pytest.raises(TypeError, match=match):
            await processor.execute(1)


@pytest.mark.parametrize("option", ["prepare", "finish"])
async def test_hook_that_is_not_async(pool, make, option):
    def hook(value):
        return value

    async with make(pool, **{option: hook}) as processor:
        with pytest.raises(TypeError, match=r"hook.* write instead: async def .*hook"):
            await processor.execute(1)
    with pytest.raises(TypeError, match="needs an async function, not 3"):
        make(pool, **{option: 3})


def test_block_opened_by_with():
    with pytest.raises(TypeError, match=BLOCK), runtime.ParallelProcessor(int):
        pass


async def test_block_that_is_awaited(make):
    with pytest.raises(TypeError, match=BLOCK):
        await runtime.ParallelProcessor(int)


async def test_block_opened_twice_or_never(pool, make):
    processor = make(pool)
    for use in (processor.execute, processor.execute_parallel_batch):
        with pytest.raises(RuntimeError, match=BLOCK):
            await use([1])
    with pytest.raises(RuntimeError, match=BLOCK):
        processor.process([1])
    async with processor:
        pass
    with pytest.raises(RuntimeError, match=f"only once; {BLOCK}"):
        async with processor:
            pass


async def test_stream_without_its_block(pool, make):
    async with make(pool) as processor:
        responses = processor.process([1])
        with pytest.raises(TypeError, match="write instead: async with"):
            async for _ in responses:
                pass
        with pytest.raises(TypeError, match="write instead: async with"):
            await processor.process([1])
        with (
            pytest.raises(TypeError, match="write instead: async with"),
            processor.process([1]),
        ):
            pass


@pytest.mark.parametrize("option", [{"priority": "high"}, {"deadline": 2.0}])
@pytest.mark.parametrize("by_request", [False, True])
async def test_option_of_requests(pool, make, option, by_request):
    ((name, value),) = option.items()
    kind = {"priority": TypeError, "deadline": ValueError}[name]
    given = {name: (lambda _request: value) if by_request else value}
    async with make(pool) as processor:
        if by_request:
            (answer,) = await processor.execute_parallel_batch([1], **given)
            assert isinstance(answer.error, kind)
        else:
            for use in (processor.execute, processor.execute_parallel_batch):
                with pytest.raises(kind, match=name):
                    await use([1], **given)
            with pytest.raises(kind, match=name):
                processor.process([1], **given)


async def test_deadline_in_seconds_names_the_right_line(pool, make):
    async with make(pool) as processor:
        with pytest.raises(ValueError, match=r"deadline=trio.current_time\(\) \+ 2.0"):
            await processor.execute(1, deadline=2.0)


async def test_deadline_that_is_over_is_none_of_it(pool, make):
    async with make(pool) as processor:
        for deadline in (trio.current_time() - 1, -math.inf):
            with pytest.raises(runtime.TaskCancelled) as caught:
                await processor.execute(1, deadline=deadline)
            assert caught.value.reason is runtime.CancelReason.DEADLINE


@pytest.mark.parametrize("deadline", [1e18, 1e308, 2**62, 10**30])
async def test_deadline_that_never_comes(pool, make, deadline):
    async with make(pool) as processor:
        assert await processor.execute(1, deadline=deadline) == 1


async def test_deadline_near_zero_is_a_time_of_a_tests_clock(
    pool, make, autojump_clock
):
    async with make(pool) as processor:
        assert trio.current_time() < 100
        assert await processor.execute(1, deadline=100) == 1


# A handler that does not come to the workers. `readline` refuses interpreters.

SCRIPT = """
import {script_imports}
import runtime, trio
from {home} import handler

async def main():
    config = runtime.ParallelConfig(worker_count=1, backend="{backend}")
    async with runtime.ParallelProcessor(handler, config) as processor:
        print("opened", await processor.execute(1))

if __name__ == "__main__":
    trio.run(main)
"""
HANDLER = """
import {imports}

def handler(request):
    return 2 * request
"""


def run_script(tmp_path, script_imports, handler_imports, backend="interpreters"):
    """Run a script whose handler is in it, or, with imports of its own, beside it."""
    script = SCRIPT.format(script_imports=script_imports, home="mine", backend=backend)
    if handler_imports is None:
        handler = HANDLER.format(imports=script_imports)
        script = script.replace("from mine import handler", handler)
    else:
        (tmp_path / "mine.py").write_text(HANDLER.format(imports=handler_imports))
    path = tmp_path / "script.py"
    path.write_text(textwrap.dedent(script))
    return subprocess.run(
        [sys.executable, path], capture_output=True, text=True, timeout=60, check=False
    )


@INTERPRETERS
def test_handler_in_a_script_that_imports_what_refuses(tmp_path):
    done = run_script(tmp_path, "readline", None)
    assert done.returncode == 1
    assert "opened" not in done.stdout
    last = done.stderr.strip().splitlines()[-1]
    assert "handler handler cannot be loaded inside a worker" in last
    assert "put it into a module of its own" in last
    assert "'readline'" in last


@INTERPRETERS
def test_handler_in_a_module_that_imports_what_refuses(tmp_path):
    done = run_script(tmp_path, "json", "readline")
    assert done.returncode == 1
    assert "opened" not in done.stdout
    last = done.stderr.strip().splitlines()[-1]
    assert "handler handler cannot be loaded inside a worker" in last
    assert "module of its own" not in last
    assert "'readline'" in last


@INTERPRETERS
def test_handler_in_a_module_of_its_own(tmp_path):
    done = run_script(tmp_path, "readline", "json")
    assert done.stdout == "opened 2\n", done.stderr


def test_threads_load_nothing(tmp_path):
    done = run_script(tmp_path, "readline", None, "threads")
    assert done.stdout == "opened 2\n", done.stderr
