import contextvars
import threading
import weakref

import pytest
from helpers import run_threaded, white_box

from runtime._core import LANE_COUNT, QUEUED, WITHDRAWN, Injector, Job


def numbered(number, lane=1):
    return Job(int, (number,), contextvars.Context(), lane=lane)


def number_of(job):
    return job.args[0]


def pop_all(injector):
    popped = []
    while (job := injector.pop()) is not None:
        popped.append(number_of(job))
    return popped


@pytest.fixture
def injector():
    return Injector()


def test_smoke_first_in_first_out(injector):
    for number in range(5):
        injector.push(numbered(number))
    assert pop_all(injector) == [0, 1, 2, 3, 4]


def test_empty_pop_returns_none(injector):
    assert injector.pop() is None
    injector.push(numbered(1))
    injector.pop()
    assert injector.pop() is None


def test_pop_takes_the_most_urgent_lane_first(injector):
    for number, lane in enumerate([2, 1, 0, 2, 1, 0]):
        injector.push(numbered(number, lane))
    assert pop_all(injector) == [2, 5, 1, 4, 0, 3]


@pytest.mark.parametrize("lane", range(LANE_COUNT))
def test_len_and_truth_see_every_lane(injector, lane):
    assert (len(injector), bool(injector)) == (0, False)
    injector.push(numbered(1, lane))
    assert (len(injector), bool(injector)) == (1, True)


def test_push_many_keeps_order_and_lanes(injector):
    injector.push_many(numbered(n, lane) for n, lane in enumerate([1, 1, 0, 2]))
    assert len(injector) == 4
    assert pop_all(injector) == [2, 0, 1, 3]


@white_box
def test_pop_when_the_last_job_is_taken_meanwhile_returns_none(injector, monkeypatch):
    """Another worker is faster between the look without the lock and the pop."""
    monkeypatch.setattr(Injector, "__bool__", lambda self: True)
    assert injector.pop() is None


def test_spsc_order_is_kept(injector):
    count = 5_000

    def push():
        for number in range(count):
            injector.push(numbered(number))

    def pop():
        popped = []
        while len(popped) < count:
            if (job := injector.pop()) is not None:
                popped.append(number_of(job))
        return popped

    _, popped = run_threaded(push, pop)
    assert popped == list(range(count))


def test_stampede_of_workers_takes_each_job_once(injector):
    count = 5_000
    injector.push_many(map(numbered, range(count)))
    parts = run_threaded(*[lambda: pop_all(injector)] * 4)
    assert sorted(number for part in parts for number in part) == list(range(count))
    for part in parts:
        assert part == sorted(part)


def test_stress_pushes_withdrawals_and_pops_account_for_every_job(injector):
    """Pushers that take back every third job, against workers.

    1. a pusher pushes, and withdraws some of what it pushed;
    2. a worker may have popped that entry just before;
    3. each entry comes out once: popped, or returned by a compaction.
    """
    per_pusher, pushers = 1_500, 2
    still_pushing = threading.Semaphore(pushers)
    for _ in range(pushers):
        still_pushing.acquire()
    is_done = threading.Event()

    def push(base):
        out = []
        for number in range(base, base + per_pusher):
            job = numbered(number)
            job.lane = number % LANE_COUNT
            injector.push(job)
            if number % 3 == 0 and job.withdraw():
                out += injector.note_withdrawn(job)
        still_pushing.release()
        return out

    def pop():
        out = []
        while (job := injector.pop()) is not None or not is_done.is_set():
            if job is not None:
                out.append(job)
        return out

    def end():
        for _ in range(pushers):
            still_pushing.acquire()
        is_done.set()
        return []

    parts = run_threaded(lambda: push(0), lambda: push(per_pusher), pop, pop, end)
    out = [job for part in parts for job in part]
    out += iter(injector.pop, None)
    assert len(out) == len(set(map(id, out))) == pushers * per_pusher


def test_no_starvation_every_worker_gets_something(injector):
    workers = 3
    has_popped = [threading.Event() for _ in range(workers)]

    def push():
        while not all(event.is_set() for event in has_popped):
            injector.push(numbered(1))

    def pop(event):
        while injector.pop() is None:
            pass
        event.set()

    run_threaded(push, *(lambda event=event: pop(event) for event in has_popped))


