"""Which visible face has the word in which frame: where a dub, or the source, moves a mouth."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt

from dubd.engines import visemes
from dubd.engines.mouths_shape import MouthShape, measure
from dubd.engines.talker import talker
from dubd.engines.tracks import Tracks

Flags = npt.NDArray[np.bool_]
Run = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Talking:
    """The faces of a segment by track, and who of them speaks.

    `seen` (T, N) says where a face is large enough and turned little enough to be changed, `heard` (N,) where the
    source is heard, `who` (N,) is the track that speaks, -1 where none does.
    """

    shapes: Sequence[MouthShape]
    seen: Flags
    heard: Flags
    who: npt.NDArray[np.int64]

    def busy(self, speech: Flags, hang: int) -> Flags:
        """Where the dub (`speech`, (N,)) or the source is heard, and `hang` frames before and after."""
        wide = np.convolve(speech | self.heard, np.ones(2 * hang + 1))
        return np.asarray(wide[hang : hang + len(speech)] > 0.5)

    def free(self, track: int) -> Flags:
        """Where the face may be changed: it is seen, and no other one speaks."""
        return np.asarray(self.seen[track] & ((self.who == track) | (self.who < 0)))


def talking(
    tracks: Tracks,
    original: npt.NDArray[np.float32],
    timing: Sequence[dict[str, Any]],
    rate: float,
    *,
    min_face: int,
    max_yaw: float = math.inf,
) -> Talking:
    """Who speaks, by the source's sound (mono at 48 kHz) and the lines in `timing`.

    Faces narrower than `min_face` px from ear to ear, or turned away by more than `max_yaw`, are left alone.
    """
    level = visemes.level(original, tracks.frames, rate)
    shapes = [measure(tracks.points[row], tracks.seen[row]) for row in range(tracks.count)]
    motions = np.full((tracks.count, tracks.frames, 3), np.nan)
    for row, shape in enumerate(shapes):
        across = np.ptp(tracks.points[row][shape.frames, :, 0], axis=1)
        good = (across >= min_face) & (np.abs(shape.yaw) <= max_yaw)
        motions[row, shape.frames[good]] = shape.motions()[good]
    seen = np.asarray(np.isfinite(motions).all(axis=2))
    return Talking(shapes, seen, level > visemes.SPEECH, talker(motions, level, timing, rate))


def closed(flags: Flags, most: int) -> Flags:
    """Holes of at most `most` frames filled; the ends stay as they are."""
    filled = flags.copy()
    for before, after in pairwise(np.flatnonzero(flags)):
        if after - before - 1 <= most:
            filled[before:after] = True
    return filled


def runs(flags: Flags) -> list[Run]:
    """Each stretch of True, as its frame numbers."""
    at = np.flatnonzero(flags)
    return [run for run in np.split(at, np.flatnonzero(np.diff(at) > 1) + 1) if len(run)]
