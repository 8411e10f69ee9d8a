"""Decide what becomes of each frame's mouth: left alone, replaced by another of the speaker's, or bent."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt

from dubd.engines import mouths_patch, mouths_path, visemes
from dubd.engines.mouths_shape import CHIN, MouthShape, measure
from dubd.engines.talker import talker
from dubd.engines.tracks import Tracks
from dubd.engines.visemes import MouthTarget

Array = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]

HANG = 3  # frames that a mouth goes on moving before and after speech
GAP = 6  # frames: shorter quiet stretches are not left to the source's mouth
REST = 1.5  # seconds that a changed stretch may reach out to where the source's mouth is at rest
AT_REST = 0.3  # of the way from shut to wide open
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
    count = tracks.frames
    target = visemes.target(speech, timing, count, rate)
    heard = visemes.level(original, count, rate)
    shapes = [measure(tracks.points[row], tracks.seen[row]) for row in range(tracks.count)]
    gaps = np.full((tracks.count, count), np.nan)
    motions = np.full((tracks.count, count, 3), np.nan)
    for row, shape in enumerate(shapes):
        across = np.ptp(tracks.points[row][shape.frames, :, 0], axis=1)
        good = (across >= limits.min_face) & (np.abs(shape.yaw) <= mouths_path.MAX_YAW)
        gaps[row, shape.frames[good]] = shape.gap[good]
        motions[row, shape.frames[good]] = shape.motions()[good]
    who = talker(motions, heard, timing, rate)
    busy = _grow(target.speech, HANG) | _grow(heard > visemes.SPEECH, HANG)
    made = Plan()
    for row, shape in enumerate(shapes):
        free = np.isfinite(gaps[row]) & ((who == row) | (who < 0))
        free[list(made.steps)] = False
        active = _close(busy & (who == row), GAP) & free
        if active.any():
            active = _close(_reach_rest(active, free, gaps[row], round(REST * rate)), GAP) & free
            _move(made, shape, active, target, rate, size, limits)
    return made


def _move(
    made: Plan,
    shape: MouthShape,
    active: Flags,
    target: MouthTarget,
    rate: float,
    size: tuple[int, int],
    limits: Limits,
) -> None:
    """Add the steps of one face over its `active` frames."""
    x0, y0, x1, y1 = mouths_patch.area(shape, int(np.argmax(shape.eyes)), *size)
    members = mouths_path.library(shape, max(1, limits.memory * 2**20 // max(1, (x1 - x0) * (y1 - y0) * 3)))
    shut, wide = np.quantile(shape.gap, (mouths_path.CLOSED, mouths_path.HIGH))
    retrieve = len(members) >= max(2, limits.min_library * rate) and wide - shut >= OPENS
    if retrieve:
        made.library += len(members)
    for run in _runs(active):
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
        ramp = np.arange(1, len(run) + 1) / (RAMP + 1)
        before, after = (shape.has(int(frame)) for frame in (run[0] - 1, run[-1] + 1))
        # At the edge of a shot there is no own mouth to fade from or to.
        weight = np.minimum(np.minimum(1.0, ramp if before else 1.0), ramp[::-1] if after else 1.0)
        weight = np.broadcast_to(weight, len(run))
        for place, frame in enumerate(run):
            made.steps[int(frame)] = Step(
                shape, int(frames[place]), chosen[place], float(jaw[place]), float(bend[place]), float(weight[place])
            )


def _grow(flags: Flags, by: int) -> Flags:
    """True also within `by` frames of a True."""
    return np.asarray(np.convolve(flags, np.ones(2 * by + 1))[by : by + len(flags)] > 0.5)


def _reach_rest(active: Flags, free: Flags, gap: Array, most: int) -> Flags:
    """Widen stretches over `free` frames until the source's own mouth is at rest, by at most `most` frames.

    A speaker opens the mouth well before the first sound: cut off there, the mouth would snap shut.
    """
    shut, wide = np.nanquantile(gap, (mouths_path.CLOSED, mouths_path.HIGH))
    rest = ~free | (gap <= shut + AT_REST * (wide - shut))
    wider = active.copy()
    for run in _runs(active):
        for edge, way in ((run[0], -1), (run[-1], 1)):
            for frame in range(edge + way, edge + way * (most + 1), way):
                if not 0 <= frame < len(gap) or rest[frame]:
                    break
                wider[frame] = True
    return wider


def _close(flags: Flags, most: int) -> Flags:
    """Fill holes of at most `most` frames."""
    filled = flags.copy()
    for before, after in pairwise(np.flatnonzero(flags)):
        if after - before - 1 <= most:
            filled[before:after] = True
    return filled


def _runs(flags: Flags) -> list[npt.NDArray[np.int64]]:
    """The stretches of True, as arrays of their indices."""
    at = np.flatnonzero(flags)
    return [run for run in np.split(at, np.flatnonzero(np.diff(at) > 1) + 1) if len(run)]
