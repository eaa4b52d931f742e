"""What a job can do about its own cancellation.

Layer: frontend. Imports: `runtime._core`.
"""

from .._core import current_worker
from .._errors import JobCancelled, NotOnWorkerError

__all__ = ("check_cancelled",)


def check_cancelled() -> None:
    """End the calling job here if its result is no longer wanted.

    Call it now and then in a long job. A job is asked to stop when its waiter was
    cancelled, by `Job.cancel`, when another item of its batch failed, or by the end
    of its pool.

    Raises:
      JobCancelled: the job was asked to stop. Let it pass: it is a `BaseException`,
        so that ``except Exception`` does.
      NotOnWorkerError: called outside a job.

    Cost: about as much as a function call.
    """
    worker = current_worker()
    if worker is None or worker.job is None:
        raise NotOnWorkerError(
            "runtime.check_cancelled()",
            "await trio.lowlevel.checkpoint_if_cancelled(), since you are in Trio, or "
            "trio.from_thread.check_cancelled() in one of Trio's own threads",
        )
    if worker.job.token.is_set:
        raise JobCancelled
