"""A disk that is full while the daemon runs: it waits, says so, and goes on by itself; a dub is none the worse."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from dubd.schedule.room import RESERVE
from tests.scenarios.conftest import Home, lines_of, make_home, tasks
from tests.scenarios.test_watch import Daemon

MIB = 1 << 20
ROOM = 24  # MiB beside the reserve: more than a short talk takes


@pytest.fixture
def small(tmp_path: Path) -> Iterator[Home]:
    """A home on a small disk of its own."""
    root, mount = tmp_path / "disk", shutil.which("mount")
    root.mkdir()
    if os.geteuid() != 0 or not mount:
        pytest.skip("only root can mount a small tmpfs")
    size = f"size={RESERVE // MIB + ROOM}m"
    if subprocess.run([mount, "-t", "tmpfs", "-o", size, "tmpfs", root], check=False).returncode:
        pytest.skip("no tmpfs can be mounted here")
    yield make_home(root / "home")
    subprocess.run(["umount", root], check=True)


@pytest.fixture
def daemon(small: Home) -> Iterator[Daemon]:
    process = small.start("watch", "--settle", "0.3")
    yield Daemon(process)
    process.terminate()
    process.wait(30)


def fill(home: Home, mib: int) -> Path:
    ballast = home.root / "ballast"
    with ballast.open("wb") as file:
        os.posix_fallocate(file.fileno(), 0, mib * MIB)
    return ballast


def drop(home: Home, clips: Path) -> None:
    for suffix in (".srt", ".mp4"):
        shutil.copy(clips / f"talk{suffix}", home.root / "inbox")


def test_a_drop_waits_for_room_and_is_dubbed_once_there_is(small: Home, clips: Path, daemon: Daemon) -> None:
    daemon.wait_for("watching")
    ballast = fill(small, ROOM + 1)
    drop(small, clips)
    said = daemon.wait_for("waiting for")
    assert f"waiting for 256.0 MiB on {small.root / 'workspace'}: 25" in said
    time.sleep(2)
    assert small.videos() == []
    status = small.dubd("status").stdout
    assert (
        f"talk.mp4: in the inbox, not taken yet: {said[said.index('waiting for') :].partition(';')[0][:40]}" in status
    )
    ballast.unlink()
    daemon.wait_for("there is room on", 10)
    daemon.wait_for("dubbed.es.mp4 (")
    assert sum("waiting for" in line for line in daemon.said) == 1


def test_a_disk_that_fills_up_in_the_middle_stops_what_has_no_room_and_nothing_else(
    small: Home, clips: Path, daemon: Daemon
) -> None:
    daemon.wait_for("watching")
    drop(small, clips)
    daemon.wait_for("plan: ")
    ballast = fill(small, ROOM - 1)
    daemon.wait_for("waiting for")
    (folder,) = small.videos()
    status = small.dubd("status", folder.name).stdout
    assert f" MiB on {folder}: 25" in status
    assert "dubd clean makes room" in status
    made = {path: path.stat().st_mtime_ns for path in folder.rglob("*.json")}
    ballast.unlink()
    daemon.wait_for("dubbed.es.mp4 (", 60)
    assert {path: path.stat().st_mtime_ns for path in made} == made  # nothing that was there is made again
    assert not any("failed" in line or (line.startswith("dubd: ") and "waiting" not in line) for line in daemon.said)


def test_run_does_not_wait_for_room(small: Home, clips: Path) -> None:
    fill(small, ROOM + 1)
    done = small.dubd("run", clips / "talk.mp4")
    assert done.returncode == 5
    (line,) = lines_of(done)
    assert "plan: no space left on the disk: this takes 257.0 MiB, 25" in line
    assert "`dubd clean`" in line


def test_doit_does_not_wait_either(small: Home, clips: Path) -> None:
    ballast = fill(small, ROOM + 1)
    assert small.dubd("run", clips / "talk.mp4").returncode == 5
    (folder,) = small.videos()
    doit = subprocess.run(
        [sys.executable, "-m", "doit", folder.name],
        env=small.environ,
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert doit.returncode == 5, doit.stderr
    (line,) = doit.stderr.splitlines()
    assert line.startswith(f"stop {folder}: plan: no space left on the disk")
    ballast.unlink()
    assert small.dubd("run", folder.name).returncode == 0


def test_a_disk_that_fills_up_under_a_stage_costs_that_stage_alone(small: Home, clips: Path) -> None:
    shutil.copy(clips / "talk.mp4", small.root / "talk.mp4")  # without its subtitles: it takes a second to be heard
    run = small.start("run", small.root / "talk.mp4")
    end = time.monotonic() + 60
    while not (
        list(small.root.glob("workspace/*/segments/000/audio.wav")) and list(small.root.glob("workspace/*/.tmp-*/*"))
    ):
        assert time.monotonic() < end and run.poll() is None
        time.sleep(0.01)
    ballast = small.root / "ballast"
    with suppress(OSError), ballast.open("wb", buffering=0) as file:
        while True:
            file.write(b"\0" * (64 << 10))
    said, _ = run.communicate(timeout=60)
    assert run.returncode == 5, said
    assert "no space left on the disk" in said or "database or disk is full" in said
    ballast.unlink()
    again = small.dubd("run", small.root / "talk.mp4", "--json")
    assert again.returncode == 0, again.stdout + again.stderr
    states = {name: line["state"] for name, line in tasks(again.stdout).items()}
    assert states["000/extract"] == "skipped"
    assert states["assemble"] == "ran"
