"""A real clip dubbed on a cluster by the real command line: byte for byte what one machine makes of it."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from dubd.cluster import roster
from dubd.cluster.standing import STANDING
from dubd.errors import Exit
from dubd.folders import Folders
from dubd.graph.rules import load
from dubd.graph.state import State
from dubd.graph.video import Video
from tests.cluster.conftest import Grid
from tests.scenarios.conftest import Home, lines_of, make_home, tasks
from tests.schedule.cards import wait_until
from tests.schedule.test_workers import is_nursery, offspring

CHECKOUT = Path(__file__).parents[2]
LITE = CHECKOUT / "rules" / "lite.yaml"
RAY = ("--executor", "ray", "--jobs", 1)
CLIP = ("--clip", "0+5")


def lite_home(root: Path) -> Home:
    home = make_home(root)
    (root / "rules" / "quick.yaml").unlink()
    shutil.copy(LITE, root / "rules")
    return home


def sound_home(root: Path) -> Home:
    """By a rule that leaves the picture alone: a dub of two seconds is quick."""
    home = lite_home(root)
    off = "stages: {lipsync: none, restore: none}"
    (root / "rules" / "lite.yaml").write_text(f"default: true\nlanguages: {{source: en, target: es}}\n{off}\n")
    return home


def artifacts(home: Home) -> dict[str, str]:
    """Every artifact of the one video, by its path: what a build made, not when and where."""
    (folder,) = home.videos()
    found = [path for path in folder.rglob("*") if path.is_file() and not path.name.startswith((".", "report."))]
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in found
        if path.suffix != ".log"
    }


def runs(home: Home) -> dict[str, dict[str, Any]]:
    """The last run of each task, as recorded."""
    (folder,) = home.videos()
    state = State(folder)
    try:
        return {task.partition(":")[2]: run for task, run in state.runs().items()}
    finally:
        state.close()


@pytest.fixture(scope="module")
def local(tmp_path_factory: pytest.TempPathFactory, talking_head: Path) -> dict[str, str]:
    """What one machine makes of the sample."""
    home = lite_home(tmp_path_factory.mktemp("local") / "home")
    done = home.dubd("run", talking_head, *CLIP, "--jobs", 2)
    assert done.returncode == 0, done.stderr
    return artifacts(home)


@pytest.fixture
def far(tmp_path: Path, grid: Grid) -> Home:  # noqa: ARG001  (the cluster that it is in)
    return lite_home(tmp_path / "home")


@pytest.fixture
def quick(tmp_path: Path, grid: Grid) -> Home:  # noqa: ARG001
    return sound_home(tmp_path / "home")


class TestTheSample:
    def test_is_dubbed_byte_for_byte_as_on_one_machine(
        self, grid: Grid, far: Home, talking_head: Path, local: dict[str, str]
    ) -> None:
        grid.join(1)
        done = far.dubd("run", talking_head, *CLIP, *RAY, "--json")
        assert done.returncode == 0, done.stderr
        assert artifacts(far) == local
        where = {task: run["facts"].get("node") for task, run in runs(far).items()}
        assert {where[task] for task in ("000/extract", "voice", "assemble")} == {None}
        assert any(where.values()), where

    def test_is_so_too_after_the_head_and_the_node_were_killed_in_the_middle_and_nothing_is_made_twice(
        self, grid: Grid, far: Home, talking_head: Path, local: dict[str, str]
    ) -> None:
        dying = grid.join(2)
        head = far.start("run", talking_head, *CLIP, *RAY, "--json")
        standing = far.root / "workspace" / ".log" / STANDING
        with held(far):
            assert wait_until(lambda: busy(standing) > 0, 60)
            os.killpg(head.pid, signal.SIGKILL)
        first = tasks(head.communicate()[0])
        standing.unlink()
        finished = {task for task, line in first.items() if line["state"] == "ran"}
        head = far.start("run", talking_head, *CLIP, *RAY, "--json")
        with held(far):
            assert wait_until(lambda: busy(standing) > 0, 60)
            grid.kill(dying)
            grid.join(2)
        said = head.communicate(timeout=120)[0]
        assert head.returncode == 0, said
        (loss,) = [line for line in said.splitlines() if not line.startswith("{")]
        assert "is lost, what ran there runs elsewhere: " in loss
        second = {task for task, line in tasks(said.replace(f"{loss}\n", "")).items() if line["state"] == "ran"}
        assert finished, first
        assert not finished & second
        assert artifacts(far) == local

    def test_is_so_too_where_a_node_joins_late_and_the_worker_there_is_killed(
        self, grid: Grid, far: Home, talking_head: Path, local: dict[str, str]
    ) -> None:
        head = far.start("run", talking_head, *CLIP, *RAY, "--json")
        standing = far.root / "workspace" / ".log" / STANDING
        with held(far):
            late = grid.join(2)
            assert wait_until(lambda: busy(standing) > 0 and workers(late.home), 60)
            for worker in workers(late.home):
                os.kill(worker, signal.SIGKILL)
        said = head.communicate(timeout=120)[0]
        assert head.returncode == 0, said
        ran = [line["task"] for line in map(json.loads, said.splitlines()) if line["state"] == "ran"]
        assert len(ran) == len(set(ran))
        assert artifacts(far) == local


@contextmanager
def held(home: Home) -> Iterator[None]:
    """Hold the head's own workers, and what forks them, once there is more than one task: it might make all alone."""
    extracted = "*/segments/000/video.mp4"
    assert wait_until(lambda: any((home.root / "workspace").glob(extracted)) and workers(home.root), 60)
    own = [*nurseries(home.root), *workers(home.root)]
    for process in own:
        os.kill(process, signal.SIGSTOP)
    try:
        yield
    finally:
        for process in own:
            with suppress(ProcessLookupError):  # ended with its head
                os.kill(process, signal.SIGCONT)


