import operator

import pytest

from runtime._cli import comparison


@pytest.fixture
def bare(interpreters):
    from runtime._cli.bare_interpreters import open_bare_interpreters

    with open_bare_interpreters(2, operator.neg) as bare:
        yield bare


def test_each_part_is_answered_by_item(bare):
    assert bare.run(operator.neg, [[1, 2], [3]]) == [{1: -1, 2: -2}, {3: -3}]
    assert bare.run(operator.neg, [[4]]) == [{4: -4}]


def test_a_call_that_fails_ends_the_wait(bare):
    with pytest.raises(EOFError):
        bare.run(operator.neg, [["x"], [1]])


async def test_the_demo_uses_them_where_the_pool_has_interpreters(bare, monkeypatch):
    monkeypatch.setattr(comparison, "run_in_threads", None)
    compared = await comparison.compare([operator.__file__], 1, "interpreters")
    assert compared.is_equal
