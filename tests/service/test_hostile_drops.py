"""What is put into an inbox to harm: one clear line each, and nothing behind a link is opened."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from dubd import regular
from dubd.errors import DubdError
from dubd.folders import Folders
from dubd.graph import rules
from dubd.graph.rules import Rules
from dubd.graph.video import Video
from dubd.service.inbox import Inbox, being_written, subtitles_beside
from tests.canary import Canary
from tests.hostile_drops import NAMES, STRANGE

RULE = "default: true\nlanguages: {source: en, target: es}\n"


@pytest.fixture
def canary(tmp_path: Path) -> Iterator[Canary]:
    with Canary(tmp_path / "canary") as canary:
        yield canary


@pytest.fixture
def folders(tmp_path: Path) -> Folders:
    found = Folders(*(tmp_path / "home" / name for name in ("inbox", "workspace", "rules", "models")))
    for folder in (found.inbox, found.workspace, found.rules):
        folder.mkdir(parents=True)
    (found.rules / "lite.yaml").write_text(RULE)
    return found


def claim(folders: Folders, path: Path) -> Video:
    """What the daemon does with a drop."""
    rule = Rules(folders.rules).for_drop(path, folders.inbox)
    return Video.claim(path, rule, folders, subtitles_beside(path))


@pytest.mark.parametrize("name", STRANGE)
def test_it_is_told_once_and_never_a_drop(name: str, folders: Folders, canary: Canary) -> None:
    put, words = STRANGE[name]
    path = put(folders.inbox, canary.path)
    inbox = Inbox(folders.inbox, settle=1.0)
    for now in (0.0, 1.0, 2.0, 20.0):
        assert inbox.scan(now) == []
    (error,) = inbox.refused
    assert error.file == str(path)
    assert words in error.reason
    assert error.remedy
    inbox.again(path)  # as `dubd retry` has it
    assert inbox.scan(21.0) == []
    assert [each.file for each in inbox.refused] == [str(path)] * 2
    assert canary.touched() == []


@pytest.mark.parametrize("name", NAMES)
def test_an_odd_name_is_only_a_name(name: str, folders: Folders) -> None:
    path = folders.inbox / NAMES[name]
    path.write_bytes(b"hello\n")
    inbox = Inbox(folders.inbox, settle=1.0)
    inbox.scan(0.0)
    assert inbox.scan(1.0) == [path]
    assert inbox.refused == []
    video = claim(folders, path)
    assert video.folder.parent == folders.workspace
    assert video.id.replace("-", "").isalnum()
    assert video.id.isascii()
    assert (video.folder / video.source).read_bytes() == b"hello\n"
    assert sorted(os.listdir(folders.inbox.parent)) == ["inbox", "rules", "workspace"]


class TestSidecars:
    @pytest.mark.parametrize("suffix", [".yaml", ".yml", ".srt", ".vtt"])
    @pytest.mark.parametrize("kind", ["link", "pipe", "folder"])
    def test_one_that_is_no_plain_file_holds_its_drop_back(
        self, suffix: str, kind: str, folders: Folders, canary: Canary
    ) -> None:
        path, beside = folders.inbox / "talk.mp4", folders.inbox / f"talk{suffix}"
        path.write_bytes(b"hello\n")
        if kind == "link":
            beside.symlink_to(canary.path)
        elif kind == "pipe":
            os.mkfifo(beside)
        else:
            beside.mkdir()
        with pytest.raises(DubdError, match=r"is a (symbolic link|pipe|folder)") as caught:
            claim(folders, path)
        assert caught.value.file == str(beside)
        assert list(folders.workspace.iterdir()) == []
        assert caught.value.remedy
        assert canary.touched() == []

    @pytest.mark.parametrize("suffix", [".yaml", ".srt"])
    def test_one_of_a_gigabyte_is_not_read(self, suffix: str, folders: Folders) -> None:
        path, beside = folders.inbox / "talk.mp4", folders.inbox / f"talk{suffix}"
        path.write_bytes(b"hello\n")
        beside.touch()
        os.truncate(beside, 1 << 30)
        with pytest.raises(DubdError, match="has 1,073,741,824 bytes, more than"):
            claim(folders, path)


class TestReplacedInTheMeantime:
    def test_a_drop_by_a_link(self, folders: Folders, canary: Canary) -> None:
        path = folders.inbox / "talk.mp4"
        path.symlink_to(canary.path)
        with pytest.raises(DubdError, match="is a symbolic link"):
            claim(folders, path)
        with pytest.raises(OSError, match="symbolic links"):
            being_written(path)
        assert canary.touched() == []

    def test_its_folder_by_a_link(self, folders: Folders, canary: Canary) -> None:
        (folders.inbox / "sub").symlink_to(canary.folder)
        with pytest.raises(DubdError, match="lies behind a symbolic link"):
            claim(folders, folders.inbox / "sub" / "secret.mp4")
        assert list(folders.workspace.rglob("source.*")) == []

    @pytest.mark.parametrize("move", [False, True])
    def test_between_the_look_and_the_link(
        self, folders: Folders, canary: Canary, monkeypatch: pytest.MonkeyPatch, move: bool
    ) -> None:
        path = folders.inbox / "talk.mp4"
        path.write_bytes(b"hello\n")
        if move:
            (folders.rules / "lite.yaml").write_text(f"{RULE}inbox: move\n")
        dump = rules.dump

        def swapped(rule: rules.Rule) -> str:  # it is called after the drop was opened, and before it is linked
            path.unlink()
            path.symlink_to(canary.path)
            return dump(rule)

        monkeypatch.setattr(rules, "dump", swapped)
        with pytest.raises(DubdError, match="was replaced while it was taken"):
            claim(folders, path)
        assert list(folders.workspace.rglob("source.*")) == []
        assert canary.touched() == []

    def test_a_pipe_in_its_place_makes_nobody_wait(self, tmp_path: Path) -> None:
        os.mkfifo(tmp_path / "talk.mp4")
        with pytest.raises(DubdError, match="is a pipe"):
            regular.opened(tmp_path / "talk.mp4", inside=tmp_path)


def test_a_name_never_leaves_its_line(tmp_path: Path) -> None:
    name = "a\ndubd: all is well\x1b[2J\x9b\u202e\udcff.mp4"
    command = [sys.executable, "-m", "dubd", "run", os.fsencode(name)]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, check=False)
    (line,) = done.stderr.decode().splitlines()
    assert line.startswith(r"dubd: a\ndubd: all is well\x1b[2J\x9b\u202e\xff.mp4: no such file")
