"""Say something to the person at the terminal.

Results go to standard output through `writer`; everything else a command says
goes to standard error, so that results can be piped on.

Layer: cli.
"""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout

from .exits import CommandError

__all__ = (
    "cannot_write",
    "discard_stdout",
    "plural",
    "results_apart",
    "say",
    "show",
)


def say(line: str) -> None:
    """Write one line to standard error."""
    sys.stderr.write(line + "\n")
    sys.stderr.flush()


def show(text: str) -> None:
    """Write a command's own answer, a line or more, to standard output.

    Raises:
      CommandError: standard output takes no more.
      BrokenPipeError: nobody reads it any more.
    """
    try:
        sys.stdout.write(text + "\n")
        sys.stdout.flush()
    except BrokenPipeError:
        raise
    except OSError as error:
        discard_stdout()
        raise cannot_write(error) from None


def cannot_write(error: OSError) -> CommandError:
    """Return the error that ends a command whose output cannot be written."""
    return CommandError(f"cannot write results: {error.strerror or error}")


@contextmanager
def results_apart() -> Iterator[int]:
    """Keep standard output for results; yield the descriptor to write them to.

    What anything else writes to standard output in the block, be it the user's
    functions, interpreters, extension modules or child processes, goes to standard
    error: in the middle of a result it would tear that apart.
    """
    try:
        results = os.dup(1)
    except OSError as error:
        raise cannot_write(error) from None
    _redirect(1, 2)
    try:
        with redirect_stdout(sys.stderr):  # which shows a line when it is complete
            yield results
    finally:
        sys.stdout.flush()
        os.dup2(results, 1)
        os.close(results)


def _redirect(descriptor: int, target: int) -> None:
    try:
        os.dup2(target, descriptor)
    except OSError:  # closed, as by 2>&-
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, descriptor)
        os.close(nowhere)


def plural(count: int, noun: str) -> str:
    """Return ``1 item`` or ``1,234 items``."""
    return f"{count:,} {noun}" if count == 1 else f"{count:,} {noun}s"


def discard_stdout() -> None:
    """Write what is still to be printed nowhere: standard output was closed."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 1)  # else flushing at exit would fail again
    os.close(nowhere)
    sys.stdout.flush()
