"""Which video has a drop's content, as videos come and go; those that stay are not looked at again."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from dubd.graph.video import Video
from dubd.service import aliases
from dubd.service.aliases import Aliases
from tests.graph.stand import Desk


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(tmp_path)


@pytest.fixture
def known(desk: Desk) -> Aliases:
    return Aliases(desk.folders.workspace, desk.folders.inbox)


def claim(desk: Desk) -> Video:
    video = desk.claim()
    shutil.copy(desk.source, desk.source.with_name("same.mp4"))
    return video


def test_a_video_that_came_is_found_by_the_content_of_another_drop(desk: Desk, known: Aliases) -> None:
    known.refresh()
    video = claim(desk)
    same = desk.source.with_name("same.mp4")
    assert known.known(same) is None
    known.refresh()
    assert known.known(same) == (desk.source, video.folder)


def test_one_that_was_removed_is_found_no_more(desk: Desk, known: Aliases) -> None:
    video = claim(desk)
    known.refresh()
    shutil.rmtree(video.folder)
    known.refresh()
    assert known.known(desk.source.with_name("same.mp4")) is None


def test_a_folder_that_lost_its_rule_is_no_video(desk: Desk, known: Aliases) -> None:
    video = claim(desk)
    known.refresh()
    (video.folder / "rule.yaml").unlink()
    known.refresh()
    assert known.known(desk.source.with_name("same.mp4")) is None


def test_those_that_were_here_before_are_not_looked_at_again(
    desk: Desk, known: Aliases, monkeypatch: pytest.MonkeyPatch
) -> None:
    claim(desk)
    known.refresh()
    looked: list[Path] = []
    monkeypatch.setattr(aliases, "_is_video", lambda folder: looked.append(folder) or True)
    new = desk.folders.workspace / "new-01234567"
    new.mkdir()
    known.refresh()
    assert looked == [new]
