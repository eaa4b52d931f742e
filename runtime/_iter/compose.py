"""Adaptors that need to know where the items are: enumerate, zip, chain, ...

Over what can be cut they become producers. Over a bare iterator they become another
iterator, which the workers pull from in order. Over an iterator that already has a
stage they are refused: its items come out of many workers' hands.

Layer: iter.
"""

import sys
from collections.abc import Iterator, Sequence
from itertools import chain as serial_chain
from itertools import islice
from typing import Any

from .producers import (
    Bridge,
    Chained,
    Chunked,
    Enumerated,
    Gauge,
    Producer,
    Sliced,
    Zipped,
)

__all__ = ("chained", "check_exact", "chunked", "enumerated", "sliced", "zipped")


def enumerated(producer: Producer, start: int) -> Producer:
    """Pair each item with its number."""
    check_exact("enumerate", producer)
    return Enumerated(producer, start)


def zipped(producers: Sequence[Producer]) -> Producer:
    """Make tuples of one item from each."""
    for producer in producers:
        check_exact("zip", producer)
    if _have_lengths(producers):
        return Zipped(producers[0], producers[1:])
    return Bridge(zip(*(_serial("zip", p) for p in producers), strict=False))


def chained(producers: Sequence[Producer]) -> Producer:
    """Put one after the other."""
    if _have_lengths(producers):
        return Chained(producers)
    return Bridge(serial_chain.from_iterable([_serial("chain", p) for p in producers]))


def chunked(producer: Producer, size: int) -> Producer:
    """Make lists of so many items."""
    check_exact("chunks", producer)
    if producer.length is not None:  # `batched` has room for a chunk from the start
        return Chunked(producer, min(size, max(producer.length, 1)))
    items, size = _serial("chunks", producer), min(size, sys.maxsize)
    return Bridge(iter(lambda: list(islice(items, size)), []))


def sliced(name: str, producer: Producer, start: int, stop: int | None) -> Producer:
    """Keep the items of some positions; ``stop`` None is the end."""
    check_exact(name, producer)
    length = producer.length
    if length is None:
        start = min(start, sys.maxsize)  # what `islice` can count
        stop = None if stop is None else min(stop, sys.maxsize)
        return Bridge(islice(_serial(name, producer), start, stop))
    last = length if stop is None else min(stop, length)
    return Sliced(producer, min(start, length), last)


def check_exact(name: str, producer: Producer) -> None:
    """Raise unless position i gives item i."""
    if not producer.is_exact:
        raise TypeError(
            f"{name}() needs to know the items' positions, which filter(), "
            f"filter_map() and flat_map() change; write {name}() before them, or "
            "after collect()"
        )


def _have_lengths(producers: Sequence[Producer]) -> bool:
    return all(producer.length is not None for producer in producers)


def _serial(name: str, producer: Producer) -> Iterator[Any]:
    """Return the items as one iterator, to be pulled from in order."""
    if isinstance(producer, Bridge):
        return producer.iterator
    if producer.length is None:
        raise TypeError(
            f"{name}() over an iterator has to come before map(), filter() and the "
            "like, or after collect(): how many items come is not known before"
        )
    return producer.leaf(0, producer.length, Gauge().within())
