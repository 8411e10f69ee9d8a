"""From one machine to two hundred: a real local Ray cluster on recorded durations, and the same scheduler on paper.

    python benchmarks/scale.py real [--segments 24] [--compress 2] [--megabytes 4] [--slots 2 2]
    python benchmarks/scale.py paper [--hours 100] [--nodes 1 4 16 64 200]

real: the recorded seconds of each segment's stages in the lite chain (`benchmarks/scheduler.py`), divided by
--compress and slept by a worker in place of the stage, with an input of so many megabytes that goes by value; --slots
of the head and of the node. One machine is the head alone, two are the head and a node: both are real Ray nodes of
this computer, with agents, workers and transfers as on a network but for the network. `speed-up` is the first time
over the second, with equal slots the ideal is 2.0.

paper: 8 slots and a card of 24 GB a node, the daemon's own decisions, a clock that jumps. What reads the source or a
whole video (extract, voice, assemble) has the head's own 8 slots where storage goes by value, and any where it is
shared; `head` is the share of those slots that this takes. `x one`: how many times as fast as the first line's node.
"""

from __future__ import annotations

import argparse
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))
from benchmarks.scheduler import CHAINS, LITE, SLOTS, need
from benchmarks.simulation import Machine, Task, tasks
from dubd.schedule.admission import Capacity, Start, admit
from dubd.schedule.scheduler import Scheduler
from dubd.schedule.ticket import Ticket
from tests.schedule.cards import Machine as Box
from tests.schedule.cards import Tickets

CARD = 24 * 1024  # MiB
HOME = ("extract", "voice", "assemble")
WHOLE = {stage.name for stage in LITE if stage.whole}
SEGMENT = [replace(s, after=tuple(name for name in s.after if name not in WHOLE)) for s in LITE if not s.whole]
EACH = 20  # s of a segment, as the chains have it
VIDEO = 30  # segments of a video: ten minutes


class Chain(Tickets):
    """Tickets that become ready as those before them end. What is ready is told anew where it changed, as builds do."""

    def __init__(self, work: Sequence[Task], tickets: Sequence[Ticket]) -> None:
        super().__init__(tickets)
        self._of = {ticket.task: task for ticket, task in zip(tickets, work, strict=True)}
        self._ticket = {id(task): ticket for ticket, task in zip(tickets, work, strict=True)}
        self._free = {name: self.all[name] for name, task in self._of.items() if not task.before}
        self._told: Sequence[Ticket] = ()

    def ready(self) -> Sequence[Ticket]:
        self._told = self._told or list(self._free.values())
        return self._told

    def begin(self, task: str) -> Ticket | None:
        del self._free[task]
        self._told = ()
        return super().begin(task)

    def finish(self, task: str, outcome: object, seconds: float) -> None:
        super().finish(task, outcome, seconds)  # type: ignore[arg-type]
        for after in self._of[task].then:
            after.before -= 1
            if not after.before:
                ticket = self._ticket[id(after)]
                self._free[ticket.task], self._told = ticket, ()

    def again(self, task: str) -> None:
        super().again(task)
        self._free[task], self._told = self.all[task], ()


def chains(box: Box, segments: int, compress: float, blobs: Sequence[Path]) -> list[Chain]:
    """So many segments in videos of at most VIDEO."""
    counts = [min(VIDEO, segments - at) for at in range(0, segments, VIDEO)]
    return [chain(box, count, compress, blobs, f"video-{number}") for number, count in enumerate(counts)]


def chain(box: Box, segments: int, compress: float, blobs: Sequence[Path], video: str = "warm") -> Chain:
    """The lite chain of one video in sleeping tickets; one kind of worker a stage, as in reality."""
    work = tasks(SEGMENT, [segments])
    made = []
    for number, task in enumerate(work):
        seconds = task.stage.seconds(1) / compress
        ticket = box.ticket(f"{video}:{number}-{task.stage.name}", seconds=seconds)
        blob = blobs[int(task.ticket.task.rpartition(":")[2]) % len(blobs)]  # a segment's picture
        made.append(replace(ticket, vram=None, inputs={**ticket.inputs, "video": str(blob)}))
    return Chain(work, made)


@contextmanager
def cluster(site: Path, slots: Sequence[int]) -> Iterator[str]:
    """A Ray head and the further nodes by their slots, in folders of their own; its address."""
    from ray.cluster_utils import Cluster

    temporary = Path(tempfile.mkdtemp(prefix="dubd-ray-"))
    store = 200 << 20
    head = {"num_cpus": slots[0], "include_dashboard": False, "object_store_memory": store, "temp_dir": str(temporary)}
    grid = Cluster(initialize_head=True, head_node_args=head)
    path = os.pathsep.join((str(site), str(Path(__file__).parents[1])))
    try:
        for number, count in enumerate(slots[1:]):
            own = {"XDG_CACHE_HOME": str(temporary / f"cache-{number}"), "PYTHONPATH": path}
            grid.add_node(num_cpus=count, object_store_memory=store, env_vars=own)
        yield grid.address
    finally:
        grid.shutdown()
        shutil.rmtree(temporary, ignore_errors=True)


