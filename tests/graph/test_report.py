"""What is told of a video is of its own tasks: those of a rule that it had before do not count."""

from __future__ import annotations

from pathlib import Path

import pytest

from dubd.engines import registry
from dubd.errors import DubdError
from dubd.graph.dubbed import changed_lips
from dubd.graph.report import report
from dubd.graph.state import State
from dubd.graph.video import Video
from dubd.service.standing import of_video

from .stand import Desk


def change(desk: Desk, old: str, new: str) -> None:
    path: Path = desk.folders.rules / "lite.yaml"
    path.write_text(path.read_text().replace(old, new))


@pytest.fixture
def without(desk: Desk) -> Desk:
    """Lips failed in one segment; then the rule was changed, so that none are asked for."""
    desk.stand.fail[f"{desk.claim().id}:000/lipsync"] = DubdError("no face fits")
    desk.build()
    assert of_video(desk.folder)["state"] == report(desk.folder)["state"] == "failed"
    change(desk, "stages: {", "stages: {lipsync: {engine: none}, restore: {engine: none}, ")
    return desk


def test_a_failure_of_a_stage_that_is_off_now_is_no_failure(without: Desk) -> None:
    without.claim()
    for built in (False, True):
        status, told = of_video(without.folder), report(without.folder)
        assert status["failed"] == told["failed"] == []
        assert status["state"] == told["state"] == ("done" if built else "unfinished")
        assert "lipsync" not in told["stages"]
        without.build()
    assert status["done"] == sum(stage["tasks"] for stage in told["stages"].values())


def test_a_build_forgets_it_so_that_it_does_not_come_back(without: Desk) -> None:
    without.build()
    change(without, "lipsync: {engine: none}, restore: {engine: none}, ", "")
    without.claim()
    assert of_video(without.folder)["failed"] == []
    state = State(without.folder)
    assert f"{without.folder.name}:001/lipsync" in state.runs()  # what went well is there when it is on again
    state.close()


def test_a_language_that_was_the_second_once_has_the_lips_of_the_first(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(registry.find("translate", "apertium"), "refuses", lambda *_: None)
    desk.stand.facts = {"faces": {"seen": 1.0}, "lipsync": {"changed": 25}}
    change(desk, "target: es", "target: [es, fr]")
    desk.build()
    desk.stand.facts["lipsync"] = {"changed": 125}
    change(desk, "target: [es, fr]", "target: [fr]")
    desk.build()
    shares = {"fr": {"faces": 1.0, "changed": 0.5}}
    assert changed_lips(Video.open(desk.folder)) == shares
    assert report(desk.folder)["dubs"][0]["lips"] == shares["fr"]
    assert report(desk.folder)["stages"]["lipsync"]["tasks"] == 2
