"""Put one worker to sleep and wake it, without losing a wake-up.

A parker holds at most one *token*. `Parker.unpark` deposits it, `Parker.park`
waits for it and consumes it. Because the token stays until it is consumed, it
does not matter whether `unpark` runs before, during or after `park`.

The rules for *when* a worker may park are in SLEEP.md; this file only promises
that a deposited token is never lost. A parked thread is detached from the
interpreter, so it does not hold up garbage collection.

Layer: core.
"""

from . import sync

__all__ = ("Parker",)


class Parker:
    """A one-token parking place, owned by one worker.

    Args:
      is_spare: Whether the worker is a spare (SPARES.md).

    Thread safety: `park` is owner-only. `unpark` is internally synchronized
    and may be called from any thread, any number of times.
    """

    __slots__ = ("_token", "is_spare")

    def __init__(self, *, is_spare: bool = False) -> None:
        self.is_spare: bool = is_spare  # immutable
        # Used as a binary semaphore, not for mutual exclusion:
        # locked means "no token", unlocked means "token deposited".
        self._token = sync.Lock()  # atomic: acquire, release
        self._token.acquire()

    def park(self, timeout: float | None = None) -> bool:
        """Wait for the token and consume it.

        Args:
          timeout: Longest wait in seconds; None waits for ever.

        Returns:
          True if a token was consumed, False if the wait timed out. There are
          no spurious wake-ups.
        """
        return self._token.acquire(timeout=-1 if timeout is None else timeout)

    def unpark(self) -> None:
        """Deposit the token; do nothing if one is already there."""
        # ATOMIC(lock-release): of two racing unparks exactly one succeeds; the
        # other raises, which here means "a token is already waiting".
        try:
            self._token.release()
        except RuntimeError:
            pass
