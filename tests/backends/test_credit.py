"""Queues without the native core: both ends, here in one interpreter."""

import gc
import os
import random
import threading
import weakref

import pytest
from helpers import TIMEOUT

from runtime._backends import answers, bell, cells, credit, credit_worker, seats
from runtime._core.job import DONE, QUEUED, RUNNING, WITHDRAWN

pytest.importorskip("_interpqueues")

from runtime._backends.credit import MAX_LENT, MAX_LENT_ALONE, CreditQueues
from runtime._backends.credit_worker import CreditWorker

STORM_JOBS = int(os.environ.get("RUNTIME_STORM_JOBS", "10000"))


@pytest.fixture(params=["eventfd", "pipe"])
def kind_of_bell(request, monkeypatch):
    if request.param == "eventfd" and not bell.HAS_EVENTFD:
        pytest.skip("no eventfd")
    monkeypatch.setattr(bell, "HAS_EVENTFD", request.param == "eventfd")


class Pool:
    """The queues and their workers, which do what the test says."""

    def __init__(self, worker_count=1, **options):
        self.queues = CreditQueues(worker_count, **options)
        self.workers = [self.begin(index) for index in range(worker_count)]
        self._last_id = 0
        assert self.queues.drain() == []

    def begin(self, index):
        return CreditWorker(self.queues.handle, index)

    def call(self, *, lane=1, lent=()):
        self._last_id += 1
        return self.queues.inject(self._last_id, (b"call",), lent, 0, 1, lane)

    def batch(self, frame_count, *, lane=1):
        self._last_id += 1
        frames = (b"fn", *(b"%d" % i for i in range(1, frame_count + 1)))
        return self.queues.inject(self._last_id, frames, (), 1, len(frames), lane)

    def run(self, index=0, answer=answers.VALUE):
        """Let a worker run what it gets next; return its frames."""
        worker = self.workers[index]
        job = worker.next()
        frames = tuple(job.frame(i) for i in range(job.start, job.stop))
        worker.finish(answer, (b"done",))
        return frames


@pytest.fixture
def pool():
    return Pool()


@pytest.fixture
def pair():
    return Pool(2)


def ask_in_thread(worker, job, frame, replies):
    """Ask in a thread that has begun to; it appends the reply."""
    thread = threading.Thread(
        target=lambda: replies.append(worker.ask(job, (frame,))), daemon=True
    )
    thread.start()
    return thread


def wait_news(queues, count=1):
    """Wait until there is so much news, and return it."""
    ear, news = bell.Ear((queues.fileno(),) * 2), []
    while len(news) < count:
        ear.wait()
        news += queues.drain()
    return news


def ends(news):
    """Return id, answer, range and whether it was the last, of each piece of news."""
    return [(item[0], item[1], item[3], item[4], item[5]) for item in news]


def test_a_call_goes_there_and_its_answer_comes_back(kind_of_bell):
    pool = Pool()
    memory = bytearray(b"lent")
    work = pool.call(lent=(memoryview(memory),))
    assert (work.phase, len(pool.queues), pool.queues.running()) == (QUEUED, 1, [0])
    worker = pool.workers[0]
    job = worker.next()
    assert (work.phase, len(pool.queues), pool.queues.running()) == (RUNNING, 0, [1])
    (view,) = job.frames(1)
    view[0] = 76
    del view
    worker.finish(answers.VALUE, (b"a", memoryview(b"b")))
    assert (work.phase, memory) == (RUNNING, b"Lent")  # its end is not at home yet
    ((work_id, answer, frames, start, stop, is_last, index, run_ns),) = (
        pool.queues.drain()
    )
    assert (work_id, answer, frames) == (1, answers.VALUE, (b"a", b"b"))
    assert (start, stop, is_last, index) == (0, 1, True, 0)
    assert run_ns > 0
    assert (work.phase, pool.queues.running(), pool.queues.drain()) == (DONE, [0], [])
    memory.append(1)  # given back
    counters = pool.queues.counters(0)
    assert (counters[0], sum(counters[7]), sum(counters[8])) == (1, 1, 1)


def test_a_worker_gets_two_at_most(pool):
    for _ in range(5):
        pool.call()
    assert len(pool.queues) == 5
    assert len(pool.queues._line) == 3
    for _ in range(5):
        pool.run()
        assert len(pool.queues.drain()) == 1
    assert len(pool.queues) == 0


