"""The one file that touches CPython's queues between interpreters.

`_interpqueues` is private; its calls differ between 3.13 and 3.14. A *mailbox* is a
queue of it, known by its number in all interpreters of the process. What it has no
way to do is to wait, and to look into an empty one is not allowed (it would import a
module that need not be there): so who gets has to know that an item is there.

Items are None, numbers, text, bytes, memoryviews and tuples of these.

Layer: backends, both sides. Imports: nothing of ours.
"""

import _interpqueues
import _interpreters  # noqa: F401  # else no memoryview can be an item
import sys

TYPE_CHECKING = False  # not from typing, which is slow to import
if TYPE_CHECKING:
    from typing import Any, Literal

__all__ = ("close_mailbox", "count_items", "get_item", "open_mailbox", "put_item")

# What becomes of the items of an interpreter that ended: they turn into None.
_REPLACE: "Literal[3]" = 3
# What is done with items that cannot be shared: an error.
_NO_FALLBACK = 0

count_items = _interpqueues.get_count
close_mailbox = _interpqueues.destroy

if sys.version_info >= (3, 14):

    def open_mailbox() -> int:
        """Make a mailbox without a bound, and return its number."""
        number: int = _interpqueues.create(0, _REPLACE, _NO_FALLBACK)
        return number

    def put_item(number: int, item: object) -> None:
        """Add an item at the end."""
        _interpqueues.put(number, item, _REPLACE, _NO_FALLBACK)

else:

    def open_mailbox() -> int:
        """Make a mailbox without a bound, and return its number."""
        number: int = _interpqueues.create(0, 0, _REPLACE)
        return number

    def put_item(number: int, item: object) -> None:
        """Add an item at the end."""
        _interpqueues.put(number, item, 0, _REPLACE)


def get_item(number: int) -> "Any":
    """Take the oldest item; there has to be one."""
    return _interpqueues.get(number)[0]
