"""What the records of real builds say: medians, what was spent, what a rebuild and the translation memory spared."""

from __future__ import annotations

import sqlite3
import time
from pathlib import Path
from typing import Any

import pytest

from dubd.cost.ledger import NOTE, empty
from dubd.cost.measured import CPU, disk, rates
from dubd.cost.prices import Prices
from dubd.cost.report import UNFINISHED, costs
from dubd.errors import DubdError
from dubd.graph.state import FILE, State
from dubd.graph.video import videos
from dubd.graph.video_build import VideoBuild
from dubd.schedule.gpu import Device
from dubd.schedule.simulated import simulate
from tests.graph.plugin import installed
from tests.graph.stand import Desk

NONE = Prices()


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(tmp_path)


def put(desk: Desk, stage: str, seconds: list[float], facts: dict[str, object]) -> None:
    """Have the tasks of a stage taken so long."""
    state = State(desk.folder)
    tasks = [task for task in state.runs() if task.rpartition("/")[2] == stage]
    for task, took in zip(tasks, seconds, strict=True):
        state.ran(task, "ran", took, "", None, facts)
    state.close()


def spent(desk: Desk) -> dict[str, float]:
    return costs([desk.folder], NONE)["videos"][0]


def test_the_median_is_of_the_engine_that_ran_and_of_its_device(desk: Desk) -> None:
    desk.stand.segments = 3
    desk.build()
    put(desk, "speak", [1.0, 2.0, 60.0], {})  # 10 s segments; the third one had the load
    put(desk, "lipsync", [5.0, 5.0, 6.0], {"device": "NVIDIA H200"})
    found = {(stage, device): median for (stage, _, device), median in rates(desk.folders.workspace).items()}
    assert (found["speak", CPU].seconds, found["speak", CPU].count) == (0.2, 3)
    assert found["lipsync", "NVIDIA H200"].seconds == 0.5
    assert ("lipsync", CPU) not in found
    assert found["plan", CPU].count == found["assemble", CPU].count == 1


def test_what_had_a_load_in_it_counts_only_where_there_is_nothing_else(desk: Desk) -> None:
    desk.build()
    put(desk, "speak", [60.0, 1.0], {"loaded": True})
    state = State(desk.folder)
    state.ran(f"{desk.folder.name}:001/speak", "ran", 1.0, "", None, {})
    state.close()
    put(desk, "faces", [4.0, 6.0], {"loaded": True})
    found = {stage: median for (stage, _, _), median in rates(desk.folders.workspace).items()}
    assert (found["speak"].seconds, found["speak"].count) == (0.1, 1)
    assert (found["faces"].seconds, found["faces"].count) == (0.5, 2)


def test_lines_that_the_translation_memory_had_say_nothing_of_an_engine(desk: Desk) -> None:
    desk.build()
    put(desk, "translate", [4.0, 0.001], {})
    state = State(desk.folder)
    state.ran(f"{desk.folder.name}:001/translate", "ran", 0.001, "", None, {"remembered": 2, "utterances": 2})
    state.close()
    found = {stage: median for (stage, _, _), median in rates(desk.folders.workspace).items()}
    assert (found["translate"].seconds, found["translate"].count) == (0.4, 1)


def test_another_voice_is_another_kind_of_work(desk: Desk) -> None:
    desk.build()
    before = {who for stage, who, _ in rates(desk.folders.workspace) if stage == "speak"}
    desk.rule(voice="female")
    desk.build()
    assert not before & {who for stage, who, _ in rates(desk.folders.workspace) if stage == "speak"}


def test_a_failed_task_is_spent_and_not_measured(desk: Desk) -> None:
    desk.stand.fail[f"{desk.claim().id}:000/speak"] = DubdError("mumbles")
    desk.build()
    assert [m.count for (stage, _, _), m in rates(desk.folders.workspace).items() if stage == "speak"] == [1]
    row = costs([desk.folder], NONE)["videos"][0]
    assert row["finished"] is None
    assert row["tasks"] == len(desk.stand.ran)


