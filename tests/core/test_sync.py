import threading

from helpers import TIMEOUT

from runtime._core import sync


def test_start_thread_is_named_and_cannot_keep_the_process_alive():
    seen = []
    thread = sync.start_thread(
        lambda: seen.append(threading.current_thread()), "runtime-test-0"
    )
    thread.join(TIMEOUT)
    assert seen == [thread]
    assert thread.name == "runtime-test-0"
    assert thread.daemon


def test_clock_does_not_go_back():
    times = [sync.clock_ns() for _ in range(100)]
    assert times == sorted(times)


def test_get_ident_is_that_of_the_running_thread():
    idents = []
    thread = sync.start_thread(lambda: idents.append(sync.get_ident()), "t")
    thread.join(TIMEOUT)
    assert idents == [thread.ident]
    assert sync.get_ident() == threading.get_ident()
