"""Ray, Dask distributed and Celery side by side: what each costs on one computer, and what it does when something dies.

    python -m venv V && V/bin/pip install WHAT  (ray==2.60.0 | distributed==2026.8.0 | celery==5.7.0 sqlalchemy==2.1.9)
    python benchmarks/distributors.py --python ray=A/bin/python --python dask=B/bin/python --python celery=C/bin/python

Each system has a venv of its own, so that none but Ray is ever a dependency of dubd, and the size is that venv's
without pip. Each gets a head (Celery has none) and two nodes with one slot each, in one run one after the other. It is
up once two tasks have answered from two nodes. Memory is the sum of the resident sets, without the client's. A worker
and then a node (all of its processes) are killed by signal 9, 1 s into a task of 3 s; `again` is the time from the kill
until the task starts anew. A resource that nobody has is a queue that nobody reads in Celery, which knows no resources.

Celery is meant for RabbitMQ or Redis, which are servers to install and keep. Here it has the brokers that need none:
kombu's files and SQLite, looked at every 10 ms (the default is 1 s); kombu's memory broker stays within one process.
Tasks are acknowledged late, rejected if their worker (the process that a node forked) is lost, and fetched singly.
"""

from __future__ import annotations

import argparse
import json
import os
import secrets
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from functools import cache, partial
from importlib import import_module, metadata
from pathlib import Path
from typing import Any

CALLS, TASKS, TASK, LACKING = 50, 500, 3.0, 10.0
LIMIT, WHOLE = 30.0, 240.0  # s: for one step, for a system
COLUMNS = {"ray": ("ray",), "dask": ("dask",), "celery": ("celery-files", "celery-sqlite")}
PACKAGES = {"ray": "ray", "dask": "distributed", "celery": "celery"}
PIP = ("pip", "setuptools", "pkg_resources", "_distutils_hack", "distutils-precedence")
RUN, NODE = "DUBD_BENCHMARK_RUN", "DUBD_BENCHMARK_NODE"  # in the environment of all that is started, and only there


def nothing() -> None:
    """A task that is all overhead."""


def where(seconds: float) -> str:
    """The node that this ran on."""
    time.sleep(seconds)
    return os.environ["DUBD_BENCHMARK_NODE"]


def diary(path: str, seconds: float) -> str:
    """Says when it starts, and where, before it takes so long."""
    with open(path, "a") as file:
        file.write(f"{time.monotonic()} {os.environ['DUBD_BENCHMARK_NODE']} {os.getpid()}\n")
    time.sleep(seconds)
    return "done"


class Ray:
    """A head without slots, and two nodes."""

    def __init__(self, folder: Path, start: Callable[..., None]) -> None:
        address = f"127.0.0.1:{(port := free_port())}"
        ray, store = str(Path(sys.executable).with_name("ray")), "--object-store-memory=100000000"
        command = [ray, "start", "--block", "--node-ip-address=127.0.0.1", "--disable-usage-stats", store]
        head = ["--head", f"--port={port}", "--num-cpus=0", "--include-dashboard=false", f"--temp-dir={folder}/head"]
        start("head", *command, *head)
        wait_port(port)
        for node in "ab":  # in one folder they would race for the names of their sockets
            start(node, *command, f"--address={address}", "--num-cpus=1", f"--temp-dir={folder}/{node}")
        self.ray = import_module("ray")
        self.remote = cache(self.ray.remote)  # each wrapping is sent to the workers anew
        for trial in range(30):  # the port opens before the head is ready for drivers
            try:
                self.ray.init(address=address)
                break
            except (ConnectionError, RuntimeError, ValueError):
                if trial == 29:
                    raise
                time.sleep(0.2)

    def submit(self, task: Callable[..., Any], *args: Any, lacking: bool = False) -> Any:
        known = self.remote(task)
        return (known.options(resources={"studio": 1}) if lacking else known).remote(*args)

    def answers(self, asked: Sequence[Any], seconds: float) -> list[Any]:
        done, _ = self.ray.wait(list(asked), num_returns=len(asked), timeout=seconds)
        return list(self.ray.get(done))

    def nodes(self) -> int:
        return sum(node["Alive"] and "CPU" in node["Resources"] for node in self.ray.nodes())


