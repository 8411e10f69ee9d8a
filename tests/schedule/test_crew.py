"""Threads for batches: as many as are needed at once, and the same ones again."""

from __future__ import annotations

import subprocess
import sys
import threading
from functools import partial

import pytest

from dubd.schedule import crew
from dubd.schedule.crew import Crew
from tests.schedule.cards import wait_until


def batches() -> int:
    return sum(thread.name == "batch" for thread in threading.enumerate())


def test_all_that_is_given_is_under_way_at_once() -> None:
    one, meet = Crew(), threading.Barrier(21)
    for _ in range(20):
        one.do(partial(meet.wait, 20))
    meet.wait(20)


def test_what_follows_is_done_by_the_same_threads() -> None:
    one, seen = Crew(), list[int]()
    for count in range(1, 51):
        one.do(lambda: seen.append(threading.get_ident()))
        assert wait_until(lambda: len(seen) == count and len(one._idle) == 1)  # noqa: B023
    assert len(set(seen)) == 1


def test_threads_that_nobody_needs_end_and_others_come(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(crew, "_IDLE", 0.05)
    before, one = batches(), Crew()
    for _ in range(3):
        ended = threading.Semaphore(0)
        for _ in range(8):
            one.do(ended.release)
        for _ in range(8):
            assert ended.acquire(timeout=20)
        assert wait_until(lambda: batches() <= before)
    assert not one._idle


def test_nothing_is_lost_where_threads_end_as_acts_come(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(crew, "_IDLE", 0.0)
    one, ended = Crew(), threading.Semaphore(0)
    for _ in range(2000):
        one.do(ended.release)
    for _ in range(2000):
        assert ended.acquire(timeout=20)


def test_an_act_that_hangs_keeps_no_process_from_ending() -> None:
    script = "import time; from dubd.schedule.crew import Crew; Crew().do(lambda: time.sleep(60))"
    subprocess.run([sys.executable, "-c", script], timeout=20, check=True)
