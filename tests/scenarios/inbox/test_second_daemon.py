"""A workspace has one daemon: a second one is refused in a line that names the first, for as long as that one lives."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from dubd.errors import Exit
from dubd.service import retries
from tests.scenarios.conftest import Home
from tests.scenarios.inbox.conftest import NO_VIDEO, Daemon


def test_a_second_daemon_is_refused_and_names_the_first(home: Home, start: Callable[..., Daemon]) -> None:
    first = start(home)
    second = home.dubd("watch", "--until-idle")
    assert second.returncode == Exit.BUSY
    (line,) = second.stderr.splitlines()
    assert f"{home.root / 'workspace'}: is watched by process {first.process.pid} already" in line
    assert "watching" not in second.stdout
    (home.root / "inbox" / "talk.mp4").write_bytes(b"no film")
    first.hear("talk.mp4", NO_VIDEO)  # none the worse


@pytest.mark.parametrize("how", ["terminate", "kill"])
def test_the_next_one_starts_once_the_first_is_gone(home: Home, start: Callable[..., Daemon], how: str) -> None:
    first = start(home)
    getattr(first.process, how)()
    first.process.wait(30)
    assert home.dubd("watch", "--until-idle").returncode == 0


def test_who_only_looks_whether_there_is_one_keeps_none_from_starting(tmp_path: Path) -> None:
    assert not retries.watched(tmp_path)
    with retries.watching(tmp_path):
        assert retries.watched(tmp_path)
    assert not retries.watched(tmp_path)
    with retries.watching(tmp_path):
        assert retries.watched(tmp_path)