class Dask:
    """A scheduler and two workers, each with its nanny, as `dask worker` starts them."""

    def __init__(self, folder: Path, start: Callable[..., None]) -> None:
        address = f"tcp://127.0.0.1:{(port := free_port())}"
        command = (str(Path(sys.executable).with_name("dask")),)
        http = "--dashboard-address=127.0.0.1:0"
        start("head", *command, "scheduler", "--host=127.0.0.1", f"--port={port}", "--no-show", http)
        wait_port(port)
        for node in "ab":
            place = f"--local-directory={folder}"
            start(node, *command, "worker", address, "--nworkers=1", "--nthreads=1", f"--name={node}", place, http)
        self.distributed = import_module("distributed")
        self.client = self.distributed.Client(address, timeout=LIMIT)

    def submit(self, task: Callable[..., Any], *args: Any, lacking: bool = False) -> Any:
        return self.client.submit(task, *args, pure=False, resources={"studio": 1} if lacking else None)

    def answers(self, asked: Sequence[Any], seconds: float) -> list[Any]:
        try:
            self.distributed.wait(list(asked), timeout=seconds)
        except TimeoutError:
            return [one.result() for one in asked if one.done()]
        return list(self.client.gather(list(asked)))

    def nodes(self) -> int:
        return len(self.client.scheduler_info()["workers"])


class Celery:
    """Two workers with one process each, and no head but the broker's folder or database."""

    def __init__(self, folder: Path, start: Callable[..., None], broker: str) -> None:
        self.app = celery_app(folder, broker)
        for node in "ab":
            start(node, sys.executable, __file__, "--serve", broker, str(folder), node)

    def submit(self, task: Callable[..., Any], *args: Any, lacking: bool = False) -> Any:
        return self.app.send_task(task.__name__, args, queue="studio" if lacking else None)

    def answers(self, asked: Sequence[Any], seconds: float) -> list[Any]:
        ends, done = time.monotonic() + seconds, []
        for one in asked:
            while not (ready := one.ready()) and time.monotonic() < ends:
                time.sleep(0.005)
            if ready:
                done.append(one.get())
        return done

    def nodes(self) -> None:
        """There is no head that would know."""


def celery_app(folder: Path, broker: str) -> Any:
    """The same for the client and the workers."""
    for name in ("queue", "results", "control"):
        (folder / name).mkdir(exist_ok=True)
    files = (f"filesystem://{folder}", f"file://{folder}/results")
    sqlite = (f"sqla+sqlite:///{folder}/broker.sqlite", f"db+sqlite:///{folder}/results.sqlite")
    url, backend = files if broker == "files" else sqlite
    import_module("kombu.transport.virtual").Transport.polling_interval = 0.01  # an option of few brokers
    app = import_module("celery").Celery("distributors", broker=url, backend=backend)
    queue = {f"data_folder_{way}": str(folder / "queue") for way in ("in", "out")}
    options = queue | {"control_folder": folder / "control"} if broker == "files" else {}
    app.conf.update(broker_transport_options=options, worker_enable_remote_control=False)
    app.conf.update(task_acks_late=True, task_reject_on_worker_lost=True, worker_prefetch_multiplier=1)
    for task in (nothing, where, diary):
        app.task(task, name=task.__name__)
    return app


def serve(broker: str, folder: Path, node: str) -> None:
    """One of Celery's workers."""
    alone = ("--without-gossip", "--without-mingle", "--without-heartbeat")
    celery_app(folder, broker).worker_main(["worker", "--concurrency=1", f"--hostname={node}@here", *alone])


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


def wait_port(port: int) -> None:
    ends = time.monotonic() + LIMIT
    while time.monotonic() < ends:
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
            return
        except OSError:
            time.sleep(0.02)
    raise TimeoutError(f"nobody listens on port {port}")


def started(run: str, node: str = "") -> Iterator[int]:
    """Processes of this run, or of one of its nodes, by the environment that they were born with."""
    marks = {f"{RUN}={run}".encode()} | ({f"{NODE}={node}".encode()} if node else set())
    for place in Path("/proc").glob("[0-9]*"):
        try:
            if marks <= set((place / "environ").read_bytes().split(b"\0")):
                yield int(place.name)
        except OSError:  # ended meanwhile, or not ours
            continue


