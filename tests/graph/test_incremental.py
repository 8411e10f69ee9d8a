"""Only what is stale is rebuilt: the promises of the graph, asserted on what ran."""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path

import pytest

from dubd.errors import DubdError, Exit
from dubd.graph import content, promote
from dubd.graph.state import State
from dubd.graph.video_build import VideoBuild
from dubd.graph.why import why
from dubd.schedule.scheduler import Scheduler

from .stand import Desk

SECOND_HALF = ["000/lipsync", "000/restore", "000/render", "assemble"]


def edit(path: Path, text: str) -> None:
    path.write_text(text, encoding="utf-8")


def test_builds_every_step_once(desk: Desk) -> None:
    ran = desk.build()
    assert len(ran) == len(set(ran)) == 1 + 2 * 8 + 2
    assert ran[0] == "plan"
    assert ran[-1] == "assemble"
    assert (desk.folder / "dubbed.es.mp4").exists()
    assert [event.state for event in desk.events].count("failed") == 0


def test_nothing_changed_runs_nothing_and_reports_every_task_as_skipped(desk: Desk) -> None:
    first = desk.build()
    assert desk.build() == []
    assert [event.state for event in desk.events] == ["skipped"] * len(first)


@pytest.mark.parametrize("path", ["source.mp4", "segments/000/translation.json", "segments/001/audio.wav", "rule.yaml"])
def test_touching_or_saving_equal_bytes_runs_nothing(desk: Desk, path: str) -> None:
    desk.build()
    file = desk.folder / path
    data = file.read_bytes()
    file.unlink()
    file.write_bytes(data)
    os.utime(file, ns=(1, 1))
    assert desk.build() == []
    assert desk.build() == []


