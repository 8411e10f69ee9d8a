"""A failed drop stays where it is, says why beside itself, and is tried again when asked for."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

from tests.scenarios.conftest import Home
from tests.scenarios.inbox.conftest import NO_VIDEO, Daemon


def test_a_failure_is_said_beside_the_drop_until_it_goes_and_retry_tries_it_again(daemon: Daemon) -> None:
    path = daemon.inbox / "failing.mp4"
    beside = daemon.inbox / "failing.mp4.error.txt"
    path.write_bytes(b"a failing one")
    daemon.hear("failing.mp4", NO_VIDEO)
    daemon.until(beside.exists)
    said = beside.read_text()
    (video,) = [path.name for path in daemon.home.videos() if path.name.startswith("failing")]
    assert NO_VIDEO in said
    for words in ("failing.mp4", "Stage:   plan", "Remedy:", "Since:", f"dubd retry {video}"):
        assert words in said
    assert "(since " in daemon.home.dubd("status", video).stdout
    assert daemon.home.dubd("retry", video).returncode == 0
    daemon.hear("failing.mp4", NO_VIDEO, times=2)
    assert beside.read_text() == said
    assert path.read_bytes() == b"a failing one"
    assert not daemon.lines("error.txt")
    path.unlink()
    daemon.until(lambda: not beside.exists())


def test_a_refused_drop_has_no_video_and_is_tried_again_by_its_path(daemon: Daemon) -> None:
    path = daemon.inbox / "refused.mp4"
    path.with_suffix(".yaml").write_text("langauges: {}\n")
    path.write_bytes(b"a refused one")
    daemon.hear("did you mean languages?")
    drops = json.loads(daemon.home.dubd("status", "--json").stdout)["drops"]
    (drop,) = [drop for drop in drops if drop["file"] == str(path)]
    assert drop["error"]["exit"] == 3
    assert drop["at"] is not None
    assert daemon.home.dubd("retry", path).returncode == 0
    daemon.hear("did you mean languages?", times=2)
    path.with_suffix(".yaml").unlink()  # its rule is another one now: tried again by itself
    daemon.hear("refused.mp4", NO_VIDEO)


def test_a_persons_file_of_that_name_is_left_alone(daemon: Daemon) -> None:
    mine = daemon.inbox / "mine.mp4.error.txt"
    mine.write_text("my own notes\n")
    (daemon.inbox / "mine.mp4").write_bytes(b"mine")
    daemon.hear("mine.mp4", NO_VIDEO)
    (daemon.inbox / "mine.mp4").unlink()
    daemon.quiet("mine.mp4")
    assert mine.read_text() == "my own notes\n"


def test_without_a_daemon_it_says_what_to_do(home: Home, clips: Path) -> None:
    shutil.copy(clips / "text.mp4", home.root / "inbox")
    assert home.dubd("retry", "--all").stdout == "nothing has failed\n"
    assert home.dubd("run", home.root / "inbox" / "text.mp4").returncode == 4
    asked = home.dubd("retry", "--all")
    assert asked.returncode == 2
    assert "no daemon watches" in asked.stderr
    assert "dubd watch" in asked.stderr
    assert home.dubd("retry").returncode == 2
    assert home.dubd("retry", "nothing").returncode == 2


def test_a_drop_of_another_file_system_that_goes_before_it_is_dubbed_is_told_once_and_nothing_has_failed(
    home: Home, clips: Path, other_disk: Path, start: Callable[..., Daemon]
) -> None:
    (home.root / "inbox").rmdir()
    (home.root / "inbox").symlink_to(other_disk)  # the workspace cannot link to it, and reads it in place
    daemon = start(home)
    for name in ("one", "same"):
        for suffix in (".srt", ".mp4"):
            shutil.copy(clips / f"talk{suffix}", other_disk / f"{name}{suffix}")
    daemon.hear(".mp4: taken")
    for path in other_disk.iterdir():
        path.unlink()
    daemon.hear("was removed before it was dubbed; drop it again")
    daemon.quiet("removed")
    assert len(daemon.lines("was removed")) == 1
    assert not daemon.lines("dubd: ")
    (video,) = json.loads(home.dubd("status", "--json").stdout)["videos"]
    assert (video["state"], video["failed"], video["aliases"]) == ("removed", [], [])
    for suffix in (".srt", ".mp4"):
        shutil.copy(clips / f"talk{suffix}", other_disk / f"one{suffix}")
    daemon.hear("dubbed.es.mp4")
