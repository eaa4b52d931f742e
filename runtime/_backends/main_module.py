"""The ``__main__`` of a worker's interpreter: the program's, run when it is needed.

A function of the script is sent as "``f`` of ``__main__``". Inside, ``__main__`` is
empty; the first look for something in it runs the script again, as `multiprocessing`
does, under another name, so that what follows ``if __name__ == "__main__"`` does not.

Layer: backends, both sides. Imports: nothing of ours.
"""

import sys
from types import ModuleType

__all__ = ("LazyMain", "main_name")

INSIDE = "__mp_main__"  # the name that scripts already know from multiprocessing


def main_name() -> tuple[str, str] | None:
    """Return how the program's ``__main__`` can be run again; None if it cannot."""
    main = sys.modules["__main__"]
    spec = getattr(main, "__spec__", None)
    if spec is not None:
        return "module", spec.name
    path = getattr(main, "__file__", None)
    return None if path is None else ("path", path)


class LazyMain(ModuleType):
    """A stand-in for ``__main__`` that fills itself at the first look."""

    def __init__(self, name: tuple[str, str] | None) -> None:
        super().__init__("__main__")
        self.__dict__["_name"] = name

    def __getattr__(self, attribute: str) -> object:
        if attribute.startswith("__"):
            raise AttributeError(attribute)
        name = self.__dict__.pop("_name", None)
        if name is not None:
            self.__dict__.update(_run(*name))
        try:
            return self.__dict__[attribute]
        except KeyError:
            raise AttributeError(
                f"module '__main__' has no attribute {attribute!r}"
            ) from None

    def __reduce__(self) -> str:
        return "__main__"


def _run(kind: str, name: str) -> dict[str, object]:
    import runpy  # only where it is needed: every worker would pay for it

    run = runpy.run_module if kind == "module" else runpy.run_path
    names: dict[str, object] = run(name, run_name=INSIDE)
    # What the script defined says so, and is sent back under that name.
    for value in list(names.values()):
        if getattr(value, "__module__", None) == INSIDE:
            try:
                value.__module__ = "__main__"  # type: ignore[attr-defined]
            except (AttributeError, TypeError):
                pass
    return names
