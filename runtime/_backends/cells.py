"""The memory that home shares with workers, and the messages between them.

For each job that was sent there is a *cell* of five bytes; the first cell has flags of
home for all workers. After the cells come two bytes for each worker, with the number of
its jobs that wait for something outside the pool. Every byte is stored as a whole, and
nobody waits for one.

The memory is read and written byte by byte: a slice of a `memoryview` counts itself in
the view without an atomic operation, which several threads of a free-threaded
interpreter must not do at once.

Layer: backends, both sides. Imports: nothing.
"""

TYPE_CHECKING = False  # not from typing, which is slow to import
if TYPE_CHECKING:
    from .bell import Bell

__all__ = (
    "ANSWER",
    "ASKED",
    "ATTACHED",
    "AWAY",
    "CELL_COUNT",
    "DETACHED",
    "HELLO",
    "HUNGRY",
    "HUSHED",
    "INTERRUPTED",
    "MET",
    "RECALL",
    "RUNNING",
    "SENT",
    "SHARED",
    "SIZE",
    "SOUGHT",
    "STOPPED",
    "WAITING",
    "WAKE",
    "Handle",
    "SeatHandle",
    "waits_at",
)

# Of one worker: its mailbox and the permits, its alarm, and the same again for replies.
type SeatHandle = tuple[int, Bell, Bell, int, Bell]
# The memory, the mailbox of answers and home's bell, the permits to wait, the workers.
type Handle = tuple[memoryview, int, Bell, Bell, tuple[SeatHandle, ...]]

SIZE = 5
# How many jobs can be at workers at once, less one. Arbitrary.
CELL_COUNT = 16 * 1024
# What the first byte of a cell says; RUNNING is that of _core/job.py.
SENT = 0
RUNNING = 1
AWAY = 2  # it runs, but not at the worker's seat
# Which byte of a cell: it is to stop, to be interrupted, an interrupt was raised in it,
# it is to show its stack.
STOPPED = 1
INTERRUPTED = 2
MET = 3
SOUGHT = 4

# In the first cell: entries wait in home's queue; a worker has nothing to do; home
# looks by itself for a while, and no bell need ring.
WAITING = 0
HUNGRY = 1
HUSHED = 2

# What workers send: (HELLO, index), (SHARED, index, cell, middle), (DETACHED, index,
# cell), (ATTACHED, index, cell), (ASKED, index, cell, number, frames) and
# (ANSWER, index, cell, answer, frames, (begin, end, parks, idle)).
HELLO = 0
SHARED = 1
ANSWER = 2
DETACHED = 3
ATTACHED = 4
ASKED = 5

# What is no job in a worker's mailbox: None, the order to stop; WAKE, which makes it
# run for a moment; RECALL, which a worker sends itself.
WAKE = 0
RECALL = 1


def waits_at(index: int) -> int:
    """Return where the number of a worker's jobs that wait is."""
    return CELL_COUNT * SIZE + 2 * index
