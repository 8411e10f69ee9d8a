"""What the inbox costs: a scan of many drops, a daemon at rest, the way from a drop to its first task, and of an edit.

    python benchmarks/inbox.py [--files 5000] [--rest 60] [--drops 5] [--hours 200]

The daemon is the real `dubd watch`; its memory and processor time are read from /proc, those of its workers are not
among them. A drop's first task begins when its plan does, by the video's own records. It is measured twice: with an
empty workspace, and with so many finished hours of 120 segments. One of these is built by the real graph with stand-ins
for its stages; the others are that one under other names, its files linked.
"""

from __future__ import annotations

import argparse
import os
import shutil
import sqlite3
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))
from dubd.service.inbox import Inbox
from tests.graph.stand import Desk

SEGMENTS = 120  # an hour in cuts of 30 s
SETTLE = 2.0
RULE = (
    "default: true\nlanguages: {source: en, target: es}\nstages: {lipsync: {engine: none}, restore: {engine: none}}\n"
)


def scan(root: Path, count: int) -> float:
    """Seconds of one scan of drops that are all known, best of five."""
    for number in range(count):
        (root / f"film {number}.mp4").write_bytes(b"x")
    inbox = Inbox(root, settle=0.0)
    for now in (0.0, 1.0):
        inbox.scan(now)
    found = []
    for now in range(5):
        began = time.perf_counter()
        assert inbox.scan(2.0 + now) == []
        found.append(time.perf_counter() - began)
    return min(found)


def memory(pid: int) -> float:
    """Resident MiB of a process."""
    return int(Path(f"/proc/{pid}/status").read_text().split("VmRSS:")[1].split()[0]) / 1024


def processor(pid: int) -> float:
    """Seconds of processor time that a process has had."""
    words = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(words[11]) + int(words[12])) / os.sysconf("SC_CLK_TCK")


def fill(root: Path, workspace: Path, hours: int) -> None:
    """So many finished hours in a workspace."""
    root.mkdir()
    desk = Desk(root)
    desk.stand.segments = SEGMENTS
    desk.build()
    name, key = desk.folder.name, desk.folder.name.rpartition("-")[2]
    for hour in range(hours):
        folder = workspace / f"hour{hour}-{key}"
        shutil.copytree(desk.folder, folder, copy_function=os.link, ignore=shutil.ignore_patterns(".*"))
        state = folder / ".state.sqlite"
        shutil.copy(desk.folder / state.name, state)
        with sqlite3.connect(state) as db:
            db.execute("update doit set task_id = replace(task_id, ?, ?)", (name, folder.name))
            db.execute("update run set task = replace(task, ?, ?)", (name, folder.name))
            db.execute("update note set value = replace(value, ?, ?) where name <> 'drop'", (name, folder.name))


def first(state: Path, task: str, after: float) -> float | None:
    """When a task that begins with `task` began, after some time; None where it has not."""
    with sqlite3.connect(f"file:{state}?mode=ro", uri=True) as db:
        query = "select min(at - seconds) from run where instr(task, ?) and at - seconds > ?"
        with suppress(sqlite3.OperationalError):  # it is being made
            if found := db.execute(query, (task, after)).fetchone()[0]:
                return float(found)
    return None


def way(home: Path, number: int) -> float:
    """Seconds from the end of a copy to the begin of the plan, without the settle time."""
    path = home / "inbox" / f"drop{number}.mp4"
    path.write_text(f"no video {number}")
    dropped = time.time()
    while time.time() < dropped + 30:
        for state in home.glob(f"workspace/drop{number}-*/.state.sqlite"):
            if began := first(state, "plan:", dropped):
                return began - dropped - SETTLE
        time.sleep(0.1)
    raise SystemExit("the drop was not taken")


def edit(folder: Path, number: int) -> float:
    """Seconds from a hand edit of a finished video to the begin of what follows from it."""
    (folder / "segments" / f"{number:03d}" / "translation.json").write_text(f"edited {number}")
    edited = time.time()
    while time.time() < edited + 120:
        if began := first(folder / ".state.sqlite", f":{number:03d}/", edited):
            return began - edited
        time.sleep(0.1)
    raise SystemExit("the edit was not taken up")


def main() -> None:
    """Measure, print, and leave with 1 where a bound is not kept."""
    args = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    args.add_argument("--files", type=int, default=5000)
    args.add_argument("--rest", type=float, default=60)
    args.add_argument("--drops", type=int, default=5)
    args.add_argument("--hours", type=int, default=200)
    asked = args.parse_args()
    results: list[tuple[str, float, float, str]] = []
    with tempfile.TemporaryDirectory() as temporary:
        root = Path(temporary)
        (root / "many").mkdir()
        results.append((f"scan of {asked.files} drops", scan(root / "many", asked.files) * 1000, 60.0, "ms"))
        for hours in (0, asked.hours):
            home = root / f"home{hours}"
            for name in ("inbox", "workspace", "rules", "models"):
                (home / name).mkdir(parents=True)
            (home / "rules" / "quick.yaml").write_text(RULE)
            if hours:
                fill(root / "desk", home / "workspace", hours)
            results += daemon(home, asked.rest, asked.drops, f"{hours} finished hours")
    print(f"{os.cpu_count()} processors, load {os.getloadavg()[0]:.1f}")
    for what, found, bound, unit in results:
        print(f"{what:64} {found:8.2f} {unit:4} bound {bound:6.1f}  {found / bound:5.2f} of it")
    sys.exit(any(found > bound for _, found, bound, _ in results))


def daemon(home: Path, rest: float, drops: int, beside: str) -> list[tuple[str, float, float, str]]:
    """What a daemon takes beside what is in its workspace: (what, figure, bound, unit)."""
    env = {**os.environ, **{f"DUBD_{n.upper()}": str(home / n) for n in ("inbox", "workspace", "rules", "models")}}
    command = [sys.executable, "-m", "dubd", "watch", "--settle", str(SETTLE)]
    quiet = subprocess.DEVNULL
    with subprocess.Popen(command, env=env, cwd=Path(__file__).parents[1], stdout=quiet, stderr=quiet) as process:
        try:
            settled(process.pid)
            started = processor(process.pid)
            ways = sorted(way(home, number) for number in range(drops))
            settled(process.pid)
            before, began = processor(process.pid), time.monotonic()
            time.sleep(rest)
            used = (processor(process.pid) - before) / (time.monotonic() - began)
            resident = memory(process.pid)
            finished = sorted(home.glob("workspace/hour*"))
            edits = sorted(edit(finished[-1], number) for number in range(drops)) if finished else []
        finally:
            process.terminate()
    found = [
        ("daemon at rest, memory", resident, 80.0, "MiB"),
        ("daemon at rest, processor", used * 100, 0.2, "%"),
        ("drop to first task, beyond settling, median", ways[len(ways) // 2], 0.2, "s"),
    ]
    if edits:
        found.append(("start, processor", started, 60.0, "s"))
        found.append(("hand edit to first task, median", edits[len(edits) // 2], 5.0, "s"))
    return [(f"{what}, {beside}", *figures) for what, *figures in found]


def settled(pid: int) -> None:
    """Wait until a process has taken less than a hundredth of the processor for ten seconds."""
    end = time.monotonic() + 120
    while time.monotonic() < end:
        before = processor(pid)
        time.sleep(10)
        if processor(pid) - before < 0.1:
            return
    raise SystemExit("the daemon does not come to rest")


if __name__ == "__main__":
    main()