def test_nothing_is_sent_before_a_worker_is_there():
    queues = CreditQueues(1)
    work = queues.inject(1, (b"call",), (), 0, 1, 1)
    assert len(queues._line) == 1
    worker = CreditWorker(queues.handle, 0)
    assert queues.drain() == []
    worker.next()
    assert work.phase == RUNNING


# CLAIM-1


def test_race_withdraw_before_claim(pool):
    """1. Home takes the permit. 2. The worker finds what comes after."""
    first, second = pool.call(), pool.call()
    assert pool.queues.withdraw(first)
    assert not pool.queues.withdraw(first)
    assert first.phase == WITHDRAWN
    assert ends(pool.queues.drain()) == [(1, answers.NONE, 0, 1, True)]
    pool.workers[0].next()
    assert second.phase == RUNNING


def test_race_claim_before_withdraw(pool):
    """1. The worker takes the permit. 2. Home finds none."""
    work = pool.call()
    pool.workers[0].next()
    assert not pool.queues.withdraw(work)
    assert work.phase == RUNNING
    pool.workers[0].finish(answers.VALUE, ())
    assert ends(pool.queues.drain()) == [(1, answers.VALUE, 0, 1, True)]


@pytest.mark.parametrize("wanted", [0, 1])
def test_race_permit_is_for_no_certain_item(pool, monkeypatch, wanted):
    """1. Home takes a permit. 2. The worker takes the other and the first item.
    3. Home gets the second item.

    Whichever of the two home wanted, one runs and the other does not.
    """
    works = [pool.call(), pool.call()]

    def get_late(mailbox):
        monkeypatch.undo()
        pool.workers[0].next()  # step 2
        return seats.get_item(mailbox)

    monkeypatch.setattr(seats, "get_item", get_late)
    is_withdrawn = pool.queues.withdraw(works[wanted])
    assert is_withdrawn is (wanted == 1)
    assert works[0].phase == RUNNING
    pool.workers[0].finish(answers.VALUE, ())
    if wanted == 1:
        expected = [(2, answers.NONE, 0, 1, True), (1, answers.VALUE, 0, 1, True)]
    else:
        pool.run()  # it was sent again
        expected = [(1, answers.VALUE, 0, 1, True), (2, answers.VALUE, 0, 1, True)]
    assert ends(pool.queues.drain()) == expected


def test_race_claimed_but_not_marked_counts_as_running(pool, monkeypatch):
    """1. The worker takes the permit. 2. Home wants the job. 3. The worker marks it."""
    work = pool.call()
    assert bell.take(pool.workers[0]._bell)
    assert not pool.queues.withdraw(work)
    assert work.phase == RUNNING


def test_withdrawn_entries_do_not_pile_up(pool):
    pool.call()
    pool.workers[0].next()
    for _ in range(100):
        assert pool.queues.withdraw(pool.call())
        assert len(pool.queues) <= 1
    assert len(pool.queues.drain()) == 100
    works = [pool.call() for _ in range(100)]
    for work in works:
        assert pool.queues.withdraw(work)
    assert len(pool.queues._line) <= 2
    assert len(pool.queues.drain()) >= 98


# Who gets what


def test_urgent_work_overtakes_what_waits_at_a_worker(pool):
    pool.call()
    pool.workers[0].next()
    works = [pool.call(lane=lane) for lane in (2, 1, 0, 1)]
    pool.workers[0].finish(answers.VALUE, ())
    order = []
    for _ in works:
        pool.queues.drain()
        pool.workers[0].next()
        order += pool.queues.running()
        pool.workers[0].finish(answers.VALUE, ())
    assert order == [4, 3, 5, 2]


def test_who_has_nothing_gets_what_waits_behind_another(pair):
    pair.call()
    pair.call()
    waiting = pair.call()  # behind the first
    pair.workers[0].next()
    pair.run(1)
    pair.queues.drain()
    pair.workers[1].next()
    assert waiting.phase == RUNNING
    assert pair.queues.running() == [1, 3]


