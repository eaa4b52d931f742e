"""What a job can do about its own cancellation.

Layer: core.
"""

from typing import NoReturn

from .._errors import NotOnWorkerError
from .worker import current_worker

__all__ = ("check_cancelled", "raise_cancelled", "raise_not_on_worker")


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
    job = None if worker is None else worker.job
    if job is None:
        raise_not_on_worker()
    if job.token.is_set:
        raise_cancelled()


def raise_not_on_worker() -> NoReturn:
    """Raise what `check_cancelled` raises outside a job."""
    raise NotOnWorkerError(
        "runtime.check_cancelled()",
        "await trio.lowlevel.checkpoint_if_cancelled(), since you are in Trio, or "
        "trio.from_thread.check_cancelled() in one of Trio's own threads",
    )


def raise_cancelled() -> NoReturn:
    """Raise `JobCancelled` in the calling job, in place of an interrupt."""
    from .interrupt import raise_cancelled  # late: it is not needed to look

    raise_cancelled()
