"""A chain of stages on paper: how long it takes, from below by bounds, and about by what a schedule adds to them.

One stage that runs on a card takes `share` of its compute. Where the shares of those that run together add up to
more than 1, all of them slow down by that sum.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import product

from dubd.engines.contract import Vram
from dubd.schedule.ledger import MARGIN


@dataclass(frozen=True)
class Stage:
    """One stage of a chain: seconds on a device of its own, and what it follows within its segment.

    `whole`: one task a video, which follows `after` of every segment. `vram` None: it runs on a CPU slot, with `home`
    on one of the head's, where the video lies.
    """

    name: str
    after: tuple[str, ...]
    each: float
    fixed: float = 0.0
    load: float = 1.5
    share: float = 1.0
    vram: Vram | None = None
    batch: int = 1
    whole: bool = False
    home: bool = False

    @property
    def parallel(self) -> int:
        """Workers on one card at once: as many as fill its compute."""
        return math.ceil(1 / self.share)

    def seconds(self, items: int) -> float:
        """A batch's time when alone."""
        return self.fixed + self.each * items

    @property
    def least(self) -> float:
        """Seconds an item, in batches that are full."""
        return self.seconds(self.batch) / self.batch


def bounds(
    chain: Sequence[Stage], segments: Sequence[int], cards: Sequence[int], slots: int, head: int | None = None
) -> dict[str, float]:
    """Seconds below which no order of the work can come, by what sets the limit.

    `segments` a video, MiB a card, CPU slots. "VRAM": VRAM-seconds / VRAM. "GPU": GPU time / cards. "path": the
    longest through one video. "CPU": CPU time / slots. "head": CPU time of `home` stages / `head`, which are the
    head's slots, None where there is but one machine. "worker" and "sharing" are the bounds under dubd's own terms
    (`_own`).
    """
    count = {stage.name: len(segments) if stage.whole else sum(segments) for stage in chain}
    gpu = [stage for stage in chain if stage.vram]
    cpu = sum(count[s.name] * s.least for s in chain if not s.vram) / slots
    path: dict[str, float] = {}
    for stage in chain:
        path[stage.name] = stage.least + max((path[name] for name in stage.after), default=0.0)
    home = {} if head is None else {"head": sum(count[s.name] * s.least for s in chain if s.home and not s.vram) / head}
    if not gpu:
        return {"path": max(path.values()), "CPU": cpu, **home}
    least = {s.name: min(s.vram.at(n) * s.seconds(n) / n for n in range(1, s.batch + 1)) for s in gpu if s.vram}
    return {
        "path": max(path.values()),
        "VRAM": sum(count[name] * value for name, value in least.items()) / sum(total - MARGIN for total in cards),
        "GPU": sum(count[s.name] * s.least * s.share for s in gpu) / len(cards),
        "CPU": cpu,
        **home,
        **_own(chain, gpu, {s.name: count[s.name] * s.least / len(cards) for s in gpu}, max(cards) - MARGIN),
    }


def _own(chain: Sequence[Stage], gpu: Sequence[Stage], work: Mapping[str, float], room: int) -> dict[str, float]:
    """`worker`: so many workers a stage and card; `sharing`: only what fits a card at once, slowed down together (a
    linear program over the sets of stages that can run side by side). A load when the first ticket of a stage is ready.

    `work` is each stage's seconds a card, `room` a card's MiB.
    """
    import numpy as np
    from scipy.optimize import linprog

    begins: dict[str, float] = {}
    for stage in chain:
        ready = max((begins[s.name] + s.seconds(1) for s in chain if s.name in stage.after), default=0.0)
        begins[stage.name] = ready + (stage.load if stage.vram else 0.0)
    tail: dict[str, float] = {}
    for stage in reversed(chain):
        tail[stage.name] = max((tail[s.name] + s.least for s in chain if stage.name in s.after), default=0.0)
    together = list(_together(gpu, room))
    shares = [max(1.0, sum(n * s.share for n, s in zip(counts, gpu, strict=True))) for counts in together]
    speed = [[counts[i] / share for counts, share in zip(together, shares, strict=True)] for i in range(len(gpu))]
    # A second of each set does so much of each stage: the fewest seconds that do all the work of all stages.
    solved = linprog([1.0] * len(together), -np.array(speed), [-work[s.name] for s in gpu])
    assert solved.fun is not None, solved.message
    return {
        "worker": max(begins[s.name] + work[s.name] / s.parallel + tail[s.name] for s in gpu),
        "sharing": min(begins[s.name] for s in gpu) + float(solved.fun) + min(tail[s.name] for s in gpu),
    }


def _together(gpu: Sequence[Stage], room: int) -> Iterator[tuple[int, ...]]:
    for counts in product(*(range(s.parallel + 1) for s in gpu)):
        need = sum(n * s.vram.at(1) for n, s in zip(counts, gpu, strict=True) if s.vram)
        if any(counts) and need <= room:
            yield counts


def makespan(
    chain: Sequence[Stage], segments: Sequence[int], cards: Sequence[int], slots: int, head: int | None = None
) -> tuple[float, str]:
    """Seconds that the work takes about, and the bound that sets them.

    To the bound comes what a schedule loses at its ends, when a whole-video stage (plan, voice, assemble) has but one
    task left for all slots: the work goes on at one slot in place of `slots`, so 1 - 1 / slots of it is lost.
    benchmarks/plan.py holds this against the simulated scheduler.
    """
    limits = bounds(chain, segments, cards, slots, head)
    by = max(limits, key=lambda limit: limits[limit])
    alone = sum(stage.least for stage in chain if stage.whole and not stage.vram)
    if by == "head" and head:
        slots = head
    lost = alone * (1 - 1 / slots) if by in ("CPU", "head") else 0.0
    return limits[by] + lost, by
