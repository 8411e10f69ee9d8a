"""Decide what becomes of each frame's mouth: left alone, replaced by another of the speaker's, or bent."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from dubd.engines import mouths_patch, mouths_path, visemes
from dubd.engines.mouths_shape import CHIN, MouthShape
from dubd.engines.tracks import Tracks
from dubd.engines.turns import Turn, turns
from dubd.engines.visemes import MouthTarget

RAMP = 2  # frames over which a changed stretch fades in and out
OPENS = 0.05  # eye distances between shut and wide under which a mouth never opens: twice the landmarks' noise
BENT = (0.02, 0.14)  # eye distances a mouth that never opens is bent by in speech: as four speakers' mouths did


@dataclass(frozen=True)
class Limits:
    """What is worth changing: `min_face` px, `min_library` s of usable mouth, `memory` MiB for a library."""

    min_face: int
    min_library: float
    memory: int


@dataclass(frozen=True)
class Step:
    """What becomes of the mouth of frame `to` (an index of the shape).

    The mouth `of` another frame is laid over it, its lips bent by `bend` and the chin under it moved by
    `jaw`; or, where `of` is None, its own lips are bent. Eye distances; `weight` fades the change.
    """

    shape: MouthShape
    to: int
    of: int | None
    jaw: float
    bend: float
    weight: float


@dataclass
class Plan:
    """Steps by frame; the figures that a report shows."""

    steps: dict[int, Step] = field(default_factory=dict)
    wanted: list[float] = field(default_factory=list)
    got: list[float] = field(default_factory=list)
    library: int = 0

    @property
    def mode(self) -> str:
        """`retrieval`, `warp` where every change is a bent mouth, `none` where there is no change."""
        if not self.steps:
            return "none"
        return "warp" if all(step.of is None for step in self.steps.values()) else "retrieval"

    @property
    def fit(self) -> float | None:
        """Correlation of the openings asked for and made; None where there is too little to tell."""
        if len(self.wanted) < 3 or min(np.std(self.wanted), np.std(self.got)) < 1e-6:
            return None
        return round(float(np.corrcoef(self.wanted, self.got)[0, 1]), 3)


def plan(
    tracks: Tracks,
    speech: npt.NDArray[np.float32],
    original: npt.NDArray[np.float32],
    timing: Sequence[dict[str, Any]],
    rate: float,
    size: tuple[int, int],
    limits: Limits,
) -> Plan:
    """What the dub asks of the faces in `tracks`; sounds are mono at 48 kHz, `size` is the picture's."""
    target = visemes.target(speech, timing, tracks.frames, rate)
    made = Plan()
    for turn in turns(tracks, target.speech, original, timing, rate, limits.min_face):
        _move(made, turn, target, rate, size, limits)
    return made


def _move(
    made: Plan,
    turn: Turn,
    target: MouthTarget,
    rate: float,
    size: tuple[int, int],
    limits: Limits,
) -> None:
    """Add the steps of one face over its turn."""
    shape = turn.shape
    x0, y0, x1, y1 = mouths_patch.area(shape, int(np.argmax(shape.eyes)), *size)
    members = mouths_path.library(shape, max(1, limits.memory * 2**20 // max(1, (x1 - x0) * (y1 - y0) * 3)))
    shut, wide = np.quantile(shape.gap, (mouths_path.CLOSED, mouths_path.HIGH))
    retrieve = len(members) >= max(2, limits.min_library * rate) and wide - shut >= OPENS
    if retrieve:
        made.library += len(members)
    for run in turn.runs():
        frames = np.searchsorted(shape.frames, run)
        if retrieve:
            path = mouths_path.choose(shape, members, frames, target, rate)
            chosen: list[int | None] = path.chosen.tolist()
            wanted, bend, got = path.wanted, path.bend, shape.gap[path.chosen] + path.bend
            chin = shape.points[path.chosen, CHIN, 1] - shape.points[frames, CHIN, 1]
            jaw = np.clip(chin, -mouths_patch.MAX_JAW, mouths_patch.MAX_JAW)
        else:
            reach = (float(shut), float(shut) + BENT[0], float(shut) + BENT[1])
            chosen = [None] * len(run)
            wanted = got = mouths_path.openings(reach, target, run, rate)
            bend, jaw = wanted - shape.gap[frames], np.zeros(len(run))
        made.wanted += wanted.tolist()
        made.got += got.tolist()
        weight = turn.fade(run, RAMP)
        for place, frame in enumerate(run):
            made.steps[int(frame)] = Step(
                shape, int(frames[place]), chosen[place], float(jaw[place]), float(bend[place]), float(weight[place])
            )
