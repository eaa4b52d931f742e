"""The end of interpreters that closed pools have left to the next.

Layer: frontend.
"""

from .._backends import why_unavailable

__all__ = ("end_kept_interpreters",)


def end_kept_interpreters() -> None:
    """End the interpreters that the process keeps for its next pools; wait for it.

    Afterwards a pool begins with fresh ones, and only those of open pools are left: for
    tests that count interpreters or threads, or that need modules to be imported anew.
    """
    if why_unavailable("interpreters") is None:
        from .._backends import kept

        kept.end_all()
