"""A plan for hours of video by a rule: hours of each device, when it is done, how many devices it takes."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from dubd.cost.bounds import Stage, makespan
from dubd.cost.chain import Link, chain
from dubd.cost.measured import Kind, Median
from dubd.cost.prices import Prices, elsewhere
from dubd.cost.published import DISK
from dubd.graph.rule import Rule
from dubd.schedule.ledger import MARGIN

EACH = 600.0
"""Seconds of one video, where an amount is planned and not files."""

_MIB = 24 * 1024  # of a card, where none is here and its size was not given
_MOST = 1 << 16  # devices


@dataclass(frozen=True)
class Machine:
    """What there is: CPU slots, and the GPUs by name with their MiB."""

    cores: int
    gpus: Sequence[tuple[str, int]] = ()


@dataclass(frozen=True)
class Asked:
    """What is to be planned. `videos`: their seconds. `gpus`: so many; `within`: s until it must be done.

    `machines`: these lie in so many of one size, which share no files; the first is the head.
    """

    videos: Sequence[float]
    gpus: int | None = None
    cores: int | None = None
    within: float | None = None
    machines: int = 1
    prices: Prices = field(default_factory=Prices)


@dataclass(frozen=True)
class Paper:
    """The work as stages on paper, and the segments of each video."""

    stages: Sequence[Stage]
    segments: Sequence[int]
    mib: int

    def takes(self, gpus: int, cores: int, machines: int = 1) -> tuple[float, str]:
        """Seconds on so many devices, in so many machines, and what sets them."""
        head = None if machines == 1 else max(1, cores // machines)
        return makespan(self.stages, self.segments, [self.mib] * gpus, cores, head)

    @property
    def needs_gpu(self) -> bool:
        """Whether any stage runs on a card."""
        return any(stage.vram for stage in self.stages)


def paper(links: Sequence[Link], rule: Rule, videos: Sequence[float], mib: int) -> Paper:
    """The rule's stages with videos of their mean length, cut into segments as the rule wants them."""
    length = rule.segments.target
    segments = [max(1, round(seconds / length)) for seconds in videos]
    piece = sum(videos) / sum(segments)
    return Paper([link.paper(piece, sum(videos) / len(videos)) for link in links], segments, mib)


def plan(
    rule: Rule, asked: Asked, known: Mapping[Kind, Median], machine: Machine, disk: tuple[float, int] | None = None
) -> dict[str, Any]:
    """The plan as docs/cost.md describes it. `known`, `disk`: what was measured in the workspace."""
    videos = [min(seconds, rule.clip.duration) if rule.clip else seconds for seconds in asked.videos]
    names = [name for name, _ in machine.gpus]
    links = chain(rule, known, names, gpus=asked.gpus != 0)
    total = sum(videos)
    needs = max((link.vram.at(1) for link in links if link.vram), default=0)
    mib = max((mib for _, mib in machine.gpus), default=_MIB)
    mib = max(mib, needs + MARGIN)  # cards that are too small are told as such by `here`
    work = paper(links, rule, videos, mib)
    hours = {
        gpu: sum((link.device_seconds or 0.0) * total for link in links if link.gpu is gpu) / 3600
        for gpu in (True, False)
    }
    cores = asked.cores or machine.cores * asked.machines
    lips = rule.stages.lipsync.on
    per_second, count = disk or (DISK, 0)
    return {
        "rule": rule.name,
        "videos": len(videos),
        "hours": round(total / 3600, 4),
        "stages": [_row(link, total) for link in links],
        "unknown": [link.stage for link in links if link.origin == "unknown"],
        "gpu_hours": round(hours[True], 4),
        "core_hours": round(hours[False], 4),
        "vram": {"needed": needs, "card": mib if work.needs_gpu else None},
        "here": _here(work, machine, needs),
        "asked": _asked(work, asked, cores, len(names)),
        "prices": asked.prices.of(hours[True]),
        "disk": {"bytes": round(per_second * total), "origin": "measured" if disk else "assumed", "videos": count},
        "cloud": elsewhere(total / 60, len(rule.languages.target), lips=lips),
    }


