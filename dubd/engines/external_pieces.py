"""Which stretches of a segment an external program is given: one speaking face, seen in every frame."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt

from dubd.engines import visemes
from dubd.engines.mouths_shape import MouthShape
from dubd.engines.talking import closed, runs, talking
from dubd.engines.tracks import Tracks
from dubd.media.ffmpeg import Part

MARGIN = 0.2  # seconds before and after speech in which a mouth still moves
GAP = 0.6  # seconds of quiet that do not end a stretch: each one costs a load of the program's models
SHORTEST = 0.4  # seconds: less is not worth a run, and under 0.2 s there is no mel spectrogram of the sound


@dataclass(frozen=True)
class Piece:
    """Frames `first` to `stop` (without it) of a segment, and the part of the picture around the face `shape`.

    `fades` says whether the face is seen, unchanged, just before and just after.
    """

    shape: MouthShape
    first: int
    stop: int
    part: Part
    fades: tuple[bool, bool]

    @property
    def frames(self) -> int:
        """How many."""
        return self.stop - self.first


def pieces(
    tracks: Tracks,
    speech: npt.NDArray[np.float32],
    original: npt.NDArray[np.float32],
    timing: Sequence[dict[str, Any]],
    rate: float,
    size: tuple[int, int],
    *,
    min_face: int,
    max_seconds: float,
    context: float,
) -> list[Piece]:
    """The pieces in order; none overlap, and none crosses a cut, since no track does. Sounds are mono at 48 kHz."""
    faces = talking(tracks, original, timing, rate, min_face=min_face)
    dubbed = visemes.level(speech, tracks.frames, rate) > visemes.SPEECH
    busy = faces.busy(dubbed, round(MARGIN * rate))
    found: list[Piece] = []
    taken = np.zeros(tracks.frames, np.bool_)
    for row, shape in enumerate(faces.shapes):
        active = closed(busy & (faces.who == row), round(GAP * rate)) & faces.free(row) & ~taken
        for run in runs(active):
            begin, end = int(run[0]), int(run[-1]) + 1
            if end - begin < SHORTEST * rate:
                continue
            taken[begin:end] = True
            parts = math.ceil((end - begin) / max(1.0, max_seconds * rate))
            edges = np.linspace(begin, end, parts + 1).round().astype(int).tolist()
            for first, stop in pairwise(edges):
                fades = (first == begin and shape.has(begin - 1), stop == end and shape.has(end))
                part = _part(tracks.boxes[row, first:stop], context, size)
                found.append(Piece(shape, first, stop, part, fades))
    return sorted(found, key=lambda piece: piece.first)


def _part(boxes: npt.NDArray[np.float32], context: float, size: tuple[int, int]) -> Part:
    """The face's way through the piece, and `context` times its size around that; all of the picture for 0."""
    width, height = size
    if context <= 0:
        return 0, 0, width, height
    low, high = boxes[:, :2].min(0), boxes[:, 2:].max(0)
    room = context * float((boxes[:, 2:] - boxes[:, :2]).max())
    x0, y0 = (max(0, int(edge - room)) // 2 * 2 for edge in low)
    x1, y1 = (min(most, math.ceil((edge + room) / 2) * 2) for edge, most in zip(high, size, strict=True))
    return x0, y0, x1 - x0, y1 - y0
