"""What a run costs when nothing has changed: dubd beside make and ninja, on the same number of files.

    python benchmarks/noop.py [--videos 83] [--segments 90]

A video of 90 segments is one hour in 40 s cuts: 723 tasks. It is built once with stand-in stages, then
copied with its records; make and ninja get the same graph as files and rules. Prints seconds, peak memory of
the measuring process and the ratio to make, best of three runs each.
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
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))
from dubd.graph.state import FILE
from dubd.graph.steps import plan_step, steps
from dubd.graph.tasks import VideoTasks
from dubd.graph.video import Video, videos
from dubd.graph.video_build import VideoBuild
from tests.graph.stand import Desk


def prepare(root: Path, count: int, segments: int) -> Path:
    """A workspace of `count` finished videos."""
    desk = Desk(root)
    desk.stand.segments = segments
    desk.build()
    first = desk.folder
    for index in range(1, count):
        clone = first.with_name(f"talk-{index:08x}")
        shutil.copytree(first, clone, symlinks=True)
        with sqlite3.connect(clone / FILE) as db:
            for table, column in (("doit", "task_id"), ("run", "task"), ("note", "value")):
                db.execute(f"update {table} set {column}=replace({column}, ?, ?)", (first.name, clone.name))
    return desk.folders.workspace


def noop(folder: Path) -> int:
    """One in-process build of a video; the number of its tasks, all skipped."""
    seen = []
    with VideoBuild(Video.open(folder), lambda event: seen.append(event.state)) as build:
        assert build.done, "something was stale"
    assert set(seen) == {"skipped"}
    return len(seen)


def whole_graph(folder: Path) -> int:
    """The same without the signature: doit's own walk over every task."""
    with sqlite3.connect(folder / FILE) as db:
        db.execute("delete from note where name='settled'")
    return noop(folder)


def peers(root: Path, workspace: Path) -> None:
    """The same graph as build.ninja and Makefile, over empty files."""
    rules_ninja, rules_make, goals = ["rule t\n  command = touch $out\n"], [], []
    for folder in videos(workspace):
        video = Video.open(folder)
        plan = VideoTasks(video).read_plan()
        assert plan
        for step in (plan_step(video.rule, video.source), *steps(video.rule, plan, video.source, None, video.title)):
            ins = [*step.inputs.values(), *(p for paths in step.lists.values() for p in paths), *step.reads.values()]
            outs = [f"{folder.name}/{path}" for path in step.outputs.values()]
            ins = [f"{folder.name}/{path}" for path in ins]
            rules_ninja.append(f"build {' '.join(outs)}: t {' '.join(ins)}\n")
            rules_make.append(f"{' '.join(outs)} &: {' '.join(ins)}\n\ttouch {' '.join(outs)}\n")
            goals += outs
            for path in (*outs, *ins):
                (root / path).parent.mkdir(parents=True, exist_ok=True)
                (root / path).touch()
    (root / "build.ninja").write_text("".join(rules_ninja))
    (root / "Makefile").write_text(f"all: {' '.join(goals)}\n{''.join(rules_make)}")
    for command in (["ninja", "-C", str(root)], ["make", "-rR", "-s", "-C", str(root)]):
        subprocess.run(command, stdout=subprocess.DEVNULL, check=True)


def best(call: object) -> float:
    """Seconds, best of three."""
    found = []
    for _ in range(3):
        began = time.perf_counter()
        call()  # type: ignore[operator]
        found.append(time.perf_counter() - began)
    return min(found)


def peak_memory() -> float:
    """MiB of this process alone: getrusage's figure would include the parent that forked it."""
    status = Path("/proc/self/status").read_text()
    return int(status.split("VmHWM:")[1].split()[0]) / 1024


def main() -> None:
    """Measure and print."""
    args = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    args.add_argument("--videos", type=int, default=83)
    args.add_argument("--segments", type=int, default=90)
    args.add_argument("--measure", type=Path, help=argparse.SUPPRESS)
    asked = args.parse_args()
    if asked.measure:
        folders = list(videos(asked.measure))
        one = best(lambda: noop(folders[0]))
        tasks = sum(map(noop, folders))
        everything = best(lambda: [noop(folder) for folder in folders])
        graph = best(lambda: whole_graph(folders[-1]))
        peak = peak_memory()
        print(f"{one} {everything} {graph} {peak} {tasks}")
        return
    with tempfile.TemporaryDirectory() as temporary:
        root = Path(temporary)
        workspace = prepare(root, asked.videos, asked.segments)
        measured = subprocess.run(
            [sys.executable, __file__, "--measure", str(workspace)], stdout=subprocess.PIPE, text=True, check=True
        )
        one, everything, graph, peak, tasks = map(float, measured.stdout.split())
        (root / "peers").mkdir()
        peers(root / "peers", workspace)
        quiet = {"stdout": subprocess.DEVNULL, "check": True}
        make = best(lambda: subprocess.run(["make", "-rR", "-s", "-C", str(root / "peers")], **quiet))
        ninja = best(lambda: subprocess.run(["ninja", "-C", str(root / "peers")], **quiet))
    print(f"{int(tasks)} tasks, {asked.videos} videos, {os.cpu_count()} processors")
    print(f"dubd, one video            {one:7.3f} s")
    print(f"dubd, one video, full walk {graph:7.3f} s")
    print(f"dubd, all videos           {everything:7.3f} s  {everything / make:5.2f} x make  peak {peak:.0f} MiB")
    print(f"make -rR, all              {make:7.3f} s")
    print(f"ninja, all                 {ninja:7.3f} s  {everything / ninja:5.2f} x (dubd / ninja)")


if __name__ == "__main__":
    main()
