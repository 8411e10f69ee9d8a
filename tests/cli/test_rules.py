"""What the command line says of rules, and of drops that a rule keeps out."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from dubd.cli.rules import check
from dubd.cli.status import status
from dubd.service.health import findings
from tests.graph.stand import Desk

NEEDS = "languages: {source: es, target: en}\ndefault: true\n"


@pytest.fixture
def desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Desk:
    """A desk whose rule dubs from a language that its recogniser lacks."""
    desk = Desk(tmp_path)
    (desk.folders.rules / "lite.yaml").write_text(NEEDS, encoding="utf-8")
    for name in ("inbox", "workspace", "rules", "models"):
        monkeypatch.setenv(f"DUBD_{name.upper()}", str(getattr(desk.folders, name)))
    return desk


def test_a_rule_that_needs_subtitles_is_good_and_says_so(desk: Desk, capsys: pytest.CaptureFixture[str]) -> None:
    check()
    good, note = capsys.readouterr().out.splitlines()
    assert "good, es -> en" in good
    assert note == (
        f"{desk.folders.rules / 'lite.yaml'}: note: pocketsphinx cannot recognise 'es'; "
        "each video needs subtitles beside it"
    )
    check(json=True)
    (line,) = json.loads(capsys.readouterr().out)
    assert (line["faults"], line["needs_subtitles"]) == ([], True)
    desk.rule()
    check()
    assert "note" not in capsys.readouterr().out


def test_the_doctor_notes_it_too(desk: Desk) -> None:
    said = [finding for finding in findings(desk.folders) if finding.what == "rule"]
    assert [finding.level for finding in said] == ["good", "note"]
    assert said[1].says == "lite: pocketsphinx cannot recognise 'es'"


def test_a_drop_that_is_kept_out_is_named_once(desk: Desk, capsys: pytest.CaptureFixture[str]) -> None:
    status()
    line = capsys.readouterr().out.splitlines()[0]
    assert line.startswith(f"{desk.source}: transcribe: pocketsphinx cannot recognise 'es'; ")