def test_a_call_does_not_wait_behind_a_batch(pool):
    pool.batch(100)
    worker = pool.workers[0]
    job = worker.next()
    assert not worker.has_work_outside()
    pool.call()
    assert worker.has_work_outside()
    worker.share(job.start + 1)  # as the loop does
    worker.finish(answers.VALUE, ())
    pool.queues.drain()
    assert worker.next().start > 1  # the piece that waited there
    worker.finish(answers.VALUE, ())
    pool.queues.drain()
    assert worker.next().start == 0


@pytest.mark.parametrize(
    "first", ["call", "batch"], ids=["batch behind call", "call behind batch"]
)
def test_a_worker_has_credit_for_its_kind_of_work(pool, first):
    works = [pool.call, lambda: pool.batch(1)]
    if first == "batch":
        works.reverse()
    for inject in works:
        inject()
    assert len(pool.queues._seats[0].pieces) == 1
    pool.run()
    pool.queues.drain()
    pool.run()
    assert len(pool.queues.drain()) == 1


@pytest.mark.parametrize("frame_count", [1, 2, 7, 64, 200])
def test_a_batch_is_cut_and_each_frame_runs_once(pair, frame_count):
    work = pair.batch(frame_count)
    ran, news, turn = [], [], 0
    while work.phase != DONE:
        turn = 1 - turn
        if pair.queues._seats[turn].pieces:
            ran += pair.run(turn)
        news += pair.queues.drain()
    assert sorted(map(int, ran)) == list(range(1, frame_count + 1))
    assert [item[5] for item in news] == [False] * (len(news) - 1) + [True]
    assert len(news) < 40


def test_a_piece_is_shared_with_who_has_nothing(pair):
    work = pair.batch(64)
    job = pair.workers[1].next()
    ran = []
    while pair.queues._seats[0].pieces:  # all else, what waited at the other too
        assert len(pair.workers[1]) == 1
        ran += pair.run(0)
        pair.queues.drain()
    assert len(ran) == 64 - (job.stop - job.start)
    assert len(pair.workers[1]) == 0  # somebody is hungry
    assert job.stop - job.start > 4
    stop, middle = job.stop, job.start + 1
    pair.workers[1].share(middle + 2)
    pair.workers[1].share(middle)
    pair.queues.drain()
    assert len(pair.workers[1]) == 1
    pair.workers[1].finish(answers.VALUE, ())
    while work.phase != DONE:
        for index in (0, 1):
            if pair.queues._seats[index].pieces:
                ran += pair.run(index)
        news = pair.queues.drain()
    assert sorted(map(int, ran)) == sorted({*range(1, 65)} - {job.start})
    assert news[-1][5]
    assert stop - middle > 3


def test_a_failed_piece_stops_the_others(pair):
    work = pair.batch(64)
    jobs = [worker.next() for worker in pair.workers]
    jobs[0].request_stop()
    pair.workers[0].finish(answers.VALUE, ())
    pair.queues.drain()
    assert jobs[1].is_stopped
    assert work.is_stopped
    assert work.ranges == []
    pair.workers[1].finish(answers.VALUE, ())
    last = pair.queues.drain()
    while work.phase != DONE:
        for index in (0, 1):
            if pair.queues._seats[index].pieces:
                pair.run(index)
        last = pair.queues.drain()
    assert last[-1][5]


def test_a_batch_that_nobody_began_is_withdrawn(pair):
    work = pair.batch(64)
    assert work.pieces
    assert pair.queues.withdraw(work)
    assert ends(pair.queues.drain()) == [(1, answers.NONE, 1, 65, True)]
    assert pair.queues._seats[0].pieces == {}
    assert len(pair.queues) == 0


def test_a_stopped_batch_without_workers_ends(pool):
    work = pool.batch(64)
    pool.workers[0].next()
    pool.queues.bury(0)
    assert [item[1] for item in pool.queues.drain()] == [answers.BROKEN]
    work.request_stop()
    pool.begin(0)
    assert ends(pool.queues.drain())[-1][1:] == (answers.NONE, 1, 65, True)
    assert work.phase == DONE


def test_a_stopped_batch_that_breaks_is_over(pool):
    work = pool.batch(64)
    pool.workers[0].next()
    work.request_stop()
    pool.queues.bury(0)  # takes back the piece that waits
    ((_, answer, *_, is_last, _, _),) = pool.queues.drain()
    assert (answer, is_last, work.phase) == (answers.BROKEN, True, DONE)
    assert len(pool.queues._begun) == 0