def kill(pids: Iterable[int]) -> None:
    """All of them; but for trackers of semaphores, which remove these and end once the others are dead."""
    for pid in pids:
        with suppress(OSError):
            if b"resource_tracker" not in Path(f"/proc/{pid}/cmdline").read_bytes():
                os.kill(pid, signal.SIGKILL)


def probe(name: str, folder: Path, run: str) -> None:
    """All steps for one system, in its own interpreter; what is measured goes to a file after each step."""
    rows: dict[str, str] = {}

    def note(row: str, value: str) -> None:
        rows[row] = value
        (folder / "rows.json").write_text(json.dumps(rows))

    def start(node: str, *command: str) -> None:
        subprocess.Popen(command, env=os.environ | {RUN: run, NODE: node}, cwd=folder)

    def lines() -> list[list[str]]:
        return [line.split() for line in path.read_text().splitlines()] if path.exists() else []

    note("version", metadata.version(PACKAGES[name.split("-")[0]]))
    note("installed", installed(leave=("sqlalchemy",) if name == "celery-files" else ()))
    celery = {f"celery-{broker}": partial(Celery, broker=broker) for broker in ("files", "sqlite")}
    makers: dict[str, Callable[..., Ray | Dask | Celery]] = {"ray": Ray, "dask": Dask, **celery}
    began = time.monotonic()
    system = makers[name](folder, start)
    while len({*system.answers([system.submit(where, 0.2) for _ in "ab"], LIMIT)}) < 2:
        if time.monotonic() - began > LIMIT:
            raise TimeoutError("two nodes did not answer")
    note("head and 2 nodes up, both answered", f"{time.monotonic() - began:.1f} s")
    pids = list(started(run))
    pages = [int(Path(f"/proc/{pid}/statm").read_text().split()[1]) for pid in pids]
    note("processes, RSS", f"{len(pids)}, {sum(pages) * os.sysconf('SC_PAGESIZE') >> 20} MiB")
    took = []
    for _ in range(CALLS):
        began = time.monotonic()
        if system.answers([system.submit(nothing)], LIMIT) != [None]:
            raise TimeoutError("a call had no answer")
        took.append(time.monotonic() - began)
    note("a call and its answer", f"{statistics.median(took) * 1000:.1f} ms")
    began = time.monotonic()
    done = len(system.answers([system.submit(nothing) for _ in range(TASKS)], LIMIT))
    note(f"{TASKS} tasks that do nothing", f"{'' if done == TASKS else f'{done} in '}{time.monotonic() - began:.1f} s")
    said = os.fstat(2).st_size
    try:
        got = system.answers([system.submit(nothing, lacking=True)], LACKING)
        told = (folder / "log").read_bytes()[said:].decode().strip()
        words = f"tells its log: {told.splitlines()[-1]}" if told else "in silence"
        note("a resource that nobody has", "runs all the same" if got else f"waits, {words}")
    except Exception as error:  # any refusal is the answer sought
        note("a resource that nobody has", f"refused: {type(error).__name__}")
    for what in ("worker", "node"):
        path = folder / f"diary-{what}"
        asked = system.submit(diary, str(path), TASK)
        ends = time.monotonic() + LIMIT
        while not lines() and time.monotonic() < ends:
            time.sleep(0.01)
        if not lines():
            raise TimeoutError("a task did not start")
        time.sleep(1)
        _, node, pid = lines()[0]
        killed, seen = time.monotonic(), 0.0
        kill([int(pid)] if what == "worker" else started(run, node))
        head = what == "node" and system.nodes() is not None
        while (len(lines()) < 2 or (head and not seen)) and time.monotonic() < killed + LIMIT:
            time.sleep(0.01)
            seen = seen or (time.monotonic() if head and system.nodes() == 1 else 0)
        if head:
            knows = f"after {seen - killed:.2f} s" if seen else f"not within {LIMIT:.0f} s"
            note("the head knows that the node is gone", knows)
        if len(lines()) < 2:
            note(f"a {what} killed in a task", f"lost: not again within {LIMIT:.0f} s")
            continue
        again, other, _ = lines()[1]
        answer = "" if system.answers([asked], LIMIT) == ["done"] else ", no answer"
        on = "on the same node" if other == node else "on the other node"
        note(f"a {what} killed in a task", f"again after {float(again) - killed:.2f} s {on}{answer}")


