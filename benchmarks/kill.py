"""kill -9 at random instants over real builds: is the end the same, is finished work kept, is anything left behind?

    python benchmarks/kill.py [VIDEO] [--kills 100] [--clip START+DURATION] [--seed 1]

Builds VIDEO once undisturbed, then again and again with a kill at a random instant each, starting anew whenever a
series has got through, until that many kills were made. Prints one line a series; exits 1 where one went wrong.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

SAMPLE = Path(__file__).parents[1] / "script" / "sample" / "talking_head.mp4"
_NO_ARTIFACT = (".state.sqlite", ".lock", "report.json", "report.html")  # records and figures of the run itself


@dataclass
class Series:
    """What a row of killed runs and the one that got through came to."""

    kills: int = 0
    ran: list[str] = field(default_factory=list)
    again: list[str] = field(default_factory=list)  # tasks that ran although a run before had finished them
    artifacts: dict[str, bytes] = field(default_factory=dict)
    strays: list[str] = field(default_factory=list)
    exit: int = 0


def artifacts(workspace: Path) -> dict[str, bytes]:
    """Every artifact of every video, by path."""
    return {
        str(path.relative_to(workspace)): path.read_bytes()
        for path in sorted(workspace.glob("*/**/*"))
        if path.is_file()
        and "log" not in path.parts
        and not path.name.startswith(_NO_ARTIFACT)
        and not any(part.startswith(".") for part in path.relative_to(workspace).parts[:1])
    }


def start(video: Path, workspace: Path, more: list[str]) -> subprocess.Popen[str]:
    """`dubd run --json`, in a session of its own."""
    return subprocess.Popen(
        [sys.executable, "-m", "dubd", "run", str(video), "--json", *more],
        env={**os.environ, "DUBD_WORKSPACE": str(workspace)},
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        start_new_session=True,
    )


def finished(lines: str) -> Iterator[str]:
    """Names of the tasks that the run says it ran."""
    for line in lines.splitlines():
        try:
            entry = json.loads(line)
        except ValueError:
            continue  # the line that the kill cut short
        if entry.get("state") == "ran":
            yield entry["task"]


def undisturbed(video: Path, workspace: Path, more: list[str]) -> tuple[Series, float]:
    """One build, and how long it took in seconds."""
    began = time.monotonic()
    with start(video, workspace, more) as process:
        out, _ = process.communicate()
    return Series(0, list(finished(out)), [], artifacts(workspace), [], process.returncode), time.monotonic() - began


def disturbed(video: Path, workspace: Path, more: list[str], longest: float, dice: random.Random, most: int) -> Series:
    """Kill, start again, kill, ... at most `most` times, then let it through."""
    series = Series()
    while True:
        with start(video, workspace, more) as process:
            try:
                out, _ = process.communicate(timeout=dice.uniform(0.2, longest) if series.kills < most else None)
            except subprocess.TimeoutExpired:
                process.send_signal(signal.SIGKILL)
                out, _ = process.communicate()
                series.kills += 1
        ran = list(finished(out))
        series.again += [task for task in ran if task in series.ran]
        series.ran += ran
        if process.returncode != -signal.SIGKILL:
            break
    series.exit = process.returncode
    series.artifacts = artifacts(workspace)
    series.strays = [str(path) for path in workspace.rglob(".tmp-*")]
    return series


def main() -> int:
    """Run series until the kills are made."""
    args = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    args.add_argument("video", nargs="?", type=Path, default=SAMPLE)
    args.add_argument("--kills", type=int, default=100)
    args.add_argument("--clip", default="0+4")
    args.add_argument("--seed", type=int, default=1)
    asked = args.parse_args()
    more = ["--clip", asked.clip] if asked.clip else []
    dice, kills, bad = random.Random(asked.seed), 0, 0
    with tempfile.TemporaryDirectory() as folder:
        reference, seconds = undisturbed(asked.video.resolve(), Path(folder, "undisturbed"), more)
        print(
            f"undisturbed: {len(reference.ran)} tasks, {len(reference.artifacts)} artifacts, {seconds:.1f} s",
            flush=True,
        )
        while kills < asked.kills:
            workspace = Path(folder, "killed")
            series = disturbed(asked.video.resolve(), workspace, more, seconds / 2, dice, min(12, asked.kills - kills))
            equal = series.artifacts == reference.artifacts
            kills += series.kills
            wrong = not equal or bool(series.again) or bool(series.strays) or series.exit != 0
            bad += wrong
            print(
                f"{series.kills} kills: artifacts {'equal' if equal else 'DIFFER'}, "
                f"{len(series.again)} finished tasks run again, {len(series.strays)} stray files, exit {series.exit}",
                flush=True,
            )
            shutil.rmtree(workspace)
    print(f"{kills} kills in all, {bad} series went wrong")
    return int(bad > 0)


if __name__ == "__main__":
    sys.exit(main())
