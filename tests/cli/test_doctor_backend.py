"""What doctor says of the backend that "auto" stands for."""

from _thread import allocate_lock

import pytest

from runtime import _backends
from runtime._cli import doctor


@pytest.mark.parametrize(
    ("has_gil", "reason", "words"),
    [
        (False, None, "threads: without a GIL"),
        (True, None, "interpreters: with a GIL"),
        (True, "no core", "threads, which take turns"),
    ],
)
def test_doctor_says_why_a_backend_is_chosen(
    monkeypatch, caplog, has_gil, reason, words
):
    monkeypatch.delenv("RUNTIME_BACKEND")
    monkeypatch.setattr(doctor, "is_gil_enabled", lambda: has_gil)
    monkeypatch.setattr(_backends, "_has_gil", lambda: has_gil)
    monkeypatch.setattr(_backends, "why_unavailable", {"interpreters": reason}.get)
    monkeypatch.setattr(_backends, "_warned", allocate_lock())
    assert doctor._auto().startswith(words)
    assert caplog.records == []  # its rows say it, the log is for pools


def test_doctor_says_that_the_environment_chose(monkeypatch):
    monkeypatch.setenv("RUNTIME_BACKEND", "threads")
    assert doctor._auto() == "threads, because RUNTIME_BACKEND says so"
    monkeypatch.setenv("RUNTIME_BACKEND", "fibres")
    assert doctor._auto().startswith("no: ")