def real(segments: int, compress: float, megabytes: int, slots: Sequence[int]) -> None:
    """Print the time of the same chain on one machine and on two."""
    from dubd.cluster.executor import RayExecutor

    taken = []
    for used in (slots[:1], slots):
        with tempfile.TemporaryDirectory(prefix="dubd-scale-") as folder:
            root = Path(folder)
            site = Box(root, 1).site
            sys.path.insert(0, str(site))
            os.environ["PYTHONPATH"] = os.pathsep.join((str(site), str(Path(__file__).parents[1])))
            blobs = [root / f"video-{number}.mp4" for number in range(segments)]
            for blob in blobs:
                blob.write_bytes(os.urandom(megabytes << 20))
            box = Box(root)
            with cluster(site, used) as address, RayExecutor(root / "work" / ".log", used[0], address) as executor:
                run(executor, [chain(box, 4, 1000.0, blobs[:1])])  # every kind of worker is warm, as after a minute
                sources = chains(box, segments, compress, blobs)
                began, spent = time.monotonic(), time.process_time()
                run(executor, sources)
                seconds, cpu = time.monotonic() - began, time.process_time() - spent
            taken.append(seconds)
            ended = [out for source in sources for out in source.ended.values()]
            where = [out.get("node", "") for out in ended if isinstance(out, dict)]
            ideal = sum(task.stage.seconds(1) for task in tasks(SEGMENT, [segments])) / compress / sum(used)
            print(
                f"{len(used)} machine(s): {len(where)} tasks, {sum(map(bool, where))} on the node, {seconds:.1f} s "
                f"(ideal {ideal:.1f}), {cpu / len(where) * 1000:.1f} ms of the head's processor a task, "
                f"speed-up {taken[0] / seconds:.2f}; load {os.getloadavg()[0]:.1f}",
                flush=True,
            )
            sys.path.remove(str(site))


def run(executor: object, sources: Sequence[Chain]) -> None:
    """Until every ticket has ended."""
    scheduler = Scheduler(executor)  # type: ignore[arg-type]
    for source in sources:
        scheduler.add(source)
    scheduler.run()
    failed = [out for source in sources for out in source.ended.values() if not isinstance(out, dict)]
    if failed:
        raise SystemExit(f"failed: {failed[0]}")


class Cluster(Machine):
    """A machine with the slots and cards of many, of which some tasks may have only the head's."""

    def __init__(self, work: Sequence[Task], nodes: int, gpus: bool, shared: bool) -> None:
        self._home = 0
        self.at_home = 0.0  # s of slots
        for task in work:
            if task.stage.name in HOME and not shared:
                task.ticket = replace(task.ticket, inputs={"source": ""})
        super().__init__(admit, work, [CARD] * nodes if gpus else [], SLOTS * nodes)  # type: ignore[arg-type]

    def _admit(self) -> None:
        cards = tuple(card.seen(self.now) for card in self.cards)
        warm = {kind for kind, count in self._warm.items() if count}
        capacity = Capacity(self.slots, cards, home=SLOTS - self._home)
        for start in admit(self.waiting, self.running, capacity, warm, self.now, need):
            self._start(start)

    def _start(self, start: Start) -> None:
        ticket = start.batch[0].ticket
        self.waiting.start(start.batch, self.now)
        batch = tuple(self._all[waiting.ticket.task] for waiting in start.batch)
        if start.card is not None:
            self._on_card(next(card for card in self.cards if card.uuid == start.card), start, batch)
            return
        if ticket.home:
            self._home += 1
            self.at_home += batch[0].stage.seconds(len(batch))
        self._on_slot(batch)

    def _end(self, batch: tuple[Task, ...]) -> None:
        self._home -= batch[0].ticket.home
        super()._end(batch)


def paper(hours: float, counts: Sequence[int], names: Sequence[str]) -> None:
    """Print hours for each chain, storage and number of nodes."""
    print(("{:>8}{:>8}" + "{:>9}" * 5).format("chain", "storage", "nodes", "hours", "x one", "of ideal", "head"))
    segments = [600 // EACH] * round(hours * 6)
    for name in names:
        for shared in (False, True):
            one = 0.0
            for nodes in counts:
                work = tasks(CHAINS[name], segments)
                gpus = any(task.ticket.vram for task in work)
                grid = Cluster(work, nodes, gpus, shared)
                seconds = grid.run()
                one = one or seconds * nodes
                head, faster = grid.at_home / SLOTS / seconds, one / seconds
                print(
                    f"{name:>8}{'shared' if shared else 'value':>8}{nodes:>9}{seconds / 3600:>9.2f}{faster:>9.1f}"
                    f"{faster / nodes:>9.2f}{head if not shared else 0:>9.2f}",
                    flush=True,
                )


def main() -> None:
    """Choose and run."""
    args = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    kinds = args.add_subparsers(dest="kind", required=True)
    on = kinds.add_parser("real")
    on.add_argument("--segments", type=int, default=24)
    on.add_argument("--compress", type=float, default=2.0)
    on.add_argument("--megabytes", type=int, default=4)
    on.add_argument("--slots", nargs=2, type=int, default=[2, 2])
    sheet = kinds.add_parser("paper")
    sheet.add_argument("--hours", type=float, default=100.0)
    sheet.add_argument("--nodes", nargs="+", type=int, default=[1, 4, 16, 64, 200])
    sheet.add_argument("--chains", nargs="+", default=["lite", "sound", "wav2lip"])
    asked = args.parse_args()
    if asked.kind == "real":
        real(asked.segments, asked.compress, asked.megabytes, asked.slots)
    else:
        paper(asked.hours, asked.nodes, asked.chains)


if __name__ == "__main__":
    main()
