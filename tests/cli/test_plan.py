"""dubd plan and dubd report --cost: what they print, and what they refuse."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from dubd.cli.main import app
from dubd.cli.plan import _until
from dubd.errors import DubdError
from tests.graph.stand import Desk

RULES = Path(__file__).parents[2] / "rules"


@pytest.fixture
def desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Desk:
    desk = Desk(tmp_path)
    for name in ("inbox", "workspace", "rules", "models"):
        monkeypatch.setenv(f"DUBD_{name.upper()}", str(desk.root / name))
    return desk


def run(*words: str) -> Result:
    return CliRunner().invoke(app, list(words), env={"COLUMNS": "200"})


def test_seven_o_clock_is_tomorrow_s_once_it_has_passed() -> None:
    assert _until("07:00", datetime(2026, 11, 22, 21, 0)) == 10 * 3600
    assert _until("07:00", datetime(2026, 11, 22, 6, 30)) == 1800
    assert _until("07:00", datetime(2026, 11, 22, 7, 0)) == 24 * 3600
    with pytest.raises(DubdError, match="no time of day in '7 am'"):
        _until("7 am", datetime(2026, 11, 22))


@pytest.fixture
def berlin(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("TZ", "CET-1CEST,M3.5.0,M10.5.0/3")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


@pytest.mark.usefixtures("berlin")
def test_a_night_in_which_the_clock_is_changed_is_an_hour_shorter_or_longer() -> None:
    assert _until("07:00", datetime(2026, 3, 28, 22, 0)) == 8 * 3600
    assert _until("07:00", datetime(2026, 10, 24, 22, 0)) == 10 * 3600
    # Half past two comes twice: between the two, the next is the second.
    assert _until("02:30", datetime(2026, 10, 25, 2, 45)) == 45 * 60
    assert _until("02:30", datetime(2026, 10, 25, 2, 45, fold=1)) == (24 - 0.25) * 3600


def test_a_plan_that_no_number_can_keep_names_what_was_given(desk: Desk) -> None:
    desk.build()
    said = run("plan", "--hours", "1e6", "--by", "07:00", "--cores", "2").output
    assert "not on 2 cores; " in said


@pytest.mark.usefixtures("desk")
def test_a_plan_of_what_was_not_measured_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DUBD_RULES", str(RULES))
    said = run("plan", "--hours", "500", "--rule", "english-spanish", "--by", "07:00", "--watts", "700").output
    assert "500 hours of video in 3000 videos, rule english-spanish" in said
    assert "published" in said
    assert "unknown, and not counted: plan, voice, assemble" in said
    assert "in all: at least 2320.0 GPU hours" in said  # 500 x (1/0.22 + 0.14/2 + 1/46 + 600/58.3/3600)
    assert "energy of the GPUs: 1624.0 kWh" in said
    assert "HeyGen speed, with lips: 59,400.00 USD (as of 2026-11" in said


def test_a_plan_of_a_file_is_of_its_length_and_of_what_was_measured_here(desk: Desk, talking_head: Path) -> None:
    desk.build()
    data = json.loads(run("plan", str(talking_head), "--gpus", "0", "--json").output)
    assert data["rule"] == "lite"
    assert data["hours"] == pytest.approx(9.7 / 3600, rel=0.02)
    assert {row["origin"] for row in data["stages"]} == {"measured"}
    assert data["disk"]["videos"] == 1


@pytest.mark.usefixtures("desk")
def test_videos_or_hours_is_asked_for_and_a_file_that_is_none_is_named() -> None:
    for words in (("plan",), ("plan", "a.mp4", "--hours", "1")):
        assert str(run(*words).exception) == "give videos or --hours, one of the two"
    assert "nowhere.mp4: no such video in the workspace" in str(run("plan", "nowhere.mp4").exception)


def test_the_costs_of_all_videos_are_by_month_and_of_one_by_its_name(desk: Desk) -> None:
    desk.build()
    said = run("report", "--cost", "--gpu-hour", "2").output
    assert datetime.now().strftime("%Y-%m") in said
    assert "spared by rebuilding only what is stale: 0 tasks" in said
    assert "GPU hours at the price given: 0.00" in said
    assert desk.folder.name in run("report", "--cost", desk.folder.name).output
    assert json.loads(run("report", "--cost", "--json").output)["months"][0]["videos"] == 1
    assert "no video is named" in str(run("report").exception)


@pytest.mark.usefixtures("desk")
def test_the_example_of_the_page_is_what_the_program_says(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DUBD_RULES", str(RULES))
    page = (RULES.parent / "docs" / "cost.md").read_text(encoding="utf-8")
    command, *lines = page.partition("```\n$ dubd ")[2].partition("```")[0].strip().splitlines()
    said = run(*command.split()).output.splitlines()
    assert len(lines) > 15
    for line in lines:
        assert line.split() in [one.split() for one in said]
