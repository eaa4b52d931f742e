"""`runtime.blocking`: a job says that it waits for something outside the pool.

Layer: frontend.
"""

from types import TracebackType

from .._core import Worker, current_worker
from .._errors import NotOnWorkerError

__all__ = ("blocking",)


class blocking:
    """Let another thread use this job's core while the job waits::

        with runtime.blocking():
            answer = connection.recv(1024)

    For calls that wait without computing: input and output, a lock, a queue, a process.
    A spare thread works in this one's place until the block is left, so the pool runs
    as many jobs as it has workers, and what the job waits for may itself be a
    job of the pool. `runtime.from_worker.run` does this by itself.

    Blocks may be nested. Inside, the job may do whatever a job may.

    Raises:
      NotOnWorkerError: used outside a job.
      DeadlockError: as many jobs wait already as the pool has spare threads; see
        ``spare_limit`` of `open_worker_pool`.
      BrokenWorkerError: the system allows no more threads.
    """

    __slots__ = ("_worker",)

    def __init__(self) -> None:
        worker = current_worker()
        if worker is None or worker.job is None:
            raise NotOnWorkerError(
                "runtime.blocking()",
                "await trio.to_thread.run_sync(fn), since you are in Trio; a plain "
                "thread needs nothing of the kind",
            )
        self._worker: Worker = worker  # immutable

    def __enter__(self) -> None:
        self._worker.begin_wait()

    def __exit__(
        self,
        error_type: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._worker.end_wait()
