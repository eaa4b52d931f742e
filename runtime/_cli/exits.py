"""How a command ends: its exit code, and the error that means "bad input".

Layer: cli. Imports: the standard library.
"""

__all__ = ("BAD_INPUT", "INTERRUPTED", "OK", "SOME_FAILED", "BadInputError")

OK = 0
SOME_FAILED = 1  # an item failed, or the demo's results differ
BAD_INPUT = 2  # argparse ends with this code too
INTERRUPTED = 130  # 128 + SIGINT, as a shell reports it


class BadInputError(Exception):
    """The user gave something we cannot use; the message is one line naming it."""
