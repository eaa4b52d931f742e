"""Python objects to bytes and back, for the way to another interpreter.

Pickle, protocol 5, by the rules of CROSSING.md: what can be imported goes by its name,
memory behind a `memoryview` is not copied but *lent*, an exception takes its
traceback with it as text. Both sides use this file, so it imports little.

With the native core, plain values are not pickled but *packed* (``_native/packing.c``),
which is quicker; what comes out is the same.

The C half of `pickle` is imported without the other, which a worker would wait for.

Layer: backends, both sides.
"""

import copyreg
import io
from _pickle import PickleBuffer, Pickler, PicklingError
from _pickle import loads as _loads
from array import array

from .errors import describe, rebuild
from .groups import crosses_as_it_says, describe_group, rebuild_group
from .native_parts import pack, unpack

TYPE_CHECKING = False  # not from typing, which is slow to import
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from typing import Any

__all__ = ("LARGE", "Reduced", "dumps", "dumps_whole", "lend_large", "loads", "send_as")

# Bytes from this length on are copied once, by the receiver, and not three times by
# pickle. A page or so; arbitrary.
LARGE = 16 * 1024

type Reduced = tuple[Callable[..., object], tuple[object, ...]]


class _Table(dict[type, "Callable[..., Reduced]"]):
    """Our ways to reduce an object, before those that anybody registered."""

    def __missing__(self, kind: type) -> object:
        return copyreg.dispatch_table[kind]


class _Large:
    """Bytes that the receiver copies."""

    __slots__ = ("content",)

    def __init__(self, content: bytes) -> None:
        self.content = content  # immutable


def _reduce_large(large: _Large) -> Reduced:
    return bytes, (PickleBuffer(large.content),)


def _reduce_view(view: memoryview) -> Reduced:
    if not view.c_contiguous:
        raise PicklingError("a memoryview has to be C-contiguous to cross")
    if view.format == "B" and view.ndim == 1:
        return memoryview, (PickleBuffer(view),)
    if view.shape == (0,):
        return _rebuild_empty_view, (view.format, view.itemsize)
    try:
        _rebuild_view(view, view.format, view.shape)  # here, where it can be named
    except (TypeError, ValueError) as error:
        raise PicklingError(
            f"a memoryview of format {view.format!r} and shape {view.shape} cannot be "
            f"made again: {error}"
        ) from error
    return _rebuild_view, (PickleBuffer(view), view.format, view.shape)


def _rebuild_view(buffer: "Any", form: "Any", shape: "Any") -> object:
    return memoryview(buffer).cast("B").cast(form, shape)


def _rebuild_empty_view(form: "Any", item_size: int) -> object:
    # Nothing can be cast that has no items.
    return memoryview(bytes(item_size)).cast(form)[:0]


def _reduce_array(numbers: "array[int]") -> Reduced:
    return _rebuild_array, (numbers.typecode, PickleBuffer(numbers))


def _rebuild_array(typecode: str, buffer: bytes) -> "array[int]":
    numbers = array(typecode)
    numbers.frombytes(buffer)
    return numbers


_table = _Table({memoryview: _reduce_view, array: _reduce_array, _Large: _reduce_large})


def send_as[T](kind: type[T], reduce: "Callable[[T], Reduced]") -> None:
    """Have objects of a type sent as what they are reduced to, and made again there."""
    _table[kind] = reduce


class _Pickler(Pickler):
    dispatch_table = _table

    def reducer_override(self, obj: "Any") -> "Any":
        # Not isinstance: it would ask the object's __class__, which is the user's.
        kind = type(obj)
        if issubclass(kind, BaseExceptionGroup) and not crosses_as_it_says(obj):
            return rebuild_group, describe_group(obj)
        if issubclass(kind, BaseException):
            return rebuild, describe(obj)
        return NotImplemented


def dumps(obj: object) -> tuple[bytes, list[PickleBuffer]]:
    """Return an object's bytes, and the buffers that go beside them."""
    buffers: list[PickleBuffer] = []
    packed = pack(obj)
    if packed is not NotImplemented:
        return packed, buffers
    file = io.BytesIO()
    _Pickler(file, 5, buffer_callback=buffers.append).dump(obj)
    return file.getvalue(), buffers


def dumps_whole(obj: object) -> bytes:
    """Return an object's bytes, with copies of what `dumps` would lend."""
    packed: bytes = pack(obj)
    if packed is not NotImplemented:
        return packed
    file = io.BytesIO()
    _Pickler(file, 5).dump(obj)
    return file.getvalue()


def loads(data: "Any", buffers: "Iterable[object]" = ()) -> "Any":
    """Return the object."""
    value = unpack(data)
    return _loads(data, buffers=buffers) if value is NotImplemented else value


def lend_large(args: tuple[object, ...]) -> tuple[object, ...]:
    """Replace large bytes among the arguments by what saves copies of them."""
    for value in args:
        if type(value) is bytes and len(value) >= LARGE:
            break
    else:
        return args
    return tuple(
        _Large(value) if type(value) is bytes and len(value) >= LARGE else value
        for value in args
    )
