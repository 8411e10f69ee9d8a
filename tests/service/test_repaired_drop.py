"""A broken film that is repaired under its name: the new one is dubbed, and of the old one nothing more is said."""

from __future__ import annotations

from pathlib import Path

import pytest

from dubd.errors import DubdError
from dubd.service.daemon import Daemon
from dubd.service.standing import standing
from tests.service.test_daemon import Watch


@pytest.fixture
def watch(tmp_path: Path) -> Watch:
    """A daemon that has told of the one drop that it is broken, and then dubbed what was copied over it."""
    watch = Watch(tmp_path)
    broken = watch.desk.claim().folder
    watch.desk.stand.fail[f"plan:{broken.name}"] = DubdError("is not a video", stage="plan")
    watch.idle()
    assert len(watch.told("failed")) == 1
    assert watch.desk.source.with_name("talk.mp4.error.txt").exists()
    watch.news.clear()
    watch.desk.source.write_text("a whole film", encoding="utf-8")
    watch.look()
    assert len(watch.told("built")) == 1
    return watch


def faults(watch: Watch) -> list[str]:
    return [str(news.error) for news in watch.news if news.error]


def test_no_fault_is_told_and_none_stands_in_the_status(watch: Watch) -> None:
    assert faults(watch) == []
    states = [video["state"] for video in standing(watch.desk.folders)["videos"]]
    assert sorted(states) == ["done", "superseded"]
    assert not watch.desk.source.with_name("talk.mp4.error.txt").exists()


def test_neither_a_reload_nor_a_restart_tells_of_it(watch: Watch) -> None:
    watch.daemon.reload()
    watch.look()
    watch.daemon = Daemon(watch.desk.folders, watch.desk.stand, watch.news.append, settle=1.0, now=lambda: watch.clock)
    watch.idle()
    assert faults(watch) == []
    assert not watch.desk.source.with_name("talk.mp4.error.txt").exists()


def test_the_first_film_dropped_again_is_tried_again(watch: Watch) -> None:
    watch.desk.stand.fail.clear()
    watch.desk.source.write_text("abc", encoding="utf-8")
    watch.look()
    assert len(watch.told("built")) == 2
