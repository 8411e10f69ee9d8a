"""How often the daemon looks: seldom where events come, often where they do not, and it says why."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from dubd.service.folder_watch import LOOK, POLL, FolderWatch
from dubd.service.inbox import NETWORK_SETTLE, SETTLE, settle_time


@pytest.fixture
def inbox(tmp_path: Path) -> Path:
    (tmp_path / "inbox").mkdir()
    return tmp_path / "inbox"


@pytest.fixture
def network(tmp_path: Path, inbox: Path) -> Path:
    """A table of mounts in which the inbox is a share."""
    table = tmp_path / "mountinfo"
    table.write_text(f"27 1 254:0 / / rw - ext4 /dev/vda rw\n41 27 0:41 / {inbox} rw - nfs4 nas:/films rw\n")
    return table


def test_a_local_folder_is_watched_and_an_event_wakes(inbox: Path) -> None:
    wake = threading.Event()
    with FolderWatch([inbox], wake) as watch:
        assert watch.every == LOOK
        assert watch.told == []
        (inbox / "a.mp4").write_bytes(b"x")
        assert wake.wait(10)


def test_a_folder_that_is_reached_by_a_link_is_watched_where_it_lies(inbox: Path, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(inbox)
    wake = threading.Event()
    with FolderWatch([tmp_path / "link"], wake) as watch:
        (inbox / ".hidden").write_bytes(b"x")
        assert not wake.wait(0.5)
        (inbox / "a.mp4").write_bytes(b"x")
        assert wake.wait(10)
        inbox.with_name("other").mkdir()
        (tmp_path / "link").unlink()
        (tmp_path / "link").symlink_to(inbox.with_name("other"))
        watch.check()
        wake.clear()
        (tmp_path / "other" / "b.mp4").write_bytes(b"x")
        assert wake.wait(10)


@pytest.mark.parametrize("name", ["a.mp4", "es"])
def test_a_file_or_a_folder_that_is_made_readable_wakes(inbox: Path, name: str) -> None:
    (inbox / "es").mkdir()
    (inbox / "a.mp4").write_bytes(b"x")
    (inbox / name).chmod(0)
    wake = threading.Event()
    with FolderWatch([inbox], wake):
        assert not wake.wait(0.5)
        (inbox / name).chmod(0o755)
        assert wake.wait(10)


def test_a_hard_link_to_what_is_watched_wakes_nobody(inbox: Path, tmp_path: Path) -> None:
    (inbox / "a.mp4").write_bytes(b"x")
    wake = threading.Event()
    with FolderWatch([inbox], wake):
        (tmp_path / "source.mp4").hardlink_to(inbox / "a.mp4")  # as each claim makes one
        assert not wake.wait(1.0)


def test_error_files_and_hidden_ones_wake_nobody(inbox: Path) -> None:
    wake = threading.Event()
    with FolderWatch([inbox], wake):
        (inbox / "a.mp4.error.txt").write_text("dubd could not dub a.mp4")
        (inbox / ".hidden").write_bytes(b"x")
        assert not wake.wait(1.0)


def test_a_hidden_folder_above_the_inbox_keeps_no_drop_from_waking(tmp_path: Path) -> None:
    inbox = tmp_path / ".dubd" / "inbox"
    inbox.mkdir(parents=True)
    wake = threading.Event()
    with FolderWatch([inbox], wake):
        (inbox / "a.mp4").write_bytes(b"x")
        assert wake.wait(10)


def test_a_network_file_system_is_looked_at_often_and_that_is_told_once(inbox: Path, network: Path) -> None:
    with FolderWatch([inbox], threading.Event(), network) as watch:
        watch.check()
        assert watch.every == POLL
        (told,) = watch.told
        assert "nfs4" in told.reason
        assert told.file == str(inbox)


def test_drops_from_the_network_are_given_more_time(inbox: Path, network: Path) -> None:
    assert settle_time(inbox, network) == NETWORK_SETTLE
    assert settle_time(inbox.parent, network) == SETTLE


def test_another_folder_in_its_place_is_watched_once_it_is_noticed(inbox: Path) -> None:
    wake = threading.Event()
    with FolderWatch([inbox], wake) as watch:
        inbox.rename(inbox.with_name("away"))
        inbox.mkdir()
        assert watch.moved
        watch.check()
        assert not watch.moved
        wake.clear()
        (inbox / "a.mp4").write_bytes(b"x")
        assert wake.wait(10)


def test_what_was_heard_of_is_named_once_by_what_holds_it_right_below_its_folder(inbox: Path) -> None:
    segment = inbox / "talk-1" / "segments" / "000"
    segment.mkdir(parents=True)
    wake = threading.Event()
    with FolderWatch([inbox], wake) as watch:
        assert watch.heard() == {inbox}  # nothing was heard before
        (segment / "translation.json").write_text("{}")
        assert wake.wait(10)
        assert watch.heard() == {inbox / "talk-1"}
        assert watch.heard() == set()


def test_a_file_that_moves_from_one_video_to_another_is_heard_of_in_both(inbox: Path) -> None:
    for name in ("talk-1", "talk-2"):
        (inbox / name).mkdir()
    (inbox / "talk-1" / "translation.json").write_text("{}")
    wake = threading.Event()
    with FolderWatch([inbox], wake) as watch:
        watch.heard()
        (inbox / "talk-1" / "translation.json").rename(inbox / "talk-2" / "translation.json")
        assert wake.wait(10)
        assert watch.heard() == {inbox / "talk-1", inbox / "talk-2"}


def test_all_of_a_folder_counts_as_heard_of_where_it_was_not_watched_for_a_while(inbox: Path) -> None:
    with FolderWatch([inbox], threading.Event()) as watch:
        watch.heard()
        inbox.rename(inbox.with_name("away"))
        inbox.mkdir()
        watch.check()
        assert inbox in watch.heard()


def test_a_share_beside_a_local_folder_leaves_the_local_one_heard(tmp_path: Path, inbox: Path, network: Path) -> None:
    (tmp_path / "workspace").mkdir()
    with FolderWatch([inbox, tmp_path / "workspace"], threading.Event(), network) as watch:
        assert watch.deaf(inbox)
        assert not watch.deaf(tmp_path / "workspace")
        assert watch.every == POLL


def test_what_was_heard_of_behind_a_link_is_named_by_the_link(tmp_path: Path, inbox: Path) -> None:
    link = tmp_path / "link"
    link.symlink_to(inbox)
    (inbox / "talk-1").mkdir()
    wake = threading.Event()
    with FolderWatch([link], wake) as watch:
        watch.heard()
        (inbox / "talk-1" / "translation.json").write_text("{}")
        assert wake.wait(10)
        assert link / "talk-1" in watch.heard()
