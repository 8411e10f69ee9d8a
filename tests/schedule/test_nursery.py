"""The process that workers are forked from, killed at a bad moment."""

from __future__ import annotations

import os
import resource
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import IO

import pytest

from dubd.schedule import surroundings
from dubd.schedule.nursery import Born, Nursery
from tests.schedule.test_workers import is_nursery, kill, offspring


@pytest.fixture
def nursery(tmp_path: Path) -> Iterator[Nursery]:
    made = Nursery(tmp_path / "nursery.log", surroundings.own())
    yield made
    made.close()


@pytest.fixture
def log(tmp_path: Path) -> Iterator[IO[bytes]]:
    with (tmp_path / "worker.log").open("ab") as file:
        yield file


def running() -> set[int]:
    return {pid for pid in offspring(os.getpid()) if is_nursery(pid)}


def test_no_new_one_is_asked_for_the_worker_of_one_that_was_killed(
    nursery: Nursery, log: IO[bytes], tmp_path: Path
) -> None:
    first = nursery.start(["plan"], log, [])
    (parent,) = running()
    kill(parent)
    second = nursery.start(["plan"], log, [])
    assert first.wait() == -signal.SIGKILL
    second.stdin.write(b"{}\n")
    second.stdin.flush()
    assert b"ready" in second.stdout.readline()
    second.stdin.close()
    assert second.wait() == 0
    assert (tmp_path / "nursery.log").read_text() == ""


def test_a_worker_counts_as_ended_as_soon_as_its_nursery_has(tmp_path: Path) -> None:
    """The kernel kills it a moment later; a task that it were given meanwhile would be lost by the same kill."""
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    with subprocess.Popen(["sleep", "60"]) as late, open(os.devnull, "r+b") as pipe:
        worker = Born(Nursery(tmp_path / "nursery.log", {}), gone, late.pid, pipe, pipe)
        threading.Timer(0.3, late.kill).start()
        assert worker.poll() == -signal.SIGKILL


def test_one_that_cannot_fork_says_so_and_its_workers_live_on(
    nursery: Nursery, log: IO[bytes], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "sitecustomize.py").write_text(
        "import errno, itertools, os\n"
        "fork, count = os.fork, itertools.count()\n"
        "def once():\n"
        "    if next(count) == 1:\n"
        "        raise OSError(errno.EAGAIN, 'no process to be had')\n"
        "    return fork()\n"
        "os.fork = once\n"
    )
    monkeypatch.setitem(nursery._environ, "PYTHONPATH", f"{tmp_path}:{nursery._environ['PYTHONPATH']}")
    first = nursery.start(["plan"], log, [])
    with pytest.raises(BlockingIOError):
        nursery.start(["plan"], log, [])
    assert first.poll() is None
    second = nursery.start(["plan"], log, [])
    for worker in (first, second):
        worker.stdin.close()
        assert worker.wait() == 0


def test_a_worker_is_waited_for_with_more_than_a_thousand_files_open(nursery: Nursery, log: IO[bytes]) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, 1200), hard))
    files: list[int] = []
    try:
        while not files or files[-1] < 1024:
            files.append(os.dup(0))
        worker = nursery.start(["plan"], log, [])
        assert worker.poll() is None
        worker.stdin.close()
        assert worker.wait() == 0
    finally:
        for file in files:
            os.close(file)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_none_is_launched_to_be_told_how_a_worker_ended(nursery: Nursery, log: IO[bytes], tmp_path: Path) -> None:
    worker = nursery.start(["plan"], log, [])
    (parent,) = running()
    kill(parent)
    assert worker.wait() == -signal.SIGKILL
    assert not running()
    assert (tmp_path / "nursery.log").read_text() == ""
