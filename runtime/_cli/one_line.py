"""Describe an exception in one line.

Layer: cli; runs inside workers.
"""

__all__ = ("one_line",)


def one_line(error: BaseException) -> str:
    """Return type and message, whatever the message looks like."""
    name = type(error).__qualname__
    try:
        message = " ".join(str(error).split())
    except Exception:  # a broken __str__ is not worth a second failure
        message = "its message cannot be shown"
    return f"{name}: {message}" if message else name
