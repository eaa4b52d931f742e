"""The injector's compaction against cancellers, under every schedule."""

import contextvars

import pytest
from model.explorer import Play, explore

from runtime._core import injector, job
from runtime._core.injector import Injector
from runtime._core.job import Job


@pytest.mark.slow
def test_model_compaction_loses_no_entry_that_is_withdrawn_meanwhile():
    """Two cancellers, one of which compacts while the other withdraws.

    1. the first compacts, and has seen the second one's job queued;
    2. the second withdraws it;
    3. the first goes on: the entry must be removed or stay, never get lost.
    """

    def story(play: Play):
        queue = Injector()
        entries = [Job(int, (), contextvars.Context()) for _ in range(3)]
        queue.push_many(entries)
        out = []

        def withdraw(*entries):
            for entry in entries:
                assert entry.withdraw()
                out.extend(queue.note_withdrawn(entry))

        play.thread(lambda: withdraw(*entries[:2]))
        play.thread(lambda: withdraw(entries[2]))

        def check():
            out.extend(iter(queue.pop, None))
            assert sorted(map(id, out)) == sorted(map(id, entries))

        return check

    explore(story, preemptions=2, lines_of=[injector.__file__, job.__file__])
