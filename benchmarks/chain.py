"""The whole chain against the clock: wall time over the clip's length, and peak memory at two lengths.

    python benchmarks/chain.py [VIDEO] [--seconds 60 600]

VIDEO (default: the shipped sample) is looped to each length and built with the default rule in a fresh
workspace. Real time is 1.0; memory is the peak of the sum over all processes of the run (PSS, so shared
pages count once), also in each quarter of the run: what grew with the length would rise from one to the
next. Start-up of the workers is within the wall time; processor time is that of the whole run.
"""

from __future__ import annotations

import argparse
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

SAMPLE = Path(__file__).parents[1] / "script" / "sample" / "talking_head.mp4"


def loop(video: Path, seconds: float, out: Path) -> None:
    """`video` again and again, up to `seconds`, by stream copy."""
    copy = ["-t", str(seconds), "-c", "copy", str(out)]
    subprocess.run(["ffmpeg", "-v", "error", "-stream_loop", "-1", "-i", str(video), *copy], check=True)


def family(root: int) -> list[int]:
    """A process and all its descendants."""
    found, queue = [], [root]
    while queue:
        pid = queue.pop()
        found.append(pid)
        for tasks in Path(f"/proc/{pid}/task").glob("*/children"):
            try:
                queue += [int(child) for child in tasks.read_text().split()]
            except OSError:
                continue
    return found


def memory(pid: int) -> int:
    """PSS of a process in KiB, 0 once it is gone."""
    try:
        text = Path(f"/proc/{pid}/smaps_rollup").read_text()
    except OSError:
        return 0
    return next((int(line.split()[1]) for line in text.splitlines() if line.startswith("Pss:")), 0)


def build(video: Path, workspace: Path) -> tuple[float, float, list[float]]:
    """One `dubd run`: seconds of wall and of processor time, and the peak memory in MiB of each quarter of it."""
    began, taken = time.monotonic(), [0]
    spent = processor_time()
    environment = {**os.environ, "DUBD_WORKSPACE": str(workspace)}
    command = [sys.executable, "-m", "dubd", "run", str(video)]
    with subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL) as process:
        while process.poll() is None:
            taken.append(sum(map(memory, family(process.pid))))
            time.sleep(2.0)  # a look takes the kernel 100 ms, which would show in the wall time
    if process.returncode:
        sys.exit(f"the build ended with exit code {process.returncode}")
    quarter = -(-len(taken) // 4)
    peaks = [max(taken[at : at + quarter]) / 1024 for at in range(0, len(taken), quarter)]
    return time.monotonic() - began, processor_time() - spent, peaks


def processor_time() -> float:
    """Seconds, user and system, of all children that have ended, and theirs."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def main() -> None:
    """Measure each length and print ratios."""
    args = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    args.add_argument("video", nargs="?", type=Path, default=SAMPLE)
    args.add_argument("--seconds", nargs="+", type=float, default=[60.0, 600.0])
    asked = args.parse_args()
    first = None
    print(f"{asked.video.name}, {len(os.sched_getaffinity(0))} processors")
    for seconds in asked.seconds:
        with tempfile.TemporaryDirectory() as folder:
            clip = Path(folder, "clip.mp4")
            loop(asked.video, seconds, clip)
            wall, spent, peaks = build(clip, Path(folder, "workspace"))
        peak = max(peaks)
        first = first or peak
        quarters = " ".join(f"{each:.0f}" for each in peaks)
        print(
            f"{seconds:6.0f} s: {wall:7.1f} s wall, {wall / seconds:5.2f} x real time, {spent:6.1f} s of a processor, "
            f"peak {peak:5.0f} MiB ({peak / first:4.2f} x the first), by quarters {quarters}",
            flush=True,
        )


if __name__ == "__main__":
    main()
