"""From what a user hands in to a producer.

Layer: iter.
"""

from array import array
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from .producers import Bridge, Indexed, Producer, Slices

__all__ = ("producer_of",)

_SEQUENCES = {list, tuple, range, str, bytes, bytearray, array, memoryview}


def producer_of(data: Any) -> Producer:
    """Return a producer of the items of anything that can be iterated over.

    What can be indexed is used where it is; a set, a dict or a view is made into a
    list first; an iterator, such as an open file, is pulled from in order.
    """
    if type(data) in _SEQUENCES:  # the usual case, for a short way
        try:
            return Indexed(data)
        except OverflowError:  # a range that is longer than `len` can say
            return Bridge(iter(data))
    if hasattr(data, "__array_interface__") and getattr(data, "ndim", 0) > 0:
        return Slices(data)
    if isinstance(data, Iterator):
        return Bridge(data)
    if isinstance(data, Sequence) and not isinstance(data, deque):
        return Indexed(data)
    if not isinstance(data, Iterable):
        raise TypeError(f"par_iter() takes something to iterate over, not {data!r}")
    if hasattr(data, "__len__"):
        return Indexed(list(data))
    return Bridge(iter(data))
