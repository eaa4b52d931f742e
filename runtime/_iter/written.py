"""A chain as the user wrote it, more or less; for errors, reports and ``repr``.

Layer: iter.
"""

__all__ = ("BEGINNING", "Steps", "written")

# The steps before, the name of the last one, and its argument. Kept so until somebody
# wants to read it, because writing takes longer than a short chain.
type Steps = tuple[Steps | None, str, object]

BEGINNING: Steps = (None, "par_iter", ...)


def written(owner: str, steps: Steps, *terminal: str) -> str:
    """Return the source of a chain: ``runtime.par_iter(...).map(f).sum()``."""
    calls = [f"{name}()" for name in terminal]
    before: Steps | None = steps
    while before is not None:
        before, name, argument = before
        calls.append(f"{name}({_written(argument)})")
    return ".".join([owner, *reversed(calls)])


def _written(argument: object) -> str:
    if argument is None:
        return ""
    if isinstance(argument, int | str):
        return repr(argument)
    return str(getattr(argument, "__name__", "..."))
