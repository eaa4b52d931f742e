"""A chain before its terminal: what brings it to run, and what it cannot do.

Layer: iter.
"""

from typing import TYPE_CHECKING, Any, NoReturn, Protocol

if TYPE_CHECKING:
    from .producers import Producer
    from .progress import Bar
    from .terminals import Terminal
    from .written import Steps

__all__ = ("Runner", "Unfinished")


class Runner(Protocol):
    """How the terminal of a chain is brought to run."""

    def __call__(
        self,
        steps: "Steps",
        producer: "Producer",
        terminal: "Terminal",
        min_length: int,
        progress: "Bar | None",
    ) -> Any:
        """Run the chain, or return what does when awaited.

        Args:
          steps: How the chain was written, but for its terminal.
        """


class Unfinished:
    """What Python asks of a chain where a terminal was forgotten."""

    __slots__ = ()

    def __iter__(self) -> NoReturn:
        raise TypeError(self._needs_terminal("for item in ", "collect(): ..."))

    def __aiter__(self) -> NoReturn:
        raise TypeError(self._needs_terminal("for item in ", "collect(): ..."))

    def __await__(self) -> NoReturn:
        raise TypeError(self._needs_terminal("answer = ", "collect()"))

    def _steps_so_far(self) -> str:
        """Return how the chain was written."""
        raise NotImplementedError

    def _needs_terminal(self, before: str, terminal: str) -> str:
        return (
            "a parallel chain gives its items to a terminal only, such as collect(), "
            f"sum() or for_each(fn); write: {before}{self._steps_so_far()}.{terminal}"
        )
