"""A daemon whose inbox is full of what was made to harm it: one line each, nothing else is touched, and it goes on."""

from __future__ import annotations

import json
import os
import shutil
from collections import Counter
from pathlib import Path

import pytest

from dubd.cli.printable import printable
from tests.canary import Canary
from tests.hostile_drops import NAMES, STRANGE
from tests.hostile_texts import RULES
from tests.hostile_videos import NOT_VIDEOS
from tests.scenarios.conftest import Home, lines_of

_HELLO = "this is no video, it is {}\n"


def _put(inbox: Path, canary: Path) -> set[str]:
    """All that is in the tables, each in a folder of its own: the names of the folders."""
    for name, (put, _) in STRANGE.items():
        put(_folder(inbox, f"strange.{name}"), canary)
    for name, (make, _) in NOT_VIDEOS.items():
        (_folder(inbox, f"video.{name}") / f"{name}.mp4").write_bytes(make(canary))
    for name, odd in NAMES.items():
        (_folder(inbox, f"name.{name}") / odd).write_text(_HELLO.format(name))
    for name, (content, _) in RULES.items():
        folder = _folder(inbox, f"rule.{name}")
        (folder / "talk.mp4").write_text(_HELLO.format(name))
        (folder / "talk.yaml").write_bytes(content)
    for suffix in (".srt", ".yaml"):
        for kind in ("link", "pipe", "gigabyte"):
            folder = _folder(inbox, f"beside.{kind}-{suffix[1:]}")
            (folder / "talk.mp4").write_text(_HELLO.format(folder.name))
            beside = folder / f"talk{suffix}"
            if kind == "link":
                beside.symlink_to(canary)
            elif kind == "pipe":
                os.mkfifo(beside)
            else:
                beside.touch()
                os.truncate(beside, 1 << 30)
    return set(os.listdir(inbox))


def _folder(inbox: Path, name: str) -> Path:
    folder = inbox / name
    folder.mkdir()
    return folder


def _tree(folder: Path) -> list[tuple[bytes, int, int]]:
    """Every name below, of files with size and when they were changed; without what the daemon says beside a drop."""
    found = []
    for at, folders, files in os.walk(os.fsencode(folder)):
        found += [(os.path.join(at, name), 0, 0) for name in folders]
        for name in files:
            if not name.endswith(b".error.txt"):
                stat = os.lstat(os.path.join(at, name))
                found.append((os.path.join(at, name), stat.st_size, stat.st_mtime_ns))
    return sorted(found)


@pytest.fixture
def inbox(home: Home) -> Path:
    return home.root / "inbox"


def test_every_one_is_told_in_a_line_and_the_good_one_is_dubbed(home: Home, inbox: Path, clips: Path) -> None:
    with Canary(home.root / "canary") as canary:
        hostile = _put(inbox, canary.path)
        assert len(hostile) > 150
        for suffix in (".mp4", ".srt"):
            shutil.copy(clips / f"talk{suffix}", inbox / f"zz-good{suffix}")
        before = [_tree(inbox), _tree(home.root / "rules"), os.listdir(home.root), os.listdir("/")]
        done = home.dubd("watch", "--until-idle", "--settle", "0.3")
        assert canary.touched() == []
        assert done.returncode == 4, done.stdout + done.stderr
        after = [_tree(inbox), _tree(home.root / "rules"), os.listdir(home.root), os.listdir("/")]
        assert after == before
        status = json.loads(home.dubd("status", "--json").stdout)
        assert canary.touched() == []

    videos = {Path(video["folder"]).name: video for video in status["videos"]}
    (good,) = (video for video in videos.values() if video["state"] == "done")
    assert [Path(path).name for path in good["results"]] == ["dubbed.es.mp4"]
    assert {video["state"] for video in videos.values()} == {"done", "failed"}

    refused = {Path(drop["file"]).relative_to(inbox).parts[0] for drop in status["drops"] if drop["error"]}
    assert [drop for drop in status["drops"] if not drop["error"]] == []
    dubbed = {Path(video["drop"]).relative_to(inbox).parts[0] for video in videos.values()}
    assert refused | dubbed == hostile | {"zz-good.mp4"}
    assert all(drop["at"] for drop in status["drops"] if Path(f"{drop['file']}.error.txt").exists())

    told: Counter[str] = Counter()
    for line in lines_of(done):
        assert line.startswith(f"dubd: {home.root}/"), line
        assert printable(line) == line
        assert "; " in line or "/rule." in line, "no remedy"  # a wrong value in a rule is its own remedy
        assert len(line) < 1000
        place, first = Path(line.removeprefix("dubd: ")).relative_to(home.root).parts[:2]
        told[Path(videos[first]["drop"]).parent.name if place == "workspace" else first] += 1
    assert told.keys() == hostile
    several = {name for name, count in told.items() if count > 1}
    assert all(name.startswith("rule.") for name in several), several  # a rule may have several faults
