"""What `runtime.from_worker` and `runtime.blocking` are inside an interpreter.

Layer: backends, worker side.
"""

import sys
from types import ModuleType

from .crew import Runner, runner_of_job
from .questions import encode_question, unwrap

TYPE_CHECKING = False  # not from typing, which is slow to import
if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from typing import Never

__all__ = ("blocking", "install", "run", "run_sync")


def run(
    async_fn: "Callable[..., Awaitable[object]]", *args: object, **keywords: "Never"
) -> object:
    """Run ``await async_fn(*args)`` in Trio; see `runtime.from_worker.run`."""
    if keywords:
        _refuse_keywords(keywords, async_fn, "runtime.from_worker.run")
    return _ask("runtime.from_worker.run()", async_fn, args, is_async=True)


def run_sync(fn: "Callable[..., object]", *args: object, **keywords: "Never") -> object:
    """Run ``fn(*args)`` in the Trio thread; see `runtime.from_worker.run_sync`."""
    if keywords:
        _refuse_keywords(keywords, fn, "runtime.from_worker.run_sync")
    return _ask("runtime.from_worker.run_sync()", fn, args, is_async=False)


def _refuse_keywords(keywords: "dict[str, Never]", fn: object, call: str) -> None:
    from .._util import check_keywords  # late, for each worker would pay for it

    check_keywords(keywords, fn, call)


def _ask(
    verb: str,
    fn: "Callable[..., object]",
    args: tuple[object, ...],
    *,
    is_async: bool,
) -> object:
    runner = runner_of_job(verb, "the call in the job's own thread")
    frames = encode_question(fn, args, is_async=is_async)
    job = runner.job
    assert job is not None
    runner.begin_wait()  # ASK-1 step aside; may refuse, so before the question
    try:
        answer, frames = runner.crew.worker.ask(job, frames)  # ASK-2 post, ASK-3 wait
    finally:
        runner.end_wait()  # ASK-6 come back
    return unwrap(answer, frames, runner.crew.pool_name)


class blocking:
    """A block in which another thread runs jobs; see `runtime.blocking`."""

    __slots__ = ("_runner",)

    def __init__(self) -> None:
        self._runner: Runner = runner_of_job(
            "runtime.blocking()", "the block in the job's own thread"
        )  # immutable

    def __enter__(self) -> None:
        self._runner.begin_wait()

    def __exit__(self, *_error: object) -> None:
        self._runner.end_wait()


def install(facade: ModuleType) -> None:
    """Take the places of the public names."""
    # Under its module's name, too: a function is found by it that came from there.
    from_worker = ModuleType(f"{facade.__name__}.from_worker", run.__doc__)
    from_worker.run = run  # type: ignore[attr-defined]
    from_worker.run_sync = run_sync  # type: ignore[attr-defined]
    sys.modules[from_worker.__name__] = from_worker
    facade.from_worker = from_worker  # type: ignore[attr-defined]
    facade.blocking = blocking  # type: ignore[attr-defined]
