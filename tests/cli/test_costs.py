"""dubd report --cost: what it prints by month and of one video, and what a broken video leaves out."""

from __future__ import annotations

import json
import time
from datetime import datetime

import pytest

from dubd.cost.ledger import NOTE
from dubd.errors import DubdError, Exit
from dubd.graph.state import State
from tests.cli.conftest import run
from tests.graph.stand import Desk

LIPLESS = "languages: {source: en, target: es}\nstages: {speak: {engine: espeak}, lipsync: none}\ndefault: true\n"


def cells(said: str, label: str) -> list[str]:
    """The row of the table that begins with a label."""
    (row,) = [line.split() for line in said.splitlines() if line.strip().startswith(label)]
    return row


def test_the_costs_of_all_videos_are_by_month_and_of_one_by_its_name(desk: Desk) -> None:
    desk.build()
    said = run("report", "--cost", "--gpu-hour", "2").output
    assert datetime.now().strftime("%Y-%m") in said
    assert "spared by rebuilding only what is stale: 0 tasks" in said
    assert "GPU hours at the price given: 0.00" in said
    assert desk.folder.name in run("report", "--cost", desk.folder.name).output
    assert json.loads(run("report", "--cost", "--json").output)["months"][0]["videos"] == 1
    assert "no video is named" in str(run("report").exception)


def test_what_the_memory_spared_is_told_as_unknown_where_it_is(desk: Desk) -> None:
    desk.stand.facts = {"translate": {"utterances": 5, "remembered": 3}}
    desk.build()
    for words in ((), (desk.folder.name,)):
        said = run("report", "--cost", *words).output
        assert "spared by the translation memory: 6 utterances, - of translation (unknown" in said
    data = json.loads(run("report", "--cost", desk.folder.name, "--json").output)
    assert data["videos"][0]["remembered_seconds"] is data["total"]["remembered_seconds"] is None


def test_a_rule_that_an_edit_broke_costs_nothing_and_of_what_is_not_finished_the_price_elsewhere_alone(
    desk: Desk,
) -> None:
    desk.build()
    words = ("report", "--cost", "--json")
    before = json.loads(run(*words).output)["total"]
    (desk.folder / "rule.yaml").write_text("languages: {source: en, target: es}\nstages: {speek: {}}\n")
    data = json.loads(run(*words).output)
    assert (data["total"], data["faults"]) == (before, [])
    unfinish(desk)
    data = json.loads(run(*words).output)
    assert data["total"] == before | {"cloud": []}
    (fault,) = data["faults"]
    assert (fault["video"], fault["uncounted"], fault["exit"]) == (desk.folder.name, "price", 3)
    for words in (("report", "--cost"), ("report", "--cost", desk.folder.name)):
        said = run(*words).output
        assert f"\n{desk.folder.name}: its price elsewhere is not counted: {desk.folder}/rule.yaml" in said
        assert "speek" in said.splitlines()[-1]


def test_a_source_that_is_gone_costs_nothing_and_a_broken_plan_its_minutes(desk: Desk) -> None:
    desk.build()
    before = json.loads(run("report", "--cost", "--json").output)
    next(desk.folder.glob("source.*")).unlink()
    assert json.loads(run("report", "--cost", "--json").output) == before
    (desk.folder / "plan.json").write_text("[")
    assert json.loads(run("report", "--cost", "--json").output) == before
    unfinish(desk)
    data = json.loads(run("report", "--cost", "--json").output)
    assert data["total"]["cpu"] == before["total"]["cpu"]
    assert (data["total"]["minutes"], data["faults"][0]["uncounted"]) == (0.0, "minutes")
    assert "its minutes, and their price elsewhere, are not counted" in run("report", "--cost").output


def unfinish(desk: Desk) -> None:
    """Have its records say no more what was dubbed, as those of an earlier version."""
    state = State(desk.folder)
    note = state.note(NOTE)
    del note["dubbed"]
    state.set_note(NOTE, note)
    state.close()


def test_records_that_cannot_be_read_are_named_with_their_cause(desk: Desk) -> None:
    desk.build()
    bad = desk.folder / ".state.sqlite"
    for beside in desk.folder.glob(".state.sqlite-*"):
        beside.unlink()
    bad.write_text("not a database, but long enough to be taken for one" * 9)
    cause = f"{bad}: the state file cannot be used: file is not a database; check the folder's permissions and disk"
    assert run("report", "--cost").output.splitlines()[-1] == f"{desk.folder.name}: is not counted: {cause}"
    plain, cost = run("report", desk.folder.name).exception, run("report", "--cost", desk.folder.name).exception
    assert isinstance(plain, DubdError)
    assert isinstance(cost, DubdError)
    assert (str(plain), plain.exit) == (str(cost), cost.exit) == (cause, Exit.WORKSPACE)


def test_what_is_not_finished_has_no_seconds_of_its_own_in_the_table(desk: Desk) -> None:
    desk.stand.fail[f"{desk.claim().id}:000/speak"] = DubdError("mumbles")
    desk.build()
    said = run("report", "--cost").output
    assert cells(said, "unfinished") == ["unfinished", "0.3", *"-------"]
    assert cells(said, time.strftime("%Y-%m"))[7:9] == ["-", "-"]  # no minutes were finished in it


def test_a_service_that_was_asked_for_some_of_the_videos_says_so(desk: Desk) -> None:
    desk.build()
    assert " videos (as of" not in run("report", "--cost").output
    (desk.folders.rules / "lite.yaml").write_text(LIPLESS, encoding="utf-8")
    desk.source = desk.folders.inbox / "other.mp4"
    desk.source.write_text("abd", encoding="utf-8")
    desk.build()
    said = run("report", "--cost").output
    assert "elsewhere: ElevenLabs Dubbing, without lips: 0.20 USD for 1 of 2 videos (as of" in said
    assert "elsewhere: HeyGen speed, with lips: 1.32 USD (as of" in said


@pytest.mark.parametrize("width", [200, 80, 60])
def test_costs_on_a_narrow_terminal_keep_months_and_figures_whole(desk: Desk, width: int) -> None:
    desk.build()
    state = State(desk.folder)
    note = state.note(NOTE)
    for sums in note["months"].values():
        sums |= {"cpu": {"faces": 360_000.0}, "gpu": {"lipsync": 360_000.0}}
        sums["spared"] |= {"cpu": 360_000.0, "gpu": 360_000.0}
    state.set_note(NOTE, note)
    state.close()
    table = run("report", "--cost", width=width).output.partition("GPU time:")[0]
    assert max(map(len, table.splitlines())) <= width
    row = cells(table, time.strftime("%Y-%m"))
    assert row[1] == "0.3"
    assert row.count("100:00:00") == (4 if width == 200 else 2)
    assert any(cell.startswith("18000.0") for cell in row)
    assert ("tasks" in table) == (width > 60)
    assert "…" not in run("report", "--cost", desk.folder.name, width=width).output


def test_a_workspace_that_is_a_file_is_told_as_such(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DUBD_WORKSPACE", str(desk.source))
    for command in ("report --cost", "status", "clean --dry-run", "retry --all", "plan --hours 1 --rule lite"):
        error = run(*command.split()).exception
        assert isinstance(error, DubdError), command
        assert (str(error), error.exit) == (f"{desk.source}: is no folder; set DUBD_WORKSPACE to one", Exit.WORKSPACE)