def test_what_cannot_be_sent_stays_queued(pool, monkeypatch):
    def fail(mailbox, item):
        monkeypatch.undo()
        raise MemoryError

    monkeypatch.setattr(seats, "put_item", fail)
    pool.call()
    assert (len(pool.queues), pool.queues._lent) == (1, 0)
    assert pool.queues._seats[0].pieces == {}
    assert rings(pool.queues)
    assert pool.queues.drain() == []  # sends it
    assert len(pool.queues._seats[0].pieces) == 1
    pool.call()
    pool.run()
    pool.run()
    assert [item[0] for item in pool.queues.drain()] == [1, 2]


# The bell


def rings(queues):
    return bell.Ear((queues.fileno(),) * 2).hears()


def test_a_hushed_bell_rings_afterwards(pool):
    pool.call()
    pool.queues.hush(True)
    pool.queues.hush(True)
    pool.run()
    assert not rings(pool.queues)
    pool.queues.hush(False)
    assert not rings(pool.queues)
    pool.queues.hush(False)
    assert rings(pool.queues)
    assert len(pool.queues.drain()) == 1
    assert not rings(pool.queues)
    pool.call()
    pool.queues.hush(True)
    pool.run()
    assert len(pool.queues.drain()) == 1  # looked for without the bell
    pool.queues.hush(False)
    assert not rings(pool.queues)


def test_race_answer_at_the_end_of_a_hush(pool, monkeypatch):
    """1. Home ends the hush. 2. The worker puts an answer. 3. Home looks."""
    pool.call()
    pool.queues.hush(True)
    pool.workers[0].next()

    def look_late(mailbox):
        monkeypatch.undo()
        count = credit.count_items(mailbox)
        pool.workers[0].finish(answers.VALUE, ())  # even after the look
        return count

    monkeypatch.setattr(credit, "count_items", look_late)
    pool.queues.hush(False)
    assert rings(pool.queues)


def test_race_answer_after_all_were_taken(pool, monkeypatch):
    """1. Home silences the bell. 2. It takes all answers. 3. The worker puts one."""
    pool.call()
    pool.call()
    pool.run()
    pool.workers[0].next()
    take_answers = pool.queues._take_answers

    def take_early():
        take_answers()
        pool.workers[0].finish(answers.VALUE, ())

    monkeypatch.setattr(pool.queues, "_take_answers", take_early)
    assert len(pool.queues.drain()) == 1
    monkeypatch.undo()
    assert rings(pool.queues)
    assert len(pool.queues.drain()) == 1


# Flags


def test_flags_reach_the_job_and_what_it_met_stays(pool):
    work = pool.call()
    job = pool.workers[0].next()
    assert (job.is_stopped, job.is_interrupted, work.was_met) == (False,) * 3
    work.request_stop()
    pool.queues.interrupt(work)
    pool.workers[0].wait_alarm()  # it rings
    assert (job.is_stopped, job.is_interrupted) == (True, True)
    job.note_met()
    assert work.was_met
    pool.workers[0].finish(answers.CANCELLED, ())
    pool.queues.drain()
    other = pool.call()
    following = pool.workers[0].next()
    assert following.at == job.at  # the same cell
    assert (following.is_stopped, following.is_interrupted) == (False, False)
    assert (job.is_stopped, job.is_interrupted) == (True, True)
    assert work.was_met
    assert not other.was_met


def test_who_is_sought_knows_it_until_it_is_found(pool):
    work = pool.call()
    job = pool.workers[0].next()
    pool.queues.seek(work, True)
    pool.workers[0].wait_alarm()  # it rings
    assert job.is_sought
    pool.queues.seek(work, False)
    assert not job.is_sought
    pool.queues.seek(work, True)
    pool.workers[0].finish(answers.VALUE, ())
    pool.queues.drain()
    pool.call()
    following = pool.workers[0].next()
    assert following.at == job.at  # the same cell
    assert (job.is_sought, following.is_sought) == (True, False)


