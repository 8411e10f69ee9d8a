"""A video without a result whose drop is another film, or gone: nothing is done for it unless it can still be built."""

from __future__ import annotations

from pathlib import Path

import pytest

from dubd.errors import DubdError
from dubd.graph import report
from dubd.graph.superseded import removed, superseded
from dubd.service.standing import of_video
from tests.graph.stand import Desk


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(tmp_path)


def fail(desk: Desk) -> Path:
    folder = desk.claim().folder
    desk.stand.fail[f"plan:{folder.name}"] = DubdError("is not a video", stage="plan")
    desk.build()
    assert of_video(folder)["state"] == "failed"
    return folder


def replace(desk: Desk) -> None:
    """Another film under the drop's name, in a file of its own: the video's source stays as it was."""
    other = desk.source.with_name("other.part")
    other.write_text("another film", encoding="utf-8")
    other.replace(desk.source)


def test_one_that_failed_is_when_its_drop_is_overwritten(desk: Desk) -> None:
    folder = fail(desk)
    assert not superseded(folder)
    desk.source.write_text("another film", encoding="utf-8")
    assert superseded(folder)
    line = of_video(folder)
    assert (line["state"], line["failed"]) == ("superseded", [])
    assert report.report(folder)["state"] == "superseded"


def test_one_that_failed_is_when_its_drop_is_replaced(desk: Desk) -> None:
    folder = fail(desk)
    replace(desk)
    assert superseded(folder)


def test_it_is_not_once_the_first_film_is_dropped_again(desk: Desk) -> None:
    folder = fail(desk)
    replace(desk)
    desk.source.write_text("abc", encoding="utf-8")
    assert not superseded(folder)


def test_a_touch_is_no_other_film(desk: Desk) -> None:
    folder = fail(desk)
    desk.source.touch()
    assert not superseded(folder)


def test_one_that_has_not_failed_goes_on_from_the_film_that_it_still_has(desk: Desk) -> None:
    folder = desk.claim().folder
    replace(desk)
    assert not superseded(folder)


def test_one_with_a_result_is_not(desk: Desk) -> None:
    desk.build()
    desk.source.write_text("another film", encoding="utf-8")
    assert not superseded(desk.folder)


def test_one_whose_drop_is_gone_is_not(desk: Desk) -> None:
    folder = fail(desk)
    desk.source.unlink()
    assert not superseded(folder)


class TestRemoved:
    @pytest.fixture
    def folder(self, desk: Desk) -> Path:
        """A video that failed, and whose source is read in place, as from another disk."""
        folder = fail(desk)
        (folder / "source.mp4").unlink()
        (folder / "source.mp4").symlink_to(desk.source)
        return folder

    def test_it_is_once_its_drop_is_gone_and_until_it_is_back(self, desk: Desk, folder: Path) -> None:
        assert not removed(folder)
        desk.source.unlink()
        assert removed(folder)
        line = of_video(folder)
        assert (line["state"], line["failed"]) == ("removed", [])
        assert report.report(folder)["state"] == "removed"
        desk.source.write_text("abc", encoding="utf-8")
        assert not removed(folder)

    def test_it_is_not_where_the_film_itself_is_still_there(self, desk: Desk) -> None:
        folder = fail(desk)
        desk.source.unlink()
        assert not removed(folder)

    def test_it_is_not_where_another_drop_has_the_name(self, desk: Desk, folder: Path) -> None:
        replace(desk)
        assert not removed(folder)

    def test_it_is_not_with_a_result(self, desk: Desk, folder: Path) -> None:
        (folder / "dubbed.es.mp4").touch()
        desk.source.unlink()
        assert not removed(folder)
