"""How a command ends: its exit code, and the error that ends it early.

Layer: cli.
"""

__all__ = ("INTERRUPTED", "OK", "SOME_FAILED", "UNUSABLE", "CommandError")

OK = 0
SOME_FAILED = 1  # an item failed, or the demo's results differ
UNUSABLE = 2  # usage, input or output; argparse ends with this code too
INTERRUPTED = 130  # 128 + SIGINT, as a shell reports it


class CommandError(Exception):
    """We cannot use what we were given; the message is one line naming it."""
