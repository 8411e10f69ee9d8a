"""Claiming a drop: what a hand wrote stays, what was taken is not lost, and a folder keeps to its film."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from dubd.errors import DubdError, Exit
from dubd.graph import drop
from dubd.graph import video as module
from dubd.graph.rules import Rule, load
from dubd.graph.video import Video, videos
from dubd.service.standing import of_video, standing

from .stand import Desk


def sidecar(desk: Desk, text: str, suffix: str = ".srt") -> Path:
    path = desk.source.with_suffix(suffix)
    path.write_text(text, encoding="utf-8")
    return path


class TestSubtitles:
    def test_a_sidecar_follows_what_was_dropped_and_goes_with_it(self, desk: Desk) -> None:
        path = sidecar(desk, "one")
        desk.claim()
        assert (desk.folder / "subtitles.srt").read_text() == "one"
        path.write_text("two")
        desk.claim()
        assert (desk.folder / "subtitles.srt").read_text() == "two"
        path.unlink()
        desk.claim()
        assert not list(desk.folder.glob("subtitles*"))

    def test_a_hand_edit_stays_and_a_newer_sidecar_is_put_beside_it(self, desk: Desk) -> None:
        path = sidecar(desk, "one")
        desk.claim()
        mine = desk.folder / "subtitles.srt"
        mine.write_text("mine")
        desk.claim()
        assert [each.name for each in desk.folder.glob("subtitles*")] == ["subtitles.srt"]
        path.write_text("two")
        for _ in range(2):
            desk.claim()
            assert mine.read_text() == "mine"
            assert (desk.folder / "subtitles.new.srt").read_text() == "two"
        path.unlink()
        desk.claim()
        assert mine.read_text() == "mine"

    def test_taking_the_newer_one_ends_the_hand_edit(self, desk: Desk) -> None:
        path = sidecar(desk, "one")
        desk.claim()
        (desk.folder / "subtitles.srt").write_text("mine")
        path.write_text("two")
        desk.claim()
        (desk.folder / "subtitles.new.srt").replace(desk.folder / "subtitles.srt")
        path.write_text("three")
        desk.claim()
        assert (desk.folder / "subtitles.srt").read_text() == "three"
        assert not (desk.folder / "subtitles.new.srt").exists()

    def test_subtitles_written_into_the_folder_are_a_hands_work(self, desk: Desk) -> None:
        desk.claim()
        (desk.folder / "subtitles.vtt").write_text("mine")
        assert desk.claim().subtitles == "subtitles.vtt"
        assert (desk.folder / "subtitles.vtt").read_text() == "mine"


class TestTaking:
    def test_a_kill_before_the_source_is_moved_leaves_the_drop(
        self, desk: Desk, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def killed(*_: object, **__: object) -> None:
            raise KeyboardInterrupt

        desk.rule(more="inbox: move\n")
        with monkeypatch.context() as during:
            during.setattr(drop, "link", killed)
            with pytest.raises(KeyboardInterrupt):
                desk.claim()
        assert desk.source.read_text() == "abc"
        video = desk.claim()
        assert not desk.source.exists()
        assert (video.folder / "source.mp4").read_text() == "abc"

    def test_a_kill_right_after_the_move_leaves_a_whole_video(
        self, desk: Desk, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        replace = os.replace

        def killed(source: Path, target: Path) -> None:
            replace(source, target)
            if Path(source) == desk.source:
                raise KeyboardInterrupt

        desk.rule(more="inbox: move\n")
        monkeypatch.setattr(os, "replace", killed)
        with pytest.raises(KeyboardInterrupt):
            desk.claim()
        (folder,) = videos(desk.folders.workspace)
        Video.open(folder).require_source()

    @pytest.mark.parametrize("links", [True, False])
    def test_two_processes_may_claim_one_drop(self, desk: Desk, monkeypatch: pytest.MonkeyPatch, links: bool) -> None:
        link = os.link

        def raced(source: str, target: Path, **how: Any) -> None:
            if links:
                link(source, target, **how)  # the other process is first
                link(source, target, **how)
            target.symlink_to(desk.source)
            raise OSError(1, "Operation not permitted")

        monkeypatch.setattr(os, "link", raced)
        desk.claim().require_source()


class TestOverwrittenSource:
    def test_it_is_refused_and_status_goes_on(self, desk: Desk) -> None:
        video = desk.claim()
        desk.source.write_text("another film")
        with pytest.raises(DubdError, match="was overwritten; drop it again") as caught:
            video.require_source()
        assert caught.value.exit == Exit.INPUT
        assert of_video(video.folder)["state"] == "superseded"
        desk.claim()
        both = list(videos(desk.folders.workspace))
        assert len(both) == 2
        Video.open(next(folder for folder in both if folder != video.folder)).require_source()

    def test_dropping_the_first_film_again_mends_it(self, desk: Desk) -> None:
        video = desk.claim()
        desk.source.write_text("another film")
        desk.source.unlink()
        desk.source.write_text("abc")
        again = desk.claim()
        assert again.folder == video.folder
        again.require_source()
        assert (video.folder / "source.mp4").read_text() == "abc"
        assert (video.folder / "overwritten.mp4").read_text() == "another film"

    def test_a_touch_is_hashed_once(self, desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
        video = desk.claim()
        os.utime(desk.source, ns=(1, 1))
        video.require_source()
        monkeypatch.setattr(module, "content_key", lambda _: pytest.fail("hashed again"))
        video.require_source()

    def test_a_source_that_is_gone_is_named(self, desk: Desk) -> None:
        video = desk.claim()
        link = video.folder / "source.mp4"
        link.unlink()
        link.symlink_to(desk.root / "nowhere.mp4")
        with pytest.raises(DubdError, match=r"source .*talk\.mp4 is gone"):
            Video.open(video.folder).require_source()


def test_an_insisted_rule_counts_and_the_edited_one_is_kept(desk: Desk) -> None:
    video = desk.claim()
    path = video.folder / "rule.yaml"
    edited = path.read_text() + "# mine\n"
    path.write_text(edited)
    desk.rule(voice="es+f2")
    rule = load(desk.folders.rules / "lite.yaml", ready=False)
    Video.claim(desk.source, rule, desk.folders)
    assert path.read_text() == edited
    assert "es+f2" in (video.folder / "rule.new.yaml").read_text()
    Video.claim(desk.source, rule, desk.folders, insist=True)
    assert "es+f2" in path.read_text()
    assert (video.folder / "rule.old.yaml").read_text() == edited
    assert not (video.folder / "rule.new.yaml").exists()


def test_every_edited_rule_that_made_room_is_kept(desk: Desk) -> None:
    path = desk.claim().folder / "rule.yaml"
    rule = load(desk.folders.rules / "lite.yaml", ready=False)
    edits = [f"{path.read_text()}# {word}\n" for word in ("first", "second", "third")]
    for edited in (*edits, edits[0]):
        path.write_text(edited)
        Video.claim(desk.source, rule, desk.folders, insist=True)
    names = ("rule.old.yaml", "rule.old.2.yaml", "rule.old.3.yaml")
    assert [(desk.folder / name).read_text() for name in names] == edits
    assert len(list(desk.folder.glob("rule.old*"))) == 3


class TestAFullDisk:
    """The disk is full, or the process is killed, before the newer rule is written; then there is room again."""

    @pytest.fixture
    def path(self, desk: Desk, monkeypatch: pytest.MonkeyPatch) -> Path:
        path = desk.claim().folder / "rule.yaml"
        with monkeypatch.context() as full:
            full.setattr(os, "replace", lambda *_: (_ for _ in ()).throw(OSError(28, "No space left on device")))
            for voice in ("es+f2", "es+f3", "es+f4"):
                desk.rule(voice=voice)
                with pytest.raises(DubdError, match="no space left"):
                    desk.claim()
        return path

    def test_the_older_rule_is_still_the_machines_own(self, desk: Desk, path: Path) -> None:
        assert "auto" in path.read_text()
        desk.claim()
        assert "es+f4" in path.read_text()
        assert not (desk.folder / "rule.new.yaml").exists()

    def test_an_edit_of_it_is_a_hands_work(self, desk: Desk, path: Path) -> None:
        path.write_text(path.read_text() + "# mine\n")
        desk.claim()
        assert path.read_text().endswith("# mine\n")
        assert "es+f4" in (desk.folder / "rule.new.yaml").read_text()


class TestAForeignLanguage:
    """The recogniser that is embedded hears English only."""

    @pytest.fixture
    def rule(self, desk: Desk) -> Rule:
        path = desk.folders.rules / "lite.yaml"
        path.write_text(path.read_text().replace("source: en, target: es", "source: es, target: en"))
        return load(path, ready=False)

    def test_a_sidecar_stands_in_for_the_recogniser(self, desk: Desk, rule: Rule) -> None:
        video = Video.claim(desk.source, rule, desk.folders, sidecar(desk, "uno"))
        assert video.rule.languages.source == "es"
        video.require_source()

    def test_without_one_it_is_refused_before_it_has_a_folder(self, desk: Desk, rule: Rule) -> None:
        with pytest.raises(DubdError) as refused:
            Video.claim(desk.source, rule, desk.folders)
        assert refused.value.exit == Exit.RULE
        assert str(refused.value) == (
            f"{desk.source}: transcribe: pocketsphinx cannot recognise 'es'; "
            "name an engine that can in the rule lite, or put talk.srt beside the video"
        )
        assert not list(desk.folders.workspace.iterdir())
        (drop,) = standing(desk.folders)["drops"]
        assert drop["error"]["reason"] == refused.value.reason

    def test_one_that_goes_is_missed_before_anything_is_built(self, desk: Desk, rule: Rule) -> None:
        path = sidecar(desk, "uno")
        video = Video.claim(desk.source, rule, desk.folders, path)
        (video.folder / "subtitles.srt").unlink()
        with pytest.raises(DubdError, match="cannot recognise"):
            Video.open(video.folder).require_source()

    def test_a_claim_without_the_sidecar_is_refused_and_leaves_all_as_it_was(self, desk: Desk, rule: Rule) -> None:
        path = sidecar(desk, "uno")
        video = Video.claim(desk.source, rule, desk.folders, path)
        path.unlink()
        with pytest.raises(DubdError, match="cannot recognise"):
            Video.claim(desk.source, rule.model_copy(update={"name": "other"}), desk.folders)
        assert (video.folder / "subtitles.srt").read_text() == "uno"
        assert Video.open(video.folder).rule.name == "lite"
        Video.open(video.folder).require_source()

    def test_subtitles_that_a_hand_wrote_stand_in_without_a_sidecar(self, desk: Desk, rule: Rule) -> None:
        path = sidecar(desk, "uno")
        video = Video.claim(desk.source, rule, desk.folders, path)
        (video.folder / "subtitles.srt").write_text("mine")
        Video.claim(desk.source, rule, desk.folders).require_source()

    def test_the_rule_that_counts_is_asked(self, desk: Desk, rule: Rule) -> None:
        foreign = (desk.folders.rules / "lite.yaml").read_text()
        desk.rule()
        path = desk.claim().folder / "rule.yaml"
        path.write_text(path.read_text() + "# mine\n")
        Video.claim(desk.source, rule, desk.folders)
        assert (desk.folder / "rule.new.yaml").exists()
        path.write_text(foreign)
        with pytest.raises(DubdError, match="cannot recognise"):
            desk.claim()
