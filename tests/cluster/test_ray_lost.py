"""Ray itself dies, hangs or is not there: what the command line says, and what of the work is left."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from dubd.errors import Exit
from dubd.folders import Folders
from dubd.graph.rules import load
from dubd.graph.video import Video
from tests.cluster.conftest import HEAD
from tests.cluster.test_clip import CHECKOUT, sound_home
from tests.scenarios.conftest import Home, lines_of, tasks

AWAY = "2"  # s that Ray's head may be away, in place of 15
RAY = ("--executor", "ray", "--jobs", 1)


@pytest.fixture
def ray_head(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[], Any]]:
    """Starts a cluster of its own, of this machine alone; the newest one is found by RAY_ADDRESS."""
    from ray.cluster_utils import Cluster

    monkeypatch.setenv("RAY_gcs_rpc_server_reconnect_timeout_s", AWAY)
    started = []

    def start() -> Any:
        temporary = tempfile.mkdtemp(prefix="dubd-ray-")
        cluster = Cluster(initialize_head=True, head_node_args={**HEAD, "temp_dir": temporary})
        started.append((cluster, temporary))
        monkeypatch.setenv("RAY_ADDRESS", cluster.address)
        return cluster

    yield start
    for cluster, temporary in started:
        for process in processes(cluster.head_node):
            process.send_signal(signal.SIGCONT)
        cluster.shutdown()
        shutil.rmtree(temporary, ignore_errors=True)


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Home:
    monkeypatch.setenv("DUBD_SIMULATED_GPUS", str(tmp_path / "none"))
    monkeypatch.setenv("DUBD_RUNTIME", str(tmp_path / "runtime"))
    return sound_home(tmp_path / "home")


def processes(node: Any, kind: str = "") -> list[subprocess.Popen[bytes]]:
    """Those of a node of Ray: `gcs_server` is the head of its cluster, `raylet` what every machine has."""
    return [
        started.process
        for name, those in node.all_processes.items()
        for started in those
        if kind in name and started.process.poll() is None
    ]


def hang(node: Any) -> None:
    """Have the head of its cluster take connections and say nothing more."""
    (head,) = processes(node, "gcs_server")
    head.send_signal(signal.SIGSTOP)


def watching(home: Home) -> subprocess.Popen[str]:
    """A daemon that is connected to the cluster."""
    daemon = home.start("watch", *RAY)
    assert daemon.stdout
    assert daemon.stdout.readline().startswith("watching ")
    return daemon


def json_of(lines: Sequence[str]) -> dict[str, dict[str, Any]]:
    return tasks("\n".join(line.strip() for line in lines if line.startswith("{")))


def words(process: subprocess.Popen[str], seconds: float = 60) -> tuple[int, list[str]]:
    """The exit code, and the lines that are no JSON."""
    said = process.communicate(timeout=seconds)[0]
    return process.returncode, [line for line in said.splitlines() if not line.startswith("{")]


def test_a_run_whose_ray_head_dies_says_so_and_the_next_one_makes_only_what_is_not_finished(
    ray_head: Callable[[], Any], home: Home, talking_head: Path
) -> None:
    node = ray_head().head_node
    address = node.gcs_address
    run = home.start("run", talking_head, "--clip", "0+12", *RAY, "--json")
    assert run.stdout
    first = [run.stdout.readline() for _ in range(3)]
    (head,) = processes(node, "gcs_server")
    head.kill()
    rest, _ = run.communicate(timeout=60)
    assert run.returncode == Exit.CLUSTER, rest
    assert rest.splitlines()[-1] == (  # Ray's own line may be ahead of it
        f"dubd: the head of the Ray cluster at {address} is lost (Connection refused); "
        "start Ray, then dubd: what is finished stays"
    )
    finished = {task for task, line in json_of(first + rest.splitlines()).items() if line["state"] == "ran"}
    assert finished
    ray_head()
    again = home.dubd("run", talking_head, "--clip", "0+12", *RAY, "--json")
    assert again.returncode == 0, again.stderr
    made = {task for task, line in tasks(again.stdout).items() if line["state"] == "ran"}
    assert made
    assert not made & finished
    assert (home.videos()[0] / "dubbed.es.mp4").exists()


def test_a_daemon_whose_raylet_dies_says_what_is_missing_on_this_machine(
    ray_head: Callable[[], Any], home: Home
) -> None:
    node = ray_head().head_node
    daemon = watching(home)
    for raylet in processes(node, "raylet"):
        raylet.kill()
    code, (line,) = words(daemon)
    assert code == Exit.CLUSTER
    assert line == (
        f"dubd: this machine is not, or no longer, in the Ray cluster at {node.gcs_address}: it has no raylet that "
        f"answers; `ray start --address={node.gcs_address}`, then start dubd: what is finished stays"
    )


def test_a_daemon_whose_ray_head_hangs_is_ended_though_rays_calls_hang_with_it(
    ray_head: Callable[[], Any], home: Home
) -> None:
    node = ray_head().head_node
    daemon = watching(home)
    hang(node)
    code, lines = words(daemon)
    assert code == Exit.CLUSTER
    assert lines[-1] == (
        f"dubd: the head of the Ray cluster at {node.gcs_address} is lost (no answer for 5 s); "
        "start Ray, then dubd: what is finished stays"
    )


def test_a_daemon_that_is_told_to_stop_while_ray_hangs_has_stopped_and_not_lost_ray(
    ray_head: Callable[[], Any], home: Home
) -> None:
    node = ray_head().head_node
    daemon = watching(home)
    hang(node)
    for _ in range(2):
        os.kill(daemon.pid, signal.SIGINT)
        time.sleep(0.2)
    code, lines = words(daemon)
    assert code == Exit.STOPPED
    assert not any("Ray" in line for line in lines if line.startswith("dubd:"))


def test_a_head_that_hangs_is_told_of_within_seconds(
    ray_head: Callable[[], Any], home: Home, talking_head: Path
) -> None:
    node = ray_head().head_node
    hang(node)
    began = time.monotonic()
    done = home.dubd("run", talking_head, *RAY)
    assert time.monotonic() - began < 30  # Ray by itself tries for minutes
    assert done.returncode == Exit.CLUSTER
    assert lines_of(done) == [
        f"dubd: no Ray cluster at {node.gcs_address}: no answer for 5 s; "
        "start one with `ray start --head`, or join one with `ray start --address=HOST:6379`"
    ]


@pytest.mark.parametrize(("number", "ended"), [(signal.SIGINT, Exit.STOPPED), (signal.SIGTERM, -signal.SIGTERM)])
def test_a_signal_ends_dubd_while_it_waits_for_a_head_that_hangs(home: Home, number: int, ended: int) -> None:
    with socket.create_server((own_address(), 0)) as silent:
        host, port = silent.getsockname()
        daemon = home.start("watch", "--executor", "ray", "--address", f"{host}:{port}")
        silent.settimeout(20)
        line, _ = silent.accept()
        os.kill(daemon.pid, number)
        code, lines = words(daemon)
        line.close()
    assert (code, lines) == (ended, [])


def own_address() -> str:
    import ray

    return str(ray.util.get_node_ip_address())


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("--executor", "ray", "--address", "box1"), "--address or RAY_ADDRESS: 'box1' is no HOST:PORT; give that of"),
        (("--address", "10.0.0.1:6379"), "--address is for a cluster; add --executor ray"),
        (("--storage", "shared"), "--storage is for a cluster; add --executor ray"),
    ],
)
def test_options_that_cannot_be_meant_so_are_a_wrong_command_line(
    home: Home, talking_head: Path, words: tuple[str, ...], says: str
) -> None:
    done = home.dubd("run", talking_head, *words)
    assert done.returncode == Exit.USAGE
    (line,) = lines_of(done)
    assert line.startswith(f"dubd: {says}")


def test_what_is_no_ray_is_not_taken_for_one(home: Home) -> None:
    with socket.create_server((own_address(), 0)) as other:
        host, port = other.getsockname()
        run = home.start("run", "talk", "--executor", "ray", "--address", f"{host}:{port}")
        other.settimeout(20)
        line, _ = other.accept()
        line.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        code, (said,) = words(run)
        line.close()
    assert code == Exit.CLUSTER
    assert said.startswith(f"dubd: no Ray cluster at {host}:{port}: what answers there is no Ray; start one with")


def test_plain_doit_says_the_same_of_a_ray_that_is_not_there(home: Home, talking_head: Path) -> None:
    environ = {**home.environ, "DUBD_EXECUTOR": "ray", "RAY_ADDRESS": "127.0.0.1:1"}
    Video.claim(talking_head, load(home.root / "rules" / "lite.yaml", ready=False), Folders.find(environ))
    command = [sys.executable, "-m", "doit", "-f", CHECKOUT / "dodo.py", "-d", CHECKOUT]
    done = subprocess.run(command, env=environ, cwd=CHECKOUT, capture_output=True, text=True, check=False)
    assert done.returncode == Exit.CLUSTER, done.stderr
    assert done.stderr.startswith("stop no Ray cluster at 127.0.0.1:1: Connection refused; start one with")
