import threading

from runtime._cli.bare_threads import cut_by_cost, run_in_threads


def test_cut_balances_total_cost():
    parts = cut_by_cost("abcde", [5, 4, 3, 3, 3], 2)

    assert sorted(map(sorted, parts)) == [["a", "d"], ["b", "c", "e"]]


def test_cut_keeps_every_item_once():
    items = list(range(100))

    parts = cut_by_cost(items, [item % 7 for item in items], 3)

    assert sorted(item for part in parts for item in part) == items


def test_cut_into_more_parts_than_items_leaves_some_empty():
    assert sorted(map(len, cut_by_cost("a", [1], 3))) == [0, 0, 1]


def test_each_part_runs_in_a_thread_of_its_own():
    everyone = threading.Barrier(2)

    def meet(item):
        everyone.wait(timeout=10)
        return item * 2

    assert run_in_threads(meet, [[1], [2]]) == [{1: 2}, {2: 4}]
