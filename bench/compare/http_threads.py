"""The example HTTP service with `trio.to_thread` where it has its processor.

Run as a program, as the example itself is: both serve on a free port and print it.
"""

import sys
from pathlib import Path
from typing import Any

import trio

__all__ = ("EXAMPLE",)

EXAMPLE = Path(__file__).parents[2] / "docs/examples/http_service"


class _Threads:
    """What the service needs of a processor; the limit is Trio's default."""

    async def execute(self, text: str) -> dict[str, object]:
        """Score a text in a thread."""
        from scoring import score  # type: ignore[import-not-found]  # example's folder

        answer: dict[str, object] = await trio.to_thread.run_sync(score, text)
        return answer

    def with_performance_monitor(self, _monitor: object) -> "_Threads":
        """Report to nobody."""
        return self


def _main() -> None:
    sys.path.insert(0, str(EXAMPLE))
    from app import Service  # type: ignore[import-not-found]  # example's folder
    from serve import (  # type: ignore[import-not-found]  # example's folder
        serve_until_signal,
    )

    service: Any = Service(_Threads())
    trio.run(serve_until_signal, service, "127.0.0.1", 0)


if __name__ == "__main__":
    _main()
