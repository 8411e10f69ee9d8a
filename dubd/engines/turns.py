"""When which face's mouth has to change: the stretches in which it speaks, in the dub or in the source.

Outside of them the picture passes through. Where only the source speaks the mouth changes too: it has to be shut.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from dubd.engines import mouths_path
from dubd.engines.mouths_shape import MouthShape
from dubd.engines.talking import Flags, Run, closed, runs, talking
from dubd.engines.tracks import Tracks

Array = npt.NDArray[np.float64]

HANG = 0.12  # seconds that a mouth goes on moving before and after speech
GAP = 0.24  # seconds: shorter quiet stretches are not left to the source's mouth
REST = 1.5  # seconds that a changed stretch may reach out to where the source's mouth is at rest
AT_REST = 0.3  # of the way from shut to wide open


@dataclass(frozen=True)
class Turn:
    """One face and the frames (N,) of the picture in which its mouth has to change."""

    shape: MouthShape
    active: Flags

    def runs(self) -> list[Run]:
        """The stretches without a gap, as arrays of picture numbers."""
        return runs(self.active)

    def fade(self, run: Run, over: int) -> Array:
        """Weights (n,) that bring the change of a stretch in and out over `over` frames.

        At the edge of a shot there is no own mouth to fade from or to.
        """
        ramp = np.arange(1, len(run) + 1) / (over + 1)
        before, after = (self.shape.has(int(frame)) for frame in (run[0] - 1, run[-1] + 1))
        weight = np.minimum(np.minimum(1.0, ramp if before else 1.0), ramp[::-1] if after else 1.0)
        return np.asarray(np.broadcast_to(weight, len(run)))


def turns(
    tracks: Tracks,
    speech: Flags,
    original: npt.NDArray[np.float32],
    timing: Sequence[dict[str, Any]],
    rate: float,
    min_face: int,
) -> list[Turn]:
    """The turns of the faces in `tracks`; no frame is in two of them.

    `speech` (N,) says where the dub is heard, `original` is the source's sound, mono at 48 kHz. Faces narrower than
    `min_face` px from ear to ear, or turned away, are left alone.
    """
    faces = talking(tracks, original, timing, rate, min_face=min_face, max_yaw=mouths_path.MAX_YAW)
    busy = faces.busy(speech, round(HANG * rate))
    made: list[Turn] = []
    taken = np.zeros(tracks.frames, np.bool_)
    for row, shape in enumerate(faces.shapes):
        free = faces.free(row) & ~taken
        active = closed(busy & (faces.who == row), round(GAP * rate)) & free
        if active.any():
            gap = np.full(tracks.frames, np.nan)
            gap[shape.frames] = shape.gap
            gap[~faces.seen[row]] = np.nan
            active = closed(_reach_rest(active, free, gap, round(REST * rate)), round(GAP * rate)) & free
            taken |= active
            made.append(Turn(shape, active))
    return made


def _reach_rest(active: Flags, free: Flags, gap: Array, most: int) -> Flags:
    """Widen stretches over `free` frames until the source's own mouth is at rest, by at most `most` frames.

    A speaker opens the mouth well before the first sound: cut off there, the mouth would snap shut.
    """
    shut, wide = np.nanquantile(gap, (mouths_path.CLOSED, mouths_path.HIGH))
    rest = ~free | (gap <= shut + AT_REST * (wide - shut))
    wider = active.copy()
    for run in runs(active):
        for edge, way in ((run[0], -1), (run[-1], 1)):
            for frame in range(edge + way, edge + way * (most + 1), way):
                if not 0 <= frame < len(gap) or rest[frame]:
                    break
                wider[frame] = True
    return wider
