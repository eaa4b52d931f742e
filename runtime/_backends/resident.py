"""A thread and its interpreter, which no other thread ever enters.

An interpreter that is left by one thread and destroyed by another is how a process
crashes. So the thread that creates an interpreter also destroys it, and between the
two it works for one worker after another (HOST in CROSSING.md).

Layer: backends, main side.
"""

import threading
from _thread import allocate_lock
from contextvars import Context
from typing import Protocol

from . import crossinterp

__all__ = ("Employer", "Resident")

# The code that looks for threads left inside, and the code that waits for them.
CHECK_CLEAN = (
    "from runtime._backends.child import check_clean as _runtime_check; "
    "_runtime_check()"
)
WAIT_FOR_THREADS = (
    "from runtime._backends.child import wait_for_threads as _runtime_wait; "
    "_runtime_wait()"
)


class Employer(Protocol):
    """A worker that needs an interpreter."""

    def live(self, resident: "Resident") -> bool:
        """Use the interpreter; return whether it is kept for another worker."""
        raise NotImplementedError


class Resident:
    """One thread with one interpreter.

    Args:
      key: Which pools may use it one after the other.
      name: The thread's name for its first worker.

    Thread safety: `serve` and `end` by whoever took it from the list of those kept;
    `create`, `find_leftovers` and `destroy` in its own thread.
    """

    def __init__(self, key: object, name: str) -> None:
        self.key = key  # immutable
        # None until it is created, and after it was destroyed.
        self.number: int | None = None  # owner: its thread
        # Locked while nobody needs it.
        self._called = allocate_lock()  # atomic: acquire, release
        self._called.acquire()
        # Written before `_called` is released. None: to end.
        self._employer: Employer | None = None  # owner: whoever calls, then its thread
        # A daemon, for the process must be able to end beside a job that does not.
        self.thread = threading.Thread(
            target=self._run, name=name, daemon=True
        )  # immutable

    def start(self, employer: Employer) -> None:
        """Start the thread for its first worker."""
        self._employer = employer
        Context().run(self.thread.start)  # inherits no context variables
        self._called.release()

    def serve(self, employer: Employer) -> None:
        """Work for one more worker."""
        self._employer = employer
        self._called.release()

    def end(self) -> None:
        """Destroy the interpreter and end the thread."""
        self._employer = None
        self._called.release()

    def _run(self) -> None:
        is_kept = True
        while is_kept:
            self._called.acquire()
            employer, self._employer = self._employer, None
            if employer is None:
                self.destroy()
                return
            is_kept = employer.live(self)
            del employer  # it has the pool's queues

    def create(self) -> int:
        """Create the interpreter; under `crossinterp.SETUP_LOCK`."""
        crossinterp.import_single_modules()
        self.number = crossinterp.create()
        return self.number

    def find_leftovers(self) -> str | None:
        """Return what a job has left running inside, as text; None for nothing."""
        assert self.number is not None
        # The name of the last worker's queues is dropped, too.
        names: dict[str, object] = {"_runtime_args": None}
        return crossinterp.ask(self.number, CHECK_CLEAN, names)

    def destroy(self) -> None:
        """Destroy the interpreter, if there is one; first wait for its threads."""
        if self.number is None:
            return
        # Here, and not in `destroy`, which would keep the lock meanwhile.
        crossinterp.execute(self.number, WAIT_FOR_THREADS, {})
        with crossinterp.SETUP_LOCK:
            crossinterp.destroy(self.number)
        self.number = None
