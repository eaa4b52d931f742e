"""``python -m runtime map``: a function over lines or files, on all cores.

A result's way: `reader` brings chunks of input, `cutter` makes blocks of them,
a worker turns a block's items into output (`block`), and the blocks' output comes
back here in input order, by way of a `ParallelProcessor`, and goes to `writer`.

Layer: cli.
"""

import argparse
import os
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass

import trio

import runtime

from .._util import available_cores
from .block import Block, BlockResult, run_block
from .block_size import BlockSize
from .callables import check_callable, import_from_here
from .codec import CODECS, LINES, PATHS
from .console import plural, results_apart, say
from .cutter import BlockCutter
from .exits import INTERRUPTED, OK, SOME_FAILED, UNUSABLE, CommandError
from .failures import FailureReport, OnError
from .interrupt import Interrupts
from .progress import Progress, open_progress
from .reader import STDIN, check_files, read_lines, read_paths, total_bytes
from .writer import ClosedOutputError, ResultWriter

__all__ = ("run",)

_IN_FLIGHT_PER_WORKER = 4096  # measured: a quarter is 1.6 times slower with no-ops
_BLOCKS_PER_WORKER = 4  # one running, one ready, and room for uneven ones


@dataclass(frozen=True, slots=True)
class MapOptions:
    """What the user asked for."""

    callable_spec: str
    paths: tuple[str, ...]
    are_items: bool
    """Whether the paths themselves are the items."""
    input_format: str
    output_format: str
    is_ordered: bool
    on_error: OnError
    worker_count: int
    max_in_flight: int
    backend: str

    @property
    def reads_terminal(self) -> bool:
        """Whether the user types the input."""
        return STDIN in self.paths and not self.are_items and os.isatty(0)


def run(arguments: argparse.Namespace) -> int:
    """Run the command and return its exit code."""
    options = _options(arguments)
    with Interrupts() as interrupts, results_apart() as results:
        import_from_here()
        check_callable(options.callable_spec)
        check_files(options.paths)
        if options.reads_terminal:
            say("runtime map: reading lines from the terminal; Ctrl-D ends them")
        mapping = _Mapping(options, interrupts, results)
        interrupts.note_only()
        return trio.run(mapping.run)


def _options(arguments: argparse.Namespace) -> MapOptions:
    if arguments.files and not arguments.paths:
        raise CommandError("--files needs at least one file")
    if arguments.files and arguments.input:
        raise CommandError(
            "--files gives the function file names, so --input has no meaning; drop "
            "one of the two"
        )
    worker_count = arguments.workers or available_cores()
    return MapOptions(
        callable_spec=arguments.callable,
        paths=tuple(arguments.paths) or (STDIN,),
        are_items=arguments.files,
        input_format=arguments.input or LINES.name,
        output_format=arguments.output,
        is_ordered=not arguments.unordered,
        on_error=arguments.on_error,
        worker_count=worker_count,
        max_in_flight=arguments.max_in_flight or _IN_FLIGHT_PER_WORKER * worker_count,
        backend=arguments.backend,
    )


class _Mapping:
    """One run of the command.

    Thread safety: used by the Trio thread only.
    """

    def __init__(
        self, options: MapOptions, interrupts: Interrupts, results: int
    ) -> None:
        self._options = options
        self._interrupts = interrupts
        self._items_done = 0
        self._failures = FailureReport(options.on_error)
        self._writer = ResultWriter(results)
        self._scope = trio.CancelScope()
        blocks = min(options.max_in_flight, _BLOCKS_PER_WORKER * options.worker_count)
        self._blocks_in_flight = blocks
        self._cutter = BlockCutter(
            callable_spec=options.callable_spec,
            codec=PATHS if options.are_items else CODECS[options.input_format],
            output=options.output_format,
            stop_at_failure=options.on_error == "stop",
            size=BlockSize(limit=options.max_in_flight // blocks),
        )

    async def run(self) -> int:
        """Map everything, say how it ended, and return the exit code."""
        token = trio.lowlevel.current_trio_token()
        self._interrupts.on_first = lambda: token.run_sync_soon(self._stop)
        if self._interrupts.seen:
            self._stop()
        try:
            with self._scope:
                await self._map()
        except ClosedOutputError:
            pass
        finally:
            self._interrupts.note_only()
        return self._conclude()

    def _stop(self) -> None:
        say("runtime map: stopping; Ctrl-C again ends at once")
        self._scope.cancel()

    async def _map(self) -> None:
        options = self._options
        total = len(options.paths) if options.are_items else total_bytes(options.paths)
        async with runtime.open_worker_pool(
            options.worker_count, backend=options.backend, name="map"
        ) as pool:
            # A bar would get into what the user types.
            with open_progress(
                "map", "item", total, is_wanted=not options.reads_terminal
            ) as progress:
                async with (
                    aclosing(self._blocks()) as blocks,
                    runtime.ParallelProcessor(
                        run_block, self._processor_config(), pool=pool
                    ) as processor,
                    processor.process(blocks, ordered=options.is_ordered) as results,
                ):
                    async for result in results:
                        await self._take(result.unwrap(), progress)
                        if self._failures.count and options.on_error == "stop":
                            return

    def _processor_config(self) -> runtime.ParallelConfig:
        """Return a configuration that sends each block by itself."""
        return runtime.ParallelConfig(
            batch_size=1,
            max_pending_tasks=self._blocks_in_flight,
            enable_statistics=False,
        )

    def _blocks(self) -> AsyncGenerator[Block]:
        paths = self._options.paths
        if self._options.are_items:
            return self._cutter.cut(read_paths(paths))
        return self._cutter.cut(read_lines(paths, self._cutter.codec))

    async def _take(self, result: BlockResult, progress: Progress) -> None:
        """Write one block's results and count its items.

        Raises:
          CommandError: the worker could not import the function.
        """
        if result.unloadable:
            spec = self._options.callable_spec
            raise CommandError(f"a worker cannot import {spec}: {result.unloadable}")
        if self._writer.is_terminal and progress.is_shown:
            progress.write_above(result.output.decode("utf-8", "replace"))
        else:
            await self._writer.write(result.output)
        self._failures.add(result.failures)
        self._cutter.size.learn(result.item_count, result.elapsed_ns)
        self._items_done += result.item_count
        amount = result.item_count if self._options.are_items else result.input_bytes
        progress.advance(result.item_count, amount)

    def _conclude(self) -> int:
        self._failures.summarise(self._items_done)
        if self._interrupts.seen:
            say(f"runtime map: stopped after {self._how_far()}")
            return INTERRUPTED
        if self._cutter.error:
            say(f"runtime map: {self._cutter.error}")
            return UNUSABLE
        return SOME_FAILED if self._failures.count else OK

    def _how_far(self) -> str:
        done = plural(self._items_done, "item")
        if not self._options.are_items:
            return done
        return f"{self._items_done:,} of {plural(len(self._options.paths), 'item')}"
