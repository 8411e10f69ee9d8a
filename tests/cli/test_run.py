"""dubd run: a stop at any time, and a rule that is asked for."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from pathlib import Path

import pytest
import typer

from dubd.cli.board import Board, Lines
from dubd.cli.run import _Run
from dubd.errors import DubdError, Exit
from dubd.graph import video_build
from dubd.graph.build import Event, Listener
from dubd.graph.video import Video
from dubd.schedule import executor
from dubd.schedule.ticket import Ticket
from tests.graph.stand import Desk


def film(path: Path, seconds: int) -> None:
    """A small picture with a tone."""
    picture = ("-f", "lavfi", "-i", f"testsrc2=size=64x48:rate=10:duration={seconds}")
    tone = ("-f", "lavfi", "-i", f"sine=duration={seconds}")
    subprocess.run(["ffmpeg", "-v", "error", "-y", *picture, *tone, "-preset", "ultrafast", path], check=True)


def wait_for(reached: Callable[[], bool]) -> None:
    end = time.monotonic() + 30
    while not reached():
        assert time.monotonic() < end
        time.sleep(0.01)


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    desk = Desk(tmp_path)
    (desk.folders.inbox / "other.mp4").write_text("other", encoding="utf-8")
    return desk


def test_a_stop_while_builds_are_prepared_reaches_all_of_them(
    desk: Desk, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    made: list[video_build.VideoBuild] = []

    class Interrupted(video_build.VideoBuild):
        def __init__(self, video: Video, listener: Listener) -> None:
            super().__init__(video, listener)
            made.append(self)
            os.kill(os.getpid(), signal.SIGINT)

    monkeypatch.setattr(video_build, "VideoBuild", Interrupted)
    with pytest.raises(typer.Exit) as left:
        run = _Run(desk.folders, Board(), 1)
        run.all([str(desk.source), str(desk.folders.inbox / "other.mp4")], None, None)
    assert left.value.exit_code == Exit.STOPPED
    assert [build.video.title for build in made] == ["talk"]
    assert not list(desk.folders.workspace.glob("*/plan.json"))
    first, second = capsys.readouterr().out.splitlines()
    assert first.startswith("other-")
    assert "stopped" in first
    assert second.startswith("talk-")
    assert "stopped" in second


def test_a_clip_that_is_asked_for_goes_before_an_edited_rule(desk: Desk) -> None:
    film(desk.source, seconds=31)
    path = desk.claim().folder / "rule.yaml"
    edited = path.read_text(encoding="utf-8") + "# mine\n"
    path.write_text(edited, encoding="utf-8")
    run = _Run(desk.folders, Board(), 1)
    assert run._claim(str(desk.source), None, None).rule.clip is None
    assert path.read_text(encoding="utf-8") == edited
    clip = run._claim(str(desk.source), None, "00:15+15").rule.clip
    assert clip is not None
    assert clip.start == 15
    assert path.with_name("rule.old.yaml").read_text(encoding="utf-8") == edited


@pytest.mark.parametrize("clip", ["00:03+1", "00:02.9+5", "00:01+0.1", "0+0"])
def test_a_clip_that_the_video_does_not_have_changes_nothing(
    desk: Desk, clip: str, capsys: pytest.CaptureFixture[str]
) -> None:
    film(desk.source, seconds=3)
    before = (desk.claim().folder / "rule.yaml").read_bytes()
    with pytest.raises(typer.Exit) as left:
        _Run(desk.folders, Board(), 1).all([str(desk.source)], None, clip)
    assert left.value.exit_code == Exit.USAGE
    (line,) = capsys.readouterr().err.splitlines()
    assert "clip" in line
    assert {path.name: path.read_bytes() for path in desk.folder.glob("*.yaml")} == {"rule.yaml": before}
    assert not (desk.folder / "plan.json").exists()


def test_a_clip_of_a_new_video_is_refused_before_it_has_a_folder(desk: Desk) -> None:
    film(desk.source, seconds=3)
    with pytest.raises(typer.Exit):
        _Run(desk.folders, Board(), 1).all([str(desk.source)], None, "1:00+5")
    assert not list(desk.folders.workspace.iterdir())


def test_a_build_that_cannot_be_made_keeps_no_other_back(
    desk: Desk, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    class Broken(video_build.VideoBuild):
        def __init__(self, video: Video, listener: Listener) -> None:
            if video.title == "talk":
                raise RuntimeError("nobody foresaw this")
            super().__init__(video, listener)

    monkeypatch.setattr(video_build, "VideoBuild", Broken)
    with pytest.raises(typer.Exit) as left:
        _Run(desk.folders, Board(), 1).all([str(desk.source), str(desk.folders.inbox / "other.mp4")], None, None)
    assert left.value.exit_code == Exit.FAILED
    said = capsys.readouterr().err
    assert "nobody foresaw this" in said
    assert "other.mp4: plan: " in said  # it is text, and its plan has said so


def test_the_code_is_that_of_the_first_fault_that_is_shown(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """talk fails before other does, and its build comes to its end after other's."""
    talk, other = desk.claim(), desk.folders.inbox / "other.mp4"
    over = threading.Event()

    def during(ticket: Ticket) -> None:
        if ticket.task.endswith("000/translate") and talk.id in ticket.task:
            desk.stand.fail[ticket.task] = DubdError("no words", exit=Exit.INPUT)
        elif ticket.task.startswith("plan:other"):
            wait_for(lambda: "no words" in "".join(said))
            desk.stand.fail[ticket.task] = DubdError("no disk", exit=Exit.WORKSPACE)
        elif ticket.task == f"{talk.id}:001/lipsync":
            assert over.wait(30)

    class Told(Board):
        def fault(self, error: DubdError) -> None:
            said.append(str(error))

        def failed(self, folder: Path, errors: Sequence[DubdError], seconds: float) -> None:  # noqa: ARG002
            ended.append(folder)
            over.set()

    said: list[str] = []
    ended: list[Path] = []
    desk.stand.during = during
    monkeypatch.setattr(executor, "LocalExecutor", lambda *_: nullcontext(desk.stand))
    with pytest.raises(typer.Exit) as left:
        _Run(desk.folders, Told(), 1).all([str(other), str(desk.source)], None, None)
    assert ["no words" in said[0], "no disk" in said[1]] == [True, True]
    assert ended[-1] == talk.folder
    assert left.value.exit_code == Exit.INPUT