def test_what_failed_on_a_card_was_spent_on_a_card(
    desk: Desk, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    cards = tmp_path_factory.mktemp("cards")
    simulate(cards, [Device("GPU-0", "Paper 1", 24 * 1024)])
    monkeypatch.setenv("DUBD_SIMULATED_GPUS", str(cards))
    with installed(tmp_path_factory.mktemp("plugin")):
        rule = "languages: {source: en, target: es}\nstages: {speak: {engine: heavy}}\ndefault: true\n"
        (desk.folders.rules / "lite.yaml").write_text(rule, encoding="utf-8")
        with VideoBuild(desk.claim(), desk.events.append) as build:
            while not build.done:
                ticket = build.begin(build.ready()[0].task)
                assert ticket
                outcome = DubdError("mumbles") if ticket.vram else desk.stand.one(ticket)
                build.finish(ticket.task, outcome, 3.0)
    row = costs([desk.folder], NONE)["videos"][0]
    assert row["gpu"] == {"speak": 6.0}  # of two segments
    assert "speak" not in row["cpu"]
    assert row["cpu"]["translate"] == 6.0


def test_a_broken_video_costs_only_itself(desk: Desk) -> None:
    desk.build()
    before = rates(desk.folders.workspace)
    bad = desk.folders.workspace / "bad-00000000"
    bad.mkdir()
    (bad / "rule.yaml").write_text("{")
    (bad / ".state.sqlite").write_text("not a database, but long enough to be taken for one" * 9)
    (bad / "plan.json").write_text("{}")
    assert rates(desk.folders.workspace) == before
    (fault,) = costs(videos(desk.folders.workspace), NONE)["faults"]
    assert (fault["video"], fault["uncounted"]) == ("bad-00000000", "all")
    assert fault["reason"] == "the state file cannot be used: file is not a database"


def test_the_disk_is_measured_without_the_source(desk: Desk) -> None:
    assert disk(desk.folders.workspace) is None
    desk.build()
    found = disk(desk.folders.workspace)
    assert found is not None
    size = sum(p.stat().st_size for p in desk.folder.rglob("*") if not p.name.startswith("source."))
    assert found == (pytest.approx(size / 20, rel=0.01), 1)


def test_a_rebuild_spares_what_it_did_not_run(desk: Desk) -> None:
    desk.build()
    put(desk, "faces", [7.0, 8.0], {})
    put(desk, "lipsync", [40.0, 2.0], {"device": "NVIDIA H200"})
    (desk.folder / "segments" / "001" / "translation.json").write_text("{}")
    ran = desk.build()
    assert "001/lipsync" in ran
    assert "000/lipsync" not in ran
    row = costs([desk.folder], NONE)["videos"][0]
    assert row["builds"] == 2
    assert row["spared"]["gpu"] == 40.0
    assert 15.0 <= row["spared"]["cpu"] < 16.0  # both faces, and stand-ins that took no time
    assert row["spared"]["tasks"] == len([e for e in desk.events if e.state == "skipped"])


def test_a_build_of_nothing_spares_nothing(desk: Desk) -> None:
    desk.build()
    before = spent(desk)
    assert desk.build() == []
    assert spent(desk) == before


def test_going_on_after_a_failure_is_no_saving(desk: Desk) -> None:
    task = f"{desk.claim().id}:000/speak"
    desk.stand.fail[task] = DubdError("mumbles")
    desk.build()
    desk.stand.fail.clear()
    desk.build()
    assert spent(desk)["spared"] == {"tasks": 0, "cpu": 0.0, "gpu": 0.0}


def test_what_an_edit_spared_is_counted_once_however_often_its_build_is_gone_on_with(desk: Desk) -> None:
    desk.build()
    (desk.folder / "segments" / "001" / "translation.json").write_text("{}")
    task = f"{desk.claim().id}:001/speak"
    desk.stand.fail[task] = DubdError("mumbles")
    desk.build()
    after = spent(desk)["spared"]
    assert after["tasks"] > 0
    desk.build()
    desk.stand.fail.clear()
    desk.build()
    assert spent(desk)["spared"] == after
    (desk.folder / "segments" / "000" / "translation.json").write_text("{}")
    desk.build()
    assert spent(desk)["spared"]["tasks"] > after["tasks"]


def kept(desk: Desk, month: str = "", folder: Path | None = None, **sums: object) -> dict[str, Any]:
    """Have the video's builds come to so much more than they did, and have been in another month; what they came to."""
    state = State(folder or desk.folder)
    note = state.note(NOTE)
    now: dict[str, Any]
    ((_, now),) = note["months"].items()
    month = month or time.strftime("%Y-%m")
    (dubbed,) = note["dubbed"].values()
    state.set_note(NOTE, note | {"months": {month: now | sums}, "finished": month, "dubbed": {month: dubbed}})
    state.close()
    return now


def test_what_the_translation_memory_knew_is_counted_with_what_it_would_have_taken(desk: Desk) -> None:
    desk.build()
    kept(desk, remembered=6, fresh={"utterances": 4, "seconds": 10.0})
    assert spent(desk)["remembered_seconds"] == 15.0
    assert costs([desk.folder], NONE)["total"]["remembered"] == 6


def second(desk: Desk) -> Path:
    """Another video in the workspace, built as the first one."""
    desk.source = desk.folders.inbox / "other.mp4"
    desk.source.write_text("abd", encoding="utf-8")
    desk.build()
    return next(desk.folders.workspace.glob("other-*"))


def test_what_the_memory_spared_is_the_same_for_one_video_as_among_all(desk: Desk) -> None:
    desk.build()
    other = second(desk)
    kept(desk, fresh={"utterances": 4, "seconds": 10.0})
    kept(desk, folder=other, remembered=6, fresh={"utterances": 0, "seconds": 0.0})
    among = costs(videos(desk.folders.workspace), NONE)
    alone = costs(videos(desk.folders.workspace), NONE, other)
    assert [row["remembered_seconds"] for row in among["videos"]] == [15.0, 0.0]
    assert alone["videos"] == among["videos"][:1]
    assert alone["total"]["remembered_seconds"] == alone["months"][0]["remembered_seconds"] == 15.0
    assert among["total"]["remembered_seconds"] == 15.0


def test_what_the_memory_spared_is_unknown_where_nothing_was_translated_without_it(desk: Desk) -> None:
    desk.build()
    kept(desk, remembered=6, fresh={"utterances": 0, "seconds": 0.0})
    data = costs(videos(desk.folders.workspace), NONE)
    assert data["videos"][0]["remembered_seconds"] is None
    assert data["months"][0]["remembered_seconds"] is None
    assert data["total"]["remembered_seconds"] is None


def test_a_remembered_utterance_is_counted_when_its_task_ends(desk: Desk) -> None:
    desk.stand.facts = {"translate": {"utterances": 5, "remembered": 3}}
    desk.build()
    row = costs([desk.folder], NONE)["videos"][0]
    assert (row["remembered"], row["remembered_seconds"]) == (6, None)


def test_what_the_memory_spared_is_told_by_tasks_without_a_load_where_there_are_such(desk: Desk) -> None:
    desk.stand.facts = {"translate": {"utterances": 5, "loaded": True}}
    desk.stand.during = lambda ticket: time.sleep(0.05 if ticket.stage == "translate" else 0)
    desk.build()
    sums = kept(desk)
    assert (sums["fresh"], sums["cold"]["utterances"]) == ({"utterances": 0, "seconds": 0.0}, 10)
    assert sums["cold"]["seconds"] >= 0.1
    kept(desk, remembered=6, cold={"utterances": 4, "seconds": 40.0})
    assert spent(desk)["remembered_seconds"] == 60.0
    kept(desk, fresh={"utterances": 4, "seconds": 2.0})
    assert spent(desk)["remembered_seconds"] == 3.0


def test_a_segment_without_an_utterance_says_nothing_of_what_one_takes(desk: Desk) -> None:
    desk.stand.facts = {"translate": {"utterances": 0}}
    desk.stand.during = lambda ticket: time.sleep(0.05 if ticket.stage == "translate" else 0)
    desk.build()
    sums = kept(desk)
    assert sums["fresh"] == {"utterances": 0, "seconds": 0.0}


def test_sums_that_are_kept_from_before_go_on(desk: Desk) -> None:
    desk.build()
    state = State(desk.folder)
    note = state.note(NOTE)
    for sums in note["months"].values():
        del sums["cold"]
    state.set_note(NOTE, note)
    state.close()
    desk.stand.facts = {"translate": {"utterances": 5, "loaded": True}}
    desk.rule(more="clip: {duration: 5}\n")
    assert desk.build()
    sums = kept(desk)
    assert sums["builds"] == 2


def test_seconds_by_stage_device_and_month_add_up(desk: Desk) -> None:
    desk.stand.facts = {"lipsync": {"device": "NVIDIA H200"}}
    desk.build()
    assert set(spent(desk)["gpu"]) == {"lipsync"}
    kept(desk, cpu={"plan": 2.0, "speak": 3.0}, gpu={"lipsync": 40.0})
    data = costs([desk.folder], Prices(watts=900, kwh=0.5, gpu_hour=3.6))
    (month,) = data["months"]
    assert month["month"] == time.strftime("%Y-%m")
    assert month["cpu_seconds"] == 5.0
    assert month["gpu_minutes_per_minute"] == 2.0  # 40 s for 20 s of video
    assert month["prices"] == {"kwh": 0.01, "energy_price": 0.005, "gpu_price": 0.04}
    assert {one["service"]: one["price"] for one in month["cloud"]}["HeyGen speed"] == 0.66
    assert data["total"]["minutes"] == pytest.approx(20 / 60, abs=1e-3)


def test_a_video_from_before_the_ledger_has_its_last_runs(desk: Desk) -> None:
    desk.build()
    put(desk, "faces", [7.0, 8.0], {})
    state = State(desk.folder)
    state.set_note(NOTE, None)
    state.close()
    row = costs([desk.folder], NONE)["videos"][0]
    assert (row["origin"], row["cpu"]["faces"]) == ("last runs", 15.0)


def test_what_was_spent_stays_in_the_month_in_which_it_was(desk: Desk) -> None:
    desk.build()
    kept(desk, month="2026-01", cpu={"faces": 100.0})
    (january,) = costs([desk.folder], NONE)["months"]
    (desk.folder / "segments" / "001" / "translation.json").write_text("{}")
    edit = desk.build()
    data = costs([desk.folder], NONE)
    assert data["months"][0] == january  # a month that is over is what was billed
    assert (january["videos"], january["minutes"]) == (1, pytest.approx(20 / 60, abs=1e-3))
    now = data["months"][1]
    assert (now["month"], now["videos"], now["minutes"]) == (time.strftime("%Y-%m"), 0, 0.0)
    assert (now["tasks"], now["cpu_minutes_per_minute"]) == (len(edit), None)
    assert not [one for one in now["cloud"] if one["price"]]
    assert data["total"]["tasks"] == data["videos"][0]["tasks"] == january["tasks"] + len(edit)
    assert data["total"]["cpu"]["faces"] == 100.0
    assert data["total"]["spared"] == now["spared"]
    (desk.folder / "plan.json").unlink()
    assert costs([desk.folder], NONE)["months"][0] == january


def test_a_clip_is_dubbed_in_its_month_and_the_rest_of_the_video_in_that_of_the_rest(desk: Desk) -> None:
    desk.rule(more="clip: {duration: 10}\n")
    desk.stand.segments = 1
    desk.build()
    kept(desk, month="2026-01")
    (january,) = costs([desk.folder], NONE)["months"]
    desk.rule()
    desk.stand.segments = 3
    desk.build()
    data = costs([desk.folder], NONE)
    assert data["months"][0] == january
    assert [month["minutes"] for month in data["months"]] == pytest.approx([10 / 60, 20 / 60], abs=1e-3)
    assert [month["videos"] for month in data["months"]] == [1, 0]
    assert {one["videos"] for one in data["total"]["cloud"]} == {1}


def test_work_on_what_is_not_finished_is_in_its_month_and_the_video_is_not(desk: Desk) -> None:
    desk.stand.fail[f"{desk.claim().id}:000/speak"] = DubdError("mumbles")
    desk.build()
    month, rest = costs([desk.folder], NONE)["months"]
    assert (month["month"], month["tasks"], month["videos"]) == (time.strftime("%Y-%m"), len(desk.stand.ran), 0)
    assert (rest["month"], rest["videos"]) == (UNFINISHED, 1)
    unknown = {name for name, value in rest.items() if value is None}
    assert unknown == set(rest) - {"month", "videos", "minutes", "cloud"}  # its seconds are in their month


def test_sums_from_before_they_were_kept_by_month_are_those_of_the_last_run_s(desk: Desk) -> None:
    desk.build()
    state = State(desk.folder)
    old = empty() | {"builds": 3, "tasks": 40, "cpu": {"faces": 70.0}, "whole": True}
    state.set_note(NOTE, old)
    state.close()
    with sqlite3.connect(desk.folder / FILE) as records:
        records.execute("update run set at = at - 60 * 86400")
    (then,) = costs([desk.folder], NONE)["months"]
    assert then["month"] == time.strftime("%Y-%m", time.localtime(time.time() - 60 * 86400))
    assert (then["videos"], then["builds"], then["cpu_seconds"]) == (1, 3, 70.0)
    (desk.folder / "segments" / "001" / "translation.json").write_text("{}")
    edit = desk.build()
    before, now = costs([desk.folder], NONE)["months"]
    assert before == then
    assert (now["builds"], now["tasks"]) == (1, len(edit))
    assert now["spared"]["tasks"] > 0
