"""A bell that any interpreter of the process can ring and wait for.

A pair of descriptors, the same one twice where there is eventfd, else a pipe. What is
written and read is eight bytes at a time, so both behave alike. There are two kinds:
one that has as many *permits* as it was rung times, and one that only rings.

Thread safety: everything from any thread of any interpreter.

Layer: backends, both sides. Imports: nothing of ours.
"""

import os
import select

__all__ = ("Bell", "Ear", "close_bell", "open_bell", "ring", "silence", "take")

type Bell = tuple[int, int]  # where it is read, where it is written

ONE = (1).to_bytes(8, "little")
HAS_EVENTFD = hasattr(os, "eventfd")


def open_bell(*, permits: int | None = None) -> Bell:
    """Make a bell, with so many permits, or one that only rings.

    Raises:
      OSError: there are no descriptors left.
    """
    if HAS_EVENTFD:
        flags = os.EFD_CLOEXEC | os.EFD_NONBLOCK
        if permits is not None:
            flags |= os.EFD_SEMAPHORE
        bell = os.eventfd(permits or 0, flags)
        return bell, bell
    ends = os.pipe()
    for end in ends:
        os.set_blocking(end, False)
    for _ in range(permits or 0):
        ring(ends)
    return ends


def close_bell(bell: Bell) -> None:
    """Close the descriptors."""
    for descriptor in set(bell):
        os.close(descriptor)


def ring(bell: Bell) -> None:
    """Ring, or add a permit."""
    try:
        os.write(bell[1], ONE)
    except BlockingIOError:  # a full pipe rings already
        pass


def take(bell: Bell) -> bool:
    """Take a permit; False if there was none."""
    try:
        # ATOMIC(permit): of two that read the last one, the other gets nothing.
        os.read(bell[0], len(ONE))
    except BlockingIOError:
        return False
    return True


def silence(bell: Bell) -> None:
    """Have it ring no more until it is rung again; not for permits."""
    while take(bell) and bell[0] != bell[1]:
        pass


class Ear:
    """What waits for a bell. Belongs to one thread."""

    __slots__ = ("_bell", "_poll")

    def __init__(self, bell: Bell) -> None:
        self._bell = bell  # immutable
        self._poll = select.poll()  # owner
        self._poll.register(bell[0], select.POLLIN)

    def hears(self) -> bool:
        """Return whether it rings."""
        return bool(self._poll.poll(0))

    def wait(self) -> None:
        """Wait until it rings; the ring stays."""
        self._poll.poll()
