"""What follows when a worker dies, is killed or says nothing: its tasks are tried once more, and its lease is free."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import threading
from dataclasses import replace
from pathlib import Path

import pytest

from dubd.errors import DubdError
from dubd.schedule.ticket import Ticket
from tests.schedule.cards import Machine, Make, run, wait_until
from tests.schedule.test_workers import plan

BIRTHS = pytest.mark.parametrize("python", [None, sys.executable], ids=["forked", "an interpreter of its own"])


def kill(box: Machine, hang: Path, *, times: int) -> None:
    """Kill the worker of each of the first `times` runs, which hang; then let them go on."""
    for count in range(1, times + 1):
        assert wait_until(lambda count=count: len(box.lines("run")) == count)  # type: ignore[misc]
        os.kill(int(box.lines("run")[-1].split()[0]), signal.SIGKILL)
    hang.unlink()


def pids(lines: list[str]) -> set[str]:
    return {line.split()[0] for line in lines}


@BIRTHS
def test_a_killed_worker_frees_its_lease_and_each_task_of_its_batch_is_tried_once_more_alone(
    machine: Make, python: str
) -> None:
    box = machine(400)
    hang = box.folder / "hang"
    hang.touch()

    with box.executor() as executor:
        thread = threading.Thread(target=kill, args=(box, hang), kwargs={"times": 1})
        thread.start()
        source = run(executor, [box.ticket(f"t{n}", hang=str(hang), python=python, batch=2) for n in range(2)])
        thread.join()
        assert len(box.ledger().view("GPU-0").held) == 1
    assert all(isinstance(outcome, dict) for outcome in source.ended.values()), source.ended
    assert [line.split()[2] for line in box.lines("run")] == ["2", "1", "1"]


def test_a_task_whose_worker_is_killed_twice_fails_with_what_tries_it_again(machine: Make) -> None:
    box = machine(400)
    hang = box.folder / "hang"
    hang.touch()

    with box.executor() as executor:
        thread = threading.Thread(target=kill, args=(box, hang), kwargs={"times": 2})
        thread.start()
        source = run(executor, [box.ticket("t", hang=str(hang))])
        thread.join()
    error = source.ended["t"]
    assert source.begun == ["t", "t"]
    assert isinstance(error, DubdError)
    assert error.file == "t"
    assert "killed by signal 9, the second one in a row" in str(error)
    assert "`dubd run VIDEO` tries it again, `dubd watch` once" in error.remedy


def test_a_task_of_the_cpu_is_tried_once_more_too(machine: Make) -> None:
    box = machine(400)
    hang = box.folder / "hang"
    hang.touch()
    ticket = replace(box.ticket("t", hang=str(hang)), vram=None)

    with box.executor() as executor:
        thread = threading.Thread(target=kill, args=(box, hang), kwargs={"times": 1})
        thread.start()
        source = run(executor, [ticket])
        thread.join()
    assert isinstance(source.ended["t"], dict), source.ended


def test_an_idle_worker_that_was_killed_is_replaced(machine: Make) -> None:
    box = machine(400)
    with box.executor() as executor:
        run(executor, [box.ticket("t0")])
        os.kill(int(box.lines("run")[0].split()[0]), signal.SIGKILL)
        assert wait_until(lambda: box.ledger().view("GPU-0").held == ())
        source = run(executor, [box.ticket("t1")])
    assert isinstance(source.ended["t1"], dict)


def test_workers_and_leases_end_with_a_parent_that_was_killed(machine: Make) -> None:
    box = machine(400)
    hang = box.folder / "hang"
    hang.touch()
    command = [sys.executable, "-m", "tests.schedule.cards", str(box.folder), "x", "1", f"hang={hang}"]
    with subprocess.Popen(command, env={**os.environ, **box.environ()}) as parent:
        assert wait_until(lambda: bool(box.lines("run")))
        worker = int(box.lines("run")[0].split()[0])
        assert len(box.ledger().view("GPU-0").held) == 1
        parent.kill()
    assert wait_until(lambda: not Path(f"/proc/{worker}").exists())
    assert box.ledger().view("GPU-0").held == ()


def test_a_worker_that_says_nothing_is_killed_and_its_task_run_once_more(machine: Make) -> None:
    box = machine(400)
    hang = box.folder / "hang"
    hang.touch()
    with box.executor() as executor:
        ticket = box.ticket("t", hang=str(hang), deadline=3.0)
        mend = threading.Timer(0.0, lambda: wait_until(lambda: len(pids(box.lines("load"))) == 2) and hang.unlink())
        mend.start()
        source = run(executor, [ticket])
        mend.join()
    assert isinstance(source.ended["t"], dict), source.ended
    assert source.begun == ["t", "t"]


def test_a_task_that_hangs_twice_fails_with_the_seconds_and_the_remedy(machine: Make) -> None:
    box = machine(400)
    hang = box.folder / "hang"
    hang.touch()
    with box.executor() as executor:
        source = run(executor, [box.ticket("t", hang=str(hang), deadline=1.0)])
    error = source.ended["t"]
    assert source.begun == ["t", "t"]
    assert isinstance(error, DubdError)
    assert error.stage == "translate"
    assert "said nothing for 1 s, twice" in str(error)
    assert "deadline:" in error.remedy
    assert len(pids(box.lines("run"))) == 2


class TestAProgramThatIsKilled:
    @pytest.fixture
    def ticket(self, tmp_path: Path) -> Ticket:
        clip = tmp_path / "clip.mp4"
        lavfi = ["-f", "lavfi", "-i", "testsrc=size=64x48:rate=25:duration=1"]
        lavfi += ["-f", "lavfi", "-i", "sine=frequency=300:duration=1"]
        subprocess.run(["ffmpeg", "-v", "error", *lavfi, "-pix_fmt", "yuv420p", clip], check=True)
        return plan(clip, tmp_path / "plan.json", sys.executable)

    @pytest.fixture(params=["ffprobe", "ffmpeg"])
    def deaths(self, request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
        """A line for each death of a program that kills itself as often as `deaths.left` says, and then is real."""
        real, folder, log = shutil.which(request.param), tmp_path / "bin", tmp_path / "deaths"
        folder.mkdir()
        log.touch()
        program = folder / request.param
        program.write_text(
            f'#!/bin/sh\n[ $(wc -l < {log}) -ge $(cat {log}.left) ] && exec {real} "$@"\n'
            f"echo $PPID >> {log}\nkill -9 $$\n"
        )
        program.chmod(0o755)
        monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")
        return log

    def test_its_task_is_tried_once_more_by_another_worker(self, machine: Make, ticket: Ticket, deaths: Path) -> None:
        deaths.with_name("deaths.left").write_text("1")
        with machine().executor() as executor:
            source = run(executor, [ticket])
            (worker,) = deaths.read_text().split()
            assert not Path(f"/proc/{worker}").exists()
        assert source.begun == ["plan:x", "plan:x"]
        assert isinstance(source.ended["plan:x"], dict), source.ended

    def test_at_the_second_time_it_fails_with_what_that_commonly_means(
        self, machine: Make, ticket: Ticket, deaths: Path
    ) -> None:
        deaths.with_name("deaths.left").write_text("2")
        with machine().executor() as executor:
            source = run(executor, [ticket])
        error = source.ended["plan:x"]
        assert source.begun == ["plan:x", "plan:x"]
        assert isinstance(error, DubdError)
        assert error.stage == "plan"
        assert str(error).endswith(
            " was killed by signal 9, as the kernel does where memory runs out, "
            "the second one in a row; give the machine more memory, or dubd fewer --jobs; "
            "`dubd retry VIDEO` tries it again"
        )
