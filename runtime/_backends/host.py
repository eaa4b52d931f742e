"""One worker of a pool of interpreters, and the interpreters that it has in turn.

Each interpreter stays with its thread, the *resident* (`resident`). A worker uses one
until the pool stops:

    HOST-1  take a kept interpreter, or create one if the pool goes on; set it up
    HOST-2  enter; the loop of `child` runs until the pool stops
    HOST-3  answer what the loop left as broken; look for threads left inside
    HOST-4  it has run as many jobs as it may, or it broke a few times at most, and the
            pool goes on: begin again, in a thread of its own
    HOST-5  the pool has stopped: keep a clean interpreter for the next pool; else wait
            for the threads inside and destroy it

Layer: backends, main side.
"""

import threading
from collections.abc import Callable
from dataclasses import dataclass

from . import crossinterp, kept, stragglers
from .resident import Resident

__all__ = ("Host", "Plan")

# So often in a row a worker may break in its first job, or before. Arbitrary.
MAX_FAILURES = 3

# The names are odd because they stay in a ``__main__`` that gets the script's, too.
SET_UP = (
    "import sys as _runtime_sys; _runtime_sys.path[:] = _runtime_path; "
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
      handle: What a worker finds the queues by.
      setup: Encoded: what a worker does before it serves.
      max_jobs: After so many an interpreter gives way to a fresh one; 0 for never.
      pool_name: The pool's name, for messages.
      spare_limit: How many of its jobs may wait at a time, for messages.
      key: Pools with the same key may use an interpreter one after the other.
      keep: How many interpreters the process may keep when the pool ends; 0: neither
        does it leave any, nor does it use what others left.
    """

    path: tuple[str, ...]
    handle: int
    setup: bytes
    max_jobs: int
    pool_name: str
    spare_limit: int
    key: object = None
    keep: int = 0


class Host:
    """One worker, and the interpreters it has one after the other.

    Args:
      plan: What the worker is made from.
      index: The worker's index.
      name: The thread's name.
      is_stopping: Asked before an interpreter is created, and when the loop has ended.
      bury: Called with the index when the loop has ended.
      count_jobs: Called with the index; returns how many jobs the worker has run.
      on_broken: Called with a text when the worker has broken too often.

    Thread safety: `start` by the pool's owner, `join` by any thread, all else by the
    thread of the interpreter of the moment.
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
        self._name = name  # immutable
        self._is_stopping = is_stopping  # immutable
        self._bury = bury  # immutable
        self._count_jobs = count_jobs  # immutable
        self._on_broken = on_broken  # immutable
        # Set before the loop ends: the interpreter must not be destroyed.
        self.keeps_interpreter = False  # atomic: a single store; never cleared
        # Whether an interpreter is being created, or runs the pool's `initializer`.
        self.is_in_setup = False  # atomic: a single store
        # Threads of its interpreters, but for those that were kept.
        self.threads: list[threading.Thread] = []  # atomic: append, remove
        # What jobs have left running inside, as text, by the thread that waits for it.
        self._leftovers: dict[threading.Thread, str] = {}  # atomic: one thread per key
        # Whose interpreter was kept when the pool stopped.
        self._kept: threading.Thread | None = None  # atomic: a single store
        self._failures = 0  # owner: the interpreter's thread
        # Whether `threads` has all that there will be.
        self._has_ended = threading.Event()  # atomic: set, wait
        self._has_ended.set()

    def start(self) -> None:
        """Give the worker an interpreter; it comes in the background.

        Raises:
          RuntimeError: a thread could not be started.
        """
        self._has_ended.clear()
        plan = self._plan
        resident = kept.take(plan.key) if plan.keep else None  # HOST-1 take
        if resident is None:
            self._begin()
        else:
            self.threads.append(resident.thread)
            resident.thread.name = self._name  # as that of a new one: at once
            resident.serve(self)

    def join(self) -> None:
        """Wait until its interpreters are gone, or kept for others."""
        self._has_ended.wait()
        for thread in list(self.threads):
            thread.join()

    def is_alive(self) -> bool:
        """Return whether `join` would wait."""
        return not self._has_ended.is_set() or any(t.is_alive() for t in self.threads)

    def leftovers(self) -> list[str]:
        """Return what jobs have left running inside that holds up the end."""
        found = list(self._leftovers.items())
        return [text for thread, text in found if thread.is_alive()]

    def drop_kept(self) -> bool:
        """Have the interpreter end that was kept; False: none, or others have it."""
        thread, self._kept = self._kept, None
        if thread is None or not kept.drop(thread):
            return False
        self.threads.append(thread)
        return True

    def _begin(self) -> None:
        resident = Resident(self._plan.key, self._name)
        self.threads.append(resident.thread)
        try:
            resident.start(self)
        except BaseException:  # no more threads, no memory
            self.threads.remove(resident.thread)
            self._has_ended.set()
            raise

    def live(self, resident: Resident) -> bool:
        """Use the interpreter; return whether it is kept. In its thread."""
        resident.thread.name = self._name
        before = self._count_jobs(self._index)
        try:
            broke = self._work(resident)
        except Exception as error:  # of the creation: no memory, say
            broke = f"{type(error).__name__}: {error}"
        is_clean = broke is None and self._is_clean(resident)
        if self._is_stopping():
            return self._leave(resident, is_clean=is_clean)
        # The job that a worker broke in counts as run.
        has_worked = self._count_jobs(self._index) - before > (broke is not None)
        self._failures = (0 if has_worked else self._failures) + (broke is not None)
        if self._failures < MAX_FAILURES:
            return self._begin_again(resident)
        self._on_broken(self._index, str(broke))
        return self._leave(resident, is_clean=False)

    def _work(self, resident: Resident) -> str | None:
        """Set up, serve; return the text of what broke the loop."""
        plan = self._plan
        failure = self._set_up(resident)
        if resident.number is None:
            return None
        names: dict[str, object] = {
            "_runtime_args": (
                plan.handle,
                self._index,
                plan.max_jobs,
                plan.pool_name,
                plan.spare_limit,
            )
        }
        try:
            if failure is None:  # HOST-2 enter
                failure = crossinterp.execute(resident.number, SERVE, names)
            return failure
        finally:
            self._bury(self._index)  # HOST-3 answer what is left

    def _set_up(self, resident: Resident) -> str | None:
        """Have the interpreter ready to serve; return the text of an error."""
        names: dict[str, object] = {
            "_runtime_path": self._plan.path,
            "_runtime_setup": self._plan.setup,
        }
        with crossinterp.SETUP_LOCK:
            # Others may have been created while this one waited for its turn.
            if self._is_stopping():
                return None
            self.is_in_setup = True
            try:
                if resident.number is None:
                    resident.create()  # HOST-1 create, set up
                assert resident.number is not None
                return crossinterp.execute(resident.number, SET_UP, names)
            finally:
                self.is_in_setup = False

    def _is_clean(self, resident: Resident) -> bool:
        if resident.number is None:
            return False
        text = resident.find_leftovers()  # HOST-3 look
        if text is not None:
            self._leftovers[resident.thread] = text
        return text is None

    def _begin_again(self, resident: Resident) -> bool:
        """Go on with another interpreter; what this one waits for holds up nobody."""
        waits = resident.thread in self._leftovers
        is_kept = False if waits else self._destroy(resident)
        try:
            self._begin()  # HOST-4 begin again
        except (RuntimeError, MemoryError) as error:
            self._on_broken(self._index, f"{type(error).__name__}: {error}")
        return self._destroy(resident) if waits else is_kept

    def _leave(self, resident: Resident, *, is_clean: bool) -> bool:
        """Keep the interpreter or destroy it: the worker has ended."""
        is_left = stragglers.is_left(resident.thread)
        if is_clean and self._plan.keep and not is_left:
            self._note_kept(resident)
            self._kept = resident.thread
            if kept.put(resident, self._plan.keep):  # HOST-5 keep
                # It may belong to another worker already.
                self._has_ended.set()
                return True
            self.threads.append(resident.thread)
        self._has_ended.set()
        return self._destroy(resident)

    def _destroy(self, resident: Resident) -> bool:
        """Destroy the interpreter if that need not wait; return whether it is there."""
        if self.keeps_interpreter or kept.must_not_destroy(resident.thread):
            self._note_kept(resident)
            return kept.withhold(resident)
        resident.destroy()  # HOST-5 destroy
        return False

    def _note_kept(self, resident: Resident) -> None:
        """Have nobody wait for the thread."""
        resident.thread.name = "runtime kept interpreter"
        stragglers.forget(resident.thread)
        if resident.thread in self.threads:
            self.threads.remove(resident.thread)