def installed(leave: tuple[str, ...]) -> str:
    """Disk and packages of this interpreter's own site-packages, but for pip's and those left out."""
    site = Path(sys.prefix, "lib", f"python{sys.version_info[0]}.{sys.version_info[1]}", "site-packages")
    tops = [top for top in site.iterdir() if not top.name.lower().startswith((*PIP, *leave))]
    files = [path for top in tops for path in (top, *top.rglob("*"))]
    size = sum(path.lstat().st_blocks * 512 for path in files)
    return f"{size / 1e6:.0f} MB, {sum(top.suffix == '.dist-info' for top in tops)} packages"


def measure(name: str, python: str) -> dict[str, str]:
    """One system, from nothing to nothing: no process and no file of it stays."""
    run = secrets.token_hex(8)
    with tempfile.TemporaryDirectory(prefix="dist-", ignore_cleanup_errors=True) as folder:
        apart = dict.fromkeys(("HOME", "TMPDIR", "RAY_TMPDIR"), folder) | {"RAY_COLOR_PREFIX": "0"}
        apart["SPT_NOENV"] = "1"  # Ray's setproctitle leaves the environment readable
        command = [python, __file__, "--probe", name, folder, run]
        load = os.getloadavg()[0]
        with (Path(folder) / "log").open("w") as log:
            client = subprocess.Popen(command, env=os.environ | apart, stdout=log, stderr=log)
            try:
                ended = client.wait(WHOLE)
            except subprocess.TimeoutExpired:
                ended = 124
            finally:
                client.kill()
                ends = time.monotonic() + LIMIT
                while (left := list(started(run))) and time.monotonic() < ends:
                    kill(left)
                    time.sleep(0.1)
        told = Path(folder) / "rows.json"
        rows: dict[str, str] = json.loads(told.read_text()) if told.exists() else {}
        if left:
            raise SystemExit(f"{name}: processes {left} did not end")
        if ended:
            print(f"{name} ended with {ended}:", *(Path(folder) / "log").read_text().splitlines()[-15:], sep="\n  ")
        return rows | {"load before, after": f"{load:.1f}, {os.getloadavg()[0]:.1f}"}


def main() -> None:
    """Measure those that were given, and print them as columns."""
    args = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    args.add_argument("--python", action="append", metavar="NAME=PATH", help="ray, dask, celery: its interpreter")
    args.add_argument("--rounds", type=int, default=2, help="of all systems, one after the other")
    args.add_argument("--probe", nargs=3, help=argparse.SUPPRESS)
    args.add_argument("--serve", nargs=3, help=argparse.SUPPRESS)
    asked = args.parse_args()
    if asked.probe:
        probe(asked.probe[0], Path(asked.probe[1]), asked.probe[2])
        os._exit(0)  # clients that wait for a killed node to say goodbye would hold it up
    if asked.serve:
        serve(asked.serve[0], Path(asked.serve[1]), asked.serve[2])
        return
    pythons = dict(item.split("=", 1) for item in asked.python or args.error("which --python?"))
    if unknown := pythons.keys() - COLUMNS.keys():
        args.error(f"--python {min(unknown)}: not one of {', '.join(COLUMNS)}")
    columns = [column for name in pythons for column in COLUMNS[name]]
    rounds = [{name: measure(name, pythons[name.split("-")[0]]) for name in columns} for _ in range(asked.rounds)]
    print(
        f"{os.cpu_count()} cores; each system alone, one after the other; brokers of Celery: files, SQLite (no server)"
    )
    for row in dict.fromkeys(row for each in rounds for rows in each.values() for row in rows):
        print(f"\n{row}")
        for name in columns:
            print(f"  {name:14} ", " | ".join(dict.fromkeys(each[name].get(row, "-") for each in rounds)))


if __name__ == "__main__":
    main()