def workers(home: Path) -> list[int]:
    """Process ids of the workers of the node with these folders: they are forked from its nursery."""
    return [pid for nursery in nurseries(home) for pid in offspring(nursery)]


def nurseries(home: Path) -> Iterator[int]:
    for process in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            if is_nursery(int(process.name)) and str(home).encode() in (process / "environ").read_bytes():
                yield int(process.name)


def busy(standing: Path) -> int:
    """Batches that the nodes have now, as a head at work has written it down."""
    try:
        return sum(int(node.get("busy", 0)) for node in json.loads(standing.read_text())["nodes"])
    except (FileNotFoundError, ValueError):
        return 0


class TestASentence:
    def test_says_that_no_cluster_is_there(self, quick: Home, talking_head: Path) -> None:
        done = quick.dubd("run", talking_head, "--executor", "ray", environ={"RAY_ADDRESS": "127.0.0.1:1"})
        assert done.returncode == Exit.CLUSTER
        (line,) = lines_of(done)
        assert line.startswith("dubd: no Ray cluster at 127.0.0.1:1: ")
        assert "`ray start --head`" in line

    def test_names_a_node_that_runs_another_dubd(
        self, grid: Grid, quick: Home, talking_head: Path, tmp_path: Path
    ) -> None:
        other = tmp_path / "other"
        shutil.copytree(Path(roster.__file__).parents[1], other / "dubd")
        with (other / "dubd" / "errors.py").open("a") as file:
            file.write("# one line more\n")
        grid.join(1, PYTHONPATH=str(other))
        done = quick.dubd("run", talking_head, *RAY, "--clip", "0+2")
        assert done.returncode == 0, done.stderr
        (line,) = [line for line in (done.stdout + done.stderr).splitlines() if "refused" in line]
        assert "is refused: its dubd has other sources than the one here (" in line
        assert not any(run["facts"].get("node") for run in runs(quick).values())

    def test_says_how_to_get_ray(self, quick: Home, talking_head: Path) -> None:
        hide = "import sys; sys.modules['ray'] = None; from dubd.cli.main import main; main()"
        command = [sys.executable, "-c", hide, "run", str(talking_head), "--executor", "ray"]
        done = subprocess.run(command, env=quick.environ, cwd="/", capture_output=True, text=True, check=False)
        assert done.returncode == 2
        assert lines_of(done) == ["dubd: --executor ray needs Ray; pip install 'dubd[ray]'"]


def test_plain_doit_uses_the_cluster_too(grid: Grid, quick: Home, talking_head: Path) -> None:
    (quick.root / "talk.srt").write_text("1\n00:00:00,300 --> 00:00:01,200\nGood morning.\n")
    environ = {**quick.environ, "DUBD_EXECUTOR": "ray"}
    rule = load(quick.root / "rules" / "lite.yaml", ready=False)
    Video.claim(talking_head, rule, Folders.find(environ), quick.root / "talk.srt")
    grid.join(1)
    command = [sys.executable, "-m", "doit", "-f", CHECKOUT / "dodo.py", "-d", CHECKOUT, "-n", "1"]
    built = subprocess.run(command, env=environ, cwd=CHECKOUT, capture_output=True, text=True, check=False)
    assert built.returncode == 0, built.stdout + built.stderr
    assert any(run["facts"].get("node") for run in runs(quick).values())
    assert (quick.videos()[0] / "dubbed.es.mp4").exists()
