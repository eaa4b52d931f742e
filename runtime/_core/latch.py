"""One-shot signals: set once, probed cheaply, waited for by plain threads.

`Latch` is a single fact ("this job is done"). `CountLatch` becomes set when as
many arrivals were counted down as were counted up ("all pieces are done").

Trio tasks do not wait here: they wait for the completion port.

Layer: core.
"""

from . import sync

__all__ = ("CountLatch", "Latch")


class Latch:
    """A signal that is set once and stays set.

    Thread safety: internally synchronized.
    """

    __slots__ = ("_gate", "_is_set")

    def __init__(self) -> None:
        # Locked until set; then unlocked for ever, but for the moment in which
        # a waiter passes through.
        self._gate = sync.Lock()  # atomic: acquire, release
        self._gate.acquire()
        self._is_set = False  # atomic: written once, by set

    def set(self, _source: object = None) -> None:
        """Set the latch; call it once. What it is called with is ignored."""
        # ORDER: the flag first; a waiter let through by the gate must find it.
        self._is_set = True
        self._gate.release()

    def probe(self) -> bool:
        """Return whether the latch is set; False may be out of date at once."""
        return self._is_set

    def wait(self, timeout: float | None = None) -> bool:
        """Wait until the latch is set.

        Args:
          timeout: Longest wait in seconds; None waits for ever.

        Returns:
          Whether the latch is set.
        """
        if self._is_set:  # in a forked child a waiter that is gone may have the gate
            return True
        if self._gate.acquire(timeout=-1 if timeout is None else timeout):
            self._gate.release()
        # RACE: the gate may have been held by another waiter passing through
        # when the timeout ended; the flag tells.
        return self._is_set


class CountLatch:
    """Counts work that is out; tells the one who brings the last of it home.

    Starts at 1, for the work in the hands of whoever made it.

    Thread safety: internally synchronized.
    """

    __slots__ = ("_tokens",)

    def __init__(self) -> None:
        # One for each count; who takes the lowest, which is True, was the last.
        self._tokens: sync.Deque[bool] = sync.Deque((True,))  # atomic: append, pop, len

    def increment(self) -> None:
        """Count one more; only while the latch is not set."""
        assert self._tokens, "a set CountLatch cannot be raised again"
        self._tokens.append(False)

    def decrement(self) -> bool:
        """Count one less; return True to exactly one caller, the last."""
        # ATOMIC(deque-pop): each token is taken once.
        try:
            return self._tokens.pop()
        except IndexError:
            raise AssertionError("CountLatch fell to -1") from None
