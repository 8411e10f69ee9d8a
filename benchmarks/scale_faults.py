"""What a lost worker, agent, node or head costs on a real local Ray cluster: seconds until its task runs again.

    python benchmarks/scale_faults.py

A task of the allocating engine runs on a node and hangs; then something is killed by signal 9, with Ray and dubd as
they are by default. `again` is the time from the kill to the first line that the second try logs. Three more tasks
were finished before: `twice` counts those that ran once more. `equal`: every result is as on one machine. A node that
joins late: the time from Ray's start on it to the first task there. A card too small: the time to the refusal.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))
from dubd.cluster.executor import RayExecutor
from dubd.schedule.scheduler import Scheduler
from tests.cluster.conftest import Grid
from tests.schedule.cards import Machine, Tickets, wait_until

CARD, WANTED = 400, 4000  # MiB that can be leased on a node's card; more than that
LONG = 120.0  # s after which a fault counts as not mended
BEFORE = 3  # tasks that are finished when the fault comes


@dataclass
class Site:
    """A cluster with nothing but its head, and a machine whose engine logs what it does."""

    grid: Grid
    box: Machine
    hang: Path

    @contextmanager
    def running(self) -> Iterator[tuple[RayExecutor, Scheduler, Tickets]]:
        """Some tasks have ended, and one hangs on a node."""
        self.hang.touch()
        first = [self.box.ticket(f"before-{number}") for number in range(BEFORE)]
        with RayExecutor(self.box.folder / "work" / ".log", 1, self.grid.address) as executor:
            scheduler, source = Scheduler(executor), Tickets([*first, self.box.ticket("hung", hang=str(self.hang))])
            scheduler.add(source)
            self.turn(scheduler, lambda: len(source.ended) == BEFORE and self.runs() == BEFORE + 1)
            yield executor, scheduler, source
            self.hang.unlink(missing_ok=True)
            self.turn(scheduler, lambda: source.done)

    def turn(self, scheduler: Scheduler, reached: Callable[[], bool]) -> None:
        """Until something is so."""
        if not wait_until(lambda: scheduler.step(0.05) or reached(), LONG):
            raise SystemExit("not mended")

    def runs(self) -> int:
        return len(self.box.lines("run"))

    def again(self, scheduler: Scheduler, kill: Callable[[], object]) -> float:
        """Seconds from the kill until the task runs once more."""
        tries, began = self.runs(), time.monotonic()
        kill()
        self.turn(scheduler, lambda: self.runs() > tries)
        return time.monotonic() - began

    def tell(self, fault: str, seconds: float) -> None:
        """A line: what happened, how long it took, and whether all is as if it had not."""
        names = [*(f"before-{number}" for number in range(BEFORE)), "hung"]
        equal = all(self.box.said(name) == name.upper() for name in names)
        print(f"{fault:<44}{seconds:>8.1f} s{self.runs() - BEFORE - 2:>8}{'yes' if equal else 'NO':>8}", flush=True)


def worker(site: Site) -> None:
    """The process that computes, on the node."""
    site.grid.join(1, CARD)
    with site.running() as (_, scheduler, _source):
        pid = int(site.box.lines("run")[-1].split()[0])
        seconds = site.again(scheduler, lambda: os.kill(pid, signal.SIGKILL))
    site.tell("a worker killed in its task", seconds)


def agent(site: Site) -> None:
    """dubd's actor on the node, and with it its workers."""
    site.grid.join(1, CARD)
    with site.running() as (executor, scheduler, _):
        (member,) = executor.roster.members
        seconds = site.again(scheduler, lambda: os.kill(member.pid, signal.SIGKILL))
    site.tell("an agent killed", seconds)


def node(site: Site) -> None:
    """All of a node; another one is there."""
    dying = site.grid.join(1, CARD)
    with site.running() as (executor, scheduler, _):
        site.grid.join(1, CARD)
        site.turn(scheduler, lambda: len(executor.roster.members) == 2)
        seconds = site.again(scheduler, lambda: site.grid.kill(dying))
    site.tell("a node killed, another is there", seconds)


