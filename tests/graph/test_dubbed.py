"""What the last line of a build and `dubd status` say of a dub that came to be otherwise than its rule asks."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from dubd.cli.board import Board, Lines
from dubd.cli.status import status as show_status
from dubd.graph import report
from dubd.graph.dubbed import dubbed
from dubd.graph.remarks import remarked
from dubd.service.standing import of_video
from tests.graph.stand import Desk

FELL_BACK = "000/lipsync: 1 of 1 stretches by the fallback engine: ended with exit code 1"


@pytest.fixture
def fallen(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> Desk:
    """A whole dub whose lips the fallback engine made."""
    for name in ("inbox", "workspace", "rules", "models"):
        monkeypatch.setenv(f"DUBD_{name.upper()}", str(desk.root / name))
    desk.stand.facts = {"lipsync": {"pieces": 1, "fallback": 1, "why": ["ended with exit code 1"]}}
    desk.build()
    report.write(desk.folder)
    return desk


def test_a_fallback_is_told_behind_the_dub_and_not_in_the_report_alone(
    fallen: Desk, capsys: pytest.CaptureFixture[str]
) -> None:
    came = dubbed(fallen.claim())
    Board().built(fallen.folder, came, 2.0)
    assert capsys.readouterr().out.splitlines()[1] == f"{fallen.folder.name}: {FELL_BACK}"
    Lines().built(fallen.folder, came, 2.0)
    assert FELL_BACK in json.loads(capsys.readouterr().out)["remarks"]


def test_the_status_has_it_too(fallen: Desk, capsys: pytest.CaptureFixture[str]) -> None:
    assert FELL_BACK in of_video(fallen.folder)["remarks"]
    show_status(fallen.folder.name)
    assert f"  remark  {FELL_BACK}\n" in capsys.readouterr().out


def test_of_many_remarks_the_first_are_told_and_where_the_others_stand(
    fallen: Desk, capsys: pytest.CaptureFixture[str]
) -> None:
    path = fallen.folder / "report.json"
    path.write_text(json.dumps({"remarks": [f"remark {number}" for number in range(9)]}))
    Board().built(fallen.folder, dubbed(fallen.claim()), 2.0)
    told = capsys.readouterr().out.splitlines()[1:]
    assert len(told) == 4
    assert told[-1] == f"{fallen.folder.name}: and 6 remarks more: dubd report {fallen.folder.name}"


@pytest.mark.parametrize("text", [None, "", "[]", '{"remarks": 3}', "\xff"])
def test_a_report_that_is_not_there_or_broken_has_no_remarks(tmp_path: Path, text: str | None) -> None:
    if text is not None:
        (tmp_path / "report.json").write_text(text, encoding="latin-1")
    assert remarked(tmp_path) == []