def test_flags_set_before_it_is_sent_go_with_it():
    queues = CreditQueues(1)
    work = queues.inject(1, (b"call",), (), 0, 1, 1)
    work.request_stop()
    queues.interrupt(work)
    worker = CreditWorker(queues.handle, 0)
    queues.drain()
    job = worker.next()
    assert (job.is_stopped, job.is_interrupted) == (True, True)


# Limits of CPython


def test_views_at_workers_are_bounded(pool):
    memory = bytearray(1)
    many = tuple(memoryview(memory) for _ in range(MAX_LENT - 1))
    pool.call(lent=many)
    pool.call(lent=many[:2])
    assert len(pool.queues._line) == 1  # though a worker has credit
    pool.run()
    pool.queues.drain()
    pool.call(lent=many)
    assert len(pool.queues._line) == 1
    pool.run()
    pool.queues.drain()
    pool.run()
    pool.queues.drain()
    assert (len(pool.queues._line), pool.queues._lent) == (0, 0)


class Owner(bytearray):
    """Memory that does something when it ends."""

    def __del__(self):
        self.at_end()


@pytest.mark.parametrize("end", ["answered", "withdrawn"])
def test_lent_memory_is_let_go_of_outside_the_lock(pool, end):
    """What ends with it may use the pool."""
    injected = []
    owner = Owner(1)
    owner.at_end = lambda: injected.append(pool.call())
    work = pool.call(lent=(memoryview(owner),))
    del owner
    if end == "answered":
        pool.run()
        pool.queues.drain()
    else:
        assert pool.queues.withdraw(work)
    gc.collect()
    assert len(injected) == 1


def test_misuse_too_many_views(pool):
    work = pool.call(lent=(memoryview(b"a"),) * (MAX_LENT_ALONE + 1))
    ((_, answer, frames, *_, is_last, _, _),) = pool.queues.drain()
    assert (answer, is_last, work.phase) == (answers.ERROR, True, DONE)
    assert b"lends 257 views" in frames[0]


def test_a_large_answer_wakes_the_worker_once_more(pool):
    pool.call()
    pool.workers[0].next()
    pool.workers[0].finish(answers.VALUE, (bytes(credit.LARGE_ANSWER),))
    pool.queues.drain()
    assert bell.Ear(pool.workers[0]._bell).hears()
    work = pool.call()
    assert pool.queues.withdraw(work)  # past what wakes it
    pool.call()
    assert pool.workers[0].next().frame(0) == b"call"


# Jobs that wait for home


def test_a_job_that_asks_gets_its_reply(pool):
    work = pool.call()
    job = pool.workers[0].next()
    replies = []
    thread = ask_in_thread(pool.workers[0], job, b"?", replies)
    ((work_id, answer, (question,), *_, is_last, _, _),) = wait_news(pool.queues)
    assert (work_id, answer, is_last, work.phase) == (1, answers.ASKED, False, RUNNING)
    assert question.frames == (b"?",)
    question.reply(answers.VALUE, (b"!", memoryview(b"view")))
    question.reply(answers.ERROR, ())  # too late
    thread.join(TIMEOUT)
    assert replies == [(answers.VALUE, (b"!", b"view"))]
    pool.workers[0].finish(answers.VALUE, ())
    assert len(pool.queues.drain()) == 1


def test_several_that_ask_get_their_own_replies(pool):
    pool.call()
    job = pool.workers[0].next()
    replies = {}
    threads = [
        ask_in_thread(pool.workers[0], job, b"%d" % i, replies.setdefault(i, []))
        for i in range(5)
    ]
    questions = [item[2][0] for item in wait_news(pool.queues, 5)]
    for question in random.Random(1).sample(questions, 5):
        question.reply(answers.VALUE, question.frames)
    for thread in threads:
        thread.join(TIMEOUT)
    assert replies == {i: [(answers.VALUE, (b"%d" % i,))] for i in range(5)}
    assert not pool.workers[0]._replies._is_led


def test_a_question_that_cannot_be_sent_is_in_nobodys_way(pool, monkeypatch):
    """Who leaves with a reply lets the next one lead, and this one never would."""
    pool.call()
    worker = pool.workers[0]
    job = worker.next()

    def fail(mailbox, item):
        raise MemoryError

    with monkeypatch.context() as patch:
        patch.setattr(credit_worker, "put_item", fail)
        with pytest.raises(MemoryError):
            worker.ask(job, (b"?",))
    assert not worker._replies._waiters
    worker.finish(answers.VALUE, ())
    assert len(pool.queues.drain()) == 1


