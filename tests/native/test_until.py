"""Until on both cores: what comes out, and when it ends."""

import sys

import pytest

from runtime._core.job import CancelToken
from runtime._until import Until


@pytest.fixture
def until(core):
    return Until if core.__name__ == "python" else core.Until


@pytest.fixture
def token(core):
    return CancelToken() if core.__name__ == "python" else core.CancelToken()


@pytest.mark.parametrize("items", [[], [1, 2], (1, 2), range(5), "abc", {1: 2}])
def test_until_gives_all_items(until, token, items):
    assert [*until(items, token)] == [*until(iter(items), token)] == [*items]


def test_until_ends_when_the_token_is_set(until, token):
    given = []
    for item in until(range(100), token):
        given.append(item)
        token.is_set = item == 3
    assert given == [0, 1, 2, 3]


def test_until_gives_nothing_for_a_set_token(until, token):
    token.is_set = True
    assert [*until([1], token)] == []


def test_until_raises_what_the_items_raise(until, token):
    def broken():
        yield 1
        raise ValueError("no more")

    given = []
    with pytest.raises(ValueError, match="no more"):
        given.extend(until(broken(), token))
    assert given == [1]


def test_until_keeps_no_reference(until, token):
    items = [object()]
    before = sys.getrefcount(items), sys.getrefcount(token)
    assert len([*until(items, token)]) == 1
    assert (sys.getrefcount(items), sys.getrefcount(token)) == before


def test_native_until_refuses_what_it_cannot_look_at(core):
    if core.__name__ == "python":
        pytest.skip("of the native core")
    with pytest.raises(TypeError, match="looks at tokens, not 1"):
        core.Until([], 1)
    with pytest.raises(TypeError, match="not iterable"):
        core.Until(1, core.CancelToken())
    with pytest.raises(TypeError, match="no keyword arguments"):
        core.Until(items=[], token=core.CancelToken())
