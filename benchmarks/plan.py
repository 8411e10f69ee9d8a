"""What `dubd plan` says against the simulated scheduler, and against a real run.

    python benchmarks/plan.py [--hours 500] [--rules english-spanish kannada-hindi lite] [--gpus 1 8 64]
    python benchmarks/plan.py --real [--seconds 600] [--learn 60]

On paper: the rule's stages with published rates, and a second of each stage per minute for what has none; the machine
is `benchmarks/simulation.py`, the decider the daemon's own, 8 CPU slots a GPU (a rule without a GPU has so many slots
as GPUs were asked for, times 8). `ratio` is simulated over planned time; 1.0 is a plan that came true.

Real: the shipped sample looped to `--learn` seconds is dubbed in a fresh workspace, then one of `--seconds` is planned
from those records and dubbed, by the default rule on this machine. The wall time has the start of the workers in it.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))
from benchmarks.chain import SAMPLE, build, loop
from benchmarks.scheduler import SLOTS, ours
from benchmarks.simulation import Machine, tasks
from dubd.cost.chain import chain
from dubd.cost.measured import rates
from dubd.cost.plan import EACH, Asked, Paper, paper, plan
from dubd.cost.plan import Machine as Here
from dubd.graph.rule import Rule
from dubd.graph.rules import check

RULES = Path(__file__).parents[1] / "rules"
CARD = 24 * 1024  # MiB


def rule_of(name: str) -> Rule:
    """A shipped rule, whether its models are here or not."""
    rule, faults = check(RULES / f"{name}.yaml", ready=False)
    if rule is None:
        raise faults[0]
    return rule


def work(rule: Rule, hours: float) -> Paper:
    """Hours of video in videos of ten minutes."""
    links = [link if link.seconds else replace(link, seconds=1 / 60) for link in chain(rule, {}, (), gpus=True)]
    return paper(links, rule, [EACH] * round(hours * 3600 / EACH), CARD)


def both(on: Paper, gpus: int, slots: int) -> tuple[float, float, str]:
    """Seconds planned and simulated, and what sets the plan."""
    cards = gpus if on.needs_gpu else 0
    planned, by = on.takes(cards, slots)
    spent = Machine(ours, tasks(on.stages, on.segments), [on.mib] * cards, slots).run()
    return planned, spent, by


def on_paper(names: Sequence[str], hours: float, gpus: Sequence[int]) -> None:
    """Print a line for each rule and number of GPUs."""
    print(("{:>18}" + "{:>10}" * 6).format("rule", "GPUs", "slots", "planned", "simulated", "ratio", "by"))
    for name in names:
        on = work(rule_of(name), hours)
        for number in gpus:
            planned, spent, by = both(on, number, SLOTS * number)
            times = f"{planned / 3600:>10.2f}{spent / 3600:>10.2f}{spent / planned:>10.3f}"
            print(f"{name:>18}{number if on.needs_gpu else 0:>10}{SLOTS * number:>10}{times}{by:>10}", flush=True)


def real(seconds: float, learn: float) -> None:
    """Dub a short video, plan a longer one from its records, dub that, and print both times."""
    rule, here = rule_of("lite"), Here(len(os.sched_getaffinity(0)))
    with tempfile.TemporaryDirectory() as folder:
        workspace, short, long = Path(folder, "workspace"), Path(folder, "short.mp4"), Path(folder, "long.mp4")
        loop(SAMPLE, learn, short)
        loop(SAMPLE, seconds, long)
        build(short, workspace)
        told = plan(rule, Asked([seconds]), rates(workspace), here)
        began = time.monotonic()
        build(long, workspace)
        spent = time.monotonic() - began
    planned = told["here"]["seconds"]
    load = os.getloadavg()[0]
    print(f"{seconds:.0f} s of video, {here.cores} processors, load {load:.1f}, learnt of {learn:.0f} s: planned "
          f"{planned:.0f} s, took {spent:.0f} s, ratio {spent / planned:.3f}; unknown: {told['unknown']}")  # fmt: skip


def main() -> None:
    """Compare and print."""
    args = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    args.add_argument("--hours", type=float, default=500.0)
    args.add_argument("--rules", nargs="+", default=["english-spanish", "kannada-hindi", "audio-only", "lite"])
    args.add_argument("--gpus", nargs="+", type=int, default=[1, 8, 64])
    args.add_argument("--real", action="store_true")
    args.add_argument("--seconds", type=float, default=600.0)
    args.add_argument("--learn", type=float, default=60.0)
    asked = args.parse_args()
    if asked.real:
        real(asked.seconds, asked.learn)
    else:
        on_paper(asked.rules, asked.hours, asked.gpus)


if __name__ == "__main__":
    main()
