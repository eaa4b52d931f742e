"""What the contenders run: functions of a module, so that they can go anywhere.

Everything happens on local integers, because objects that two threads share would
measure the interpreter's reference counts instead of a scheduler. That includes the
constants in the code: one above 256 is such a shared object, and two bare threads then
took longer than one (0.35 to 0.7 times the speed on 3.13t and 3.14t, where constants
up to 256 gave 1.9 times). So the constants here are small.
"""

import gc

import runtime

__all__ = (
    "ask_often",
    "collect",
    "count_ends",
    "echo",
    "reply",
    "spin",
    "sum_range",
    "tiny",
    "tiny_range",
)


def echo(item: int) -> int:
    """Give the item back: what is left is the price of the call."""
    return item


async def reply(item: int) -> int:
    """Give the item back, in Trio."""
    return item


def ask_often(count: int) -> list[int]:
    """Get into Trio and back again and again, from inside a job."""
    return [runtime.from_worker.run(reply, index) for index in range(count)]


def spin(loops: int) -> int:
    """Compute for a time that grows with `loops`; so does the answer."""
    x = 1
    for _ in range(loops):
        x = (x * 209 + 11) % 251
    return x + 251 * loops


def tiny(item: int) -> int:
    """Compute for about one microsecond; every item has another answer."""
    x = 1
    for _ in range(22):
        x = (x * 209 + 11) % 251
    return x + 251 * item


def tiny_range(piece: range) -> list[int]:
    """Run `tiny` over a piece of the items: a batch cut by hand."""
    return [tiny(item) for item in piece]


def sum_range(stop: int) -> int:
    """Spend a while in one call of C."""
    return sum(range(stop))


def collect(size: int) -> int:
    """Make many objects and have the collector look at all of them."""
    kept: list[list[int]] = [[] for _ in range(size)]
    gc.collect()
    return len(kept)


def count_ends(view: memoryview) -> int:
    """Look at both ends of some memory."""
    return len(view) + view[0] + view[-1]
