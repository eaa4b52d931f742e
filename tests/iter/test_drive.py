"""Pieces that end before their time."""

import threading

import pytest
from helpers import TIMEOUT

import runtime
from runtime._iter.terminals import Find


def test_race_found_vs_next_leaf(splitting, monkeypatch):
    """A piece is told to stop between its last look and its leaf.

    1. The piece sees that its positions still matter.
    2. Another one finds an item before them.
    3. The piece's leaf ends before its first item; that is no error of the source.
    """
    looks = []

    def wants(find, start):
        looks.append(start)
        if len(looks) == 2:  # the first was for the piece's token
            find._best = -1
            find._stop_from(0)
            return True
        return find._best > start

    monkeypatch.setattr(Find, "wants", wants)
    with runtime.open_sync_pool(1):
        assert runtime.par_iter(range(500)).find_first((-1).__eq__) is None
    assert len(looks) == 3


def test_chain_over_a_source_that_got_shorter_fails(pair, splitting):
    class Shrinking:
        __array_interface__ = None
        ndim = 1

        def __len__(self):
            return 100

        def __getitem__(self, cut):
            return range(100)[cut] if cut.start == 0 else ()

    with pytest.raises(ExceptionGroup) as caught:
        runtime.par_iter(Shrinking()).count()
    assert "fewer items" in str(caught.value.exceptions[0])


def test_nothing_is_combined_where_nothing_is_stolen(pair, eager, gate):
    def combine(left, right):
        raise AssertionError

    def append(some, item):
        return [*some, item]

    with gate:
        holder = threading.Thread(target=pair.run, args=[gate.hold])
        holder.start()
        gate.block_until_entered()
        for data in (range(500), iter(range(500))):
            with eager(combines=False):
                chain = runtime.par_iter(data)
                assert chain.fold(list, append, combine) == list(range(500))
    holder.join(TIMEOUT)
