"""What a person and a program are told of a video that waits for a model."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from dubd.cli.board import Board, Lines
from dubd.cli.why import why
from dubd.engines.espeak import Espeak
from dubd.errors import Exit
from dubd.graph.video import videos
from dubd.models.model import File, Model
from dubd.service.standing import standing
from tests.cli.test_watch import watched
from tests.graph.stand import Desk

VOICE = Model("voice/big", (File("w.bin", "http://x/w.bin", 3 << 30, "0" * 64),), "MIT", "http://x")


@pytest.fixture
def desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Desk:
    """Its default rule speaks with a model that is not here."""
    monkeypatch.setenv("DUBD_MODELS", str(tmp_path / "models"))
    monkeypatch.setenv("DUBD_RULES", str(tmp_path / "rules"))
    monkeypatch.setattr(Espeak, "models", classmethod(lambda _cls, _params: (VOICE,)))
    return Desk(tmp_path)


def test_a_program_reads_it_of_each_task_and_of_the_video(desk: Desk, capsys: pytest.CaptureFixture[str]) -> None:
    assert watched(desk, Lines()) == Exit.RULE
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    (own,) = [line for line in lines if line["stage"] == "video"]
    assert own["state"] == "waiting"
    assert own["error"]["reason"] == "needs voice/big (3.0 GiB)"
    waits = [line for line in lines if line["state"] == "waits"]
    assert {line["stage"] for line in waits} == {"speak"}
    assert waits[0]["error"]["remedy"] == "dubd models pull lite"


def test_a_person_reads_it_once_however_many_segments_wait(desk: Desk, capsys: pytest.CaptureFixture[str]) -> None:
    watched(desk, Board())
    told = capsys.readouterr()
    assert told.err.count("needs voice/big (3.0 GiB); dubd models pull lite") == 1
    assert "it waits for models" in told.out
    assert "failed" not in told.out


def test_a_drop_that_was_not_taken_yet_tells_what_it_will_need(desk: Desk) -> None:
    (drop,) = standing(desk.folders)["drops"]
    assert drop["lacks"] == ["voice/big (3.0 GiB)"]
    assert drop["error"] is None


def test_why_names_the_model_and_the_command_once_of_a_video_and_of_what_comes_after(
    desk: Desk, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    watched(desk, Lines())
    monkeypatch.setenv("DUBD_WORKSPACE", str(desk.folders.workspace))
    (folder,) = videos(desk.folders.workspace)
    line = "speak waits for a model: needs voice/big (3.0 GiB); dubd models pull lite"
    for what in (folder.name, str(folder / "dubbed.es.mp4"), str(folder / "segments" / "000" / "speech.wav")):
        capsys.readouterr()
        why(what)
        assert capsys.readouterr().out.splitlines().count(line) == 1, what
    why(folder.name, json=True)
    told = {verdict["task"].partition(":")[2]: verdict["model"] for verdict in json.loads(capsys.readouterr().out)}
    assert told["000/speak"] == {
        "names": ["voice/big"],
        "says": line.split(": ")[1].split(";")[0],
        "remedy": "dubd models pull lite",
    }
    assert told["assemble"] is None