def head(site: Site) -> None:
    """The process of dubd: the next one takes what is not finished, as the records of a build tell it."""
    site.grid.join(1, CARD)
    words = [sys.executable, __file__, "head", str(site.box.folder), site.grid.address]
    with subprocess.Popen(words, env={**os.environ, **site.box.environ()}) as process:
        if not wait_until(lambda: site.runs() == BEFORE + 1, LONG):
            raise SystemExit("the first head began nothing")
        began = time.monotonic()
        process.kill()
        process.wait()
    with RayExecutor(site.box.folder / "work" / ".log", 1, site.grid.address) as executor:
        scheduler, source = Scheduler(executor), Tickets([site.box.ticket("hung", hang=str(site.hang))])
        scheduler.add(source)
        site.turn(scheduler, lambda: site.runs() == BEFORE + 2)
        seconds = time.monotonic() - began
        site.hang.unlink()
        site.turn(scheduler, lambda: source.done)
    site.tell("dubd killed at the head and started anew", seconds)


def late(site: Site) -> None:
    """No node has a card until one joins."""
    site.grid.join(1)
    with RayExecutor(site.box.folder / "work" / ".log", 1, site.grid.address) as executor:
        scheduler = Scheduler(executor)
        scheduler.add(source := Tickets([site.box.ticket("hung"), *()]))
        small = time.monotonic()
        site.turn(scheduler, lambda: source.done)
        refused = time.monotonic() - small
        print(f"{'no card anywhere: refused with a sentence':<44}{refused:>8.1f} s", flush=True)
        began = time.monotonic()
        site.grid.join(1, CARD)
        site.turn(scheduler, lambda: len(executor.roster.members) == 2)
        joined = time.monotonic() - began
        scheduler.add(source := Tickets([site.box.ticket("hung")]))
        site.turn(scheduler, lambda: source.done)
        print(f"{'a node joins late: in the cluster':<44}{joined:>8.1f} s", flush=True)
        print(f"{'                   its first task has ended':<44}{time.monotonic() - began:>8.1f} s", flush=True)
        began = time.monotonic()
        scheduler.add(source := Tickets([site.box.ticket("large", model=WANTED)]))
        site.turn(scheduler, lambda: source.done)
        print(f"{'a card too small: refused with a sentence':<44}{time.monotonic() - began:>8.1f} s", flush=True)


def main() -> None:
    """Each fault in a cluster of its own."""
    print(f"{'fault':<44}{'again':>10}{'twice':>8}{'equal':>8}", flush=True)
    for fault in (worker, agent, node, head, late):
        with tempfile.TemporaryDirectory(prefix="dubd-faults-") as folder, site(Path(folder)) as made:
            fault(made)
    print(f"load {os.getloadavg()[0]:.1f}")


@contextmanager
def site(root: Path) -> Iterator[Site]:
    """A cluster as Ray is by default."""
    from ray.cluster_utils import Cluster

    box, temporary = Machine(root, 1), tempfile.mkdtemp(prefix="dubd-ray-")  # short: a socket's path has 107 characters
    mine = {**box.environ(), "DUBD_SIMULATED_GPUS": str(root / "none"), "DUBD_MODELS": str(root / "models")}
    kept = {name: os.environ.get(name) for name in mine}
    os.environ.update(mine)
    store = 80 << 20
    cluster = Cluster(
        initialize_head=True,
        head_node_args={"num_cpus": 1, "include_dashboard": False, "object_store_memory": store, "temp_dir": temporary},
    )
    try:
        yield Site(Grid(cluster, root, box.site), box, root / "hang")
    finally:
        cluster.shutdown()
        shutil.rmtree(temporary, ignore_errors=True)
        for name, value in kept.items():
            os.environ.pop(name) if value is None else os.environ.update({name: value})


def first_head(folder: Path, address: str) -> None:
    """What is killed: it has finished some tasks and hangs in one."""
    box = Machine(folder)
    made = Site(Grid(None, folder, box.site), box, folder / "hang")
    made.hang.touch()
    with RayExecutor(folder / "work" / ".log", 1, address) as executor:
        scheduler = Scheduler(executor)
        names = [*(f"before-{number}" for number in range(BEFORE))]
        scheduler.add(
            source := Tickets([*(box.ticket(name) for name in names), box.ticket("hung", hang=str(made.hang))])
        )
        made.turn(scheduler, lambda: source.done)


if __name__ == "__main__":
    if sys.argv[1:2] == ["head"]:
        first_head(Path(sys.argv[2]), sys.argv[3])
    else:
        main()
