"""What terminals tell the pieces of their chain."""

from runtime._iter.terminals import NOTHING, Find, Position


class At(Position):
    def __init__(self, position):
        self.position = position

    def current(self):
        return self.position


def test_find_first_stops_the_pieces_behind_what_it_found():
    find = Find("find_first", None, is_any=False, gives=1)
    before, behind = find.token_for(3), find.token_for(8)
    assert find.step(NOTHING, iter("x"), At(5)) == (5, "x")
    assert not before.is_set
    assert behind.is_set
    assert find.token_for(9).is_set, "a piece that begins later is stopped too"


def test_find_first_stops_no_piece_for_a_later_find():
    find = Find("find_first", None, is_any=False, gives=1)
    tokens = [find.token_for(start) for start in (3, 8)]
    find.step(NOTHING, iter("x"), At(5))
    assert find.step(NOTHING, iter("y"), At(9)) == (9, "y")
    assert [token.is_set for token in tokens] == [False, True]


def test_stop_sets_all_tokens():
    find = Find("find_first", None, is_any=False, gives=1)
    tokens = [find.token_for(start) for start in (0, 7)]
    find.stop()
    assert all(token.is_set for token in tokens)
