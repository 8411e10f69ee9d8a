"""The log of a video's builds: a line a task, and never much more than its limit."""

from __future__ import annotations

from pathlib import Path

import pytest

from dubd.errors import DubdError
from dubd.graph import build_log
from dubd.graph.build import Event
from dubd.graph.build_log import BuildLog


def lines(folder: Path) -> list[str]:
    return (folder / "log" / "build.log").read_text().splitlines()


def test_it_has_what_ran_and_what_failed_with_the_reason(tmp_path: Path) -> None:
    log = BuildLog(tmp_path)
    log.hear(Event("plan:talk", "plan", "started"))
    log.hear(Event("plan:talk", "plan", "ran", seconds=1.234, why="never built"))
    log.hear(Event("talk:000/speak", "speak", "failed", why="edited", error=DubdError("mumbles", remedy="speak up")))
    first, second = lines(tmp_path)
    assert first.endswith(" plan:talk ran 1.23s never built")
    assert second.endswith(" talk:000/speak failed 0.00s edited | mumbles; speak up")


def test_of_many_builds_the_last_ones_are_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(build_log, "LIMIT", 2000)
    for build in range(100):
        log = BuildLog(tmp_path)
        for task in range(10):
            log.hear(Event(f"talk:{task:03}/speak", "speak", "ran", why=f"build {build}"))
        assert (tmp_path / "log" / "build.log").stat().st_size <= 2000 + 10 * 70
        assert [line for line in lines(tmp_path) if len(line.split()) != 7] == []
        assert [line[-2:].strip() for line in lines(tmp_path)[-10:]] == [str(build)] * 10
    assert [path.name for path in (tmp_path / "log").iterdir()] == ["build.log"]


def test_a_build_goes_on_where_its_log_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "log").write_text("in its place")
    BuildLog(tmp_path).hear(Event("plan:talk", "plan", "ran"))