def _row(link: Link, total: float) -> dict[str, Any]:
    seconds = link.device_seconds
    return {
        "stage": link.stage,
        "engine": link.engine,
        "on": "gpu" if link.gpu else "cpu",
        "device": link.device,
        "seconds_per_hour": None if seconds is None else round(seconds * 3600, 3),
        "hours": None if seconds is None else round(seconds * total / 3600, 6),
        "origin": link.origin,
        "tasks": link.count,
        "source": link.source or None,
        "vram": link.vram.at(1) if link.vram else None,
    }


def _done(work: Paper, gpus: int, cores: int, machines: int = 1) -> dict[str, Any]:
    seconds, by = work.takes(gpus, cores, machines)
    found = {"gpus": gpus, "cores": cores, "machines": machines, "seconds": round(seconds, 1), "by": by}
    return found | {"bottleneck": _bottleneck(work, by)}


def _here(work: Paper, machine: Machine, needs: int) -> dict[str, Any]:
    """When this machine would be done; `seconds` None where it lacks a GPU that is large enough."""
    fit = [mib for _, mib in machine.gpus if mib - MARGIN >= needs]
    names = [name for name, _ in machine.gpus]
    if work.needs_gpu and not fit:
        return {"gpus": len(names), "names": names, "cores": machine.cores, "seconds": None}
    return _done(work, len(fit) if work.needs_gpu else 0, machine.cores) | {"names": names}


def _asked(work: Paper, asked: Asked, cores: int, here: int) -> dict[str, Any] | None:
    """What was asked: done in, or how many devices of what was not given; `here`: GPUs of this machine.

    `gpus` None where no number of them is enough; `least` is then what all that there may be would take.
    """
    machines = asked.machines
    more: dict[str, Any] = {"given": {"gpus": asked.gpus, "cores": asked.cores}}
    if asked.within is None:
        if asked.gpus is None and asked.cores is None and machines == 1:
            return None
        gpus = (here or 1) if asked.gpus is None else asked.gpus
        return _done(work, gpus if work.needs_gpu else 0, cores, machines) | more
    within, most = asked.within, asked.cores or _MOST * machines
    more["within"] = round(within)

    def enough(gpus: int, cores: int) -> bool:
        return work.takes(gpus, cores, machines)[0] <= within

    cards: int | None = asked.gpus if work.needs_gpu else 0
    if cards is None:
        cards = _least(lambda number: enough(number, most))
    found: int | None = None
    if cards is not None and asked.cores:
        found = asked.cores if enough(cards, asked.cores) else None
    elif cards is not None:
        each = _least(lambda number: enough(cards, number * machines))  # of one machine: all have as many
        found = each and each * machines
    if cards is None or found is None:
        least = work.takes((asked.gpus or _MOST) if work.needs_gpu else 0, most, machines)[0]
        return {"gpus": None, "cores": None, "machines": machines, "least": round(least, 1)} | more
    return _done(work, cards, found, machines) | more


def _least(enough: Callable[[int], bool]) -> int | None:
    """The least number of devices that is enough; more of them are never slower."""
    high = 1
    while not enough(high):
        high *= 2
        if high > _MOST:
            return None
    low = high // 2
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if enough(middle) else (middle, high)
    return high


def _bottleneck(work: Paper, by: str) -> str | None:
    """The stage that takes most of what sets the time: the cards, the slots, or one video's way through the chain."""
    on_card = by not in ("path", "CPU", "head")
    stages = [s for s in work.stages if by == "path" or (s.vram is not None) == on_card]
    stages = [s for s in stages if s.home] if by == "head" else stages
    count = {True: len(work.segments), False: sum(work.segments)}
    load = {s.name: s.least * s.share * (1 if by == "path" else count[s.whole]) for s in stages}
    best = max(load, key=lambda name: load[name], default=None)
    return best if best is not None and not math.isclose(load[best], 0.0) else None