def test_a_build_that_cannot_be_closed_has_its_line_and_keeps_no_other_back(
    desk: Desk, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def broken(build: video_build.VideoBuild) -> None:
        real(build)
        if build.video.title == "talk":
            raise OSError(28, "No space left on device")

    real = video_build.VideoBuild.close
    monkeypatch.setattr(video_build.VideoBuild, "close", broken)
    monkeypatch.setattr(executor, "LocalExecutor", lambda *_: nullcontext(desk.stand))
    with pytest.raises(typer.Exit) as left:
        _Run(desk.folders, Lines(), 1).all([str(desk.source), str(desk.folders.inbox / "other.mp4")], None, None)
    assert left.value.exit_code == Exit.WORKSPACE
    said = capsys.readouterr()
    own = [line for line in map(json.loads, said.out.splitlines()) if line["stage"] == "video"]
    states = {line["video"].partition("-")[0]: line["state"] for line in own}
    assert states == {"talk": "failed", "other": "done"}
    assert "no space left" in said.err


def test_a_line_says_how_far_the_task_is_and_how_far_the_video(capsys: pytest.CaptureFixture[str]) -> None:
    board, folder = Board(), Path("talk-1234abcd")
    board.know(folder, {"plan:talk": "plan", "talk-1234abcd:000/faces": "faces"})
    board.hear(folder, Event("plan:talk", "plan", "started"))
    board.hear(folder, Event("plan:talk", "plan", "ran", seconds=1.2, why="never built"))
    board._last.clear()
    board.hear(folder, Event("talk-1234abcd:000/faces", "faces", "progress", fraction=0.25))
    board._last.clear()
    board.hear(folder, Event("talk-1234abcd:000/faces", "faces", "progress", fraction=1.0))
    first, second = capsys.readouterr().out.splitlines()
    assert first.startswith("talk-1234abcd plan: 1.2 s, never built; the video 11%, ")
    assert second.startswith("talk-1234abcd 000/faces: 25% done; the video 33%, ")
    assert second.endswith(" to go")
