"""Chains whose stretches are given away, on both backends."""

from functools import partial

import pytest
from data_parallel import note_and_hold
from helpers import cancelled_after


def list_of(count):
    return list(range(count))


def iter_of(count):
    return iter(range(count))


@pytest.mark.parametrize("make", [range, list_of, iter_of])
async def test_cancelled_chain_begins_nothing_more(pool, gate, calls, make):
    """Each worker is in the first of the many items that it was given.

    1. an item begins and waits in the gate; its chain is cancelled;
    2. the gate opens: the items end that have begun, and no other begins.
    """
    work = partial(note_and_hold, calls, gate)
    async with cancelled_after(gate.wait_entered, opens=gate) as scope:
        await pool.par_iter(make(10_000)).for_each(work)
    assert scope.cancelled_caught
    assert 1 <= len(list(calls)) <= pool.worker_count


async def test_totals_come_together_in_order_whatever_is_ready_first(pool):
    numbers = list(range(3000))
    assert await pool.par_iter(numbers).map(str).collect() == list(map(str, numbers))