class WatchedJob(Job):
    __slots__ = ("__weakref__",)


@white_box
def test_release_job_dies_when_it_was_popped_or_compacted_or_its_injector_goes(
    injector,
):
    jobs = [WatchedJob(int, (), contextvars.Context()) for _ in range(10)]
    refs = [weakref.ref(job) for job in jobs]
    injector.push_many(jobs)
    injector.pop()
    for job in jobs[1:7]:
        job.withdraw()
        injector.note_withdrawn(job)
    del jobs, job
    assert [ref() is None for ref in refs] == [True] * 6 + [False] * 4
    injector._lanes = ()
    assert all(ref() is None for ref in refs)


def test_withdrawn_entries_stay_until_they_are_more_than_half(injector):
    jobs = [numbered(number) for number in range(10)]
    injector.push_many(jobs)
    removed = []
    for job in jobs[:6]:
        assert job.withdraw()
        removed.append(len(injector.note_withdrawn(job)))
    assert removed == [0, 0, 0, 0, 0, 6]
    assert len(injector) == 4
    assert pop_all(injector) == [6, 7, 8, 9]


def test_compaction_returns_each_empty_entry_once_and_keeps_the_rest(injector):
    jobs = [numbered(number) for number in range(1_000)]
    injector.push_many(jobs)
    removed = []
    for job in jobs[::2] + jobs[1:900:2]:
        job.withdraw()
        removed += injector.note_withdrawn(job)
    assert len(set(map(id, removed))) == len(removed)
    assert pop_all_numbers(injector) == list(range(901, 1_000, 2))


def pop_all_numbers(injector):
    """Pop everything; return the numbers of those that were not withdrawn."""
    jobs = list(iter(injector.pop, None))
    return [number_of(job) for job in jobs if job.args is not None]


def test_race_compaction_vs_withdraw_keeps_the_entry(injector):
    """An entry is withdrawn while its lane is compacted.

    1. the compaction reads its phase: queued;
    2. a canceller withdraws it;
    3. the compaction reads no phase twice, so the entry stays for a worker.
    """

    class WithdrawnWhenLookedAt(Job):
        __slots__ = ("looks",)

        @property
        def phase(self):
            self.looks += 1
            return QUEUED if self.looks == 1 else WITHDRAWN

        @phase.setter
        def phase(self, value):
            self.looks = 0

    racing = WithdrawnWhenLookedAt(int, (), contextvars.Context())
    withdrawn = [numbered(number) for number in range(2)]
    injector.push_many([racing, *withdrawn])
    out = []
    for job in withdrawn:
        job.withdraw()
        out += injector.note_withdrawn(job)
    out += iter(injector.pop, None)
    assert sorted(map(id, out)) == sorted(map(id, [racing, *withdrawn]))


def test_compaction_leaves_other_lanes_alone(injector):
    injector.push(numbered(1, lane=0))
    injector.push(numbered(2, lane=2))
    withdrawn = numbered(3, lane=1)
    injector.push(withdrawn)
    withdrawn.withdraw()
    assert injector.note_withdrawn(withdrawn) == [withdrawn]
    assert pop_all(injector) == [1, 2]


@white_box
def test_note_withdrawn_for_a_job_that_was_popped_already_loses_nothing(injector):
    """A worker takes the entry just before the canceller withdraws it.

    1. the worker pops the entry;
    2. the canceller wins the claim and counts an empty entry that is not there;
    3. a later compaction comes early, and sets the count right.
    """
    jobs = [numbered(number) for number in range(4)]
    injector.push_many(jobs)
    popped = injector.pop()
    popped.withdraw()
    assert injector.note_withdrawn(popped) == []
    jobs[1].withdraw()
    assert injector.note_withdrawn(jobs[1]) == [jobs[1]]
    assert pop_all(injector) == [2, 3]
    assert [len(withdrawn) for withdrawn in injector._withdrawn] == [0] * LANE_COUNT
