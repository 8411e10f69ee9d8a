"""Worker processes: real ones, with a real stage, on clips made on the spot."""

from __future__ import annotations

import json
import os
import select
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from dubd.errors import DubdError, Exit
from dubd.schedule import logs
from dubd.schedule.process import Answer, Killed
from dubd.schedule.ticket import Ticket
from dubd.schedule.workers import Pool
from tests.schedule.cards import wait_until


def silent(index: int, fraction: float) -> None:
    """Progress that nobody watches."""


def run(pool: Pool, tickets: list[Ticket]) -> Answer:
    """On a CPU worker of the tickets' kind."""
    worker = pool.take(tickets[0])
    try:
        return worker.run(tickets, silent)
    finally:
        pool.give_back(worker)


@pytest.fixture
def pool(tmp_path: Path) -> Iterator[Pool]:
    made = Pool(tmp_path / "log", limit=2)
    yield made
    made.close()


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("clip") / "tone.mp4"
    picture, sound = "testsrc=size=64x48:rate=25:duration=1", "sine=frequency=300:duration=1"
    lavfi = ["-f", "lavfi", "-i", picture, "-f", "lavfi", "-i", sound]
    subprocess.run(["ffmpeg", "-v", "error", *lavfi, "-pix_fmt", "yuv420p", path], check=True)
    return path


def plan(source: Path, out: Path, python: str | None = None) -> Ticket:
    params = {"clip": None, "segments": {"target": 20.0, "min": 8.0, "max": 30.0}}
    return Ticket("plan:x", "plan", None, {"source": str(source)}, {}, {"plan": str(out)}, params, python=python)


