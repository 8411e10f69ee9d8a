"""Temporary files of workers and of the programs they run: gone with the worker, whatever ended it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from dubd.schedule.process import Killed
from dubd.schedule.scratch import Scratch
from dubd.schedule.workers import Pool
from tests.schedule.cards import wait_until
from tests.schedule.test_workers import plan, run

_ROOT = Path(__file__).parents[2]


@pytest.fixture
def system(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The system's temporary folder."""
    folder = tmp_path / "system"
    folder.mkdir()
    monkeypatch.setenv("TMPDIR", str(folder))
    monkeypatch.setattr(tempfile, "tempdir", None)
    return folder


@pytest.fixture
def made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[], list[Path]]:
    """What an ffprobe that makes a temporary file and then hangs has made, with the process id of its worker."""
    log, folder = tmp_path / "made", tmp_path / "bin"
    folder.mkdir()
    program = folder / "ffprobe"
    program.write_text(f'#!/bin/sh\necho "$(mktemp)" $PPID >> {log}\nexec sleep 60\n')
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")
    return lambda: [Path(line) for line in log.read_text().splitlines()] if log.exists() else []


@pytest.mark.parametrize("python", [None, sys.executable], ids=["forked", "an interpreter of its own"])
def test_what_a_program_of_a_killed_worker_left_is_removed(
    system: Path, made: Callable[[], list[Path]], tmp_path: Path, python: str | None
) -> None:
    source = tmp_path / "clip.mp4"
    source.write_bytes(b"no video, but ffprobe is not one either")
    pool, answers = Pool(tmp_path / "log", limit=1), list[object]()
    job = threading.Thread(target=lambda: answers.append(run(pool, [plan(source, tmp_path / "plan.json", python)])))
    try:
        job.start()
        assert wait_until(lambda: len(made()) == 1)
        file, _, worker = str(made()[0]).partition(" ")
        assert Path(file).exists()
        assert Path(file).is_relative_to(system)
        os.kill(int(worker), signal.SIGKILL)
        job.join(20)
        assert answers == [Killed(signal.SIGKILL)]
        assert [path for path in system.rglob("*") if path.is_file()] == []
    finally:
        pool.close()
    assert list(system.iterdir()) == []


def test_what_a_killed_process_left_goes_when_the_next_one_comes_and_what_is_in_use_stays(system: Path) -> None:
    script = (
        "import time; from dubd.schedule.scratch import Scratch\n"
        "scratch = Scratch(); folder = scratch.make(); (folder / 'file').touch()\n"
        "print(folder, flush=True); time.sleep(60)\n"
    )
    with subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True, cwd=_ROOT) as other:
        assert other.stdout
        folder = Path(other.stdout.readline().strip())
        Scratch()
        assert (folder / "file").exists()
        other.kill()
    Scratch()
    assert list(system.iterdir()) == []


def test_without_room_for_a_folder_a_worker_uses_what_the_system_has(system: Path) -> None:
    scratch = Scratch()
    system.rmdir()
    assert scratch.make() is None
    scratch.close()
