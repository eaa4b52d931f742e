"""`runtime.worker_local`: one value per worker, made when it is first needed.

Layer: iter.
"""

from collections.abc import Callable
from threading import get_ident
from typing import NoReturn, override

from .._core import Worker
from .._errors import NotOnWorkerError
from .._util import called
from .checks import check_callable
from .place import worker_here

__all__ = ("WorkerLocal", "worker_local")


def worker_local[T](factory: Callable[[], T]) -> "WorkerLocal[T]":
    """Make a value that each worker has its own copy of.

    For what is dear to make and cannot be shared: buffers, parsers, connections,
    counts that are added up in the end.

    In a pool of interpreters each has its own copy of the module, and so of the
    `WorkerLocal` at its top level: `WorkerLocal.values` tells what was made where it is
    called. It cannot be an argument there.

    Args:
      factory: Called on a worker, the first time that worker asks for its value.
    """
    check_callable("worker_local", factory)
    return WorkerLocal(factory)


class WorkerLocal[T]:
    """One value per worker; made by `worker_local`.

    The values live as long as this object does.

    Thread safety: internally synchronized; each value is thread-local.
    """

    __slots__ = ("_factory", "_values")

    def __init__(self, factory: Callable[[], T]) -> None:
        self._factory = factory  # immutable
        # By worker and thread: an identifier of a thread may be used again. Each key is
        # written by its own thread only.
        self._values: dict[tuple[Worker, int], T] = {}  # atomic: single operations

    @override
    def __reduce__(self) -> NoReturn:
        raise TypeError(
            "a WorkerLocal is not sent: make it at the top level of a module, where "
            "each interpreter has its own"
        )

    def get(self) -> T:
        """Return this worker's value; the first time, make it.

        Raises:
          NotOnWorkerError: called outside a job.
        """
        worker = worker_here()
        if worker is None:
            raise NotOnWorkerError(
                "WorkerLocal.get()",
                "await pool.spawn_cpu_work(fn), with get() inside fn",
            )
        key = worker, get_ident()
        if key not in self._values:
            self._values[key] = called(self._factory)
        return self._values[key]

    def values(self) -> list[T]:
        """Return what the workers have made so far, in no order; from anywhere."""
        return list(self._values.values())