def children() -> set[int]:
    """Process ids of the workers: children of this process, or of the nursery that it started.

    Other tests of this process may have children of their own, such as the session's cluster.
    """
    own = offspring(os.getpid())
    found = {pid for pid in own if runs(pid, "worker")} | {pid for it in own if is_nursery(it) for pid in offspring(it)}
    return {pid for pid in found if Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"}


def offspring(parent: int) -> set[int]:
    """Process ids of a process's children; the kernel lists them by the thread that forked."""
    lists = Path(f"/proc/{parent}/task").glob("*/children")
    return {int(pid) for file in lists for pid in file.read_text().split()}


def is_nursery(pid: int) -> bool:
    return runs(pid, "nursery")


def runs(pid: int, module: str) -> bool:
    return f"dubd.schedule.{module}".encode() in Path(f"/proc/{pid}/cmdline").read_bytes()


def kill(pid: int) -> None:
    """Kill it, and wait until it has ended: a child is one to the eyes of its parent's pidfd."""
    ended = os.pidfd_open(pid)
    os.kill(pid, signal.SIGKILL)
    assert select.select([ended], [], [], 10)[0]
    os.close(ended)


def test_a_stage_runs_in_a_process_of_its_own_and_returns_its_facts(pool: Pool, clip: Path, tmp_path: Path) -> None:
    (outcome,) = run(pool, [plan(clip, tmp_path / "plan.json")])
    assert isinstance(outcome, dict), outcome
    assert json.loads((tmp_path / "plan.json").read_text())["frames"] == 25


def test_an_error_comes_back_as_the_line_it_was(pool: Pool, tmp_path: Path) -> None:
    source = tmp_path / "notes.mp4"
    source.write_text("this is no video")
    (outcome,) = run(pool, [plan(source, tmp_path / "plan.json")])
    assert isinstance(outcome, DubdError)
    assert outcome.file == str(source)
    assert outcome.stage == "plan"
    assert outcome.remedy
    assert outcome.exit is Exit.INPUT


def test_the_same_process_serves_again_and_stays_warm(pool: Pool, clip: Path, tmp_path: Path) -> None:
    run(pool, [plan(clip, tmp_path / "a.json")])
    first = children()
    assert pool.resident() == {("stages", "")}
    run(pool, [plan(clip, tmp_path / "b.json")])
    assert children() == first


def test_a_worker_outlives_the_thread_that_needed_it_first(pool: Pool, clip: Path, tmp_path: Path) -> None:
    thread = threading.Thread(target=lambda: run(pool, [plan(clip, tmp_path / "a.json")]))
    thread.start()
    thread.join()
    (worker,) = children()
    run(pool, [plan(clip, tmp_path / "b.json")])
    assert children() == {worker}


def test_a_killed_worker_is_told_with_its_signal_and_the_next_job_gets_a_new_one(
    pool: Pool, clip: Path, tmp_path: Path
) -> None:
    before = children()
    run(pool, [plan(clip, tmp_path / "a.json")])
    (worker,) = children() - before
    os.kill(worker, signal.SIGSTOP)
    outcomes: list[object] = []
    job = threading.Thread(target=lambda: outcomes.append(run(pool, [plan(clip, tmp_path / "b.json")])))
    job.start()
    assert wait_until(lambda: not pool.resident())  # killed before the job has it, it would fail nobody
    os.kill(worker, signal.SIGKILL)
    job.join(10)
    assert outcomes == [Killed(signal.SIGKILL)]
    (again,) = run(pool, [plan(clip, tmp_path / "c.json")])
    assert isinstance(again, dict)


def test_a_worker_killed_while_idle_fails_nobody(pool: Pool, clip: Path, tmp_path: Path) -> None:
    run(pool, [plan(clip, tmp_path / "a.json")])
    (worker,) = children()
    kill(worker)
    (outcome,) = run(pool, [plan(clip, tmp_path / "b.json")])
    assert isinstance(outcome, dict), outcome
    assert worker not in children()


def test_logs_start_anew_past_a_size_also_while_a_worker_lives(
    clip: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(logs, "LIMIT", 1000)
    folder = tmp_path / "log"
    folder.mkdir()
    for name in ("nursery.log", "stages.log"):
        (folder / name).write_bytes(b"x" * 1001)
    pool = Pool(folder, limit=1)
    try:
        run(pool, [plan(clip, tmp_path / "a.json")])
        assert not [path for path in folder.iterdir() if path.stat().st_size > 1000]
        before = children()
        with (folder / "stages.log").open("ab") as log:
            log.write(b"x" * 1001)
        run(pool, [plan(clip, tmp_path / "b.json")])
        assert children() == before
        assert (folder / "stages.log").stat().st_size <= 1000
    finally:
        pool.close()


def test_the_longest_idle_worker_makes_room(pool: Pool, clip: Path, tmp_path: Path) -> None:
    before = children()
    for name in ("a", "b", "c"):
        python = tmp_path / name  # three interpreters by name: three kinds of worker
        python.write_text(f'#!/bin/sh\nexec {sys.executable} "$@"\n')
        python.chmod(0o755)
        run(pool, [plan(clip, tmp_path / f"{name}.json", python=str(python))])
    assert {kind[1] for kind in pool.resident()} == {str(tmp_path / "b"), str(tmp_path / "c")}
    assert wait_until(lambda: len(children() - before) == 2)


def test_no_worker_outlives_a_parent_that_was_killed(clip: Path, tmp_path: Path) -> None:
    script = (
        "import sys, time; from pathlib import Path; from dubd.schedule.workers import Pool\n"
        "from tests.schedule.test_workers import plan, run, children\n"
        f"pool = Pool(Path({str(tmp_path)!r}), 2)\n"
        f"run(pool, [plan(Path({str(clip)!r}), Path({str(tmp_path / 'p.json')!r}))])\n"
        "print(*children(), flush=True); time.sleep(60)\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", script], stdout=subprocess.PIPE, text=True, cwd=Path(__file__).parents[2]
    ) as parent:
        assert parent.stdout
        worker = int(parent.stdout.readline())
        assert Path(f"/proc/{worker}").exists()
        parent.kill()
        assert wait_until(lambda: not Path(f"/proc/{worker}").exists())
