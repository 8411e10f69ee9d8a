"""One real daemon for many drops: each case has names and contents of its own."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest

from tests.scenarios.conftest import Home, make_home

SETTLE = 0.5
NO_VIDEO = "not a video"  # how a drop of text ends: a line for each time that it was taken


class Daemon:
    """`dubd watch` in a home, and what it has said."""

    def __init__(self, home: Home, before: Sequence[str] = ()) -> None:
        self.home, self.inbox = home, home.root / "inbox"
        self.said: list[str] = []
        self.process = subprocess.Popen(
            [*before, sys.executable, "-m", "dubd", "watch", "--settle", str(SETTLE)],
            env=home.environ,
            cwd="/",
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        threading.Thread(target=self._read, daemon=True).start()
        self.hear("watching")

    def hear(self, *words: str, seconds: float = 30, times: int = 1) -> str:
        """The line with all these words that is the `times`-th."""
        found: list[str] = []

        def heard() -> bool:
            found[:] = self.lines(*words)
            return len(found) >= times

        self.until(heard, seconds, f"never said {words}: {self.said[-20:]}")
        return found[times - 1]

    def lines(self, *words: str) -> list[str]:
        return [line for line in list(self.said) if all(word in line for word in words)]

    def until(self, reached: Callable[[], bool], seconds: float = 30, why: str = "not reached") -> None:
        end = time.monotonic() + seconds
        while not reached():
            assert time.monotonic() < end, why
            time.sleep(0.05)

    def quiet(self, *words: str, seconds: float = 3 * SETTLE) -> None:
        """Nothing more is said of it for a while."""
        before = len(self.lines(*words))
        time.sleep(seconds)
        assert len(self.lines(*words)) == before, self.said

    def end(self) -> None:
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGCONT)
            self.process.terminate()
            try:
                self.process.wait(20)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()

    def _read(self) -> None:
        assert self.process.stdout
        for line in self.process.stdout:
            self.said.append(line.rstrip("\n"))


@pytest.fixture(scope="module")
def daemon(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    daemon = Daemon(make_home(tmp_path_factory.mktemp("shared") / "home"))
    yield daemon
    daemon.end()


@pytest.fixture
def start() -> Iterator[Callable[..., Daemon]]:
    """Starts daemons that one case has for itself."""
    begun: list[Daemon] = []

    def started(home: Home, before: Sequence[str] = ()) -> Daemon:
        begun.append(Daemon(home, before))
        return begun[-1]

    yield started
    for daemon in begun:
        daemon.end()


@pytest.fixture
def elsewhere(tmp_path: Path) -> Path:
    """A folder on the inbox's file system that nobody watches."""
    return tmp_path


@pytest.fixture
def other_disk() -> Iterator[Path]:
    """A folder on another file system than the inbox."""
    path = Path("/dev/shm") / f"dubd-test-{os.getpid()}"
    try:
        path.mkdir()
    except OSError:
        pytest.skip("no other file system to write to")
    yield path
    for file in path.iterdir():
        file.unlink()
    path.rmdir()
