"""Face tracks of one segment: who is where in which frame, and where the shots begin."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from dubd.errors import DubdError
from dubd.media import arrays

Floats = npt.NDArray[np.float32]
Flags = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Tracks:
    """T tracks over N frames; pixels of the full picture, NaN where a face is not seen.

    `boxes` (T, N, 4) x0 y0 x1 y1, `points` (T, N, 68, 2) in the order of the 300-W set (Sagonas et al. 2013),
    `seen` (T, N), `cuts` the first frame of each shot after the first. No track crosses a cut.
    """

    boxes: Floats
    points: Floats
    seen: Flags
    cuts: npt.NDArray[np.int32]

    @property
    def count(self) -> int:
        """The number of tracks."""
        return int(self.seen.shape[0])

    @property
    def frames(self) -> int:
        """The number of frames."""
        return int(self.seen.shape[1])

    def save(self, path: Path) -> None:
        """Write `faces.npz`; the same tracks give the same bytes."""
        np.savez_compressed(path, boxes=self.boxes, points=self.points, seen=self.seen, cuts=self.cuts)

    @classmethod
    def load(cls, path: Path) -> Tracks:
        """Read `faces.npz`; DubdError where it is not one."""
        try:
            found = arrays.read(path)
            return cls(*(found[key] for key in ("boxes", "points", "seen", "cuts")))
        except (KeyError, ValueError, OSError) as error:
            raise DubdError(f"not face tracks: {error}", file=path, remedy="delete it to have it made again") from error
