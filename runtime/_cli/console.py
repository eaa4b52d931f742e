"""Say something to the person at the terminal.

Results go to standard output through `writer`; everything else a command says
goes to standard error, so that results can be piped on.

Layer: cli. Imports: the standard library.
"""

import os
import sys

__all__ = ("discard_stdout", "plural", "say", "show")


def say(line: str) -> None:
    """Write one line to standard error."""
    sys.stderr.write(line + "\n")
    sys.stderr.flush()


def show(text: str) -> None:
    """Write a command's own answer, a line or more, to standard output."""
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def plural(count: int, noun: str) -> str:
    """Return ``1 item`` or ``1,234 items``."""
    return f"{count:,} {noun}" if count == 1 else f"{count:,} {noun}s"


def discard_stdout() -> None:
    """Write what is still to be printed nowhere: standard output was closed."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 1)  # else flushing at exit would fail again
    os.close(nowhere)
    sys.stdout.flush()
