"""dubd plan: what it prints, and what it refuses."""

from __future__ import annotations

import json
import re
import subprocess
import time
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from typer.testing import CliRunner

from dubd.cli.main import app
from dubd.cli.plan import _until
from dubd.errors import DubdError
from tests.cli.conftest import run
from tests.graph.stand import Desk

RULES = Path(__file__).parents[2] / "rules"


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
    assert ": no, not with 2 cores: done in " in said


def ahead() -> str:
    """The time of day in ten hours."""
    return f"{datetime.now() + timedelta(hours=10):%H:%M}"


def planned(*words: str) -> str:
    """The line of a plan that answers what was asked."""
    lines = run("plan", "--rule", "english-spanish", *words).output.splitlines()
    (line,) = [line for line in lines if "done in" in line and not line.startswith("here")]
    return line.partition(": done in")[0].rpartition(": ")[2]


@pytest.fixture
def shipped(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> Desk:
    monkeypatch.setenv("DUBD_RULES", str(RULES))
    return desk


@pytest.mark.usefixtures("shipped")
def test_whether_these_gpus_and_cores_keep_the_time_is_yes_or_no() -> None:
    by = ("--by", ahead())
    met = "yes but for what is unknown, with "
    assert planned("--hours", "0.1", "--gpus", "40", "--cores", "80", *by) == f"{met}40 GPUs and 80 cores"
    assert planned("--hours", "1e6", "--gpus", "4", "--cores", "8", *by) == "no, not with 4 GPUs and 8 cores"
    assert planned("--hours", "1e6", "--gpus", "4", *by) == "no, not with 4 GPUs and any number of cores"
    assert planned("--hours", "1e6", "--cores", "1", *by) == "no, not with any number of GPUs and 1 core"
    assert planned("--hours", "0.1", "--gpus", "8", "--cores", "64", "--machines", "4", *by).endswith("in 4 machines")
    assert planned("--hours", "1", "--gpus", "1", "--cores", "1") == "1 GPU and 1 core"


@pytest.mark.usefixtures("shipped")
def test_gpus_asked_for_a_rule_that_uses_none_are_told_to_make_no_difference() -> None:
    said = run("plan", "--hours", "4", "--rule", "lite", "--gpus", "4", "--cores", "8").output
    assert "no stage of this rule runs on a GPU: --gpus makes no difference" in said
    assert "\n8 cores: done in" in said


@pytest.mark.usefixtures("shipped")
def test_every_one_of_several_machines_has_as_many_cores() -> None:
    assert str(run("plan", "--hours", "1", "--cores", "2", "--machines", "3").exception) == (
        "2 cores cannot lie in 3 machines; --cores is that of all of them"
    )
    words = ("--hours", "50", "--rule", "lite", "--by", ahead(), "--machines", "7", "--json")
    asked = json.loads(run("plan", *words).output)["asked"]
    assert asked["cores"] % 7 == 0
    less, even = (
        json.loads(
            run("plan", "--hours", "40", "--rule", "lite", "--machines", "64", "--cores", cores, "--json").output
        )
        for cores in ("100", "64")
    )
    assert less["asked"]["seconds"] == even["asked"]["seconds"]  # of what does not divide the head has no more


@pytest.mark.usefixtures("shipped")
@pytest.mark.parametrize(
    "words",
    [
        *(("--hours", number) for number in ("nan", "inf", "-1", "0", "1e300", "four")),
        *(("--hours", "1", rate, number) for rate in ("--watts", "--gpu-hour") for number in ("nan", "inf", "-1")),
        ("--hours", "1", "--watts", "1", "--price", "1e300"),
        ("--hours", "1", "--price", "0.3"),
        ("--hours", "1", "--by", ""),
        ("--hours", "1", "--by", "24:00"),
        ("--hours", "1", "--cores", "99999999999"),
        ("--hours", "1", "--machines", "99999999999"),
    ],
)
def test_what_is_no_amount_no_rate_and_no_time_is_refused(words: tuple[str, ...]) -> None:
    result = run("plan", *words)
    assert getattr(result.exception, "exit", result.exit_code) == 2


@pytest.mark.usefixtures("desk")
def test_a_price_of_energy_says_what_it_needs_and_rates_are_for_costs() -> None:
    needs = "--price is that of a kWh, and alone it says nothing; say --watts too, what one GPU takes under load"
    assert str(run("plan", "--hours", "1", "--price", "0.3").exception) == needs
    assert str(run("report", "--cost", "--price", "0.3").exception) == needs
    assert str(run("report", "talk", "--watts", "3").exception) == "--watts, --price and --gpu-hour go with --cost"


@pytest.mark.usefixtures("desk")
def test_a_plan_of_what_was_not_measured_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DUBD_RULES", str(RULES))
    said = run("plan", "--hours", "500", "--rule", "english-spanish", "--by", "07:00", "--watts", "700").output
    assert "500 hours of video in 3,000 videos, rule english-spanish" in said
    assert "published" in said
    assert "unknown, and not counted: plan, voice, assemble" in said
    assert "in all: at least 2,320 hours of GPU" in said  # 500 x (1/0.22 + 0.14/2 + 1/46 + 600/58.3/3600)
    assert "energy of the GPUs: 1624.0 kWh" in said
    assert "HeyGen speed, with lips: 59,400.00 USD (as of 2026-11" in said


def test_a_plan_of_a_file_is_of_its_length_and_of_what_was_measured_here(desk: Desk, talking_head: Path) -> None:
    desk.build()
    data = json.loads(run("plan", str(talking_head), "--gpus", "0", "--json").output)
    assert data["rule"] == "lite"
    assert data["hours"] == pytest.approx(9.7 / 3600, rel=0.02)
    assert {row["origin"] for row in data["stages"]} == {"measured"}
    assert data["disk"]["videos"] == 1


def test_a_video_that_is_named_twice_is_planned_once(desk: Desk, talking_head: Path, tmp_path: Path) -> None:
    desk.source.unlink()
    desk.source.hardlink_to(talking_head)
    name = desk.claim().id
    again = tmp_path / "again.mp4"
    again.symlink_to(talking_head)
    said = run("plan", str(talking_head), str(talking_head), name, name, str(again)).output
    assert said.splitlines()[0] == "9.7 s of video in 1 video, rule lite"
    copy = tmp_path / "copy.mp4"
    copy.write_bytes(talking_head.read_bytes())
    assert "19 s of video in 2 videos" in run("plan", name, str(copy)).output


@pytest.mark.usefixtures("desk")
def test_videos_or_hours_is_asked_for_and_a_file_that_is_none_is_named() -> None:
    for words in (("plan",), ("plan", "a.mp4", "--hours", "1")):
        assert str(run(*words).exception) == "give videos or --hours, one of the two"
    result = run("plan", "nowhere.mp4")
    assert result.output.startswith("dubd: nowhere.mp4: no such video in the workspace; ")
    assert result.exit_code == 2


@pytest.mark.usefixtures("desk")
def test_one_that_cannot_be_planned_keeps_none_of_the_others_back(talking_head: Path, tmp_path: Path) -> None:
    broken, silent = tmp_path / "broken.mp4", tmp_path / "silent.mp4"
    broken.write_text("no video")
    subprocess.run(
        ["ffmpeg", "-v", "error", "-i", str(talking_head), "-c", "copy", "-an", str(silent)], check=True, timeout=60
    )
    result = run("plan", str(silent), str(broken), str(talking_head))
    assert "9.7 s of video in 1 video, rule lite\n" in result.stdout
    faults = result.stderr.splitlines()
    assert faults[0].startswith(f"dubd: {silent}: nothing to dub: it has no sound; ")
    assert faults[1].startswith(f"dubd: {broken}: not a video that can be read: ")
    assert (len(faults), result.exit_code) == (2, 4)
    result = run("plan", "nowhere.mp4", str(talking_head), "--json")
    assert (json.loads(result.stdout)["videos"], result.exit_code) == (1, 2)


def test_drops_of_one_content_are_planned_once_as_they_are_dubbed_once(desk: Desk, talking_head: Path) -> None:
    first, second = desk.folders.inbox / "a.mp4", desk.folders.inbox / "b.mp4"
    for path in (first, second):
        path.write_bytes(talking_head.read_bytes())
    assert " in 1 video, " in run("plan", str(first), str(second)).output
    desk.source.unlink()
    desk.source = first
    name = desk.claim().id
    assert " in 1 video, " in run("plan", str(second), name).output
    again = desk.root / "elsewhere" / "a.mp4"
    again.parent.mkdir()
    again.write_bytes(talking_head.read_bytes())
    assert " in 1 video, " in run("plan", str(again), name).output  # of the same name: run finds it again


def test_a_video_s_own_rule_is_named_by_its_id(desk: Desk) -> None:
    name = desk.claim().id
    (desk.folders.rules / "lite.yaml").write_text("languages: {source: en, target: fr}\ndefault: true\n")
    assert "of video in 6 videos, rule lite" in run("plan", "--hours", "1", "--rule", name).output
    assert "did you mean lite?" in str(run("plan", "--hours", "1", "--rule", "lit").exception)


@pytest.mark.usefixtures("shipped")
@pytest.mark.parametrize("width", [120, 80, 60])
def test_a_plan_on_a_narrow_terminal_keeps_its_stages_and_figures_whole(width: int) -> None:
    words = ("plan", "--hours", "500", "--rule", "english-spanish")
    said = CliRunner().invoke(app, words, env={"COLUMNS": str(width)}).output
    table = said.partition("in all:")[0].splitlines()
    assert max(map(len, table)) <= width
    assert "…" not in said
    (lips,) = [line.split() for line in table if "lipsync" in line]
    assert {"gpu", "16363.6", "2272.73", "published"} < set(lips)
    assert ("T4" in lips) == (width >= 80)


@pytest.mark.usefixtures("shipped")
def test_a_short_plan_tells_its_stages_times_in_seconds() -> None:
    said = run("plan", "--hours", "0.001", "--rule", "lite", "--gpus", "0").output
    told = {line.split()[0]: line.split()[3:6] for line in said.splitlines() if " published " in line}
    assert told["faces"] == ["1368.0", "1.4", "s"]
    assert told["translate"] == ["90.0", "0.1", "s"]


@pytest.mark.usefixtures("shipped")
def test_a_plan_for_the_cpu_is_set_by_the_cpu_in_text_and_json() -> None:
    words = ("plan", "--hours", "40", "--rule", "lite", "--cores", "2")
    assert "set by CPU time" in run(*words).output
    assert json.loads(run(*words, "--json").output)["asked"]["by"] == "CPU"


@pytest.mark.usefixtures("desk")
def test_the_example_of_the_page_is_what_the_program_says(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DUBD_RULES", str(RULES))
    page = (RULES.parent / "docs" / "cost.md").read_text(encoding="utf-8")
    command, *lines = page.partition("```\n$ dubd ")[2].partition("```")[0].strip().splitlines()
    said = run(*command.split()).output.splitlines()
    assert len(lines) > 15
    for line in lines:
        assert line.split() in [one.split() for one in said]


@pytest.mark.usefixtures("shipped")
def test_the_plans_that_the_page_on_clusters_names_are_of_several_machines() -> None:
    page = (RULES.parent / "docs" / "scaling.md").read_text(encoding="utf-8")
    commands = [" ".join(one.split()).split() for one in re.findall(r"`dubd (plan [^`]+)`", page)]
    said = [run(*command) for command in commands]
    assert [one.exit_code for one in said] == [0] * len(said)
    (cluster,) = [one.output for one, command in zip(said, commands, strict=True) if "--machines" in command]
    assert "512 cores in 64 machines: done in" in cluster
    assert "set by the head" in cluster
