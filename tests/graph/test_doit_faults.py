"""The five faults of stock doit: each shown on stock doit, each closed here, by one and the same scenario."""

from __future__ import annotations

import json
import os
import select
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

SCRIPT = Path(__file__).with_name("copies.py")
both = pytest.mark.parametrize(("system", "sound"), [("stock", False), ("dubd", True)])


class Project:
    """A folder of copy tasks."""

    def __init__(self, folder: Path, system: str) -> None:
        self.folder, self.system = folder, system
        folder.mkdir()

    def tasks(self, *tasks: tuple[str, str, str, float]) -> None:
        spec: list[dict[str, Any]] = [
            {"name": name, "input": source, "output": target, "seconds": seconds}
            for name, source, target, seconds in tasks
        ]
        (self.folder / "copies.json").write_text(json.dumps(spec))

    def start(self) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, str(SCRIPT), self.system, str(self.folder)],
            stdout=subprocess.PIPE,
            text=True,
            cwd=self.folder,  # stock doit reads the pyproject.toml of the current directory
        )

    def run(self) -> list[str]:
        """Build; the names of the tasks that ran."""
        with self.start() as process:
            return process.communicate()[0].split()

    def kill_in(self, task: str, how: signal.Signals = signal.SIGKILL) -> None:
        """Build, and send a signal while `task` is between its halves."""
        with self.start() as process:
            assert process.stdout
            for line in process.stdout:
                if line.strip() == task:
                    break
            time.sleep(0.2)
            process.send_signal(how)
            process.wait()

    def write(self, name: str, text: str) -> None:
        (self.folder / name).write_text(text)

    def read(self, name: str) -> str:
        return (self.folder / name).read_text()


@pytest.fixture
def project(tmp_path: Path, system: str) -> Project:
    return Project(tmp_path / "v", system)


@both
@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM])
def test_1_what_was_finished_before_a_kill_is_not_run_again(project: Project, sound: bool, how: signal.Signals) -> None:
    project.write("in", "some text")
    project.tasks(("a", "in", "out_a", 0.0), ("b", "in", "out_b", 0.0), ("c", "in", "out_c", 1.0))
    project.kill_in("c", how)
    assert ("a" not in project.run()) is sound


@both
def test_2_a_half_written_target_is_never_up_to_date(project: Project, sound: bool) -> None:
    project.write("in", "0123456789")
    project.tasks(("a", "in", "out", 0.6))
    project.run()
    (project.folder / "out").unlink()
    project.kill_in("a")
    project.run()
    assert (project.read("out") == "0123456789") is sound


@both
def test_3_an_input_edited_while_its_task_runs_is_built_again(project: Project, sound: bool) -> None:
    project.write("in", "old text")
    project.tasks(("a", "in", "out", 0.8))
    with project.start() as process:
        assert process.stdout
        process.stdout.readline()
        time.sleep(0.2)
        project.write("in", "new text!")
    project.run()
    assert (project.read("out") == "new text!") is sound


@both
def test_4_a_touched_file_is_hashed_once_not_on_every_later_run(project: Project, sound: bool) -> None:
    """Counted by the bytes that the process reads: the file is 32 MB, three tasks depend on it."""
    (project.folder / "in").write_bytes(os.urandom(32 << 20))
    project.tasks(*((name, "in", f"out_{name}", 0.0) for name in "abc"))
    project.run()
    (project.folder / "in").touch()
    project.run()  # may hash it once more
    with project.start() as process:
        read = bytes_read(process)
    assert (read < 32 << 20) is sound


def bytes_read(process: subprocess.Popen[str]) -> int:
    """All bytes that a process read() until it ended."""
    most = 0
    while process.poll() is None:
        try:
            text = Path(f"/proc/{process.pid}/io").read_text()
        except OSError:
            break
        most = max(most, int(text.split("rchar:")[1].split()[0]))
        time.sleep(0.002)
    return most


@both
def test_5_two_runs_at_once_never_build_one_thing_twice(project: Project, sound: bool) -> None:
    project.write("in", "text")
    project.tasks(("a", "in", "out_a", -1), ("b", "in", "out_b", 0.0))
    with project.start() as running, project.start() as also:
        assert running.stdout
        assert also.stdout
        begun, _, _ = select.select([running.stdout], [], [], 30)
        select.select([also.stdout], [], [], 30)  # it begins too, or ends because it may not
        project.write("release", "")
        ran = running.communicate()[0].split() + also.communicate()[0].split()
    assert begun
    assert (sorted(ran) == ["a", "b"]) is sound