def test_a_touched_file_is_hashed_once_and_its_new_mtime_kept(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    desk.build()
    os.utime(desk.folder / "segments/000/audio.wav", ns=(1, 1))
    desk.build()
    monkeypatch.setattr(content, "_seen", {})
    desk.rule(subtitles="[srt]")
    desk.claim()
    known = {(st.st_dev, st.st_ino) for st in (path.stat() for path in desk.folder.rglob("*.*"))}
    assert why(desk.folder)
    assert not known & {key[:2] for key in content._seen}


def test_no_more_digests_are_remembered_than_a_daemon_may_hold_the_oldest_go_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(content, "_MOST", 10)
    monkeypatch.setattr(content, "_seen", {})
    for number in range(25):
        path = tmp_path / str(number)
        path.write_text(str(number))
        assert content.digest(str(path)) == hashlib.sha256(str(number).encode()).hexdigest()
    assert list(content._seen.values()) == [hashlib.sha256(str(n).encode()).hexdigest() for n in range(15, 25)]


def test_editing_one_translation_speaks_that_segment_again_and_nothing_else(desk: Desk) -> None:
    desk.build()
    edit(desk.folder / "segments/000/translation.json", "otra cosa")
    assert {v.reasons for v in why(desk.folder)} == {("segments/000/translation.json was edited by hand",), ()}
    assert desk.build() == ["000/speak", *SECOND_HALF]
    assert desk.build() == []


def test_changing_the_voice_runs_no_transcribe_or_translate(desk: Desk) -> None:
    desk.build()
    desk.rule(voice="es+f2")
    ran = desk.build()
    assert sorted(ran) == sorted(
        [f"{s}/{stage}" for s in ("000", "001") for stage in ("speak", "lipsync", "restore", "render")] + ["assemble"]
    )


def test_the_voice_is_named_as_the_cause(desk: Desk) -> None:
    desk.build()
    desk.rule(voice="es+f2")
    desk.claim()
    roots = {reason for verdict in why(desk.folder) for reason in verdict.reasons}
    assert roots == {'parameter voice: "auto" -> "es+f2"'}


def test_changing_only_the_subtitles_assembles_only(desk: Desk) -> None:
    desk.build()
    desk.rule(subtitles="[srt]")
    assert desk.build() == ["assemble"]
    assert not list(desk.folder.glob("*.vtt"))


def test_a_deleted_middle_artifact_is_rebuilt_alone(desk: Desk) -> None:
    desk.build()
    (desk.folder / "segments/001/speech.wav").unlink()
    verdict = why(desk.folder, desk.folder / "segments/001/speech.wav")[0]
    assert verdict.reasons == ("segments/001/speech.wav is missing",)
    assert desk.build() == ["001/speak"]
    assert desk.build() == []


def test_a_hand_edit_survives_a_later_change_upstream_and_is_reported(desk: Desk) -> None:
    desk.build()
    translation = desk.folder / "segments/000/translation.json"
    machine = translation.read_text(encoding="utf-8")
    edit(translation, "mine")
    desk.build()
    edit(desk.folder / "segments/000/transcript.json", "corrected")
    ran = desk.build()
    assert "000/translate" in ran
    assert translation.read_text(encoding="utf-8") == "mine"
    newer = translation.with_name("translation.new.json")
    assert newer.read_text(encoding="utf-8") not in ("mine", machine)
    assert any("translation.new.json" in name for event in desk.events for name in event.beside)
    assert any("is kept" in r for v in why(desk.folder, translation) for r in v.reasons)
    assert desk.build() == []


def test_taking_the_newer_version_ends_the_hand_edit(desk: Desk) -> None:
    desk.build()
    translation = desk.folder / "segments/000/translation.json"
    edit(translation, "mine")
    edit(desk.folder / "segments/000/transcript.json", "corrected")
    desk.build()
    translation.with_name("translation.new.json").replace(translation)
    assert desk.build() == ["000/speak", *SECOND_HALF]
    edit(desk.folder / "segments/000/transcript.json", "corrected again")
    desk.build()
    assert not translation.with_name("translation.new.json").exists()


def test_a_deleted_hand_edit_is_made_by_the_machine_again(desk: Desk) -> None:
    desk.build()
    translation = desk.folder / "segments/000/translation.json"
    machine = translation.read_bytes()
    edit(translation, "mine")
    desk.build()
    translation.unlink()
    assert desk.build() == ["000/translate", "000/speak", *SECOND_HALF]
    assert translation.read_bytes() == machine


def test_a_sidecar_that_comes_or_goes_later_is_heeded(desk: Desk) -> None:
    desk.build()
    desk.source.with_suffix(".srt").write_text("1\n00:00:01,000 --> 00:00:02,000\nHello.\n", encoding="utf-8")
    assert {"000/transcribe", "001/transcribe"} <= set(desk.build())
    assert desk.build() == []
    desk.source.with_suffix(".srt").unlink()
    assert {"000/transcribe", "001/transcribe"} <= set(desk.build())


def test_a_hand_edited_plan_moves_only_the_segments_it_changes(desk: Desk) -> None:
    desk.build()
    path = desk.folder / "plan.json"
    changed = json.loads(path.read_text(encoding="utf-8"))
    changed["segments"][1] |= {"end": 19.0, "frames": 225, "samples": 432000}
    edit(path, json.dumps(changed))
    ran = desk.build()
    assert "001/extract" in ran
    assert not [name for name in ran if name.startswith("000/")]
    assert "plan" not in ran


def test_a_plan_with_fewer_segments_prunes_the_rest(desk: Desk) -> None:
    desk.stand.segments = 3
    desk.build()
    desk.stand.segments = 2
    desk.rule(more="segments: {target: 21}\n")
    desk.build()
    assert sorted(p.name for p in (desk.folder / "segments").iterdir()) == ["000", "001"]
    assert desk.build() == []


def test_one_failed_segment_leaves_the_others_going_and_is_tried_again(desk: Desk) -> None:
    video = desk.claim()
    desk.stand.fail[f"{video.id}:001/transcribe"] = DubdError("mumbles", stage="transcribe")
    ran = desk.build()
    assert "000/transcribe" in ran
    assert "voice" not in ran
    failed = [event for event in desk.events if event.state == "failed"]
    told = [str(event.error) for event in failed]
    assert told == [f"{desk.source}: transcribe: mumbles"], "the drop is named: in a queue it must be clear whose it is"
    assert {event.task.partition(":")[2] for event in desk.events if event.state == "blocked"} >= {"voice", "assemble"}
    desk.stand.fail.clear()
    ran = desk.build()
    assert "000/transcribe" not in ran
    assert ran[-1] == "assemble"


def test_a_failure_that_is_mended_with_equal_bytes_runs_nothing_after_it(desk: Desk) -> None:
    desk.build()
    video = desk.claim()
    desk.rule(more="segments: {target: 21}\n")
    desk.stand.fail[f"plan:{video.id}"] = DubdError("the disk is asleep", stage="plan")
    assert desk.build() == ["plan"]
    assert {event.state for event in desk.events} >= {"failed"}
    desk.stand.fail.clear()
    assert desk.build() == ["plan"]
    assert desk.build() == []


def test_an_input_that_changes_while_a_task_runs_fails_it_and_the_next_run_builds_it(desk: Desk) -> None:
    desk.build()
    translation = desk.folder / "segments/000/translation.json"
    edit(translation, "first")

    def meddle(ticket: object) -> None:
        if getattr(ticket, "stage", "") == "speak" and translation.read_text(encoding="utf-8") == "first":
            edit(translation, "second")

    desk.stand.during = meddle
    desk.build()
    assert any("changed while it was being used" in str(event.error) for event in desk.events)
    assert desk.build() == ["000/speak", *SECOND_HALF]


def test_an_edit_saved_after_its_last_use_is_built_by_the_next_run(desk: Desk) -> None:
    desk.build()
    desk.rule(voice="es+f2")
    translation = desk.folder / "segments/000/translation.json"

    def meddle(ticket: object) -> None:
        if getattr(ticket, "stage", "") == "assemble" and translation.read_text(encoding="utf-8") != "mine":
            edit(desk.folder / "segments/000/transcript.json", "corrected")

    desk.stand.during = meddle
    desk.build()
    desk.stand.during = lambda _: None
    assert "000/translate" in desk.build()
    assert desk.build() == []


def test_a_rule_edited_during_a_build_is_heeded_by_the_next(desk: Desk) -> None:
    desk.build()
    desk.rule(voice="es+f2")
    rule = desk.claim().folder / "rule.yaml"

    def meddle(ticket: object) -> None:
        if getattr(ticket, "stage", "") == "assemble":
            edit(rule, rule.read_text(encoding="utf-8").replace("es+f2", "es+f3"))

    desk.stand.during = meddle
    desk.build()
    desk.stand.during = lambda _: None
    assert "000/speak" in desk.build()


def test_a_rule_edited_between_claim_and_build_is_the_one_that_is_built(desk: Desk) -> None:
    desk.build()
    video = desk.claim()
    rule = video.folder / "rule.yaml"
    edit(rule, rule.read_text(encoding="utf-8").replace("voice: auto", "voice: es+f3"))
    with VideoBuild(video, desk.events.append) as build:
        scheduler = Scheduler(desk.stand)
        scheduler.add(build)
        scheduler.run()
    assert "000/speak" in desk.stand.ran
    assert why(desk.folder) == []


def test_what_a_build_that_was_given_up_left_half_made_is_removed_by_the_next(desk: Desk) -> None:
    with VideoBuild(desk.claim(), desk.events.append) as build:
        build.begin(build.ready()[0].task)
        build.abandon(RuntimeError("nobody foresaw this"))
    assert list(desk.folder.glob(".tmp-*"))
    desk.build()
    assert not list(desk.folder.glob(".tmp-*"))


def test_a_disk_too_full_for_records_fails_the_task_and_not_the_build(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    desk.build()
    edit(desk.folder / "segments/000/transcript.json", "one")
    full = DubdError("no space left on the disk", exit=Exit.WORKSPACE)
    with VideoBuild(desk.claim(), desk.events.append) as build:
        stale = [ticket.task for ticket in build.ready()]
        with monkeypatch.context() as disk:
            disk.setattr(State, "_write", lambda *_: (_ for _ in ()).throw(full))
            assert [build.begin(task) for task in stale] == [None for _ in stale]
        assert build.failed == [(task, full) for task in stale]
        assert build.done
        assert not build.settled
    desk.build()
    assert why(desk.folder) == []


def test_promotions_that_fail_again_and_again_never_look_like_a_hand_edit(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    desk.build()
    translation = desk.folder / "segments/000/translation.json"
    whole = promote._rename
    for text in ("one", "two", "three"):
        monkeypatch.setattr(
            promote, "_rename", lambda *_: (_ for _ in ()).throw(OSError(28, "No space left on device"))
        )
        edit(desk.folder / "segments/000/transcript.json", text)
        desk.build()
    monkeypatch.setattr(promote, "_rename", whole)
    desk.build()
    assert not translation.with_name("translation.new.json").exists()
    assert desk.build() == []


def test_the_state_moves_with_the_workspace(desk: Desk, tmp_path: Path) -> None:
    desk.build()
    moved = tmp_path / "elsewhere"
    desk.folders.workspace.rename(moved)
    desk.folders = type(desk.folders)(desk.folders.inbox, moved, desk.folders.rules, desk.folders.models)
    assert desk.build() == []


def test_a_build_holds_the_lock_of_its_video(desk: Desk) -> None:
    with VideoBuild(desk.claim(), desk.events.append), pytest.raises(DubdError, match="is being built by process"):
        VideoBuild(desk.claim(), desk.events.append)


def test_what_is_ready_is_told_anew_only_where_it_has_changed(desk: Desk) -> None:
    with VideoBuild(desk.claim(), desk.events.append) as build:
        (plan,) = first = build.ready()
        assert build.ready() is first
        build.begin(plan.task)
        assert build.ready() == ()
        build.again(plan.task)
        assert build.ready() == (plan,)
        ticket = build.begin(plan.task)
        assert ticket
        build.finish(plan.task, desk.stand.one(ticket), 0.0)
        assert [ticket.stage for ticket in build.ready()] == ["extract", "extract"]
        build.stop()
        assert build.ready() == ()
