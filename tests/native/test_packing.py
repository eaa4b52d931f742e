"""Plain values as bytes: what comes out is what pickle would make of it."""

import math
import pickle
import struct
import sys
import types

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from runtime._backends import encoding


def function():
    """Be found by name."""


def same(one, other):
    """Compare values, their types, and floats by their bits."""
    if type(one) is not type(other):
        return False
    if isinstance(one, float):
        return struct.pack("d", one) == struct.pack("d", other)
    if isinstance(one, tuple | list):
        return len(one) == len(other) and all(map(same, one, other))
    return one == other


ints = st.integers(-(2**63), 2**63 - 1)
scalars = st.one_of(
    st.none(),
    st.booleans(),
    ints,
    st.floats(),
    st.text(st.characters(codec="ascii"), max_size=40),
    st.binary(max_size=40),
    st.just(function),
)
lists = st.lists(ints) | st.lists(st.floats())
plain = st.recursive(
    scalars | lists,
    lambda inner: st.lists(inner, max_size=3).map(tuple),
    max_leaves=6,
)
anything = st.recursive(
    scalars | st.integers() | st.text() | st.just(math.sqrt),
    lambda inner: st.lists(inner) | st.lists(inner).map(tuple),
    max_leaves=20,
)


@given(plain)
@example(-0.0)
@example([-0.0, math.nan, math.inf])
@example([2**63 - 1, -(2**63), 0])
@example("")
@example(())
@example([])
@example("a" * 4096)
@example(b"\0" * 4096)
@example((function, (1, [2]), (), False))
def test_plain_values_are_packed_and_come_out_the_same(native, value):
    packed = native.pack(value)
    assert type(packed) is bytes
    assert same(native.unpack(packed), value)


@given(anything)
@example([1, True])
@example([1, 2.0])
@example([2**63])
@example([-(2**63) - 1])
@example([1.0, 2])
def test_whatever_is_sent_comes_out_the_same(value):
    data, buffers = encoding.dumps(value)
    assert same(encoding.loads(data, buffers), value)
    assert same(encoding.loads(encoding.dumps_whole(value)), value)


class Number(int):
    """An int, but not only that."""


class Text(str):
    """The same of text."""


@pytest.mark.parametrize(
    "value",
    [
        2**63,
        -(2**63) - 1,
        [2**63],
        [1, 2.0],
        [1.0, 2],
        [1, True],
        ["text"],
        [None],
        Number(1),
        [Number(1)],
        Text("text"),
        types.SimpleNamespace(),
        {},
        "é",
        "a" * 4097,
        b"a" * 4097,
        (0,) * 256,
        math.sqrt,
        lambda: None,
        int,
        bytearray(b"a"),
    ],
    ids=repr,
)
def test_the_rest_is_left_to_pickle(native, value):
    assert native.pack(value) is NotImplemented
    assert native.pack((1, value)) is NotImplemented


def test_a_list_that_occurs_twice_comes_out_as_one():
    numbers = [1, 2]
    one, (other,) = encoding.loads(*encoding.dumps((numbers, (numbers,))))
    assert one is other


def test_a_tuple_that_holds_one_over_and_over_stays_small():
    value = ()
    for _ in range(20):  # more would only keep a failure from being seen
        value = (value, value)
    assert len(encoding.dumps(value)[0]) < 1000


def test_what_was_pickled_is_not_unpacked(native):
    assert native.unpack(pickle.dumps(1)) is NotImplemented
    assert native.unpack(b"") is NotImplemented


def test_a_function_is_the_one_its_name_stands_for(native, monkeypatch):
    packed = native.pack(function)
    assert native.unpack(packed) is function
    replacement = types.FunctionType(function.__code__, {}, "function")
    monkeypatch.setattr(sys.modules[__name__], "function", replacement)
    assert native.pack(function) is NotImplemented  # it is of no module
    assert native.unpack(packed) is replacement


def test_a_function_is_packed_only_if_its_name_leads_to_it(native, monkeypatch):
    alone = types.FunctionType(function.__code__, {"__name__": __name__}, "function")
    assert native.pack(alone) is NotImplemented
    for name, value in [("__module__", None), ("__module__", "nowhere")]:
        with monkeypatch.context() as patch:
            patch.setattr(function, name, value)
            assert native.pack(function) is NotImplemented


def test_a_module_is_imported_for_its_function(native, tmp_path, monkeypatch):
    (tmp_path / "packed_only.py").write_text("def function():\n    return 7\n")
    monkeypatch.syspath_prepend(tmp_path)
    import packed_only

    packed = native.pack(packed_only.function)
    monkeypatch.delitem(sys.modules, "packed_only")
    assert native.unpack(packed)() == 7
    monkeypatch.delitem(sys.modules, "packed_only")
    (tmp_path / "packed_only.py").unlink()
    with pytest.raises(ModuleNotFoundError, match="packed_only"):
        native.unpack(packed)


def test_a_name_that_leads_nowhere_is_an_error(native):
    packed = native.pack(same).replace(b"same", b"lame")
    with pytest.raises(AttributeError, match="lame"):
        native.unpack(packed)


@settings(max_examples=300)
@given(plain, st.data())
def test_half_a_value_is_an_error_and_nothing_worse(native, value, data):
    packed = native.pack(value)
    cut = data.draw(st.integers(1, len(packed)))
    if cut < len(packed):
        with pytest.raises((ValueError, ImportError, AttributeError)):
            native.unpack(packed[:cut])


@settings(max_examples=300)
@given(st.binary(min_size=1).filter(lambda content: content[0] < 0x80))
@example(b"t\x01" * 100_000)
@example(b"I" + b"\xff" * 8)
def test_nonsense_is_an_error_and_nothing_worse(native, content):
    try:
        native.unpack(content)
    except (ValueError, ImportError, AttributeError, TypeError, RecursionError):
        pass
