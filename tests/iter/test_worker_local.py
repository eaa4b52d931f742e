"""runtime.worker_local: one value per worker."""

import threading

import pytest

import runtime


def test_worker_local_is_made_once_per_worker(sync_pool):
    made = []

    def make():
        made.append(threading.get_ident())
        return []

    local = runtime.worker_local(make)

    def use(_item):
        local.get().append(threading.get_ident())

    for _ in range(3):
        runtime.broadcast(use, None)
    assert sorted(map(tuple, local.values())) == sorted((i, i, i) for i in made)
    assert len(set(made)) == len(made) == sync_pool.worker_count


def test_worker_local_of_two_pools_are_apart():
    local = runtime.worker_local(list)
    for _ in range(2):
        with runtime.open_sync_pool(1) as pool:
            pool.run(lambda: local.get().append(1))
    assert local.values() == [[1], [1]]


def test_worker_local_factory_that_fails_is_called_again(pair):
    local = runtime.worker_local(lambda: int("x"))
    for _ in range(2):
        with pytest.raises(ValueError, match="invalid literal"):
            pair.run(local.get)
    assert local.values() == []


def test_worker_local_outside_of_a_job_is_refused():
    with pytest.raises(runtime.NotOnWorkerError, match=r"get\(\)"):
        runtime.worker_local(list).get()


def test_misuse_worker_local_of_no_function():
    with pytest.raises(TypeError, match=r"worker_local\(\) takes a function, not 3"):
        runtime.worker_local(3)
