"""What cleaning says of a video that it cannot clean."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from dubd.errors import DubdError
from dubd.service import cleaning
from tests.graph.stand import Desk


def test_a_video_whose_files_cannot_be_removed_is_told_of_and_stops_nobody(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    desk = Desk(tmp_path)
    desk.claim()
    desk.build()

    def refused(_: Path) -> None:
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))

    monkeypatch.setattr(cleaning, "sweep", refused)
    done = cleaning.cleaned(desk.folder, "final", 0.0, desk.folders.inbox)
    assert done == cleaning.Cleaned(desk.folder.name, left="Permission denied")


class TestSuperseded:
    """A video that was never dubbed, and in whose drop's place lies another film."""

    @pytest.fixture
    def desk(self, tmp_path: Path) -> Desk:
        desk = Desk(tmp_path)
        folder = desk.claim().folder
        desk.stand.fail[f"{folder.name}:001/speak"] = DubdError("mumbles", stage="speak")
        desk.build()
        return desk

    def replace(self, desk: Desk) -> None:
        other = desk.source.with_name("other.part")
        other.write_text("another film", encoding="utf-8")
        other.replace(desk.source)

    def test_a_failed_one_is_not_finished(self, desk: Desk) -> None:
        done = cleaning.cleaned(desk.folder, "nothing", 0.0, desk.folders.inbox)
        assert done.left == "not finished, or changed since"

    def test_its_folder_goes_where_no_video_is_to_be_kept(self, desk: Desk) -> None:
        folder = desk.folder
        desk.source.write_text("another film", encoding="utf-8")  # its source is the same file
        assert cleaning.cleaned(folder, "nothing", 0.0, desk.folders.inbox).left == ""
        assert not folder.exists()
        assert desk.source.exists()

    def test_it_stays_where_the_final_is_to_be_kept_and_that_is_said(self, desk: Desk) -> None:
        self.replace(desk)
        done = cleaning.cleaned(desk.folder, "final", 0.0, desk.folders.inbox)
        assert done.left == "superseded and never dubbed: --keep nothing removes it"
        assert (desk.folder / "segments" / "000" / "translation.json").exists()

    def test_the_only_copy_of_its_film_stays(self, desk: Desk) -> None:
        self.replace(desk)
        done = cleaning.cleaned(desk.folder, "nothing", 0.0, desk.folders.inbox)
        assert done.left == "its source is the only copy: move it out first, or use --keep final"
        assert desk.folder.exists()

    def test_it_is_as_old_as_its_last_task(self, desk: Desk) -> None:
        desk.source.write_text("another film", encoding="utf-8")
        assert cleaning.cleaned(desk.folder, "nothing", 3600.0, desk.folders.inbox).left == "not old enough"
        assert cleaning.cleaned(desk.folder, "nothing", 0.0, desk.folders.inbox, dry=True).files > 0
