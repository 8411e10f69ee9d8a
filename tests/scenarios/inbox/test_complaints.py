"""What people complained of in other programs that watch a folder, by the number of the thread, and what dubd does."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.scenarios.conftest import Home
from tests.scenarios.inbox.conftest import NO_VIDEO, SETTLE, Daemon

Put = Callable[[Path, bytes], None]


class TestHalfCopied:
    def test_paperless_ng_462_a_filepart_is_nothing_until_it_is_renamed(self, daemon: Daemon) -> None:
        part = daemon.inbox / "ng462.mp4.filepart"
        part.write_bytes(b"ng 462")
        daemon.quiet("ng462")
        part.rename(daemon.inbox / "ng462.mp4")
        daemon.hear("ng462.mp4", NO_VIDEO)

    def test_paperless_ngx_432_a_file_that_is_in_use_is_waited_for_and_no_fault(self, daemon: Daemon) -> None:
        path = daemon.inbox / "ngx432.mp4"
        with path.open("wb") as file:
            file.write(b"ngx 432")
            file.flush()
            daemon.quiet("ngx432")
        daemon.hear("ngx432.mp4", NO_VIDEO)

    def test_paperless_ngx_9698_what_was_refused_half_copied_is_taken_again_when_it_is_whole(
        self, daemon: Daemon
    ) -> None:
        path = daemon.inbox / "ngx9698.mp4"
        path.write_bytes(b"half of ngx 9698")
        daemon.hear("ngx9698.mp4", NO_VIDEO)
        path.write_bytes(b"half of ngx 9698 and the other half")
        daemon.hear("ngx9698.mp4", NO_VIDEO, times=2)

    @pytest.mark.parametrize("thread", ["unmanic_46", "tdarr_1122"])
    def test_the_clock_starts_at_the_last_change_and_not_at_the_first(self, daemon: Daemon, thread: str) -> None:
        path = daemon.inbox / f"{thread}.mp4"
        for count in range(4):
            with path.open("ab") as file:  # a writer that opens and closes: no lease tells of it
                file.write(f"{thread} {count}".encode())
            assert not daemon.lines(thread)
            time.sleep(SETTLE * 0.6)
        daemon.hear(f"{thread}.mp4", NO_VIDEO)
        assert len(daemon.lines(thread, "taken")) == 1

    def test_ngpost_117_a_writer_that_stalls_longer_than_the_settle_time(self, daemon: Daemon) -> None:
        with (daemon.inbox / "ngpost117.mp4").open("wb") as file:
            file.write(b"ngpost")
            file.flush()
            daemon.quiet("ngpost117", seconds=SETTLE * 4)
            file.write(b" 117")
        daemon.hear("ngpost117.mp4", NO_VIDEO)
        assert len(daemon.lines("ngpost117", "taken")) == 1


def in_bursts(path: Path, data: bytes) -> None:
    for _ in range(5):
        path.write_bytes(data)


def renamed_in_place(path: Path, data: bytes) -> None:
    part = path.with_name(f"first-{path.name}.tmp")
    part.write_bytes(data)
    part.rename(path)


def linked(path: Path, data: bytes) -> None:
    part = path.with_name(f".{path.name}")
    part.write_bytes(data)
    os.link(part, path)
    part.unlink()


def old(path: Path, data: bytes) -> None:
    path.write_bytes(data)
    os.utime(path, (1000, 1000))


@pytest.mark.parametrize(
    ("thread", "put"),
    [
        pytest.param("ngx494", in_bursts, id="paperless_ngx_494_many_events"),
        pytest.param("ngx1760", renamed_in_place, id="paperless_ngx_1760_renamed_when_it_is_whole"),
        pytest.param("ngx7319", linked, id="paperless_ngx_7319_hard_linked"),
        pytest.param("ng820", old, id="paperless_ng_820_copied_with_its_old_time"),
    ],
)
def test_the_same_file_is_one_video(daemon: Daemon, thread: str, put: Put) -> None:
    put(daemon.inbox / f"{thread}.mp4", thread.encode())
    daemon.hear(thread, NO_VIDEO)
    daemon.quiet(thread)
    assert len(daemon.lines(thread, "taken")) == 1
    assert len([path for path in daemon.home.videos() if path.name.startswith(thread)]) == 1


@pytest.mark.parametrize(
    ("thread", "put"),
    [
        pytest.param("ngx13511", Path.write_bytes, id="paperless_ngx_13511_saved_anew_with_the_same_bytes"),
        pytest.param("ngx2422", lambda path, _: os.utime(path), id="paperless_ngx_2422_touched_by_a_script"),
    ],
)
def test_it_is_tried_again_and_is_the_same_video(daemon: Daemon, thread: str, put: Put) -> None:
    drop = daemon.inbox / f"{thread}.mp4"
    drop.write_bytes(thread.encode())
    daemon.hear(thread, NO_VIDEO)
    time.sleep(SETTLE * 3)
    put(drop, thread.encode())
    daemon.hear(thread, NO_VIDEO, times=2)
    time.sleep(SETTLE * 3)
    assert len(daemon.lines(thread, "taken")) == 1
    assert len([path for path in daemon.home.videos() if path.name.startswith(thread)]) == 1


class TestStuckUntilARestart:
    def test_paperless_ngx_1207_a_second_drop_while_the_first_is_worked_on(self, daemon: Daemon) -> None:
        for count in range(3):
            (daemon.inbox / f"ngx1207-{count}.mp4").write_bytes(f"ngx 1207 {count}".encode())
            time.sleep(SETTLE)
        for count in range(3):
            daemon.hear(f"ngx1207-{count}.mp4", NO_VIDEO)

    def test_paperless_ngx_7969_a_folder_that_is_made_and_filled_at_once(self, daemon: Daemon) -> None:
        folder = daemon.inbox / "new" / "deep" / "er"
        folder.mkdir(parents=True)
        (folder / "ngx7969.mp4").write_bytes(b"ngx 7969")
        daemon.hear("ngx7969.mp4", NO_VIDEO)

    def test_paperless_ngx_13011_a_file_that_became_readable(self, home: Home, start: Callable[..., Daemon]) -> None:
        root = ["setpriv", "--bounding-set=-dac_override,-dac_read_search"] if os.geteuid() == 0 else []
        path = home.root / "inbox" / "ngx13011.mp4"
        path.write_bytes(b"ngx 13011")
        path.chmod(0)
        daemon = start(home, root)
        daemon.hear("ngx13011.mp4: cannot be read: Permission denied; change its permissions")
        assert "Permission denied" in path.with_name("ngx13011.mp4.error.txt").read_text()
        assert "ngx13011.mp4: cannot be read: Permission denied; change its permissions" in home.dubd("status").stdout
        path.chmod(0o644)
        daemon.hear("ngx13011.mp4", NO_VIDEO, seconds=10)

    def test_paperless_ng_1159_what_came_while_no_daemon_ran(self, home: Home, start: Callable[..., Daemon]) -> None:
        (home.root / "inbox" / "ng1159.mp4").write_bytes(b"ng 1159")
        start(home).hear("ng1159.mp4", NO_VIDEO)


def test_paperless_ngx_8581_a_duplicate_is_told_once_and_not_at_every_start(
    home: Home, start: Callable[..., Daemon]
) -> None:
    inbox = home.root / "inbox"
    (inbox / "ngx8581.mp4").write_bytes(b"ngx 8581")
    first = start(home)
    first.hear("ngx8581.mp4", NO_VIDEO)
    (inbox / "again8581.mp4").write_bytes(b"ngx 8581")
    line = first.hear("again8581.mp4: has the content of", "ngx8581.mp4;")
    (video,) = home.videos()
    assert video.name in line
    (status,) = json.loads(home.dubd("status", "--json").stdout)["videos"]
    assert status["aliases"] == [str(inbox / "again8581.mp4")]
    assert f"also dropped as {inbox / 'again8581.mp4'}" in home.dubd("status").stdout
    first.end()
    second = start(home)
    second.hear("ngx8581.mp4", NO_VIDEO)
    second.quiet("again8581")
    assert not second.lines("again8581")
    (inbox / "ngx8581.mp4").unlink()  # now the other one is the drop, and the video stays
    second.hear("again8581.mp4: has the content of")
    (status,) = json.loads(home.dubd("status", "--json").stdout)["videos"]
    assert (status["drop"], status["aliases"]) == (str(inbox / "again8581.mp4"), [])


class TestWhatWatchdogMisses:
    def test_watchdog_654_12000_files_while_the_daemon_is_stopped_are_each_seen_once(
        self, home: Home, start: Callable[..., Daemon]
    ) -> None:
        inbox = home.root / "inbox"
        (inbox / "first.mp4").write_bytes(b"watchdog 654")
        daemon = start(home)
        daemon.hear("first.mp4", NO_VIDEO)
        daemon.process.send_signal(signal.SIGSTOP)
        for number in range(12000):
            os.link(inbox / "first.mp4", inbox / f"film-{number:05}.mp4")
        daemon.process.send_signal(signal.SIGCONT)
        daemon.until(lambda: len(daemon.lines("has the content of")) >= 12000, 60, f"{len(daemon.said)} lines")
        daemon.quiet("has the content of")
        seen = {Path(line.partition(": has")[0]).name for line in daemon.lines("has the content of")}
        assert len(daemon.lines("has the content of")) == len(seen) == 12000
        assert len(home.videos()) == 1

    @pytest.mark.parametrize("thread", ["watchdog_1065", "watchdog_452"])
    def test_an_inbox_that_goes_away_and_comes_back(self, daemon: Daemon, thread: str) -> None:
        away = daemon.inbox.with_name("away")
        daemon.inbox.rename(away)
        time.sleep(1.5)
        away.rename(daemon.inbox)
        (daemon.inbox / f"{thread}.mp4").write_bytes(thread.encode())
        daemon.hear(f"{thread}.mp4", NO_VIDEO)

    def test_watchdog_420_another_folder_in_its_place(self, home: Home, start: Callable[..., Daemon]) -> None:
        inbox = home.root / "inbox"
        daemon = start(home)
        inbox.rename(inbox.with_name("away"))
        inbox.mkdir()
        time.sleep(2.5)  # it is seen to be another one
        (inbox / "w420.mp4").write_bytes(b"watchdog 420")
        daemon.hear("w420.mp4", NO_VIDEO, seconds=10)

    def test_watchdog_944_without_any_event_and_that_is_told_once_with_the_remedy(
        self, home: Home, start: Callable[..., Daemon]
    ) -> None:
        limit = "echo 1 > /proc/sys/user/max_inotify_watches"
        if subprocess.run(["unshare", "-Ur", "sh", "-c", limit], capture_output=True, check=False).returncode:
            pytest.skip("no user namespaces here")
        daemon = start(home, ["unshare", "-Ur", "sh", "-c", f'{limit}; exec "$@"', "sh"])
        daemon.hear("fs.inotify.max_user_watches", "every 5 s")
        time.sleep(1.0)
        (home.root / "inbox" / "w944.mp4").write_bytes(b"watchdog 944")
        daemon.hear("w944.mp4", NO_VIDEO)
        assert len(daemon.lines("max_user_watches")) == 1

    def test_watchdog_1094_whatever_way_it_is_moved_in(self, daemon: Daemon, elsewhere: Path, other_disk: Path) -> None:
        (elsewhere / "w1094-rename.mp4").write_bytes(b"renamed")
        (elsewhere / "w1094-link.mp4").write_bytes(b"linked")
        (elsewhere / "season").mkdir()
        (elsewhere / "season" / "w1094-folder.mp4").write_bytes(b"in a folder")
        (other_disk / "w1094-disk.mp4").write_bytes(b"from another file system")
        os.rename(elsewhere / "w1094-rename.mp4", daemon.inbox / "w1094-rename.mp4")
        os.link(elsewhere / "w1094-link.mp4", daemon.inbox / "w1094-link.mp4")
        os.rename(elsewhere / "season", daemon.inbox / "season")
        shutil.move(other_disk / "w1094-disk.mp4", daemon.inbox / "w1094-disk.mp4")
        for how in ("rename", "link", "folder", "disk"):
            daemon.hear(f"w1094-{how}.mp4", NO_VIDEO)
            assert len(daemon.lines(f"w1094-{how}", "taken")) == 1
