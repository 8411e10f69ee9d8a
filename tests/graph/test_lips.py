"""A dub says how much of its picture was changed, wherever a user looks."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from dubd.cli.board import Board, Lines
from dubd.cli.report import report as show_report
from dubd.cli.status import status as show_status
from dubd.graph.dubbed import changed_lips, dubbed
from dubd.graph.lips import lips, said
from dubd.graph.report import report
from dubd.graph.report_page import page
from dubd.service.standing import of_video
from tests.graph.stand import Desk, plan

NO_FACE = "no face found: the picture is as it was"


def runs(*segments: tuple[float, int], language: str = "") -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = {}
    for number, (seen, changed) in enumerate(segments):
        found[f"v:{number:03d}/faces"] = {"state": "ran", "facts": {"seen": seen}}
        found[f"v:{number:03d}/{language}lipsync"] = {"state": "ran", "facts": {"changed": changed}}
    return found


@pytest.mark.parametrize(
    ("segments", "words"),
    [
        ([(0.0, 0), (0.0, 0)], NO_FACE),
        ([(1.0, 0), (0.6, 0)], "no lips changed, though a face is in 80% of the frames: the picture is as it was"),
        ([(1.0, 150), (0.0, 40)], "lips changed in 38% of the frames, a face is in 50%"),
        ([(0.004, 1), (0.0, 0)], "lips changed in under 1% of the frames, a face is in under 1%"),
    ],
)
def test_shares_are_those_of_all_frames(segments: list[tuple[float, int]], words: str) -> None:
    assert said(lips(runs(*segments), plan(2), ["es"])["es"]) == words


def test_a_face_in_one_second_of_an_hour_is_a_face() -> None:
    hour = 360
    segments = [(0.1, 1), *[(0.0, 0)] * (hour - 1)]
    words = "lips changed in under 1% of the frames, a face is in under 1%"
    assert said(lips(runs(*segments), plan(hour), ["es"])["es"]) == words


def test_each_language_has_its_own_and_one_that_does_not_tell_has_none() -> None:
    known = {**runs((1.0, 125), (1.0, 125)), **runs((1.0, 25), (1.0, 25), language="fr/")}
    shares = lips(known, plan(2), ["es", "fr"])
    assert (shares["es"]["changed"], shares["fr"]["changed"]) == (0.5, 0.1)
    known["v:001/fr/lipsync"]["facts"] = {}  # another engine
    assert lips(known, plan(2), ["es", "fr"]).keys() == {"es"}
    known["v:001/lipsync"]["state"] = "failed"
    assert not lips(known, plan(2), ["es", "fr"])


@pytest.fixture
def faceless(desk: Desk) -> Desk:
    """A whole dub in which nobody was seen."""
    desk.stand.facts = {"faces": {"tracks": 0, "seen": 0.0}, "lipsync": {"mode": "none", "changed": 0}}
    desk.build()
    return desk


def test_a_video_without_a_face_says_so_everywhere(
    faceless: Desk, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("inbox", "workspace", "rules", "models"):
        monkeypatch.setenv(f"DUBD_{name.upper()}", str(faceless.root / name))
    data = report(faceless.folder)
    assert data["dubs"][0]["lips"] == {"faces": 0.0, "changed": 0.0}
    assert NO_FACE in page(data)
    assert of_video(faceless.folder)["lips"] == {"es": {"faces": 0.0, "changed": 0.0}}
    for show in (show_report, show_status):
        show(faceless.folder.name)
        assert NO_FACE in capsys.readouterr().out
    video = faceless.claim()
    Board().built(video.folder, dubbed(video), 2.0)
    assert capsys.readouterr().out == f"{video.folder / 'dubbed.es.mp4'} (2.0 s), {NO_FACE}\n"
    Lines().built(video.folder, dubbed(video), 2.0)
    assert '"lips": {"es": {"faces": 0.0, "changed": 0.0}}' in capsys.readouterr().out


def test_where_lips_were_not_asked_for_nothing_is_said_of_them(faceless: Desk) -> None:
    path: Path = faceless.folders.rules / "lite.yaml"
    path.write_text(path.read_text().replace("stages: {", "stages: {lipsync: {engine: none}, "))
    faceless.build()
    assert report(faceless.folder)["dubs"][0]["lips"] is None
    assert of_video(faceless.folder)["lips"] == {}
    assert changed_lips(faceless.claim()) == {}
