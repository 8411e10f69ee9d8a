"""Where the face lies that Wav2Lip sees: a box on the upright face, steady in time, brought to 96x96 px and back.

Face coordinates (`mouths_shape`) are upright whatever the head's roll, and already steady, so the crop is de-rolled
by the same similarity. The box is the one that the published detector draws: ear to ear, from the middle of the
forehead to the chin. The lower half, which the network draws anew, then begins just above the nose's base.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from dubd.engines.band import blur
from dubd.engines.mouths_shape import BASE, CHIN, JAW, MouthShape

Array = npt.NDArray[np.float64]
Pixels = npt.NDArray[np.uint8]
Floats = npt.NDArray[np.float32]

SIDE = 96
BROWS = np.arange(17, 27)
FOREHEAD = 0.5  # of the distance from brows to nose base: what a detector's box holds above the brows
STEADY = 0.25  # s (sigma) over which the box is averaged: it must follow neither a chin that speaks nor noise


@dataclass(frozen=True)
class Crops:
    """The boxes of one face: (n, 4) left, top, right, bottom in face coordinates."""

    shape: MouthShape
    boxes: Array

    def matrix(self, index: int, corner: tuple[int, int] = (0, 0), side: int = SIDE) -> Array:
        """2x3, from a pixel of the picture (whose top-left corner is `corner`) to one of the crop of `side` px."""
        scale, shift = self.shape.scale[index], self.shape.shift[index]
        shift = shift + scale * complex(*corner)
        left, top, right, bottom = self.boxes[index]
        across, down = side / (right - left), side / (bottom - top)
        face = np.array([[scale.real, -scale.imag, shift.real - left], [scale.imag, scale.real, shift.imag - top]])
        return np.asarray(face * np.array([[across], [down]]) - np.array([[0, 0, 0.5], [0, 0, 0.5]]))

    def corners(self, index: int) -> Array:
        """The box's corners in the picture (4, 2), around it in turn."""
        left, top, right, bottom = self.boxes[index]
        return self.shape.to_picture(index, np.array([[left, top], [right, top], [right, bottom], [left, bottom]]))

    def cut(self, picture: Pixels, corner: tuple[int, int], index: int) -> Pixels:
        """The face (96, 96, 3) out of a part of the picture (h, w, 3) that lies at `corner`."""
        import cv2

        left, top, right, bottom = self.boxes[index]
        # Averaged and not only interpolated where the picture is finer: a crop must not flicker.
        times = max(1, round(max(right - left, bottom - top) * float(self.shape.eyes[index]) / SIDE))
        side = SIDE * times
        matrix = self.matrix(index, corner, side)
        crop = cv2.warpAffine(picture, matrix, (side, side), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
        if times > 1:
            crop = cv2.resize(crop, (SIDE, SIDE), interpolation=cv2.INTER_AREA)
        return np.asarray(crop, np.uint8)


def crops(shape: MouthShape, rate: float, pads: tuple[float, float, float, float]) -> Crops:
    """The boxes of a face; `pads` are shares of the box's own height and width: top, bottom, left, right."""
    face = shape.points
    brows, base = face[:, BROWS, 1].mean(1), face[:, BASE, 1]
    edges = np.stack(
        [
            face[:, JAW, 0].min(1),
            brows - FOREHEAD * (base - brows),
            face[:, JAW, 0].max(1),
            face[:, CHIN, 1],
        ],
        1,
    )
    for run in np.split(np.arange(len(edges)), np.flatnonzero(np.diff(shape.frames) > 1) + 1):
        for side in range(4):
            edges[run, side] = blur(edges[run, side], STEADY * rate)
    wide, high = edges[:, 2] - edges[:, 0], edges[:, 3] - edges[:, 1]
    top, bottom, left, right = pads
    return Crops(shape, edges + np.stack([-left * wide, -top * high, right * wide, bottom * high], 1))
