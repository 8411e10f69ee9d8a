"""Move lips apart or together: how far each pixel about a mouth is displaced."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from dubd.engines.mouths_shape import BASE, CHIN, MouthShape

Array = npt.NDArray[np.float64]
Plane = npt.NDArray[np.float32]
Area = tuple[int, int, int, int]

# Inner lips from corner to corner.
UPPER, LOWER = [60, 61, 62, 63, 64], [60, 67, 66, 65, 64]
UP, DOWN = 0.3, 0.7  # shares of the upper and the lower lip in an opening: the jaw moves, not the nose
TO_CHIN = 0.6  # of the opening that reaches the chin
BELOW = 0.67  # eye distances under the chin in which the movement fades out
COARSE = 2  # the movement bends only at the lips' lines: half the size shows it


def area(shape: MouthShape, to: int, face: Array, where: Area, *, chin: bool) -> Area:
    """The part of `where` (picture pixels) that an opening moves: nose base to chin, or under it."""
    left, right = face[60, 0], face[64, 0]
    reach = 1.0 if chin else 0.35
    side = reach * (right - left)
    bottom = face[CHIN, 1] + (BELOW if chin else 0.0)
    corners = np.array([[x, y] for x in (left - side, right + side) for y in (face[BASE, 1], bottom)])
    at = shape.to_picture(to, corners)
    low, high = np.floor(at.min(0)).astype(int), np.ceil(at.max(0)).astype(int)
    x0, y0 = max(where[0], int(low[0])), max(where[1], int(low[1]))
    return x0, y0, max(x0, min(where[2], int(high[0]))), max(y0, min(where[3], int(high[1])))


def displace(shape: MouthShape, to: int, face: Array, part: Area, opening: float, *, chin: bool) -> tuple[Plane, Plane]:
    """For each pixel of `part`: how far down the face to look for it, and how deep in the new gap it is.

    `face` (68, 2) says where the lips are, `opening` by how much the gap grows (or shrinks, below 0).
    All in eye distances. The second array counts from the nearer lip's edge, below 0 outside the mouth.
    """
    import cv2

    width, height = part[2] - part[0], part[3] - part[1]
    if not width or not height:
        return np.zeros((height, width), np.float32), np.zeros((height, width), np.float32)
    cells = (-(-width // COARSE), -(-height // COARSE))
    # A coarse cell stands for its centre, as cv2.resize has it.
    x, y = ((np.arange(n) + 0.5) * COARSE - 0.5 + low for n, low in zip(cells, part, strict=False))
    across, down = shape.grid(to, x, y)
    upper = np.interp(across, face[UPPER, 0], face[UPPER, 1]).astype(np.float32)
    lower = np.maximum(upper, np.interp(across, face[LOWER, 0], face[LOWER, 1]).astype(np.float32))
    corner, half = np.float32(face[60, 0]), np.float32((face[64, 0] - face[60, 0]) / 2)
    aside = (across - corner) / half - 1
    lips = _bump(aside / np.float32(1.25)) * np.float32(opening)
    new_upper = upper - np.float32(UP) * lips
    new_lower = np.maximum(new_upper + np.float32(1e-3), lower + np.float32(DOWN) * lips)
    moved_chin = _bump(aside / np.float32(3)) * np.float32(TO_CHIN * opening) if chin else np.float32(0)
    top, bottom = np.float32(face[BASE, 1]), np.float32(face[CHIN, 1])
    end = bottom + np.float32((BELOW if chin else 0.0) + 1e-6)
    # Between the lines that move, the face is stretched evenly: each has its new height and where it came from.
    new = [top, new_upper, new_lower, bottom + moved_chin, end]
    back = [np.float32(0), upper - new_upper, lower - new_lower, -moved_chin, np.float32(0)]
    move = np.zeros_like(down)
    for first, last, start, stop in zip(new[:-1], new[1:], back[:-1], back[1:], strict=True):
        share = (down - first) / np.maximum(last - first, np.float32(1e-6))
        np.copyto(move, start + share * (stop - start), where=(share >= 0) & (down < last))
    depth = np.minimum(down - new_upper, new_lower - down)
    full = (cells[0] * COARSE, cells[1] * COARSE)
    large = (cv2.resize(plane, full, interpolation=cv2.INTER_LINEAR)[:height, :width] for plane in (move, depth))
    return np.asarray(next(large), np.float32), np.asarray(next(large), np.float32)


def _bump(t: Plane) -> Plane:
    """1 at 0, 0 from -1 and 1 on, smooth in between."""
    return np.asarray(np.maximum(1 - t * t, 0) ** 2, np.float32)