def test_closed_queues_leave_their_descriptors_alone(kind_of_bell):
    """The numbers are given to others, who wait for what is read there."""
    reads, writes = os.pipe()
    os.set_blocking(reads, False)
    pool = Pool()
    number = pool.queues.fileno()
    pool.queues.hush(True)
    pool.queues.close()
    os.dup2(reads, number)
    try:
        os.write(writes, bytes(8))
        assert pool.queues.drain() == []
        pool.queues.hush(False)
        assert os.read(number, 8) == bytes(8)
    finally:
        for each in (number, reads, writes):
            os.close(each)


def test_a_question_keeps_the_queues_open():
    """A straggler's end would close them in its thread, in the middle of a reply."""
    pool = Pool()
    pool.call()
    thread = ask_in_thread(pool.workers[0], pool.workers[0].next(), b"?", [])
    ((*_, (question,), _, _, _, _, _),) = wait_news(pool.queues)
    pool.workers[0].hang_up()
    thread.join(TIMEOUT)
    alive = weakref.ref(pool.queues)
    del pool
    gc.collect()
    assert alive() is not None
    del question
    gc.collect()
    assert alive() is None


@pytest.mark.parametrize("end", ["dropped", "stop", "hang up"])
def test_who_asks_is_answered_in_any_case(pool, end):
    pool.call()
    job = pool.workers[0].next()
    replies = []
    threads = [ask_in_thread(pool.workers[0], job, b"?", replies) for _ in range(3)]
    news = wait_news(pool.queues, 3)
    expected = answers.BROKEN if end == "hang up" else answers.NONE
    if end == "dropped":
        del news
    elif end == "stop":
        pool.queues.stop()
    else:
        pool.workers[0].hang_up()
    for thread in threads:
        thread.join(TIMEOUT)
    assert replies == [(expected, ())] * 3
    if end != "dropped":  # and so it stays
        ask_in_thread(pool.workers[0], job, b"?", replies).join(TIMEOUT)
        assert replies[3] == (expected, ())


def test_who_asks_after_its_end_is_answered(pool):
    pool.call()
    job = pool.workers[0].next()
    pool.workers[0].finish(answers.VALUE, ())
    pool.queues.drain()
    replies = []
    thread = ask_in_thread(pool.workers[0], job, b"?", replies)
    bell.Ear((pool.queues.fileno(),) * 2).wait()
    assert pool.queues.drain() == []
    thread.join(TIMEOUT)
    assert replies == [(answers.NONE, ())]


def test_a_reply_to_an_interpreter_before_is_nobodys(pool):
    pool.call()
    thread = ask_in_thread(pool.workers[0], pool.workers[0].next(), b"?", [])
    ((*_, (late,), _, _, _, _, _),) = wait_news(pool.queues)
    pool.workers[0].hang_up()
    thread.join(TIMEOUT)
    pool.workers[0].hang_up()
    pool.queues.bury(0)
    pool.queues.drain()
    late.reply(answers.VALUE, (b"late",))
    worker = pool.begin(0)
    pool.call()
    pool.queues.drain()
    replies = []
    thread = ask_in_thread(worker, worker.next(), b"?", replies)
    ((*_, (question,), _, _, _, _, _),) = wait_news(pool.queues)
    question.reply(answers.VALUE, (b"for you",))
    thread.join(TIMEOUT)
    assert replies == [(answers.VALUE, (b"for you",))]


def test_a_detached_job_makes_room_for_others(pool):
    works = [pool.call() for _ in range(3)]
    worker = pool.workers[0]
    worker.next()
    number = worker.detach()
    assert pool.queues.detached() == [[1]]
    pool.queues.drain()
    assert len(pool.queues._line) == 0  # it needs no credit
    worker.next()
    assert pool.queues.running() == [2]
    worker.finish_detached(number, answers.VALUE, (b"first",))
    assert ends(pool.queues.drain()) == [(1, answers.VALUE, 0, 1, True)]
    number = worker.detach()
    worker.next()
    worker.finish(answers.VALUE, ())
    worker.attach(number)
    assert (pool.queues.detached(), pool.queues.running()) == ([[]], [2])
    worker.finish(answers.VALUE, ())
    assert [item[0] for item in pool.queues.drain()] == [3, 2]
    assert [work.phase for work in works] == [DONE] * 3


