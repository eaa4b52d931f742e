"""Whether a handler comes to the workers, found out before there are requests.

A function is sent by its name, and each worker imports the module it is in. For one of
the script this runs the script's top again, with all that it imports for Trio's side.

Layer: processor.
"""

from collections.abc import Callable

from .._backends.blame import check_crosses
from .._backends.requests import accept
from .._errors import CrossingError
from .._frontend.options import callable_name
from .._frontend.pool import WorkerPool

__all__ = ("check_loads",)

_OF_THE_SCRIPT = (
    "it is part of the script, and with it a worker imports all that the script's top "
    "imports; put it into a module of its own that imports only what it needs"
)


async def check_loads(pool: WorkerPool, handler: Callable[..., object]) -> None:
    """Raise `CrossingError` unless a worker's interpreter can load a handler."""
    check_crosses(handler, "handler")
    try:
        await pool.spawn_cpu_work(accept, handler, name="loading of the handler")
    except (CrossingError, ImportError, AttributeError) as error:
        is_of_script = getattr(handler, "__module__", None) == "__main__"
        why = f"{_OF_THE_SCRIPT} ({error})" if is_of_script else str(error)
        raise CrossingError(
            f"handler {callable_name(handler)} cannot be loaded inside a worker: {why}"
        ) from error
