"""The unit of work of ``map``: a run of neighbouring items, done by one job.

A job per line would cost more than most lines are worth. So the command sends
*blocks*: some input bytes with whole items in them, from which the worker makes
the items, calls the user's function for each, and returns the output bytes of
all. Everything that crosses is bytes, text and ints, and every item is made and
dropped by the worker that uses it.

`run_block` never raises because of an item: what failed is described in the
result, in words, since an exception and its traceback may not be able to cross.

Layer: cli; runs inside workers.
"""

import os
import sys
import time
import traceback
from types import GeneratorType, TracebackType
from typing import NamedTuple

import runtime

from .. import _backends
from .._backends import refused
from .._backends.native_parts import own_context
from .._errors import JobCancelled, JobInterrupted
from .._unawaited import UNAWAITED
from .._util import close_unawaited
from .callables import load_callable
from .codec import CODECS, LINES, Codec
from .one_line import one_line

__all__ = ("Block", "BlockResult", "Failure", "run_block")

# What `str` would show as an address.
_MISTAKABLE = (GeneratorType, *UNAWAITED)

_PACKAGE = os.path.dirname(os.path.dirname(__file__)) + os.sep


class Block(NamedTuple):
    """Some neighbouring items of one source, and what to do with them."""

    callable_spec: str
    codec: str
    stop_at_failure: bool
    source: str
    first_line: int
    """Where in the source the first item is, from 1."""
    first_item: int
    """Which item of the whole input that is, from 1."""
    data: bytes
    output: str = LINES.name
    """Codec of the results."""


class Failure(NamedTuple):
    """One item that failed, in words."""

    number: int
    """Which item of the whole input, from 1."""
    place: str
    """``FILE:LINE``, or the path the function was given."""
    error: str
    """Type and message, one line."""
    traceback: str
    """The user's frames and the error; only the error where there are none."""


class BlockResult(NamedTuple):
    """What came out of one block."""

    item_count: int
    """How many items were tried: all, unless told to stop at a failure."""
    input_bytes: int
    output: bytes
    failures: tuple[Failure, ...]
    elapsed_ns: int
    unloadable: str = ""
    """Why the worker could not import the function; nothing was tried then."""


def run_block(block: Block) -> BlockResult:
    """Call the user's function for every item of the block."""
    started = time.perf_counter_ns()
    if _backends.is_inside:
        sys.stdout = sys.stderr  # as at home; see `console.results_apart`
    try:
        fn = load_callable(block.callable_spec)
    except Exception as error:  # the same import went well at home
        return BlockResult(0, 0, b"", (), 0, _say_with_way_out(error))
    codec = CODECS[block.codec]
    output_codec = CODECS[block.output]
    output: list[bytes] = []
    failures: list[Failure] = []
    tried = 0
    for raw in codec.split(block.data):
        runtime.check_cancelled()
        tried += 1
        try:
            context = own_context()
            result = context.run(fn, codec.decode(raw))
            if type(result) in _MISTAKABLE:
                output.append(context.run(_encode_items, result, output_codec))
            else:
                output.append(output_codec.encode(result))
        except (JobCancelled, JobInterrupted):
            raise
        except BaseException as error:  # the item's outcome, be it even SystemExit
            failures.append(_describe(error, block, tried - 1, raw))
            if block.stop_at_failure:
                break
    elapsed_ns = time.perf_counter_ns() - started
    return BlockResult(
        tried, len(block.data), b"".join(output), tuple(failures), elapsed_ns
    )


def _encode_items(result: object, codec: Codec) -> bytes:
    """Return the output of a generator: all its items, each as a result."""
    if type(result) in UNAWAITED:
        close_unawaited(result)
        raise TypeError("the function is async; give a plain one")
    assert isinstance(result, GeneratorType)
    output: list[bytes] = []
    for item in result:
        runtime.check_cancelled()
        output.append(codec.encode(item))
    return b"".join(output)


def _describe(error: BaseException, block: Block, index: int, raw: bytes) -> Failure:
    if block.source:
        place = f"{block.source}:{block.first_line + index}"
    else:
        place = os.fsdecode(raw)
    users = error.with_traceback(_users_frames(error.__traceback__))
    said = _say_with_way_out(error)
    full = ""
    if block.stop_at_failure:
        full = "".join(traceback.format_exception(users)).rstrip()
        full += said.removeprefix(one_line(error)).replace("; ", "\n", 1)
    return Failure(block.first_item + index, place, said, full)


def _say_with_way_out(error: BaseException) -> str:
    """Describe an error; if an interpreter refused a module, say what to do."""
    said = one_line(error)
    if refused.tell(error) is not None:
        return f"{said}; give --backend threads"
    return said


def _users_frames(frames: TracebackType | None) -> TracebackType | None:
    """Drop this package's frames from the top of a traceback."""
    while frames and frames.tb_frame.f_code.co_filename.startswith(_PACKAGE):
        frames = frames.tb_next
    return frames