def test_a_detached_job_is_broken_with_its_worker(pool):
    pool.call(lent=(memoryview(b"a"),))
    pool.workers[0].next()
    pool.workers[0].detach()
    assert pool.workers[0].begin_wait()
    pool.queues.bury(0)
    assert ends(pool.queues.drain()) == [(1, answers.BROKEN, 0, 1, True)]
    assert (pool.queues.num_waiting(), pool.queues._lent) == (0, 0)
    assert pool.queues._seats[0].away == {}


def test_as_many_wait_as_may(kind_of_bell):
    pool = Pool(2, spare_limit=300)
    for i in range(300):
        assert pool.workers[i % 3 % 2].begin_wait()
    assert not pool.workers[0].begin_wait()
    assert not pool.workers[1].begin_wait()
    assert pool.queues.num_waiting() == 300
    pool.workers[0].end_wait()
    assert pool.workers[1].begin_wait()
    pool.queues.bury(1)  # what waited there is gone
    assert pool.queues.num_waiting() == 199
    assert pool.workers[0].begin_wait()


def test_recall_ends_one_wait(pool):
    worker = pool.workers[0]
    worker.recall()
    assert worker.next() is None
    pool.call()
    worker.recall()
    waiting = pool.call()
    assert pool.queues.withdraw(waiting)  # past the recall
    assert [worker.next() is None for _ in range(2)] == [True, False]
    worker.finish(answers.VALUE, ())
    worker.recall()
    pool.queues.bury(0)
    worker = pool.begin(0)
    pool.queues.drain()
    pool.call()
    assert worker.next() is not None  # it was not for this one


# The end


def test_a_dead_worker_leaves_nothing_behind(pool):
    answered, broken, waiting = pool.call(), pool.call(), pool.call()
    pool.run()
    pool.workers[0].next()
    pool.queues.bury(0)  # before home has seen the answer
    assert pool.queues.counters(0)[0] == 2
    assert ends(pool.queues.drain()) == [
        (1, answers.VALUE, 0, 1, True),
        (2, answers.BROKEN, 0, 1, True),
    ]
    assert (answered.phase, broken.phase, waiting.phase) == (DONE, DONE, QUEUED)
    assert not pool.queues.is_anyone_idle()
    worker = pool.begin(0)
    pool.queues.drain()
    worker.next()
    assert waiting.phase == RUNNING


def test_what_was_not_begun_is_not_broken(pool):
    work = pool.call()
    pool.queues.bury(0)
    assert pool.queues.drain() == []
    assert (work.phase, len(pool.queues)) == (QUEUED, 1)
    assert pool.queues.withdraw(work)


def test_stop_lets_what_is_queued_run(pair):
    works = [pair.call() for _ in range(6)]
    pair.queues.stop()
    for index, worker in enumerate(pair.workers):
        while (job := worker.next()) is not None:
            assert job.start == 0
            worker.finish(answers.VALUE, ())
        pair.queues.bury(index)
    assert len(pair.queues.drain()) == 6
    assert all(work.phase == DONE for work in works)


def test_what_waits_is_not_withdrawn_after_the_order_to_stop(pool):
    """There is nobody to send again to what waits beside it."""
    pool.call()
    works = [pool.call(), pool.call()]
    pool.queues.stop()
    assert not pool.queues.withdraw(works[0])
    for _ in range(3):
        pool.run()
    assert pool.workers[0].next() is None
    assert len(pool.queues.drain()) == 3


def test_the_order_to_stop_is_not_taken_back(pair):
    pair.queues.stop()
    pair.queues.bury(0)
    worker = pair.begin(0)  # HOST-4 had not seen it
    assert [worker.next() for _ in range(2)] == [None, None]


def test_misuse_of_a_worker_is_an_error(pool):
    worker = pool.workers[0]
    for misuse in (lambda: pool.workers[0].finish(answers.VALUE, ()), worker.detach):
        with pytest.raises(RuntimeError, match="no job runs"):
            misuse()
    pool.call()
    pool.workers[0].next()
    for misuse in (worker.next, lambda: worker.attach(8)):
        with pytest.raises(RuntimeError, match="still runs"):
            misuse()


