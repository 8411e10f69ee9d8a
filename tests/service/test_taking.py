"""What failed and the rules folder: only another rule of its own has it tried again, and the same fault is old news."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from dubd.errors import DubdError
from dubd.service.daemon import Daemon
from dubd.service.standing import standing
from tests.service.test_daemon import Watch


@pytest.fixture
def watch(tmp_path: Path) -> Watch:
    """A daemon whose one video has failed to be spoken, and that has told so."""
    watch = Watch(tmp_path)
    watch.desk.claim()
    watch.fail("001/speak")
    watch.idle()
    watch.ran()
    assert len(watch.told("failed")) == 1
    time.sleep(0.01)  # a later failure has a later time
    return watch


def since(watch: Watch) -> float:
    (video,) = standing(watch.desk.folders)["videos"]
    return next(float(fault["at"]) for fault in video["failed"] if fault["task"].endswith("001/speak"))


def add(watch: Watch, name: str, text: str) -> None:
    (watch.desk.folders.rules / name).write_text(text, encoding="utf-8")
    watch.look()


def test_another_file_in_the_rules_folder_has_no_failure_tried_again(watch: Watch) -> None:
    before = since(watch)
    add(watch, "notes.txt", "nothing of any drop's")
    add(watch, "other.yaml", "languages: {source: en, target: fr}\n")
    (watch.desk.folders.rules / "lite.yaml").touch()
    watch.look()
    assert watch.ran() == []
    assert len(watch.failures()) == len(watch.told("failed")) == 1
    assert since(watch) == before


def test_a_reload_has_no_failure_tried_again_either(watch: Watch) -> None:
    watch.daemon.reload()
    watch.look()
    assert watch.ran() == []
    assert len(watch.told("failed")) == 1


def test_another_rule_of_its_own_has_it_tried_again_and_the_same_fault_is_not_told(watch: Watch) -> None:
    before = since(watch)
    watch.desk.rule("m1")
    watch.look()
    assert "001/speak" in watch.ran()
    assert len(watch.failures()) == len(watch.told("failed")) == 1
    assert since(watch) == before


def test_another_rule_of_its_own_that_mends_it_has_it_built(watch: Watch) -> None:
    watch.desk.stand.fail.clear()
    add(watch, "notes.txt", "nothing of any drop's")
    assert watch.told("built") == []
    watch.desk.rule("m1")
    watch.look()
    assert len(watch.told("built")) == 1


def test_another_fault_after_another_rule_is_told_and_has_a_time_of_its_own(watch: Watch) -> None:
    before = since(watch)
    watch.desk.stand.fail[f"{watch.desk.folder.name}:001/speak"].reason = "stammers"
    watch.desk.rule("m1")
    watch.look()
    assert len(watch.told("failed")) == 2
    assert since(watch) > before


def test_a_newer_rule_beside_one_that_was_edited_by_hand_has_it_not_tried_again(watch: Watch) -> None:
    rule = watch.desk.folder / "rule.yaml"
    rule.write_text(rule.read_text() + "# mine\n", encoding="utf-8")
    watch.look()
    watch.ran()
    watch.desk.rule("m1")
    watch.look()
    assert (watch.desk.folder / "rule.new.yaml").exists()
    assert watch.ran() == []


def test_the_time_since_when_outlives_the_daemon(watch: Watch) -> None:
    before = since(watch)
    watch.daemon = Daemon(watch.desk.folders, watch.desk.stand, watch.news.append, settle=1.0, now=lambda: watch.clock)
    watch.idle()
    assert "001/speak" in watch.ran()
    assert since(watch) == before


def test_a_drop_saved_anew_is_tried_and_told_again(watch: Watch) -> None:
    watch.desk.source.touch()
    watch.look()
    assert "001/speak" in watch.ran()
    assert len(watch.told("failed")) == 2


def test_a_refusal_for_its_rule_is_tried_with_any_rule_and_told_once(tmp_path: Path) -> None:
    watch = Watch(tmp_path)
    rule = watch.desk.folders.rules / "lite.yaml"
    good = rule.read_text()
    rule.unlink()
    watch.idle()
    (refused,) = watch.told("refused")
    assert "add default: true" in str(refused.error)
    add(watch, "notes.txt", "no rule")
    watch.daemon.reload()
    watch.look()
    assert len(watch.told("refused")) == 1
    add(watch, "late.yaml", good)
    assert len(watch.told("built")) == 1


def test_a_failure_is_told_once_at_the_start_though_its_drop_is_taken_after_it_was_tried(tmp_path: Path) -> None:
    watch = Watch(tmp_path)
    watch.desk.claim()
    watch.desk.stand.fail = {f"plan:{watch.desk.folder.name}": DubdError("is not a video", stage="plan")}
    watch.idle()
    watch.look()
    assert watch.ran() == ["plan"]
    assert len(watch.failures()) == len(watch.told("failed")) == 1
