"""The inbox: a drop is reported when it is complete, once, and never before."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from dubd.service.inbox import Inbox, being_written, subtitles_beside


@pytest.fixture
def inbox(tmp_path: Path) -> Inbox:
    return Inbox(tmp_path, settle=2.0)


def drop(inbox: Inbox, name: str, data: bytes = b"x") -> Path:
    path = inbox.root / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    return path


class TestComplete:
    def test_only_after_it_was_still_for_the_settle_time_and_once(self, inbox: Inbox) -> None:
        path = drop(inbox, "a.mp4")
        assert inbox.scan(0.0) == []
        assert inbox.scan(1.9) == []
        assert inbox.pending == [path]
        assert inbox.scan(2.0) == [path]
        assert inbox.scan(9.0) == []
        assert inbox.pending == []

    def test_a_slow_copy_restarts_the_clock(self, inbox: Inbox) -> None:
        path = drop(inbox, "a.mp4")
        inbox.scan(0.0)
        drop(inbox, "a.mp4", b"xy")
        assert inbox.scan(2.0) == []
        assert inbox.scan(4.0) == [path]

    def test_a_writer_that_stalls_is_waited_for(self, inbox: Inbox) -> None:
        path = drop(inbox, "a.mp4")
        with path.open("ab"):
            assert being_written(path)
            inbox.scan(0.0)
            assert inbox.scan(100.0) == []
        assert not being_written(path)
        assert inbox.scan(101.0) == []
        assert inbox.scan(102.0) == [path]

    def test_a_reader_is_no_writer(self, inbox: Inbox) -> None:
        path = drop(inbox, "a.mp4")
        with path.open("rb"):
            assert not being_written(path)

    @pytest.mark.parametrize(
        "name", [".a.mp4.Xy12", "a.mp4.part", "a.mp4.crdownload", "a.mp4~", ".hidden/a.mp4", "@eaDir/a.mp4", "a.tmp"]
    )
    def test_what_is_unfinished_or_hidden_is_not_even_looked_at(self, inbox: Inbox, name: str) -> None:
        drop(inbox, name)
        inbox.scan(0.0)
        assert inbox.scan(100.0) == []
        assert inbox.refused == []

    def test_a_rename_at_the_end_of_a_download(self, inbox: Inbox) -> None:
        part = drop(inbox, "a.mp4.part")
        inbox.scan(0.0)
        part.rename(inbox.root / "a.mp4")
        inbox.scan(5.0)
        assert inbox.scan(7.0) == [inbox.root / "a.mp4"]

    def test_an_empty_file_is_given_more_time(self, inbox: Inbox) -> None:
        path = drop(inbox, "a.mp4", b"")
        inbox.scan(0.0)
        assert inbox.scan(9.9) == []
        assert inbox.scan(10.0) == [path]

    def test_sub_folders_and_the_oldest_first(self, inbox: Inbox) -> None:
        new, old = drop(inbox, "a.mkv"), drop(inbox, "deep/er/z.MOV")
        os.utime(new, (2000, 2000))
        os.utime(old, (1000, 1000))
        inbox.scan(0.0)
        assert inbox.scan(2.0) == [old, new]


class TestAgain:
    def test_new_bytes_are_a_new_drop(self, inbox: Inbox) -> None:
        path = drop(inbox, "a.mp4")
        inbox.scan(0.0)
        inbox.scan(2.0)
        drop(inbox, "a.mp4", b"other")
        inbox.scan(3.0)
        assert inbox.scan(5.0) == [path]

    @pytest.mark.parametrize("suffix", [".yaml", ".srt", ".vtt"])
    def test_a_sidecar_that_comes_later_counts(self, inbox: Inbox, suffix: str) -> None:
        path = drop(inbox, "a.mp4")
        inbox.scan(0.0)
        assert inbox.scan(2.0) == [path]
        drop(inbox, f"a{suffix}")
        assert inbox.scan(3.0) == []
        assert inbox.scan(5.0) == [path]

    def test_on_request(self, inbox: Inbox) -> None:
        path = drop(inbox, "a.mp4")
        inbox.scan(0.0)
        inbox.scan(2.0)
        assert inbox.taken() == [path]
        inbox.again(path)
        assert inbox.scan(2.1) == [path]

    def test_gone_and_back(self, inbox: Inbox) -> None:
        path = drop(inbox, "a.mp4")
        inbox.scan(0.0)
        inbox.scan(2.0)
        path.unlink()
        inbox.scan(3.0)
        drop(inbox, "a.mp4")
        inbox.scan(4.0)
        assert inbox.scan(6.0) == [path]


class TestRefused:
    def test_what_is_no_video_is_told_once(self, inbox: Inbox) -> None:
        drop(inbox, "notes.txt")
        drop(inbox, "a.srt")
        drop(inbox, "terms.csv")
        for now in (0.0, 2.0, 4.0):
            assert inbox.scan(now) == []
        assert [str(error) for error in inbox.refused] == [
            f"{inbox.root / 'notes.txt'}: is not taken for a video; give it the suffix of one"
        ]

    @pytest.mark.parametrize("whole", [False, True], ids=["it", "the inbox"])
    def test_what_is_no_video_is_told_once_though_it_goes_and_comes(self, tmp_path: Path, whole: bool) -> None:
        inbox = Inbox(tmp_path / "inbox", settle=2.0)
        path = drop(inbox, "k2.mp4.tmpx")
        inbox.scan(0.0)
        moved = inbox.root if whole else path
        away = moved.rename(tmp_path / "away")
        inbox.scan(1.0)
        away.rename(moved)
        inbox.scan(2.0)
        assert [error.file for error in inbox.refused] == [str(path)]

    def test_another_file_of_its_name_is_told_again(self, inbox: Inbox) -> None:
        path = drop(inbox, "k2.mp4.tmpx")
        inbox.scan(0.0)
        path.rename(inbox.root / ".k2")
        inbox.scan(1.0)
        drop(inbox, "k2.mp4.tmpx")
        inbox.scan(2.0)
        assert [error.file for error in inbox.refused] == [str(path)] * 2

    def test_a_text_with_a_video_suffix_is_for_the_probe_to_refuse(self, inbox: Inbox) -> None:
        path = drop(inbox, "text.mp4", b"hello")
        inbox.scan(0.0)
        assert inbox.scan(2.0) == [path]

    def test_a_folder_that_is_gone(self, tmp_path: Path) -> None:
        assert Inbox(tmp_path / "no").scan(0.0) == []

    @pytest.mark.skipif(os.geteuid() == 0, reason="root reads everything")
    def test_a_file_that_cannot_be_read_is_told_once_and_taken_when_it_can(self, inbox: Inbox) -> None:
        path = drop(inbox, "a.mp4")
        path.chmod(0)
        for now in (0.0, 2.0, 4.0):
            assert inbox.scan(now) == []
        assert len(inbox.refused) == 1
        path.chmod(0o600)
        assert inbox.scan(6.0) == [path]


def test_the_subtitles_beside_a_video(tmp_path: Path) -> None:
    video = tmp_path / "talk.one.mp4"
    assert subtitles_beside(video) is None
    (tmp_path / "talk.one.vtt").touch()
    assert subtitles_beside(video) == tmp_path / "talk.one.vtt"


class TestErrorFiles:
    def test_they_are_no_strangers(self, inbox: Inbox) -> None:
        drop(inbox, "a.mp4")
        drop(inbox, "a.mp4.error.txt")
        inbox.scan(0.0)
        assert inbox.refused == []
        assert inbox.orphans == []

    def test_one_of_a_name_that_is_refused_is_none_while_that_is_there(self, inbox: Inbox) -> None:
        path = drop(inbox, "caf\udce9.mp4")
        beside = drop(inbox, "caf%E9.mp4.error.txt")
        inbox.scan(0.0)
        assert inbox.orphans == []
        path.unlink()
        inbox.scan(1.0)
        assert inbox.orphans == [beside.with_name("caf%E9.mp4")]

    def test_one_whose_drop_is_gone_is_an_orphan(self, inbox: Inbox) -> None:
        drop(inbox, "a.mp4.error.txt")
        inbox.scan(0.0)
        assert inbox.orphans == [inbox.root / "a.mp4"]


def test_a_folder_that_is_away_forgets_nothing(inbox: Inbox) -> None:
    path = drop(inbox, "a.mp4")
    inbox.scan(0.0)
    assert inbox.scan(2.0) == [path]
    away = inbox.root.with_name("away")
    inbox.root.rename(away)
    assert inbox.scan(3.0) == []
    away.rename(inbox.root)
    assert inbox.scan(9.0) == []
    assert inbox.taken() == [path]


def test_a_folder_that_is_away_is_not_looked_at_all_the_time_for_a_drop_that_was_not_complete(inbox: Inbox) -> None:
    path = drop(inbox, "a.mp4")
    inbox.scan(0.0)
    assert inbox.due == 2.0
    away = inbox.root.with_name("away")
    inbox.root.rename(away)
    inbox.scan(3.0)
    assert inbox.due is None
    away.rename(inbox.root)
    assert inbox.scan(30.0) == [path]
