"""The memory that home shares with workers, and the messages between them.

For each job that was sent there is a *cell* of four bytes; the first cell has flags of
home for all workers. Every byte is stored as a whole, and nobody waits for one.

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
    "HELLO",
    "HUNGRY",
    "INTERRUPTED",
    "MET",
    "RUNNING",
    "SENT",
    "SHARED",
    "SIZE",
    "STOPPED",
    "WAITING",
    "Handle",
)

# The memory, the mailbox of answers, home's bell, and for each worker its mailbox, the
# bell of its permits and its alarm.
type Handle = tuple[memoryview, int, Bell, tuple[tuple[int, Bell, Bell], ...]]

SIZE = 4
# What the first byte of a cell says; RUNNING is that of _core/job.py.
SENT = 0
RUNNING = 1
# Which byte of a cell: it is to stop, to be interrupted, an interrupt was raised in it.
STOPPED = 1
INTERRUPTED = 2
MET = 3

# In the first cell: entries wait in home's queue; a worker has nothing to do.
WAITING = 0
HUNGRY = 1

# What workers send: (HELLO, index), (SHARED, index, cell, middle) and
# (ANSWER, index, cell, answer, frames, (begin, end, parks, idle)).
HELLO = 0
SHARED = 1
ANSWER = 2
