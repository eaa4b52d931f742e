"""What the bytecode of a function says about where it may be interrupted."""

import dis

from runtime._core.safe_points import SafePoints


def names(fn, offsets):
    return [i.opname for i in dis.get_instructions(fn) if i.offset in offsets]


def with_block(lock):
    while True:
        with lock:
            lock.n += 1


def acquire_and_try(lock):
    lock.acquire()
    try:
        lock.n += 1
    finally:
        lock.release()


def bare_loop():
    while True:
        pass


def test_never_between_the_end_of_a_with_block_and_its_exit():
    never = names(with_block, SafePoints(with_block.__code__).never)
    assert never.count("CALL") == 1
    assert [name.startswith("LOAD_CONST") for name in never].count(True) == 3
    assert "WITH_EXCEPT_START" in never


def test_never_between_acquire_and_try():
    never = names(acquire_and_try, SafePoints(acquire_and_try.__code__).never)
    assert never == ["POP_TOP", "NOP"]  # the NOP is the line of the try


def test_cleanup_is_the_body_of_a_finally_in_both_copies():
    points = SafePoints(acquire_and_try.__code__)
    assert names(acquire_and_try, points.cleanup).count("CALL") == 2


def test_bare_loop_may_be_left_anywhere():
    points = SafePoints(bare_loop.__code__)
    assert points.never == points.cleanup == frozenset()
