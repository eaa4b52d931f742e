"""A chain as the user wrote it, more or less; for errors, reports and ``repr``.

Layer: iter. Imports: nothing of ours.
"""

__all__ = ("BEGINNING", "Steps", "written")

# Names, each with its argument. Kept so until somebody wants to read it, because
# writing takes longer than a short chain.
type Steps = tuple[tuple[str, object], ...]

BEGINNING: Steps = (("par_iter", ...),)


def written(owner: str, steps: Steps) -> str:
    """Return the source of a chain: ``runtime.par_iter(...).map(f).sum()``."""
    return ".".join([owner, *(f"{name}({_written(arg)})" for name, arg in steps)])


def _written(argument: object) -> str:
    if argument is None:
        return ""
    if isinstance(argument, int | str):
        return repr(argument)
    return str(getattr(argument, "__name__", "..."))
