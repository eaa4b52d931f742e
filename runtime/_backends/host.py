"""The thread that belongs to one worker's interpreter.

It creates the interpreter, enters it once, and destroys it when the loop inside ends:
entering costs 0.3 ms and more on a free-threaded build, and an interpreter that is
left by one thread and destroyed by another is how a process crashes.

    HOST-1  create and set up, one at a time in the process
    HOST-2  enter; the loop of `child` runs until the pool stops
    HOST-3  bury what it left behind, destroy
    HOST-4  it has run as many jobs as it may, or it broke a few times at most, and the
            pool goes on: begin again

Layer: backends, main side. Imports: `crossinterp`, `farewell`.
"""

import threading
from collections.abc import Callable
from contextvars import Context
from dataclasses import dataclass

from .._util import is_gil_enabled
from . import crossinterp, farewell

__all__ = ("Host", "Plan")

# So often in a row a worker may break in its first job, or before. Arbitrary.
MAX_FAILURES = 3

# The names are odd because they stay in a ``__main__`` that gets the script's, too.
SET_UP = (
    "import sys as _runtime_sys; _runtime_sys.path[:] = _runtime_path; "
    # Else the interpreter cannot be given a memoryview.
    "import _interpreters as _runtime_interpreters; "
    "from runtime._backends.child import set_up as _runtime_set_up; "
    "_runtime_set_up(_runtime_setup)"
)
SERVE = (
    "from runtime._backends.child import serve as _runtime_serve; "
    "_runtime_serve(*_runtime_args)"
)


@dataclass(frozen=True, slots=True)
class Plan:
    """What all workers of a pool are made from.

    Attributes:
      path: The home interpreter's ``sys.path``.
      kind: Which queues, for `child.serve`.
      handle: What a worker finds them by.
      setup: Encoded: what a worker does before it serves.
      max_jobs: After so many an interpreter gives way to a fresh one; 0 for never.
      pool_name: The pool's name, for messages.
      spare_limit: How many of its jobs may wait at a time, for messages.
    """

    path: tuple[str, ...]
    kind: str
    handle: object
    setup: bytes
    max_jobs: int
    pool_name: str
    spare_limit: int


class Host:
    """One worker's thread, and the interpreters it has one after the other.

    Args:
      plan: What the worker is made from.
      index: The worker's index.
      name: The thread's name.
      is_stopping: Asked when the loop has ended.
      bury: Called with the index when the loop has ended.
      count_jobs: Called with the index; returns how many jobs the worker has run.
      on_broken: Called with a text when the worker has broken too often.

    Thread safety: `start` and `join` by the pool's owner.
    """

    def __init__(
        self,
        plan: Plan,
        index: int,
        name: str,
        *,
        is_stopping: Callable[[], bool],
        bury: Callable[[int], None],
        count_jobs: Callable[[int], int],
        on_broken: Callable[[int, str], None],
    ) -> None:
        self._plan = plan  # immutable
        self._index = index  # immutable
        self._is_stopping = is_stopping  # immutable
        self._bury = bury  # immutable
        self._count_jobs = count_jobs  # immutable
        self._on_broken = on_broken  # immutable
        # Set before the loop ends: the interpreter must not be destroyed.
        self.keeps_interpreter = False  # atomic: a single store; never cleared
        # A daemon, for the process must be able to end beside a job that does not.
        self.thread = threading.Thread(
            target=self._run, name=name, daemon=True
        )  # immutable

    def start(self) -> None:
        """Start the thread; the interpreter comes in the background."""
        Context().run(self.thread.start)  # inherits no context variables

    def join(self) -> None:
        """Wait until the interpreter is gone and the thread has ended."""
        self.thread.join()

    def _run(self) -> None:
        failures, broke = 0, None
        while failures < MAX_FAILURES:
            before = self._count_jobs(self._index)
            try:
                broke = self._live()
            except Exception as error:  # of the creation: no memory, say
                broke = f"{type(error).__name__}: {error}"
            if self._is_stopping():
                return
            # HOST-4 begin again. The job that a worker broke in counts as run.
            has_worked = self._count_jobs(self._index) - before > (broke is not None)
            failures = (0 if has_worked else failures) + (broke is not None)
        self._on_broken(self._index, str(broke))

    def _live(self) -> str | None:
        """Create, serve, destroy; return the text of what broke the loop."""
        plan = self._plan
        with crossinterp.SETUP_LOCK:
            crossinterp.import_single_modules()
            number = crossinterp.create()  # HOST-1 create, set up
            names: dict[str, object] = {
                "_runtime_path": plan.path,
                "_runtime_setup": plan.setup,
            }
            failure = crossinterp.execute(number, SET_UP, names)
        names = {
            "_runtime_args": (
                plan.kind,
                plan.handle,
                self._index,
                plan.max_jobs,
                plan.pool_name,
                plan.spare_limit,
            )
        }
        try:
            if failure is None:
                failure = crossinterp.execute(number, SERVE, names)  # HOST-2 enter
            return failure
        finally:
            self._bury(self._index)  # HOST-3 bury, destroy
            if not self.keeps_interpreter and not self._is_beside_a_straggler():
                with crossinterp.SETUP_LOCK:
                    crossinterp.destroy(number)

    def _is_beside_a_straggler(self) -> bool:
        """Return whether the end of an interpreter could have to wait for another."""
        return not is_gil_enabled() and farewell.are_others_left(self.thread)
