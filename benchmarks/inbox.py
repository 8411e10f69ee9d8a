"""What the inbox costs: a scan of many drops, a daemon at rest, and the way from a drop to its first task.

    python benchmarks/inbox.py [--files 5000] [--rest 60] [--drops 5]

The daemon is the real `dubd watch`; its memory and processor time are read from /proc, those of its workers are not
among them. A drop's first task begins when its plan does, by the video's own records.
"""

from __future__ import annotations

import argparse
import os
import sqlite3
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))
from dubd.service.inbox import Inbox

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


def way(home: Path, number: int) -> float:
    """Seconds from the end of a copy to the begin of the plan, without the settle time."""
    path = home / "inbox" / f"drop{number}.mp4"
    path.write_text(f"no video {number}")
    dropped = time.time()
    while time.time() < dropped + 30:
        for state in home.glob(f"workspace/drop{number}-*/.state.sqlite"):
            with sqlite3.connect(f"file:{state}?mode=ro", uri=True) as db:
                rows = db.execute("select at - seconds from run where state='failed'").fetchall()
            if rows:
                return float(rows[0][0]) - dropped - SETTLE
        time.sleep(0.1)
    raise SystemExit("the drop was not taken")


def main() -> None:
    """Measure, print, and leave with 1 where a bound is not kept."""
    args = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    args.add_argument("--files", type=int, default=5000)
    args.add_argument("--rest", type=float, default=60)
    args.add_argument("--drops", type=int, default=5)
    asked = args.parse_args()
    results: list[tuple[str, float, float, str]] = []
    with tempfile.TemporaryDirectory() as temporary:
        root = Path(temporary)
        (root / "many").mkdir()
        results.append((f"scan of {asked.files} drops", scan(root / "many", asked.files) * 1000, 60.0, "ms"))
        home = root / "home"
        for name in ("inbox", "workspace", "rules", "models"):
            (home / name).mkdir(parents=True)
        (home / "rules" / "quick.yaml").write_text(RULE)
        env = {**os.environ, **{f"DUBD_{n.upper()}": str(home / n) for n in ("inbox", "workspace", "rules", "models")}}
        command = [sys.executable, "-m", "dubd", "watch", "--settle", str(SETTLE)]
        quiet = subprocess.DEVNULL
        with subprocess.Popen(command, env=env, cwd=Path(__file__).parents[1], stdout=quiet, stderr=quiet) as process:
            time.sleep(10)
            ways = sorted(way(home, number) for number in range(asked.drops))
            time.sleep(5)
            before, began = processor(process.pid), time.monotonic()
            time.sleep(asked.rest)
            used = (processor(process.pid) - before) / (time.monotonic() - began)
            results.append(("daemon at rest, memory", memory(process.pid), 80.0, "MiB"))
            results.append(("daemon at rest, processor", used * 100, 0.2, "%"))
            results.append(("drop to first task, beyond settling, median", ways[len(ways) // 2], 0.2, "s"))
            process.terminate()
    print(f"{os.cpu_count()} processors, load {os.getloadavg()[0]:.1f}")
    for what, found, bound, unit in results:
        print(f"{what:44} {found:8.2f} {unit:4} bound {bound:6.1f}  {found / bound:5.2f} of it")
    sys.exit(any(found > bound for _, found, bound, _ in results))


if __name__ == "__main__":
    main()