def test_leak_descriptors_and_memory(kind_of_bell):
    Pool(2)  # what opens for good
    gc.collect()
    before = len(os.listdir("/proc/self/fd"))
    seen = []
    for _ in range(5):
        pool = Pool(3)
        seen.append(weakref.ref(pool.queues))
        pool.call()
        pool.run()
        pool.queues.drain()
    del pool
    gc.collect()
    assert [ref() for ref in seen] == [None] * 5
    assert len(os.listdir("/proc/self/fd")) == before


class Storm:
    """Four workers that end now and then, and who sends, withdraws and takes news."""

    def __init__(self, seed):
        self.seed = seed
        self.order = random.Random(seed)
        self.queues = CreditQueues(4)
        self.ran = []  # frames; appended by all threads
        self.ended = {}  # the last answer, by id
        self.withdrawn = set()
        self.frames = {}  # by id
        self.out = []
        self.threads = [
            threading.Thread(target=self.serve, args=(index,)) for index in range(4)
        ]

    def serve(self, index):
        """Be a worker, until the order to stop."""
        lifetimes = random.Random(self.seed + index)
        is_over = False
        while not is_over:
            worker = CreditWorker(self.queues.handle, index)
            for _ in range(lifetimes.randrange(1, 500)):
                job = worker.next()
                is_over = job is None
                if is_over:
                    break
                self.run(worker, job)
            self.queues.bury(index)

    def run(self, worker, job):
        while job.start and job.stop - job.start > 1 and not len(worker):
            worker.share((job.start + job.stop) // 2)
        self.ran += [bytes(job.frame(i)) for i in range(job.start, job.stop)]
        worker.finish(answers.VALUE, ())

    def send(self, work_id):
        """Send a call or, now and then, a batch."""
        name, lane = b"%d" % work_id, self.order.randrange(3)
        if self.order.random() < 0.1:
            self.frames[work_id] = [name + b".%d" % i for i in range(20)]
            frames = (b"fn", *self.frames[work_id])
            work = self.queues.inject(work_id, frames, (), 1, 21, lane)
        else:
            self.frames[work_id] = [name]
            work = self.queues.inject(work_id, (name,), (), 0, 1, lane)
        self.out.append(work)

    def withdraw(self):
        """Withdraw something that was sent lately, if it has not begun."""
        victim = self.order.choice(self.out[-20:])
        if self.queues.withdraw(victim):
            self.withdrawn.add(victim.id)

    def take(self):
        """Take the news."""
        for work_id, answer, *_, is_last, _, _ in self.queues.drain():
            assert work_id not in self.ended, f"seed {self.seed}"
            assert answer in (answers.VALUE, answers.NONE), f"seed {self.seed}"
            if is_last:
                self.ended[work_id] = answer


@pytest.mark.stress
def test_stress_storm_accounts_for_every_job(kind_of_bell):
    """Jobs, batches and withdrawals beside four workers that end now and then.

    Each piece of work ends once: withdrawn and never run, or run, each frame once.
    """
    seed = int(os.environ.get("RUNTIME_STORM_SEED", "1"))
    storm = Storm(seed)
    for thread in storm.threads:
        thread.start()
    for work_id in range(1, STORM_JOBS + 1):
        storm.send(work_id)
        if storm.order.random() < 0.3:
            storm.withdraw()
        if storm.order.random() < 0.5:
            storm.take()
    ear = bell.Ear((storm.queues.fileno(),) * 2)
    while len(storm.ended) < STORM_JOBS:
        ear.wait()
        storm.take()
    storm.queues.stop()
    for thread in storm.threads:
        thread.join(TIMEOUT)
        assert not thread.is_alive(), f"seed {seed}"
    must_run = [
        frame
        for work_id, frames in storm.frames.items()
        if work_id not in storm.withdrawn
        for frame in frames
    ]
    assert sorted(storm.ran) == sorted(must_run), f"seed {seed}"
    empty = {i for i, answer in storm.ended.items() if answer == answers.NONE}
    assert empty == storm.withdrawn, f"seed {seed}"
    free = storm.queues._memory._free
    assert len(set(free)) == len(free) == cells.CELL_COUNT - 1, f"seed {seed}"
