"""A face track in the face's own coordinates: where its mouth is, how far it is open, which way the head looks.

Face coordinates are upright, in units of the distance between the outer eye corners, with the origin
between the eyes; x to the right, y down. A similarity from rigid points takes the picture there, so
that a mouth of one frame can be laid over the mouth of another.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from dubd.engines.band import fit

Array = npt.NDArray[np.float64]
Lengths = npt.NDArray[np.floating[Any]]
Plane = npt.NDArray[np.float32]
Complex = npt.NDArray[np.complex128]

RIGID = np.array([0, 1, 15, 16, 27, 28, 29, 30, 31, 33, 35, 36, 39, 42, 45])
EYES = (36, 45)
NOSE, BRIDGE, BASE, CHIN = 30, 27, 33, 8
JAW = np.arange(17)
INNER = ((61, 67), (62, 66), (63, 65))
CORNERS = (48, 54)
# What is compared between two mouths: corners, lip edges outside and inside, chin.
MOUTH = np.array([48, 54, 51, 57, 62, 66, 8])
# Depth of the nose bridge before the ears over half the head's width, by which asymmetry becomes yaw.
BRIDGE_DEPTH = 1.2
SMOOTH = 9  # frames over which the head's own movement is smoothed, degree 2, zero lag


@dataclass(frozen=True)
class MouthShape:
    """One track's n frames in face coordinates.

    `frames` (n,) picture numbers; `scale` and `shift` (n,) complex, face = scale * picture + shift;
    `points` (n, 68, 2) face coordinates; `gap` inner lips apart, `width` corner to corner, `chin` its
    height, `pitch` the nose's length, all (n,) in eye distances; `yaw` (n,) in degrees.
    """

    frames: npt.NDArray[np.int64]
    scale: Complex
    shift: Complex
    points: Array
    gap: Array
    width: Array
    chin: Array
    yaw: Array
    pitch: Array

    @property
    def eyes(self) -> Array:
        """Distance between the outer eye corners in the picture, in pixels (n,)."""
        return np.asarray(1 / np.abs(self.scale))

    def has(self, frame: int) -> bool:
        """Whether this face is seen in that frame of the picture."""
        at = int(np.searchsorted(self.frames, frame))
        return at < len(self.frames) and int(self.frames[at]) == frame

    def mouths(self) -> Array:
        """The compared points, flat (n, 14), relative to their own nose base so that a nod is no change."""
        return (self.points[:, MOUTH] - self.points[:, BASE : BASE + 1]).reshape(len(self.frames), -1)

    def motions(self) -> Array:
        """How the mouth moves (n, 3): inner gap, speed of the lips, height of the chin."""
        lips = self.points[:, 48:68]
        speed = np.linalg.norm(np.diff(lips, axis=0, prepend=lips[:1]), axis=2).mean(1)
        return np.stack([self.gap, speed, self.chin], 1)

    def grid(self, index: int, x: Lengths, y: Lengths) -> tuple[Plane, Plane]:
        """Face coordinates, across and down, of the grid of pixels at columns `x` and rows `y`: each (y, x)."""
        scale, shift = self.scale[index], self.shift[index]
        xs, ys = x.astype(np.float32), y.astype(np.float32)[:, None]
        real, imag = np.float32(scale.real), np.float32(scale.imag)
        across = real * xs + (np.float32(shift.real) - imag * ys)
        return across, imag * xs + (np.float32(shift.imag) + real * ys)

    def to_picture(self, index: int, points: Array) -> Array:
        """Face coordinates (..., 2) to the pixels of the index-th frame."""
        z = (points[..., 0] + 1j * points[..., 1] - self.shift[index]) / self.scale[index]
        return np.stack([z.real, z.imag], -1)

    def between(self, to: int, of: int) -> Array:
        """2x3 matrix from a pixel of the frame `to` to the pixel of the frame `of` at the same spot of the face."""
        scale = self.scale[to] / self.scale[of]
        shift = (self.shift[to] - self.shift[of]) / self.scale[of]
        return np.array([[scale.real, -scale.imag, shift.real], [scale.imag, scale.real, shift.imag]])


def measure(points: npt.NDArray[np.float32], seen: npt.NDArray[np.bool_]) -> MouthShape:
    """The shape of one track; `points` (N, 68, 2) in pixels, `seen` (N,)."""
    frames = np.flatnonzero(seen)
    z = points[frames, :, 0].astype(np.float64) + 1j * points[frames, :, 1]
    left, right = z[:, EYES[0], None], z[:, EYES[1], None]
    template = (((z - (left + right) / 2) / (right - left)).mean(0))[RIGID]
    rigid = z[:, RIGID]
    centre = rigid.mean(1, keepdims=True)
    middle = template.mean()
    # Least squares over similarities: with complex numbers it is one division (Umeyama 1991 without reflection).
    scale = ((rigid - centre).conj() * (template - middle)).sum(1) / (np.abs(rigid - centre) ** 2).sum(1)
    scale = np.exp(_steady(frames, np.log(scale)))
    shift = middle - scale * _steady(frames, centre[:, 0])
    face = z * scale[:, None] + shift[:, None]
    at = np.stack([face.real, face.imag], -1)
    gap = np.mean([np.linalg.norm(at[:, a] - at[:, b], axis=1) for a, b in INNER], 0)
    sides = np.abs(face[:, BRIDGE] - face[:, 1]), np.abs(face[:, 15] - face[:, BRIDGE])
    return MouthShape(
        frames=frames,
        scale=scale,
        shift=shift,
        points=at,
        gap=gap,
        width=np.linalg.norm(at[:, CORNERS[0]] - at[:, CORNERS[1]], axis=1),
        chin=at[:, CHIN, 1] - at[:, BASE, 1],
        yaw=np.degrees(np.arctan((sides[0] - sides[1]) / (sides[0] + sides[1]) / BRIDGE_DEPTH)),
        pitch=at[:, NOSE, 1] - at[:, BRIDGE, 1],
    )


def _steady(frames: npt.NDArray[np.int64], track: Complex) -> Complex:
    """Smooth along each unbroken run of frames: the landmarks' noise must not shake the mouth."""
    smooth = track.copy()
    for run in np.split(np.arange(len(frames)), np.flatnonzero(np.diff(frames) > 1) + 1):
        if len(run) >= SMOOTH:
            smooth[run] = fit(track[run], SMOOTH)
    return smooth
