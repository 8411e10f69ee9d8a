"""The head alone, as the work grows: the daemon's own graph, records and scheduler, with stages that take no time.

    python benchmarks/scale_head.py [--hours 500] [--nodes 200] [--slots 8] [--folder /dev/shm]

Videos of an hour, 120 segments of 30 s each, by a rule that leaves the picture alone: extract, transcribe, translate
and speak for each segment, plan, voice and assemble for each video. The stages are stand-ins that write small files, on
so many nodes that the head is all that there is to wait for. In the middle the daemon is stopped and a new one goes on;
a task that ran in both would be counted. Prints processor time of this process for each task (its files are written in
the same process: that share is measured apart and told), its resident memory at every tenth, and the same for the disk.
"""

from __future__ import annotations

import argparse
import os
import resource
import shutil
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))
from dubd.folders import Folders
from dubd.graph import rules
from dubd.graph.video import Video
from dubd.schedule.admission import Capacity, Kind
from dubd.schedule.executor import Executor, Slot
from dubd.schedule.ticket import Again, Ticket
from dubd.service.daemon import Daemon
from dubd.service.news import News
from dubd.stages.job import Outcome
from tests.graph.stand import Stand

SEGMENTS = 120  # an hour in cuts of 30 s
RULE = "default: true\nlanguages: {source: en, target: es}\nstages: {lipsync: none, restore: none}\n"


class Paper(Executor):
    """Nodes without stages: a batch is done as soon as its files are written, by few threads."""

    def __init__(self, slots: int) -> None:
        self._slots, self._stand = slots, Stand(SEGMENTS)
        self.ran: Counter[str] = Counter()
        self.own = 0.0  # s of processor time of the stand-ins themselves
        self._guard = threading.Lock()

    def capacity(self) -> Capacity:
        return Capacity(self._slots)

    def resident(self) -> set[Kind]:
        return set()

    def run(self, slot: Slot, tickets: Sequence[Ticket], heard: Callable[[int, float], None]) -> list[Outcome | Again]:
        del slot, heard
        began = time.thread_time()
        for ticket in tickets:
            for name, path in ticket.outputs.items():
                Path(path).write_text(self._text(ticket, name), encoding="utf-8")
        with self._guard:
            self.ran.update(ticket.task for ticket in tickets)
            self.own += time.thread_time() - began
        return [{"stand": True} for _ in tickets]

    def _text(self, ticket: Ticket, name: str) -> str:
        return self._stand.content(ticket, name) if ticket.stage == "plan" else f"{ticket.task} {name}\n"


def resident() -> int:
    """MiB of this process."""
    text = Path("/proc/self/statm").read_text()
    return int(text.split()[1]) * resource.getpagesize() >> 20


def main() -> None:
    """Build everything, in two lives of the daemon, and print what it took."""
    args = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    args.add_argument("--hours", type=int, default=500)
    args.add_argument("--nodes", type=int, default=200)
    args.add_argument("--slots", type=int, default=8)
    args.add_argument("--folder", default="/dev/shm")
    asked = args.parse_args()
    root = Path(tempfile.mkdtemp(prefix="dubd-scale-", dir=asked.folder))
    try:
        measure(root, asked.hours, asked.nodes * asked.slots)
    finally:
        shutil.rmtree(root, ignore_errors=True)


def measure(root: Path, hours: int, slots: int) -> None:
    """One workspace from nothing to all built."""
    folders = Folders(root / "inbox", root / "workspace", root / "rules", root / "models")
    for folder in (folders.inbox, folders.workspace, folders.rules):
        folder.mkdir()
    (folders.rules / "quick.yaml").write_text(RULE)
    rule = rules.load(folders.rules / "quick.yaml", ready=False)
    for number in range(hours):
        source = root / f"talk-{number}.mp4"
        source.write_text(f"video {number}")
        Video.claim(source, rule, folders, None)
    total = hours * (4 * SEGMENTS + 3)
    print(f"{hours} h, {hours * SEGMENTS} segments, {total} tasks, {slots} slots; {resident()} MiB before", flush=True)
    executor = Paper(slots)
    tenths, peak = 0, 0
    began, spent = time.monotonic(), time.process_time()

    def tell(news: News) -> None:
        if news.error:
            raise SystemExit(f"failed: {news.error}")

    restarted, waited = False, 0.0
    while True:
        daemon = Daemon(folders, executor, tell, settle=0.1)
        ahead = time.monotonic()
        with daemon._watch:
            while not daemon.idle:
                daemon.step()
                done = len(executor.ran)
                peak = max(peak, resident())
                if done * 10 // total > tenths:
                    tenths = done * 10 // total
                    cpu = (time.process_time() - spent - executor.own) / done * 1000
                    wall = time.monotonic() - began
                    print(f"{done:>8} tasks {wall:7.0f} s {resident():>6} MiB {cpu:6.2f} ms a task", flush=True)
                if not restarted and done >= total // 2:
                    break
            if daemon.idle:
                break
            before = set(executor.ran)
            daemon.stop()
            daemon.run()
            running = set(executor.ran) - before
            restarted, waited = True, time.monotonic() - ahead
            print(f"stopped after {waited:.0f} s at {len(executor.ran)} tasks, {len(running)} ended since", flush=True)
        del daemon
    cpu, wall = time.process_time() - spent, time.monotonic() - began
    twice = sum(count > 1 for count in executor.ran.values())
    dubs = len(list(folders.workspace.glob("*/dubbed.es.mp4")))
    each = (cpu - executor.own) / total * 1000
    print(
        f"{len(executor.ran)} tasks, {dubs} dubs, {twice} tasks twice; {wall:.0f} s of wall, {cpu:.0f} s of processor "
        f"({cpu / wall:.2f} cores), of which stand-ins {executor.own:.0f} s; {each:.2f} ms a task; peak {peak} MiB; "
        f"load {os.getloadavg()[0]:.1f}"
    )


if __name__ == "__main__":
    main()
