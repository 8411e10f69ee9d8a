"""Plain `doit` with a video that is at fault: it is named and has its exit code, and the others go on."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path

import pytest
from doit.cmd_base import ModuleTaskLoader
from doit.doit_cmd import DoitMain

from dubd.errors import DubdError, Exit
from dubd.graph.content import ContentChecker
from dubd.graph.doit_run import creators
from dubd.graph.state import Shards, owned

from .stand import Desk

Doit = Callable[..., int]
ROOT = Path(__file__).parents[2]


@pytest.fixture
def doit(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> Doit:
    monkeypatch.setattr("dubd.schedule.executor.LocalExecutor", lambda *_: nullcontext(desk.stand))
    monkeypatch.chdir(ROOT)  # its pyproject.toml names the run command and the backend

    def run(*words: str) -> int:
        config = {"backend": "dubd", "dep_file": str(desk.folders.workspace), "check_file_uptodate": ContentChecker}
        namespace = {**creators(desk.folders, ROOT), "DOIT_CONFIG": config}
        desk.stand.ran.clear()
        return int(DoitMain(ModuleTaskLoader(namespace)).run(list(words) or ["run"]) or 0)

    return run


@pytest.fixture
def other(desk: Desk) -> Path:
    """A second video; the first one is talk-*."""
    desk.build()
    source, desk.source = desk.source, desk.folders.inbox / "other.mp4"
    desk.source.write_text("another film")
    desk.build()
    folder, desk.source = desk.claim().folder, source
    (folder / "dubbed.es.mp4").unlink()
    return folder


def lose_source(desk: Desk) -> Exit:
    (desk.folder / "source.mp4").unlink()
    (desk.folder / "source.mp4").symlink_to(desk.root / "nowhere")
    return Exit.INPUT


def break_rule(desk: Desk) -> Exit:
    (desk.folder / "rule.yaml").write_text("stages: [")
    return Exit.RULE


def break_plan(desk: Desk) -> Exit:
    (desk.folder / "plan.json").write_text("{}")
    return Exit.INPUT


faults = pytest.mark.parametrize("fault", [lose_source, break_rule, break_plan])


@faults
def test_a_video_at_fault_is_named_and_the_others_are_built(
    desk: Desk, doit: Doit, other: Path, fault: Callable[[Desk], Exit], capsys: pytest.CaptureFixture[str]
) -> None:
    code = fault(desk)
    assert doit("run") == code
    assert desk.stand.ran == ["assemble"]
    assert (other / "dubbed.es.mp4").exists()
    assert capsys.readouterr().err.startswith(f"skip {desk.folder.name}: ")


@faults
def test_alone_it_has_its_own_code(desk: Desk, doit: Doit, fault: Callable[[Desk], Exit]) -> None:
    desk.build()
    code = fault(desk)
    assert doit("run") == code


def test_only_what_is_asked_for_counts(desk: Desk, doit: Doit, other: Path) -> None:
    code = lose_source(desk)
    assert doit("run", other.name) == 0
    assert desk.stand.ran == ["assemble"]
    assert doit("run", desk.folder.name) == code
    assert doit("run", f"{desk.folder}/dubbed.es.mp4", other.name) == code


def test_a_busy_video_is_no_fault_where_others_are_built(desk: Desk, doit: Doit, other: Path) -> None:
    with owned(desk.folder):
        assert doit("run") == 0
        assert desk.stand.ran == ["assemble"]
        assert doit("run", desk.folder.name) == Exit.BUSY
    with owned(desk.folder), owned(other):
        assert doit("run") == Exit.BUSY


def test_every_other_command_goes_on_too(
    desk: Desk, doit: Doit, other: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    break_rule(desk)
    assert doit("list") == 0
    assert other.name in capsys.readouterr().out


def test_records_that_cannot_be_read_any_more_are_one_line(
    desk: Desk, doit: Doit, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    desk.claim()
    read = Shards.get

    def broken(self: Shards, task: str, key: str) -> object:
        if key == "ignore:":  # the first thing that doit's runner asks of a task
            raise DubdError("the state file cannot be used: disk I/O error", file=desk.folder, exit=Exit.WORKSPACE)
        return read(self, task, key)

    monkeypatch.setattr(Shards, "get", broken)
    assert doit() == Exit.WORKSPACE
    said = capsys.readouterr().err
    assert f"stop {desk.folder}: the state file cannot be used: disk I/O error\n" in said
    assert "Traceback" not in said
